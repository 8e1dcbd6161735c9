"""Role studies: windows, what an intervention changes, resuming, and what comes out, on a model of random weights."""

import itertools
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strata.analysis.calibrate import stretch
from strata.analysis.role_plots import draw_beside, draw_roles
from strata.analysis.roles import (
    CHANGES,
    EXACT,
    Curve,
    Intervention,
    RolesSetup,
    curves,
    study,
    windows,
    write_report,
)
from strata.analysis.scripts import roles_beside
from strata.analysis.statistics import Estimate
from strata.analysis.trials import Journal, Judge, trials
from strata.hierarchy.errors import InputError
from strata.hierarchy.style import LEVELS, hex_of
from strata.injection.pipeline import RegionalPipeline
from strata.injection.streams import TextOverride
from strata.miniature.world.phrases import style_text
from tests.injection.conftest import make_text_to_image
from tests.rarely import rarely

SETUP = RolesSetup(scenes=2, images=1, steps=2, widths=(2, 1))
BLOCKS = 5


def test_windows_reach_both_ends() -> None:
    assert windows(5, 2, 1) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert windows(6, 4, 3) == [(0, 3), (2, 5)]
    assert windows(3, 3, 2) == [(0, 2)]
    with pytest.raises(InputError, match="window: 9 blocks: there are only 5"):
        RolesSetup(widths=(9, None)).interventions(BLOCKS)


def test_what_an_intervention_changes() -> None:
    (trial,) = trials(1)
    swap = Intervention("swap", "high", "blocks", (1, 2)).swap(trial, 2, BLOCKS)
    assert (swap.area, swap.text) == (trial.plan.regions[0].name, f"a {trial.other.kind}")
    assert np.asarray(swap.where).tolist() == [[False, True, True, False, False]] * 2
    alone = Intervention("alone", "low", "steps", (0, 0)).swap(trial, 2, BLOCKS)
    assert alone.text is None
    assert np.asarray(alone.where).tolist() == [[False] * BLOCKS, [True] * BLOCKS]
    assert np.asarray(Intervention("alone", "low", "blocks", None).swap(trial, 2, BLOCKS).where).all()
    everywhere = Intervention("swap", "low", "blocks", None).swap(trial, 2, BLOCKS)
    assert np.asarray(everywhere.where).all()
    assert trial.other.style is not None
    assert everywhere.text == f"{trial.other.colour}, {trial.other.surface}, {style_text(trial.other.style)}"


