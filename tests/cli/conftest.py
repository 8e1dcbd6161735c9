"""A tiny FLUX pipeline with random weights, saved as a folder, and a way to run commands in this process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from PIL import Image

from strata.cli import main
from strata.miniature.text import clip_tokenizer, new_clip, new_t5, t5_tokenizer

MASK_PLAN = """\
width: 32
height: 48
prompt: a red circle and a blue square — Ünïcode “quotes”
regions:
  - {name: left, box: [0, 0, 16, 48], high: a circle, low: red}
  - {name: right, mask: masks/half right.png, high: a square, low: blue}
background: {full: plain}
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLUX with 2 double and 3 single blocks; one image token covers 4×4 pixels."""
    torch.manual_seed(0)
    t5, clip = t5_tokenizer(), clip_tokenizer()
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(4, 8),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=2,
            use_quant_conv=False,
            use_post_quant_conv=False,
            shift_factor=0.1,
            scaling_factor=1.5,
        ),
        text_encoder=new_clip(clip),
        tokenizer=clip,
        text_encoder_2=new_t5(len(t5)),
        tokenizer_2=t5,
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=2,
            num_single_layers=3,
            num_attention_heads=2,
            attention_head_dim=16,
            joint_attention_dim=128,
            pooled_projection_dim=64,
            axes_dims_rope=(4, 6, 6),
            guidance_embeds=True,
        ),
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture
def strata(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as the working folder, with a plan that has a mask file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (8, 8))
    mask.paste(255, (4, 0, 8, 8))
    mask.save(tmp_path / "masks" / "half right.png")
    (tmp_path / "plan.yaml").write_text(MASK_PLAN, encoding="utf-8")
    return tmp_path
