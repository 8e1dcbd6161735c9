"""The attention of a few tokens, row by row: a float32 softmax over all keys, where shares of groups do not suffice.

Shapes: L tokens, H heads, D head width, R rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from strata.injection.attention import AttentionGroup, AttentionSpec
from strata.injection.layout import Spans

_LARGEST = 2**23
"""Numbers of a chunk of rows, 32 MiB."""


class Rows(NamedTuple):
    """Some tokens, and what they attend to: `(1 - base_weight) * regional attention + base_weight * base attention`.

    Attributes:
        queries: int64 `[R]`, where in the sequence the queries of their regional attention are.
        base_queries: int64 `[R]`, likewise of their base attention.
        bias, base_bias: float32 `[R, L]`, added to the logits; None: zero.
        base_weight: float32 `[R]`; None: there is no base attention.
    """

    queries: Tensor
    base_queries: Tensor
    bias: Tensor | None
    base_bias: Tensor | None
    base_weight: Tensor | None


def rows_of(spec: AttentionSpec | None, tokens: Tensor, length: int) -> Rows:
    """Resolve the attention of some tokens (int64 `[R]`) in a sequence of `length`; `spec` None: plain attention."""
    if spec is None:
        return Rows(tokens, tokens, None, None, None)
    at = tokens.cpu()
    bias = spec.bias(length)
    strengths = torch.zeros(length) if bias is None else bias

    def seen(group: AttentionGroup) -> Tensor:
        """float32 `[L]`: what a group adds to the logits of all keys."""
        added = torch.full((length,), -math.inf)
        for start, stop in group.keys:
            added[start:stop] = strengths[start:stop] if group.weighted else 0.0
        return added

    base = seen(spec.base)
    bias = torch.full((len(at), length), -math.inf)
    weight, base_queries = _among(at, spec.direct).float(), at.clone()
    for group in spec.groups:
        members = _among(at, group.queries)
        bias[members], weight[members] = seen(group), 0.0
    if spec.blended:
        blended = _among(at, spec.blended)
        weight[blended] = 1.0 if spec.ratio is None else spec.ratio
        base_queries[blended] += spec.base_queries - spec.blended[0][0]
    bias[weight == 1] = base
    device = tokens.device
    if not weight.any():
        return Rows(tokens, tokens, bias.to(device), None, None)
    base_bias = base.expand(len(at), -1).to(device)
    return Rows(tokens, base_queries.to(device), bias.to(device), base_bias, weight.to(device))


def _among(tokens: Tensor, spans: Spans) -> Tensor:
    """Which of some tokens lie in the spans, bool `[R]`."""
    among = torch.zeros(len(tokens), dtype=torch.bool)
    for start, stop in spans:
        among |= (tokens >= start) & (tokens < stop)
    return among


def attention_rows(q_LHD: Tensor, k_LHD: Tensor, rows: Rows) -> Tensor:
    """The effective attention of some tokens, `[H, R, L]` float32; every row sums to one.

    Args:
        q_LHD, k_LHD: queries and keys of one picture as attention sees them, rotary embedding applied.
        rows: as `rows_of` gives them.
    """
    k_HDL = k_LHD.float().permute(1, 2, 0)
    regional_HRL = _softmax(q_LHD, k_HDL, rows.queries, rows.bias)
    if rows.base_weight is None:
        return regional_HRL
    base_HRL = _softmax(q_LHD, k_HDL, rows.base_queries, rows.base_bias)
    return torch.lerp(regional_HRL, base_HRL, rows.base_weight[None, :, None])


def _softmax(q_LHD: Tensor, k_HDL: Tensor, tokens: Tensor, bias: Tensor | None) -> Tensor:
    q_HRD = q_LHD[tokens].float().transpose(0, 1) / math.sqrt(q_LHD.shape[-1])
    logits_HRL = q_HRD @ k_HDL if bias is None else torch.baddbmm(bias[None], q_HRD, k_HDL)
    return logits_HRL.softmax(-1)


def chunks(rows: Rows, heads: int, length: int) -> Iterator[tuple[slice, Rows]]:
    """The rows in pieces whose attention fits a bounded buffer."""
    size = max(1, _LARGEST // (heads * length))
    for start in range(0, len(rows.queries), size):
        piece = slice(start, start + size)
        biases = (None if x is None else x[piece] for x in rows[2:])
        yield piece, Rows(rows.queries[piece], rows.base_queries[piece], *biases)


def entropy(attention_HRL: Tensor) -> Tensor:
    """Entropy of each row in nats, `[H, R]`."""
    entropy_HR: Tensor = torch.special.entr(attention_HRL).sum(-1)
    return entropy_HR
