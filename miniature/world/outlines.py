"""Outlines of scenes, as pictures that a ControlNet is given; and whether what is drawn has them.

An outline is a white line on black around every object, computed from the renderer's own distances. What a drawing's
objects fill can be read off only where the background is plain and grey, from which every shade of an object differs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from strata.hierarchy.plan import Box
from strata.miniature.world.facts import Backdrop
from strata.miniature.world.render import Pixels
from strata.miniature.world.scenes import Placed, Scene, random_scene
from strata.miniature.world.shapes import MARGIN, Field, Mask, parts

GREY = Backdrop("plain", "grey")
LINE = 2.0
"""Width of outlines in pixels."""
LINES = (1.5, 2.0, 2.0, 3.0)
"""Widths seen in training."""
LEFT_OUT = 0.12
"""Share of objects that training leaves without an outline: they are the text's alone."""
FAR = 1e3
APART = 0.15
"""Difference from the background, of 1, from which a pixel is an object's. Covered by half, most are beyond it."""


def distance(placed: Placed, width: int, height: int) -> Field:
    """Signed distance in pixels [height, width] from an object's border, negative inside; far away in other places."""
    whole = parts(placed.thing.kind or "circle", placed.radius, placed.mirrored, placed.variant)[1]
    half = placed.radius + MARGIN
    x0, x1 = max(placed.cx - half, 0), min(placed.cx + half, width)
    y0, y1 = max(placed.cy - half, 0), min(placed.cy + half, height)
    out = np.full((height, width), FAR, np.float32)
    if x0 < x1 and y0 < y1:
        out[y0:y1, x0:x1] = whole[
            y0 - placed.cy + half : y1 - placed.cy + half, x0 - placed.cx + half : x1 - placed.cx + half
        ]
    return out


def outlines(scene: Scene, width: float = LINE, shown: Sequence[bool] | None = None) -> Pixels:
    """White lines on black, RGB [height, width, 3]: the border of every object, or of those `shown`.

    What an object in front covers is not seen.
    """
    lines = np.zeros((scene.height, scene.width), np.float32)
    for placed, visible in zip(scene.things, shown or [True] * len(scene.things), strict=True):
        field = distance(placed, scene.width, scene.height)
        lines *= np.clip(field + 0.5, 0, 1)
        if visible:
            lines = np.maximum(lines, np.clip(width / 2 + 0.5 - np.abs(field), 0, 1))
    return (lines[..., None] * 255 + 0.5).astype(np.uint8).repeat(3, -1)


def varied_outlines(scene: Scene) -> Pixels:
    """Outlines as training shows them: of one of several widths, some objects left out. Same scene, same picture."""
    rng = random.Random(repr(scene))
    return outlines(scene, rng.choice(LINES), [rng.random() >= LEFT_OUT for _ in scene.things])


def outlined_scene(rng: random.Random, objects: int) -> Scene:
    """A flat scene on plain grey, of objects smaller and elsewhere than texts have them: one, or two in halves."""
    scene = random_scene(rng, 128, 128, objects, style="flat")
    while any(p.thing.style != "flat" for p in scene.things) or scene.layout not in ("single", "halves"):
        scene = random_scene(rng, 128, 128, objects, style="flat")
    things = []
    for p in scene.things:
        radius = max(14, int(p.radius * rng.uniform(0.6, 0.95)))
        slack = p.radius - radius
        cx, cy = (c + rng.randint(-slack, slack) for c in (p.cx, p.cy))
        things.append(Placed(p.thing, cx, cy, radius, p.place, p.mirrored, p.variant))
    return Scene(128, 128, tuple(things), GREY, "flat", scene.layout)


def silhouette(scene: Scene) -> Mask:
    """Which pixels [height, width] objects fill."""
    fields = [distance(placed, scene.width, scene.height) for placed in scene.things]
    return np.asarray(np.minimum.reduce([np.full((scene.height, scene.width), FAR, np.float32), *fields]) < 0)


def drawn_silhouette(pixels: Pixels) -> Mask:
    """Which pixels [height, width] of a drawing on a plain grey background are objects'."""
    picture = pixels.astype(np.float32) / 255
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    return np.asarray(np.abs(picture - np.median(border, 0)).max(-1) > APART)


def overlap(one: Mask, other: Mask, box: Box | None = None) -> float:
    """Intersection over union of two masks, in a box of pixels; 1 where both are empty."""
    x1, y1, x2, y2 = box or (0, 0, one.shape[1], one.shape[0])
    one, other = one[y1:y2, x1:x2], other[y1:y2, x1:x2]
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0
