"""Seams: jumps of a picture exactly where regions end, against what it does beside their borders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan

NEAR = (2, 3, 4)
"""Pixels from a border where the picture's own contrast is taken, on both sides."""
GREY = 1.0
"""Grey level that is added to both contrasts, so that flat parts do not divide by nothing."""


def seam_strength(picture: Image.Image, plan: ScenePlan, token: int) -> float:
    """The contrast across the borders of regions over that beside them; 1 is no seam.

    As blockiness of coded pictures is measured (Wang, Bovik & Evans 2000): the mean absolute difference of neighbours
    on two sides of a border, and of neighbours two to four pixels away on either side, in the same direction.

    Args:
        picture: of the plan's size.
        plan: whose regions end where their image tokens do.
        token: pixels of a side of an image token.

    Returns:
        NaN where no region has a border inside the canvas.
    """
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    grid = token_grid(plan, plan.height // token, plan.width // token)
    across: list[NDArray[np.float32]] = []
    beside: list[NDArray[np.float32]] = []
    for tokens in grid.masks:
        inside = np.kron(tokens, np.ones((token, token), dtype=np.bool_))
        for mask, values in ((inside, pixels), (inside.T, pixels.transpose(1, 0, 2))):
            steps = np.abs(np.diff(values, axis=1)).mean(-1)
            border = mask[:, 1:] != mask[:, :-1]
            across.append(steps[border])
            for offset in (*NEAR, *(-n for n in NEAR)):
                beside.append(steps[_moved(border, offset)])
    jumps, own = np.concatenate(across), np.concatenate(beside)
    return float((jumps.mean() + GREY) / (own.mean() + GREY)) if len(jumps) and len(own) else float("nan")


def _moved(border: NDArray[np.bool_], offset: int) -> NDArray[np.bool_]:
    """The same places so many columns to the right; what leaves the picture is lost."""
    out = np.zeros_like(border)
    if offset > 0:
        out[:, offset:] = border[:, :-offset]
    else:
        out[:, :offset] = border[:, -offset:]
    return out
