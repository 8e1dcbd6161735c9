"""The prompt that a plain pipeline draws, learnt from its text encoder: the caller need not give it twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.injection.families import Family
from strata.injection.intercept import Call, intercepted


class PlainPrompt:
    """Finds which text became a text embedding.

    Args:
        pipe: the pipeline.
        family: of its transformer.
        given: the prompt, where it is known beforehand.
    """

    def __init__(self, pipe: Any, family: Family, given: str | None) -> None:
        self.given, self.tokenizer = given, family.tokenizer(pipe)
        self._encoder = family.text_encoders(pipe)[-1]
        self._embedding = partial(family.text_embedding, pipe)
        self._tokens = partial(family.text_tokens, pipe)
        self._encoded: list[tuple[list[int], Tensor]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the context lasts, what the text encoder is given is remembered."""
        if self._encoder is None:
            yield
            return
        try:
            with intercepted(self._encoder, self._around_encoder):
                yield
        finally:
            self._encoded = []

    def _around_encoder(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = call(*args, **kwargs)
        ids = args[0] if args else kwargs["input_ids"]
        self._encoded.append((self._tokens(ids[0].tolist()), self._embedding(output)[0]))
        return output

    def of(self, embeds_BLC: Tensor, exact: bool) -> str | None:
        """The first row's text: as given, else read back from its tokens; None where no text is known.

        Raises:
            InputError: another prompt was given; with `exact`, the tokens do not give the text (unknown characters?).
        """
        ids = next((ids for ids, encoded in self._encoded if _same(encoded, embeds_BLC[0])), None)
        if ids is None:
            return self.given
        read: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        text = read if self.given is None else self.given
        options = {"padding": "max_length", "max_length": len(ids), "truncation": True}
        if self.tokenizer(text, **options).input_ids == ids:
            return text
        if self.given is not None:
            raise InputError(f"prompt: {quote(text)}: is not what is drawn; that is {quote(read)}")
        if exact:
            raise InputError(f"words: {quote(read)} is not quite the prompt; tell it: probing(…, prompt=…)")
        return read


def _same(encoded_LC: Tensor, embeds_LC: Tensor) -> bool:
    return encoded_LC.shape == embeds_LC.shape and torch.equal(encoded_LC.to(embeds_LC), embeds_LC)
