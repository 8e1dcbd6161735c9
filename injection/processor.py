"""The attention processor that stands in for the stock one while something is attached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from strata.injection.attention import grouped_attention
from strata.injection.families.base import Family
from strata.injection.observer import Observer


class Watcher(Protocol):
    """Whoever tells observers of queries, keys and values."""

    def watching(self, attn: Any) -> tuple[Observer, ...]:
        """The observers that want to see this attention module's, now; asks each of them once."""

    def observe(
        self, attn: Any, watching: tuple[Observer, ...], q: Tensor, k: Tensor, v: Tensor, attended: Tensor, backend: Any
    ) -> None:
        """Shows them, `[B, L, H, D]` each, and the attention's output before any projection."""


class RegionalAttnProcessor:
    """The stock attention processor, and regional attention where the call has the number of one.

    One instance serves all blocks with one backend; what differs between blocks comes with the call, so that compiled
    blocks share their graphs.
    """

    def __init__(self, stock: Any, family: Family, watcher: Watcher | None = None) -> None:
        self.stock, self.family, self.watcher = stock, family, watcher
        self._attention_backend = stock._attention_backend
        self._parallel_config = stock._parallel_config

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
        regional: Tensor | None = None,
    ) -> Any:
        """Attend; takes and returns what the stock processor does."""
        watching = self.watching(attn)
        if regional is None and not watching:
            return self.stock(attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb)
        q, k, v = self.family.project(attn, hidden_states, encoder_hidden_states, image_rotary_emb)
        attended = self.attend(attn, q, k, v, attention_mask, regional, watching)
        text = None if encoder_hidden_states is None else encoder_hidden_states.shape[1]
        return self.family.output(attn, attended, text)

    def watching(self, attn: Any) -> tuple[Observer, ...]:
        """Who is to see this call's queries, keys and values; without any, and not regional, it is the stock's."""
        return self.watcher.watching(attn) if self.watcher is not None else ()

    def attend(
        self,
        attn: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        attention_mask: Tensor | None,
        regional: Tensor | None,
        watching: tuple[Observer, ...],
    ) -> Tensor:
        """The attention's output `[B, L, C]` of queries, keys and values `[B, L, H, D]`; shows them who watches."""
        if regional is None:
            attended = dispatch_attention_fn(q, k, v, attn_mask=attention_mask, backend=self._attention_backend)
        else:
            attended = grouped_attention(q, k, v, regional, self._attention_backend)
        if watching:
            assert self.watcher is not None
            self.watcher.observe(attn, watching, q, k, v, attended, self._attention_backend)
        flat: Tensor = attended.flatten(2, 3).to(q.dtype)
        return flat


class JoinedAttnProcessor(RegionalAttnProcessor):
    """The same of attention that takes text and image as one tensor, and no keywords.

    Attributes:
        key: the number of the `BlockAttention` that the block being called is to compute (`handed_over`).
    """

    def __init__(self, stock: Any, family: Family, watcher: Watcher | None = None) -> None:
        super().__init__(stock, family, watcher)
        self.key: Tensor | None = None

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
        return self.family.output(attn, self.gated(attn, attended, hidden_states), None)

    def gated(self, attn: Any, attended_BLC: Tensor, hidden_states: Tensor) -> Tensor:
        """What of the attended is projected: all of it."""
        return attended_BLC


@contextmanager
def handed_over(attn: Any, key: Tensor | None) -> Iterator[Tensor | None]:
    """While the context lasts, an attention that takes no keywords finds its number on its processor.

    Yields the number as a keyword: None where it is handed over.
    """
    processor = attn.processor
    if not isinstance(processor, JoinedAttnProcessor):
        yield key
        return
    processor.key = key
    try:
        yield None
    finally:
        processor.key = None
