"""Routings as the page edits them: text in, text out, with what the strip of blocks and steps shows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import LEVELS
from strata.hierarchy.ramp import Ramp
from strata.layers.arrays import Key
from strata.layers.balance import Balance
from strata.layers.ranges import Indices, Percent
from strata.layers.routing import Routing, Rule
from strata.layers.schedule import Schedule
from strata.layers.views import title, views

PlanTraits = tuple[int, float]
"""What a balance goes by: regions, the mean share of the canvas of one."""
PAINTED = " (edited)"
"""Behind the name of a routing that was changed by hand."""
_PAINTED_OVER = {"name", "about", "source", "model", "rules", "balance", "evidence"}
"""Of a routing, what painting makes anew or makes untrue; all else stays."""


def routing_of(text: Any) -> Routing:
    """The routing of a text, or of a preset's name; never of a path. Raises `InputError` where it is none."""
    if not isinstance(text, str):
        raise InputError("routing: must be the text of a routing file, or the name of a preset")
    if re.fullmatch(r"[\w-]+", text):
        return Routing.load(text)
    return Routing.from_yaml(text, "routing")


def edited(text: Any, ops: Mapping[str, Any], shape: tuple[int, int, int], plan: PlanTraits) -> Routing:
    """The routing of a text, after one change.

    Args:
        text: a routing file, or the name of a preset.
        ops: at most one of `base_ratio` (0 to 1), `heard` (percent of the steps over which its rules are laid),
            `isolate` (percent of the steps in which regions are apart), `paint` (see `painted`).
        shape: double blocks, single blocks, steps.
        plan: number of regions and the mean share of the canvas that one has, for the routing's balance.

    Raises:
        InputError: the text is no routing, or the change cannot be made.
    """
    routing = routing_of(text)
    for name, change in (("base_ratio", _with_base), ("heard", _with_heard)):
        if name in ops:
            return _renamed(change(_folded(routing, plan, keep_steps=True), _number(ops[name], name)))
    if "isolate" in ops:
        return _renamed(_with_isolation(routing, _number(ops["isolate"], "isolate"), shape))
    if "paint" in ops:
        return painted(routing, ops["paint"], shape, plan)
    return routing


def _number(value: Any, name: str) -> float:
    most = 1 if name == "base_ratio" else 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InputError(f"{name}: {value!r}: must be a number from 0 to {most}")
    return float(value)


def _renamed(routing: Routing) -> Routing:
    name = routing.name if routing.name.endswith(PAINTED) else f"{routing.name[:150]}{PAINTED}"
    return routing.model_copy(update={"name": name, "evidence": None})


def _fitting(routing: Routing, plan: PlanTraits) -> Balance | None:
    return next((entry for entry in routing.balance if entry.fits(*plan)), None)


def _folded(routing: Routing, plan: PlanTraits, keep_steps: bool) -> Routing:
    """With what its balance says of this plan's base ratio in its blend; and of its steps as its only entry."""
    entry = _fitting(routing, plan)
    if entry is None:
        return routing.model_copy(update={"balance": ()})
    if not keep_steps:
        return routing.balanced(*plan)
    blend = routing.blend if entry.base_ratio is None else _blend(routing, entry.base_ratio)
    balance = () if entry.steps is None else (Balance(steps=entry.steps),)
    return routing.model_copy(update={"blend": blend, "balance": balance})


def _blend(routing: Routing, ratio: float | Ramp) -> Any:
    return routing.blend.model_copy(update={"base_ratio": ratio})


def _with_base(routing: Routing, ratio: float) -> Routing:
    return routing.model_copy(update={"blend": _blend(routing, ratio)})


def _with_heard(routing: Routing, percent: float) -> Routing:
    if percent <= 0:
        raise InputError("heard: 0: regions must be heard at some steps; draw with the method plain instead")
    balance = () if percent >= 100 else (Balance(steps=Percent(0, percent)),)
    return routing.model_copy(update={"balance": balance})


def _with_isolation(routing: Routing, percent: float, shape: tuple[int, int, int]) -> Routing:
    """Every rule isolates until there and not after; rules that only differed in that become one again."""
    pieces: list[Rule] = []
    for rule in routing.rules:
        steps = rule.steps
        if steps is None:
            steps = Percent(0, 100)
        if not isinstance(steps, Percent) or isinstance(rule.strength, Ramp):
            return _isolated_exactly(routing, percent, shape)
        for start, stop, apart in (
            (steps.start, min(steps.stop, percent), True),
            (max(steps.start, percent), steps.stop, False),
        ):
            if start < stop:
                pieces.append(rule.model_copy(update={"steps": Percent(start, stop), "isolate": apart}))
    merged: list[Rule] = []
    for piece in pieces:
        twin = next((n for n, old in enumerate(merged) if _meet(old, piece)), None)
        if twin is None:
            merged.append(piece)
        else:
            ends = merged[twin].steps, piece.steps
            start, stop = min(end.start for end in ends), max(end.stop for end in ends)  # type: ignore[union-attr]
            merged[twin] = piece.model_copy(update={"steps": Percent(start, stop)})
    whole = [r.model_copy(update={"steps": None}) if r.steps == Percent(0, 100) else r for r in merged]
    return routing.model_copy(update={"rules": tuple(whole)})


def _meet(one: Rule, other: Rule) -> bool:
    """Whether two rules are one but for their steps, which touch."""
    if one.model_copy(update={"steps": None}) != other.model_copy(update={"steps": None}):
        return False
    a, b = one.steps, other.steps
    return isinstance(a, Percent) and isinstance(b, Percent) and a.start <= b.stop and b.start <= a.stop


