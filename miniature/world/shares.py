"""Shares of what was counted, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from strata.hierarchy.extras import needs_extra


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    right: int
    asked: int

    @property
    def value(self) -> float:
        """Right of asked, 0 to 1."""
        return self.right / self.asked

    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson score interval (Wilson 1927, as in Brown, Cai & DasGupta 2001, eq. 4).

        Raises:
            InputError: scipy is not installed.
        """
        with needs_extra("miniature"):
            from scipy.stats import binomtest
        found = binomtest(self.right, self.asked).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def as_data(self) -> dict[str, Any]:
        """For JSON reports."""
        return {"right": self.right, "asked": self.asked, "share": self.value, "interval_95": self.interval()}
