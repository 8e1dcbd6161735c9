"""Schedules given as arrays: any level in any block at any step, as the rules of a routing.

A routing made of arrays is one like all others: it is resolved, drawn, saved and recorded with a run by its rules.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import LEVELS
from strata.layers.fields import write_indices, write_steps
from strata.layers.ranges import Indices, Mask, runs

Key = str | tuple[str, str]
"""A level, or a level and an area: a region's name, "background" or "global"."""


def rules_of_arrays(
    levels: Mapping[Key, npt.ArrayLike], double_blocks: int, isolate: npt.ArrayLike | None
) -> list[dict[str, Any]]:
    """The fewest rules, by steps of like rows, that resolve to these arrays; see `Routing.from_arrays`."""
    strengths = {_named(key): _strength(key, value) for key, value in levels.items()}
    if not strengths:
        raise InputError(f"levels: names none; valid: {', '.join(LEVELS)}")
    shapes = {array.shape for array in strengths.values()}
    if len(shapes) > 1:
        raise InputError(f"levels: arrays of different shapes {sorted(shapes)}; all must be [steps, blocks]")
    [(steps, blocks)] = shapes
    if not 0 <= double_blocks <= blocks:
        raise InputError(f"double_blocks: {double_blocks}: must be from 0 to {blocks}, the number of all blocks")
    routed = np.logical_or.reduce([array > 0 for array in strengths.values()])
    apart = _isolation(isolate, (steps, blocks), routed)
    rules = []
    for (level, area), array in strengths.items():
        for value, flag in product(sorted({*array[array > 0].tolist()}, reverse=True), (True, False)):
            for when, where in _like_rows((array == np.float32(value)) & (apart == flag)):
                rule: dict[str, Any] = {"level": level, **_blocks(where, double_blocks)}
                rule["strength"] = float(str(np.float32(value)))  # 0.3, not 0.30000001192092896
                if not when.all():
                    rule["steps"] = write_steps(_indices(when))
                if flag:
                    rule["isolate"] = True
                if area is not None:
                    rule["regions"] = [area]
                rules.append(rule)
    if not rules:
        raise InputError("levels: all arrays are zero: nothing would be visible")
    return rules


def _named(key: Key) -> tuple[str, str | None]:
    level, area = (key, None) if isinstance(key, str) else key
    if level not in LEVELS:
        raise InputError(f"levels: {level!r}: no such level; valid: {', '.join(LEVELS)}")
    return level, area


def _strength(key: Key, value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    try:
        array = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"levels[{key!r}]: holds no numbers") from error
    if array.ndim != 2 or not array.size:
        raise InputError(f"levels[{key!r}]: shape {array.shape}; must be [steps, blocks]")
    outside = array[~((array >= 0) & (array <= 1))]
    if outside.size:
        raise InputError(f"levels[{key!r}]: holds {float(outside[0])}; must be 0 to 1")
    return array


def _isolation(isolate: npt.ArrayLike | None, shape: tuple[int, int], routed: Mask) -> Mask:
    apart: Mask = np.zeros(shape, dtype=bool) if isolate is None else np.asarray(isolate).astype(bool)
    if apart.shape != shape:
        raise InputError(f"isolate: shape {apart.shape}; must be {shape}, as the levels'")
    if (apart & ~routed).any():
        step, block = np.argwhere(apart & ~routed)[0].tolist()
        raise InputError(f"isolate: true at step {step}, block {block}, where no level is visible")
    return apart


def _like_rows(mask: Mask) -> list[tuple[Mask, Mask]]:
    """`bool[T, B]` as pairs of steps `bool[T]` and blocks `bool[B]` whose products fill it, none empty."""
    rows, of_step = np.unique(mask, axis=0, return_inverse=True)
    return [(of_step.ravel() == i, row) for i, row in enumerate(rows) if row.any()]


def _blocks(where: Mask, double_blocks: int) -> dict[str, str | int]:
    if where.all():
        return {}
    families = {"double": where[:double_blocks], "single": where[double_blocks:]}
    heard = {name: part for name, part in families.items() if part.any()}
    return {name: "all" if part.all() else write_indices(_indices(part)) for name, part in heard.items()}


def _indices(selected: Mask) -> Indices:
    return Indices(tuple((start, stop - 1) for start, stop in runs(selected)))
