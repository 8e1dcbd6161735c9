"""`rpg` against its definition, token by token, and against plain FLUX where it must be that."""

from typing import Any

import pytest
import torch
from torch import Tensor

from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.plan import ScenePlan
from strata.injection.checks import UnsupportedError
from strata.injection.methods import method_named
from strata.injection.methods.rpg import METHOD
from strata.injection.observer import Observer
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.injection.conftest import make_controlnet, make_kontext, make_text_to_image
from tests.injection.drawings import seen_calls
from tests.injection.flux2 import make_klein
from tests.injection.methods import STEPS, Case, case, drawing, drawn_plan, of_area

ROUTINGS = [
    "{name: a, blend: {base_ratio: 0.5}, rules: [{level: full}]}",
    "{name: b, blend: {base_ratio: 0}, rules: [{level: full, steps: 0-1}]}",
    "{name: c, blend: {base_ratio: {from: 0.6, to: 0}}, rules: [{level: high}, {level: low, strength: 0.4}]}",
    "{name: d, blend: {base_ratio: 0.2}, rules: [{level: full, strength: {from: 1, to: 0.3}, regions: [r0]}]}",
]
MORE = [make_kontext, make_controlnet]
QUICK: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt"}


def by_definition(case: Case, step: int) -> tuple[Tensor, int]:
    """Every token for itself: the mean of what its regions' passes say, beside the base pass; and how many passes."""
    program, ratio = case.program, float(case.program.schedule.base_ratio[step])
    base = case.plain(case.base, case.latents, step)
    heard = []
    for stream in program.streams:
        weight, tokens = float(stream.weight[step, 0]), of_area(program, stream.area)
        if weight > 0 and tokens.any():
            own = case.plain(case.texts[stream.text], case.latents, step, case.starts[stream.text])
            heard.append((weight, tokens, own))
    if not heard:
        return base, 1
    out, uses_base = base.clone(), ratio > 0
    for token in range(out.shape[1]):
        here = [(weight, own[:, token]) for weight, tokens, own in heard if tokens[token]]
        total = sum(weight for weight, _ in here)
        regional = sum((weight * own for weight, own in here), torch.zeros_like(out[:, token]))
        regional = regional / total if total > 1 else regional + (1 - total) * base[:, token]
        uses_base |= total < 1
        out[:, token] = (1 - ratio) * regional + ratio * base[:, token]
    return out, len(heard) + uses_base


@pytest.mark.parametrize(
    ("family", "seeds"),
    [("flux", range(4)), ("chroma", range(1, 3)), ("flux2", range(2, 4)), ("flux3", range(2))]
    + [pytest.param(family, range(4, 24), marks=pytest.mark.slow) for family in METHOD.tried],
)
def test_it_agrees_with_the_definition(family: str, seeds: range) -> None:
    for seed in seeds:
        routing = ROUTINGS[seed % len(ROUTINGS)]
        made = case(family, METHOD, drawn_plan(seed), Routing.from_yaml(routing), seed)
        plain = made.steps()
        with drawing(made, METHOD) as calls:
            found, passes = [], []
            for step in range(STEPS):
                calls.clear()
                found.append(made.plain(made.base, made.latents, step))
                passes.append(len(calls))
        for step in range(STEPS):
            expected, needed = by_definition(made, step)
            assert (found[step] - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))
            assert passes[step] == needed
            if needed == 1:
                assert torch.equal(found[step], plain[step]), "an unrouted step is the plain model, bit for bit"
        assert torch.equal(made.steps(), plain), "detaching left a trace"


def test_too_many_steps_are_told() -> None:
    made = case("flux", METHOD, drawn_plan(0), Routing.from_yaml(ROUTINGS[0]), 0)
    with drawing(made, METHOD):
        made.steps()
        with pytest.raises(StrataError, match="more often than its 3 steps"):
            made.plain(made.base, made.latents, 0)


@pytest.mark.parametrize(
    "make", [make_text_to_image, make_klein, *(pytest.param(m, marks=pytest.mark.slow) for m in MORE)]
)
def test_one_region_with_the_prompts_text_is_the_plain_picture(make: Any) -> None:
    """With the padding that the prompt has, as the method's own routing keeps it; and it is undone behind the call."""
    pipe, options = make()
    everywhere = {"name": "all", "box": [0, 0, 48, 32], "high": "a red circle"}
    plan = ScenePlan(width=48, height=32, prompt="a red circle", regions=[everywhere])
    plain = RegionalPipeline(pipe, method="plain")
    expected = plain(plan, seed=1, **QUICK, **options).images
    with seen_calls(pipe) as calls:
        found = RegionalPipeline(pipe, method="rpg")(plan, seed=1, **QUICK, **options).images
    assert torch.equal(found, expected)
    assert len(calls) == 4
    other = plan.model_copy(update={"regions": (plan.regions[0].model_copy(update={"high": "a blue square"}),)})
    assert not torch.equal(RegionalPipeline(pipe, method="rpg")(other, seed=1, **QUICK, **options).images, expected)
    assert torch.equal(plain(plan, seed=1, **QUICK, **options).images, expected)


def test_global_texts_join_the_prompt_and_levels_each_other(plan: ScenePlan, caplog: pytest.LogCaptureFixture) -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe, method="rpg")
    assert regional.routing.name == "rpg"
    program = regional.compile(plan, num_inference_steps=2)
    assert program.plan.prompt == "a red circle and a blue square, two shapes, striped"
    texts = [s.text for s in program.streams]
    assert texts == ["a circle, red, striped", "a square, blue, solid", "plain background, grey"]
    assert [float(s.weight.max()) for s in program.streams] == [1, 1, 1]
    divided = RegionalPipeline(pipe, "uniform", "rpg").compile(plan, num_inference_steps=2)
    assert [s.text for s in divided.streams] == texts
    both = RegionalPipeline(pipe, "isolate-first", "rpg")
    assert both.routing.name == "isolate-first"
    both(plan, seed=0, **QUICK)


def test_what_is_refused(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    deep = RegionalPipeline(pipe, "alternate", "rpg")
    with pytest.raises(InputError, match=r"method 'rpg': routing 'alternate': 'left' is not visible in all blocks"):
        deep.compile(plan, num_inference_steps=2)
    regional = RegionalPipeline(pipe, method="rpg")
    with pytest.raises(UnsupportedError, match="method 'rpg': several plans: each plan has as many passes"):
        regional([plan, plan], seed=[1, 2], **QUICK)
    regional.observers.append(Observer())
    with pytest.raises(UnsupportedError, match="method 'rpg': observers: a step has several passes"):
        regional(plan, seed=1, **QUICK)
    facts = regional.facts
    with pytest.raises(
        InputError, match="method 'rpg': has not been tried with models of the family 'qwen', only with"
    ):
        method_named("rpg").check_model(type(facts)("qwen", facts.stacks, 16, 512))
    assert method_named("native+rpg").refuses == METHOD.refuses
    assert method_named("native+rpg").default_routing.name == "rpg"


def test_guidance_by_unconditional_calls_stays_the_pipelines(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    said = plan.model_copy(update={"negative_prompt": "checkered", "background": None})
    with seen_calls(pipe) as calls:
        RegionalPipeline(pipe, method="rpg")(said, seed=1, true_cfg_scale=2.0, **QUICK)
    assert len(calls) == 2 * (1 + 2 + 1), "base, two regions, and the unconditional call, at both steps"
