"""Distances of sets of pictures in a judge's features: how far from what was asked for, how far from each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def frechet_distance(drawn: ArrayLike, wanted: ArrayLike) -> float:
    """The Fréchet distance of two sets of features as Gaussians (Dowson & Landau 1982; FID, Heusel et al. 2017, eq. 6).

    It grows as sets get smaller: compare sets of the same size alone.

    Args:
        drawn: `[N, d]`, N at least 2.
        wanted: `[M, d]`, M at least 2.
    """
    one, other = (np.asarray(x, dtype=np.float64) for x in (drawn, wanted))
    means = one.mean(0), other.mean(0)
    a, b = ((x - mean) / np.sqrt(len(x) - 1) for x, mean in zip((one, other), means, strict=True))
    # The trace of the root of the covariances' product is the sum of the singular values of a bᵀ.
    common = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(0.0, ((means[0] - means[1]) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * common))


def diversity(features: ArrayLike) -> float:
    """Mean cosine distance of all pairs of one scene's pictures, `[N, d]`; NaN of fewer than two."""
    x: NDArray[np.float64] = np.asarray(features, dtype=np.float64)
    if len(x) < 2:
        return float("nan")
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    alike = x @ x.T
    return float(1 - (alike.sum() - np.trace(alike)) / (len(x) * (len(x) - 1)))
