"""Regional attention, exact and without an N×N mask.

Image tokens are grouped into atoms that see the same things; each atom attends, unmasked, to the concatenation of what
it may see. With base attention and blending (Training-free Regional Prompting for Diffusion Transformers, arXiv
2411.02395, section 3), an image token's output is `(1 - β) * regional + β * base`.

Shapes: B batch, L tokens, K keys (L, or more), H heads, D head width. Text tokens come before image tokens; among the
text, the streams come first and the base prompt last, so that base text and image are one contiguous stretch.

What a block computes differs from plan to plan, and compiled code must not: it sees one opaque operator, whose only
argument beside queries, keys and values is a number (as a tensor, so that no graph depends on it) under which the
`BlockAttention` is found.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any, NamedTuple, Protocol

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor

from strata.injection.errors import UnsupportedError
from strata.injection.layout import Span, Spans, take, within, without
from strata.injection.parts import Part, attend_part, can_part, merge_parts


class AttentionGroup(NamedTuple):
    """Queries that attend to the same keys; spans over the sequence. `weighted`: some keys have a strength below 1.

    Keys and values may go on behind the queries: tokens that are attended to and attend to nothing.
    """

    queries: Spans
    keys: Spans
    weighted: bool = False


class OwnAttention(Protocol):
    """Attention of some queries in a method's own way, for which groups and strengths are not enough."""

    @property
    def queries(self) -> Spans:
        """Whose output it is."""

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, backend: Any) -> Tensor:
        """The output of these queries, in their order, of the queries, keys and values of all tokens."""


class AttentionSpec(NamedTuple):
    """What the attention of one block computes for one plan.

    Every token is in the queries of one group, of one of `own`, in `direct`, in `blended`, or in the padding; blended
    ones are in a group too, unless `ratio` is None, when the base attention's output is theirs.

    Attributes:
        text_length: number of tokens before the image.
        groups: unmasked attentions with disjoint queries.
        base: the base attention, queries one span.
        direct: tokens whose output is the base attention's.
        blended: image tokens whose output is `(1 - ratio) * group + ratio * base`; None: none.
        base_queries: where in the sequence the base attention's queries for the blended tokens start.
        bias: float `[K]`, log strength of every key; None where all strengths are 1.
        ratio: scalar tensor.
        padding: tokens at the start that belong to nothing.
        own: attentions of a method's own.
    """

    text_length: int
    groups: tuple[AttentionGroup, ...]
    base: AttentionGroup
    direct: Spans
    blended: Span | None
    base_queries: int
    bias: Tensor | None
    ratio: Tensor | None
    padding: int = 0
    own: tuple[OwnAttention, ...] = ()


_numbers = itertools.count()
_known: weakref.WeakValueDictionary[int, BlockAttention] = weakref.WeakValueDictionary()


class BlockAttention:
    """What the attention of blocks alike computes for a whole batch.

    Attributes:
        samples: the rows of the batch (None: all) and what they compute.
        calls: how often it was computed.
        key: int64 scalar on the CPU, by which `grouped_attention` finds it.
    """

    def __init__(self, samples: tuple[tuple[slice | None, AttentionSpec], ...]) -> None:
        self.samples = samples
        self.calls = 0
        self.key = torch.tensor(next(_numbers))
        _known[int(self.key)] = self

    @staticmethod
    def of(key: Tensor) -> BlockAttention:
        """The one with this key."""
        return _known[int(key)]


def grouped_attention(q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, key: Tensor, backend: Any = None) -> Tensor:
    """The output `[B, L, H, D]` of the `BlockAttention` with this key; one opaque operator in compiled code."""
    if torch.compiler.is_compiling():
        name = "" if backend is None else AttentionBackendName(backend).value
        out_BLHD: Tensor = torch.ops.strata.grouped_attention(q_BLHD, k_BLHD, v_BLHD, key, name)
        return out_BLHD
    return _grouped_attention(q_BLHD, k_BLHD, v_BLHD, key, backend)


def _grouped_attention(q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, key: Tensor, backend: Any) -> Tensor:
    attention = BlockAttention.of(key)
    attention.calls += 1
    return _attend(attention, q_BLHD, k_BLHD, v_BLHD, backend)


def _attend(attention: BlockAttention, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, backend: Any) -> Tensor:
    parts = []
    for rows, spec in attention.samples:
        q, k, v = (x if rows is None else x[rows] for x in (q_BLHD, k_BLHD, v_BLHD))
        parts.append(regional_attention(q, k, v, spec, backend))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@torch.library.custom_op("strata::grouped_attention", mutates_args=())
def _op(q: Tensor, k: Tensor, v: Tensor, key: Tensor, backend: str) -> Tensor:
    return _grouped_attention(q, k, v, key, backend or None)


