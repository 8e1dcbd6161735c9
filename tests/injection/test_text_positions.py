"""Texts that stand at their regions (a routing's `text_positions`)."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strata.hierarchy.grid import TokenGrid
from strata.injection.streams import Stream
from strata.layers.routing import Routing
from tests.examples import examples
from tests.injection.drawings import drawing, program_of
from tests.injection.test_oracle import DOUBLE, FAMILIES, SINGLE, STEPS, TRANSFORMERS, run

Positions = Literal["canvas", "region"]


@st.composite
def places(draw: Any) -> tuple[TokenGrid, int, int]:
    """A box on a grid, with its rows and columns."""
    rows, cols = draw(st.integers(2, 5)), draw(st.integers(2, 5))
    top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, cols - 1))
    height, width = draw(st.integers(1, rows - top)), draw(st.integers(1, cols - left))
    mask = np.zeros((1, rows, cols), dtype=bool)
    mask[0, top : top + height, left : left + width] = True
    return TokenGrid(rows, cols, ("a",), mask, ~mask[0]), height, width


def ids_of(rows: int, cols: int) -> Tensor:
    return torch.cat([torch.zeros(rows * cols, 1), torch.cartesian_prod(torch.arange(rows), torch.arange(cols))], dim=1)


def region_drawn(
    family: str,
    grid: TokenGrid,
    latents: Tensor,
    text: Tensor,
    positions: Positions,
    mode: Literal["shared", "split"] = "shared",
) -> Tensor:
    """What a step makes of the tokens of a region that is isolated, with no base prompt in it."""
    routing = Routing(
        name="alone",
        blend={"base_ratio": 0, "mode": mode},
        text_positions=positions,
        rules=[{"level": "high", "isolate": True}],
    )
    schedule = routing.resolve(DOUBLE, SINGLE, STEPS)
    stream = Stream("a", "high", "text", schedule.strength("high", "a"))
    base = torch.randn(1, 2, 12, generator=torch.Generator().manual_seed(1))
    with drawing(TRANSFORMERS[family], program_of(grid, schedule, [stream]), {"text": text}):
        return run(TRANSFORMERS[family], latents, base, ids_of(grid.rows, grid.cols))[:, grid.masks[0].ravel()]


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "flux3"])
@examples(10)
@given(places(), st.integers(0, 2**31))
def test_an_isolated_region_is_a_picture_of_its_own(family: str, place: tuple[TokenGrid, int, int], seed: int) -> None:
    """The plain model draws on the region's tokens alone, with the region's text as its prompt, just the same.

    Not so FLUX.3, in whose mode blocks the whole image attends to itself.
    """
    grid, height, width = place
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(1, grid.rows * grid.cols, 8, generator=generator)
    text = torch.randn(1, 3, 12, generator=generator)
    own = run(TRANSFORMERS[family], latents[:, grid.masks[0].ravel()], text, ids_of(height, width))
    assert (region_drawn(family, grid, latents, text, "region") - own).abs().max() < 1e-5
    assert (region_drawn(family, grid, latents, text, "region", "split") - own).abs().max() < 1e-5, "as published"
    if grid.masks[0, 0, 0]:
        assert (region_drawn(family, grid, latents, text, "canvas") - own).abs().max() < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_elsewhere_on_the_canvas_it_is_none(family: str) -> None:
    mask = np.zeros((1, 4, 5), dtype=bool)
    mask[0, 1:3, 2:5] = True
    grid = TokenGrid(4, 5, ("a",), mask, ~mask[0])
    generator = torch.Generator().manual_seed(0)
    latents, text = torch.randn(1, 20, 8, generator=generator), torch.randn(1, 3, 12, generator=generator)
    there, here = (region_drawn(family, grid, latents, text, where) for where in ("region", "canvas"))
    assert (there - here).abs().max() > 1e-3
