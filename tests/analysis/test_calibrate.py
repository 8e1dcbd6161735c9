"""Calibration: candidates as routings, the halving, the rule for numbers of regions, the report."""

from dataclasses import replace
from pathlib import Path

import pytest

from strata.analysis.budget import LAYOUTS, Budget
from strata.analysis.calibrate import (
    Candidate,
    Examiner,
    LayoutBalance,
    balance_entries,
    calibrated,
    candidates,
    routing_key,
    scenes,
    search_balance,
    successive_halving,
)
from strata.analysis.calibration import report
from strata.analysis.trials import Journal, Judge, trials
from strata.hierarchy.errors import InputError
from strata.layers.routing import Routing
from strata.miniature.checkpoint import load_pipeline


def test_a_candidate_as_a_routing() -> None:
    routing = Candidate(high=(0.25, 0.5), isolate=0.5, until=0.75, base_ratio=0.1).routing("c")
    schedule = routing.resolve(4, 8, 20)
    high, low = schedule.strength("high", "left") > 0, schedule.strength("low", "left") > 0
    assert high.any(0).tolist() == [False] * 3 + [True] * 3 + [False] * 6
    assert (low.any(0).all(), low.any(1).sum()) == (True, 15)
    assert schedule.isolate[:10].any(1).all()
    assert not schedule.isolate[10:].any()
    assert schedule.base_ratio[0] == pytest.approx(0.1)
    assert Candidate(isolate=1.0).routing().resolve(4, 8, 20).isolate.all()
    assert not Candidate(isolate=0.0).routing().resolve(4, 8, 20).isolate.any()


def test_the_first_candidate_is_the_default_preset() -> None:
    (trial,) = trials(1)
    default = Routing.load("isolate-first").balanced_for(trial.plan).resolve(4, 8, 20)
    first = Candidate().routing().resolve(4, 8, 20)
    assert (default.isolate == first.isolate).all()
    assert (default.strength("low", "a") == first.strength("low", "a")).all()
    assert first.routing.blend.base_prompt == "plan", "beside a prompt that says everything nothing could be told apart"


def test_candidates_are_not_drawn_twice() -> None:
    found = candidates(500, {"high": (0.1, 0.4), "low": (0.4, 0.9)})
    assert len(set(found)) == len(found)
    assert found[0] == Candidate()
    assert candidates(20, {}, seed=1) == candidates(20, {}, seed=1) != candidates(20, {}, seed=2)
    assert any(c.high == (0.1, 0.4) for c in found)


def test_candidates_beyond_a_price_are_passed_over() -> None:
    found = candidates(30, {}, affordable=lambda candidate: candidate.until < 1)
    assert len(found) == 30
    assert all(candidate.until < 1 for candidate in found)
    assert candidates(30, {}, affordable=lambda candidate: False) == []


def test_what_a_routing_costs(tmp_path: Path) -> None:
    examiner = Examiner(load_pipeline(), Judge(), Journal(tmp_path / "journal.jsonl", {}), {"num_inference_steps": 4})
    todo = [trial for _, trial in scenes((2, True), 2, "search", 1)]
    everywhere, half, early = (
        Candidate(),
        Candidate(isolate=0.5, until=0.5),
        Candidate(high=(0.0, 0.5), low=(0.0, 0.5)),
    )
    cost, of_half, of_early = (examiner.cost(candidate.routing(), todo) for candidate in (everywhere, half, early))
    assert cost is not None
    assert of_half == pytest.approx((1 + cost) / 2, abs=0.01), "after half of the steps it is plain FLUX"
    assert of_early is not None
    assert 1 < of_early < cost, "texts are dropped after the last block in which they are visible"
    prices = (replace(examiner, price=price) for price in (0.5, 10.0, None))
    assert [dear.affords(everywhere, 1) for dear in prices] == [False, True, True]


def test_a_routing_counts_as_the_same_whatever_it_is_called() -> None:
    assert routing_key(Candidate().routing("a")) == routing_key(Candidate().routing("b"))
    assert routing_key(Candidate().routing()) != routing_key(Candidate(base_ratio=0.1).routing())


