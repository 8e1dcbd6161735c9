"""The attention processors of FLUX.2 klein with its reference cache, while something is attached.

In the first step reference tokens attend to each other alone, and their keys and values are stored; text and image
tokens attend to them, then and in every later step, in which the references are no more among the tokens. So what is
stored depends on the reference alone, and is appended here to the keys and values of whatever is computed.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from strata.injection.observer import Observer
from strata.injection.parallel import ParallelAttnProcessor, projected
from strata.injection.processor import RegionalAttnProcessor


class References(NamedTuple):
    """What a block's attention is told of references.

    Attributes:
        cache: diffusers' `Flux2KVLayerCache`; None: there are no references.
        mode: "extract" or "cached"; None: the cache is not used.
        text: number of text tokens.
        fresh: of reference tokens behind the text, which are to be stored; 0 where they are stored already.
    """

    cache: Any
    mode: str | None
    text: int
    fresh: int


def attend_beside(
    processor: RegionalAttnProcessor,
    attn: Any,
    qkv: tuple[Tensor, Tensor, Tensor],
    references: References,
    regional: Tensor | None,
    watching: tuple[Observer, ...],
) -> Tensor:
    """The attention's output `[B, L, C]`: regional with the references as last keys, else in the stock's own order."""
    (q, k, v), (cache, mode, text, fresh) = qkv, references
    if cache is None or mode is None:
        return processor.attend(attn, q, k, v, None, regional, watching)
    if regional is not None:
        return processor.attend(attn, q, *_behind(cache, k, v), None, regional, watching)
    attend = partial(dispatch_attention_fn, backend=processor._attention_backend)
    if fresh:
        own = slice(text, text + fresh)
        cache.store(k[:, own].clone(), v[:, own].clone())
        alone = attend(q[:, own], k[:, own], v[:, own])
        q, seen = _without(q, own), attend(_without(q, own), k, v)
        attended = torch.cat([seen[:, :text], alone, seen[:, text:]], dim=1)
        k, v = _without(k, own), _without(v, own)
    else:
        both = zip((k, v), cache.get(), strict=True)
        seen = attended = attend(q, *(torch.cat([x[:, :text], ref, x[:, text:]], dim=1) for x, ref in both))
    if processor.watcher is not None and watching:
        backend = processor._attention_backend
        processor.watcher.observe(attn, watching, q, *_behind(cache, k, v), seen, backend)
    return attended.flatten(2, 3).to(q.dtype)


def _behind(cache: Any, k_BLHD: Tensor, v_BLHD: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values with the cached ones behind them."""
    k_ref, v_ref = cache.get()
    return torch.cat([k_BLHD, k_ref], dim=1), torch.cat([v_BLHD, v_ref], dim=1)


def _without(x_BLHD: Tensor, own: slice) -> Tensor:
    """All tokens but some."""
    return torch.cat([x_BLHD[:, : own.start], x_BLHD[:, own.stop :]], dim=1)


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
