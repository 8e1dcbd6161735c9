"""What text encoders do not read of long texts: told here, instead of by diffusers once for every text it encodes.

What the encoder of the text tokens (T5) cuts off is not heard at all, so it is told of every text. CLIP reads 77 tokens
of a prompt, and of FLUX.1 gives the pooled vector alone, which shifts the modulation of the whole picture; T5 reads
the prompt whole. That is told once for a loaded model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from strata.injection.calling import call_of
from strata.injection.families import Family, family_of

logger = logging.getLogger(__name__)

_OF_DIFFUSERS = "The following part of your input was truncated because CLIP"
_TOLD: WeakSet[Any] = WeakSet()
"""Tokenizers whose cuts were told."""


def warn_truncated(family: Family, pipe: Any, text: str, max_length: int) -> None:
    """Warn if the model sees only the beginning of a text."""
    tokenizer = family.tokenizer(pipe)
    tokens = tokenizer(text).input_ids
    lost = tokenizer.decode(tokens[max_length - 1 :], skip_special_tokens=True) if len(tokens) > max_length else ""
    if lost:  # else it is only what stands behind the text in a chat
        logger.warning("a text of %d tokens is cut to %d; not heard: %.80s", len(tokens), max_length, lost)


def warn_pooled(family: Family, pipe: Any, prompt: str) -> None:
    """Warn of the first prompt of a model whose pooled vector is of its beginning alone; later ones are logged as INFO.

    Does nothing for families without such a vector, or where its tokenizer is not loaded.
    """
    tokenizer = family.pooled_tokenizer(pipe)
    if tokenizer is None:
        return
    tokens, most = tokenizer(prompt, verbose=False).input_ids, tokenizer.model_max_length
    if len(tokens) <= most:
        return
    lost = tokenizer.decode(tokens[most - 1 :], skip_special_tokens=True)
    logger.log(
        logging.INFO if tokenizer in _TOLD else logging.WARNING,
        "CLIP reads %d of the %d tokens of the prompt '%.40s…'; its pooled vector, and nothing else, lacks: %.80s"
        " (said once; further prompts are logged as INFO)",
        *(most, len(tokens), prompt, lost),
    )
    _TOLD.add(tokenizer)


@contextmanager
def diffusers_silent(encoder: Any) -> Iterator[None]:
    """While the context lasts, the module of what encodes texts prints nothing of what CLIP cuts off; all else it does.

    `encoder`: a pipeline, or the step of one.
    """

    def other(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(_OF_DIFFUSERS)

    loggers = [logging.getLogger(kind.__module__) for kind in type(encoder).__mro__]
    for each in loggers:
        each.addFilter(other)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(other)


@contextmanager
def stock_call(pipe: Any, prompts: Iterable[str]) -> Iterator[None]:
    """Around a call of a stock pipeline: what CLIP cuts off its prompts is told as of plans, and not by diffusers."""
    family = family_of(pipe.transformer)
    for prompt in prompts:
        warn_pooled(family, pipe, prompt)
    with diffusers_silent(call_of(pipe).encoder):
        yield
