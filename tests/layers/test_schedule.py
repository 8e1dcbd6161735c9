"""Resolving: percent ranges partition, exact ranges rescale without loss, overlaps take the maximum."""

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import LEVELS
from strata.hierarchy.ramp import Ramp
from strata.layers.ramp import over_steps
from strata.layers.ranges import Indices, Percent, compact, runs
from strata.layers.routing import Blend, Routing, Rule

COUNT = st.integers(1, 64)


def routing(*rules: dict[str, Any], **head: Any) -> Routing:
    return Routing.model_validate({"name": "test", **head, "rules": [{"level": "high", **rule} for rule in rules]})


# Percent ranges


@given(st.lists(st.decimals("0.1", "99.9", places=1), max_size=5, unique=True), st.integers(2, 200))
def test_percent_ranges_that_meet_partition_the_positions(cuts: list[Any], count: int) -> None:
    edges = ["0", *map(str, sorted(cuts)), "100"]
    ranges = [Percent.parse(f"{a}%-{b}%") for a, b in pairwise(edges)]
    assert (np.sum([part.select(count) for part in ranges], axis=0) == 1).all()


def test_a_single_position_belongs_to_every_percent_range() -> None:
    assert Percent.parse("0%-33%").select(1).all()
    assert Percent.parse("66%-100%").select(1).all()


@pytest.mark.parametrize(
    ("steps", "count", "selected"), [("0%-20%", 2, [0]), ("20%-24%", 2, [0]), ("90%-100%", 3, [2]), ("0%-20%", 3, [0])]
)
def test_a_percent_range_shorter_than_a_step_has_the_step_of_its_centre(
    steps: str, count: int, selected: list[int]
) -> None:
    assert np.flatnonzero(routing({"steps": steps}).resolve(1, 1, count).routed_steps).tolist() == selected


