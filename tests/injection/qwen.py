"""Tiny pipelines around language models of Qwen's kind, of the stock classes, with random weights: LongCat-Image,
Qwen-Image and Krea 2."""

from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    LongCatImagePipeline,
    LongCatImageTransformer2DModel,
    QwenImageControlNetModel,
    QwenImageControlNetPipeline,
    QwenImageImg2ImgPipeline,
    QwenImageInpaintPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from PIL import Image
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3VLConfig,
    Qwen3VLModel,
)

from strata.injection.families.qwen_parts import PREFIX
from tests.injection.flux2 import LM, WIDTH, qwen_tokenizer, reference

VISION: dict[str, Any] = {
    "depth": 1,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_heads": 1,
    "out_hidden_size": WIDTH,
}


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


def qwen_vae() -> AutoencoderKLQwenImage:
    torch.manual_seed(9)
    return AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.1, -0.2, 0.0, 0.3],
        latents_std=[0.9, 1.2, 1.0, 0.8],
    ).eval()


QWEN_SIZE: dict[str, Any] = {
    "in_channels": 16,
    "out_channels": 4,
    "num_layers": 5,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": WIDTH,
    "axes_dims_rope": (4, 6, 6),
}


def qwen_parts() -> dict[str, Any]:
    """Fresh components; the same weights every time. One image token covers 4×4 pixels."""
    vae, words = qwen_vae(), tokenizer()
    torch.manual_seed(10)
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        "vae": vae,
        "text_encoder": qwen25_vl(len(words)),
        "tokenizer": words,
        "transformer": QwenImageTransformer2DModel(**QWEN_SIZE).eval(),
    }


def make_qwen() -> tuple[Any, dict[str, Any]]:
    return quiet(QwenImagePipeline(**qwen_parts())), {"negative_prompt": "dotted", "true_cfg_scale": 2.0}


def make_qwen_img2img() -> tuple[Any, dict[str, Any]]:
    return quiet(QwenImageImg2ImgPipeline(**qwen_parts())), {"image": reference(0, (32, 48)), "strength": 0.75}


def make_qwen_inpaint() -> tuple[Any, dict[str, Any]]:
    mask = Image.fromarray(np.pad(np.full((16, 24), 255, np.uint8), ((8, 8), (12, 12))))
    pipe = quiet(QwenImageInpaintPipeline(**qwen_parts()))
    return pipe, {"image": reference(0, (32, 48)), "mask_image": mask, "strength": 1.0}


def make_qwen_controlnet() -> tuple[Any, dict[str, Any]]:
    torch.manual_seed(11)
    controlnet = QwenImageControlNetModel(**QWEN_SIZE | {"num_layers": 2}).eval()
    for name, parameter in controlnet.named_parameters():
        if "controlnet_" in name:  # they start at zero, and would add nothing
            torch.nn.init.normal_(parameter, std=0.05)
    pipe = quiet(QwenImageControlNetPipeline(**qwen_parts(), controlnet=controlnet))
    return pipe, {"control_image": reference(0, (32, 48)), "controlnet_conditioning_scale": 0.7}


def qwen3_vl(vocabulary: int) -> Qwen3VLModel:
    torch.manual_seed(12)
    text = {**LM, "vocab_size": vocabulary, "num_hidden_layers": 3, "max_position_embeddings": 2048}
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    vision = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": WIDTH}
    vision |= {"patch_size": 4, "num_position_embeddings": 16, "deepstack_visual_indexes": []}
    return Qwen3VLModel(Qwen3VLConfig(text_config=text, vision_config=vision)).eval()


KREA_SIZE: dict[str, Any] = {
    "num_layers": 5,
    "attention_head_dim": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "timestep_embed_dim": 16,
    "num_text_layers": 2,
    "text_num_attention_heads": 2,
    "text_num_key_value_heads": 1,
    "text_intermediate_size": 24,
    "axes_dims_rope": (4, 2, 2),
}


def krea2_transformer(**size: Any) -> Krea2Transformer2DModel:
    found = Krea2Transformer2DModel(**KREA_SIZE | size).eval()
    for name, parameter in found.named_parameters():
        if "scale_shift_table" in name or ".norm" in name:  # they start at zero
            torch.nn.init.normal_(parameter, std=0.1)
    return found


def krea2_parts() -> dict[str, Any]:
    """Fresh components; the same weights every time. One image token covers 4×4 pixels."""
    vae, words = qwen_vae(), tokenizer()
    torch.manual_seed(13)
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        "vae": vae,
        "text_encoder": qwen3_vl(len(words)),
        "tokenizer": words,
        "transformer": krea2_transformer(in_channels=16, text_hidden_dim=WIDTH),
        "text_encoder_select_layers": (1, 3),
    }


def make_krea2() -> tuple[Any, dict[str, Any]]:
    return quiet(Krea2Pipeline(**krea2_parts())), {"guidance_scale": 1.5}


def make_krea2_distilled() -> tuple[Any, dict[str, Any]]:
    return quiet(Krea2Pipeline(**krea2_parts(), is_distilled=True)), {"guidance_scale": 0.0}
