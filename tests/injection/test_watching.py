"""An observer is asked once of each attention whether it wants to see it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from strata.hierarchy.plan import ScenePlan
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.pipeline import RegionalPipeline
from tests.injection.conftest import make_text_to_image
from tests.injection.flux2 import make_klein


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
