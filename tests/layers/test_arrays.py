"""Routings of arrays resolve to those arrays, and are files like all others."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import LEVELS
from strata.layers.routing import Routing

STRENGTHS = st.sampled_from([0.0, 0.0, 1.0, 0.3, 0.123456789])


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[Any, Any], int, Any]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 7)))
    keys: list[Any] = draw(
        st.lists(
            st.sampled_from([*LEVELS, ("low", "boat"), ("low", "background"), ("high", "boat")]),
            min_size=1,
            unique=True,
        )
    )
    levels = {key: draw(arrays(np.float32, shape, elements=STRENGTHS.map(np.float32))) for key in keys}
    levels[keys[0]][0, 0] = 1
    routed = sum(levels.values()) > 0
    return levels, draw(st.integers(0, shape[1])), draw(arrays(bool, shape)) & routed


@given(cases())
def test_what_is_given_is_what_is_resolved(case: tuple[dict[Any, Any], int, Any]) -> None:
    levels, double, isolate = case
    steps, blocks = isolate.shape
    routing = Routing.from_arrays("mine", levels, double, isolate=isolate, anchor=True)
    again = Routing.from_yaml(routing.to_yaml(), "mine.yaml")
    for one in (routing, again):
        schedule = one.resolve(double, blocks - double, steps)
        for level in LEVELS:
            for area in ("boat", "background", "somewhere"):
                wanted = np.zeros((steps, blocks), np.float32)
                for key, array in levels.items():
                    if key in (level, (level, area)):
                        wanted = np.maximum(wanted, array)
                assert (schedule.strength(level, area) == wanted).all()
        assert (schedule.isolate == isolate).all()
    assert again.anchor


def test_like_steps_share_a_rule() -> None:
    low = np.zeros((20, 12))
    low[:10, 2:5] = 1
    routing = Routing.from_arrays("mine", {"high": np.ones((20, 12)), "low": low}, 4, blend={"base_ratio": 0.1})
    rules = [rule.model_dump(exclude_defaults=True) for rule in routing.rules]
    assert rules == [
        {"level": "high"},
        {"level": "low", "double": "2-3", "single": "0-0", "steps": "0-9"},
    ] or rules == [
        {"level": "high"},
        {"level": "low", "double": "2-3", "single": 0, "steps": "0-9"},
    ]
    assert routing.blend.base_ratio == 0.1


ONES = np.ones((4, 6))


@pytest.mark.parametrize(
    ("levels", "double", "more", "message"),
    [
        ({}, 2, {}, "levels: names none; valid: high, low, full"),
        ({"middle": ONES}, 2, {}, "levels: 'middle': no such level; valid"),
        ({"high": ONES, "low": np.ones((4, 5))}, 2, {}, r"different shapes \[\(4, 5\), \(4, 6\)\]"),
        ({"high": np.ones(4)}, 2, {}, r"levels\['high'\]: shape \(4,\); must be \[steps, blocks\]"),
        ({"high": [["x"]]}, 0, {}, r"levels\['high'\]: holds no numbers"),
        ({"high": ONES * 1.5}, 2, {}, r"levels\['high'\]: holds 1.5; must be 0 to 1"),
        ({"high": ONES * np.nan}, 2, {}, r"levels\['high'\]: holds nan; must be 0 to 1"),
        ({"high": ONES * 0}, 2, {}, "all arrays are zero"),
        ({"high": ONES}, 7, {}, "double_blocks: 7: must be from 0 to 6"),
        ({"high": ONES}, 2, {"isolate": np.ones((4, 5))}, r"isolate: shape \(4, 5\); must be \(4, 6\)"),
        ({"high": np.eye(4, 6)}, 2, {"isolate": ONES}, "isolate: true at step 0, block 1, where no level is visible"),
        ({"high": ONES}, 2, {"anchors": True}, "anchors: unknown key"),
    ],
)
def test_arrays_that_cannot_be(levels: Any, double: int, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Routing.from_arrays("mine", levels, double, **more)
