"""Boxes on the planner's grid of 0 to 1000, and words for where they stand."""

from __future__ import annotations

from strata.hierarchy.plan import Box, pixel_span

GRID = 1000
"""Boxes in answers are x1, y1, x2, y2 in thousandths of the canvas: whole numbers, whatever its size."""


def place_of(box: Box) -> str:
    """Where a box on the 0-1000 grid stands: "left", "top right", "center", …; "everywhere" if it is large."""
    x1, y1, x2, y2 = box
    if (x2 - x1) * (y2 - y1) >= 0.8 * GRID * GRID:
        return "everywhere"
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    across = "left" if cx < 0.42 * GRID else "right" if cx > 0.58 * GRID else ""
    down = "top" if cy < 0.42 * GRID else "bottom" if cy > 0.58 * GRID else ""
    return f"{down} {across}".strip() or "center"


def to_pixels(box: Box, width: int, height: int) -> Box:
    """A box on the grid in pixels of a canvas; at least one pixel in each direction."""
    x1, x2 = pixel_span(box[0] * width / GRID, box[2] * width / GRID, width)
    y1, y2 = pixel_span(box[1] * height / GRID, box[3] * height / GRID, height)
    return (x1, y1, x2, y2)


def to_grid(box: Box, width: int, height: int) -> Box:
    """A box in pixels of a canvas on the grid."""
    return (
        round(box[0] * GRID / width),
        round(box[1] * GRID / height),
        round(box[2] * GRID / width),
        round(box[3] * GRID / height),
    )
