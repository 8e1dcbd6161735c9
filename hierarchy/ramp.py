"""A value that changes over the denoising steps: `{from: 1.0, to: 0.2}`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from strata.hierarchy.errors import quote


@dataclass(frozen=True)
class Ramp:
    """A straight line over steps, from `start` at the first step concerned to `end` at the last.

    Both are numbers from `lowest` to `highest`.
    """

    lowest: ClassVar[float] = 0
    highest: ClassVar[float] = 1
    start: float
    end: float

    def __post_init__(self) -> None:
        for key, value in (("from", self.start), ("to", self.end)):
            if not _is_number(value) or not self.lowest <= value <= self.highest:
                raise ValueError(f"{key}: {quote(value)} is not a number from {self.lowest:g} to {self.highest:g}")

    @classmethod
    def parse(cls, value: Any) -> "float | Self":
        """Read a number or a mapping with the keys `from` and `to`. Raises `ValueError` on anything else."""
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            unknown = [str(key) for key in value if key not in ("from", "to")]
            if unknown:
                raise ValueError(f"unknown key {quote(unknown[0])}; valid keys: from, to")
            if len(value) < 2:
                raise ValueError("a ramp needs both keys: from, to")
            return cls(value["from"], value["to"])
        if not _is_number(value):
            raise ValueError("expected a number, or a ramp such as {from: 1, to: 0.2}")
        return float(value)

    def as_data(self) -> dict[str, float]:
        """The mapping that `parse` reads."""
        return {"from": float(self.start), "to": float(self.end)}

    def __str__(self) -> str:
        return f"{self.start:g} to {self.end:g}"


def as_written(value: float | Ramp) -> float | dict[str, float]:
    """A number or ramp as a file has it."""
    return value.as_data() if isinstance(value, Ramp) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300  # fits a float
