"""Families around Qwen's language models on the command line: a saved folder draws, and previews what it draws."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.engine import Engine, Step
from strata.job import prepare
from strata.settings import DrawSettings
from strata.source import open_source
from tests.cli.conftest import Run
from tests.injection.flux2 import reference
from tests.injection.qwen import make_krea2_distilled, make_longcat, make_qwen
from tests.shows import shown

MAKERS: dict[str, Any] = {"longcat": make_longcat, "qwen": make_qwen, "krea2": make_krea2_distilled}


@pytest.fixture(scope="module", params=shown(MAKERS, "command line"))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of a family, as it is saved."""
    path = tmp_path_factory.mktemp("models") / str(request.param)
    MAKERS[request.param]()[0].save_pretrained(path)
    return path


@pytest.mark.slow
def test_draws_and_repeats(strata: Run, here: Path, folder: Path) -> None:
    done = strata("generate", "plan.yaml", "-m", folder, "--steps", 2, "--seed", 1, "-o", "one")
    assert done.code == 0, done.err
    settings = json.loads((here / "one" / "run.json").read_text())["settings"]
    assert settings["guidance"] == {"longcat": 4.5, "qwen": None, "krea2": 0.0}[folder.name]
    again = strata("generate", "one/image.png", "-m", folder, "-o", "again")
    assert again.code == 0, again.err
    pictures = [np.asarray(Image.open(here / name / "image.png")) for name in ("one", "again")]
    assert pictures[0].shape == (48, 32, 3)
    assert (pictures[0] == pictures[1]).all()


@pytest.mark.slow
def test_input_pictures(strata: Run, here: Path, folder: Path) -> None:
    reference().resize((32, 48)).save(here / "picture.png")
    options = ("--image", "picture.png", "--image-strength", 1)
    done = strata("generate", "plan.yaml", "-m", folder, "--steps", 2, "--seed", 1, *options, "-o", "over")
    if folder.name == "qwen":
        assert done.code == 0, done.err
    else:
        assert done.code == 2
        assert "takes n" in done.err


def test_the_last_preview_is_the_picture(here: Path, folder: Path) -> None:
    with open_source("plan.yaml") as source:
        job = prepare(DrawSettings(model=str(folder), steps=2, seed=5), source)
    with Engine.open(job) as engine:
        previews = []
        for event in engine.draw(job):
            if isinstance(event, Step):
                previews.append(np.asarray(event.preview()))
        assert len(previews) == 2
        assert (previews[1] == np.asarray(event.image)).all()  # type: ignore[union-attr]
        assert "step" not in vars(engine.pipe.scheduler)
