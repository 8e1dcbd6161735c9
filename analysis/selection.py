"""Which blocks, steps and heads a study looks at, as a person writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import quote
from strata.layers.ranges import Indices, Percent

Selection = str | int | Sequence[int] | None
"""`"0-9"`, `"0,4,8"`, `"50%-100%"`, a number, several; None for all."""

_FAMILY = re.compile(r"(double|single)\s+([\d\s,-]*\d|all)")


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
    for match in _FAMILY.finditer(text):
        first, count = (0, double) if match[1] == "double" else (double, single)
        indices = _indices("blocks", match[2], count, f"{match[1]} ")
        chosen.update(first + index for index in indices)
    if not chosen or _FAMILY.sub("", text).strip(" ,;"):
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