@pytest.mark.parametrize("count", [2, 4, 10])
def test_a_percent_range_of_whole_steps_has_as_many_wherever_it_begins(count: int) -> None:
    """Also from midpoint to midpoint, with its centre on the edge of a step."""
    for start in range(2 * count - 1):
        for length in range(1, count - start // 2 - start % 2 + 1):
            ends = (50 / count * start, 50 / count * (start + 2 * length))
            resolved = routing({"steps": f"{ends[0]}%-{ends[1]}%"}).resolve(1, 1, count)
            first = start // 2
            assert np.flatnonzero(resolved.routed_steps).tolist() == [*range(first, first + length)]


def test_percent_counts_double_then_single_blocks() -> None:
    schedule = routing({"depth": "0%-33%"}).resolve(19, 38, 1)
    assert np.flatnonzero(schedule.routed[0]).tolist() == list(range(19))
    schedule = routing({"depth": "0%-50%", "steps": "0%-50%"}).resolve(3, 5, 7)
    assert np.flatnonzero(schedule.routed[0]).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(schedule.routed_steps).tolist() == [0, 1, 2]  # the midpoint of step 3 of 7 is 50%


# Exact ranges


@pytest.mark.parametrize(
    ("rule", "double", "single"),
    [
        ({}, [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]),
        ({"double": "1-2"}, [1, 2], []),
        ({"single": "all"}, [], [0, 1, 2, 3, 4, 5]),
        ({"double": 3, "single": [0, "2-3"]}, [3], [0, 2, 3]),
        ({"double": "0-1,3", "single": "5"}, [0, 1, 3], [5]),
        ({"every": 2}, [0, 2], [0, 2, 4]),
        ({"single": "1-5", "every": 3}, [], [3]),
        ({"depth": "50%-100%", "every": 2}, [], [2, 4]),
    ],
)
def test_block_selectors(rule: dict[str, Any], double: list[int], single: list[int]) -> None:
    schedule = routing(rule).resolve(4, 6, 2)
    for step in schedule.routed:
        assert np.flatnonzero(step[:4]).tolist() == double
        assert np.flatnonzero(step[4:]).tolist() == single


@pytest.mark.parametrize(
    ("steps", "selected"),
    [(None, range(8)), (3, range(3)), (50, range(8)), ("2-4", range(2, 5)), ("0-1,7", [0, 1, 7]), ([5], [5])],
)
def test_step_selectors(steps: Any, selected: Any) -> None:
    schedule = routing({"steps": steps}).resolve(1, 1, 8)
    assert np.flatnonzero(schedule.routed_steps).tolist() == list(selected)


@given(st.sets(st.integers(0, 37), min_size=1), COUNT, st.integers(1, 3))
def test_rescaled_ranges_lose_nothing(chosen: set[int], count: int, every: int) -> None:
    indices = Indices.parse(sorted(chosen))
    rescaled = indices.rescaled(38, count, every)
    named = indices.select(38)
    positions = np.arange(0, count, every)
    under = (2 * positions + 1) * 38 // (2 * count)
    assert rescaled[positions][named[under]].all()  # what lies under a midpoint is there
    assert not np.delete(rescaled, positions).any()
    missed = [
        (start, stop)
        for start, stop in runs(named)
        if any(index % every == 0 for index in range(start, stop)) and not set(range(start, stop)) & set(under.tolist())
    ]
    assert np.count_nonzero(rescaled[positions] & ~named[under]) <= len(missed), "and no more than a block a lost run"
    if any(index % every == 0 for index in chosen):
        assert rescaled.any()
    if every == 1:
        for start, stop in runs(named):  # and every run is met within one block of where it lies
            near = rescaled[max(0, start * count // 38 - 1) : stop * count // 38 + 2]
            assert near.any()


@given(st.sets(st.integers(0, 18), min_size=1), st.integers(1, 4))
def test_rescaling_by_a_whole_factor_repeats_each_block(chosen: set[int], factor: int) -> None:
    indices = Indices.parse(sorted(chosen))
    assert np.array_equal(indices.rescaled(19, 19 * factor), np.repeat(indices.select(19), factor))


def test_all_means_all_on_any_model() -> None:
    assert Indices(None).last == -1
    assert Indices.parse("all").select(3).all()
    schedule = routing({"double": "all", "single": 3}, model={"double": 0, "single": 38}).resolve(3, 2, 1)
    assert schedule.routed.tolist() == [[True, True, True, True, False]]


def test_a_range_beyond_the_routings_own_model_names_that_model() -> None:
    written = routing({"single": "0-40"}, model={"double": 19, "single": 38})
    with pytest.raises(
        InputError, match=r"valid: 0-37.*the model that the routing is for, with 19 double and 38 single"
    ):
        written.resolve(4, 8, 10)


@pytest.mark.parametrize(
    ("share", "step"), [("90.1%-90.2%", 90), ("99.9%-100%", 99), ("0%-0.1%", 0), ("49.9%-50.05%", 49)]
)
def test_a_part_of_the_run_shorter_than_a_step_has_the_step_it_is_in(share: str, step: int) -> None:
    routing = Routing.from_yaml(f"name: a\nrules: [{{level: high, steps: {share}}}]")
    assert np.flatnonzero(routing.resolve(1, 1, 100).routed_steps).tolist() == [step]


def test_a_schedule_tells_that_it_was_rescaled() -> None:
    written = routing({"double": "0-1,17-18", "single": "6,9,34-35,37"}, model={"double": 19, "single": 38})
    exact = written.resolve(19, 38, 4)
    assert not exact.rescaled
    assert np.flatnonzero(exact.routed[0]).tolist() == [0, 1, 17, 18, *(19 + i for i in (6, 9, 34, 35, 37))]
    small = written.resolve(4, 8, 4)
    assert small.rescaled
    assert np.flatnonzero(small.routed[0]).tolist() == [0, 3, 5, 11]
    assert (
        not routing({"depth": "0%-50%"}, {"single": "all"}, model={"double": 19, "single": 38})
        .resolve(4, 8, 4)
        .rescaled
    )


@given(st.data(), COUNT, COUNT, st.integers(1, 30))
def test_resolving_never_leaves_a_rule_without_effect(
    data: st.DataObject, double: int, single: int, steps: int
) -> None:
    percent = st.tuples(st.integers(0, 99), st.integers(1, 100)).filter(lambda ends: ends[0] < ends[1])
    rule = {
        "depth": data.draw(st.none() | percent.map(lambda ends: f"{ends[0]}%-{ends[1]}%")),
        "every": data.draw(st.integers(1, 4)),
        "steps": data.draw(st.none() | st.integers(1, 40) | percent.map(lambda ends: f"{ends[0]}%-{ends[1]}%")),
        "strength": data.draw(st.sampled_from([1.0, 0.1, {"from": 0, "to": 1}, {"from": 1, "to": 0}])),
    }
    try:
        schedule = routing(rule).resolve(double, single, steps)
    except InputError:
        with pytest.raises(InputError, match="matches no"):
            routing(rule).resolve(double, single, steps)
        return
    assert schedule.routed.any()
    assert schedule.strength("high", "anything").any()


# Strengths, isolation, base ratio


@given(
    st.lists(
        st.tuples(
            st.sampled_from(LEVELS),
            st.sampled_from([None, ["dog"], ["dog", "background"]]),
            st.integers(0, 5),
            st.integers(1, 9),
            st.sampled_from([0.25, 0.5, 1.0]),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_overlapping_rules_take_the_strongest_and_isolate_if_any_does(specs: list[Any]) -> None:
    rules = [
        {
            "level": level,
            "regions": regions,
            "single": f"{block}-5",
            "steps": steps,
            "strength": strength,
            "isolate": isolate,
        }
        for level, regions, block, steps, strength, isolate in specs
    ]
    schedule = routing(*rules).resolve(2, 6, 9)
    isolate = np.zeros((9, 8), dtype=bool)
    routed = np.zeros((9, 8), dtype=bool)
    strengths = {(level, area): np.zeros((9, 8)) for level in LEVELS for area in ("dog", "cat", "background", "global")}
    for level, regions, block, steps, strength, isolated in specs:
        here = np.s_[:steps, 2 + block :]
        routed[here] = True
        isolate[here] |= isolated
        for (known, area), expected in strengths.items():
            if known == level and (regions is None or area in regions):
                expected[here] = np.maximum(expected[here], strength)
    assert np.array_equal(schedule.routed, routed)
    assert np.array_equal(schedule.isolate, isolate)
    assert np.array_equal(schedule.routed_steps, routed.any(axis=1))
    for (level, area), expected in strengths.items():
        assert np.array_equal(schedule.strength(level, area), expected)
    assert schedule.levels == tuple(level for level in LEVELS if level in {spec[0] for spec in specs})


def test_ramps_run_over_the_rules_own_steps() -> None:
    schedule = routing({"steps": "2-6", "strength": {"from": 1, "to": 0.2}}).resolve(1, 0, 9)
    assert schedule.strength("high", "dog")[:, 0] == pytest.approx([0, 0, 1, 0.8, 0.6, 0.4, 0.2, 0, 0])
    assert schedule.strength("high", "dog").dtype == np.float32


def test_a_ramp_with_one_step_is_its_mean_and_a_gap_counts_as_time() -> None:
    assert over_steps(Ramp(0, 1), np.array([False, False])).tolist() == [0, 0]
    assert over_steps(Ramp(0, 1), np.array([False, True])).tolist() == [0, 0.5]
    assert over_steps(Ramp(0, 1), np.array([True, False, True, False, True])).tolist() == [0, 0, 0.5, 0, 1]


def test_where_a_ramp_is_zero_nothing_is_routed_or_isolated() -> None:
    schedule = routing({"strength": {"from": 1, "to": 0}, "isolate": True}).resolve(1, 1, 3)
    assert schedule.routed_steps.tolist() == [True, True, False]
    assert schedule.isolate.any(axis=1).tolist() == [True, True, False]


@given(st.sets(st.integers(0, 11), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_the_base_ratio_runs_from_the_first_to_the_last_routed_step(steps: set[int], start: float, end: float) -> None:
    rule = Rule.model_validate({"level": "low", "steps": sorted(steps)})
    ratio = Routing(name="test", blend=Blend(base_ratio=Ramp(start, end)), rules=(rule,)).resolve(1, 1, 12).base_ratio
    assert ratio.dtype == np.float32
    assert not ratio[[step for step in range(12) if step not in steps]].any()
    if len(steps) > 1:
        assert ratio[[min(steps), max(steps)]] == pytest.approx([start, end])
    assert (ratio >= 0).all()
    assert (ratio <= 1).all()


def test_arrays_are_read_only() -> None:
    schedule = routing({}).resolve(1, 1, 2)
    for array in (schedule.isolate, schedule.routed, schedule.routed_steps, schedule.base_ratio):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# Errors and words


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (
            "single: 0-37",
            "single: '0-37': index 37 is out of range (valid: 0-11) in a model with 4 double and 12 single",
        ),
        ("double: 4", "double: '4': index 4 is out of range (valid: 0-3)"),
        ("single: 1, every: 2", "single: '1' with every: 2: matches no block of a model with 4 double and 12 single"),
        ("depth: 0%-1%", "depth: '0%-1%': matches no block"),
        ("steps: 0-20", "steps: '0-20': index 20 is out of range (valid: 0-9) in 10 steps"),
        ('steps: "5-20,0"', "steps: '5-20,0': index 20 is out of range (valid: 0-9) in 10 steps"),
    ],
)
def test_a_rule_without_a_match_names_file_line_rule_value_and_counts(rule: str, complaint: str) -> None:
    written = Routing.from_yaml(f"name: test\nrules:\n  - {{level: low}}\n  - {{level: high, {rule}}}\n", "my.yaml")
    with pytest.raises(InputError, match=f"^{re.escape('my.yaml:4: rules[1].' + complaint)}"):
        written.resolve(4, 12, 10)


def test_a_family_that_the_model_lacks() -> None:
    with pytest.raises(InputError, match="there are none"):
        routing({"double": 0}).resolve(0, 3, 1)
    with pytest.raises(InputError, match=r"matches no block .*; name other blocks, or a depth"):
        routing({"double": 0}, model={"double": 19, "single": 38}).resolve(0, 3, 1)
    assert routing({"double": "all", "single": 1}).resolve(0, 3, 1).routed.tolist() == [[False, True, False]]


@pytest.mark.parametrize("counts", [(0, 0, 4), (-1, 3, 4), (1, 1, 0)])
def test_impossible_models_and_runs(counts: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="at least"):
        routing({}).resolve(*counts)


def test_regions_must_be_in_the_plan() -> None:
    schedule = routing({}, {"regions": ["dog", "background", "global"]}).resolve(1, 1, 1)
    schedule.check_areas(["cat", "dog"])
    with pytest.raises(
        InputError, match=r"^routing 'test': rules\[1\].regions: 'dog': .*did you mean 'dogs'.*valid: dogs, "
    ):
        schedule.check_areas(["dogs"])


def test_summary_says_each_rule_in_a_line() -> None:
    schedule = routing(
        {"level": "low", "depth": "0%-33%", "steps": "0%-50%"},
        {
            "double": [0, 3],
            "single": "1-2,5",
            "steps": 3,
            "strength": {"from": 1, "to": 0.5},
            "isolate": True,
            "regions": ["a", "b"],
        },
        {"every": 2},
    ).resolve(4, 8, 20)
    assert schedule.summary() == [
        "low: blocks double 0-3, steps 0-9 of 20, strength 1",
        "high: blocks double 0, 3 and single 1-2, 5, steps 0-2 of 20, strength 1 to 0.5, regions isolated, only a, b",
        "high: blocks double 0, 2 and single 0-6 every 2, steps 0-19 of 20, strength 1",
    ]


@pytest.mark.parametrize(
    ("selected", "text"),
    [
        ("1010100", "0-4 every 2"),
        ("0110110", "1-2, 4-5"),
        ("0100100", "1, 4"),
        ("1001001", "0-6 every 3"),
        ("111", "0-2"),
    ],
)
def test_compact_text(selected: str, text: str) -> None:
    assert compact(np.array([character == "1" for character in selected])) == text


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_compact_text_names_exactly_the_selected(selected: list[bool]) -> None:
    text = compact(np.array(selected))
    if " every " in text:
        span, every = text.split(" every ")
        start, stop = map(int, span.split("-"))
        named = set(range(start, stop + 1, int(every)))
    else:
        named = set(np.flatnonzero(Indices.parse(text).select(len(selected))).tolist())
    assert named == set(np.flatnonzero(selected).tolist())
