"""What a routing's `loras` do that may not be meant is told before anything is drawn."""

import json
from pathlib import Path

import pytest

from strata.job import prepare
from strata.settings import DrawSettings
from strata.source import open_source
from tests.cli.conftest import Run
from tests.injection.conftest import tiny_transformer
from tests.injection.loras import make_weights, save_weights

ROUTING = "name: a\nrules: [{level: high}, {level: low}]\nloras: [{names: [style], depth: 50%-100%}]\n"


@pytest.fixture
def model(here: Path, tiny_folder: Path) -> str:
    """Of which there are two LoRAs of one name, in folders of their own."""
    (here / "routing.yaml").write_text(ROUTING)
    for name in ("a", "b"):
        (here / name).mkdir()
        save_weights(here / name / "style.safetensors", make_weights(tiny_transformer(), 1))
    return str(tiny_folder)


def test_rules_that_meet_no_lora_or_several_files_of_one_name_are_noted(here: Path, model: str) -> None:
    def notes(*lora: str) -> str:
        settings = DrawSettings.model_validate({"model": model, "routing": "routing.yaml", "lora": lora or None})
        with open_source("plan.yaml") as source:
            return "; ".join(prepare(settings, source).notes)

    one, other = "a/style.safetensors:0.5", "b/style.safetensors"
    assert "the routing's loras do nothing: there is no LoRA to draw with" in notes()
    assert notes(one) == ""
    assert f"'style' is the name of 2 files, and all of them are meant: {here}/a/style" in notes(one, other)
    (here / "b" / "style.safetensors").rename("b/ink.safetensors")
    silent = "LoRA 'ink' of the whole picture does nothing: none of the routing's loras is for it"
    assert notes(one, "b/ink.safetensors:2", "b/ink.safetensors") == silent


@pytest.mark.slow
def test_the_run_has_them_too(strata: Run, here: Path, model: str) -> None:
    done = strata("generate", "plan.yaml", "-m", model, "--steps", 2, "--seed", 3, "-r", "routing.yaml", "-o", "out")
    assert "strata: note: the routing's loras do nothing: there is no LoRA to draw with" in done.err
    rules = json.loads((here / "out" / "run.json").read_text())["rules"]
    assert rules[2:] == ["LoRA style: blocks single 0-2, steps 0-1 of 2, strength 1"]
    assert rules[2] in strata("routing", "show", "routing.yaml", "--model", model, "--steps", 2).out
    assert rules[2] in strata("routing", "check", "routing.yaml", "--model", model, "--steps", 2).out