def _isolated_exactly(routing: Routing, percent: float, shape: tuple[int, int, int]) -> Routing:
    schedule = routing.resolve(*shape)
    apart = schedule.routed & Percent(0, percent).select(shape[2])[:, None] if percent else schedule.routed & False
    return _of_arrays(routing, schedule, _arrays(routing, schedule), apart)


# Painting -------------------------------------------------------------------------------------------------------------


def painted(routing: Routing, stroke: Any, shape: tuple[int, int, int], plan: PlanTraits) -> Routing:
    """The routing with a level heard otherwise in some cells of the strip.

    Args:
        routing: treats all regions alike, or is refused.
        stroke: `level`; `cells`, a list of (step, block); `strength`, 0 to 1, or None where only `isolate` changes;
            `isolate`, True, False, or None to leave it.
        shape: double blocks, single blocks, steps.
        plan: as of `edited`.

    Raises:
        InputError: the stroke is none, or the routing's text has rules for some regions only.
    """
    routing = _folded(routing, plan, keep_steps=False)
    if any(rule.regions is not None for rule in routing.rules):
        raise InputError(f"routing {routing.name}: has rules for some regions only; edit its text")
    schedule = routing.resolve(*shape)
    levels = _arrays(routing, schedule)
    apart = schedule.isolate.copy()
    if not isinstance(stroke, Mapping) or stroke.get("level") not in LEVELS:
        raise InputError(f"paint: needs a level: {', '.join(LEVELS)}")
    array = levels[stroke["level"]]
    for step, block in _cells(stroke.get("cells"), array.shape):
        if stroke.get("strength") is not None:
            array[step, block] = _number(stroke["strength"], "base_ratio")
        if isinstance(stroke.get("isolate"), bool):
            apart[step, block] = stroke["isolate"]
    if not any(values.any() for values in levels.values()):
        raise InputError("paint: nothing would be heard anywhere; draw with the method plain instead")
    apart &= np.logical_or.reduce([values > 0 for values in levels.values()])
    return _of_arrays(routing, schedule, levels, apart)


def _cells(cells: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    if not isinstance(cells, Sequence) or len(cells) > shape[0] * shape[1]:
        raise InputError("paint: cells must be a list of steps and blocks")
    found = []
    for cell in cells:
        if not (isinstance(cell, Sequence) and len(cell) == 2 and all(type(n) is int for n in cell)):
            raise InputError("paint: a cell is a step and a block")
        if not (0 <= cell[0] < shape[0] and 0 <= cell[1] < shape[1]):
            raise InputError(f"paint: cell {list(cell)}: is outside {shape[0]} steps and {shape[1]} blocks")
        found.append((cell[0], cell[1]))
    return found


def _arrays(routing: Routing, schedule: Schedule) -> dict[str, NDArray[np.float32]]:
    return {level: schedule.strength(level, "").copy() for level in LEVELS}


def _of_arrays(
    routing: Routing, schedule: Schedule, levels: Mapping[str, NDArray[np.float32]], apart: NDArray[np.bool_]
) -> Routing:
    settings = routing.model_dump(mode="json", exclude_defaults=True, exclude=_PAINTED_OVER)
    name = _renamed(routing).name
    named: dict[Key, NDArray[np.float32]] = dict(levels.items())
    found = Routing.from_arrays(name, named, schedule.double_blocks, isolate=apart, **settings)
    rules = tuple(piece for rule in found.rules for piece in _in_percent(rule, schedule.steps))
    return Routing.from_yaml(found.model_copy(update={"rules": rules}).to_yaml(), f"routing {name}")


def _in_percent(rule: Rule, steps: int) -> list[Rule]:
    """A rule for exact steps as rules for shares of them, which hold for runs of other lengths too."""
    if not isinstance(rule.steps, Indices) or rule.steps.spans is None:
        return [rule]
    ends = [(round(100 * first / steps, 4), round(100 * (last + 1) / steps, 4)) for first, last in rule.steps.spans]
    return [rule.model_copy(update={"steps": Percent(start, stop)}) for start, stop in ends]


# What is shown --------------------------------------------------------------------------------------------------------


def shown(routing: Routing, shape: tuple[int, int, int], plan: PlanTraits) -> dict[str, Any]:
    """A routing for JSON: its text, its levels by step and block, its sliders, its rules in words.

    Raises:
        InputError: it does not fit the model.
    """
    schedule = routing.balanced(*plan).resolve(*shape)
    entry = _fitting(routing, plan)
    steps = entry.steps if entry is not None else None
    routed = schedule.routed.any(axis=1)
    apart = schedule.isolate.any(axis=1)
    return {
        "name": routing.name,
        "about": routing.about,
        "source": routing.source,
        "text": routing.to_yaml(),
        "overlap": routing.overlap,
        "title": title(schedule),
        "double": schedule.double_blocks,
        "single": schedule.single_blocks,
        "steps": schedule.steps,
        "views": [
            {"level": view.level, "name": view.name, "areas": view.areas, "strength": _rounded(view.strength)}
            for view in views(schedule)
        ],
        "isolate": schedule.isolate.astype(int).tolist(),
        "ratio": _rounded(schedule.base_ratio),
        "summary": schedule.summary(),
        "paintable": all(rule.regions is None for rule in routing.rules),
        "base_ratio": round(float(schedule.base_ratio[schedule.routed_steps].mean()), 3),
        "ramped": isinstance(routing.balanced(*plan).blend.base_ratio, Ramp),
        "heard": round(100 * float(routed.mean())) if steps is None else round(steps.stop),
        "isolated": round(100 * float(apart.mean())),
        "exact": any(isinstance(rule.steps, Indices | int) for rule in routing.rules),
    }


def _rounded(values: NDArray[Any]) -> Any:
    return np.round(values.astype(float), 3).tolist()
