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
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor

from strata.injection import kernels
from strata.injection.errors import UnsupportedError
from strata.injection.kernels import LoopKernel, Traits, kernel_for
from strata.injection.layout import Span, Spans, length_of, merge, take, without
from strata.injection.merging import BASE, REGIONAL, Merging, Sees, all_cells, layers_of


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


@dataclass(frozen=True, eq=False)
class AttentionSpec:
    """What the attention of one block computes for one plan.

    Every token is in the queries of one group, of one of `own`, in `direct`, in `blended`, or in the padding; blended
    ones are in a group too, unless `ratio` is None, when the base attention's output is theirs. Of a token in `direct`
    and in a group, the group's word counts. Spans are sorted.

    Attributes:
        text_length: number of tokens before the image.
        groups: unmasked attentions with disjoint queries.
        base: the base attention, queries one span.
        direct: tokens whose output is the base attention's.
        blended: image tokens whose output is `(1 - ratio) * group + ratio * base`.
        base_queries: where in the sequence the base attention's query for the first of the blended tokens is; those for
            the others are as far behind it.
        strengths: of keys, the logarithm, for groups that are weighted; of all others it is 0.
        ratio: of the blend.
        padding: tokens at the start that belong to nothing.
        own: attentions of a method's own.
    """

    text_length: int
    groups: tuple[AttentionGroup, ...]
    base: AttentionGroup
    direct: Spans
    blended: Spans
    base_queries: int
    strengths: tuple[tuple[Span, float], ...] = ()
    ratio: float | None = None
    padding: int = 0
    own: tuple[OwnAttention, ...] = ()
    _merging: dict[object, Merging] = field(default_factory=dict, init=False, repr=False)

    def bias(self, length: int) -> Tensor | None:
        """float32 `[length]`, log strength of every key; None where all strengths are 1."""
        if not self.strengths:
            return None
        bias = torch.zeros(length)
        for span, strength in self.strengths:
            bias[slice(*span)] = strength
        return bias

    @property
    def copied(self) -> bool:
        """Whether blended tokens take the base attention's output from other queries than their own."""
        return bool(self.blended) and self.base_queries != self.blended[0][0]

    @property
    def weights(self) -> tuple[float, float] | None:
        """Of the regional and the base attention of blended tokens by their own queries; None: they have but one."""
        if not self.blended or self.copied or self.ratio is None or self.ratio in (0.0, 1.0):
            return None
        return 1 - self.ratio, self.ratio

    def sees(self) -> list[Sees]:
        """Who sees what, a blended token both in the regional sum and in the base attention's.

        A blend from other queries is not part of it.
        """
        of_base = self.strengths if self.base.weighted else ()
        which = REGIONAL if self.weights is None else BASE
        blended = () if self.copied else self.blended
        spoken_for = merge(span for group in self.groups for span in group.queries)
        asking = (*without(self.direct, spoken_for), *(() if self.ratio == 0 else blended))
        found = [Sees(span, self.base.keys, which, of_base) for span in asking]
        silent = blended if self.ratio in (None, 1.0) else ()
        for group in self.groups:
            strengths = self.strengths if group.weighted else ()
            for query in group.queries:
                outside = without((query,), blended)
                inside = without(without((query,), outside), silent)
                found += [Sees(span, group.keys, REGIONAL, strengths) for span in (*outside, *inside)]
        return found

    def pairs(self, length: int) -> int:
        """Of queries and keys: what it costs, of so many queries."""
        if self.own or length < kernels.SMALLEST:
            return sum(length_of(group.queries) * length_of(group.keys) for group in (*self.groups, self.base))
        return self.merging(length, LoopKernel.traits).pairs

    def merging(self, length: int, traits: Traits) -> Merging:
        """How it is computed from parts, of `length` queries; see `merging.py`."""
        key = length, traits
        if key not in self._merging:
            cells = all_cells(self.sees(), self.base.queries[0][0], traits)
            weights = [] if self.weights is None else [(span, self.weights) for span in self.blended]
            self._merging[key] = Merging(layers_of(cells, length, traits), tuple(weights), length)
        return self._merging[key]


