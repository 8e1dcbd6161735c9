"""`stitch` against its definition, with latents and masks by hand, and against plain FLUX where it must be that."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.checks import UnsupportedError
from strata.injection.drawing import noise_levels
from strata.injection.families import FLUX_DEV
from strata.injection.methods import method_named
from strata.injection.methods.stitch import METHOD, Stitch, foreground
from strata.injection.observer import Observer
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.injection.conftest import make_img2img, make_kontext, make_text_to_image
from tests.injection.drawings import seen_calls
from tests.injection.flux2 import make_klein
from tests.injection.methods import STEPS, Case, case, drawing, drawn_plan, of_area
from tests.injection.oracle import NEVER, DenseParallelProcessor, DenseProcessor, softmax_attention

LEVELS = [0.5, 0.4, 0.3, 0.1]
ROUTINGS = [
    "{name: a, rules: [{level: full, steps: 0-1}]}",
    "{name: b, rules: [{level: high, steps: 0-0}, {level: low, steps: 0-0}]}",
    "{name: c, rules: [{level: full}]}",
]
CUTOUTS: list[Any] = ["area", (2, 1)]
QUICK: dict[str, Any] = {"num_inference_steps": 3, "output_type": "latent"}


class Bound:
    """The three rules of region binding, pair by pair; keeps the probabilities."""

    def __init__(self, inside: np.ndarray, length: int) -> None:
        self.inside, self.length = inside, length
        self.text_to_image: list[Tensor] = []

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        tokens = [None] * self.length + [bool(own) for own in self.inside]  # None: text
        log_weights = torch.zeros(len(tokens), len(tokens))
        for query, asking in enumerate(tokens):
            for key, asked in enumerate(tokens):
                inside_to_outside = asking is True and asked is False
                outside_to_text = asking is False and asked is None
                text_to_outside = asking is None and asked is False
                if inside_to_outside or outside_to_text or text_to_outside:
                    log_weights[query, key] = NEVER
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5 + log_weights
        self.text_to_image.append(scores.softmax(-1)[:, :, : self.length, self.length :].mean(dim=2))
        return softmax_attention(q, k, v, log_weights)


class Double(Bound, DenseProcessor):
    """Of a block whose text has projections of its own, or of a FLUX.1 single block."""


class Single(Bound, DenseParallelProcessor):
    """Of a FLUX.2 single block."""


def bound(made: Case, area: str, text: Tensor, latents: Tensor, step: int, start: int) -> tuple[Tensor, list[Bound]]:
    """A region's pass by the rules, and every block's processor."""
    transformer = made.transformer
    stock, inside = dict(transformer.attn_processors), of_area(made.program, area)
    processors = []
    for block in [*transformer.transformer_blocks, *transformer.single_transformer_blocks]:
        kind = Single if hasattr(block.attn, "to_qkv_mlp_proj") else Double
        block.attn.processor = kind(inside, text.shape[1])
        processors.append(block.attn.processor)
    try:
        return made.plain(text, latents, step, start), processors
    finally:
        transformer.set_attn_processor(stock)


def largest(weights: Tensor, share: float) -> set[int]:
    """Tokens by falling weight until they hold the share."""
    order, held, found = sorted(range(len(weights)), key=lambda n: -float(weights[n])), 0.0, set()
    for token in order:
        found.add(token)
        held += float(weights[token])
        if held >= share * float(weights.sum()) - 1e-9:
            break
    return found


def by_definition(made: Case, method: Stitch, bind: int) -> Tensor:
    """The latents behind the last step."""
    program, rows, cols = made.program, made.program.grid.rows, made.program.grid.cols
    texts = {stream.area: (made.texts[stream.text], made.starts[stream.text]) for stream in program.streams}
    background, start = texts.get("background", (made.base, 0))
    latents = dict.fromkeys(["background", *program.grid.names], made.latents)
    maps: dict[str, Tensor] = {}
    for step in range(bind):
        change = LEVELS[step + 1] - LEVELS[step]
        answers = {"background": made.plain(background, latents["background"], step, start)}
        for name in program.grid.names:
            text, first = texts[name]
            answers[name], blocks = bound(made, name, text, latents[name], step, first)
            if isinstance(method.cutout, tuple):
                block, head = method.cutout
                maps[name] = blocks[block].text_to_image[0][:, head]
        latents = {name: latents[name] + change * answers[name] for name in latents}
    composed = latents["background"].clone()
    for region in sorted(program.plan.regions, key=lambda region: region.priority):  # sorted is stable
        inside = of_area(program, region.name)
        for row in range(len(composed)):
            kept = largest(maps[region.name][row], method.share) if maps else set(range(len(inside)))
            reach = method.kernel // 2 if maps else 0
            for token in np.flatnonzero(inside):
                y, x = divmod(int(token), cols)
                near = {(y + dy) * cols + x + dx for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)
                        if 0 <= y + dy < rows and 0 <= x + dx < cols}  # fmt: skip
                if near & kept:
                    composed[row, token] = latents[region.name][row, token]
    for step in range(bind, STEPS):
        composed = composed + (LEVELS[step + 1] - LEVELS[step]) * made.plain(made.base, composed, step)
    return composed


def check(family: str, seed: int, method: Stitch) -> None:
    plan = drawn_plan(seed)
    first = plan.regions[0].model_copy(update={"priority": seed % 2})
    plan = plan.model_copy(update={"regions": (first, *plan.regions[1:])})
    made = case(family, method, plan, Routing.from_yaml(ROUTINGS[seed % len(ROUTINGS)]), seed)
    before, bind = made.steps(), sum(made.program.routed(step) for step in range(STEPS))
    latents = made.latents
    with drawing(made, method, LEVELS) as calls:
        for step in range(STEPS):
            latents = latents + (LEVELS[step + 1] - LEVELS[step]) * made.plain(made.base, latents, step)
    assert len(calls) == bind * (len(plan.regions) + 1) + STEPS - bind
    assert torch.equal(made.steps(), before), "detaching left a trace"
    expected = by_definition(made, method, bind)
    assert (latents - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize(
    ("family", "seed", "method"),
    [
        ("flux", 0, METHOD),
        ("flux", 1, Stitch(share=0.4, kernel=1, cutout=(1, 1))),
        ("flux2", 2, Stitch(share=0.3, kernel=3, cutout=(3, 0))),
        ("flux2", 3, METHOD),
    ],
)
def test_it_agrees_with_the_definition(family: str, seed: int, method: Stitch) -> None:
    check(family, seed, method)


@pytest.mark.slow
@pytest.mark.parametrize("family", METHOD.tried)
@pytest.mark.parametrize("seed", range(4, 20))
def test_it_agrees_on_more_plans(family: str, seed: int) -> None:
    check(family, seed, Stitch(0.2 + seed / 40, 1 + 2 * (seed % 2), (seed % 5, seed % 2)) if seed % 3 else METHOD)


def test_what_is_cut_out() -> None:
    weights = np.array([0.0, 0.0, 0.05, 0.0, 0.6, 0.1, 0.0, 0.05, 0.2])
    assert foreground(weights, 0.6, 1, (3, 3)).nonzero()[0].tolist() == [4]
    assert foreground(weights, 0.75, 1, (3, 3)).nonzero()[0].tolist() == [4, 8]
    assert foreground(weights, 0.6, 3, (3, 3)).all()
    assert foreground(weights[::-1], 1.0, 1, (3, 3)).nonzero()[0].tolist() == [0, 1, 3, 4, 6]


def test_the_defaults_are_the_published_ones(plan: ScenePlan) -> None:
    assert (METHOD.share, METHOD.kernel, METHOD.head(FLUX_DEV)) == (0.95, 5, (14, 20))
    assert Stitch(cutout="area").head(FLUX_DEV) is None
    regional = RegionalPipeline(make_text_to_image()[0], method="stitch")
    assert METHOD.head(regional.facts) is None
    schedule = regional.compile(plan, num_inference_steps=50).schedule
    assert schedule.routed.any(axis=1).tolist() == [True] * 10 + [False] * 40


@pytest.mark.parametrize("make", [make_text_to_image, make_klein])
@pytest.mark.parametrize("steps", ["0-0", "0-2"])
def test_one_region_with_the_prompts_text_is_the_plain_picture(make: Any, steps: str) -> None:
    pipe, options = make()
    everywhere = {"name": "all", "box": [0, 0, 48, 32], "high": "a red circle"}
    plan = ScenePlan(width=48, height=32, prompt="a red circle", regions=[everywhere])
    plain = RegionalPipeline(pipe, method="plain")
    expected = plain(plan, seed=1, **QUICK, **options).images
    routing = Routing.from_yaml(f"{{name: a, pad: full, rules: [{{level: full, steps: {steps}}}]}}")
    regional = RegionalPipeline(pipe, routing, "stitch")
    with seen_calls(pipe) as calls:
        found = regional(plan, seed=1, **QUICK, **options).images
    assert len(calls) == (4 if steps == "0-0" else 6)
    assert (found - expected).abs().max() < 1e-5
    other = plan.model_copy(update={"regions": (plan.regions[0].model_copy(update={"high": "a blue square"}),)})
    assert (regional(other, seed=1, **QUICK, **options).images - expected).abs().max() > 1e-4
    assert torch.equal(plain(plan, seed=1, **QUICK, **options).images, expected)


@pytest.mark.parametrize("make", [make_img2img, pytest.param(make_kontext, marks=pytest.mark.slow)])
def test_pipelines_with_a_picture(make: Any, plan: ScenePlan) -> None:
    """By area and by attention; noise levels are those of the steps that are left."""
    pipe, options = make()
    found = [
        RegionalPipeline(pipe, "uniform", Stitch(0.2, 1, cutout))(
            plan.model_copy(update={"regions": (plan.regions[0],)}), seed=1, **QUICK, **options
        ).images
        for cutout in CUTOUTS
    ]
    assert all(torch.isfinite(each).all() for each in found)
    assert not torch.equal(*found)


def test_what_is_refused(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe, method="stitch")
    with pytest.raises(UnsupportedError, match="method 'stitch': several plans: "):
        regional([plan, plan], seed=[1, 2], **QUICK)
    said = plan.model_copy(update={"negative_prompt": "checkered"})
    with pytest.raises(UnsupportedError, match="method 'stitch': unconditional calls: each region has latents"):
        regional.compile(said, true_cfg_scale=2.0, **QUICK)
    with pytest.raises(UnsupportedError, match="method 'stitch': unconditional calls: each region has latents"):
        regional.compile(plan, negative_prompt="checkered", true_cfg_scale=2.0, **QUICK)
    rules = {
        "[{level: full, steps: 1-2}]": "its steps are not the first ones",
        "[{level: full, strength: 0.5}]": "'left' has a strength below 1",
        "[{level: full, regions: [left]}, {level: full, steps: 0-0}]": "'right' is not there in all of the steps",
        "[{level: full, every: 2}]": "'left' is not visible in all blocks alike",
    }
    for text, message in rules.items():
        routing = Routing.from_yaml(f"{{name: a, rules: {text}}}")
        with pytest.raises(InputError, match=f"method 'stitch': routing 'a': {message}"):
            RegionalPipeline(pipe, routing, "stitch").compile(plan, **QUICK)
    regional.observers.append(Observer())
    with pytest.raises(UnsupportedError, match="method 'stitch': observers: a step has several passes"):
        regional(plan, seed=1, **QUICK)
    with pytest.raises(InputError, match="has not been tried with models of the family 'chroma'"):
        method_named("stitch").check_model(replace(regional.facts, family="chroma"))
    with pytest.raises(InputError, match="method 'stitch': cutout: block 5: the model has 5"):
        RegionalPipeline(pipe, method=Stitch(cutout=(5, 0)))
    with pytest.raises(InputError, match="method 'stitch': cutout: head 2: the model has 2"):
        RegionalPipeline(pipe, method=Stitch(cutout=(4, 2)))(plan, seed=1, **QUICK)
    settings: list[dict[str, Any]] = [{"share": 0.0}, {"kernel": 4}, {"cutout": (1, -1)}, {"cutout": "all"}]
    for wrong in settings:
        with pytest.raises(InputError, match=f"method 'stitch': {next(iter(wrong))}: "):
            Stitch(**wrong)


def test_noise_levels_are_of_the_steps_that_are_left() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    for steps in (4, 2):
        assert noise_levels(scheduler, steps) == scheduler.sigmas[4 - steps :].tolist()


def test_another_scheduler_is_refused_before_anything_is_drawn(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe, method="stitch")
    pipe.scheduler = FlowMatchEulerDiscreteScheduler.from_config(pipe.scheduler.config, stochastic_sampling=True)
    with seen_calls(pipe) as calls, pytest.raises(UnsupportedError, match="needs FlowMatchEulerDiscreteScheduler, wit"):
        regional(plan, seed=1, **QUICK)
    assert not calls
