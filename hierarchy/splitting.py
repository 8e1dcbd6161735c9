"""Where regions overlap, what each of them has: the policy `split`.

A place that several regions cover belongs to the one whose middle is nearest, as measured in the root of a region's
size, so that a small region keeps its part beside a large one. A region that lies in a larger one is a part of it: the
larger one has the inner one's places too. A region that would have nothing keeps all that it covers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Shape = tuple[tuple[slice, slice], NDArray[np.bool_]]
"""A region: rows and columns of the canvas, and the places there that it holds."""
INSIDE = 0.9
"""A region lies in a larger one that has this share of it."""


def cropped(mask: NDArray[np.bool_]) -> Shape:
    """The smallest part of the canvas that holds the mask (one place for an empty one), and the mask there."""
    place = tuple(
        slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, 1)
        for hit in (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    )
    return (place[0], place[1]), mask[place].copy()


def divided(shapes: Sequence[Shape], rows: int, cols: int) -> list[Shape]:
    """The same regions of a canvas of so many rows and columns, each where it stood, without what others have."""
    sizes = [int(mask.sum()) for _, mask in shapes]
    inside = {outer: _inside(shapes, sizes, outer) for outer in range(len(shapes))}
    owner = _owners(shapes, inside, rows, cols)
    found = []
    for index, (place, mask) in enumerate(shapes):
        own = mask & np.isin(owner[place], [index, *inside[index]])
        found.append((place, own if own.any() else mask))
    return found


def _owners(shapes: Sequence[Shape], inside: Mapping[int, Sequence[int]], rows: int, cols: int) -> NDArray[np.int32]:
    """`[rows, cols]`: the nearest region of each place, but those around another one there; of equals the first."""
    nearest = np.full((rows, cols), np.inf, dtype=np.float32)
    found = np.full((rows, cols), -1, dtype=np.int32)
    for index, (place, mask) in enumerate(shapes):
        if not mask.any():
            continue
        free = mask.copy()
        for inner in inside[index]:
            _clear(free, place, shapes[inner])
        ys, xs = np.nonzero(mask)
        middle = np.float32(ys.mean()), np.float32(xs.mean())
        down, across = (np.arange(n, dtype=np.float32) - at for n, at in zip(mask.shape, middle, strict=True))
        distance = np.hypot(down[:, None], across[None]) / np.float32(np.sqrt(len(ys)))
        wins = free & (distance < nearest[place])
        nearest[place][wins] = distance[wins]
        found[place][wins] = index
    return found


def _inside(shapes: Sequence[Shape], sizes: Sequence[int], outer: int) -> list[int]:
    """The regions that lie in another one."""
    inner = [n for n in range(len(shapes)) if n != outer and sizes[n] < sizes[outer]]
    return [n for n in inner if _shared(shapes[n], shapes[outer]).sum() >= INSIDE * sizes[n] > 0]


def _shared(one: Shape, other: Shape) -> NDArray[np.bool_]:
    """Where both are, in the part of the canvas that both of their rectangles cover."""
    place = _common(one[0], other[0])
    parts = (mask[_within(at, place)] for at, mask in (one, other))
    return np.logical_and(*parts)


def _clear(mask: NDArray[np.bool_], place: tuple[slice, slice], other: Shape) -> None:
    """Take another region's places out of a mask that stands at `place`."""
    common = _common(place, other[0])
    mask[_within(place, common)] &= ~other[1][_within(other[0], common)]


def _common(one: tuple[slice, slice], other: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, cols = (
        slice(start := max(a.start, b.start), max(start, min(a.stop, b.stop))) for a, b in zip(one, other, strict=True)
    )
    return rows, cols


def _within(place: tuple[slice, slice], part: tuple[slice, slice]) -> tuple[slice, slice]:
    """A part of the canvas, counted from where `place` begins."""
    rows, cols = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(place, part, strict=True))
    return rows, cols
