"""ConceptAttention (arXiv 2502.04320): where free words are in the picture, in the output space of attention.

Concept tokens ride beside the run and never in it: they go through the block's own text weights, hear the block's image
tokens and one another, and nothing hears them. A concept's map is the softmax over the concepts of the products of the
image tokens' attention outputs with the concepts', before the output projections (section 4, algorithm 1).

Two choices are ours: a concept of several tokens is their mean (the published code takes the first token), and in
single blocks, which the paper leaves out, concepts go through the block's one set of weights as text does.

Shapes: K concepts, N image tokens, C width, H heads, D head width; a leading 1 is the batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from strata.injection.encoding import TextCache


class ConceptTokens:
    """The concepts' hidden states, from the embedding up through the blocks of one transformer call.

    Args:
        pipe: a FLUX pipeline; its text encoders are used here and not later.
        concepts: words or phrases, all different.
    """

    def __init__(self, pipe: Any, concepts: tuple[str, ...]) -> None:
        texts, longest = TextCache(pipe), int(pipe.tokenizer_2.model_max_length)
        embeds = [texts.stream(concept, min(longest, 512), False, None)[:, :-1].mean(1) for concept in concepts]
        self.embeds_1KC = torch.stack(embeds, dim=1)
        self._hidden_1KC: Tensor | None = None

    def begin(self) -> None:
        """Forget the states of the last transformer call."""
        self._hidden_1KC = None

    def double(self, transformer: Any, block: Any, temb: Tensor, k_1NHD: Tensor, v_1NHD: Tensor) -> Tensor:
        """Pass a double block; returns the concepts' attention output `[1, K, H, D]`, before its projection."""
        hidden, attn = self._states(transformer), block.attn
        normed, gate, shift, scale, mlp_gate = block.norm1_context(hidden, emb=temb)
        if attn.fused_projections:
            q, k, v = attn.to_added_qkv(normed).chunk(3, dim=-1)
        else:
            q, k, v = attn.add_q_proj(normed), attn.add_k_proj(normed), attn.add_v_proj(normed)
        q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (q, k, v))
        out_1KHD = _attend(attn.norm_added_q(q), attn.norm_added_k(k), v, k_1NHD, v_1NHD)
        hidden = hidden + gate.unsqueeze(1) * attn.to_add_out(out_1KHD.flatten(2))
        normed = block.norm2_context(hidden) * (1 + scale[:, None]) + shift[:, None]
        self._hidden_1KC = hidden + mlp_gate.unsqueeze(1) * block.ff_context(normed)
        return out_1KHD

    def single(self, transformer: Any, block: Any, temb: Tensor, k_1NHD: Tensor, v_1NHD: Tensor) -> Tensor:
        """Pass a single block; as `double`."""
        hidden, attn = self._states(transformer), block.attn
        normed, gate = block.norm(hidden, emb=temb)
        if attn.fused_projections:
            q, k, v = attn.to_qkv(normed).chunk(3, dim=-1)
        else:
            q, k, v = attn.to_q(normed), attn.to_k(normed), attn.to_v(normed)
        q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (q, k, v))
        out_1KHD = _attend(attn.norm_q(q), attn.norm_k(k), v, k_1NHD, v_1NHD)
        both = torch.cat([out_1KHD.flatten(2), block.act_mlp(block.proj_mlp(normed))], dim=2)
        self._hidden_1KC = hidden + gate.unsqueeze(1) * block.proj_out(both)
        return out_1KHD

    def _states(self, transformer: Any) -> Tensor:
        if self._hidden_1KC is None:
            embedder: nn.Module = transformer.context_embedder
            self._hidden_1KC = embedder(self.embeds_1KC)
        return self._hidden_1KC


def _attend(q_1KHD: Tensor, k_1KHD: Tensor, v_1KHD: Tensor, k_1NHD: Tensor, v_1NHD: Tensor) -> Tensor:
    """The attention of concepts to the image and to one another (text positions are all zero: no rotary embedding)."""
    k, v = torch.cat([k_1KHD, k_1NHD], dim=1), torch.cat([v_1KHD, v_1NHD], dim=1)
    q, k, v = (x.transpose(1, 2) for x in (q_1KHD, k, v))
    return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def concept_maps(image_NHD: Tensor, concepts_KHD: Tensor) -> Tensor:
    """`softmax over concepts (o_image · o_concept)`, `[K, N]` float32, of attention outputs before projections."""
    scores_KN = concepts_KHD.float().flatten(1) @ image_NHD.float().flatten(1).T
    return scores_KN.softmax(0)
