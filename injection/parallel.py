"""The attention processor of parallel blocks, while something is attached.

Such a block (ViT-22B, arXiv 2302.05442) takes text and image as one tensor, and its attention module projects queries,
keys, values and the MLP's part at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strata.injection.families.base import rotated
from strata.injection.processor import RegionalAttnProcessor


class ParallelAttnProcessor(RegionalAttnProcessor):
    """As `RegionalAttnProcessor`; keeps the MLP's part while attention is computed."""

    def __call__(  # type: ignore[override]
        self,
        attn: Any,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
        regional: Tensor | None = None,
    ) -> Any:
        """Attend, and pass the MLP; takes and returns what the stock processor does."""
        watching = self.watching(attn)
        if regional is None and not watching:
            return self.stock(attn, hidden_states, attention_mask, image_rotary_emb)
        q, k, v, mlp = projected(attn, hidden_states, image_rotary_emb)
        attended = self.attend(attn, q, k, v, attention_mask, regional, watching)
        return attn.to_out(torch.cat([attended, attn.mlp_act_fn(mlp)], dim=-1))


def projected(attn: Any, hidden_BLC: Tensor, rotary: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values `[B, L, H, D]`, rotary embedding applied, and the MLP's part `[B, L, C]`."""
    whole, width = attn.to_qkv_mlp_proj(hidden_BLC), 3 * attn.inner_dim
    q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in whole[..., :width].chunk(3, dim=-1))
    q, k = attn.norm_q(q), attn.norm_k(k)
    if rotary is not None:
        q, k = rotated(q, rotary), rotated(k, rotary)
    return q, k, v, whole[..., width:]
