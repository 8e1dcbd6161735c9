"""Attention over a part of the keys, and the exact merging of parts by their log-sum-exp.

Attention over the union of two sets of keys is a mix of the attentions over each, weighted by the sums of their
exponentials (the online softmax of arXiv 1805.02867). So what two attentions have in common is computed once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from torch import Tensor

SMALLEST = 512
"""Tokens from which merging parts pays; below, its additional kernel calls cost more than they save."""


class Part(NamedTuple):
    """Attention over some of the keys: output and the logits' log-sum-exp, `[B, L, H, 1]`."""

    out_BLHD: Tensor
    lse_BLH1: Tensor


def can_part(q_BLHD: Tensor, backend: Any) -> bool:
    """Whether parts can be had and pay: on the CPU, with the native backend, whose kernel returns its log-sum-exp.

    Not while gradients are recorded: the kernel has none for the log-sum-exp.
    """
    chosen = backend or _AttentionBackendRegistry.get_active_backend()[0]
    native = q_BLHD.device.type == "cpu" and AttentionBackendName(chosen) == AttentionBackendName.NATIVE
    return native and q_BLHD.shape[1] >= SMALLEST and not (torch.is_grad_enabled() and q_BLHD.requires_grad)


def attend_part(q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, bias: Tensor | None = None) -> Part:
    """Attention over the given keys alone; `bias` is added to the logits, [1, 1, 1, Lk]."""
    if bias is not None:
        bias = bias.expand(-1, -1, q_BLHD.shape[1], -1)
    out_BHLD, lse_BHL = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q_BLHD.transpose(1, 2), k_BLHD.transpose(1, 2), v_BLHD.transpose(1, 2), attn_mask=bias
    )
    return Part(out_BHLD.transpose(1, 2), lse_BHL.transpose(1, 2).unsqueeze(-1))


def merge_parts(one: Part, other: Part) -> Part:
    """Attention over the keys of both parts, which must be disjoint."""
    share = torch.sigmoid(other.lse_BLH1 - one.lse_BLH1)
    out_BLHD = torch.lerp(one.out_BLHD, other.out_BLHD, share.to(one.out_BLHD.dtype))
    return Part(out_BLHD, torch.logaddexp(one.lse_BLH1, other.lse_BLH1))
