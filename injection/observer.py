"""Observers of a drawing: they are given the programs, each step, and the queries, keys and values of each block.

What an observer does with them changes no picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from strata.injection.attention import AttentionSpec
    from strata.injection.families.base import Block
    from strata.injection.program import Program


@dataclass(frozen=True, eq=False)
class AttentionEvent:
    """One block's attention, computed.

    Attributes:
        block: which.
        q_BLHD, k_BLHD, v_BLHD: queries, keys and values as attention sees them, rotary embedding applied. There may be
            more keys and values: at the end, those of a reference that are kept from an earlier step.
        out_BLHD: its output, before any projection.
        spec: what was computed for the first row of the batch; None: plain attention among all tokens.
        segments: what the keys' tokens are, in order: name and count. A name is `AREA/LEVEL` of a stream, "base",
            "image" or "padding"; there are two images where the base prompt carries a copy of its own, which comes
            first. Canvas tokens come first in an image, a reference's behind.
        inverse: int64 `[canvas]`, where each canvas token of the pipeline stands in an image; None: in its order.
        temb: the block's modulation embedding `[B, …]`.
        backend: of diffusers' `dispatch_attention_fn`.
    """

    block: Block
    q_BLHD: Tensor
    k_BLHD: Tensor
    v_BLHD: Tensor
    out_BLHD: Tensor
    spec: AttentionSpec | None
    segments: tuple[tuple[str, int], ...]
    inverse: Tensor | None
    temb: Tensor
    backend: Any


class Observer:
    """Observes one drawing; every method is optional."""

    def begin(self, programs: Sequence[Program], texts: Mapping[str, int]) -> None:
        """A `RegionalPipeline` is about to draw; `texts`: token counts of the streams' texts."""

    def begin_step(self, step: int, inputs: Mapping[str, Any]) -> None:
        """A conditional transformer call begins, counted from 0, with the stock inputs by name."""

    def watches(self, block: int) -> bool:
        """Whether `attention` is to be called for a block in this step."""
        return False

    def attention(self, event: AttentionEvent) -> None:
        """A block has attended."""

    def end_step(self, step: int) -> None:
        """The call has ended."""
