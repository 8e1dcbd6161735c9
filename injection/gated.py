"""The attention processor of attention with a gate on its output, while something is attached."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strata.injection.processor import JoinedAttnProcessor


class GatedAttnProcessor(JoinedAttnProcessor):
    """As `JoinedAttnProcessor`; what was attended passes a gate before its projection."""

    def gated(self, attn: Any, attended_BLC: Tensor, hidden_states: Tensor) -> Tensor:
        """Through the gate."""
        return attended_BLC * torch.sigmoid(attn.to_gate(hidden_states))
