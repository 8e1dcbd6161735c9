"""The attention processor of attention with a gate on its output, while something is attached."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strata.injection.processor import JoinedAttnProcessor


class GatedAttnProcessor(JoinedAttnProcessor):
    """As `JoinedAttnProcessor`; what was attended passes a gate before its projection."""

    def __call__(  # type: ignore[override]
        self,
        attn: Any,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        """Attend; takes and returns what the stock processor does."""
        watching = self.watching(attn)
        if self.key is None and not watching:
            return self.stock(attn, hidden_states, attention_mask, image_rotary_emb)
        q, k, v = self.family.project(attn, hidden_states, None, image_rotary_emb)
        attended = self.attend(attn, q, k, v, attention_mask, self.key, watching)
        return self.family.output(attn, attended * torch.sigmoid(attn.to_gate(hidden_states)), None)
