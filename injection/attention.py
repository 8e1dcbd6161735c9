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

from strata.injection.layout import Span, Spans, take, within, without
from strata.injection.parts import Part, attend_part, can_part, merge_parts


class Audience(NamedTuple):
    """Queries that see the same keys; spans over the whole sequence. `weighted`: some keys have a strength below 1."""

    queries: Spans
    keys: Spans
    weighted: bool = False


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
    heard = _Hearing(q_BLHD, k_BLHD, v_BLHD, regional, backend)
    out_BLHD = torch.empty_like(q_BLHD)  # every token is written below, once
    if regional.blended is not None and regional.ratio is not None and heard.shares_keys():
        # Base and regional attention have image keys in common: attend to those once, then to what only one sees.
        for span in regional.direct:
            _write(out_BLHD, (span,), heard.attend(Audience((span,), regional.base.keys)))
        for audience in regional.groups:
            blended = audience.queries[0][0] >= regional.blended[0]
            _write(out_BLHD, audience.queries, heard.blend(audience) if blended else heard.attend(audience))
        return out_BLHD

    base_BLHD = heard.attend(regional.base)
    first = regional.base.queries[0][0]
    for start, stop in regional.direct:
        out_BLHD[:, start:stop] = base_BLHD[:, start - first : stop - first]
    for audience in regional.groups:
        _write(out_BLHD, audience.queries, heard.attend(audience))
    if regional.blended is not None:
        start, stop = regional.blended
        lent_BLHD = base_BLHD[:, regional.lent - first : regional.lent - first + stop - start]
        if regional.ratio is not None:
            lent_BLHD = torch.lerp(out_BLHD[:, start:stop], lent_BLHD, regional.ratio.to(out_BLHD.dtype))
        out_BLHD[:, start:stop] = lent_BLHD
    return out_BLHD


def _write(out_BLHD: Tensor, queries: Spans, heard_BLHD: Tensor) -> None:
    """Put an audience's output where its queries stand."""
    at = 0
    for start, stop in queries:
        out_BLHD[:, start:stop] = heard_BLHD[:, at : at + stop - start]
        at += stop - start


class _Hearing(NamedTuple):
    """The tokens of one block, and attention among some of them."""

    q_BLHD: Tensor
    k_BLHD: Tensor
    v_BLHD: Tensor
    regional: Regional
    backend: Any

    def shares_keys(self) -> bool:
        """Whether base and regional attention are best computed from parts: many tokens, one image, regions closed."""
        blended, base = self.regional.blended, self.regional.base
        mixed = any(
            audience.queries[0][0] < self.regional.text < audience.queries[-1][1] for audience in self.regional.groups
        )
        one_image = blended is not None and base.queries[0][1] > blended[0]
        return one_image and not mixed and can_part(self.q_BLHD, self.backend)

    def bias(self, keys: Spans, weighted: bool) -> Tensor | None:
        if not weighted or self.regional.bias is None:
            return None
        return take(self.regional.bias[None, :, None, None], keys).view(1, 1, 1, -1).to(self.q_BLHD.dtype)

    def attend(self, audience: Audience) -> Tensor:
        """The attention of an audience, through the user's backend."""
        out_BLHD: Tensor = dispatch_attention_fn(
            take(self.q_BLHD, audience.queries),
            take(self.k_BLHD, audience.keys),
            take(self.v_BLHD, audience.keys),
            attn_mask=self.bias(audience.keys, audience.weighted),
            backend=self.backend,
        )
        return out_BLHD

    def part(self, queries: Spans, keys: Spans, weighted: bool = False) -> Part:
        """Attention over some of the keys, to be merged."""
        bias = self.bias(keys, weighted)
        return attend_part(take(self.q_BLHD, queries), take(self.k_BLHD, keys), take(self.v_BLHD, keys), bias)

    def blend(self, audience: Audience) -> Tensor:
        """Regional and base attention of image tokens, blended."""
        text, ratio = self.regional.text, self.regional.ratio
        assert ratio is not None
        own, texts = within(audience.keys, text, self.q_BLHD.shape[1]), within(audience.keys, 0, text)
        common = self.part(audience.queries, own)
        regional = base = common
        if texts:
            regional = merge_parts(common, self.part(audience.queries, texts, audience.weighted))
        others = without(self.regional.base.keys, own)
        if others:
            base = merge_parts(common, self.part(audience.queries, others))
        return torch.lerp(regional.out_BLHD, base.out_BLHD, ratio.to(base.out_BLHD.dtype))
