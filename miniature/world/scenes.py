"""Random scenes for training and testing: objects placed on a canvas, with and without the held-out combinations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strata.hierarchy.plan import Box
from strata.miniature.world.language import COLOURS, HELD_OUT, PATTERNS, SHAPES, SURFACES, TONES, Backdrop, Thing
from strata.miniature.world.render import Pixels, paint_backdrop, paint_thing, place_in_box


@dataclass(frozen=True)
class Placed:
    """An object and the circle it fills: centre and radius in pixels."""

    thing: Thing
    cx: int
    cy: int
    radius: int


@dataclass(frozen=True)
class Scene:
    """A canvas with placed objects on a background; sizes in pixels."""

    width: int
    height: int
    things: tuple[Placed, ...]
    backdrop: Backdrop

    def paint(self) -> Pixels:
        """RGB [height, width, 3]."""
        canvas = paint_backdrop(self.width, self.height, self.backdrop)
        for placed in self.things:
            paint_thing(canvas, placed.thing, placed.cx, placed.cy, placed.radius)
        return canvas


def halves(width: int, height: int, vertical: bool) -> list[tuple[str, Box]]:
    """The two halves of a canvas with their side words: left and right, or (vertical) top and bottom."""
    if vertical:
        return [("top", (0, 0, width, height // 2)), ("bottom", (0, height // 2, width, height))]
    return [("left", (0, 0, width // 2, height)), ("right", (width // 2, 0, width, height))]


def quarters(width: int, height: int) -> list[tuple[str, Box]]:
    """The four quarters of a canvas with their side words."""
    w, h = width // 2, height // 2
    return [
        ("top left", (0, 0, w, h)),
        ("top right", (w, 0, width, h)),
        ("bottom left", (0, h, w, height)),
        ("bottom right", (w, h, width, height)),
    ]


def random_thing(rng: random.Random, side: str | None = None, held_out: bool = False) -> Thing:
    """An object of a combination seen in training, or (`held_out`) of one kept out of it."""
    if held_out:
        shape, colour, surface = rng.choice(sorted(HELD_OUT))
        return Thing(shape, colour, surface, side)
    while True:
        thing = Thing(rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(SURFACES), side)
        if thing.combination not in HELD_OUT:
            return thing


def random_backdrop(rng: random.Random) -> Backdrop:
    """A background, plain in 70 % of scenes."""
    pattern = "plain" if rng.random() < 0.7 else rng.choice(PATTERNS[1:])
    return Backdrop(pattern, rng.choice(TONES))


def _side_of(cx: float, cy: float, width: int, height: int) -> str:
    h = "left" if cx < 0.42 * width else "right" if cx > 0.58 * width else ""
    v = "top" if cy < 0.42 * height else "bottom" if cy > 0.58 * height else ""
    return f"{v} {h}".strip() or "center"


def single_scene(rng: random.Random, width: int, height: int, held_out: bool = False) -> Scene:
    """One object somewhere on the canvas, on a 4-pixel grid, at 60 to 100 % of the largest radius that fits."""
    largest = min(min(width, height) // 2 - 1, 24)
    radius = rng.randint(max(10, round(0.6 * largest)), largest)
    xs = range(4 * ((radius + 4) // 4), width - radius, 4)
    ys = range(4 * ((radius + 4) // 4), height - radius, 4)
    cx = rng.choice(xs) if xs else width // 2
    cy = rng.choice(ys) if ys else height // 2
    if rng.random() < 0.25:
        cx, cy = width // 2, height // 2
    thing = random_thing(rng, _side_of(cx, cy, width, height), held_out)
    return Scene(width, height, (Placed(thing, cx, cy, radius),), random_backdrop(rng))


def scene_in_boxes(
    rng: random.Random, width: int, height: int, boxes: Sequence[tuple[str, Box]], held_out: bool = False
) -> Scene:
    """One object in the middle of each box, a little smaller than it could be at times."""
    placed = []
    for side, box in boxes:
        cx, cy, radius = place_in_box(*box)
        placed.append(Placed(random_thing(rng, side, held_out), cx, cy, radius - rng.randint(0, max(1, radius // 6))))
    return Scene(width, height, tuple(placed), random_backdrop(rng))


def random_scene(rng: random.Random, width: int, height: int, things: int, held_out: bool = False) -> Scene:
    """A scene with one to four objects: anywhere, in halves, or in quarters of the canvas."""
    if things == 1:
        return single_scene(rng, width, height, held_out)
    if things == 2:
        vertical = height > width or (height == width and rng.random() < 0.5)
        return scene_in_boxes(rng, width, height, halves(width, height, vertical), held_out)
    return scene_in_boxes(rng, width, height, sorted(rng.sample(quarters(width, height), things)), held_out)


def token_labels(scene: Scene, token: int = 8) -> np.ndarray:
    """Per-token truth [rows, cols, 3] int64: shape, colour, surface of the object under each token, 0 = background."""
    rows, cols = scene.height // token, scene.width // token
    labels = np.zeros((rows, cols, 3), dtype=np.int64)
    y, x = (np.mgrid[0:rows, 0:cols] + 0.5) * token
    for p in scene.things:
        hit = np.maximum(abs(x - p.cx), abs(y - p.cy)) < p.radius + token / 4
        labels[hit] = [
            1 + SHAPES.index(str(p.thing.shape)),
            1 + COLOURS.index(str(p.thing.colour)),
            1 + SURFACES.index(str(p.thing.surface)),
        ]
    return labels