Keys = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]

_numbers = itertools.count()
_known: weakref.WeakValueDictionary[int, BlockAttention] = weakref.WeakValueDictionary()


class BlockAttention:
    """What the attention of blocks alike computes for a whole batch.

    Attributes:
        samples: the rows of the batch (None: all) and what they compute.
        keys: given a sample's number and its keys and values, returns those that are attended to; None: these.
        calls: how often it was computed.
        key: int64 scalar on the CPU, by which `grouped_attention` finds it.
    """

    def __init__(self, samples: tuple[tuple[slice | None, AttentionSpec], ...], keys: Keys | None = None) -> None:
        self.samples, self.keys = samples, keys
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
    for number, (rows, spec) in enumerate(attention.samples):
        q, k, v = (x if rows is None else x[rows] for x in (q_BLHD, k_BLHD, v_BLHD))
        if attention.keys is not None:
            k, v = attention.keys(number, k, v)
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
    kernel = None if spec.own else kernel_for(q_BLHD, backend)
    if kernel is None:
        return _Tokens(q_BLHD, k_BLHD, v_BLHD, spec, backend).by_groups()
    out_BLHD = spec.merging(q_BLHD.shape[1], kernel.traits).attend(q_BLHD, k_BLHD, v_BLHD, kernel)
    if spec.copied:
        _blend(out_BLHD, spec, out_BLHD, spec.base_queries)
    return out_BLHD


def _blend(out_BLHD: Tensor, spec: AttentionSpec, base_BLHD: Tensor, at: int) -> None:
    """Put into the blended tokens' output what the base attention has for them; for the first of them, at `at`."""
    for start, stop in spec.blended:
        first = at + start - spec.blended[0][0]
        received_BLHD = base_BLHD[:, first : first + stop - start]
        if spec.ratio is not None:
            received_BLHD = torch.lerp(out_BLHD[:, start:stop], received_BLHD, spec.ratio)
        out_BLHD[:, start:stop] = received_BLHD


def _write(out_BLHD: Tensor, queries: Spans, attended_BLHD: Tensor) -> None:
    """Put a group's output where its queries stand."""
    at = 0
    for start, stop in queries:
        out_BLHD[:, start:stop] = attended_BLHD[:, at : at + stop - start]
        at += stop - start


class _Tokens(NamedTuple):
    """The tokens of one block, and attention among some of them, through the user's backend."""

    q_BLHD: Tensor
    k_BLHD: Tensor
    v_BLHD: Tensor
    spec: AttentionSpec
    backend: Any

    def by_groups(self) -> Tensor:
        """The output of all tokens: a call a group, and one for the base attention."""
        spec = self.spec
        out_BLHD = torch.empty_like(self.q_BLHD)  # every token is written below, once
        out_BLHD[:, : spec.padding] = 0
        for own in spec.own:
            _write(out_BLHD, own.queries, own.attend(self.q_BLHD, self.k_BLHD, self.v_BLHD, self.backend))
        base_BLHD = self.attend(spec.base)
        first = spec.base.queries[0][0]
        for start, stop in spec.direct:
            out_BLHD[:, start:stop] = base_BLHD[:, start - first : stop - first]
        for group in spec.groups:
            _write(out_BLHD, group.queries, self.attend(group))
        _blend(out_BLHD, spec, base_BLHD, spec.base_queries - first)
        return out_BLHD

    def attend(self, group: AttentionGroup) -> Tensor:
        """The attention of a group."""
        bias = self.spec.bias(self.k_BLHD.shape[1]) if group.weighted else None
        if bias is not None:
            bias = take(bias[None, :, None, None], group.keys).view(1, 1, 1, -1).to(self.q_BLHD)
        out_BLHD: Tensor = dispatch_attention_fn(
            take(self.q_BLHD, group.queries),
            take(self.k_BLHD, group.keys),
            take(self.v_BLHD, group.keys),
            attn_mask=bias,
            backend=self.backend,
        )
        return out_BLHD
