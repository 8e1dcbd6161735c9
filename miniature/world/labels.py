"""What stands under each image token of a scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strata.miniature.world.facts import COLOURS, KINDS, STYLES, SURFACES
from strata.miniature.world.scenes import Scene
from strata.miniature.world.shapes import MARGIN, parts

TOKEN = 16
"""Pixels of an image token."""
TAGS = (("kind", KINDS), ("colour", COLOURS), ("surface", SURFACES), ("style", STYLES))
CLASSES = tuple(1 + len(values) for _, values in TAGS)


def token_labels(scene: Scene) -> NDArray[np.int64]:
    """[rows, columns, 4]: kind, colour, surface and style of the object under each token, 0 = background.

    A token is an object's where the object is within 4 pixels of its middle.
    """
    rows, columns = scene.height // TOKEN, scene.width // TOKEN
    labels = np.zeros((rows, columns, len(TAGS)), dtype=np.int64)
    y, x = (np.mgrid[0:rows, 0:columns] * TOKEN + TOKEN // 2).astype(int)
    for p in scene.things:
        half = p.radius + MARGIN
        _, whole = parts(str(p.thing.kind), p.radius, p.mirrored, p.variant)
        v, u = y - p.cy + half, x - p.cx + half
        inside = (v >= 0) & (u >= 0) & (v < 2 * half) & (u < 2 * half)
        near = np.zeros_like(inside)
        near[inside] = whole[v[inside], u[inside]] < 4
        labels[near] = [1 + values.index(str(getattr(p.thing, name))) for name, values in TAGS]
    return labels
