"""Which texts become streams: levels that meet no rule stand in for each other, and nothing is lost silently."""

import logging
from typing import Any

import numpy as np
import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan, Texts
from strata.injection.streams import TextOverride, plan_streams, undivided
from strata.layers.routing import Routing
from strata.layers.schedule import Schedule

LEVELS = "{name: levels, about: a, rules: [{level: low, double: 0}, {level: high, single: 0-2, strength: 0.5}]}"
UNIFORM = "{name: u, about: a, rules: [{level: high}, {level: low}]}"
FULL = "{name: full, about: a, rules: [{level: full, steps: 2}]}"


def schedule(text: str) -> Schedule:
    return Routing.from_yaml(text).resolve(2, 3, 4)


def plan(**region: Any) -> ScenePlan:
    fields = {"name": "r", "box": (0, 0, 8, 8), **region}
    return ScenePlan.model_validate({"width": 16, "height": 16, "prompt": "base", "regions": [fields]})


def test_a_text_a_level() -> None:
    high, low = plan_streams(plan(high="a circle", low="red"), schedule(LEVELS))
    assert (high.level, high.text, low.level, low.text) == ("high", "a circle", "low", "red")
    assert high.weight.max() == np.float32(0.5)
    assert (high.weight > 0).any(0).tolist() == [False, False, True, True, True]
    assert (low.weight > 0).any(0).tolist() == [True, False, False, False, False]
    assert (low.last_block(0), high.last_block(0)) == (0, 4)


def test_full_stands_in_for_high_and_low() -> None:
    (stream,) = plan_streams(plan(full="a red circle", strength=0.5), schedule(LEVELS))
    assert stream.text == "a red circle"
    assert stream.weight[0].tolist() == [0.5, 0, 0.25, 0.25, 0.25]


def test_high_and_low_are_joined_for_a_routing_of_full_texts() -> None:
    strength = {"high": 0.25, "low": 0.5}
    (stream,) = plan_streams(plan(high="a circle", low="red", strength=strength), schedule(FULL))
    assert stream.text == "a circle, red"
    assert stream.weight.max() == 0.5, "as strong as the stronger of them"
    assert stream.weight.any(1).tolist() == [True, True, False, False]
    assert stream.last_block(3) == -1


def test_an_areas_text_without_levels() -> None:
    cases: tuple[tuple[dict[str, Any], tuple[str, float]], ...] = (
        ({"full": "a red circle", "strength": 0.5}, ("a red circle", 0.5)),
        ({"high": "a circle", "low": "red", "strength": {"high": 0.25, "low": 0.5}}, ("a circle, red", 0.5)),
        ({"low": "red", "strength": {"low": 0.25}}, ("red", 0.25)),
    )
    for fields, expected in cases:
        whole = undivided({d.level: d for d in plan(**fields).descriptions()})
        assert (whole.area, whole.level, whole.text, whole.strength) == ("r", "full", *expected)


def test_what_is_never_heard_is_said(caplog: pytest.LogCaptureFixture) -> None:
    only_high = "{name: only-high, about: a, rules: [{level: high}]}"
    with caplog.at_level(logging.WARNING):
        assert plan_streams(plan(low="red"), schedule(only_high)) == ()
    assert "r: none of its texts is visible under the routing only-high" in caplog.text


def test_a_rule_for_a_region_that_is_not_there() -> None:
    with pytest.raises(InputError, match="the plan has no such region"):
        plan_streams(plan(high="a"), schedule("{name: n, about: a, rules: [{level: high, regions: [other]}]}"))


def test_an_override_is_heard_inside_its_blocks_and_the_plans_text_outside() -> None:
    override = TextOverride("r", "low", "blue", np.array([True, False, False, False, False]))
    high, low, other = plan_streams(plan(high="a circle", low="red"), schedule(UNIFORM), [override])
    assert (high.text, low.text, other.text, other.level) == ("a circle", "red", "blue", "low")
    assert (low.weight + other.weight == 1).all()
    assert other.weight.any(0).tolist() == [True, False, False, False, False]


def test_an_override_at_all_places_leaves_nothing_of_the_plans_text() -> None:
    blue = TextOverride("r", "low", "blue")
    assert [s.text for s in plan_streams(plan(low="red"), schedule(UNIFORM), [blue])] == ["blue"]
    assert plan_streams(plan(low="red"), schedule(UNIFORM), [TextOverride("r", "low", None)]) == ()


def test_overrides_of_steps_take_turns() -> None:
    early, late = np.array([[True], [True], [False], [False]]), np.array([[False], [False], [False], [True]])
    overrides = [TextOverride("r", "low", "blue", early), TextOverride("r", "low", None, late)]
    red, blue = plan_streams(plan(low="red"), schedule(UNIFORM), overrides)
    assert (red.text, red.weight.any(1).tolist()) == ("red", [False, False, True, False])
    assert (blue.text, blue.weight.any(1).tolist()) == ("blue", [True, True, False, False])


def test_an_override_of_nothing_and_one_that_does_not_fit() -> None:
    with pytest.raises(InputError, match="'r/high': no such text is in use; in use are: r/low"):
        plan_streams(plan(low="red"), schedule(UNIFORM), [TextOverride("r", "high", "a")])
    with pytest.raises(InputError, match="4 steps × 5 blocks"):
        plan_streams(plan(low="red"), schedule(UNIFORM), [TextOverride("r", "low", "a", np.ones(7, dtype=bool))])


def test_a_routing_takes_the_backgrounds_texts_into_the_regions() -> None:
    told = plan(high="a circle").model_copy(update={"background": Texts(high="the sea", low="blue"), "low": "oil"})
    rules = "rules: [{level: high}, {level: low}]"
    outside = plan_streams(told, schedule(f"{{name: a, about: a, {rules}}}"))
    inside = plan_streams(told, schedule(f"{{name: a, about: a, background_in_regions: true, {rules}}}"))
    assert [stream.reach for stream in outside] == ["global", "r", "background", "background"]
    assert [stream.reach for stream in inside] == ["global", "r", "global", "global"]
    assert [stream.area for stream in inside] == [stream.area for stream in outside]


def test_an_anchored_routing_says_what_the_detail_is_of() -> None:
    anchored = schedule("{name: a, about: a, anchor: true, rules: [{level: high}, {level: low}]}")
    high, low = plan_streams(plan(high="a circle", low="red"), anchored)
    assert (high.text, low.text) == ("a circle", "a circle, red")
    assert [s.text for s in plan_streams(plan(low="red"), anchored)] == ["red"]
    found = plan_streams(plan(high="a circle", low="red"), anchored, [TextOverride("r", "low", "blue")])
    assert [s.text for s in found] == ["a circle", "a circle, blue"]
    globals_too = plan(high="a circle", low="red").model_copy(update={"high": "wide", "low": "oil"})
    assert {s.text for s in plan_streams(globals_too, anchored) if s.area == "global"} == {"wide", "oil"}
