"""Draws scenes exactly and fast: the truth that the miniature learns and is scored against. Colours are 0 to 1."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strata.hierarchy.extras import needs_extra
from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.shapes import MARGIN, Field, parts

Pixels = NDArray[np.uint8]
Image = NDArray[np.floating[Any]]
"""RGB [H, W, 3], 0 to 1."""


def _rgb(*values: float) -> Image:
    return np.array(values, dtype=np.float32)


RGB = {
    "red": _rgb(222, 40, 48) / 255,
    "green": _rgb(46, 160, 72) / 255,
    "blue": _rgb(48, 86, 224) / 255,
    "yellow": _rgb(248, 208, 40) / 255,
    "purple": _rgb(138, 58, 184) / 255,
    "orange": _rgb(244, 128, 28) / 255,
    "cyan": _rgb(44, 196, 214) / 255,
    "pink": _rgb(248, 130, 186) / 255,
}
TONE = {"white": _rgb(0.965, 0.96, 0.95), "grey": _rgb(0.60, 0.61, 0.63), "black": _rgb(0.10, 0.10, 0.12)}
OTHER_TONE = {"white": _rgb(0.80, 0.80, 0.80), "grey": _rgb(0.44, 0.45, 0.47), "black": _rgb(0.27, 0.27, 0.30)}
SETTING = {
    "meadow": (_rgb(0.47, 0.72, 0.95), _rgb(0.82, 0.92, 0.98), _rgb(0.56, 0.76, 0.46), _rgb(0.40, 0.64, 0.34)),
    "sea": (_rgb(0.62, 0.82, 0.96), _rgb(0.93, 0.95, 0.90), _rgb(0.20, 0.48, 0.70), _rgb(0.12, 0.36, 0.58)),
    "night sky": (_rgb(0.05, 0.06, 0.20), _rgb(0.18, 0.16, 0.40), _rgb(0.10, 0.12, 0.24), _rgb(0.06, 0.08, 0.16)),
    "desert": (_rgb(0.98, 0.78, 0.52), _rgb(0.99, 0.92, 0.74), _rgb(0.86, 0.66, 0.42), _rgb(0.76, 0.52, 0.30)),
}
"""Sky above and below, far ground, near ground."""
STARS = ((13, 9), (40, 22), (66, 8), (92, 25), (117, 12), (27, 43), (78, 40), (108, 48), (54, 52), (8, 60), (120, 66))
PAPER, INK = _rgb(0.97, 0.96, 0.93), _rgb(0.10, 0.10, 0.14)
PERIOD = 16
"""Pixels after which surfaces repeat, an image token; half of it on small objects."""
BLOCK = 4
"""Pixels of a block of pixel art; half of it on small objects."""
FINE = 20
"""Radius in pixels below which surfaces and blocks are half as large."""


@lru_cache(maxsize=1)
def _blotches() -> Field:
    with needs_extra("miniature"):
        from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(7).standard_normal((320, 320)), 9, mode="wrap")
    return np.asarray(noise / noise.std(), np.float32)


def _hatching(y: Field, x: Field, lean: int) -> Field:
    return np.asarray(0.5 + 0.5 * np.cos((x + lean * y) * (2 * np.pi / 8)), np.float32)


def _cover(distance: Field, out: float = 0.0) -> Image:
    return np.asarray(np.clip(0.5 - distance + out, 0, 1)[..., None])


def _line(distance: Field, width: float) -> Image:
    return np.asarray(np.clip(width / 2 + 0.5 - np.abs(distance), 0, 1)[..., None])


def _surface(surface: str | None, y: Field, x: Field, distance: Field, radius: int) -> Field:
    """Share of the second shade at each pixel; in step with the image tokens."""
    period = PERIOD if radius >= FINE else PERIOD // 2
    half, quarter = period / 2, period / 4
    if surface == "striped":
        return np.asarray(np.clip(0.5 - (np.abs((x % period) - half) - quarter), 0, 1))
    if surface == "dotted":
        return np.asarray(np.clip(0.27 * period - np.hypot(x % period - half, y % period - half) + 0.5, 0, 1))
    if surface == "checkered":
        across, down = (np.clip(np.abs((a % period) - half) - quarter, -0.5, 0.5) for a in (x, y))
        return np.asarray(0.5 - 2 * across * down, dtype=np.float32)
    if surface == "outlined":
        return np.asarray(np.clip(0.5 - distance - max(3.0, radius * 0.13), 0, 1))
    return np.zeros_like(distance)


@lru_cache(maxsize=192)
def _ground(backdrop: Backdrop, style: str, variant: int, width: int, height: int) -> Image:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    edges: tuple[Field, ...] = ()
    if backdrop.setting is None:
        tone, other = TONE[backdrop.tone or "grey"], OTHER_TONE[backdrop.tone or "grey"]
        mix = np.zeros_like(y)
        if backdrop.pattern == "gradient":
            mix = y / height
        elif backdrop.pattern == "striped":
            mix = (y // PERIOD) % 2
        elif backdrop.pattern == "checkered":
            mix = (x // PERIOD + y // PERIOD) % 2
        ground = tone + (other - tone) * mix[..., None]
    else:
        above, below, far, near = SETTING[backdrop.setting]
        phase, s, t = variant * 1.3, y / height, x / width
        ground = above + (below - above) * np.clip(s / 0.65, 0, 1)[..., None]
        if backdrop.setting == "sea":
            horizons = (np.full_like(x, height * 0.62), height * 0.8 + 2.5 * np.sin(x * 2 * np.pi / 32 + phase))
        elif backdrop.setting == "night sky":
            far_hills = height * 0.70 + 8 * np.sin(t * 7 + phase) + 4 * np.sin(t * 15 + 2 * phase)
            horizons = (far_hills, height * 0.84 + 5 * np.sin(t * 6 - phase))
        else:
            horizons = (
                height * 0.62 + 9 * np.sin(t * 5.5 + phase),
                height * 0.80 + 6 * np.sin(t * 7 - phase + 1),
            )
        edges = tuple(horizon - y for horizon in horizons)
        if backdrop.setting == "night sky":
            for a, b in STARS:
                star = np.clip(1.9 - np.hypot(x - a * width / 128, y - b * height / 128), 0, 1)[..., None]
                ground = ground + star * 0.8 * (1 - ground)
        for edge, shade in zip(edges, (far, near), strict=True):
            ground = ground + (shade - ground) * _cover(edge)
        if style == "papercut":
            ground = np.broadcast_to((above + below) / 2, ground.shape).copy()
            for edge, shade in zip(edges, (far, near), strict=True):
                ground = ground * (1 - 0.30 * (np.exp(-np.maximum(edge, 0) / 4) * (edge > -1))[..., None])
                ground = ground + (shade - ground) * _cover(edge)
                ground = ground + 0.10 * _line(edge + 1.2, 1.4)
    dark = backdrop.setting is None and backdrop.tone == "black"
    if style == "watercolour":
        blotch = _blotches()[:height, :width][..., None]
        ground = ground + (1 - ground) * ((0.16 + 0.03 * blotch) if dark else (0.30 + 0.07 * blotch))
        for edge in edges:
            ground = ground * (1 - 0.16 * (np.exp(-np.maximum(-edge, 0) / 2) * (edge < 0.5))[..., None])
    elif style == "pencil":
        light = 0.25 if dark else 0.60
        ground = ground * (1 - light) + PAPER * light
        ground = ground - (_hatching(y, x, -1)[..., None] - 0.5) * 0.16 * (1 - ground.mean(-1, keepdims=True))
        for edge in edges:
            ground = ground * (1 - 0.45 * _line(edge, 1.6))
    elif style == "neon":
        ground = _rgb(0.03, 0.025, 0.07) + 0.24 * ground
        if backdrop.setting is not None:
            for edge, shade in zip(edges, SETTING[backdrop.setting][2:], strict=True):
                glow = np.clip(shade * 1.5 + 0.1, 0, 1)
                ground = ground + glow * (0.55 * _line(edge, 2) + 0.22 * np.exp(-np.abs(edge) / 5)[..., None])
    elif style == "pixel":
        ground = _blocks(ground, BLOCK)
    out: Image = np.asarray(np.clip(ground, 0, 1), np.float32)
    out.setflags(write=False)
    return out


def _blocks(picture: Image, block: int) -> Image:
    """Blocks of `block` pixels in few shades; the sides are multiples of `block`."""
    h, w, c = picture.shape
    cells = picture.reshape(h // block, block, w // block, block, c)
    mean = (cells[:, 1:-1, :, 1:-1] if block > 2 else cells).mean((1, 3))
    return np.asarray((np.round(mean * 15) / 15).repeat(block, 0).repeat(block, 1))


def paint_backdrop(width: int, height: int, backdrop: Backdrop, style: str = "flat", variant: int = 0) -> Image:
    """The background alone, [height, width, 3]; plain and grey where the text left that out."""
    return _ground(backdrop, style, variant, width, height).copy()


def paint_thing(
    canvas: Image, thing: Thing, cx: int, cy: int, radius: int, mirrored: bool = False, variant: int = 0
) -> None:
    """Draw one object into `canvas` in place, centred at (cx, cy) pixels, clipped at the border.

    Where a text left an attribute out, it is a circle, red, solid, flat.
    """
    shapes, whole = parts(thing.kind or "circle", radius, mirrored, variant)
    half, (height, width) = radius + MARGIN, canvas.shape[:2]
    x0, x1, y0, y1 = max(cx - half, 0), min(cx + half, width), max(cy - half, 0), min(cy + half, height)
    style = thing.style or "flat"
    if x0 >= x1 or y0 >= y1:
        return
    cut = np.s_[y0 - cy + half : y1 - cy + half, x0 - cx + half : x1 - cx + half]
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32) + 0.5
    under, inside = canvas[y0:y1, x0:x1], whole[cut]
    base = RGB[thing.colour or "red"]
    dark, pale = base * 0.50, base * 0.22 + 0.78
    shades = {"body": base, "dark": dark, "pale": pale, "mid": base * 0.78 + 0.05, "ink": INK}
    out = under
    if style == "papercut":
        shadow = np.full_like(whole, 30.0)
        shadow[4:, 3:] = whole[:-4, :-3]
        out = out * (1 - 0.42 * np.clip(0.5 - shadow[cut] / 5, 0, 1)[..., None])
        out = out + (_rgb(1.0, 0.99, 0.96) - out) * _cover(inside, 2.6)
    elif style == "neon":
        glow = np.clip(np.exp(-np.maximum(inside, 0) / 4.5) - 0.04, 0, 1)[..., None] * (inside > -1)[..., None]
        out = out + np.clip(base * 0.85 + 0.15, 0, 1) * 0.55 * glow * (1 - out)
        out = out * (1 - 0.92 * _cover(inside))
    for shade, field in shapes:
        distance = field[cut]
        covered = _cover(distance)
        surface = thing.surface if shade == "body" else None
        second = _surface(surface, y, x, distance, radius)[..., None]
        fill = shades[shade] + ((dark if thing.surface == "striped" else pale) - shades[shade]) * second
        fill = np.broadcast_to(fill, under.shape)
        if style == "watercolour":
            blotch = _blotches()[y0:y1, x0:x1][..., None]
            fill = fill + (1 - fill) * (0.22 + 0.09 * blotch)
            fill = fill * (1 - 0.30 * np.exp(-np.abs(distance + 1.5) / 1.8))[..., None]
            out = out + (fill - out) * np.clip(0.5 - distance / 2.6, 0, 1)[..., None] * 0.94
        elif style == "pencil":
            strokes = _hatching(y, x, 1)[..., None] ** 2
            fill = fill * 0.80 + PAPER * 0.20
            plain = thing.surface in (None, "solid") or shade != "body"
            fill = fill + (PAPER - fill) * (0.5 if plain else 0.22) * strokes
            out = out + (fill - out) * covered
            out = out + (_rgb(0.20, 0.20, 0.24) - out) * 0.85 * _line(distance, 2.0)
        elif style == "neon":
            tube = np.clip(base * 0.6 + 0.4, 0, 1)
            if shade == "body":  # a pattern glows in the object's own colour
                level = {"outlined": 0.62 - 0.56 * second, "striped": 0.62 - 0.50 * second}.get(
                    thing.surface or "solid", 0.30 + 0.55 * second
                )
                fill = base * level
            else:
                fill = {"dark": base * 0.2, "pale": base * 0.62, "mid": base * 0.4, "ink": base * 0.04}[shade]
            fill = fill + base * 0.25 * np.exp(-np.maximum(-distance, 0) / 4.0)[..., None]
            out = out + (fill - out) * covered
            out = out + (tube - out) * _line(distance, 2.4)
        else:
            if style == "papercut":
                fill = fill * (1.05 - 0.16 * np.clip((y - cy) / (2 * radius) + 0.5, 0, 1))[..., None]
            out = out + (fill - out) * covered
    if style == "pixel":
        out = _pixelated(out, under, inside, y0, x0, BLOCK if radius >= FINE else BLOCK // 2)
    canvas[y0:y1, x0:x1] = out


def _pixelated(drawn: Image, under: Image, distance: Field, y0: int, x0: int, block: int) -> Image:
    """The object's blocks over what is under it; blocks are in step with the canvas, not with the object."""
    h, w = distance.shape
    top, left = y0 % block, x0 % block
    pad = ((top, -(h + top) % block), (left, -(w + left) % block))
    blocks = _blocks(np.pad(drawn, (*pad, (0, 0)), mode="edge"), block)
    far = np.pad(distance, pad, mode="edge")
    mean = far.reshape(far.shape[0] // block, block, far.shape[1] // block, block).mean((1, 3))
    covers = (mean < 0.5).repeat(block, 0).repeat(block, 1)[..., None]
    cut = np.s_[top : top + h, left : left + w]
    return np.where(covers[cut], blocks[cut], under)


def to_pixels(canvas: Image) -> Pixels:
    """8 bits a channel."""
    out: Pixels = (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
    return out
