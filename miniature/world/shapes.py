"""The kinds of objects as vectors: the parts each is made of, and their signed distances in pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from strata.hierarchy.extras import needs_extra
from strata.miniature.world.facts import PICTOGRAMS

Mask = NDArray[np.bool_]
Field = NDArray[np.floating[Any]]

MARGIN = 16
"""Pixels around an object's radius that its window holds, for glow and shadow."""
OVERSAMPLE = 2
MIRRORED = ("fish", "car", "boat", "moon", "cup", "house", "cloud")
"""Kinds that may face either way."""
STRETCH = (1.0, 0.93, 1.07)
"""Widths of the variants of a pictogram."""


class _Pen:
    """Draws masks in coordinates from -1 to 1, y down, on a square of `size` pixels."""

    def __init__(self, radius: int, stretch: float) -> None:
        half = radius + MARGIN
        n = 2 * half * OVERSAMPLE
        axis = (np.arange(n, dtype=np.float32) + 0.5) / OVERSAMPLE - half
        self.u, self.v = np.meshgrid(axis / (radius * stretch), axis / radius)
        self.to_x = lambda x: (x * radius * stretch + half) * OVERSAMPLE
        self.to_y = lambda y: (y * radius + half) * OVERSAMPLE

    def circle(self, x: float, y: float, r: float) -> Mask:
        return np.asarray((self.u - x) ** 2 + (self.v - y) ** 2 < r * r)

    def ellipse(self, x: float, y: float, a: float, b: float) -> Mask:
        return np.asarray(((self.u - x) / a) ** 2 + ((self.v - y) / b) ** 2 < 1)

    def box(self, x0: float, y0: float, x1: float, y1: float, corner: float = 0.0) -> Mask:
        if corner == 0:
            return np.asarray((self.u > x0) & (self.u < x1) & (self.v > y0) & (self.v < y1))
        dx = np.maximum(np.maximum(x0 + corner - self.u, self.u - (x1 - corner)), 0)
        dy = np.maximum(np.maximum(y0 + corner - self.v, self.v - (y1 - corner)), 0)
        return np.asarray(dx * dx + dy * dy < corner * corner)

    def polygon(self, *points: tuple[float, float]) -> Mask:
        image = Image.new("1", self.u.shape)
        ImageDraw.Draw(image).polygon([(self.to_x(x), self.to_y(y)) for x, y in points], fill=1)
        return np.asarray(image, dtype=bool)


