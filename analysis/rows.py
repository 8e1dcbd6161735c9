"""The attention of a few tokens, row by row: a float32 softmax over all keys, for what no share of groups can tell.

Shapes: L tokens, H heads, D head width, R rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from strata.injection.attention import Regional
from strata.injection.layout import Spans

_LARGEST = 2**23
"""Numbers of a chunk of rows, 32 MiB."""


class Rows(NamedTuple):
    """Some tokens, and whom they hear: `(1 - weight) * softmax over heard + weight * softmax over base`.

    Attributes:
        heard: int64 `[R]`, the tokens whose queries they are.
        lent: int64 `[R]`, the queries of their base attention.
        heard_bias, base_bias: float32 `[R, L]`, added to the logits; None where all keys are heard alike.
        weight: float32 `[R]`, or None where there is no base attention.
    """

    heard: Tensor
    lent: Tensor
    heard_bias: Tensor | None
    base_bias: Tensor | None
    weight: Tensor | None


def rows_of(regional: Regional | None, rows: Tensor, length: int) -> Rows:
    """Resolve the attention of the tokens `rows` (int64 `[R]`) in a sequence of `length` tokens."""
    if regional is None:
        return Rows(rows, rows, None, None, None)
    tokens = rows.cpu()
    heard = torch.full((len(tokens), length), -math.inf)
    base = torch.full((length,), -math.inf)
    weight, lent = torch.zeros(len(tokens)), tokens.clone()
    for audience in regional.groups:
        bias = torch.full((length,), -math.inf)
        for start, stop in audience.keys:
            weighted = audience.weighted and regional.bias is not None
            bias[start:stop] = regional.bias[start:stop].float().cpu() if weighted else 0.0  # type: ignore[index]
        heard[_among(tokens, audience.queries)] = bias
    for start, stop in regional.base.keys:
        base[start:stop] = 0.0
    weight[_among(tokens, regional.direct)] = 1.0
    if regional.blended is not None:
        blended = _among(tokens, (regional.blended,))
        weight[blended] = 1.0 if regional.ratio is None else float(regional.ratio)
        lent[blended] += regional.lent - regional.blended[0]
    heard[weight == 1] = base
    device = rows.device
    if not weight.any():
        return Rows(rows, rows, heard.to(device), None, None)
    return Rows(rows, lent.to(device), heard.to(device), base.expand(len(tokens), -1).to(device), weight.to(device))


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
    heard_HRL = _softmax(q_LHD, k_HDL, rows.heard, rows.heard_bias)
    if rows.weight is None:
        return heard_HRL
    base_HRL = _softmax(q_LHD, k_HDL, rows.lent, rows.base_bias)
    return torch.lerp(heard_HRL, base_HRL, rows.weight[None, :, None])


def _softmax(q_LHD: Tensor, k_HDL: Tensor, tokens: Tensor, bias: Tensor | None) -> Tensor:
    q_HRD = q_LHD[tokens].float().transpose(0, 1) / math.sqrt(q_LHD.shape[-1])
    logits_HRL = q_HRD @ k_HDL if bias is None else torch.baddbmm(bias[None], q_HRD, k_HDL)
    return logits_HRL.softmax(-1)


def chunks(rows: Rows, heads: int, length: int) -> Iterator[tuple[slice, Rows]]:
    """The rows in pieces whose attention fits a bounded buffer."""
    size = max(1, _LARGEST // (heads * length))
    for start in range(0, len(rows.heard), size):
        piece = slice(start, start + size)
        heard_bias, base_bias, weight = (None if part is None else part[piece] for part in rows[2:])
        yield piece, Rows(rows.heard[piece], rows.lent[piece], heard_bias, base_bias, weight)


def entropy(attention_HRL: Tensor) -> Tensor:
    """Entropy of each row in nats, `[H, R]`."""
    entropy_HR: Tensor = torch.special.entr(attention_HRL).sum(-1)
    return entropy_HR
