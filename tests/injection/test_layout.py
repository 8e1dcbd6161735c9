"""Spans of tokens are sets of tokens, and a layout's areas are the grid's."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.grid import TokenGrid
from strata.injection.layout import Spans, TokenLayout, merge, take, within, without
from tests.examples import examples

NUMBERS = st.integers(0, 9)
SPANS = st.lists(st.tuples(NUMBERS, NUMBERS).map(lambda ends: (min(ends), max(ends))), max_size=5)


def tokens(spans: Spans) -> set[int]:
    return {token for start, stop in spans for token in range(start, stop)}


@examples(50)
@given(SPANS, SPANS, NUMBERS, NUMBERS)
def test_spans_are_sets_of_tokens(some: list[tuple[int, int]], others: list[tuple[int, int]], a: int, b: int) -> None:
    """Whatever is made of them is merged: in order, none empty, none that touch."""
    merged, start, stop = merge(some), min(a, b), max(a, b)
    cases = (
        (merged, tokens(tuple(some))),
        (within(merged, start, stop), tokens(merged) & set(range(start, stop))),
        (without(merged, merge(others)), tokens(merged) - tokens(tuple(others))),
    )
    for found, expected in cases:
        assert tokens(found) == expected
        assert all(first < last for first, last in found)
        assert all(one[1] < two[0] for one, two in pairwise(found))
    if merged:
        assert take(torch.arange(9)[None], merged)[0].tolist() == sorted(tokens(merged))


@pytest.mark.parametrize("reference", [0, 3])
def test_areas_are_those_of_the_grid(reference: int) -> None:
    masks = np.zeros((2, 3, 4), dtype=bool)
    masks[0, :2, :3] = masks[1, 1:, 1:] = True
    grid = TokenGrid(3, 4, ("left", "right"), masks, ~masks.any(0))
    layout = TokenLayout.of(grid, 12 + reference, torch.device("cpu"))
    assert layout.order[layout.inverse].tolist() == [*range(12 + reference)]
    assert tokens(layout.reference) == set(range(12, 12 + reference))

    def own(spans: Spans) -> set[int]:
        return set(layout.order[sorted(tokens(spans))].tolist())

    areas = {name: set(np.flatnonzero(mask).tolist()) for name, mask in zip(grid.names, masks, strict=True)}
    areas |= {"background": set(np.flatnonzero(grid.background).tolist()), "global": set(range(12))}
    assert {name: own(layout.area(name)) for name in areas} == areas
    for members, span in layout.atoms:
        shared = [areas[grid.names[member]] for member in members] or [areas["background"]]
        assert own((span,)) <= set.intersection(*shared)
        assert own(layout.neighbours(members)) == set.union(*shared)
