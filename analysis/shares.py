"""Labels sent through attention as values: exact attention shares without an attention map.

Attention is an average of values. Where the values are indicators of a group of keys, the average is the share of the
attention that falls on the group: `softmax(q kᵀ) · 1[key in group]`. So the model's own attention, called once more
with one-hot columns for values, gives the share of every group at once, through the same fast kernels, with no N×N map;
and as blending of regional and base attention is linear in the values, the blended shares come out exact as well.

Shapes: B batch, L tokens (text, then image), H heads, D head width, N canvas tokens, C columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from strata.injection.attention import AttentionSpec, regional_attention
from strata.injection.layout import Span, within


def indicators(column_L: Tensor, columns: int, heads: int, width: int, dtype: torch.dtype) -> list[Tensor]:
    """One-hot values `[1, L, H, D]` of every key's column, in passes of D columns."""
    passes = -(-columns // width)
    eye = torch.eye(columns, passes * width, dtype=dtype, device=column_L.device)
    one_hot_LC = eye[column_L]
    return [
        one_hot_LC[:, None, n * width : (n + 1) * width].expand(-1, heads, -1).contiguous()[None] for n in range(passes)
    ]


def label_shares(
    q_BLHD: Tensor,
    k_BLHD: Tensor,
    values: list[Tensor],
    columns: int,
    canvas: Span,
    spec: AttentionSpec | None,
    backend: Any = None,
) -> Tensor:
    """The share of each canvas token's attention that goes to each column, `[N, C]` float32, mean over batch and heads.

    Args:
        q_BLHD, k_BLHD: queries and keys as attention sees them, rotary embedding applied.
        values: as `indicators` gives them; the columns partition the keys, so that rows sum to one.
        columns: C.
        canvas: where the canvas tokens stand in the sequence.
        spec: of the block's attention, cut by `canvas_only` or not; None: plain attention.
        backend: of diffusers' `dispatch_attention_fn`.
    """
    rows = slice(*canvas)
    parts = []
    for v_BLHD in values:
        if spec is None:
            out_BNHD = dispatch_attention_fn(q_BLHD[:, rows], k_BLHD, v_BLHD, backend=backend)
        else:
            out_BNHD = regional_attention(q_BLHD, k_BLHD, v_BLHD, spec, backend)[:, rows]
        parts.append(out_BNHD.mean((0, 2), dtype=torch.float32))
    return (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))[:, :columns]


def canvas_only(spec: AttentionSpec, canvas: Span) -> AttentionSpec:
    """The same attention with the canvas tokens' queries alone; what it writes for other tokens means nothing."""
    start, stop = canvas
    cut = [group._replace(queries=within(group.queries, start, stop)) for group in spec.groups]
    direct = within(spec.direct, start, stop)
    queries: Span = (start, stop) if direct else (start, start + 1)
    if spec.blended:
        queries = (spec.base_queries, spec.base_queries + spec.blended[-1][1] - spec.blended[0][0])
    return replace(
        spec,
        groups=tuple(group for group in cut if group.queries),
        direct=direct,
        blended=within(spec.blended, start, stop),
        base=spec.base._replace(queries=(queries,)),
    )
