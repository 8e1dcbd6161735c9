"""The attention processors of FLUX.2 klein with its reference cache, while something is attached.

In the first step reference tokens attend to each other alone, and their keys and values are stored; text and image
tokens attend to them, then and in every later step, in which the references are no more among the tokens. So what is
stored depends on the reference alone, and is appended here to the keys and values of whatever is computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from strata.injection.observer import Observer
from strata.injection.parallel import ParallelAttnProcessor, projected
from strata.injection.processor import RegionalAttnProcessor


class References(NamedTuple):
    """What a block's attention is told of references.

    Attributes:
        cache: diffusers' `Flux2KVLayerCache`; None: there are no references.
        mode: "extract" or "cached"; None as well.
        text: number of text tokens.
        count: of reference tokens behind the text, which are to be stored; 0 where they are cached.
    """

    cache: Any
    mode: str | None
    text: int
    count: int

    def behind(self, x_BLHD: Tensor) -> Tensor:
        """The references' tokens put behind the image's."""
        start, stop = self.text, self.text + self.count
        return torch.cat([x_BLHD[:, :start], x_BLHD[:, stop:], x_BLHD[:, start:stop]], dim=1)


def attend_beside(
    processor: RegionalAttnProcessor,
    attn: Any,
    qkv: tuple[Tensor, Tensor, Tensor],
    references: References,
    regional: Tensor | None,
    watching: tuple[Observer, ...],
) -> Tensor:
    """The attention's output `[B, L, C]`: as the stock processor's, or regional with the references as last keys."""
    from diffusers.models.transformers.transformer_flux2 import _flux2_kv_causal_attention

    q, k, v = qkv
    cache, mode, text, count = references
    if cache is None or mode is None:
        return processor.attend(attn, q, k, v, None, regional, watching)
    if regional is not None:
        k_ref, v_ref = cache.get()
        k, v = torch.cat([k, k_ref], dim=1), torch.cat([v, v_ref], dim=1)
        return processor.attend(attn, q, k, v, None, regional, watching)
    backend = processor._attention_backend
    if count:
        cache.store(k[:, text : text + count].clone(), v[:, text : text + count].clone())
        attended = _flux2_kv_causal_attention(q, k, v, text, count, backend=backend)
        q, k, v, seen = (references.behind(x) for x in (q, k, v, attended))
        q, seen = q[:, :-count], seen[:, :-count]
    else:
        attended = seen = _flux2_kv_causal_attention(q, k, v, text, 0, kv_cache=cache, backend=backend)
        k_ref, v_ref = cache.get()
        k, v = torch.cat([k, k_ref], dim=1), torch.cat([v, v_ref], dim=1)
    if processor.watcher is not None and watching:
        processor.watcher.observe(attn, watching, q, k, v, seen, backend)
    return attended.flatten(2, 3).to(q.dtype)


class CachingAttnProcessor(RegionalAttnProcessor):
    """As `RegionalAttnProcessor`, of double blocks."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
        regional: Tensor | None = None,
        kv_cache: Any = None,
        kv_cache_mode: str | None = None,
        num_ref_tokens: int = 0,
    ) -> Any:
        """Attend; takes and returns what the stock processor does."""
        text, watching = encoder_hidden_states, self.watching(attn)
        if text is None or (regional is None and not watching):
            cached = kv_cache, kv_cache_mode, num_ref_tokens
            return self.stock(attn, hidden_states, text, attention_mask, image_rotary_emb, *cached)
        length, count = text.shape[1], num_ref_tokens if kv_cache_mode == "extract" else 0
        qkv = self.family.project(attn, hidden_states, text, image_rotary_emb)
        references = References(kv_cache, kv_cache_mode, length, count)
        return self.family.output(attn, attend_beside(self, attn, qkv, references, regional, watching), length)


class CachingParallelAttnProcessor(ParallelAttnProcessor):
    """As `ParallelAttnProcessor`, of single blocks."""

    def __call__(  # type: ignore[override]
        self,
        attn: Any,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
        regional: Tensor | None = None,
        kv_cache: Any = None,
        kv_cache_mode: str | None = None,
        num_txt_tokens: int = 0,
        num_ref_tokens: int = 0,
    ) -> Any:
        """Attend, and pass the MLP; takes and returns what the stock processor does."""
        watching = self.watching(attn)
        if regional is None and not watching:
            cached = kv_cache, kv_cache_mode, num_txt_tokens, num_ref_tokens
            return self.stock(attn, hidden_states, attention_mask, image_rotary_emb, *cached)
        *qkv, mlp = projected(attn, hidden_states, image_rotary_emb)
        count = num_ref_tokens if kv_cache_mode == "extract" else 0
        references = References(kv_cache, kv_cache_mode, num_txt_tokens, count)
        attended = attend_beside(self, attn, (qkv[0], qkv[1], qkv[2]), references, regional, watching)
        return attn.to_out(torch.cat([attended, attn.mlp_act_fn(mlp)], dim=-1))
