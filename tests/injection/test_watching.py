"""An observer is asked once of each attention whether it wants to see it, and changes nothing."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from strata.hierarchy.grid import TokenGrid
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, attached
from strata.injection.families import family_of
from strata.injection.methods.plain import PlainRun
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.pipeline import RegionalPipeline
from tests.injection.conftest import make_text_to_image
from tests.injection.flux2 import make_klein
from tests.injection.test_oracle import TRANSFORMERS, run
from tests.injection.test_oracle_qwen import CASES


class Asked(Observer):
    """Wants every second block."""

    def __init__(self) -> None:
        self.step = 0
        self.asked: Counter[tuple[int, int]] = Counter()
        self.seen: Counter[tuple[int, int]] = Counter()

    def begin_step(self, step: int, inputs: Any) -> None:
        self.step = step

    def watches(self, block: int) -> bool:
        self.asked[self.step, block] += 1
        return block % 2 == 0

    def attention(self, event: AttentionEvent) -> None:
        self.seen[self.step, event.block.index] += 1


@pytest.mark.parametrize("make", [make_text_to_image, make_klein])
@pytest.mark.parametrize("routing", ["uniform", "isolate-first"])
def test_once_an_attention(make: Callable[[], tuple[Any, dict[str, Any]]], plan: ScenePlan, routing: str) -> None:
    pipe, options = make()
    asked = Asked()
    regional = RegionalPipeline(pipe, routing)
    regional.observers.append(asked)
    regional(plan, seed=1, num_inference_steps=2, output_type="latent", **options)
    assert asked.asked == Counter({(step, block): 1 for step in (0, 1) for block in range(5)})
    assert asked.seen == Counter({(step, block): 1 for step in (0, 1) for block in (0, 2, 4)})


def plain_call(name: str) -> tuple[Any, Callable[[], Tensor]]:
    """A transformer, and a call of it: 6 text tokens, the last 2 masked where the family masks, and 8 image tokens."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 8, 8, generator=generator)
    if name in TRANSFORMERS:
        text = torch.randn(1, 6, 12, generator=generator)
        ids = torch.cartesian_prod(torch.zeros(1), torch.arange(2.0), torch.arange(4.0))
        return TRANSFORMERS[name], lambda: run(TRANSFORMERS[name], latents, text, ids, masked=2)
    case, grid = CASES[name], TokenGrid(2, 4, (), np.zeros((0, 2, 4), bool), np.ones((2, 4), bool))
    text = torch.randn(1, 6, *case.layers, 12, generator=generator)
    mask = torch.tensor([[True] * 4 + [False] * 2]) if case.masks else None
    own = case.inputs(grid, 0, range(6), torch.zeros(6, 3), mask)
    if "img_shapes" in own:
        own["img_shapes"] = own["img_shapes"][:1]

    @torch.no_grad()
    def call() -> Tensor:
        inputs = {"hidden_states": latents, "encoder_hidden_states": text, "timestep": torch.tensor([0.5]), **own}
        found: Tensor = case.transformer(return_dict=False, **inputs)[0]
        return found

    return case.transformer, call


@pytest.mark.parametrize("name", ["flux", "chroma", "flux2", "longcat", "qwen", "krea2"])
def test_a_watched_plain_call_is_the_stock_one_bit_for_bit(name: str) -> None:
    class Everything(Observer):
        def watches(self, block: int) -> bool:
            return True

        def attention(self, event: AttentionEvent) -> None:
            seen.append(event.block.index)

    seen: list[int] = []
    transformer, call = plain_call(name)
    expected = call()
    with attached(transformer, Attachment(family_of(transformer), PlainRun(), (Everything(),))):
        assert torch.equal(call(), expected)
    assert seen == [*range(len(family_of(transformer).blocks(transformer)))]
