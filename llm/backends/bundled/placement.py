"""Where the objects of a prompt stand: the one rule of the bundled planner.

Boxes are x1, y1, x2, y2 on a grid of 0 to 1000. Objects that stand in relations are arranged as a tree of rows and
columns; others go to the places that are named for them, and to free ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from strata.hierarchy.plan import Box
from strata.llm.places import GRID

WHOLE: Box = (0, 0, GRID, GRID)
ALONE: Box = (125, 125, 875, 875)
"""Of one object whose place is open."""
HALVES: dict[str, Box] = {
    "left": (0, 0, 500, 1000),
    "right": (500, 0, 1000, 1000),
    "top": (0, 0, 1000, 500),
    "bottom": (0, 500, 1000, 1000),
}
QUARTERS: dict[str, Box] = {
    "top left": (0, 0, 500, 500),
    "top right": (500, 0, 1000, 500),
    "bottom left": (0, 500, 500, 1000),
    "bottom right": (500, 500, 1000, 1000),
}
BIG: dict[str, Box] = {**HALVES, **QUARTERS, "center": (250, 250, 750, 750)}
_THIRDS = (0, 333, 667, 1000)
CELLS: dict[str, Box] = {
    place: (_THIRDS[i % 3], _THIRDS[i // 3], _THIRDS[i % 3 + 1], _THIRDS[i // 3 + 1])
    for i, place in enumerate(
        ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
    )
}
"""Places three by three."""
ROW: dict[str, Box] = {place: (CELLS[place][0], 0, CELLS[place][2], GRID) for place in ("left", "center", "right")}
COLUMN: dict[str, Box] = {place: (0, CELLS[place][1], GRID, CELLS[place][3]) for place in ("top", "center", "bottom")}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top", "center": "left"} | {
    "top left": "bottom right",
    "top right": "bottom left",
    "bottom left": "top right",
    "bottom right": "top left",
}


@dataclass(frozen=True)
class Row:
    """Side by side, from left to right; parts are objects' numbers or trees."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Column:
    """One above the other, from top to bottom."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Inside:
    """One object, or several, within another."""

    inner: Tree
    outer: int


@dataclass(frozen=True)
class Front:
    """One object, or several, in front of another, covering a part of it."""

    front: Tree
    behind: int


Tree = int | Row | Column | Inside | Front


def canvas_form(width: int, height: int) -> str:
    """ "tall", "wide" (at least 1.4 times as wide as high) or "even": all that a layout depends on."""
    return "tall" if height > width else "wide" if 5 * width >= 7 * height else "even"


def fit(tree: Tree, box: Box = WHOLE) -> dict[int, Box]:
    """The box of each object of a tree."""
    x1, y1, x2, y2 = box
    match tree:
        case int():
            return {tree: ALONE if box == WHOLE else box}
        case Row(parts):
            edges = _edges(x1, x2, len(parts))
            boxes = [fit(part, (edges[i], y1, edges[i + 1], y2)) for i, part in enumerate(parts)]
        case Column(parts):
            edges = _edges(y1, y2, len(parts))
            boxes = [fit(part, (x1, edges[i], x2, edges[i + 1])) for i, part in enumerate(parts)]
        case Inside(inner, outer):
            room = _scaled(box, 0.34 if isinstance(inner, int) else 0.6)
            return {outer: ALONE if box == WHOLE else box, **fit(inner, room)}
        case Front(front, behind):
            width, height = x2 - x1, y2 - y1
            end, start = (x1 + 7 * width // 10, x1 + width // 2) if isinstance(front, int) else (x2 - width // 20, x1)
            back = (x1 + width // 20, y1 + height // 20, end, y1 + 7 * height // 10)
            return {behind: back, **fit(front, (start, y1 + height // 2, x2, y2))}
    return {number: found for part in boxes for number, found in part.items()}


def _edges(start: int, end: int, count: int) -> list[int]:
    return [round(start + (end - start) * i / count) for i in range(count + 1)]


def _scaled(box: Box, share: float) -> Box:
    x1, y1, x2, y2 = box
    dx, dy = (x2 - x1) * (1 - share) / 2, (y2 - y1) * (1 - share) / 2
    return (round(x1 + dx), round(y1 + dy), round(x2 - dx), round(y2 - dy))


def sized(box: Box, size: str | None) -> Box:
    """The box of an object of a size: small ones take the middle of the larger boxes."""
    if size != "small":
        return box
    if box == ALONE:
        return _scaled(box, 0.5)
    return _scaled(box, 0.6) if box in BIG.values() else box


def open_tree(count: int, form: str) -> Tree:
    """How `count` objects stand of which nothing is said: two rows, but for few."""
    numbers = tuple(range(count))
    if count == 1:
        return 0
    if count == 2:
        return Column(numbers) if form == "tall" else Row(numbers)
    if count == 3 and form == "wide":
        return Row(numbers)
    half = 1 if count == 3 else -(-count // 2)
    upper: Tree = 0 if half == 1 else Row(numbers[:half])
    return Column((upper, Row(numbers[half:])))


def arrange(wanted: Sequence[str | None], form: str) -> tuple[Box, ...]:
    """Boxes of one to eight objects on a canvas of a form, of which some have their place named.

    1. No place named: `open_tree`.
    2. One place named and one object without: it stands opposite. Else those without take, in order, the first corner
       that no named half or corner touches, else the first free of center, left, right, top, bottom and the corners.
    3. Places are halves and quarters of the canvas where these are apart, else thirds of a row or a column, else cells
       three by three. Objects of one place share it, side by side, or one above the other where it is higher than wide.
    """
    if not any(wanted):
        boxes = fit(open_tree(len(wanted), form))
        return tuple(boxes[i] for i in range(len(wanted)))
    named = list(dict.fromkeys(place for place in wanted if place))
    places = list(wanted)
    for i, place in enumerate(places):
        if place is None:
            places[i] = _free(named, len(wanted) == 2)
            named.append(str(places[i]))
    table = next((t for t in (BIG, ROW, COLUMN, CELLS) if set(named) <= set(t) and not _touch(named, t)), CELLS)
    members = {place: [i for i, p in enumerate(places) if p == place] for place in named}
    found: dict[int, Box] = {}
    for place, numbers in members.items():
        x1, y1, x2, y2 = table[place]
        shared = numbers[0] if len(numbers) == 1 else (Row if x2 - x1 >= y2 - y1 else Column)(tuple(numbers))
        found |= fit(shared, table[place])
    return tuple(found[i] for i in range(len(wanted)))


def _free(taken: Sequence[str], alone: bool) -> str:
    if alone:
        return OPPOSITE[taken[0]]
    for place in QUARTERS:
        if not _touch([*taken, place], BIG):
            return place
    return next(place for place in ("center", *HALVES, *QUARTERS) if place not in taken)


def _touch(places: Sequence[str], table: dict[str, Box]) -> bool:
    return any(overlap(table[one], table[other]) for one, other in itertools.combinations(places, 2))


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share more than an edge."""
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(one[3], other[3])


