"""Tiny FLUX.3 pipelines of blocks, of the stock classes with random weights."""

from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux3Transformer2DModel
from diffusers.modular_pipelines.flux3 import Flux3AutoBlocks, Flux3DistilledAutoBlocks
from transformers import CLIPImageProcessorPil, LlavaProcessor, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from tests.injection.flux2 import LM, WIDTH, flux2_parts, qwen_tokenizer
from tests.injection.modular import of_blocks

OWN, JOINT, WINDOW = 2, 5, 80
"""Blocks of each mode's own, joint blocks, and the tokens that a text's window is a multiple of."""
PLAN = """
width: 48
height: 32
prompt: a red circle and a blue square
regions:
  - {name: left, box: [0, 0, 28, 32], high: a circle, low: "red, striped"}
  - {name: right, box: [24, 4, 48, 28], high: a square}
"""
"""Of few texts."""


def flux3_transformer(flow_map: bool = False) -> Flux3Transformer2DModel:
    """The same weights every time."""
    torch.manual_seed(8)
    return Flux3Transformer2DModel(
        in_channels=16,
        cond_in_channels=16,
        num_layers=OWN,
        num_single_layers=JOINT,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=8 * WIDTH,
        timestep_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        flow_map=flow_map,
    ).eval()


def processor() -> LlavaProcessor:
    """A processor with an image processor that needs no torchvision, as Qwen3-VL's own does; texts do not use it."""
    tokenizer = qwen_tokenizer()
    tokenizer.model_max_length = 8192
    return LlavaProcessor(CLIPImageProcessorPil(), tokenizer, chat_template=tokenizer.chat_template)


def qwen3_vl(vocabulary: int) -> Qwen3VLForConditionalGeneration:
    torch.manual_seed(9)
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}
    text = {"vocab_size": vocabulary, "num_hidden_layers": 32, "rope_scaling": rope, **LM}
    vision = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": WIDTH}
    vision |= {"patch_size": 4, "num_position_embeddings": 4, "deepstack_visual_indexes": [0]}
    return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision)).eval()


def flux3_parts(flow_map: bool = False) -> dict[str, Any]:
    """Fresh components; the same weights every time. One image token covers 4×4 pixels."""
    tokenizer = processor()
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=6.93),
        "vae": flux2_parts()["vae"],
        "text_encoder": qwen3_vl(len(tokenizer.tokenizer)),
        "tokenizer": tokenizer,
        "transformer": flux3_transformer(flow_map),
    }


def flux3_pipeline(flow_map: bool = False, **parts: Any) -> Any:
    """With guidance, as by default, or a distilled one."""
    blocks = Flux3DistilledAutoBlocks() if flow_map else Flux3AutoBlocks()
    return of_blocks(blocks, flux3_parts(flow_map) | parts)
