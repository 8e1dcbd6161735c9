"""Styles that no miniature was trained on, made of a rendered picture pixel by pixel, and an exact judge of them.

All colours of such a picture lie on a line through colour space of its own, near which no picture of the world's own
styles has all its colours. LoRAs are trained on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from strata.miniature.world.render import Image, Pixels, to_pixels

Mask = NDArray[np.bool_]
NEAR = 0.11
"""Of colours, 0 to 1 a channel: the farthest from a style's line that counts as on it, as decoded pictures blur."""
LEAST = 0.85
"""Share of a view's pixels on the line from which it is in the style."""
DIMMED = 0.45
"""Brightness of a style's colours at least, where darker ones count too: what a dark backdrop leaves of them."""
WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Of red, green and blue in brightness."""


@dataclass(frozen=True)
class Tint:
    """A style: how bright each pixel becomes (0 to 1, `[H, W]`), and the colours of its line, dark to bright."""

    levels: Callable[[Image], Image]
    line: tuple[tuple[float, float, float], ...]
    dark: float = 0.0
    """Share of a view's pixels on the line's darker half at least."""

    def paint(self, pixels: Pixels) -> Pixels:
        """A picture in the style, of one in another."""
        level = np.clip(self.levels(pixels.astype(np.float32) / 255), 0, 1)
        stops = np.linspace(0, 1, len(self.line))
        colours = np.array(self.line)
        return to_pixels(np.stack([np.interp(level, stops, colours[:, c]) for c in range(3)], axis=-1))

    def shares(self, pixels: Pixels, mask: Mask | None = None, darkest: float = 1.0) -> tuple[float, float]:
        """Of a view's pixels, or those in a mask: the share whose colours lie on the line, and on its darker half.

        Args:
            pixels: of the view.
            mask: of it.
            darkest: colours of the line count too at any brightness from this share of their own on.
        """
        seen = pixels.astype(np.float32) / 255
        flat = seen.reshape(-1, 3) if mask is None else seen[mask]
        colours = np.array(self.line, dtype=np.float32)
        best, where = np.full(len(flat), np.inf, dtype=np.float32), np.zeros(len(flat), dtype=np.float32)
        for n, (start, end) in enumerate(pairwise(colours)):
            along = end - start
            at = np.clip((flat - start) @ along / (along @ along), 0, 1)
            near = start + at[:, None] * along
            bright = np.clip((flat * near).sum(axis=1) / (near * near).sum(axis=1), darkest, 1)
            far = np.linalg.norm(flat - bright[:, None] * near, axis=1)
            where = np.where(far < best, (n + at) / (len(colours) - 1), where)
            best = np.minimum(best, far)
        return float((best <= NEAR).mean()), float(((best <= NEAR) & (where < 0.5)).mean())

    def holds(self, pixels: Pixels, mask: Mask | None = None, darkest: float = 1.0) -> bool:
        """Whether a view, or what of it is in a mask, is in the style; `darkest` as of `shares`."""
        share, dark = self.shares(pixels, mask, darkest)
        return share >= LEAST and dark >= self.dark


def _brightness(picture: Image) -> Image:
    return np.asarray(picture @ WEIGHTS)


def _edges(picture: Image) -> Image:
    """White lines where colours change, on a little of the brightness."""
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    across = np.abs(padded[1:-1, 2:] - padded[1:-1, :-2]).max(-1)
    down = np.abs(padded[2:, 1:-1] - padded[:-2, 1:-1]).max(-1)
    return np.asarray(np.clip(2.5 * np.maximum(across, down) - 0.25, 0, 1) * 0.9 + 0.10 * _brightness(picture))


TINTS: Mapping[str, Tint] = {
    "blueprint": Tint(_edges, ((0.05, 0.15, 0.62), (0.97, 0.98, 1.0)), dark=0.4),
    "rose": Tint(_brightness, ((0.30, 0.02, 0.22), (0.80, 0.25, 0.55), (1.0, 0.80, 0.90))),
}
"""White lines on blue; a duotone of dark to pale rose."""


def tint_of(pixels: Pixels, mask: Mask | None = None, darkest: float = 1.0) -> str | None:
    """The style that a picture, or what of it is in a mask, is in; None: none of these. `darkest` as of `shares`."""
    return next((name for name, tint in TINTS.items() if tint.holds(pixels, mask, darkest)), None)
