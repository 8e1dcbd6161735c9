"""The attention processor of blocks that are given the text's mask by itself, while something is attached."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from strata.injection.processor import RegionalAttnProcessor


class MaskedTextAttnProcessor(RegionalAttnProcessor):
    """As `RegionalAttnProcessor`; a mask of the text hides its padding, where the call is no routed one."""

    def __call__(  # type: ignore[override]
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        encoder_hidden_states_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
        regional: Tensor | None = None,
    ) -> Any:
        """Attend; takes and returns what the stock processor does."""
        text, mask = encoder_hidden_states, encoder_hidden_states_mask
        watching = self.watching(attn)
        if regional is None and not watching:
            return self.stock(attn, hidden_states, text, mask, attention_mask, image_rotary_emb)
        assert text is not None
        q, k, v = self.family.project(attn, hidden_states, text, image_rotary_emb)
        if mask is not None:
            mask = torch.nn.functional.pad(mask, (0, hidden_states.shape[1]), value=True)[:, None, None]
        return self.family.output(attn, self.attend(attn, q, k, v, mask, regional, watching), text.shape[1])
