"""Tiny FLUX pipelines of the stock classes, with random weights."""

import logging
from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ChromaImg2ImgPipeline,
    ChromaPipeline,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxControlNetModel,
    FluxControlNetPipeline,
    FluxFillPipeline,
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
)
from PIL import Image

from strata.hierarchy.plan import ScenePlan
from strata.miniature.model.text import clip_tokenizer, new_clip, new_t5, t5_tokenizer
from tests.injection.flux2 import (
    make_flux2,
    make_flux2_reference,
    make_klein,
    make_klein_base,
    make_klein_inpaint,
    make_klein_kv,
)
from tests.injection.qwen import (
    make_krea2,
    make_krea2_distilled,
    make_longcat,
    make_qwen,
    make_qwen_controlnet,
    make_qwen_img2img,
    make_qwen_inpaint,
)
from tests.injection.tiny import AUTOENCODER
from tests.shows import shows

SIZE: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "joint_attention_dim": 128,
    "pooled_projection_dim": 64,
    "axes_dims_rope": (4, 6, 6),
    "guidance_embeds": True,
}


def tiny_transformer(in_channels: int = 16, out_channels: int | None = None) -> FluxTransformer2DModel:
    torch.manual_seed(1)
    model = FluxTransformer2DModel(
        patch_size=1, in_channels=in_channels, out_channels=out_channels, num_layers=2, num_single_layers=3, **SIZE
    )
    return model.eval()


def tiny_parts(**transformer: Any) -> dict[str, Any]:
    """Fresh components; the same weights every time. One image token covers 4×4 pixels."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        **AUTOENCODER,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.1,
        scaling_factor=1.5,
    ).eval()
    t5, clip = t5_tokenizer(), clip_tokenizer()
    t5.model_max_length = 24
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        "vae": vae,
        "text_encoder": new_clip(clip).eval(),
        "tokenizer": clip,
        "text_encoder_2": new_t5(len(t5)).eval(),
        "tokenizer_2": t5,
        "transformer": tiny_transformer(**transformer),
    }


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def taken(pipe: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options that the pipeline's call takes: not all have `max_sequence_length`."""
    parameters = signature(pipe.__call__).parameters
    return {name: value for name, value in options.items() if name in parameters}


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 48, 3), dtype=np.uint8))


def make_text_to_image() -> tuple[Any, dict[str, Any]]:
    return quiet(FluxPipeline(**tiny_parts())), {}


def make_img2img() -> tuple[Any, dict[str, Any]]:
    return quiet(FluxImg2ImgPipeline(**tiny_parts())), {"image": picture(), "strength": 0.75}


def make_inpaint() -> tuple[Any, dict[str, Any]]:
    mask = Image.fromarray(np.pad(np.full((16, 24), 255, np.uint8), ((8, 8), (12, 12))))
    return quiet(FluxInpaintPipeline(**tiny_parts())), {"image": picture(), "mask_image": mask, "strength": 1.0}


def make_fill() -> tuple[Any, dict[str, Any]]:
    mask = Image.fromarray(np.pad(np.full((16, 24), 255, np.uint8), ((8, 8), (12, 12))))
    pipe = FluxFillPipeline(**tiny_parts(in_channels=16 + 16 + 16, out_channels=16))
    return quiet(pipe), {"image": picture(), "mask_image": mask}


def make_kontext() -> tuple[Any, dict[str, Any]]:
    return quiet(FluxKontextPipeline(**tiny_parts())), {"image": picture(), "max_area": 32 * 48, "_auto_resize": False}


def make_controlnet(singles: int = 2) -> tuple[Any, dict[str, Any]]:
    torch.manual_seed(2)
    size = {"num_layers": 1, "num_single_layers": singles, **SIZE}
    controlnet = FluxControlNetModel(patch_size=1, in_channels=16, **size).eval()
    for name, parameter in controlnet.named_parameters():
        if "controlnet_" in name:  # they start at zero, and would add nothing
            torch.nn.init.normal_(parameter, std=0.05)
    pipe = FluxControlNetPipeline(**tiny_parts(), controlnet=controlnet)
    return quiet(pipe), {"control_image": picture(), "controlnet_conditioning_scale": 0.7}


