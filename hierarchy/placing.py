"""Boxes and texts from elsewhere as regions: scaled to a canvas, cut off at its edges, each with a name of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strata.hierarchy.errors import quote
from strata.hierarchy.files import Document, KeyPath
from strata.hierarchy.plan import LARGEST_SIDE, MOST_REGIONS, RESERVED_NAMES, Box, ScenePlan, pixel_span
from strata.hierarchy.validation import validate

LONGEST_SHORT_NAME = 40
"""Characters of a name that is made of a caption."""


@dataclass(frozen=True)
class Placed:
    """A text in a box, as a file from elsewhere has them."""

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in the file's own unit."""
    place: KeyPath
    """Of the box in the file, for messages."""
    name: str
    """Any text; the region's name is made of it."""
    high: str | None = None
    low: str | None = None
    full: str | None = None
    more: tuple[tuple[str, Any], ...] = ()
    """Other keys of the region, such as a strength."""
    written: tuple[float, ...] | None = None
    """The box as the file writes it, where that is not x1, y1, x2, y2; for messages."""


def rounded_side(side: float, token: int) -> int:
    """The multiple of `token` that is nearest to a side, at least one and at most what a plan can have."""
    return min(max(1, math.floor(side / token + 0.5)), LARGEST_SIDE // token) * token


def box_on(
    box: Sequence[float], source: tuple[float, float], canvas: tuple[int, int]
) -> tuple[Box | None, tuple[bool, bool]]:
    """A box of a picture on a canvas, in whole pixels.

    Args:
        box: x1, y1, x2, y2 in the picture's unit.
        source: width and height of the picture in that unit.
        canvas: width and height in pixels.

    Returns:
        The box, at least a pixel wide and high; None where it covers nothing of the canvas. And whether the box itself
        is empty, and whether a pixel or more of it leaves the canvas.
    """
    x1, x2 = (value * canvas[0] / source[0] for value in (box[0], box[2]))
    y1, y2 = (value * canvas[1] / source[1] for value in (box[1], box[3]))
    empty = x2 <= x1 or y2 <= y1
    leaves = min(x1, y1) <= -1 or x2 >= canvas[0] + 1 or y2 >= canvas[1] + 1
    if empty or x2 <= 0 or y2 <= 0 or x1 >= canvas[0] or y1 >= canvas[1]:
        return None, (empty, leaves)
    left, right = pixel_span(max(x1, 0), min(x2, canvas[0]), canvas[0])
    top, bottom = pixel_span(max(y1, 0), min(y2, canvas[1]), canvas[1])
    return (left, top, right, bottom), (empty, leaves)


def short_name(text: str, instead: str) -> str:
    """A region's name made of a text: its first words, without what a name must not hold; else `instead`."""
    words = " ".join("".join(c if c.isprintable() and c not in "/\\" else " " for c in text).split()).rstrip(".,;:")
    if len(words) > LONGEST_SHORT_NAME:
        words = words[: LONGEST_SHORT_NAME + 1].rpartition(" ")[0] or words[:LONGEST_SHORT_NAME]
        words = words.rstrip(".,;: ")
    return words if words and words not in RESERVED_NAMES else instead


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, where one is taken already with a number behind it: `cat`, `cat 2`, `cat 3`."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name} {number}"
        taken.add(free)
        found.append(free)
    return found


def placed_plan(
    document: Document,
    items: Sequence[Placed],
    source: tuple[float, float],
    canvas: tuple[int, int],
    notes: list[str],
    **kept: Any,
) -> ScenePlan:
    """The plan of boxes with texts.

    Args:
        document: what they were read from.
        items: in their order.
        source: width and height of the picture that the boxes are of, in their unit.
        canvas: width and height of the plan in pixels.
        notes: gets a line for every box that covers nothing of the canvas (its region is left out), that is cut off
            at its edges, or that is one too many for a plan.
        kept: other keys of the plan: `prompt`, `background`, …

    Raises:
        InputError: a text or a name that no plan can have; names the file, the line and the region.
    """
    shown = f"{_number(source[0])}x{_number(source[1])}"
    regions: list[dict[str, Any]] = []
    for item in items:
        box, (empty, leaves) = box_on(item.box, source, canvas)
        told = f"{quote([_number(value) for value in item.written or item.box])}:"
        if len(regions) == MOST_REGIONS:
            message = f"is one of more than {MOST_REGIONS} regions, the most of a plan; its region is left out"
        elif box is None:
            fault = "is empty" if empty else f"lies outside the {shown} picture"
            message = f"{told} {fault}; its region is left out"
        else:
            message = f"{told} leaves the {shown} picture; it is cut off at its edges" if leaves else ""
            texts = {"high": item.high, "low": item.low, "full": item.full}
            name = short_name(item.name, f"region {len(regions) + 1}")
            regions.append({"name": name, "box": box, **texts, **dict(item.more)})
        if message:
            notes.append(str(document.error(item.place, message)))
    for region, name in zip(regions, unique_names(str(region["name"]) for region in regions), strict=True):
        region["name"] = name
    line = document.line(())
    name = document.name if line is None else f"{document.name}:{line}"
    data = {"width": canvas[0], "height": canvas[1], **kept, "regions": regions}
    return validate(ScenePlan, Document(data, name, Path(), {}))


def _number(value: float) -> float | int:
    """A number as a person would write it."""
    return int(value) if float(value).is_integer() else round(value, 4)
