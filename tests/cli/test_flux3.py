"""FLUX.3 on the command line: a saved folder draws, repeats a picture from itself, and draws its own captions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strata.layers.routing import Routing, presets
from tests.analysis.probes import make_clip
from tests.cli.conftest import Run
from tests.injection.flux3 import JOINT, flux3_pipeline
from tests.shows import shows


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path / "image.png"))


@pytest.fixture(scope="module", params=[False, True], ids=["guided", "flow map"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "flux3"
    flux3_pipeline(request.param).save_pretrained(str(path), overwrite_modular_index=True)
    return path


@pytest.mark.slow
@shows("flux3", "command line")
def test_draws_and_repeats(model: Path, strata: Run, here: Path) -> None:
    done = strata("generate", "plan.yaml", "-m", model, "--steps", 2, "--seed", 1, "-o", "one")
    assert done.code == 0, done.err
    again = strata("generate", "one/image.png", "-m", model, "-o", "again")
    assert again.code == 0, again.err
    assert (pixels(here / "one") == pixels(here / "again")).all()


@pytest.mark.slow
@pytest.mark.parametrize("model", [False], indirect=True)
def test_each_method_draws_and_is_in_the_record(model: Path, strata: Run, here: Path) -> None:
    for method in ("regional", "native", "native+regional"):
        done = strata("generate", "plan.yaml", "-m", model, "--steps", 2, "--method", method, "-o", method)
        assert done.code == 0, done.err
        assert json.loads((here / method / "run.json").read_text())["settings"]["method"] == method
    assert len({pixels(here / name).tobytes() for name in ("regional", "native", "native+regional")}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("model", [True], indirect=True)
def test_roles_of_the_joint_blocks_and_a_calibration_by_them(model: Path, strata: Run, here: Path) -> None:
    """From a folder to a routing of one's own that draws."""
    (here / "clip").mkdir()
    make_clip(here / "clip")
    quick = ("--model", model, "--images", 1, "--steps", 2, "--size", 128)
    windows = ("--scenes", 2, "--block-window", JOINT - 1, "--step-window", 1)
    refused = strata("roles", *quick, "--block-window", JOINT + 1)
    assert (refused.code, f"{JOINT + 1} blocks: there are only {JOINT}" in refused.err) == (2, True)
    swapped = strata("roles", *quick, *windows, "--kinds", "swap", "-o", "swapped")
    assert swapped.code == 0, swapped.err
    assert "single 0-3" in swapped.out
    assert "double" not in swapped.out
    judged = strata("roles", *quick, *windows, "--kinds", "alone", "--clip", here / "clip", "-o", "judged")
    assert judged.code == 0, judged.err
    for name in ("swapped", "judged"):
        assert json.loads((here / name / "roles.json").read_text())["blocks"] == [0, JOINT]
    budget = ("--clip", here / "clip", "--budget", "smoke", "--roles", "judged")
    found = strata("calibrate", *quick, *budget, "-o", "mine.yaml")
    assert found.code == 0, found.err
    evidence = Routing.load(here / "mine.yaml").evidence
    assert evidence is not None
    assert {row["routing"] for row in evidence["report"]} == {"mine", *presets()}
    drawn = strata("generate", "plan.yaml", "-m", model, "--steps", 2, "--routing", "mine.yaml", "-o", "drawn")
    assert drawn.code == 0, drawn.err