_GRID_OF = {place: divmod(i, 3) for i, place in enumerate(CELLS)}
_AT = {at: place for place, at in _GRID_OF.items()}


def beside(place: str, relation: str) -> str | None:
    """The place on one side of an object that has a place of its own; None where the canvas ends."""
    row, column = _GRID_OF[place]
    match relation:
        case "above":
            return None if row == 0 else _AT[0, column]
        case "below":
            return None if row == 2 else _AT[2, column]
        case "left":
            return None if column == 0 else _AT[row, 0]
        case "right":
            return None if column == 2 else _AT[row, 2]
    return _AT[row, 0 if column == 2 else 2]


def flat_row(*parts: Tree) -> Row:
    """A row of trees, in which those that are rows themselves are one with it."""
    flat: list[Tree] = []
    for part in parts:
        flat += part.parts if isinstance(part, Row) else (part,)
    return Row(tuple(flat))


def as_row(numbers: Sequence[int]) -> Tree:
    """Things side by side; one alone is itself."""
    return numbers[0] if len(numbers) == 1 else Row(tuple(numbers))


def ring(middle: int, others: Sequence[int]) -> Tree:
    """One in the middle of three to seven: some above, some below, and from six on one on each side."""
    sides = 2 if len(others) >= 6 else 0
    upper = (len(others) - sides) // 2
    level: Tree = Row((others[upper], middle, others[upper + 1])) if sides else middle
    return Column((as_row(others[:upper]), level, as_row(others[upper + sides :])))


def shifted(tree: Tree, by: int) -> Tree:
    """The tree with all numbers of things so much higher."""
    if isinstance(tree, int):
        return tree + by
    match tree:
        case Row(parts):
            return Row(tuple(shifted(part, by) for part in parts))
        case Column(parts):
            return Column(tuple(shifted(part, by) for part in parts))
        case Inside(inner, outer):
            return Inside(shifted(inner, by), outer + by)
    return Front(shifted(tree.front, by), tree.behind + by)