def test_content_is_what_high_texts_say_and_detail_what_low_texts_say() -> None:
    told = ("kind as told", "colour as told", "surface as told", "style as told")
    assert EXACT["alone", "high"] == told
    assert EXACT["alone", "low"] == (*told[1:], told[0])
    assert EXACT["swap", "high"] == ("kind as swapped", *told[1:])
    assert EXACT["swap", "low"] == ("colour as swapped", "surface as swapped", "style as swapped", told[0])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A study of two scenes that was stopped in the middle and gone on with."""
    pipe, _ = make_text_to_image()
    regional, todo = RegionalPipeline(pipe, "uniform"), trials(2, scale=1)
    path = tmp_path_factory.mktemp("study") / "journal.jsonl"
    first = study(regional, todo, SETUP, Journal(path, {}), Judge())
    before = [next(first) for _ in range(7)]
    after = list(study(regional, todo, SETUP, Journal(path, {}), Judge()))
    return before, after, Journal(path, {})


@pytest.fixture(scope="module")
def found(finished: Any) -> list[Curve]:
    return curves(finished[2], SETUP, BLOCKS, 2)


@pytest.mark.slow
def test_a_study_goes_on_where_it_was(finished: Any) -> None:
    before, after, journal = finished
    keys = [f"{n} {key}" for n in range(2) for key in ("unchanged", *(i.key for i in SETUP.interventions(BLOCKS)))]
    assert [*before, *after] == keys
    assert list(journal.rows) == keys


@pytest.mark.slow
def test_unchanged_pictures_do_not_change(finished: Any) -> None:
    assert all(finished[2].rows["0 unchanged"][name] == 0 for name in CHANGES)


@pytest.mark.parametrize("kind", ["alone", *rarely("swap")])
@pytest.mark.parametrize("level", ["high", "low"])
def test_every_intervention_changes_what_is_drawn(kind: Any, level: Any) -> None:
    pipe, _ = make_text_to_image()
    regional, (trial,) = RegionalPipeline(pipe, "uniform"), trials(1)

    def draw(*swaps: TextOverride) -> Any:
        return regional(trial.plan, seed=1, overrides=swaps, num_inference_steps=2, output_type="latent").images

    swaps = [i.swap(trial, 2, BLOCKS) for i in SETUP.interventions(BLOCKS) if (i.kind, i.level) == (kind, level)]
    drawn = [draw(), *(draw(swap) for swap in swaps)]
    assert not any(one.equal(other) for one, other in itertools.combinations(drawn, 2))
    assert draw(replace(swaps[0], where=False)).equal(drawn[0])


@pytest.mark.slow
def test_curves_of_a_study(finished: Any, found: list[Curve]) -> None:
    names = {(c.kind, c.level, c.axis) for c in found}
    assert len(names) == 8
    for curve in found:
        assert len(curve.points) == len(curve.windows) == (4 if curve.axis == "blocks" else 2)
        assert -1 <= curve.rank.value <= 1
    data = next(c for c in found if c.name == "structure change" and c.kind == "swap")
    assert data.least.value == 0 <= data.most.value
    with pytest.raises(InputError, match="intervals need at least 2"):
        curves(finished[2], SETUP, BLOCKS, 1)


@pytest.mark.slow
def test_the_figure_has_a_panel_for_each_kind_and_axis(found: list[Curve], tmp_path: Path) -> None:
    figure = draw_roles(found, 2, "a title")
    assert len(figure.axes) == 4
    figure.savefig(tmp_path / "roles.png")
    assert (tmp_path / "roles.png").stat().st_size > 10_000
    content = {line.get_color() for axis in figure.axes for line in axis.lines if "high" in str(line.get_label())}
    detail = {line.get_color() for axis in figure.axes for line in axis.lines if "low" in str(line.get_label())}
    assert content == {hex_of(LEVELS["high"])}
    assert hex_of(LEVELS["low"]) in detail
    assert len(figure.legends) == 1, "one for all panels"


def clear(curves: list[Curve]) -> list[Curve]:
    """The curves of a study in which a text everywhere makes a difference."""
    return [replace(c, most=Estimate(1, 0.9, 1), least=Estimate(0, 0, 0.1)) for c in curves]


@pytest.mark.slow
def test_studies_beside_each_other(found: list[Curve]) -> None:
    found = clear(found)
    figure = draw_beside({"one": found, "other": found}, 2, "a title")
    silent = [replace(c, most=c.least) if c.name == "kind as swapped" else c for c in found]
    assert len(draw_beside({"one": silent}, 2, "a title").axes) == 3, "nothing is drawn of what makes no difference"
    one_silent = draw_beside({"one": silent, "other": found}, 2, "a title").axes[0]
    assert [line.get_label() for line in one_silent.lines if line.get_label() in ("one", "other")] == ["other"]
    with pytest.raises(InputError, match="no difference beyond chance in any study"):
        draw_beside({"one": [replace(c, most=c.least) for c in found]}, 2, "a title")
    assert [axis.get_title() for axis in figure.axes] == [
        "kind (high text)",
        "colour (low text)",
        "surface (low text)",
        "style (low text)",
    ]
    assert all({line.get_label() for line in axis.lines} >= {"one", "other"} for axis in figure.axes)
    with pytest.raises(InputError, match="two: the study has no exact scores of swaps over blocks"):
        draw_beside({"two": [curve for curve in found if curve.kind == "alone"]}, 2, "a title")


@pytest.mark.slow
def test_the_script_draws_reports_beside_each_other(
    found: list[Curve], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study").mkdir()
    write_report(tmp_path / "study", clear(found), (2, 3), {}, "a title", "What was found.")
    script = Path(roles_beside.__file__)
    out = tmp_path / "beside.png"

    def run(*studies: str) -> None:
        monkeypatch.setattr(sys, "argv", [script.name, *studies, "--double", "2", "--out", str(out)])
        runpy.run_path(str(script), run_name="__main__")

    run(f"one={tmp_path / 'study'}", f"two={tmp_path / 'study'}")
    assert out.stat().st_size > 10_000
    for wrong, message in ((f"one={tmp_path}", "no report of `strata roles`"), ("study", "study: must be NAME=DIR")):
        with pytest.raises(SystemExit):
            run(wrong)
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_missing_matplotlib_is_named(found: list[Curve], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"figures need matplotlib: pip install 'strata-prompting\[analysis\]'"):
        draw_roles(found, 2, "a title")


def test_the_stretch_in_which_texts_act() -> None:
    places = [(i, i + 1) for i in range(4)]

    def curve(values: list[float]) -> Curve:
        points = tuple(Estimate(v, v, v) for v in values)
        ends = Estimate(0.1, 0.1, 0.1)
        return Curve("alone", "high", "blocks", "kind as told", tuple(places), points, ends, ends, ends, ends)

    assert stretch(curve([0.1, 0.9, 0.1, 0.1]), 5) == (0.2, 0.6)
    assert stretch(curve([0.1, 0.1, 0.1, 0.1]), 5) == (0.0, 1.0)
    assert stretch(curve([0.9, 0.1, 0.1, 0.1]), 5) == (0.0, 0.4)
