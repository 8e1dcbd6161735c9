"""Texts that ride along at some steps alone: when, and at what cost; what is drawn then, the oracle says."""

from math import ceil
from typing import Any

import pytest
import torch

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.description import cost_of, describe
from strata.injection.errors import UnsupportedError
from strata.injection.methods import method_for
from strata.injection.methods.refresh import riding
from strata.injection.observer import Observer
from strata.injection.pipeline import RegionalPipeline
from strata.injection.program import compile_program
from strata.layers.routing import Routing
from tests.injection.conftest import make_chroma, make_img2img, make_text_to_image
from tests.injection.drawings import seen_calls
from tests.injection.flux2 import make_flux2, make_klein_kv
from tests.injection.test_several_plans import FACTS, PLANS
from tests.rarely import rarely

OPTIONS = {"num_inference_steps": 5, "max_sequence_length": 24, "output_type": "latent"}


def routing(refresh: int, rules: str = "[{level: high}, {level: low}, {level: full}]") -> Routing:
    return Routing.from_yaml(f"{{name: kept, refresh: {refresh}, rules: {rules}}}")


@pytest.mark.parametrize(
    ("refresh", "rules", "expected"),
    [
        (1, "[{level: high}]", [0, 1, 2, 3, 4, 5, 6, 7]),
        (3, "[{level: high}]", [0, 3, 6]),
        (1000, "[{level: high}]", [0]),
        (4, "[{level: high, steps: 2-6}]", [2, 6]),
        (4, "[{level: high, steps: 0-1}, {level: low}]", [0, 4]),
        (4, "[{level: high}, {level: low, steps: 2-7}]", [0, 2, 6]),
        (4, "[{level: high, double: 0, steps: 0-0}, {level: high, single: 1, steps: 1-7}]", [0, 1, 5]),
        (4, "[{level: high, double: 1, steps: 0-0}, {level: high, double: 0, steps: 1-7}]", [0, 4]),
        (4, "[{level: high, steps: 0-0}, {level: high, steps: 3-4}]", [0, 4]),
    ],
    ids=str,
)
def test_texts_ride_along_when_they_are_due_or_new(refresh: int, rules: str, expected: list[int]) -> None:
    """New is what no step kept: a text that appears, or is heard in blocks that it did not reach."""
    plan = next(p for p in PLANS if any(r.high and r.low for r in p.regions))
    plan = plan.model_copy(update={"regions": tuple(r for r in plan.regions if r.high and r.low)})
    assert riding(compile_program(plan, routing(refresh, rules), FACTS, 8)) == expected


@pytest.mark.parametrize("make", [make_text_to_image, make_chroma, *rarely(make_img2img, make_flux2, make_klein_kv)])
def test_between_them_the_base_prompt_passes_alone(make: Any, plan: ScenePlan) -> None:
    pipe, options = make()
    options = {**OPTIONS, **options}
    pictures, counts = {}, {}
    for refresh in (1, 2, 5):
        with seen_calls(pipe) as seen:
            pictures[refresh] = RegionalPipeline(pipe, routing(refresh))(plan, seed=0, **options).images
        lengths = [call["encoder_hidden_states"].shape[1] for call in seen]
        counts[refresh] = lengths.count(max(lengths))
        assert counts[refresh] == ceil(counts[1] / refresh), "others are as short as the base prompt"
    assert all(torch.isfinite(picture).all() for picture in pictures.values())
    assert not torch.equal(pictures[1], pictures[2])
    assert not torch.equal(pictures[2], pictures[5])


def test_a_call_anew_begins_anew(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe, routing(3))
    first = regional(plan, seed=0, **OPTIONS).images
    regional(plan, seed=1, **OPTIONS)
    assert torch.equal(regional(plan, seed=0, **OPTIONS).images, first)


def test_what_it_costs_is_told() -> None:
    """Of tokens, what the texts add falls to the share of the steps that have them."""

    def words(text: str) -> int:
        return len(text.split())

    costs = {}
    for refresh in (1, 2, 4):
        program = compile_program(PLANS[0], routing(refresh), FACTS, 8)
        cost = cost_of(program, method_for(program.routing), words, 10)
        assert cost is not None
        costs[refresh] = cost.tokens - 1
    assert costs[2] == pytest.approx(costs[1] / 2)
    assert costs[4] == pytest.approx(costs[1] / 4)


def test_the_steps_are_told() -> None:
    for refresh, steps in ((1, None), (2, "0-6 every 2"), (4, "0, 4"), (5, "0, 5")):
        program = compile_program(PLANS[0], routing(refresh), FACTS, 8)
        lines = describe(program, method_for(program.routing), len, 10)
        told = [line for line in lines if line.startswith("refresh")]
        wanted = f"refresh {refresh}: texts ride along at steps {steps}, and are kept for the others"
        assert told == ([] if steps is None else [wanted])


@pytest.mark.parametrize("method", ["rpg", "densediffusion", "stitch", "regional-prompting-flux"])
def test_methods_that_do_not_keep_texts_say_so(method: str, plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    rules = "[{level: full}]"
    with pytest.raises(
        InputError, match=f"routing 'kept': refresh: 2: the method {method} has its texts at every step"
    ):
        RegionalPipeline(pipe, routing(2, rules), method)(plan, seed=0, **OPTIONS)


def test_observers_see_texts_at_every_step(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe, routing(2))
    regional.observers.append(Observer())
    with pytest.raises(UnsupportedError, match="refresh: 2: probes and other observers see the texts at every step"):
        regional(plan, seed=0, **OPTIONS)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "true", "1001", "often"])
def test_it_is_a_number_of_steps(value: str) -> None:
    with pytest.raises(InputError, match="refresh"):
        Routing.from_yaml(f"{{name: a, refresh: {value}, rules: [{{level: high}}]}}")
