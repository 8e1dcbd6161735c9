"""Balance: other base ratios and steps by the number and size of a plan's regions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Region, ScenePlan
from strata.layers.balance import Balance, Count, mean_area
from strata.layers.routing import Routing

TEXT = """\
name: mine
blend: {base_ratio: 0.2}
rules:
  - {level: high, steps: 0%-50%, isolate: true}
  - {level: high, steps: 50%-100%}
  - {level: low}
  - {level: full, steps: 2}
balance:
  - {regions: 1-2, base_ratio: 0.3, steps: 0%-60%}
  - {regions: 3+, area: 0%-15%, base_ratio: {from: 0.4, to: 0}}
  - {regions: 4, steps: 20%-100%}
"""


def routing(*entries: str) -> Routing:
    lines = "".join(f"  - {{{entry}}}\n" for entry in entries)
    return Routing.from_yaml(f"name: a\nrules: [{{level: high}}]\nbalance:\n{lines}", name="my.yaml")


def test_the_first_entry_that_fits_holds() -> None:
    written = Routing.from_yaml(TEXT)
    assert [str(entry) for entry in written.balance] == [
        "1-2 regions: base ratio 0.3, steps 0%-60%",
        "3+ regions, 0%-15% of the canvas each: base ratio 0.4 to 0",
        "4 regions: steps 20%-100%",
    ]
    one = written.balanced(1, 0.5)
    assert one.blend.base_ratio == 0.3
    assert [rule.model_dump(mode="json")["steps"] for rule in one.rules] == ["0%-30%", "30%-60%", "0%-60%", 2]
    small = written.balanced(8, 0.12)
    assert str(small.blend.base_ratio) == "0.4 to 0"
    assert small.rules == written.rules
    four = written.balanced(4, 0.2)
    assert four.blend.base_ratio == 0.2
    assert [rule.model_dump(mode="json")["steps"] for rule in four.rules] == ["20%-60%", "60%-100%", "20%-100%", 2]
    for found in (one, small, four):
        assert found.balance == ()
        assert found.balanced(1, 0.5) == found
    assert written.balanced(3, 0.2) == written.model_copy(update={"balance": ()})
    assert written.balance, "the written routing is left as it is"


def test_ranges_that_meet_still_meet_and_none_is_lost() -> None:
    schedule = Routing.from_yaml(TEXT).balanced(2, 0.5).resolve(4, 8, 20)
    assert np.flatnonzero(schedule.strength("low", "")[:, 0]).tolist() == list(range(12))
    assert np.flatnonzero(schedule.isolate[:, 0]).tolist() == list(range(6))
    assert np.flatnonzero(schedule.strength("high", "")[:, 0]).tolist() == list(range(12))


def test_areas_are_half_open_but_for_the_whole_canvas() -> None:
    small, large = (Balance.model_validate({"area": area, "base_ratio": 0.1}) for area in ("0%-7%", "7%-100%"))
    for share in (0.0, 0.05, 0.07, 0.3, 1.0):
        assert small.fits(1, share) == (share < 0.07)
        assert large.fits(1, share) == (share >= 0.07)


def test_a_plans_own_balance() -> None:
    regions = (Region(name="a", box=(0, 0, 32, 64), high="x"), Region(name="b", box=(32, 0, 48, 64), high="y"))
    plan = ScenePlan(width=64, height=64, prompt="two", regions=regions)
    assert mean_area(plan) == 0.375
    assert mean_area(ScenePlan(width=64, height=64, prompt="none")) == 0
    by_area = routing("area: 0%-37.5%, base_ratio: 0.1", "area: 37.5%-40%, base_ratio: 0.5")
    assert by_area.balanced_for(plan).blend.base_ratio == 0.5
    assert routing("regions: 2, base_ratio: 0.4").balanced_for(plan).blend.base_ratio == 0.4
    either = routing("regions: 5+, base_ratio: 0.1", "area: 37.5%-40%, base_ratio: 0.5")
    assert either.balanced_for(plan).blend.base_ratio == 0.5, "where some entries alone are about areas"


def test_a_mask_that_cannot_be_read_is_told_as_the_plans_fault(tmp_path: Path) -> None:
    text = "width: 64\nheight: 64\nprompt: a\nregions:\n  - {name: a, mask: gone.png, high: x}\n"
    plan = ScenePlan.from_yaml(text, "plan.yaml", tmp_path)
    assert routing("regions: 1, base_ratio: 0.4").balanced_for(plan).blend.base_ratio == 0.4
    with pytest.raises(InputError, match=r"plan.yaml:5: regions\[0\].mask: .*gone.png"):
        routing("area: 0%-50%, base_ratio: 0.4").balanced_for(plan)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("regions: 2", "balance[0]: must have base_ratio, steps or both"),
        ("regions: -1, base_ratio: 0", "balance[0].regions: -1: expected a number of regions such as 2,"),
        ("regions: true, base_ratio: 0", "balance[0].regions: true: expected a number of regions"),
        ("regions: 3-1, base_ratio: 0", "balance[0].regions: '3-1': the range '3-1' runs backwards; write \"1-3\""),
        ("area: 0-15, base_ratio: 0", "balance[0].area: '0-15': expected a percent range"),
        ("regions: 2, base_ratio: 1.5", "balance[0].base_ratio: 1.5: must be from 0 to 1"),
        ("regions: 2, steps: 10", "balance[0].steps: 10: expected a percent range"),
        ("regions: 2, ratio: 0.2", "balance[0].ratio: unknown key: did you mean 'base_ratio'? valid keys: regions,"),
    ],
)
def test_a_wrong_entry_is_refused_with_file_line_field_and_choices(entry: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        routing(entry)
    assert str(caught.value).startswith(f"my.yaml:4: {told}")


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ("regions: 1+, base_ratio: 0", "regions: 3, base_ratio: 1", True),
        ("base_ratio: 0", "regions: 3, area: 0%-10%, base_ratio: 1", True),
        ("regions: 1-3, area: 0%-20%, base_ratio: 0", "regions: 2-3, area: 5%-20%, steps: 0%-10%", True),
        ("area: 0%-100%, base_ratio: 0", "base_ratio: 1", True),
        ("base_ratio: 0", "regions: 0, base_ratio: 1", True),
        ("regions: 0+, base_ratio: 0", "base_ratio: 1", True),
        ("regions: 1+, base_ratio: 0", "base_ratio: 1", False),
        ("area: 0%-99%, base_ratio: 0", "base_ratio: 1", False),
        ("regions: 1-3, base_ratio: 0", "regions: 3-4, base_ratio: 1", False),
        ("regions: 1-3, base_ratio: 0", "regions: 3+, base_ratio: 1", False),
        ("regions: 1-3, area: 0%-20%, base_ratio: 0", "regions: 1-3, base_ratio: 1", False),
    ],
)
def test_an_entry_that_can_never_hold_is_refused(first: str, second: str, hidden: bool) -> None:
    if not hidden:
        assert len(routing(first, second).balance) == 2
        return
    with pytest.raises(InputError, match=r"my.yaml:5: balance\[1\]: never holds: balance\[0\] comes first"):
        routing(first, second)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 40))
def test_counts(first: int, more: int, asked: int) -> None:
    assert Count.parse(f"{first}-{first + more}").holds(asked) == (first <= asked <= first + more)
    assert Count.parse(f"{first}+").holds(asked) == (asked >= first)
    assert Count.parse(first) == Count.parse(str(first)) == Count.parse(f"{first}-{first}")
    for count in (Count(first, None), Count(first, first + more)):
        assert Count.parse(str(count)) == count


@pytest.mark.parametrize("evidence", [{"x": float("nan")}, {"x": object()}, {"x": {1: 2}}, [1]])
def test_evidence_is_plain_data(evidence: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        Routing.model_validate({"name": "a", "rules": [{"level": "high"}], "evidence": evidence})


def test_evidence_is_kept_and_the_routing_can_still_be_hashed(tmp_path: Path) -> None:
    evidence = {"model": "miniature", "scenes": 96, "report": [{"routing": "mine", "score": [0.9, 0.88, 0.92]}]}
    mine = Routing.model_validate({"name": "a", "rules": [{"level": "high"}], "evidence": evidence})
    mine.save(tmp_path / "a.yaml")
    mine.save(tmp_path / "a.json")
    for name in ("a.yaml", "a.json"):
        assert Routing.load(tmp_path / name) == mine
        assert Routing.load(tmp_path / name).evidence == evidence
    assert hash(mine) == hash(Routing.load(tmp_path / "a.yaml"))