def chroma_parts() -> dict[str, Any]:
    """Chroma has T5 alone, under the names that FLUX.1 gives CLIP."""
    parts = tiny_parts()
    torch.manual_seed(3)
    size = {key: value for key, value in SIZE.items() if key not in ("pooled_projection_dim", "guidance_embeds")}
    transformer = ChromaTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=2,
        num_single_layers=3,
        approximator_hidden_dim=16,
        approximator_layers=2,
        **size,
    )
    with torch.no_grad():
        transformer.distilled_guidance_layer.out_proj.weight.mul_(4)  # gates that let something through
    return {
        "scheduler": parts["scheduler"],
        "vae": parts["vae"],
        "text_encoder": parts["text_encoder_2"],
        "tokenizer": parts["tokenizer_2"],
        "transformer": transformer.eval(),
    }


def make_chroma() -> tuple[Any, dict[str, Any]]:
    return quiet(ChromaPipeline(**chroma_parts())), {}


def make_chroma_img2img() -> tuple[Any, dict[str, Any]]:
    return quiet(ChromaImg2ImgPipeline(**chroma_parts())), {"image": picture(), "strength": 0.75}


PIPELINES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "FluxPipeline": make_text_to_image,
    "FluxImg2ImgPipeline": make_img2img,
    "FluxInpaintPipeline": make_inpaint,
    "FluxFillPipeline": make_fill,
    "FluxKontextPipeline": make_kontext,
    "FluxControlNetPipeline": make_controlnet,
    "ChromaPipeline": make_chroma,
    "ChromaImg2ImgPipeline": make_chroma_img2img,
    "Flux2Pipeline": make_flux2,
    "Flux2Pipeline with references": make_flux2_reference,
    "Flux2KleinPipeline": make_klein,
    "Flux2KleinPipeline with guidance": make_klein_base,
    "Flux2KleinInpaintPipeline": make_klein_inpaint,
    "Flux2KleinKVPipeline": make_klein_kv,
    "Krea2Pipeline": make_krea2,
    "Krea2Pipeline without guidance": make_krea2_distilled,
    "LongCatImagePipeline": make_longcat,
    "QwenImagePipeline": make_qwen,
    "QwenImageImg2ImgPipeline": make_qwen_img2img,
    "QwenImageInpaintPipeline": make_qwen_inpaint,
    "QwenImageControlNetPipeline": make_qwen_controlnet,
}

SHOWN = {
    "FluxImg2ImgPipeline": ("flux", "image to image"),
    "FluxInpaintPipeline": ("flux", "inpainting"),
    "FluxFillPipeline": ("flux", "inpainting"),
    "FluxKontextPipeline": ("flux", "reference pictures"),
    "FluxControlNetPipeline": ("flux", "ControlNet"),
    "ChromaImg2ImgPipeline": ("chroma", "image to image"),
    "Flux2Pipeline with references": ("flux2", "reference pictures"),
    "Flux2KleinInpaintPipeline": ("flux2", "inpainting"),
    "QwenImageImg2ImgPipeline": ("qwen", "image to image"),
    "QwenImageInpaintPipeline": ("qwen", "inpainting"),
    "QwenImageControlNetPipeline": ("qwen", "ControlNet"),
}
"""What a pipeline that draws shows of its family."""


EVERYDAY = ("FluxPipeline", "FluxKontextPipeline", "ChromaPipeline", "Flux2KleinPipeline with guidance")


def shown_pipelines(few: bool = False) -> list[Any]:
    """The pipelines' names, marked with what they show; `test_qwen` has what is looked at every day of some.

    With `few`, all but a few are slow tests.
    """
    found = []
    for name in PIPELINES:
        marks = [shows(*SHOWN[name])] if name in SHOWN else []
        rare = name.startswith(("LongCat", "Qwen", "Krea")) or (few and name not in EVERYDAY)
        marks += [pytest.mark.slow] if rare else []
        found.append(pytest.param(name, marks=marks, id=name))
    return found


PLAN = """
width: 48
height: 32
prompt: a red circle and a blue square
high: two shapes
low: striped
regions:
  - {name: left, box: [0, 0, 28, 32], high: a circle, low: "red, striped"}
  - {name: right, box: [24, 4, 48, 28], high: a square, low: "blue, solid", strength: {low: 0.5}}
background: {high: plain background, low: grey}
"""


@pytest.fixture
def plan() -> ScenePlan:
    """Two overlapping regions with both levels, global texts and background texts."""
    return ScenePlan.from_yaml(PLAN)


@pytest.fixture
def empty_plan() -> ScenePlan:
    return ScenePlan(width=48, height=32, prompt="a red circle and a blue square")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that is logged, by diffusers too, whose loggers keep to themselves."""
    log = logging.getLogger("diffusers")
    log.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger="strata")
    yield caplog
    log.removeHandler(caplog.handler)
