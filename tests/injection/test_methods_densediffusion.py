"""`densediffusion` against a dense softmax with every score modulated by itself, and against plain FLUX."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.checks import UnsupportedError
from strata.injection.methods import densediffusion, method_named
from strata.injection.methods.densediffusion import METHOD, DenseDiffusion
from strata.injection.observer import Observer
from strata.injection.pipeline import RegionalPipeline
from strata.injection.streams import TextOverride
from strata.layers.routing import Routing
from tests.injection.conftest import make_kontext, make_text_to_image
from tests.injection.drawings import seen_calls
from tests.injection.flux2 import make_klein
from tests.injection.methods import STEPS, Case, case, drawing, drawn_plan, of_area
from tests.injection.oracle import DenseParallelProcessor, DenseProcessor

ROUTINGS = [
    "{name: a, rules: [{level: full, steps: 0-1}]}",
    "{name: b, rules: [{level: high, depth: 0%-40%}, {level: low, depth: 60%-100%, strength: 0.5}]}",
    "{name: c, rules: [{level: full, strength: {from: 1, to: 0.2}, regions: [r0]}]}",
]
QUICK: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt"}


class ScoreByScore:
    """The published equation over [base, spans, canvas], a pair of tokens at a time."""

    def __init__(self, case: Case, method: DenseDiffusion, block: int) -> None:
        self.case, self.method, self.block, self.step = case, method, block, 0

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
        program, changed = self.case.program, scores.clone()
        owner = ["base"] * self.case.base.shape[1]
        for stream in program.streams:
            owner += [stream.area] * self.case.texts[stream.text].shape[1]
        text, areas = len(owner), [set[str]() for _ in range(program.grid.rows * program.grid.cols)]
        for name in [*program.grid.names, "background"]:
            for token in np.flatnonzero(of_area(program, name)):
                areas[token].add(name)
        weights = {stream.area: float(stream.weight[self.step, self.block]) for stream in program.streams}
        level = (0.5 - 0.1 * self.step) ** self.method.power
        for query, own in enumerate(areas):
            spans, strength = own, max(weights.get(name, 0.0) for name in own)
            if own == {"background"} and "background" not in weights:
                spans, strength = {"base"}, max(weights.values())
            spans = {name for name in spans if weights.get(name, 1.0) > 0}
            together = [bool(own & other) for other in areas]
            free = 1 - self.method.size * sum(together) / len(areas)
            row = scores[:, :, text + query]
            texts, image = row[..., :text], row[..., text:]
            for key in range(text + len(areas)):
                is_text = key < text
                belongs = owner[key] in spans if is_text else together[key - text]
                among = texts if is_text else image
                weight = level * strength * (self.method.w_c if is_text else self.method.w_s) * free
                a = row[..., key]
                up, down = among.amax(-1) - a, a - among.amin(-1)
                changed[:, :, text + query, key] = a + (weight * up if belongs else -weight * down)
        return torch.einsum("bhqk,bkhd->bqhd", changed.softmax(-1), v)


class Double(ScoreByScore, DenseProcessor):
    """Of a block whose text has projections of its own, or of a FLUX.1 single block."""


class Single(ScoreByScore, DenseParallelProcessor):
    """Of a FLUX.2 single block."""


@contextmanager
def slow(case: Case, method: DenseDiffusion) -> Iterator[list[ScoreByScore]]:
    """While the context lasts, the stock transformer attends by the definition."""
    transformer = case.transformer
    stock = dict(transformer.attn_processors)
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    made = []
    for n, block in enumerate(blocks):
        kind = Single if hasattr(block.attn, "to_qkv_mlp_proj") else Double
        block.attn.processor = kind(case, method, n)
        made.append(block.attn.processor)
    try:
        yield made
    finally:
        transformer.set_attn_processor(stock)


def check(family: str, seed: int, method: DenseDiffusion, routing: str) -> None:
    made = case(family, method, drawn_plan(seed), Routing.from_yaml(routing), seed)
    plain = made.steps()
    with drawing(made, method) as calls:
        found = made.steps()
    assert len(calls) == STEPS
    assert torch.equal(made.steps(), plain), "detaching left a trace"
    prompt = torch.cat([made.base, *(made.texts[stream.text] for stream in made.program.streams)], dim=1)
    with slow(made, method) as processors:
        for step in range(STEPS):
            for processor in processors:
                processor.step = step
            expected = made.plain(prompt, made.latents, step)
            assert (found[step] - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))
    for step in range(STEPS):
        stock = made.plain(prompt, made.latents, step)
        modulated = any(stream.weight[step].any() for stream in made.program.streams)
        close = (found[step] - stock).abs().max() <= 1e-5 * max(1.0, float(stock.abs().max()))
        assert bool(close) != (modulated and method.w_c > 0), "other steps are the plain model on the one prompt"


@pytest.mark.parametrize(("family", "seed"), [("flux", 0), ("flux", 1), ("flux2", 2), ("flux2", 4)])
def test_it_agrees_with_the_definition(family: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At weights that leave a trace, for noise levels are 0.5 and below here."""
    monkeypatch.setattr(densediffusion, "SCORES", 100)  # queries in turns
    check(family, seed, DenseDiffusion(w_c=1.5, w_s=0.8, power=1.0), ROUTINGS[seed % len(ROUTINGS)])


