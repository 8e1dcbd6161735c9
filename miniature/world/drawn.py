"""Which pixels of a drawing are its objects': what differs from the background that the drawing comes nearest to.

The renderer's own backgrounds are tried, in all styles; no object has to be known. Objects that touch are one patch, so
what is found of a scene is trusted where it is right in the exact picture of it (`strata.analysis.judges.exact`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.hierarchy.areas import box_around
from strata.hierarchy.extras import needs_extra
from strata.hierarchy.plan import Box
from strata.miniature.world.facts import STYLES, Backdrop
from strata.miniature.world.render import paint_backdrop
from strata.miniature.world.shapes import Mask

VARIANTS = 4
"""Of a setting's horizon."""
APART = 0.16
"""Difference from the background, of 1, from which a pixel is an object's."""
AS_GOOD_AS = 0.2
"""Difference from the background beyond which a pixel tells nothing about it."""
BRIDGED, SPECK = 3, 60
"""Pixels: gaps up to twice the first are bridged; patches smaller than the second are not counted."""


@dataclass(frozen=True, eq=False)
class Patch:
    """One connected part of a drawing that is no background."""

    mask: Mask
    """bool `[H, W]`."""
    box: Box

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre of mass, x and y in pixels."""
        ys, xs = np.nonzero(self.mask)
        return float(xs.mean()) + 0.5, float(ys.mean()) + 0.5


def background_of(picture: Image.Image, backdrops: Iterable[Backdrop]) -> NDArray[np.float32]:
    """The background, of these in all styles and variants, that most of a picture comes nearest to: `[H, W, 3]`."""
    pixels: NDArray[np.float32] = np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255)
    height, width = pixels.shape[:2]
    best: NDArray[np.float32] = pixels
    least = np.inf
    for backdrop in dict.fromkeys(backdrops):
        for style in STYLES:
            for variant in range(VARIANTS if backdrop.setting else 1):
                ground = paint_backdrop(width, height, backdrop, style, variant)
                far = float(np.minimum(np.abs(pixels - ground).max(-1), AS_GOOD_AS).mean())
                if far < least:
                    best, least = np.asarray(ground, np.float32), far
    return best


def patches(picture: Image.Image, backdrops: Iterable[Backdrop]) -> list[Patch]:
    """The drawing's patches, the largest first.

    Args:
        picture: RGB, of the miniature's size.
        backdrops: that may be behind the objects.
    """
    with needs_extra("miniature"):
        from scipy import ndimage
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    differs = np.abs(pixels - background_of(picture, backdrops)).max(-1) > APART
    differs = ndimage.binary_opening(differs, np.ones((2, 2)))
    disc = np.hypot(*np.mgrid[-BRIDGED : BRIDGED + 1, -BRIDGED : BRIDGED + 1]) <= BRIDGED
    padded = ndimage.binary_closing(np.pad(differs, BRIDGED), disc)
    labels, count = ndimage.label(padded[BRIDGED:-BRIDGED, BRIDGED:-BRIDGED])
    found = []
    for number in range(1, count + 1):
        mask = labels == number
        if mask.sum() >= SPECK and (box := box_around(mask)) is not None:
            found.append(Patch(mask, box))
    return sorted(found, key=lambda patch: -int(patch.mask.sum()))


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    areas = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (one, other))
    return common / (areas - common) if areas > common else 0.0
