"""FLUX.3 on the command line: a saved folder draws, repeats a picture from itself, and draws its own captions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.injection.flux3 import flux3_pipeline
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
