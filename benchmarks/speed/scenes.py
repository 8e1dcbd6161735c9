"""Plans to measure: boxes that cover the canvas, and free-form masks that overlap."""

from __future__ import annotations

import math
from typing import Any

from strata.hierarchy.plan import ScenePlan

LAYOUTS = ("boxes", "masks")
CORNERS, SPREAD, POWER, SHEAR = 32, 0.62, 3.0, 0.1
"""A mask is a superellipse of so many corners and this power, leaning a little; its half width is this share of its
cell, so that it reaches into its neighbours. Sixteen of them part the canvas into about fifty atoms."""


def plan_of(layout: str, regions: int, width: int, height: int) -> ScenePlan:
    """Regions on a canvas of so many pixels, each with a content and a detail text; see `LAYOUTS`."""
    columns, rows = _grid(regions, width, height)
    cells = [(c, r) for r in range(rows) for c in range(columns)]
    made = [
        {"name": f"r{i}", "high": f"content {i}", "low": f"detail {i}"}
        | _shape(layout, column, row, width / columns, height / rows)
        for i, (column, row) in enumerate(cells)
    ]
    return ScenePlan.model_validate({"width": width, "height": height, "prompt": "base", "regions": made})


def grid_plan(regions: int, size: int) -> ScenePlan:
    """Boxes that cover a square canvas."""
    return plan_of("boxes", regions, size, size)


def _grid(regions: int, width: int, height: int) -> tuple[int, int]:
    """Columns and rows of cells that are as square as can be."""
    ways = [(c, regions // c) for c in range(1, regions + 1) if regions % c == 0]
    return min(ways, key=lambda way: (abs(math.log(width / way[0] / (height / way[1]))), -way[0]))


def _shape(layout: str, column: int, row: int, width: float, height: float) -> dict[str, Any]:
    if layout == "boxes":
        left, top = round(column * width), round(row * height)
        return {"box": (left, top, round((column + 1) * width), round((row + 1) * height))}
    corners = []
    for n in range(CORNERS):
        angle = 2 * math.pi * n / CORNERS
        x, y = (math.copysign(abs(turn) ** (2 / POWER), turn) for turn in (math.cos(angle), math.sin(angle)))
        corners.append(((column + 0.5 + SPREAD * (x + SHEAR * y)) * width, (row + 0.5 + SPREAD * y) * height))
    return {"polygon": [(round(x, 2), round(y, 2)) for x, y in corners]}
