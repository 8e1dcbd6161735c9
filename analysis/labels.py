"""Labels of text tokens: every text, its padding, and every asked word within it, as a partition of the tokens.

Words may overlap ("red", "red circle"), so tokens with the same labels share a *column*; a label is a set of columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strata.analysis.probe import Label
from strata.hierarchy.errors import InputError, quote


@dataclass(frozen=True)
class TextTokens:
    """A text as the transformer gets it.

    Attributes:
        name: "base", "left/low", …
        area, level: as in `Label`.
        text: its words; None where only its embedding is known.
        length: its tokens, padding included.
    """

    name: str
    area: str | None
    level: str | None
    text: str | None
    length: int


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of a run's text tokens.

    Attributes:
        labels: texts, then paddings, then words.
        columns: C, the number of sets of labels that tokens have.
        column_of: for each text by name, int64 `[length]`: every token's column.
        member: bool `[labels, C]`.
        words: indices of the labels that are words.
        word_tokens: for each of `words`, the positions of its tokens within its text.
    """

    labels: tuple[Label, ...]
    columns: int
    column_of: Mapping[str, NDArray[np.int64]]
    member: NDArray[np.bool_]
    words: tuple[int, ...]
    word_tokens: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, texts: Sequence[TextTokens], words: Sequence[str], tokenizer: Any) -> Labels:
        """Label the tokens of `texts`; without a tokenizer, padding counts as text.

        Of `words`, names of texts need no label of their own: every text has one.

        Raises:
            InputError: a word is in none of the texts, or only in what was cut off.
        """
        labels: list[Label] = []
        tokens: list[list[int]] = []
        """Of each label, within its text."""

        def add(label: Label, of: Iterable[int]) -> None:
            labels.append(label)
            tokens.append(list(of))

        real = {text.name: _real(text, tokenizer) for text in texts}
        for text in texts:
            whole = Label(kind="text", text=text.name, area=text.area, level=text.level, quote=text.text or "")
            add(whole, real[text.name])
        for text in texts:
            if rest := sorted({*range(text.length)} - {*real[text.name]}):
                add(Label(kind="padding", text=text.name, area=text.area, level=text.level), rest)
        first_word = len(labels)
        for word in dict.fromkeys(words):
            found = False
            for text in texts:
                at, raw = word_tokens(text.text or "", word, tokenizer, text.length)
                if at:
                    found = True
                    label = Label(kind="word", text=text.name, area=text.area, level=text.level, word=word, quote=raw)
                    add(label, at)
            if not found and word not in real:
                raise no_such_word(word, [(text.name, text.text or "") for text in texts])
        column_of: dict[str, NDArray[np.int64]] = {}
        known: dict[tuple[int, ...], int] = {}
        for text in texts:
            own = [n for n, label in enumerate(labels) if label.text == text.name]
            signs = [tuple(n for n in own if at in tokens[n]) for at in range(text.length)]
            column_of[text.name] = np.array([known.setdefault(sign, len(known)) for sign in signs], dtype=np.int64)
        member = np.zeros((len(labels), len(known)), dtype=np.bool_)
        for sign, column in known.items():
            member[list(sign), column] = True
        chosen = tuple(range(first_word, len(labels)))
        return cls(tuple(labels), len(known), column_of, member, chosen, tuple(tuple(tokens[n]) for n in chosen))


def check_words(texts: Mapping[str, str], words: Sequence[str]) -> None:
    """Raise `InputError` for a word that is in none of the texts, nor the name of one, or is empty or given twice."""
    for index, word in enumerate(words):
        if not word.strip():
            raise InputError(f"words: {quote(word)}: is empty; give words or phrases of the texts")
        if word in words[:index]:
            raise InputError(f"words: {quote(word)}: is named twice")
        if word not in texts and not any(_occurrences(text, word) for text in texts.values()):
            raise no_such_word(word, list(texts.items()))


def no_such_word(word: str, texts: Sequence[tuple[str, str]]) -> InputError:
    """The error for a word that no text has or is called by."""
    read = "; ".join(f"{name} {quote(text)}" for name, text in texts)
    return InputError(
        f"words: {quote(word)}: is in no text that is heard, nor the name of one; these are: {read or 'none'}"
    )


def word_tokens(text: str, word: str, tokenizer: Any, length: int) -> tuple[list[int], str]:
    """Which of a text's first `length` tokens are a word's or phrase's, wherever it stands; how it is written there.

    Case does not count; parts of longer words do not. Tokens are found by the tokenizer's offsets.
    """
    spans = _occurrences(text, word)
    if not spans:
        return [], ""
    offsets = tokenizer(text, **_padded(length), return_offsets_mapping=True).offset_mapping
    at = [n for n, (a, b) in enumerate(offsets) if any(a < stop and start < b for start, stop in spans)]
    return at, text[slice(*spans[0])]


def _occurrences(text: str, word: str) -> list[tuple[int, int]]:
    pattern = r"\s+".join(map(re.escape, word.split()))
    return [match.span() for match in re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)] if pattern else []


def _real(text: TextTokens, tokenizer: Any) -> list[int]:
    """Which of a text's tokens are no padding; all, where that is not known."""
    if text.text is None or tokenizer is None:
        return list(range(text.length))
    mask = tokenizer(text.text, **_padded(text.length)).attention_mask
    return [at for at, seen in enumerate(mask) if seen]


def _padded(length: int) -> dict[str, Any]:
    """How a tokenizer makes so many tokens of a text, padding where the model's text encoder has it."""
    return {"padding": "max_length", "max_length": length, "truncation": True}
