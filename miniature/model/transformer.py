"""The miniature's transformer: diffusers' FluxTransformer2DModel at small size."""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from strata.miniature.model.text import CLIP_WIDTH, T5_WIDTH


def new_transformer(double_blocks: int = 4, single_blocks: int = 8) -> FluxTransformer2DModel:
    """An untrained FLUX with 4 heads of width 48 and a guidance embedding; its blocks' gates start a little open."""
    model = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=double_blocks,
        num_single_layers=single_blocks,
        attention_head_dim=48,
        num_attention_heads=4,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=CLIP_WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(8, 20, 20),
    )
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.Linear) and (".norm" in name and name.endswith("linear")):
            nn.init.normal_(module.weight, std=0.02)
            gates = module.bias.view(-1, model.inner_dim)
            with torch.no_grad():
                gates[2::3] += 0.3  # shift, scale, gate (, shift, scale, gate)
    nn.init.zeros_(model.proj_out.weight)
    return model
