"""What a probe is asked: which blocks, steps and heads it looks at, as a person writes them, and which words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from strata.hierarchy.errors import InputError, quote
from strata.layers.ranges import Indices, Percent

Selection = str | int | Sequence[int] | None
"""`"0-9"`, `"0,4,8"`, `"50%-100%"`, a number, several; None for all."""

_STACK = re.compile(r"(double|single)\s+([\d\s,-]*\d|all)")


@dataclass(frozen=True)
class ProbeSelection:
    """What is asked of a run.

    Attributes:
        words: words or phrases of the texts.
        concepts: free words.
        blocks: indices in execution order.
        steps: as they were written; `chosen_steps` reads them once the run's number of steps is known.
        heads: indices; None: all.
        phases: into how many parts the steps are divided, at most.
    """

    words: tuple[str, ...]
    concepts: tuple[str, ...]
    blocks: tuple[int, ...]
    steps: Selection
    heads: tuple[int, ...] | None
    phases: int

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        concepts: Sequence[str],
        blocks: str | Sequence[str] | None,
        steps: Selection,
        heads: Selection,
        phases: int,
        counts: tuple[int, int],
        head_count: int,
    ) -> Self:
        """Read it, for a model of so many double and single blocks, and heads. Raises `InputError`."""
        for name, given in (("words", words), ("concepts", concepts)):
            if isinstance(given, str):
                raise InputError(f"{name}: {quote(given)}: must be several texts, such as [{quote(given)}]")
        if type(phases) is not int or phases < 1:
            raise InputError(f"phases: {phases!r}: must be a whole number of at least 1")
        for index, concept in enumerate(concepts):
            if not concept.strip() or concept in concepts[:index]:
                raise InputError(f"concepts: {quote(concept)}: must be different texts that are not empty")
        chosen = chosen_blocks(blocks, *counts)
        return cls(tuple(words), tuple(concepts), chosen, steps, chosen_heads(heads, head_count), phases)


def chosen_blocks(blocks: str | Sequence[str] | None, double: int, single: int) -> tuple[int, ...]:
    """Indices in execution order of blocks, written as `"double 0-3"`, `"double 0,1, single all"` or `"0%-50%"`.

    Raises:
        InputError: it cannot be read, or there is no such block.
    """
    if blocks is None:
        return tuple(range(double + single))
    text = blocks if isinstance(blocks, str) else ", ".join(blocks)
    if "%" in text:
        return _indices("blocks", text, double + single)
    chosen: set[int] = set()
    for match in _STACK.finditer(text):
        first, count = (0, double) if match[1] == "double" else (double, single)
        indices = _indices("blocks", match[2], count, f"{match[1]} ")
        chosen.update(first + index for index in indices)
    if not chosen or _STACK.sub("", text).strip(" ,;"):
        raise InputError(
            f'blocks: {quote(text)}: must be such as "double 0-3", "double 0,1, single all" or "0%-50%" (of depth);'
            f" the model has double 0-{double - 1} and single 0-{single - 1}"
        )
    return tuple(sorted(chosen))


def chosen_steps(steps: Selection, total: int) -> tuple[int, ...]:
    """Steps of a run of `total`. Raises `InputError` for what cannot be read, or a step that the run does not have."""
    return tuple(range(total)) if steps is None else _indices("steps", steps, total)


def chosen_heads(heads: Selection, total: int) -> tuple[int, ...] | None:
    """Attention heads out of `total`; None for all. Raises `InputError`, likewise."""
    return None if heads is None else _indices("heads", heads, total)


def _indices(name: str, value: str | int | Sequence[int], count: int, family: str = "") -> tuple[int, ...]:
    try:
        if isinstance(value, str) and "%" in value:
            selected = Percent.parse(value).select(count)
        else:
            selected = Indices.parse(value).select(count)
    except ValueError as error:
        raise InputError(f"{name}: {quote(f'{family}{value}')}: {error}") from error
    if not selected.any():
        raise InputError(f"{name}: {quote(f'{family}{value}')}: selects none of {count}")
    return tuple(np.flatnonzero(selected).tolist())
