"""FLUX.2 on the command line: a saved folder draws, alone and with pictures of both kinds."""

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import Flux2KleinKVPipeline, Flux2KleinPipeline
from PIL import Image

from strata.engine import Engine, Step
from strata.job import prepare
from strata.settings import DrawSettings
from strata.source import open_source
from tests.cli.conftest import Run
from tests.injection.flux2 import flux2_parts, reference
from tests.shows import shows


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Klein, distilled, with 2 double and 3 single blocks; one image token covers 4×4 pixels."""
    folder = tmp_path_factory.mktemp("models") / "klein"
    Flux2KleinPipeline(**flux2_parts(), is_distilled=True).save_pretrained(folder)
    return folder


@pytest.mark.slow
@shows("flux2", "command line")
def test_draws_with_and_without_pictures(strata: Run, here: Path, klein: Path) -> None:
    reference().save(here / "picture.png")
    mask = Image.new("L", (32, 48))
    mask.paste(255, (0, 0, 16, 48))
    mask.save(here / "mask.png")
    pictures = []
    for name, options in (
        ("text", ()),
        ("reference", ("--image", "picture.png")),
        ("inpainting", ("--image", "picture.png", "--mask-image", "mask.png", "--image-strength", 1)),
    ):
        done = strata("generate", "plan.yaml", "-m", klein, "--steps", 2, "--seed", 1, *options, "-o", name)
        assert done.code == 0, done.err
        settings = json.loads((here / name / "run.json").read_text())["settings"]
        assert (settings["guidance"], settings["true_cfg"]) == (None, None)
        pictures.append(np.asarray(Image.open(here / name / "image.png")))
    assert [picture.shape for picture in pictures] == [(48, 32, 3)] * 3
    assert (pictures[0] != pictures[1]).any()
    repeated = strata("generate", "inpainting/image.png", "-m", klein, "-o", "again")
    assert repeated.code == 0, repeated.err
    assert (np.asarray(Image.open(here / "again" / "image.png")) == pictures[2]).all()


@pytest.mark.slow
def test_a_cache_of_references_draws_and_repeats(strata: Run, here: Path, tmp_path: Path) -> None:
    Flux2KleinKVPipeline(**flux2_parts()).save_pretrained(tmp_path / "kv")
    reference().save(here / "picture.png")
    call = ("generate", "plan.yaml", "-m", tmp_path / "kv", "--steps", 2, "--seed", 1)
    for name, options in (("text", ()), ("reference", ("--image", "picture.png"))):
        done = strata(*call, *options, "-o", name)
        assert done.code == 0, done.err
    repeated = strata("generate", "reference/image.png", "-m", tmp_path / "kv", "-o", "again")
    assert repeated.code == 0, repeated.err
    text, first, again = (np.asarray(Image.open(here / n / "image.png")) for n in ("text", "reference", "again"))
    assert (first == again).all()
    assert (first != text).any()


def test_what_it_does_not_take_is_refused(strata: Run, here: Path, klein: Path) -> None:
    guided = strata("generate", "plan.yaml", "-m", klein, "--guidance", 3)
    assert guided.code == 2
    assert "has no guidance and would ignore it" in guided.err
    plan = (here / "plan.yaml").read_text() + "negative_prompt: dotted\n"
    (here / "negative.yaml").write_text(plan)
    negative = strata("generate", "negative.yaml", "-m", klein, "--true-cfg", 3)
    assert negative.code == 2
    assert "takes no negative prompt" in negative.err


def test_the_last_preview_is_the_picture(here: Path, klein: Path) -> None:
    with open_source("plan.yaml") as source:
        job = prepare(DrawSettings(model=str(klein), steps=2, seed=5), source)
    with Engine.open(job) as engine:
        preview = None
        for event in engine.draw(job):
            if isinstance(event, Step):
                preview = np.asarray(event.preview())
        assert preview is not None
        assert (preview == np.asarray(event.image)).all()  # type: ignore[union-attr]
