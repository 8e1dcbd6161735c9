"""What is said of a LoRA that cannot be drawn with and of settings that differ; what libraries say and nobody needs."""

import json
import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from strata.hierarchy.errors import InputError, SettingError
from strata.injection.lora_files import read_lora
from strata.injection.lora_form import check_form
from strata.injection.lora_hub import find_lora
from strata.job import prepare
from strata.loras import given_lora
from strata.record import RunSettings
from strata.resume import begun_run
from strata.settings import DrawSettings
from strata.source import open_source
from tests.cli.conftest import Run
from tests.injection.conftest import tiny_transformer
from tests.injection.loras import make_weights, save_weights


@pytest.fixture
def style(here: Path) -> Path:
    return save_weights(here / "style.safetensors", make_weights(tiny_transformer()))


def test_a_scale_that_is_none_is_told_where_the_file_is_there(style: Path) -> None:
    for text in ("style.safetensors:abc", "style.safetensors:", "owner/name:0,5"):
        with pytest.raises(SettingError, match=f"lora {text}: '{text.partition(':')[2]}' behind the colon is no scale"):
            given_lora(text)
    for text in ("gone.safetensors:abc", "a:b.safetensors"):
        assert given_lora(text).file == text
    style.rename("style.safetensors:abc")
    assert given_lora("style.safetensors:abc").scale == 1


def test_why_a_method_does_not_draw_it(here: Path, style: Path, tiny_folder: Path) -> None:
    (here / "early.yaml").write_text("name: early\nrules: [{level: full}]\nloras: [{steps: 0%-50%}]\n")
    plan = here / "plan.yaml"
    settings = DrawSettings(model=str(tiny_folder), method="rpg")
    lora = DrawSettings.model_validate({**dict(settings), "routing": "early.yaml", "lora": (style.name,)})
    message = "method 'rpg': LoRA 'style.safetensors' {}: only the method regional draws it"
    why = message.format("where the routing's loras have it act")
    with open_source("plan.yaml") as source, pytest.raises(InputError, match=why):
        prepare(lora, source)
    plan.write_text(f"{plan.read_text()}loras: [{{file: style.safetensors, scale: {{from: 1, to: 0}}}}]\n")
    why = message.format("with a ramp as its scale")
    with open_source("plan.yaml") as source, pytest.raises(InputError, match=why):
        prepare(settings, source)


def test_a_file_for_another_kind_of_model_is_told_so(tmp_path: Path) -> None:
    for key in ("lora_unet_down_blocks_0_attn1_to_q.lora_down.weight", "unet.up_blocks.0.attn1.to_q.lora_A.weight"):
        save_file({key: torch.ones(2, 2)}, tmp_path / "sd.safetensors")
        with pytest.raises(InputError, match=f"{key}: is of a LoRA for a U-Net .Stable Diffusion., not for a transf"):
            read_lora(tmp_path / "sd.safetensors", None)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read anything")
def test_a_file_that_may_not_be_read_is_told_so(style: Path) -> None:
    style.chmod(0)
    with pytest.raises(InputError, match=r"style.safetensors: cannot be read: Permission denied"):
        read_lora(style, None)


def test_only_what_is_left_out_is_an_ellipsis(tmp_path: Path) -> None:
    for count in range(2, 5):
        for n in range(count):
            (tmp_path / f"{n}.safetensors").touch()
        names = ", ".join(f"{n}.safetensors" for n in range(min(count, 3))) + (", …" if count > 3 else "")
        with pytest.raises(InputError, match=rf"holds {count} .safetensors files \({names}\); name one"):
            find_lora(str(tmp_path), Path())


def test_a_folder_without_any_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^is a folder that holds no \.safetensors file$"):
        find_lora(str(tmp_path), Path())


NAMES = {
    "peft": ("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight"),
    "peft, with an adapter's name": ("{}.lora_A.default.weight", "{}.lora_B.default.weight"),
    "kohya": ("lora_unet_{}_mlp_up.lora_down.weight", "lora_unet_{}_mlp_up.lora_up.weight"),
    "kohya, split": ("lora_unet_{}.lora_down.0.weight", "lora_unet_{}.lora_up.0.weight"),
    "xlabs": ("{}.processor.qkv_lora1.down.weight", "{}.processor.qkv_lora1.up.weight"),
    "diffusers of old": ("unet.{}.lora_linear_layer.down.weight", "unet.{}.lora_linear_layer.up.weight"),
    "text encoder": ("text_encoder.{}.lora_A.weight", "text_encoder.{}.lora_B.weight"),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_half_a_pair_is_refused_by_its_name(names: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    keys = {name.format(layer) for name in names for layer in ("one", "two")} | {"one.alpha", "two.alpha"}
    save_file({key: torch.ones(2, 2) for key in keys}, path)
    check_form(path)
    one, other = (name.format("two") for name in names)
    for kept, lost in ((one, other), (other, one)):
        save_file({key: torch.ones(2, 2) for key in keys - {lost}}, path)
        with pytest.raises(InputError) as refused:
            check_form(path)
        assert str(refused.value) == f"{path}: {kept}: stands alone, without {lost}; the file is damaged"


def test_a_bias_without_its_pair_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bias.safetensors"
    keys = ["one.lora_A.weight", "one.lora_B.weight", "one.lora_B.bias", "two.lora_B.bias"]
    save_file({key: torch.ones(2, 2) for key in keys[:3]}, path)
    check_form(path)
    save_file({key: torch.ones(2, 2) for key in keys}, path)
    with pytest.raises(InputError, match=r"two.lora_B.bias: stands alone, without two.lora_B.weight; the file is d"):
        check_form(path)


def test_settings_of_a_run_that_goes_on_are_told_as_they_are_given(here: Path, style: Path, tiny_folder: Path) -> None:
    given = DrawSettings(model=str(tiny_folder), steps=2, seed=3, lora=("style.safetensors:0.5", "style.safetensors"))
    with open_source("plan.yaml") as source:
        job = prepare(given, source)
    drawn = RunSettings(
        model=job.model.name, seed=3, steps=4, guidance=3.5, lora=(), device="cpu", dtype="float32", threads=1
    )
    record = json.loads(job.record(drawn).model_dump_json()) | {"images": [], "rules": []}
    (here / "run.json").write_text(json.dumps(record))
    with pytest.raises(SettingError) as refused:
        begun_run(here, job, 1, "out")
    assert f"lora unset, not {style}:0.5 and {style}:1" in str(refused.value)
    assert "steps 4, not 2" in str(refused.value)


def test_what_transformers_says_of_torchvision_is_not_shown(strata: Run) -> None:
    assert strata("routing", "list").code == 0
    log = logging.getLogger("transformers.utils.import_utils")
    fallback = "`A` requires torchvision (not installed); falling back to `APil` for backward compatibility."
    shown = [
        log.filter(log.makeRecord(log.name, logging.WARNING, "", 0, text, (), None))
        for text in (fallback, "`A` requires torchvision")
    ]
    assert shown == [False, True]


def test_what_the_files_tell_by_themselves_is_told_before_any_model_is_looked_at(
    style: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"unet.down_blocks.0.lora_A.weight": torch.zeros(1)}, "sd.safetensors")
    monkeypatch.setattr("strata.injection.lora_files.empty_transformer", None)
    with open_source("plan.yaml") as source:
        for name, why in (("sd.safetensors", "is of a LoRA for a U-Net"), ("gone.safetensors", "no such file")):
            settings = DrawSettings(model=str(tiny_folder), lora=("style.safetensors", name))
            with pytest.raises(SettingError, match=rf"^lora {name}: .*{why}"):
                prepare(settings, source)
