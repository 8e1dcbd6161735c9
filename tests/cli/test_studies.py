"""`strata roles` and `strata calibrate`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from strata.miniature import WEIGHTS
from tests.analysis.probes import make_clip
from tests.cli.conftest import Run

QUICK = ("--scenes", 2, "--images", 1, "--steps", 2, "--size", 64, "--block-window", 2, "--step-window", 1)


def test_roles_of_any_model(strata: Run, here: Path, tiny_folder: Path) -> None:
    done = strata("roles", "--model", tiny_folder, "--kinds", "swap", "-o", "study", *QUICK)
    assert done.code == 0, done.err
    assert "another text, high level, window of blocks" in done.out
    assert "structure change" in done.out
    assert "shape as swapped" not in done.out, "the exact scorer knows the miniature's pictures alone"
    report = json.loads((here / "study" / "roles.json").read_text())
    assert (report["blocks"], report["scenes"], report["steps"]) == ([2, 3], 2, 2)
    assert Image.open(here / "study" / "roles.png").width > 300
    before = (here / "study" / "journal.jsonl").read_bytes()
    again = strata("roles", "--model", tiny_folder, "--kinds", "swap", "-o", "study", *QUICK)
    assert (again.code, again.out) == (0, done.out)
    assert (here / "study" / "journal.jsonl").read_bytes() == before
    other = strata("roles", "--model", tiny_folder, "-o", "study", *QUICK, "--seed", 1)
    assert other.code == 2
    assert "holds results with seed 0, not 1; give another --out, or remove it" in other.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("roles", "--scenes", 1), "--scenes 1: intervals need at least 2"),
        (("roles", "--size", 100), "--size 100: must be a multiple of 64"),
        (("roles", "--block-window", 13), "window: 13 blocks: there are only 12"),
        (("roles", "--step-window", 21), "window: 21 steps: there are only 20"),
        (("roles", "--routing", "nosuch"), "routing 'nosuch'"),
        (("calibrate", "-o", "mine.json"), "--out 'mine.json': must be a .yaml file"),
        (("calibrate", "-o", "mine.yaml", "--budget", 10), "--budget 10: too few pictures"),
        (("calibrate", "-o", "mine.yaml", "--roles", "nowhere"), "--roles nowhere: no report of `strata roles`"),
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


def test_a_clip_model_judges_pictures_of_any_model(strata: Run, here: Path, tiny_folder: Path) -> None:
    (here / "clip").mkdir()
    make_clip(here / "clip")
    done = strata("roles", "--model", tiny_folder, "--kinds", "swap", "-o", "study", *QUICK, "--clip", here / "clip")
    assert done.code == 0, done.err
    assert "shape as swapped" in done.out
    missing = strata("calibrate", "--model", tiny_folder, "-o", "mine.yaml", "--clip", "no/such folder")
    assert missing.code == 2
    assert "clip: 'no/such folder': holds no CLIP model" in missing.err


def test_a_routing_file_is_not_replaced_unasked(strata: Run, here: Path) -> None:
    (here / "mine.yaml").write_text("kept")
    done = strata("calibrate", "--model", WEIGHTS, "-o", "mine.yaml")
    assert done.code == 2
    assert "mine.yaml: is there already; --force replaces it" in done.err
    assert (here / "mine.yaml").read_text() == "kept"
