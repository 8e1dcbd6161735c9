"""`strata roles` and `strata calibrate`."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from strata.analysis.budget import Budget
from strata.commands.roles import _affordable
from strata.hierarchy.errors import InputError
from strata.layers.routing import Routing, presets
from strata.loading import MINIATURE_TEXT, locate
from strata.miniature import WEIGHTS
from strata.miniature.model.text import MAX_LENGTH
from tests.analysis.probes import make_clip
from tests.cli.conftest import Run

QUICK = ("--scenes", 2, "--images", 1, "--steps", 2, "--size", 128, "--block-window", 2, "--step-window", 1)


def test_whose_pictures_the_exact_scorer_knows(tiny_folder: Path) -> None:
    assert MINIATURE_TEXT == MAX_LENGTH
    assert locate("miniature").is_judged_exactly()
    assert locate(str(WEIGHTS)).is_judged_exactly()
    assert not locate(str(tiny_folder)).is_judged_exactly()


@pytest.mark.slow
def test_roles_of_any_model(strata: Run, here: Path, tiny_folder: Path) -> None:
    done = strata("roles", "--model", tiny_folder, "--kinds", "swap", "-o", "study", *QUICK)
    assert done.code == 0, done.err
    assert "another text, high level, window of blocks" in done.out
    assert "\n  structure " in done.out
    assert "\n  kind " not in done.out, "the exact scorer knows the miniature's pictures alone"
    report = json.loads((here / "study" / "roles.json").read_text())
    assert report["finding"] == "Nothing can be said: 2 scenes are too few for intervals; it takes at least 5."
    assert done.out.endswith(f"\n\n{report['finding']}\n")
    assert (report["blocks"], report["scenes"], report["steps"]) == ([2, 3], 2, 2)
    assert Image.open(here / "study" / "roles.png").width > 300
    before = (here / "study" / "journal.jsonl").read_bytes()
    again = strata("roles", "--model", tiny_folder, "--kinds", "swap", "-o", "study", *QUICK)
    assert (again.code, again.out) == (0, done.out)
    assert (here / "study" / "journal.jsonl").read_bytes() == before
    other = strata("roles", "--model", tiny_folder, "-o", "study", *QUICK, "--seed", 1)
    assert other.code == 2
    assert "holds results with seed 0, not 1; give another --out, or remove it" in other.err


@pytest.mark.slow
def test_a_study_of_roles_tells_its_cost_and_keeps_to_its_hours(strata: Run, here: Path, tiny_folder: Path) -> None:
    quick = ("--model", tiny_folder, "--kinds", "swap", "-o", "study", *QUICK[2:])
    refused = strata("roles", *quick, "--hours", 1e-9)
    assert refused.code == 2
    assert "--hours 1e-09: a run takes" in refused.err
    assert re.search(r"2 scenes \d+ (s|min); fewer --steps, --images or --kinds, a smaller --size or", refused.err)
    done = strata("roles", *quick, "--scenes", 3, "--hours", 1)
    assert done.code == 0, done.err
    assert "3 of 3 scenes, 45 runs of " in done.err
    again = strata("roles", *quick, "--scenes", 3, "--hours", 1e-9)
    assert (again.code, again.out) == (0, done.out), "what is there already costs nothing"


def test_hours_pay_for_so_many_scenes() -> None:
    assert _affordable([10, 10, 10], 36.0, None) == 3
    assert _affordable([10, 10, 10], 36.0, 0.2) == 2
    assert _affordable([0, 5, 10], 36.0, 0.15) == 3
    with pytest.raises(InputError, match=r"a run takes 36 s here and 2 scenes 12 min"):
        _affordable([10, 10, 10], 36.0, 0.19)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("roles", "--scenes", 1), "--scenes 1: intervals need at least 2"),
        (("roles", "--size", 100), "--size 100: must be a multiple of 128"),
        (("roles", "--block-window", 13), "window: 13 blocks: there are only 12"),
        (("roles", "--step-window", 21), "window: 21 steps: there are only 20"),
        (("roles", "--routing", "nosuch"), "routing 'nosuch'"),
        (("calibrate", "-o", "mine.json"), "--out 'mine.json': must be a .yaml file"),
        (("calibrate", "-o", "mine.yaml", "--budget", 10), "--budget 10: too few pictures"),
        (("calibrate", "-o", "mine.yaml", "--budget", "little"), "'little': must be a whole number of at least 1, or"),
        (("calibrate", "-o", "mine.yaml", "--price", -1), "argument --price: '-1': must be a number from 0"),
        (("calibrate", "-o", "mine.yaml", "--roles", "nowhere"), "nowhere/roles.json: cannot be read: No such file"),
    ],
)
def test_bad_input_is_told_before_anything_is_loaded(
    strata: Run, here: Path, arguments: tuple[object, ...], message: str
) -> None:
    done = strata(*arguments)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not (here / "out").exists()


def test_calibrating_a_model_whose_pictures_cannot_be_judged(strata: Run, here: Path, tiny_folder: Path) -> None:
    done = strata("calibrate", "--model", tiny_folder, "-o", "mine.yaml")
    assert done.code == 2
    assert "trained by its recipe only; name a CLIP model with --clip" in done.err


@pytest.mark.slow
def test_a_clip_model_judges_pictures_of_any_model(strata: Run, here: Path, tiny_folder: Path) -> None:
    (here / "clip").mkdir()
    make_clip(here / "clip")
    done = strata("roles", "--model", tiny_folder, "--kinds", "swap", "-o", "study", *QUICK, "--clip", here / "clip")
    assert done.code == 0, done.err
    assert "\n  kind " in done.out
    missing = strata("calibrate", "--model", tiny_folder, "-o", "mine.yaml", "--clip", "no/such folder")
    assert missing.code == 2
    assert "clip: 'no/such folder': holds no CLIP model" in missing.err


@pytest.mark.slow
def test_a_smoke_budget_goes_through_a_whole_calibration(strata: Run, here: Path, tiny_folder: Path) -> None:
    (here / "clip").mkdir()
    make_clip(here / "clip")
    tiny = ("--model", tiny_folder, "--clip", here / "clip", "--steps", 2, "--images", 1, "--size", 128)
    done = strata("calibrate", *tiny, "-o", "mine.yaml", "--budget", "smoke")
    assert done.code == 0, done.err
    assert "smoke budget shows that all works; what it finds is chance" in done.err
    scenes = Budget.smoke().scenes() + len(presets()) + 1
    assert f"at most {scenes} scenes of 1 pictures, " in done.err
    assert re.search(r": about \d+ (s|min)\n", done.err)
    assert (here / "mine-journal.jsonl").read_text().count("\n") <= 1 + scenes
    found = Routing.load(here / "mine.yaml")
    assert found.evidence is not None
    assert found.evidence["report_scenes"] == 1
    assert {row["routing"] for row in found.evidence["report"]} == {"mine", *presets()}


def test_a_routing_file_is_not_replaced_unasked(strata: Run, here: Path) -> None:
    (here / "mine.yaml").write_text("kept")
    done = strata("calibrate", "--model", WEIGHTS, "-o", "mine.yaml")
    assert done.code == 2
    assert "mine.yaml: is there already; --force replaces it" in done.err
    assert (here / "mine.yaml").read_text() == "kept"
