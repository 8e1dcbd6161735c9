"""Where the objects of a prompt stand: the one rule of the bundled planner."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from strata.hierarchy.plan import Box

MOST_THINGS = 4
_BOXES: dict[str, Box] = {
    "whole": (125, 125, 875, 875),
    "left": (0, 0, 500, 1000),
    "right": (500, 0, 1000, 1000),
    "top": (0, 0, 1000, 500),
    "bottom": (0, 500, 1000, 1000),
    "top left": (0, 0, 500, 500),
    "top right": (500, 0, 1000, 500),
    "bottom left": (0, 500, 500, 1000),
    "bottom right": (500, 500, 1000, 1000),
    "center": (250, 250, 750, 750),
}
_ROW: dict[str, Box] = {"left": (0, 0, 333, 1000), "center": (333, 0, 667, 1000), "right": (667, 0, 1000, 1000)}
_COLUMN: dict[str, Box] = {"top": (0, 0, 1000, 333), "center": (0, 333, 1000, 667), "bottom": (0, 667, 1000, 1000)}
CORNERS = ("top left", "top right", "bottom left", "bottom right")
HALVES = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class Place:
    """A side of the canvas ("whole": all of it) and the box it means, on a grid of 0 to 1000."""

    side: str
    box: Box


def canvas_form(width: int, height: int) -> str:
    """ "tall", "wide" (at least 1.4 times as wide as high) or "even": all that a layout depends on."""
    return "tall" if height > width else "wide" if 5 * width >= 7 * height else "even"


def arrange(wanted: Sequence[str | None], form: str) -> tuple[Place, ...]:
    """Places of one to four things on a canvas of a form, of which some have their side named.

    1. No side named: one thing in the middle; two side by side (one above the other on a tall canvas); three as top,
       bottom left, bottom right (in a row on a wide canvas); four in the corners, in reading order.
    2. The center named, and beside it only left and right (or only top and bottom), for at most three things: a row (a
       column) of thirds, whose free thirds the others take in order.
    3. Four things, or named sides that overlap: those at the left, right, top or bottom move into corners of their
       side, the first way in reading order that gives each its own.
    4. Whoever is left takes the first of left, right, top, bottom that nobody's box overlaps (if only one is left),
       else the corners in reading order, free ones first.
    """
    count, known = len(wanted), [side for side in wanted if side]
    if not known:
        if count == 1:
            sides = ["whole"]
        elif count == 2:
            sides = ["top", "bottom"] if form == "tall" else ["left", "right"]
        elif count == 3 and form == "wide":
            return tuple(Place(side, box) for side, box in _ROW.items())
        else:
            sides = ["top", "bottom left", "bottom right"] if count == 3 else list(CORNERS)
        return tuple(Place(side, _BOXES[side]) for side in sides)
    for thirds in (_ROW, _COLUMN):
        if 1 < count <= 3 and "center" in known and len(set(known)) == len(known) and set(known) <= set(thirds):
            free = [side for side in thirds if side not in known]
            return tuple(Place(s, thirds[s]) for s in (side or free.pop(0) for side in wanted))
    sides = _into_corners(known) if count == MOST_THINGS or _overlap(known) else known
    taken, free_sides = list(sides), []
    for left in range(count - len(known), 0, -1):
        candidates = (*(HALVES if left == count - len(known) == 1 else ()), *CORNERS)
        apart = [side for side in candidates if not _overlap([side], taken)]
        free_sides.append((apart or [side for side in CORNERS if side not in taken])[0])
        taken.append(free_sides[-1])
    named_sides = iter(sides)
    return tuple(Place(s, _BOXES[s]) for s in (next(named_sides) if side else free_sides.pop(0) for side in wanted))


def _overlap(sides: Sequence[str], others: Sequence[str] | None = None) -> bool:
    pairs = itertools.combinations(sides, 2) if others is None else itertools.product(sides, others)
    for one, other in pairs:
        a, b = _BOXES[one], _BOXES[other]
        if max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3]):
            return True
    return False


def _into_corners(sides: Sequence[str]) -> list[str]:
    choices = [[c for c in CORNERS if side in c.split()] if side in HALVES else [side] for side in sides]
    for way in itertools.product(*choices):
        if len(set(way)) == len(way):
            return list(way)
    return list(sides)