def _parts(kind: str, p: _Pen) -> list[tuple[str, Mask]]:
    """(shade, mask) of each part, from back to front; the surface's pattern is drawn on parts of shade "body"."""
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    match kind:
        case "circle":
            return [("body", p.circle(0, 0, 1))]
        case "square":
            return [("body", p.box(-0.87, -0.87, 0.87, 0.87, 0.06))]
        case "triangle":
            return [("body", p.polygon((0, -0.95), (1.02, 0.82), (-1.02, 0.82)))]
        case "star":
            spokes = [((1.05 if i % 2 == 0 else 0.46), -np.pi / 2 + i * np.pi / 5) for i in range(10)]
            return [("body", p.polygon(*[(q * np.cos(b), q * np.sin(b) + 0.06) for q, b in spokes]))]
        case "heart":
            x = 16 * np.sin(t) ** 3
            y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
            return [("body", p.polygon(*zip(x / 16.5, (y - 2.55) / 14.5, strict=True)))]
        case "ring":
            return [("body", p.circle(0, 0, 1) & ~p.circle(0, 0, 0.48))]
        case "cross":
            return [("body", p.box(-0.34, -1, 0.34, 1) | p.box(-1, -0.34, 1, 0.34))]
        case "house":
            return [
                ("body", p.box(-0.72, -0.2, 0.72, 0.95)),
                ("dark", p.polygon((-1, -0.16), (0, -1), (1, -0.16)) | p.box(0.4, -0.9, 0.62, -0.3)),
                ("dark", p.box(-0.5, 0.3, -0.08, 0.95)),
                ("pale", p.box(0.16, 0.12, 0.52, 0.5)),
            ]
        case "tree":
            crown = p.circle(0, -0.45, 0.55) | p.circle(-0.45, 0.05, 0.46) | p.circle(0.45, 0.05, 0.46)
            return [("dark", p.box(-0.15, 0.3, 0.15, 1)), ("body", crown | p.circle(0, 0.1, 0.5))]
        case "boat":
            return [
                ("dark", p.box(-0.08, -0.95, 0.02, 0.5)),
                ("body", p.polygon((-0.14, -0.9), (-0.14, 0.32), (-0.95, 0.32))),
                ("pale", p.polygon((0.1, -0.65), (0.1, 0.32), (0.72, 0.32))),
                ("body", p.polygon((-1, 0.45), (1, 0.45), (0.66, 0.95), (-0.66, 0.95))),
            ]
        case "car":
            return [
                (
                    "body",
                    p.box(-1, -0.08, 1, 0.52, 0.16) | p.polygon((-0.66, 0), (-0.42, -0.6), (0.4, -0.6), (0.72, 0)),
                ),
                ("pale", p.polygon((-0.46, -0.08), (-0.32, -0.46), (-0.06, -0.46), (-0.06, -0.08))),
                ("pale", p.polygon((0.06, -0.08), (0.06, -0.46), (0.3, -0.46), (0.52, -0.08))),
                ("ink", p.circle(-0.52, 0.52, 0.29) | p.circle(0.52, 0.52, 0.29)),
                ("pale", p.circle(-0.52, 0.52, 0.12) | p.circle(0.52, 0.52, 0.12)),
            ]
        case "fish":
            fins = p.polygon((0.45, 0), (1, -0.5), (0.88, 0), (1, 0.5)) | p.polygon(
                (-0.25, -0.4), (0.1, -0.78), (0.3, -0.35)
            )
            return [
                ("dark", fins),
                ("body", p.ellipse(-0.22, 0, 0.8, 0.58)),
                ("pale", p.circle(-0.6, -0.12, 0.15)),
                ("ink", p.circle(-0.62, -0.12, 0.08)),
            ]
        case "flower":
            petals = np.zeros_like(p.u, dtype=bool)
            for i in range(6):
                angle = i * np.pi / 3 + 0.52
                petals |= p.circle(0.42 * np.cos(angle), -0.36 + 0.42 * np.sin(angle), 0.285)
            stem = p.box(-0.07, 0.1, 0.07, 1) | p.ellipse(0.26, 0.72, 0.26, 0.12) | p.ellipse(-0.26, 0.6, 0.26, 0.12)
            return [("dark", stem), ("body", petals), ("pale", p.circle(0, -0.36, 0.24))]
        case "cup":
            handle = p.ellipse(0.66, 0.05, 0.36, 0.42) & ~p.ellipse(0.66, 0.05, 0.18, 0.22)
            sides = p.polygon((-0.85, -0.6), (0.69, -0.6), (0.5, 0.75), (0.36, 0.85), (-0.52, 0.85), (-0.66, 0.75))
            return [("dark", handle), ("body", sides), ("pale", p.ellipse(-0.08, -0.6, 0.77, 0.17))]
        case "moon":
            return [("body", p.circle(0.05, 0, 1) & ~p.circle(0.5, -0.12, 0.8))]
        case "sun":
            rays = np.zeros_like(p.u, dtype=bool)
            for i in range(10):
                c, s = np.cos(i * np.pi / 5), np.sin(i * np.pi / 5)
                rays |= p.polygon(
                    (0.68 * c - 0.19 * s, 0.68 * s + 0.19 * c),
                    (1.06 * c, 1.06 * s),
                    (0.68 * c + 0.19 * s, 0.68 * s - 0.19 * c),
                )
            return [("body", p.circle(0, 0, 0.58)), ("mid", rays)]
        case "cloud":
            puffs = p.circle(-0.5, 0.12, 0.42) | p.circle(0.52, 0.16, 0.38) | p.circle(-0.12, -0.22, 0.5)
            return [("body", puffs | p.circle(0.28, -0.12, 0.38) | p.box(-0.6, 0.1, 0.6, 0.54))]
    raise KeyError(kind)


def _distance(mask: Mask) -> Field:
    """Signed distance to a mask's border in pixels, negative inside, at the pixels' resolution."""
    with needs_extra("miniature"):
        from scipy.ndimage import distance_transform_edt

    far = distance_transform_edt(~mask) - distance_transform_edt(mask)
    n = far.shape[0] // OVERSAMPLE
    return np.asarray((far / OVERSAMPLE).reshape(n, OVERSAMPLE, n, OVERSAMPLE).mean((1, 3)), np.float32)


@lru_cache(maxsize=4096)
def parts(kind: str, radius: int, mirrored: bool, variant: int) -> tuple[tuple[tuple[str, Field], ...], Field]:
    """(shade, signed distance) of each part, and the signed distance of the whole; [2(r+16), 2(r+16)] each."""
    pen = _Pen(radius, STRETCH[variant] if kind in PICTOGRAMS else 1.0)
    drawn = _parts(kind, pen)
    if mirrored and kind in MIRRORED:
        drawn = [(shade, np.ascontiguousarray(mask[:, ::-1])) for shade, mask in drawn]
    whole = np.logical_or.reduce([mask for _, mask in drawn])
    return tuple((shade, _distance(mask)) for shade, mask in drawn), _distance(whole)