@pytest.mark.slow
@pytest.mark.parametrize("family", METHOD.tried)
@pytest.mark.parametrize("seed", range(5, 17))
def test_it_agrees_on_more_plans(family: str, seed: int) -> None:
    check(family, seed, DenseDiffusion(1.0, 0.3, 0.5, 2.0), ROUTINGS[seed % len(ROUTINGS)])


def test_without_weights_it_is_the_plain_model_on_one_prompt() -> None:
    check("flux", 3, DenseDiffusion(w_c=0, w_s=0), ROUTINGS[0])


def test_the_defaults_are_the_published_ones(plan: ScenePlan) -> None:
    assert (METHOD.w_c, METHOD.w_s, METHOD.size, METHOD.power) == (1.0, 0.3, 1.0, 5.0)
    regional = RegionalPipeline(make_text_to_image()[0], method="densediffusion")
    schedule = regional.compile(plan, num_inference_steps=10).schedule
    assert [bool(schedule.routed[step].all()) for step in range(10)] == [True] * 3 + [False] * 7


@pytest.mark.parametrize("make", [make_text_to_image, make_klein, pytest.param(make_kontext, marks=pytest.mark.slow)])
def test_pipelines_draw_and_are_left_as_they_were(make: Any, plan: ScenePlan) -> None:
    pipe, options = make()
    plain = RegionalPipeline(pipe, method="plain")
    before = plain(plan, seed=1, **QUICK, **options).images
    with seen_calls(pipe) as calls:
        found = RegionalPipeline(pipe, method="densediffusion")(plan, seed=1, **QUICK, **options).images
    assert len(calls) == 2
    assert torch.isfinite(found).all()
    strong = DenseDiffusion(w_c=2, power=1)
    assert not torch.equal(RegionalPipeline(pipe, method=strong)(plan, seed=1, **QUICK, **options).images, found)
    assert torch.equal(plain(plan, seed=1, **QUICK, **options).images, before)
    silent = plan.model_copy(update={"regions": (), "background": None, "high": None, "low": None})
    only = RegionalPipeline(pipe, method="densediffusion")(silent, seed=1, **QUICK, **options).images
    assert torch.equal(only, before), "without regions it is the plain picture"


def test_what_is_refused(plan: ScenePlan) -> None:
    regional = RegionalPipeline(make_text_to_image()[0], method="densediffusion")
    with pytest.raises(UnsupportedError, match="method 'densediffusion': several plans: each plan has a prompt"):
        regional([plan, plan], seed=[1, 2], **QUICK)
    swap = TextOverride("left", "full", "a star", np.array([[False], [True]]))
    with pytest.raises(InputError, match="method 'densediffusion': 'left' has several texts"):
        RegionalPipeline(regional.pipe, "uniform", "densediffusion").compile(plan, overrides=[swap], **QUICK)
    regional.observers.append(Observer())
    with pytest.raises(UnsupportedError, match="method 'densediffusion': observers: probes do not know"):
        regional(plan, seed=1, **QUICK)
    facts = regional.facts
    with pytest.raises(InputError, match="has not been tried with models of the family 'chroma'"):
        method_named("densediffusion").check_model(type(facts)("chroma", facts.stacks, 16, 512))
    with pytest.raises(InputError, match=r"method 'densediffusion': w_c: -1.0: must be a number from 0 or above"):
        DenseDiffusion(w_c=-1.0)
    with pytest.raises(InputError, match=r"size: 2.0: must be a number from 0 to 1"):
        DenseDiffusion(size=2.0)
