"""`--lora`, and LoRAs of plans on the command line: drawn, recorded, drawn again, gone on with, and refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from strata.hierarchy.plan import ScenePlan
from strata.loras import given_lora, in_full
from strata.record import Record
from tests.cli.conftest import Run
from tests.cli.test_generate import same
from tests.injection.conftest import tiny_transformer
from tests.injection.loras import make_weights, save_weights

QUICK = ("--steps", 2, "--seed", 3)


def run_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


@pytest.fixture
def loras(here: Path) -> Path:
    """style.safetensors and other.safetensors, and a plan whose left region has one, in a folder of their own."""
    (here / "loras").mkdir()
    for seed, name in enumerate(("style", "other")):
        save_weights(here / "loras" / f"{name}.safetensors", make_weights(tiny_transformer(), seed))
    plan = ScenePlan.load("plan.yaml")
    text = plan.to_yaml().replace("name: left", "name: left\n    loras: [{file: other.safetensors, scale: 0.5}]")
    (here / "loras" / "confined.yaml").write_text(text.replace("masks/", "../masks/"))
    return here / "loras"


def test_drawn_and_recorded(strata: Run, here: Path, loras: Path, tiny_folder: Path) -> None:
    asked = ("--model", tiny_folder, "--steps", 1, "--seed", 3, "--lora", "loras/style.safetensors:0.5", "-o", "out")
    done = strata("generate", loras / "confined.yaml", *asked)
    assert done.code == 0, done.err
    style, other = (str(loras / f"{name}.safetensors") for name in ("style", "other"))
    assert run_of(here / "out")["settings"]["lora"] == [f"{style}:0.5"]
    assert set(run_of(here / "out")["lora_hashes"]) == {style, other}
    done = strata("generate", here / "out" / "image.png", "--model", tiny_folder, "-o", "again")
    assert done.code == 0, done.err
    assert same(here / "out" / "image.png", here / "again" / "image.png")


@pytest.mark.slow
def test_drawn_again_gone_on_with_and_refused(strata: Run, here: Path, loras: Path, tiny_folder: Path) -> None:
    model = ("--model", tiny_folder, *QUICK)
    asked = ("--lora", "loras/style.safetensors:0.5", "--lora", "loras/other.safetensors")
    for out, more in (("plain", ()), ("whole", asked)):
        done = strata("generate", "plan.yaml", *model, *more, "-o", out)
        assert done.code == 0, done.err
    assert not same(here / "plain" / "image.png", here / "whole" / "image.png")
    style, other = (str(loras / f"{name}.safetensors") for name in ("style", "other"))
    assert run_of(here / "whole")["settings"]["lora"] == [f"{style}:0.5", f"{other}:1"]
    hashes = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (style, other)}
    assert run_of(here / "whole")["lora_hashes"] == hashes

    done = strata("generate", loras / "confined.yaml", *model, "-o", "confined")
    assert done.code == 0, done.err
    assert not same(here / "plain" / "image.png", here / "confined" / "image.png")
    assert run_of(here / "confined")["lora_hashes"] == {other: hashes[other]}
    assert ScenePlan.load(here / "confined" / "plan.yaml").regions[0].loras[0].file == other

    for name in ("whole", "confined"):
        done = strata("generate", here / name / "image.png", "--model", tiny_folder, "-o", f"{name}-again")
        assert done.code == 0, done.err
        assert same(here / name / "image.png", here / f"{name}-again" / "image.png")
    done = strata("generate", loras / "confined.yaml", *model, "-o", "confined", "--resume")
    assert "is there and would come out the same" in done.out
    done = strata("generate", "plan.yaml", *model, *asked[:2], "-o", "whole", "--resume")
    assert done.code == 2
    assert "holds another run (other LoRA files, --lora" in done.err

    save_weights(Path(other), make_weights(tiny_transformer(), 7))
    done = strata("generate", here / "confined" / "image.png", "--model", tiny_folder, "-o", "changed")
    assert done.code == 2
    assert "other.safetensors: is not the LoRA file that the picture was drawn with" in done.err
    done = strata("generate", loras / "confined.yaml", *model, "-o", "confined", "--resume")
    assert "other LoRA files" in done.err


def test_a_record_of_before_has_no_loras() -> None:
    settings = {"model": "miniature", "seed": 1, "steps": 2, "device": "cpu", "dtype": "float32", "threads": 1}
    record = Record.model_validate({"name": "a", "settings": settings, "command": "", "created": "", "versions": {}})
    assert (record.settings.lora, record.lora_hashes) == ((), {})


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ("none.safetensors", "--lora none.safetensors: no such file"),
        ("none.safetensors:0.5", "--lora none.safetensors: no such file"),
        ("plan.yaml", "plan.yaml: must be a .safetensors file"),
        ("loras/style.safetensors:11", "--lora loras/style.safetensors:11: scale must be from -10 to 10"),
        ("loras/style.safetensors:nan", "scale must be from -10 to 10"),
        (
            "loras/wide.safetensors",
            "wide.safetensors: transformer.transformer_blocks.0.attn.to_q.lora_A.weight: is 2×33",
        ),
    ],
)
def test_bad_files_are_errors_before_the_model_is_loaded(
    lora: str, message: str, strata: Run, loras: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "transformer_blocks.0.attn.to_q"
    save_weights(loras / "wide.safetensors", {name: (torch.ones(2, 33), torch.ones(32, 2))})
    monkeypatch.setattr("strata.engine.load_pipeline", None)
    done = strata("generate", "plan.yaml", "--model", tiny_folder, *QUICK, "--lora", lora, "-o", "out")
    assert done.code == 2
    assert message in done.err


def test_bad_files_of_plans_are_named_with_their_line(strata: Run, loras: Path, tiny_folder: Path) -> None:
    (loras / "other.safetensors").unlink()
    for command in (("validate",), ("generate", "--model", tiny_folder)):
        done = strata(command[0], loras / "confined.yaml", *command[1:])
        assert done.code == 2
        assert "confined.yaml:" in done.err
        assert "regions[0].loras[0].file: 'other.safetensors': no such file" in done.err


def test_scale_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b.safetensors").touch()
    for text, file, scale in (
        ("a.safetensors", "a.safetensors", 1),
        ("a.safetensors:-0.5", "a.safetensors", -0.5),
        ("owner/name:2", "owner/name", 2),
        ("a:b.safetensors", "a:b.safetensors", 1),
    ):
        found = given_lora(text)
        assert (found.file, found.scale) == (file, scale)
        assert in_full(in_full(text)) == in_full(text)
    assert in_full("a:b.safetensors") == f"{tmp_path}/a:b.safetensors:1"
