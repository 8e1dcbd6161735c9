"""The dial: what a setting shows, what is measured of a row of settings, and a small run that goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strata.analysis.dial import DIALS, MEASURES, SETTINGS, key, measured, result, scenes, study, table, turned
from strata.analysis.trials import Journal, Judge
from strata.injection.facts import ModelFacts, Stack
from strata.injection.program import compile_program
from strata.layers.routing import Routing
from strata.miniature.world.phrases import style_text
from tests.injection.conftest import make_text_to_image

ROUTING = Routing.load("isolate-first")
FACTS = ModelFacts("flux", (Stack("double", 2), Stack("single", 3)), 16, 64)


def test_content_says_all_but_the_style() -> None:
    found = scenes(10)
    assert found == scenes(10) != scenes(10, seed=1)
    assert [len(scene.things) for scene in found[:4]] == [1, 2, 1, 2]
    for scene in found:
        for region, thing in zip(scene.plan.regions, scene.things, strict=True):
            assert region.low == style_text(scene.style)
            assert str(thing.colour) in str(region.high)
            assert style_text(scene.style) not in str(region.high)


def visible(dial: str, setting: float) -> Any:
    """Strength of the first region's low text, [10 steps, 5 blocks]."""
    scene = scenes(1)[0]
    routing, overrides = turned(dial, setting, ROUTING, scene.plan, 10, 5)
    program = compile_program(scene.plan, routing, FACTS, 10, overrides=overrides)
    low = [stream.weight for stream in program.streams if stream.level == "low"]
    return low[0] if low else np.zeros((10, 5))


@pytest.mark.parametrize("dial", DIALS)
def test_a_dial_goes_from_nothing_to_everything(dial: str) -> None:
    shown = [float(visible(dial, setting).sum()) for setting in (0.0, 0.2, 0.6, 1.0)]
    assert shown[0] == 0
    assert shown == sorted(shown)
    assert shown[1] < shown[2] < shown[3] == 50


def test_what_each_dial_turns() -> None:
    assert visible("strength", 0.6) == pytest.approx(np.full((10, 5), 0.6))
    assert (visible("steps", 0.3) > 0).any(1).tolist() == [False] * 7 + [True] * 3
    assert (visible("depth", 0.4) > 0).any(0).tolist() == [True, True, False, False, False]


def test_what_is_measured_of_a_row() -> None:
    even = {"style": list(SETTINGS), "kept": [1.0] * 11, "moved": [0.1] * 10}
    assert measured(even) == pytest.approx([1, 1, 1, 1, 0.1])
    sudden = {"style": [0.0] * 6 + [0.9] * 5, "kept": [1.0] * 10 + [0.5], "moved": [0.0] * 5 + [0.4] + [0.0] * 4}
    assert measured(sudden)[:3] == [0.9, 0.5, 0.5]
    assert measured(sudden)[4] == 1
    still = {"style": [0.2] * 11, "kept": [1.0] * 11, "moved": [0.0] * 10}
    assert np.isnan(measured(still)[3:]).all()


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    pipe, _ = make_text_to_image()
    todo, path = scenes(2), tmp_path / "journal.jsonl"
    first = next(study(pipe, ROUTING, todo, 2, Journal(path, {}), Judge()))
    journal = Journal(path, {})
    rest = list(study(pipe, ROUTING, todo, 2, journal, Judge()))
    assert [first, *rest] == [key(dial, number) for number in range(2) for dial in DIALS]
    assert len(journal.rows["steps 0"]["style"]) == len(SETTINGS)
    found = result(journal, 2)
    assert [line.split()[0] for line in table(found).splitlines()[1:]] == list(DIALS)
    assert set(found["depth"]) == set(MEASURES)
