"""Draws scenes of the scene language, exactly and fast: the truth that the miniature learns and is scored against."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from strata.hierarchy.extras import needs_extra
from strata.miniature.world.language import Backdrop, Thing

RGB = {
    "red": (225, 30, 40),
    "green": (30, 160, 60),
    "blue": (40, 70, 225),
    "yellow": (245, 215, 30),
    "purple": (130, 40, 170),
    "orange": (245, 130, 20),
    "cyan": (40, 205, 220),
    "pink": (250, 130, 190),
}
TONE = {"white": 245, "grey": 150, "black": 25}
PERIOD = 8
"""Patterns repeat every 8 pixels, in step with the image tokens of a 64×64 canvas."""
OVERSAMPLE = 4

Pixels = NDArray[np.uint8]


def _polygon(shape: str, r: float) -> list[tuple[float, float]]:
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    if shape == "circle" or shape == "ring":
        return [(r * np.cos(a), r * np.sin(a)) for a in t]
    if shape == "square":
        s = 0.86 * r
        return [(-s, -s), (s, -s), (s, s), (-s, s)]
    if shape == "triangle":
        return [(0, -r), (r, 0.85 * r), (-r, 0.85 * r)]
    if shape == "star":
        spokes = [(r * 1.05 if i % 2 == 0 else r * 0.45, -np.pi / 2 + i * np.pi / 5) for i in range(10)]
        return [(q * np.cos(a), q * np.sin(a) + 0.06 * r) for q, a in spokes]
    if shape == "heart":
        x = 16 * np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        return [(r * a / 16.5, r * (b + 2.3) / 15.5) for a, b in zip(x, y, strict=True)]
    w = 0.36 * r  # cross
    return [(-w, -r), (w, -r), (w, -w), (r, -w), (r, w), (w, w), (w, r), (-w, r), (-w, w), (-r, w), (-r, -w), (-w, -w)]


@lru_cache(maxsize=512)
def _silhouette(shape: str, radius: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coverage of a shape and of its inside (less the outline) in [0, 1], each [2(r+2), 2(r+2)], centred."""
    with needs_extra("miniature"):
        from scipy.ndimage import distance_transform_edt

    half = radius + 2
    size = 2 * half * OVERSAMPLE
    image = Image.new("1", (size, size))
    draw = ImageDraw.Draw(image)
    draw.polygon([((x + half) * OVERSAMPLE, (y + half) * OVERSAMPLE) for x, y in _polygon(shape, radius)], fill=1)
    if shape == "ring":
        hole = 0.48 * radius
        draw.polygon([((x + half) * OVERSAMPLE, (y + half) * OVERSAMPLE) for x, y in _polygon("circle", hole)], fill=0)
    solid = np.asarray(image, dtype=bool)
    line = max(2.0, 0.17 * radius) if shape not in ("ring", "cross", "star") else max(1.6, 0.12 * radius)
    inside = distance_transform_edt(solid) > line * OVERSAMPLE

    def shrink(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        shares: NDArray[np.float32] = mask.reshape(2 * half, OVERSAMPLE, 2 * half, OVERSAMPLE).mean((1, 3), np.float32)
        return shares

    return shrink(solid), shrink(inside)


def paint_backdrop(width: int, height: int, backdrop: Backdrop) -> Pixels:
    """RGB [height, width, 3] of a background; plain and grey where the text left that out."""
    tone = float(TONE[backdrop.tone or "grey"])
    other = tone + (55.0 if tone < 100 else -55.0)
    y, x = np.mgrid[0:height, 0:width]
    pattern = backdrop.pattern or "plain"
    if pattern == "gradient":
        mix = y / max(height - 1, 1)
    elif pattern == "striped":
        mix = (y // PERIOD) % 2
    elif pattern == "checkered":
        mix = (x // PERIOD + y // PERIOD) % 2
    else:
        mix = np.zeros_like(y)
    grey = tone + (other - tone) * mix
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def paint_thing(canvas: Pixels, thing: Thing, cx: int, cy: int, radius: int) -> None:
    """Draw one object into `canvas` [H, W, 3] in place, centred at (cx, cy), clipped at the border."""
    shape, inside = _silhouette(thing.shape or "circle", radius)
    half = radius + 2
    height, width = canvas.shape[:2]
    x0, x1, y0, y1 = max(cx - half, 0), min(cx + half, width), max(cy - half, 0), min(cy + half, height)
    if x0 >= x1 or y0 >= y1:
        return
    part = np.s_[y0 - cy + half : y1 - cy + half, x0 - cx + half : x1 - cx + half]
    colour = np.array(RGB[thing.colour or "red"], dtype=np.float32)
    dark, pale = 0.38 * colour, 0.25 * colour + 0.75 * 250
    y, x = np.mgrid[y0:y1, x0:x1]
    surface = thing.surface or "solid"
    if surface == "striped":
        second = (x // (PERIOD // 2)) % 2 == 1
        fill = np.where(second[..., None], dark, colour)
    elif surface == "checkered":
        second = (x // (PERIOD // 2) + y // (PERIOD // 2)) % 2 == 1
        fill = np.where(second[..., None], pale, colour)
    elif surface == "dotted":
        gap = np.hypot(x % PERIOD - (PERIOD - 1) / 2, y % PERIOD - (PERIOD - 1) / 2)
        fill = colour + (pale - colour) * np.clip(2.6 - gap + 0.5, 0, 1)[..., None]
    elif surface == "outlined":
        fill = colour + (pale - colour) * inside[part][..., None]
    else:
        fill = np.broadcast_to(colour, (*x.shape, 3))
    alpha = shape[part][..., None]
    under = canvas[y0:y1, x0:x1].astype(np.float32)
    canvas[y0:y1, x0:x1] = np.clip(under + (fill - under) * alpha + 0.5, 0, 255).astype(np.uint8)


def place_in_box(x1: float, y1: float, x2: float, y2: float) -> tuple[int, int, int]:
    """Where an object stands in a box of pixels: centre on a 4-pixel grid and radius, inside with a small margin."""
    cx, cy = 4 * round((x1 + x2) / 8), 4 * round((y1 + y2) / 8)
    room = min(cx - x1, x2 - cx, cy - y1, y2 - cy)
    return cx, cy, int(max(3, min(room - 2, 24)))
