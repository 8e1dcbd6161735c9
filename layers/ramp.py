"""A value that changes over the denoising steps: `{from: 1.0, to: 0.2}`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from strata.hierarchy.errors import quote

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ramp:
    """A straight line over steps, from `start` at the first step concerned to `end` at the last; both in [0, 1]."""

    start: float
    end: float

    def __post_init__(self) -> None:
        for key, value in (("from", self.start), ("to", self.end)):
            if not _is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"{key}: {quote(value)} is not a number from 0 to 1")

    @classmethod
    def parse(cls, value: Any) -> "float | Ramp":
        """Read a number or a mapping with the keys `from` and `to`. Raises `ValueError` on anything else."""
        if isinstance(value, Ramp):
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


def over_steps(value: "float | Ramp", selected: Mask) -> npt.NDArray[np.float32]:
    """`float32[T]`: a number or ramp over the selected steps, 0 at the others.

    The ramp runs linearly in the step number from the first selected step to the last one, gaps included. With a
    single selected step, which is first and last at once, it is the mean of both ends.
    """
    values = np.zeros(len(selected), dtype=np.float32)
    chosen = np.flatnonzero(selected)
    if not len(chosen):
        return values
    if isinstance(value, Ramp):
        length = chosen[-1] - chosen[0]
        progress = (chosen - chosen[0]) / length if length else np.full(1, 0.5)
        values[chosen] = value.start + progress * (value.end - value.start)
    else:
        values[chosen] = value
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300  # fits a float
