"""Regional attention, exact and without an N×N mask.

Image tokens are grouped into atoms that see the same things; each atom attends, unmasked, to the concatenation of what
it may see. With base attention and blending (Training-free Regional Prompting for Diffusion Transformers, arXiv
2411.02395, section 3), an image token's output is `(1 - β) * regional + β * base`.

Shapes: B batch, L tokens, H heads, D head width. Text tokens come before image tokens; among the text, the streams come
first and the base prompt last, so that base text and image are one contiguous stretch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor, _get_qkv_projections
from torch import Tensor

from strata.injection.layout import Span, Spans, take
from strata.injection.parts import Part, attend_part, can_part, merge_parts


class Audience(NamedTuple):
    """Queries that see the same keys; spans over the whole sequence.

    `weighted`: some keys have a strength below 1. `whole`: the keys are some texts and all image tokens.
    """

    queries: Spans
    keys: Spans
    weighted: bool = False
    whole: bool = False


class Regional(NamedTuple):
    """What the attention of one block computes; all but the tensors is the same over blocks alike.

    Every token is in the queries of one group, in `direct`, or in `blended`; blended ones are in a group too, unless
    `ratio` is None, when the base's output is theirs.

    Attributes:
        text: number of text tokens: streams, base, and in `split` blending the base's copy of the image.
        groups: unmasked attentions with disjoint queries.
        base: the base attention over base text and image (or the copy), queries and keys one span each.
        direct: tokens whose output is the base attention's.
        blended: image tokens whose output is `(1 - ratio) * group + ratio * base`; None: none.
        lent: where in the sequence the base attention's queries for the blended tokens start.
        bias: float `[L]`, log strength of every key; None where all strengths are 1.
        ratio: scalar tensor.
    """

    text: int
    groups: tuple[Audience, ...]
    base: Audience
    direct: Spans
    blended: Span | None
    lent: int
    bias: Tensor | None
    ratio: Tensor | None


class RegionalAttnProcessor:
    """FLUX attention that hears regions. Without the `regional` argument it is the stock processor.

    One instance serves all blocks; what differs between blocks comes with the call, so that compiled blocks share
    their graphs.
    """

    def __init__(self, stock: FluxAttnProcessor) -> None:
        self.stock = stock
        self._attention_backend = stock._attention_backend
        self._parallel_config = stock._parallel_config

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
        regional: Regional | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend; takes and returns what diffusers' `FluxAttnProcessor` does."""
        if regional is None:
            out: Tensor | tuple[Tensor, Tensor] = self.stock(
                attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb
            )
            return out
        q, k, v, text_q, text_k, text_v = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (q, k, v))
        q, k = attn.norm_q(q), attn.norm_k(k)
        if attn.added_kv_proj_dim is not None:
            text_q, text_k, text_v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (text_q, text_k, text_v))
            q = torch.cat([attn.norm_added_q(text_q), q], dim=1)
            k = torch.cat([attn.norm_added_k(text_k), k], dim=1)
            v = torch.cat([text_v, v], dim=1)
        q = apply_rotary_emb(q, image_rotary_emb, sequence_dim=1)
        k = apply_rotary_emb(k, image_rotary_emb, sequence_dim=1)
        attended = regional_attention(q, k, v, regional, self._attention_backend).flatten(2, 3).to(q.dtype)
        if encoder_hidden_states is None:
            return attended
        text, image = attended[:, : regional.text], attended[:, regional.text :]
        image = attn.to_out[1](attn.to_out[0](image.contiguous()))
        return image, attn.to_add_out(text.contiguous())


def regional_attention(
    q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, regional: Regional, backend: Any = None
) -> Tensor:
    """The attention output of all tokens, [B, L, H, D]."""
    text, length = regional.text, q_BLHD.shape[1]

    def bias_of(keys: Spans, weighted: bool) -> Tensor | None:
        if not weighted or regional.bias is None:
            return None
        return take(regional.bias[None, :, None, None], keys).view(1, 1, 1, -1).to(q_BLHD.dtype)

    def attend(audience: Audience) -> Tensor:
        out_BLHD: Tensor = dispatch_attention_fn(
            take(q_BLHD, audience.queries),
            take(k_BLHD, audience.keys),
            take(v_BLHD, audience.keys),
            attn_mask=bias_of(audience.keys, audience.weighted),
            backend=backend,
        )
        return out_BLHD

    def part(queries: Spans, keys: Spans, weighted: bool = False) -> Part:
        bias = bias_of(keys, weighted)
        return attend_part(take(q_BLHD, queries), take(k_BLHD, keys), take(v_BLHD, keys), bias)

    image: Part | None = None
    first, last = regional.base.queries[0]
    if last > text and any(audience.whole for audience in regional.groups) and can_part(q_BLHD, backend):
        # Base and regional attention share most of their keys: attend to the image once, then add each one's texts.
        pixels = ((text, length),)
        image = part(pixels, pixels)
        spoken = attend(Audience(((first, text),), regional.base.keys))
        base = torch.cat([spoken, merge_parts(image, part(pixels, ((first, text),))).out_BLHD], dim=1)
    else:
        base = attend(regional.base)

    out_BLHD = torch.empty_like(q_BLHD)  # every token is written below, once
    for start, stop in regional.direct:
        out_BLHD[:, start:stop] = base[:, start - first : stop - first]
    for audience in regional.groups:
        if image is not None and audience.whole:
            texts = tuple((start, min(stop, text)) for start, stop in audience.keys if start < text)
            heard = image.take(audience.queries, text)
            if texts:
                heard = merge_parts(heard, part(audience.queries, texts, audience.weighted))
            own = heard.out_BLHD
        else:
            own = attend(audience)
        at = 0
        for start, stop in audience.queries:
            piece = own[:, at : at + stop - start]
            at += stop - start
            out_BLHD[:, start:stop] = _blend(piece, base, first, start, stop, regional)
    if regional.blended is not None and regional.ratio is None:
        start, stop = regional.blended
        lent = regional.lent - first
        out_BLHD[:, start:stop] = base[:, lent : lent + stop - start]
    return out_BLHD


def _blend(piece: Tensor, base: Tensor, first: int, start: int, stop: int, regional: Regional) -> Tensor:
    """A group's output for tokens [start, stop), blended with the base's where those tokens are blended."""
    if regional.blended is None or regional.ratio is None or start < regional.blended[0]:
        return piece
    if start >= regional.blended[1]:
        return piece
    lent = regional.lent - first + start - regional.blended[0]
    return torch.lerp(piece, base[:, lent : lent + stop - start], regional.ratio.to(piece.dtype))
