"""`--lora`, and LoRAs of plans on the command line: drawn, recorded, drawn again, gone on with, and refused."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan
from strata.injection.lora_hub import find_lora
from strata.job import prepare
from strata.loras import given_lora, in_full
from strata.record import Record, RunSettings
from strata.settings import DrawSettings
from strata.source import Source
from tests.cli.conftest import Run
from tests.cli.test_generate import same
from tests.injection.conftest import tiny_transformer
from tests.injection.loras import Weights, make_weights, save_weights

LORA = "loras/style.safetensors:0.5"
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


def test_drawn_and_recorded(
    strata: Run, here: Path, loras: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = FluxPipeline.load_lora_weights

    def noted(pipe: Any, path: str, **more: Any) -> None:
        loads.append(path)
        load(pipe, path, **more)

    monkeypatch.setattr(FluxPipeline, "load_lora_weights", noted)
    asked = ("--model", tiny_folder, "--steps", 1, "--seed", 3, "--lora", "loras/style.safetensors:0.5", "-o", "out")
    done = strata("generate", loras / "confined.yaml", *asked, "--count", 2)
    assert done.code == 0, done.err
    style, other = (str(loras / f"{name}.safetensors") for name in ("style", "other"))
    assert run_of(here / "out")["settings"]["lora"] == [f"{style}:0.5"]
    assert set(run_of(here / "out")["lora_hashes"]) == {style, other}
    assert sorted(loads) == sorted([style, other]), "once for both pictures"


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
    done = strata("generate", loras / "confined.yaml", *model, *asked, "-o", "both")
    assert done.code == 0, done.err
    assert not same(here / "plain" / "image.png", here / "confined" / "image.png")
    assert run_of(here / "confined")["lora_hashes"] == {other: hashes[other]}
    assert ScenePlan.load(here / "confined" / "plan.yaml").regions[0].loras[0].file == other

    for name in ("whole", "confined", "both"):
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


@pytest.mark.slow
def test_other_commands(strata: Run, here: Path, loras: Path, tiny_folder: Path) -> None:
    plan, model = loras / "confined.yaml", ("--model", tiny_folder, "--steps", 2)

    def done(*arguments: object, code: int = 0) -> str:
        result = strata(*arguments)
        assert result.code == code, result.err
        return result.out + result.err

    assert "2 regions" in done("validate", plan)
    assert "'left': loras are left out" in done("export", "flux3", plan, "-o", "caption.txt")
    done("layout", plan, "-o", "layout.png")
    done("sweep", plan, *model, "--seed", 3, "--vary", "regions.left.loras.scale=0,{from: 2, to: 1}", "-o", "swept")
    first, second = sorted((here / "swept").glob("image*.png")) or sorted((here / "swept").glob("**/*scale*.png"))
    assert not same(first, second)
    refused = done("compare", plan, *model, "--methods", "regional,rpg", "-o", "compared", code=2)
    assert "method 'rpg': LoRA 'other.safetensors' of left: only the method regional draws it" in refused
    assert not (here / "compared").exists()
    done("compare", "plan.yaml", *model, "--methods", "regional,rpg", "--seeds", 3, "-o", "both", "--lora", LORA)
    done("restyle", plan, *model, "--seed", 3, "--low", "left=blue", "-o", "restyled")
    plans = list((here / "restyled").rglob("plan.yaml"))
    assert plans
    assert all(ScenePlan.load(path).regions[0].loras for path in plans)

    done("generate", plan, *model, "--seed", 3, "--lora", LORA, "-o", "out")
    picture = here / "out" / "image.png"
    done("repaint", picture, "--model", tiny_folder, "--region", "left", "--low", "blue", "-o", "painted")
    before, after = (np.asarray(Image.open(path)) for path in (picture, here / "painted" / "image.png"))
    changed = (before != after).any(axis=(0, 2))
    assert changed[:16].any()
    assert not changed[20:].any()
    done("generate", here / "painted" / "image.png", "--model", tiny_folder, "-o", "again")
    assert same(here / "painted" / "image.png", here / "again" / "image.png")


def test_a_record_of_before_has_no_loras() -> None:
    settings = {"model": "miniature", "seed": 1, "steps": 2, "device": "cpu", "dtype": "float32", "threads": 1}
    record = Record.model_validate({"name": "a", "settings": settings, "command": "", "created": "", "versions": {}})
    assert (record.settings.lora, record.lora_hashes) == ((), {})


def adapting(*names: str) -> Weights:
    return make_weights(tiny_transformer(), layers=lambda name: name in names)


CLIP = {f"text_encoder.encoder.layers.0.self_attn.q_proj.lora_{part}.weight": torch.ones(2, 64) for part in "AB"}
Q = "transformer_blocks.0.attn.to_q"
FILES: dict[str, tuple[Weights, dict[str, torch.Tensor]]] = {
    "wide": ({Q: (torch.ones(2, 33), torch.ones(32, 2))}, {}),
    "dora": (adapting(Q), {f"transformer.{Q}.lora_magnitude_vector": torch.ones(32)}),
    "none": ({}, {"transformer.x_embedder.weight": torch.ones(2, 2)}),
    "texts": (adapting(Q), CLIP),
    "norm": (adapting("transformer_blocks.0.norm1.linear"), {}),
}


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ("missing.safetensors", "--lora missing.safetensors: no such file"),
        ("plan.yaml", "--lora plan.yaml: must be a .safetensors file"),
        ("loras/style.safetensors:11", "--lora loras/style.safetensors:11: scale: must be from -10 to 10"),
        ("loras", "--lora loras: holds 7 .safetensors files (dora.safetensors,"),
        ("loras/wide.safetensors", f"wide.safetensors: transformer.{Q}.lora_A.weight: is 2×33"),
        (
            "loras/dora.safetensors",
            "dora.safetensors: transformer.transformer_blocks.0.attn.to_q.lora_magnitude_vector:",
        ),
        ("loras/none.safetensors", "none.safetensors: holds no LoRA: none of its 1 weights is named so"),
    ],
)
def test_bad_files_are_errors_before_the_model_is_loaded(
    lora: str, message: str, strata: Run, loras: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (weights, more) in FILES.items():
        save_weights(loras / f"{name}.safetensors", weights, more=more)
    monkeypatch.setattr("strata.engine.load_pipeline", None)
    done = strata("generate", "plan.yaml", "--model", tiny_folder, *QUICK, "--lora", lora, "-o", "out")
    assert done.code == 2
    assert message in done.err
    assert done.err.startswith(f"strata: error: --lora {lora.partition(':')[0]}")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("lora", "more", "message"),
    [
        (
            "norm",
            (),
            "norm.safetensors: adapts transformer_blocks.0.norm1.linear, which is no layer within a block that",
        ),
        ("texts", (), "texts.safetensors: adapts the text encoder too"),
        ("style", ("--method", "rpg"), "method 'rpg': LoRA 'style.safetensors' of left: only the method regional"),
        ("style", ("--method", "plain"), "method 'plain': LoRA 'style.safetensors' of left: only the method regional"),
    ],
)
def test_what_cannot_be_confined_is_an_error_before_the_model_is_loaded(
    lora: str, more: Any, message: str, strata: Run, loras: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lora in FILES:
        save_weights(loras / f"{lora}.safetensors", *FILES[lora][:1], more=FILES[lora][1])
    plan = loras / "confined.yaml"
    plan.write_text(plan.read_text().replace("other", lora))
    monkeypatch.setattr("strata.engine.load_pipeline", None)
    done = strata("generate", plan, "--model", tiny_folder, *QUICK, *more, "-o", "out")
    assert done.code == 2
    assert message in done.err
    assert f"{plan}:6: regions[0].loras[0].file: " in done.err


class TestOfTheHub:
    """A cache as huggingface_hub keeps it, and no network."""

    @pytest.fixture(autouse=True)
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.chdir(tmp_path)
        kept = tmp_path / "hub" / "models--someone--styles"
        (kept / "snapshots" / "abc").mkdir(parents=True)
        (kept / "refs").mkdir()
        (kept / "refs" / "main").write_text("abc")
        return kept / "snapshots" / "abc"

    def test_one_file_or_the_one_that_is_named(self, hub: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no such file, and not to be had from the hub: someone/styles holds no"):
            find_lora("someone/styles", tmp_path)
        (hub / "ink.safetensors").touch()
        assert find_lora("someone/styles", tmp_path, only_here=True) == hub / "ink.safetensors"
        (hub / "oil.safetensors").touch()
        with pytest.raises(InputError, match=r"holds 2 .safetensors files \(ink.safetensors, oil.safetensors\)"):
            find_lora("someone/styles", tmp_path)
        assert find_lora("someone/styles/oil.safetensors", tmp_path) == hub / "oil.safetensors"
        with pytest.raises(InputError, match="a picture cannot have it downloaded"):
            find_lora("someone/other", tmp_path, only_here=True)
        for name in ("styles/oil.safetensors", "/someone/styles", "a/b/c/d.safetensors", "hub/x/oil.safetensors"):
            with pytest.raises(InputError, match=r"^no such file$"):
                find_lora(name, tmp_path)
        for name in ("//host/share/oil.safetensors", "\\\\host\\oil.safetensors"):
            with pytest.raises(InputError, match="another machine"):
                find_lora(name, tmp_path, only_here=True)

    def test_validate_asks_nobody(self, strata: Run, tmp_path: Path) -> None:
        text = "width: 48\nheight: 32\nprompt: x\nloras: [{{file: {}}}]\n"
        (tmp_path / "plan.yaml").write_text(text.format("owner/name"))
        assert strata("validate", "plan.yaml").code == 0
        (tmp_path / "plan.yaml").write_text(text.format("masks/name.safetensors"))
        assert (
            "plan.yaml:4: loras[0].file: 'masks/name.safetensors': no such file" in strata("validate", "plan.yaml").err
        )


def test_a_picture_names_no_file_that_it_was_not_drawn_with(loras: Path) -> None:
    """Which anybody may have made: what its plan names, it has the hash of."""
    settings = RunSettings(model="miniature", seed=1, steps=2, device="cpu", dtype="float32", threads=1)
    record = Record(name="a", settings=settings, command="", created="", versions={})
    source = Source("a", ScenePlan.load(loras / "confined.yaml"), record=record)
    with pytest.raises(SettingError, match=r"LoRA other.safetensors: the record has no hash of this file"):
        prepare(DrawSettings(model="black-forest-labs/FLUX.1-dev"), source)


def test_bad_files_of_plans_are_named_with_their_line(strata: Run, loras: Path, tiny_folder: Path) -> None:
    (loras / "other.safetensors").unlink()
    for command in (("validate",), ("generate", "--model", tiny_folder)):
        done = strata(command[0], loras / "confined.yaml", *command[1:])
        assert done.code == 2
        assert "confined.yaml:" in done.err
        assert "regions[0].loras[0].file: 'other.safetensors': no such file" in done.err


def save_half(path: Path, lost: str) -> None:
    whole = load_file(save_weights(path, make_weights(tiny_transformer())))
    del whole[f"transformer.{Q}.lora_{lost}.weight"]
    save_file(whole, path)


def save_cut(path: Path) -> None:
    whole = save_weights(path, make_weights(tiny_transformer())).read_bytes()
    path.write_bytes(whole[:-10])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (save_cut, "no .safetensors file, or a damaged one"),
        (partial(save_half, lost="A"), f"transformer.{Q}.lora_B.weight: stands alone, without transformer.{Q}.lora_A"),
        (partial(save_half, lost="B"), f"transformer.{Q}.lora_A.weight: stands alone, without transformer.{Q}.lora_B"),
        (lambda path: path.write_text("words"), "no .safetensors file, or a damaged one"),
        (lambda path: save_weights(path, *FILES["none"][:1], more=FILES["none"][1]), "holds no LoRA"),
        (lambda path: save_weights(path, *FILES["dora"][:1], more=FILES["dora"][1]), "lora_magnitude_vector: is DoRA"),
    ],
)
def test_validate_looks_into_files(make: Any, message: str, strata: Run, loras: Path) -> None:
    assert strata("validate", loras / "confined.yaml").code == 0
    make(loras / "other.safetensors")
    done = strata("validate", loras / "confined.yaml")
    assert done.code == 2
    assert f"confined.yaml:6: regions[0].loras[0].file: {loras}/other.safetensors: " in done.err
    assert message in done.err


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
    with pytest.raises(SettingError, match=r"lora a.safetensors:nan: scale: expected a number"):
        given_lora("a.safetensors:nan")
    assert in_full("a:b.safetensors") == f"{tmp_path}/a:b.safetensors:1"
