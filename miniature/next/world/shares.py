"""Shares of what was counted, with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share of `count` (Wilson 1927, as in Brown, Cai & DasGupta 2001, eq. 4).

    For whole numbers of hits it is `scipy.stats.binomtest(hits, count).proportion_ci(method="wilson")`, which takes no
    others; the mean of scenes' own shares need not be a whole number of hits.
    """
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


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
        """Its 95 % Wilson score interval."""
        return wilson_interval(self.value, self.asked)

    def as_data(self) -> dict[str, Any]:
        """For JSON reports."""
        return {"right": self.right, "asked": self.asked, "share": self.value, "interval_95": self.interval()}
