"""Random scenes for training and testing: objects placed on a canvas, with and without the held-out combinations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from strata.hierarchy.plan import Box
from strata.miniature.world.facts import (
    COLOURS,
    HELD_OUT,
    HELD_OUT_STYLES,
    KINDS,
    LARGE,
    PATTERNS,
    SETTINGS,
    SMALL,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
    is_held_out,
)
from strata.miniature.world.render import Pixels, paint_backdrop, paint_thing, to_pixels
from strata.miniature.world.shapes import MIRRORED

LARGEST, LEAST = 52, 12
"""Radii of objects in pixels."""


@dataclass(frozen=True)
class Placed:
    """An object and the circle it fills, centre and radius in pixels; `place` is the word, or the row, where it is."""

    thing: Thing
    cx: int
    cy: int
    radius: int
    place: str
    mirrored: bool = False
    variant: int = 0
    order: int = 0
    """From 1 in a row of objects, from left to right; 0 outside rows."""


@dataclass(frozen=True)
class Scene:
    """A canvas with objects (from back to front) on a background; sizes in pixels.

    A scene of two panels has another style, `second`, in the half of its second object.
    """

    width: int
    height: int
    things: tuple[Placed, ...]
    backdrop: Backdrop
    style: str
    layout: str = "free"
    """How its objects stand: free (empty), single, halves, quarters, row, rows, places, overlap."""
    second: str | None = None
    variant: int = 0

    def _paint(self, style: str) -> np.ndarray:
        canvas = paint_backdrop(self.width, self.height, self.backdrop, style, self.variant)
        for p in self.things:
            paint_thing(canvas, p.thing, p.cx, p.cy, p.radius, p.mirrored, p.variant)
        return canvas

    def paint(self) -> Pixels:
        """RGB [height, width, 3]."""
        canvas = self._paint(self.style)
        if self.second is not None:
            other = self._paint(self.second)
            if self.things[0].place == "top":
                canvas[self.height // 2 :] = other[self.height // 2 :]
            else:
                canvas[:, self.width // 2 :] = other[:, self.width // 2 :]
        return to_pixels(canvas)


def halves(width: int, height: int, vertical: bool) -> list[tuple[str, Box]]:
    """The two halves of a canvas with their places: left and right, or (vertical) top and bottom."""
    if vertical:
        return [("top", (0, 0, width, height // 2)), ("bottom", (0, height // 2, width, height))]
    return [("left", (0, 0, width // 2, height)), ("right", (width // 2, 0, width, height))]


def grid(width: int, height: int, columns: int, rows: int) -> list[Box]:
    """Equal boxes, row by row, on whole pixels."""
    xs = [round(width * i / columns) for i in range(columns + 1)]
    ys = [round(height * i / rows) for i in range(rows + 1)]
    return [(xs[i], ys[j], xs[i + 1], ys[j + 1]) for j in range(rows) for i in range(columns)]


QUARTERS = ("top left", "top right", "bottom left", "bottom right")
NINE = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")


def quarters(width: int, height: int) -> list[tuple[str, Box]]:
    """The four quarters of a canvas with their places."""
    return list(zip(QUARTERS, grid(width, height, 2, 2), strict=True))


def row(width: int, height: int, count: int) -> list[tuple[str, Box]]:
    """A row of equal boxes."""
    return [("row", box) for box in grid(width, height, count, 1)]


def two_rows(width: int, height: int, count: int) -> list[tuple[str, Box]]:
    """Two rows of `count` / 2 boxes each, whose places are "top" and "bottom" again and again."""
    half = count // 2
    return list(zip(["top"] * half + ["bottom"] * half, grid(width, height, half, 2), strict=True))


SIX = ("top left", "top right", "left", "right", "bottom left", "bottom right")


def nine(width: int, height: int) -> list[tuple[str, Box]]:
    """The nine places of a canvas, three by three."""
    return list(zip(NINE, grid(width, height, 3, 3), strict=True))


def size_of(radius: int) -> str | None:
    """The word for a radius in pixels, None between small and large."""
    return "small" if radius <= SMALL else "large" if radius >= LARGE else None


def place_in_box(x1: float, y1: float, x2: float, y2: float) -> tuple[int, int, int]:
    """Where an object stands in a box of pixels: centre on an 8-pixel grid and radius, inside with a small margin."""
    cx, cy = 8 * round((x1 + x2) / 16), 8 * round((y1 + y2) / 16)
    room = min(cx - x1, x2 - cx, cy - y1, y2 - cy)
    return cx, cy, int(max(4, 2 * (min(room - 2, LARGEST) // 2)))


def random_thing(rng: random.Random, style: str, held_out: bool | None = False) -> Thing:
    """An object of a combination seen in training, or (`held_out`) of one kept out of it; None: any."""
    while True:
        if held_out and rng.random() < 0.8:
            thing = Thing(*rng.choice(sorted(HELD_OUT)), style)
        else:
            thing = Thing(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SURFACES), style)
            if held_out and (thing.kind, thing.colour, style) not in HELD_OUT_STYLES:
                continue
        if held_out is None or is_held_out(thing) == held_out:
            return thing


def random_backdrop(rng: random.Random) -> Backdrop:
    """A background: plain in 45 %, patterned in 15 %, a setting in 40 % of scenes."""
    kind = rng.random()
    if kind < 0.40:
        return Backdrop(setting=rng.choice(SETTINGS))
    return Backdrop("plain" if kind < 0.85 else rng.choice(PATTERNS[1:]), rng.choice(TONES))


def _placed(rng: random.Random, thing: Thing, cx: int, cy: int, radius: int, place: str, order: int = 0) -> Placed:
    mirrored = thing.kind in MIRRORED and rng.random() < 0.5
    thing = replace(thing, size=size_of(radius))
    return Placed(thing, cx, cy, radius, place, mirrored, rng.choice((0, 0, 1, 2)), order)


def _place_of(cx: float, cy: float, width: int, height: int) -> str:
    h = "left" if cx < 0.42 * width else "right" if cx > 0.58 * width else ""
    v = "top" if cy < 0.42 * height else "bottom" if cy > 0.58 * height else ""
    return f"{v} {h}".strip() or "center"


def _smaller(rng: random.Random, radius: int, share: float) -> int:
    """A radius from `share` of the given one up to it, even, at least `LEAST`."""
    return max(min(LEAST, radius), 2 * round(rng.uniform(share, 1.0) * radius / 2))


def single(
    rng: random.Random, width: int, height: int, style: str, held_out: bool | None = False
) -> tuple[Placed, ...]:
    """One object anywhere on the canvas, on an 8-pixel grid."""
    largest = min(min(width, height) // 2 - 4, LARGEST)
    radius = 2 * rng.randint(min(16, largest) // 2, largest // 2)
    lo = 8 * -(-(radius + 2) // 8)
    xs, ys = range(lo, width - lo + 1, 8), range(lo, height - lo + 1, 8)
    cx = rng.choice(xs) if xs else width // 2
    cy = rng.choice(ys) if ys else height // 2
    if rng.random() < 0.25:
        cx, cy = width // 2, height // 2
    return (_placed(rng, random_thing(rng, style, held_out), cx, cy, radius, _place_of(cx, cy, width, height)),)


def in_boxes(
    rng: random.Random, boxes: Sequence[tuple[str, Box]], things: Sequence[Thing], ordered: bool = False
) -> tuple[Placed, ...]:
    """One object in the middle of each box, a little smaller than it could be at times."""
    out = []
    last, order = "", 0
    for (place, box), thing in zip(boxes, things, strict=True):
        cx, cy, radius = place_in_box(*box)
        order = order + 1 if place == last else 1
        last = place
        out.append(_placed(rng, thing, cx, cy, _smaller(rng, radius, 0.75), place, order if ordered else 0))
    return tuple(out)


def _things(rng: random.Random, n: int, style: str, held_out: bool | None) -> list[Thing]:
    """Different objects; at times of one kind, or one colour, as prompts have them."""
    things = [random_thing(rng, style, held_out) for _ in range(n)]
    if held_out is False and n > 1 and rng.random() < 0.25:
        share = rng.choice(("kind", "colour", "surface"))
        for _ in range(8):
            alike = [replace(t, **{share: getattr(things[0], share)}) for t in things]
            if not any(is_held_out(t) for t in alike):
                return alike
            things = [random_thing(rng, style, held_out) for _ in range(n)]
    return things


def _overlap(rng: random.Random, width: int, height: int, style: str) -> tuple[Placed, ...]:
    """A smaller object in front of a larger one, most of which stays in view."""
    back, front = _things(rng, 2, style, False)
    big = 2 * rng.randint(15, max(15, min(min(width, height) // 2 - 18, 44) // 2))
    small = max(LEAST, 2 * round(big * rng.uniform(0.48, 0.62) / 2))
    lo = 8 * -(-(big + 10) // 8)
    cx = 8 * round(rng.uniform(lo, max(lo, width - lo)) / 8)
    cy = 8 * round(rng.uniform(lo, max(lo, height - lo)) / 8)
    side = rng.choice((-1, 1))
    fx = 8 * round((cx + side * big * 0.85) / 8)
    fy = 8 * round((cy + rng.choice((0.1, 0.5)) * big) / 8)
    fx = min(max(fx, small + 2), width - small - 2)
    fy = min(max(fy, small + 2), height - small - 2)
    return (_placed(rng, back, cx, cy, big, "behind"), _placed(rng, front, fx, fy, small, "front"))


def random_scene(
    rng: random.Random, width: int, height: int, n: int, held_out: bool | None = False, style: str | None = None
) -> Scene:
    """A scene with `n` (0 to 9) objects: anywhere, in halves, quarters or rows, at nine places, before each other."""
    style = style or rng.choice(STYLES)
    backdrop, variant = random_backdrop(rng), rng.randrange(4)
    wide = width / height
    second = None
    if n == 0:
        return Scene(width, height, (), backdrop, style, "free", None, variant)
    if n == 1:
        alone = single(rng, width, height, style, held_out)
        return Scene(width, height, alone, backdrop, style, "single", None, variant)
    if n == 2 and held_out is False and min(width, height) >= 96 and rng.random() < 0.2:
        return Scene(width, height, _overlap(rng, width, height, style), backdrop, style, "overlap", None, variant)
    things = _things(rng, n, style, held_out)
    if n == 2:
        vertical = wide < 0.8 or (wide < 1.25 and rng.random() < 0.5)
        boxes, layout = halves(width, height, vertical), "halves"
    elif n == 3 and (wide > 1.4 or (wide > 0.9 and rng.random() < 0.25)):
        boxes, layout = row(width, height, 3), "row"
    elif n <= 4 and (wide < 1.8 or n == 3) and rng.random() < 0.85:
        chosen = rng.sample(quarters(width, height), n)
        boxes, layout = sorted(chosen, key=lambda b: QUARTERS.index(b[0])), "quarters"
    elif n == 4 and wide >= 1.8:
        boxes, layout = row(width, height, 4), "row"
    elif n in (6, 8) and wide >= 1.2 and rng.random() < 0.6:
        boxes, layout = two_rows(width, height, n), "rows"
    elif n == 6 and wide < 0.9:
        boxes, layout = list(zip(SIX, grid(width, height, 2, 3), strict=True)), "places"
    else:
        boxes, layout = [nine(width, height)[i] for i in sorted(rng.sample(range(9), n))], "places"
    if held_out is False and 2 <= n <= 4 and rng.random() < 0.14:
        if layout == "halves" and rng.random() < 0.5:  # two panels, each in its own style
            second = rng.choice([s for s in STYLES if s != style])
            things = [random_thing(rng, style), random_thing(rng, second)]
        else:  # every object in its own style
            first = rng.choice(STYLES)
            own = [first, rng.choice([s for s in STYLES if s != first]), *rng.choices(STYLES, k=n - 2)]
            things = [random_thing(rng, s) for s in rng.sample(own, n)]
    placed = in_boxes(rng, boxes, things, layout in ("row", "rows"))
    return Scene(width, height, placed, backdrop, style, layout, second, variant)