@_op.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, key: Tensor, backend: str) -> Tensor:
    return torch.empty_like(q)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    raise UnsupportedError("gradients do not pass regional attention in compiled blocks; use them uncompiled")


_op.register_autograd(_backward)


def regional_attention(
    q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, spec: AttentionSpec, backend: Any = None
) -> Tensor:
    """The attention output `[B, L, H, D]` of all tokens of one plan."""
    tokens = _Tokens(q_BLHD, k_BLHD, v_BLHD, spec, backend)
    out_BLHD = torch.empty_like(q_BLHD)  # every token is written below, once
    out_BLHD[:, : spec.padding] = 0
    for own in spec.own:
        _write(out_BLHD, own.queries, own.attend(q_BLHD, k_BLHD, v_BLHD, backend))
    if spec.blended is not None and spec.ratio is not None and tokens.shares_keys():
        # Base and regional attention have image keys in common: attend to those once, then to what only one sees.
        for span in spec.direct:
            _write(out_BLHD, (span,), tokens.attend(spec.base._replace(queries=(span,))))
        for group in spec.groups:
            blended = group.queries[0][0] >= spec.blended[0]
            _write(out_BLHD, group.queries, tokens.blend(group) if blended else tokens.attend(group))
        return out_BLHD

    base_BLHD = tokens.attend(spec.base)
    first = spec.base.queries[0][0]
    for start, stop in spec.direct:
        out_BLHD[:, start:stop] = base_BLHD[:, start - first : stop - first]
    for group in spec.groups:
        _write(out_BLHD, group.queries, tokens.attend(group))
    if spec.blended is not None:
        start, stop = spec.blended
        blended_BLHD = base_BLHD[:, spec.base_queries - first : spec.base_queries - first + stop - start]
        if spec.ratio is not None:
            blended_BLHD = torch.lerp(out_BLHD[:, start:stop], blended_BLHD, spec.ratio.to(out_BLHD.dtype))
        out_BLHD[:, start:stop] = blended_BLHD
    return out_BLHD


def _write(out_BLHD: Tensor, queries: Spans, attended_BLHD: Tensor) -> None:
    """Put a group's output where its queries stand."""
    at = 0
    for start, stop in queries:
        out_BLHD[:, start:stop] = attended_BLHD[:, at : at + stop - start]
        at += stop - start


class _Tokens(NamedTuple):
    """The tokens of one block, and attention among some of them."""

    q_BLHD: Tensor
    k_BLHD: Tensor
    v_BLHD: Tensor
    spec: AttentionSpec
    backend: Any

    def shares_keys(self) -> bool:
        """Whether base and regional attention are best computed from parts: many tokens, one image, regions closed."""
        blended, base, text = self.spec.blended, self.spec.base, self.spec.text_length
        mixed = any(group.queries[0][0] < text < group.queries[-1][1] for group in self.spec.groups)
        one_image = blended is not None and base.queries[0][1] > blended[0]
        return one_image and not mixed and can_part(self.q_BLHD, self.backend)

    def bias(self, keys: Spans, weighted: bool) -> Tensor | None:
        if not weighted or self.spec.bias is None:
            return None
        return take(self.spec.bias[None, :, None, None], keys).view(1, 1, 1, -1).to(self.q_BLHD.dtype)

    def attend(self, group: AttentionGroup) -> Tensor:
        """The attention of a group, through the user's backend."""
        out_BLHD: Tensor = dispatch_attention_fn(
            take(self.q_BLHD, group.queries),
            take(self.k_BLHD, group.keys),
            take(self.v_BLHD, group.keys),
            attn_mask=self.bias(group.keys, group.weighted),
            backend=self.backend,
        )
        return out_BLHD

    def part(self, queries: Spans, keys: Spans, weighted: bool = False) -> Part:
        """Attention over some of the keys, to be merged."""
        bias = self.bias(keys, weighted)
        return attend_part(take(self.q_BLHD, queries), take(self.k_BLHD, keys), take(self.v_BLHD, keys), bias)

    def blend(self, group: AttentionGroup) -> Tensor:
        """Regional and base attention of image tokens, blended."""
        text, ratio = self.spec.text_length, self.spec.ratio
        assert ratio is not None
        own, texts = within(group.keys, text, self.k_BLHD.shape[1]), within(group.keys, 0, text)
        common = self.part(group.queries, own)
        regional = base = common
        if texts:
            regional = merge_parts(common, self.part(group.queries, texts, group.weighted))
        others = without(self.spec.base.keys, own)
        if others:
            base = merge_parts(common, self.part(group.queries, others, self.spec.base.weighted))
        return torch.lerp(regional.out_BLHD, base.out_BLHD, ratio.to(base.out_BLHD.dtype))
