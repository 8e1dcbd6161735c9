"""Regional attention as one writes it first: scaled dot-product attention with a mask over all tokens.

The same attention as `regional`, from the same `AttentionSpec`; what a query may see is a boolean mask instead of
groups. The base attention is a call of its own, as in the published pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from strata.injection.attention import AttentionGroup, AttentionSpec
from strata.injection.layout import Spans, merge, take
from strata.injection.methods.base import Drawing
from strata.injection.methods.groups import Sample
from strata.injection.methods.regional import Regional, RegionalRun
from strata.injection.program import Visibility


@dataclass(frozen=True, eq=False)
class Masked:
    """The attention of several groups' queries, by one mask."""

    queries: Spans
    groups: tuple[AttentionGroup, ...]
    _masks: dict[torch.device, Tensor] = field(default_factory=dict)

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, backend: Any) -> Tensor:
        """See `OwnAttention`."""
        if q_BLHD.device not in self._masks:
            self._masks[q_BLHD.device] = self._mask(k_BLHD.shape[1]).to(q_BLHD.device)
        q, k, v = (x.transpose(1, 2) for x in (take(q_BLHD, self.queries), k_BLHD, v_BLHD))
        mask = self._masks[q_BLHD.device]
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)

    def _mask(self, keys: int) -> Tensor:
        """bool `[queries, keys]`: who sees whom."""
        mask = torch.zeros(max(stop for _, stop in self.queries), keys, dtype=torch.bool)
        for group in self.groups:
            for start, stop in group.queries:
                for first, last in group.keys:
                    mask[start:stop, first:last] = True
        return torch.cat([mask[start:stop] for start, stop in self.queries])


class MaskedRun(RegionalRun):
    """As `RegionalRun`, with a mask."""

    by_program: ClassVar[bool] = False

    def spec(self, block: int, sample: Sample, visible: Visibility, padding: int) -> AttentionSpec | None:
        """See `RegionalRun`."""
        spec = super().spec(block, sample, visible, padding)
        if spec is None or not spec.groups:
            return spec
        queries = merge(span for group in spec.groups for span in group.queries)
        return replace(spec, groups=(), own=(Masked(queries, spec.groups),))


class DenseMask(Regional):
    """See the module."""

    name: ClassVar[str] = "dense-mask"

    def start(self, drawing: Drawing) -> MaskedRun:
        """See `Method`."""
        return MaskedRun(drawing)
