"""What a model was not trained on is a warning, with --strict an error; defaults come from the model's folder."""

import json
import shutil
from pathlib import Path

import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.job import prepare
from strata.loading import locate
from strata.miniature import WEIGHTS
from strata.miniature.checkpoint import knowledge
from strata.miniature.world.words import WORDS
from strata.settings import DrawSettings
from strata.source import Source
from tests.cli.conftest import Run

PLAN = """\
width: 128
height: 128
prompt: there is a red circle on the left, sea background, pixel art
regions: [{name: left, box: [0, 0, 64, 128], high: a cat, low: "red, striped"}]
"""


def test_the_bundled_file_is_what_the_world_says() -> None:
    assert json.loads((WEIGHTS / "strata.json").read_text()) == knowledge()
    known = {word for words in knowledge()["vocabulary"].values() for word in words}
    assert set(WORDS) - known <= set(",.:;")


def test_words_and_sizes() -> None:
    known = locate("miniature").knowledge
    assert known is not None
    [complaint] = known.complaints(ScenePlan.from_yaml(PLAN), "m")
    assert complaint.startswith("model m does not know 'cat' (left high). It knows kinds circle, disc, ")
    plan = ScenePlan(width=512, height=64, prompt="a red circle, " * 40)
    size, length = known.complaints(plan, "m")
    assert size == "canvas 512x64: model m was trained on 64x64 to 256x256 pixels only"
    assert length == "prompt: 161 tokens; model m hears the first 96"


def test_strict_and_defaults_of_a_folder(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    source = Source("plan", ScenePlan.from_yaml(PLAN))
    assert locate(str(folder)).default_size == 1024
    assert prepare(DrawSettings(model=str(folder), strict=True), source).steps == 28
    data = knowledge() | {"steps": 7, "sizes": {"smallest": 8, "largest": 256, "default": 32}}
    (folder / "strata.json").write_text(json.dumps(data))
    assert locate(str(folder)).default_size == 32
    assert prepare(DrawSettings(model=str(folder)), source).steps == 7
    with pytest.raises(InputError, match="does not know 'cat'"):
        prepare(DrawSettings(model=str(folder), strict=True), source)
    (folder / "strata.json").write_text(json.dumps(data | {"steps": 0}))
    with pytest.raises(InputError, match=r"strata\.json.*steps"):
        prepare(DrawSettings(model=str(folder)), source)


def test_names_are_not_empty(strata: Run, here: Path) -> None:
    for option in ("--out", "--model", "--routing", "--image", "--mask-image", "--draft", "--llm"):
        done = strata("generate", "plan.yaml", option, "")
        assert (done.code, done.out) == (2, "")
        assert f"{option}: '': must not be empty" in done.err


def test_a_record_keeps_the_limits() -> None:
    from strata.record import RunSettings

    good = {"model": "miniature", "seed": 1, "steps": 2, "device": "cpu", "dtype": "float32", "threads": 1}
    RunSettings.model_validate(good)
    for name, value in (("dtype", "__dict__"), ("steps", 10**9), ("guidance", 1e308), ("device", "x"), ("model", "")):
        with pytest.raises(ValueError, match=name):
            RunSettings.model_validate(good | {name: value})
