"""Selectors of a routing file: percent ranges (`0%-33%`) and exact indices (`0-18`, `0-3,7`, `all`).

Both select positions out of `count` blocks or steps. A percent range is portable: it fits a model of any depth.
Exact indices belong to one model; `Indices.rescaled` carries them over to a model with other counts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from strata.hierarchy.errors import quote

Mask = npt.NDArray[np.bool_]

_NUMBER = r"(\d+(?:\.\d+)?)"
_PERCENT = re.compile(rf"{_NUMBER}\s*%\s*-\s*{_NUMBER}\s*%")
_INDICES = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


@dataclass(frozen=True)
class Percent:
    """A half-open percent range `[start, stop)`, taken on midpoints: position i of n lies at `(i + 0.5) / n`.

    Ranges that meet (`0%-33%`, `33%-100%`) therefore never share a position and never lose one. Of a single position
    every percent range selects that one: there is nothing to divide.
    """

    start: float
    stop: float

    @classmethod
    def parse(cls, value: Any) -> "Percent":
        """Read `"0%-33%"`; decimals are allowed. Raises `ValueError` on anything else."""
        match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError('expected a percent range such as "0%-33%"')
        start, stop = (float(number) for number in match.groups())
        if stop > 100:
            raise ValueError("a percent range ends at 100% at most")
        if start >= stop:
            raise ValueError(f"an empty percent range: {start:g}% is not below {stop:g}%")
        return cls(start, stop)

    @property
    def centre(self) -> float:
        """Percent, above 0 and below 100."""
        return (self.start + self.stop) / 2

    def select(self, count: int) -> Mask:
        """`bool[count]`: the positions whose midpoint lies in the range (possibly none)."""
        if count == 1:
            return np.ones(1, dtype=bool)
        doubled_midpoints = 100 * (2 * np.arange(count) + 1)  # 2 * count * percent: compared without division
        selected: Mask = (2 * count * self.start <= doubled_midpoints) & (doubled_midpoints < 2 * count * self.stop)
        return selected

    def __str__(self) -> str:
        return f"{_plain(self.start)}%-{_plain(self.stop)}%"


@dataclass(frozen=True)
class Indices:
    """Inclusive index ranges `((0, 18), (20, 20))`, or every index where `spans` is None ("all")."""

    spans: tuple[tuple[int, int], ...] | None

    @classmethod
    def parse(cls, value: Any) -> "Indices":
        """Read `"all"`, `17`, `"0-18"`, `"0-3,7"` or a list of such items. Raises `ValueError` on anything else."""
        if isinstance(value, str) and value.strip().lower() == "all":
            return cls(None)
        items: Sequence[Any]
        if isinstance(value, str):
            items = value.split(",")
        elif isinstance(value, (list, tuple)):
            items = value
        else:
            items = [value]
        if not items:
            raise ValueError('an empty list selects nothing; leave the key out, or write "all"')
        return cls(tuple(_span(item) for item in items))

    @property
    def last(self) -> int:
        """The highest index named, -1 for "all"."""
        return -1 if self.spans is None else max(stop for _, stop in self.spans)

    def select(self, count: int) -> Mask:
        """`bool[count]`: the named positions. Raises `ValueError` naming the valid range if one is out of range."""
        if self.spans is None:
            return np.ones(count, dtype=bool)
        if self.last >= count:
            valid = f"valid: 0-{count - 1}" if count else "there are none"
            raise ValueError(f"index {self.last} is out of range ({valid})")
        selected = np.zeros(count, dtype=bool)
        for start, stop in self.spans:
            selected[start : stop + 1] = True
        return selected

    def rescaled(self, source: int, count: int, every: int = 1) -> Mask:
        """`bool[count]`: indices written for `source` positions, carried over to `count` positions in proportion.

        Position i is selected if the source position under its midpoint is. A run of source positions too short to lie
        under any midpoint keeps the position nearest to its centre, so that nothing selected is lost on a shallower
        model. `every` keeps only positions divisible by it; it counts positions of the new model.
        """
        if self.spans is None:
            source = count
        named = self.select(source)
        positions = np.arange(0, count, every)
        under = (2 * positions + 1) * source // (2 * count) if count else positions
        selected = np.zeros(count, dtype=bool)
        selected[positions] = named[under]
        if not count:
            return selected
        for start, stop in runs(named):
            wanted = -(-start // every) * every < stop  # a run without a multiple of `every` selects nothing
            if wanted:  # where midpoints lie above the run, the nearest to its centre is one of them
                distance = np.abs((2 * positions + 1) * source - (start + stop) * count)
                selected[positions[int(distance.argmin())]] = True
        return selected

    def __str__(self) -> str:
        if self.spans is None:
            return "all"
        return ",".join(f"{start}-{stop}" if stop > start else f"{start}" for start, stop in self.spans)


def runs(selected: Mask) -> list[tuple[int, int]]:
    """The maximal runs `[start, stop)` of true positions, ascending."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], selected, [False])).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def compact(selected: Mask) -> str:
    """The selected positions as text: `"0-3, 7"`, or `"0-18 every 2"` where they are evenly spread."""
    positions = np.flatnonzero(selected)
    gaps = np.diff(positions)
    if len(gaps) > 1 and gaps[0] > 1 and (gaps == gaps[0]).all():
        return f"{positions[0]}-{positions[-1]} every {gaps[0]}"
    return ", ".join(f"{start}-{stop - 1}" if stop - start > 1 else f"{start}" for start, stop in runs(selected))


def named_blocks(selected: Mask, double_blocks: int) -> str:
    """The selected blocks in execution order, by their names: `"double 3 and single 0-1"`."""
    families = {"double": selected[:double_blocks], "single": selected[double_blocks:]}
    return " and ".join(f"{family} {compact(chosen)}" for family, chosen in families.items() if chosen.any())


def _span(item: Any) -> tuple[int, int]:
    if isinstance(item, int) and not isinstance(item, bool) and item >= 0:
        return item, item
    match = _INDICES.fullmatch(item.strip()) if isinstance(item, str) else None
    if match is None:
        examples = '"0-18", "17", "0-3,7", [0, 1, 17] or "all"'
        raise ValueError(f"{quote(item)} is no index or range; expected such as {examples}")
    start = int(match[1])
    stop = int(match[2]) if match[2] else start
    if start > stop:
        raise ValueError(f'the range {quote(item.strip())} runs backwards; write "{stop}-{start}"')
    return start, stop


def _plain(number: float) -> str:
    return np.format_float_positional(number, trim="-")
