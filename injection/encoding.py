"""Encoded texts, kept across the calls on one pipeline."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

CAPACITY = 256
"""Texts kept at most (a T5-XXL embedding of 512 tokens takes 4 MiB in bfloat16)."""


class TextCache:
    """A bounded cache of what `pipe.encode_prompt` returned, and of T5 embeddings of single texts.

    Nothing is kept while a text encoder has LoRA adapters. Weights changed in place (a LoRA fused into a text encoder)
    go unnoticed: `clear` then.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def clear(self) -> None:
        """Forget all texts; needed after the weights of a text encoder were changed in place."""
        self._kept.clear()

    def _state(self) -> tuple[Any, ...] | None:
        """What beside the text decides an embedding; None with LoRA adapters in an encoder, whose scales may change."""
        encoders = (self.pipe.text_encoder, self.pipe.text_encoder_2)
        if any(getattr(encoder, "peft_config", None) for encoder in encoders):
            return None
        return tuple((id(encoder), getattr(encoder, "dtype", None)) for encoder in encoders)

    def _remember(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        state = self._state()
        if state is None:
            return make()
        key = (*key, state)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._kept[key] = make()
        while len(self._kept) > CAPACITY:
            self._kept.popitem(last=False)
        return value

    def tell_cut(self, text: str, max_length: int) -> None:
        """Warn if T5 hears only the beginning of a text."""
        tokens = self.pipe.tokenizer_2(text).input_ids
        if len(tokens) > max_length:
            lost = self.pipe.tokenizer_2.decode(tokens[max_length - 1 :], skip_special_tokens=True)
            logger.warning("a text of %d tokens is cut to %d; not heard: %.80s", len(tokens), max_length, lost)

    @torch.no_grad()
    def stream(self, text: str, max_length: int, padded: bool, scale: float | None) -> Tensor:
        """T5 embedding [1, L, C] of one text, as the pipeline encodes it; without `padded`, cut to its real tokens.

        Texts are encoded one by one, so that a text's embedding does not depend on the others of the call.
        """

        def encode() -> tuple[Tensor, int]:
            tokens = self.pipe.tokenizer_2(
                [text], padding="max_length", max_length=max_length, truncation=True, return_tensors="pt"
            )
            embeds = self.pipe.encode_prompt(
                prompt=text, prompt_2=text, max_sequence_length=max_length, lora_scale=scale
            )[0]
            return embeds, int(tokens.attention_mask.sum())

        embeds, real = self._remember(("stream", text, max_length, scale), encode)
        real_BLC: Tensor = embeds if padded else embeds[:, :real]
        return real_BLC

    @contextmanager
    def encoding(self, heard: Callable[[int, Tensor], None]) -> Iterator[None]:
        """While the context lasts, `pipe.encode_prompt` answers from the cache.

        `heard(n, prompt_embeds)` is told of every call's result, n counting from 0: a pipeline encodes its prompt
        first, its negative prompt second.
        """
        encode, count = self.pipe.encode_prompt, 0

        def cached(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            plain = not any(isinstance(value, Tensor) for value in (*args, *kwargs.values()))
            if plain:
                key = ("prompt", repr(args), repr(sorted(kwargs.items())))
                embeds, *rest = self._remember(key, lambda: encode(*args, **kwargs))
                result = (embeds.clone(), *rest)
            else:
                result = encode(*args, **kwargs)
            heard(count, result[0])
            count += 1
            return result

        self.pipe.encode_prompt = cached
        try:
            yield
        finally:
            del self.pipe.encode_prompt
