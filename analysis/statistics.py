"""Intervals of what was measured on scenes: the scene is what was drawn at random, not the picture."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from strata.miniature.world.shares import wilson_interval

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN where nothing was measured, and of an interval that there is none."""

    value: float
    low: float
    high: float

    def as_data(self) -> dict[str, float | None]:
        """For JSON, rounded; None for NaN."""
        values = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(value) else round(value, 4) for name, value in values.items()}

    def text(self, scale: float = 100.0, digits: int = 0) -> str:
        """ "96 [93, 98]"; "96" without an interval; a dash where nothing was measured."""
        if np.isnan(self.value):
            return "–"
        if np.isnan(self.low):
            return f"{scale * self.value:z.{digits}f}"
        return f"{scale * self.value:z.{digits}f} [{scale * self.low:z.{digits}f}, {scale * self.high:z.{digits}f}]"


def bootstrap(values: ArrayLike, of: Callable[[NDArray[Any]], Any] | None = None, seed: int = 0) -> list[Estimate]:
    """Percentile bootstrap over scenes (Efron & Tibshirani 1993, ch. 13), 2000 resamples.

    Args:
        values: `[scenes, ...]`; NaN is what a scene does not have.
        of: from `[..., ]` means over scenes to a vector of what is estimated; None: the means themselves, flattened.
        seed: of the resampling.
    """
    x = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    scenes = len(x)
    counts = rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=RESAMPLES).astype(np.float64)
    flat = x.reshape(scenes, -1)
    known = ~np.isnan(flat)
    filled = np.where(known, flat, 0.0)
    with np.errstate(invalid="ignore"):
        means = (counts @ filled) / (counts @ known)
        mean = filled.sum(0) / known.sum(0)
    shape = x.shape[1:]

    def estimated(row: NDArray[Any]) -> NDArray[Any]:
        return np.atleast_1d(np.asarray(of(row.reshape(shape)) if of else row, dtype=np.float64)).ravel()

    values_of = estimated(mean)
    resampled = means if of is None else np.stack([estimated(row) for row in means])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without any value, which are NaN
        low, high = np.nanpercentile(resampled, [2.5, 97.5], axis=0)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(values_of, low, high, strict=True)]


def wilson(share: float, count: int) -> Estimate:
    """A share of `count` with its 95 % Wilson score interval."""
    return Estimate(share, *wilson_interval(share, count))


def rank_correlation(curve: NDArray[Any]) -> float:
    """Spearman's correlation of a curve's values with their places; 0 for a flat curve."""
    places, ranks = np.arange(len(curve)), rankdata(curve)
    if len(curve) < 2 or np.ptp(ranks) == 0:
        return 0.0
    return float(np.corrcoef(places, ranks)[0, 1])
