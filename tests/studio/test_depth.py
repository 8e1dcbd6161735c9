"""The routing as the page edits it: every change gives a routing that does just what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from strata.hierarchy.errors import InputError
from strata.layers.routing import Routing, presets
from strata.studio.depth import edited, shown

SHAPE, PLAN = (4, 8, 20), (3, 0.2)


def strengths(routing: Routing, level: str, steps: int = 20) -> np.ndarray[Any, Any]:
    return routing.balanced(*PLAN).resolve(4, 8, steps).strength(level, "")  # type: ignore[arg-type]


def plain(name: str) -> bool:
    return all(rule.regions is None for rule in Routing.load(name).rules)


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("percent", [0, 35, 100])
def test_isolation_changes_isolation_alone(name: str, percent: int) -> None:
    before, after = Routing.load(name), edited(name, {"isolate": percent}, SHAPE, PLAN)
    schedule = after.balanced(*PLAN).resolve(*SHAPE)
    first = (np.arange(20) + 0.5) / 20 < percent / 100
    assert (schedule.isolate == (schedule.routed & first[:, None])).all()
    if all(entry.steps is None for entry in before.balance):
        for level in ("high", "low", "full"):
            assert np.allclose(strengths(after, level), strengths(before, level))


def test_isolation_of_a_preset_stays_in_percent_and_comes_back() -> None:
    there = edited("isolate-first", {"isolate": 60}, SHAPE, PLAN)
    assert not any(rule.steps is not None and "%" not in str(rule.steps) for rule in there.rules)
    back = edited(there.to_yaml(), {"isolate": 20}, SHAPE, PLAN)
    first = Routing.load("isolate-first")
    assert (back.resolve(19, 38, 28).isolate == first.resolve(19, 38, 28).isolate).all()
    assert len(back.rules) == len(first.rules)


@pytest.mark.parametrize("name", presets())
def test_base_ratio_and_steps_heard(name: str) -> None:
    ratio = edited(name, {"base_ratio": 0.55}, SHAPE, PLAN)
    assert shown(ratio, SHAPE, PLAN)["base_ratio"] == pytest.approx(0.55)
    heard = edited(ratio.to_yaml(), {"heard": 50}, SHAPE, PLAN)
    assert shown(heard, SHAPE, PLAN)["base_ratio"] == pytest.approx(0.55)
    if not any(isinstance(rule.steps, int) for rule in heard.rules):
        routed = heard.balanced(*PLAN).resolve(*SHAPE).routed.any(axis=1)
        assert not routed[10:].any()
    again = edited(heard.to_yaml(), {"heard": 100}, SHAPE, PLAN)
    assert np.allclose(strengths(again, "high"), strengths(ratio, "high"))


@pytest.mark.parametrize("name", [name for name in presets() if plain(name)])
def test_painting_keeps_all_that_is_no_rule(name: str) -> None:
    """The overlap policy, refreshed texts, the blend and whatever else a routing says of all blocks and steps."""
    stroke = {"level": "high", "cells": [[0, 0]], "strength": 1}
    before, after = (r.model_dump() for r in (Routing.load(name), edited(name, {"paint": stroke}, SHAPE, PLAN)))
    anew = {"name", "about", "source", "model", "rules", "balance", "evidence"}
    assert {k: v for k, v in after.items() if k not in anew} == {k: v for k, v in before.items() if k not in anew}


@pytest.mark.parametrize("name", [name for name in presets() if plain(name)])
def test_painting_changes_the_cells_alone(name: str) -> None:
    cells = [[0, 0], [0, 3], [7, 11], [19, 5]]
    after = edited(name, {"paint": {"level": "low", "cells": cells, "strength": 0.5}}, SHAPE, PLAN)
    wanted = strengths(Routing.load(name), "low").copy()
    wanted[tuple(np.transpose(cells))] = 0.5
    assert np.allclose(strengths(after, "low"), wanted)
    assert np.allclose(strengths(after, "high"), strengths(Routing.load(name), "high"))
    before = Routing.load(name).balanced(*PLAN).resolve(*SHAPE)
    kept = before.routed_steps & (before.base_ratio == before.base_ratio[before.routed_steps][0])
    assert np.allclose(after.resolve(*SHAPE).base_ratio[kept], before.base_ratio[kept])


def test_what_was_painted_holds_for_runs_of_other_lengths() -> None:
    after = edited("isolate-first", {"paint": {"level": "high", "cells": [[0, 2], [1, 2]], "strength": 0}}, SHAPE, PLAN)
    assert (strengths(after, "high", steps=10)[:, 2] > 0).tolist() == [False, *[True] * 9]


def test_isolation_is_painted_where_something_is_heard() -> None:
    stroke = {"level": "high", "cells": [[15, 1]], "strength": None, "isolate": True}
    after = edited("isolate-first", {"paint": stroke}, SHAPE, PLAN).resolve(*SHAPE)
    assert after.isolate[15, 1]
    assert not after.isolate[15, 2]
    assert after.isolate[0].all()
    silent = edited("coarse-to-fine", {"paint": {**stroke, "cells": [[19, 1], [0, 11]]}}, SHAPE, PLAN).resolve(*SHAPE)
    assert not silent.isolate[19, 1], "nothing is heard there"
    assert silent.isolate[0, 11]


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ({"base_ratio": 2}, "base_ratio: 2: must be a number from 0 to 1"),
        ({"heard": 0}, "heard: 0: regions must be heard"),
        ({"isolate": True}, "isolate: True: must be a number from 0 to 100"),
        ({"paint": {"level": "deep", "cells": []}}, "paint: needs a level"),
        ({"paint": {"level": "low", "cells": [[20, 0]], "strength": 1}}, "outside 20 steps and 12 blocks"),
        ({"paint": {"level": "low", "cells": [[0, "1"]], "strength": 1}}, "a cell is a step and a block"),
        ({"paint": {"level": "low", "cells": "all", "strength": 1}}, "paint"),
    ],
)
def test_changes_that_cannot_be_are_refused(ops: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        edited("uniform", ops, SHAPE, PLAN)


def test_rules_for_some_regions_are_not_painted() -> None:
    text = "name: mine\nrules:\n  - {level: high, regions: [boat]}\n"
    with pytest.raises(InputError, match="edit its text"):
        edited(text, {"paint": {"level": "high", "cells": [[0, 0]], "strength": 1}}, SHAPE, PLAN)
    assert not shown(edited(text, {}, SHAPE, PLAN), SHAPE, PLAN)["paintable"]
