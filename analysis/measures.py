"""How much two pictures differ in structure, colour, texture and place: for what no exact scorer tells.

All take parts of pictures, uint8 `[height, width, 3]`, of one size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2gray, rgb2lab
from skimage.feature import local_binary_pattern
from skimage.filters import sobel
from skimage.measure import label
from skimage.metrics import structural_similarity
from skimage.morphology import convex_hull_image

Pixels = NDArray[np.uint8]
_CHROMA = 25
"""Of 255: objects are coloured, backgrounds are grey. Hulls of an object rendered in two colours and surfaces then
overlap to 98 % on average, in two styles to about 91 %: one glows, another casts a shadow or runs."""
_SPECK = 24
"""Pixels; smaller patches of colour are the autoencoder's."""


def structure_change(one: Pixels, other: Pixels) -> float:
    """1 - SSIM of the luminance (Wang et al. 2004, eq. 13): 0 for the same picture, about 1 for unrelated ones."""
    window = min(7, one.shape[0] - 1 | 1, one.shape[1] - 1 | 1)
    return float(1 - structural_similarity(rgb2gray(one), rgb2gray(other), data_range=1.0, win_size=window))


def colour_change(one: Pixels, other: Pixels) -> float:
    """The CIEDE2000 difference of the mean colours in Lab; 1 is just visible, red to green about 70."""
    means = [rgb2lab(pixels).reshape(-1, 3).mean(0) for pixels in (one, other)]
    return float(deltaE_ciede2000(*means))


def texture_change(one: Pixels, other: Pixels) -> float:
    """The total variation distance of uniform local binary patterns (Ojala et al. 2002; 8 neighbours), 0-1."""
    shares = []
    for pixels in (one, other):
        gray = np.round(255 * rgb2gray(pixels)).astype(np.uint8)
        patterns = local_binary_pattern(gray, 8, 1.0, "uniform").astype(int)
        shares.append(np.bincount(patterns.ravel(), minlength=10) / patterns.size)
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def pixel_change(one: Pixels, other: Pixels) -> float:
    """The mean absolute difference of all values, 0 to 1."""
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean() / 255)


def edge_similarity(one: Pixels, other: Pixels) -> float:
    """SSIM (Wang et al. 2004, eq. 13) of the luminances' Sobel edges; 1 is the same."""
    edges = [sobel(rgb2gray(pixels)) for pixels in (one, other)]
    return float(structural_similarity(*edges, data_range=1.0))


def hull(pixels: Pixels) -> NDArray[np.bool_]:
    """The convex hull of what is coloured on a grey ground, bool `[height, width]`."""
    coloured = np.ptp(pixels.astype(np.int16), axis=2) > _CHROMA
    patches = label(coloured, connectivity=2)
    sizes = np.bincount(patches.ravel())
    large = coloured & (sizes >= _SPECK)[patches]
    whole: NDArray[np.bool_] = convex_hull_image(large) if large.any() else large
    return whole


def same_place(one: Pixels, other: Pixels) -> float:
    """Intersection over union of the hulls of what is coloured; NaN where nothing is."""
    first, second = hull(one), hull(other)
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else float("nan")
