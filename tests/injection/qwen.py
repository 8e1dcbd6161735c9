"""Tiny pipelines around language models of Qwen's kind, of the stock classes, with random weights: LongCat-Image."""

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    LongCatImagePipeline,
    LongCatImageTransformer2DModel,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from tests.injection.flux2 import LM, WIDTH, qwen_tokenizer

PREFIX = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial"
    " relationships of the objects and background:<|im_end|>\n<|im_start|>user\n"
)
VISION: dict[str, Any] = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": WIDTH}


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def tokenizer() -> Qwen2Tokenizer:
    found = qwen_tokenizer(PREFIX)
    found.model_max_length = 4096
    return found


def qwen25_vl(vocabulary: int) -> Qwen2_5_VLForConditionalGeneration:
    torch.manual_seed(7)
    text = {**LM, "vocab_size": vocabulary, "num_hidden_layers": 2, "max_position_embeddings": 2048}
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    config = Qwen2_5_VLConfig(text_config=text, vision_config={**VISION, "fullatt_block_indexes": [0]})
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def longcat_parts() -> dict[str, Any]:
    """Fresh components; the same weights every time. One image token covers 4×4 pixels."""
    torch.manual_seed(8)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 8),
        layers_per_block=1,
        latent_channels=16,  # the pipeline counts on it
        norm_num_groups=2,
        shift_factor=0.1,
        scaling_factor=1.5,
    ).eval()
    transformer = LongCatImageTransformer2DModel(
        in_channels=64,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=[4, 6, 6],
    ).eval()
    words = tokenizer()
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        "vae": vae,
        "text_encoder": qwen25_vl(len(words)),
        "tokenizer": words,
        "text_processor": None,  # rewrites prompts, and needs torchvision
        "transformer": transformer,
    }


def make_longcat() -> tuple[Any, dict[str, Any]]:
    pipe = quiet(LongCatImagePipeline(**longcat_parts()))
    pipe.tokenizer_max_length = 40  # 512 would take long
    return pipe, {}
