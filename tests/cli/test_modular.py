"""A folder with a `modular_model_index.json` on the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import Flux2KleinPipeline
from PIL import Image

from strata.engine import Engine, Picture, Step
from strata.job import Job, prepare
from strata.loading import locate
from strata.settings import DrawSettings
from strata.source import open_source
from tests.cli.conftest import Run
from tests.injection.flux2 import flux2_parts, reference
from tests.injection.modular import modular_klein


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "klein"
    modular_klein().save_pretrained(str(folder), overwrite_modular_index=True)
    return folder


def _previews(engine: Engine, job: Job) -> Iterator[Any]:
    for event in engine.draw(job):
        if isinstance(event, Step):
            yield event, np.asarray(event.preview())
        elif isinstance(event, Picture):
            yield event


@pytest.mark.slow
def test_it_draws_what_the_classic_pipeline_draws(strata: Run, here: Path, klein: Path, tmp_path: Path) -> None:
    """From text, and with a reference; the last preview is the picture."""
    classic = tmp_path / "classic"
    Flux2KleinPipeline(**flux2_parts(), is_distilled=True).save_pretrained(classic)
    assert locate(str(klein)).facts == locate(str(classic)).facts
    reference().save(here / "picture.png")
    for name, options in (("regional", ()), ("picture", ("--image", "picture.png"))):
        pictures = []
        for model in (klein, classic):
            folder = f"{name}-{model.parent.name}"
            done = strata("generate", "plan.yaml", "-m", model, "--steps", 2, "--seed", 1, *options, "-o", folder)
            assert done.code == 0, done.err
            assert "it/s]" not in done.err
            pictures.append(np.asarray(Image.open(here / folder / "image.png")))
        assert (pictures[0] == pictures[1]).all()
        assert json.loads((here / folder / "run.json").read_text())["settings"]["steps"] == 2
    for plain in (False, True):
        with open_source(str(here / "plan.yaml")) as source:
            job = prepare(DrawSettings(model=str(klein), steps=2, seed=5), source, plain=plain)
        with Engine.open(job) as engine:
            *steps, picture = list(_previews(engine, job))
        assert [(step.number, step.total) for step, _ in steps] == [(1, 2), (2, 2)]
        assert (steps[-1][1] == np.asarray(picture.image)).all()
    refused = strata("generate", "plan.yaml", "-m", klein, "--guidance", 3)
    assert refused.code == 2
    assert "has no guidance and would ignore it" in refused.err