def test_the_rule_joins_numbers_and_sizes_that_agree() -> None:
    rows = [
        LayoutBalance(1, 0.25, 0.2, 1.0, 0.9, 0.9),
        LayoutBalance(1, 0.5, 0.35, 1.0, 0.9, 0.9),
        LayoutBalance(2, 0.25, 0.2, 0.6, 0.9, 0.9),
        LayoutBalance(2, 0.5, 0.2, 0.6, 0.9, 0.9),
        LayoutBalance(4, 0.25, 0.2, 0.6, 0.9, 0.9),
        LayoutBalance(6, 0.17, 0.0, 1.0, 0.9, 0.9),
        LayoutBalance(8, 0.125, 0.0, 1.0, 0.9, 0.9),
    ]
    entries = balance_entries(rows)
    assert entries == [
        {"regions": "1", "base_ratio": 0.2, "steps": "0%-100%", "area": "0%-37.5%"},
        {"regions": "1", "base_ratio": 0.35, "steps": "0%-100%"},
        {"regions": "2-5", "base_ratio": 0.2, "steps": "0%-60%"},
        {"regions": "6+", "base_ratio": 0.0, "steps": "0%-100%"},
    ]
    routing = calibrated("mine", Candidate(), rows, "miniature")
    assert Routing.from_yaml(routing.to_yaml()) == routing
    assert routing.balanced(1, 0.25).blend.base_ratio == 0.2
    assert routing.balanced(1, 0.5).blend.base_ratio == 0.35
    assert routing.balanced(12, 0.05).blend.base_ratio == 0.0


def test_no_scene_serves_two_purposes() -> None:
    for layout in LAYOUTS:
        sets = [{t.seed for _, t in scenes(layout, 20, purpose, 1)} for purpose in ("search", "balance", "report")]
        assert len(set.union(*sets)) == 60


def test_a_budget_is_kept_or_refused() -> None:
    assert Budget.of(3000, 1).candidates >= Budget.of(1500, 1).candidates
    with pytest.raises(InputError, match=r"budget 10: too few pictures.* at least 768, or smoke"):
        Budget.of(10, 2)
    assert Budget.of(768, 2).scenes() == 384
    with pytest.raises(InputError, match="at least 768"):
        Budget.of(767, 2)


def test_how_much_a_budget_draws() -> None:
    one = Budget(6, (1, 3), (1, 4), searched=((1, True), (2, True)), layouts=((2, True), (8, True)))
    assert one.scenes() == 2 * (6 + 2 * 2) + 2 * (16 + (6 + 1) * 3)
    assert one.work(0, 0) == 2 * 10 + 3 * 37, "eight regions take two canvases"
    assert one.work(10, 2) == one.work(0, 0) + 3 * 20
    assert Budget.smoke().work(10, 1) == Budget.smoke().scenes() + 10 < 20


@pytest.mark.slow
def test_the_search_prefers_what_draws_better(tmp_path: Path) -> None:
    told: list[int] = []
    journal = Journal(tmp_path / "journal.jsonl", {})
    examiner = Examiner(load_pipeline(), Judge(), journal, {"num_inference_steps": 12}, 1, told.append)
    deaf = Candidate(high=(0.0, 0.1), low=(0.9, 1.0), isolate=0.0, base_ratio=0.5)
    ranked = successive_halving(examiner, [deaf, Candidate()], (3,), ((2, True),), 1)
    assert ranked[0][0] == Candidate()
    assert ranked[0][1] > ranked[1][1]
    balance = search_balance(examiner, Candidate(), (2, True), Budget(1, (1,), (1, 2)), 1)
    assert balance.score >= balance.score_as_written
    assert balance.area == 0.5
    mine = calibrated("mine", Candidate(), [balance], "miniature")
    rows = report(examiner, mine, [deaf.routing("deaf")], 1, 1)
    assert {row.routing for row in rows} == {"mine", "deaf"}
    assert len(rows[0].by_regions) == len(LAYOUTS)
    drawn = len(journal.rows)
    report(examiner, mine, [deaf.routing("deaf")], 1, 1)
    assert len(journal.rows) == drawn, "what is in the journal is not drawn again"
