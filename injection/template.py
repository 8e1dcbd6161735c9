"""A language model's tokenizer, as pipelines use it that put a text into a fixed template and keep its own tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class TemplateTokenizer:
    """Called with a text, gives the tokens that the pipeline's text embedding keeps; offsets are within the text.

    Tokens of the template have empty offsets.

    Args:
        inner: a tokenizer.
        prefix: what the template puts before the text; its tokens are dropped.
        dropped: how many those are.
        suffix: what the template puts behind the text and the embedding keeps.
        padded_within: padding stands before the suffix, which a text that is too long keeps; else behind it.
        pieces: parts of a text that are tokenized by themselves, with where each begins.
    """

    def __init__(
        self,
        inner: Any,
        prefix: str = "",
        dropped: int = 0,
        suffix: str = "",
        padded_within: bool = False,
        pieces: Callable[[str], Sequence[tuple[int, str]]] | None = None,
    ) -> None:
        self.inner, self.prefix, self.dropped, self.suffix = inner, prefix, dropped, suffix
        self.padded_within, self.pieces = padded_within, pieces
        self.is_fast: bool = inner.is_fast
        self.model_max_length: int = inner.model_max_length

    def __call__(
        self, text: str, padding: Any = False, max_length: int | None = None, truncation: bool = False, **options: Any
    ) -> Any:
        """Tokenize; takes and returns what a fast tokenizer does."""
        from transformers import BatchEncoding

        ids, offsets = self._tokens(text)
        behind = self._ids(self.suffix)
        spans = [(len(text), len(text))] * len(behind)
        room = len(ids) + len(behind) if max_length is None else max_length
        if not self.padded_within:
            ids, offsets, behind, spans = ids + behind, offsets + spans, [], []
        if truncation:
            ids, offsets = ids[: room - len(behind)], offsets[: room - len(behind)]
        missing = room - len(ids) - len(behind) if padding == "max_length" else 0
        mask = [1] * len(ids) + [0] * missing + [1] * len(behind)
        ids = ids + [self.inner.pad_token_id] * missing + behind
        offsets = offsets + [(0, 0)] * missing + spans
        return BatchEncoding({"input_ids": ids, "attention_mask": mask, "offset_mapping": offsets})

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text alone, where the tokens end with the template's."""
        tail: str = self.inner.decode(self._ids(self.suffix), skip_special_tokens=skip_special_tokens)
        whole: str = self.inner.decode(ids, skip_special_tokens=skip_special_tokens)
        return "" if tail and tail.endswith(whole) else whole.removesuffix(tail)

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self.inner(text, add_special_tokens=False).input_ids if text else []
        return found

    def _tokens(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The text's own tokens, and where they stand in it."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for first, piece in [(0, text)] if self.pieces is None else self.pieces(text):
            found = self.inner(
                self.prefix + piece, add_special_tokens=False, return_offsets_mapping=self.inner.is_fast, verbose=False
            )
            spans = found["offset_mapping"] if self.inner.is_fast else [(0, 0)] * len(found["input_ids"])
            ids += found["input_ids"][self.dropped :]
            within = ([min(max(at - len(self.prefix), 0), len(piece)) + first for at in span] for span in spans)
            offsets += [(start, stop) for start, stop in within][self.dropped :]
        return ids, offsets
