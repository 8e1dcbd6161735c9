"""A plan compiled: what it knows before anything is drawn, and how it tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.loras import Lora
from strata.hierarchy.plan import ScenePlan, Texts
from strata.injection.attach import Attachment, attached
from strata.injection.description import Cost, cost_of, describe
from strata.injection.families import FLUX_DEV
from strata.injection.methods import method_for, method_named
from strata.injection.methods.plain import PlainRun
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.pipeline import RegionalPipeline
from strata.injection.program import Program, compile_program, joint_grid
from strata.injection.streams import TextOverride
from strata.layers.routing import Routing
from tests.injection.conftest import make_kontext, make_text_to_image, picture

PLAN = ScenePlan.from_yaml("""
width: 128
height: 64
prompt: two things
regions:
  - {name: left, box: [0, 0, 80, 64], high: a circle, low: red, strength: {low: 0.5}}
  - {name: right, box: [64, 0, 128, 64], high: a square, low: blue}
""")
ROUTING = Routing.from_yaml("""
name: halves
about: low early and shallow, high late and deep
rules:
  - {level: low, depth: 0%-50%, steps: 0%-50%}
  - {level: high, depth: 50%-100%, steps: 50%-100%, isolate: true}
""")


def words(text: str) -> int:
    return len(text.split())


def test_what_is_visible_in_every_block_at_every_step() -> None:
    program = compile_program(PLAN, ROUTING, FLUX_DEV, 4)
    assert (program.grid.rows, program.grid.cols) == (4, 8)
    assert program.stream_names == ("left/high", "left/low", "right/high", "right/low")
    assert program.texts == ("two things", "a circle", "red", "a square", "blue")
    early, late = program.blocks(0), program.blocks(3)
    assert [early[0].visible, early[56].visible] == [(0, 1), ()]
    assert early[0].alive == (1, 3)
    assert early[0].weights == (0.5, 1.0)
    assert early[27].alive == (1, 3), "the last block of the first half"
    assert early[28].alive == (), "a text is dropped behind the last block in which it is visible"
    assert late[0].alive == (0, 2)
    assert late[0].weights == (0.0, 0.0)
    assert [late[0].visible, late[56].visible] == [(), (0, 1)], "what rides along to a later block is not seen yet"
    assert [late[0].isolate, late[56].isolate] == [False, True]
    assert program.has_fractional_strengths
    whole = PLAN.model_copy(update={"regions": PLAN.regions[1:]})
    assert not compile_program(whole, ROUTING, FLUX_DEV, 4).has_fractional_strengths
    assert repr(program) == "Program(128x64, 4 streams, routing 'halves', flux, 4 steps)"
    assert all(program.routed(step) for step in range(4))


def test_texts_ride_along_to_blocks_where_all_see_all() -> None:
    """Where no rule matches, and that is open: whatever is visible in some block of the step."""
    text = "{name: a, about: a, unrouted: open, blend: {mode: split}, rules: [{level: high, double: 0, steps: 0%-50%}]}"
    program = compile_program(PLAN, Routing.from_yaml(text), FLUX_DEV, 4)
    assert [stream.level for stream in program.streams] == ["high", "high"]
    assert {visibility.alive for visibility in program.blocks(0)} == {(0, 1)}
    assert {visibility.alive for visibility in program.blocks(3)} == {()}


def test_overrides_are_compiled_in() -> None:
    program = compile_program(PLAN, ROUTING, FLUX_DEV, 4, overrides=[TextOverride("left", "low", "green")])
    assert [s.text for s in program.streams] == ["a circle", "green", "a square", "blue"]
    turns = [TextOverride("left", "low", text, np.arange(57) == n) for n, text in enumerate(("green", "grey"))]
    program = compile_program(PLAN, ROUTING, FLUX_DEV, 4, overrides=turns)
    left = [
        (name, s.text)
        for name, s in zip(program.stream_names, program.streams, strict=True)
        if s.area == "left" and s.level == "low"
    ]
    assert left == [("left/low", "red"), ("left/low 2", "grey"), ("left/low 3", "green")]


def test_it_tells_itself_and_its_cost() -> None:
    program = compile_program(PLAN, ROUTING, FLUX_DEV, 4)
    method = method_for(ROUTING)
    lines = describe(program, method, words, 10)
    text = "\n".join(lines)
    assert "4x8 image tokens; flux (19 double, 38 single blocks; a token is 16×16 pixels)" in text
    assert "routing halves, method regional, 4 steps, 4 of them routed, base ratio 0.2 in those" in text
    row = next(line for line in lines if line.startswith("base "))
    assert row.split() == ["base", "10", "32", "all", "all", "base", "ratio"]
    row = next(line for line in lines if line.startswith("left/low"))
    assert row.split() == ["left/low", "1", "20", "double", "0-18,", "single", "0-8", "0-1", "0.5"]
    header = next(line for line in lines if line.startswith("text "))
    starts = [header.index(name) for name in ("tokens", "image tokens", "visible", "at steps", "strength")]
    assert [row[at] for at in starts] == ["1", "2", "d", "0", "0"], "columns stand below their names"
    assert "  left and right: 4" in lines
    assert "isolated from other regions in single 9-37, steps 2-3" in text
    assert "stand at" not in text
    placed = replace(program, routing=ROUTING.model_copy(update={"text_positions": "region"}))
    there = "a region's texts stand at its first row and column"
    assert there in describe(placed, method, words, 10)
    of_qwen = replace(placed, facts=replace(FLUX_DEV, family="qwen"))
    assert any(f"{there}, but in Qwen-Image" in line for line in describe(of_qwen, method, words, 10))
    cost = cost_of(program, method, words, 10)
    assert cost is not None
    # 28 of 57 blocks are the first half; 20 of 32 image tokens are left's, 16 right's, 4 of both; 42 tokens are plain.
    early, late = 28 * (42 + 1 + 1) + 29 * 42, 57 * (42 + 2 + 2)
    assert cost.tokens == pytest.approx((early + late) / (2 * 57 * 42))
    base = 42 * 42
    early = 28 * (1 * 21 + 1 * 17 + 16 * 33 + 4 * 34 + 12 * 33 + base) + 29 * base
    riding = 2 * 22 + 2 * 18 + base
    late = 28 * riding + 29 * (riding + 16 * 22 + 4 * 36 + 12 * 18)
    assert cost.attention == pytest.approx((early + late) / (2 * 57 * base))
    assert lines[-1] == (
        f"cost of the run: {cost.tokens:.2f} × the plain model's tokens, {cost.attention:.2f} × its attention"
    )
    assert "the base prompt: two things" in lines
    untold = "it does not name, or puts elsewhere: "
    assert f"{untold}left, right" in lines
    for prompt, other in (("a circle and more", "right"), ("a circle on the right, a square", "left")):
        program = compile_program(PLAN.model_copy(update={"prompt": prompt}), ROUTING, FLUX_DEV, 4)
        assert f"{untold}{other}" in describe(program, method, words, 10)
    silent = compile_program(PLAN.model_copy(update={"regions": ()}), ROUTING, FLUX_DEV, 4)
    assert describe(silent, method, words, 10)[1] == "routing halves, method regional, 4 steps, 0 of them routed"
    assert cost_of(silent, method, words, 10) == (1.0, 1.0)
    assert cost_of(silent, method_for(Routing.load("regional-prompting-flux")), words, 10) == (1.0, 1.0)
    assert cost_of(program, method_named("stitch"), words, 10) is None, "more than a program decides"


def test_a_composed_base_prompt_is_what_is_heard_and_told() -> None:
    routing = ROUTING.model_copy(update={"blend": ROUTING.blend.model_copy(update={"base_prompt": "composed"})})
    heard = "two things, a red circle on the left and a blue square on the right"
    program = compile_program(PLAN, routing, FLUX_DEV, 4)
    assert program.plan.prompt == program.texts[0] == heard
    assert program.texts[1:] == compile_program(PLAN, ROUTING, FLUX_DEV, 4).texts[1:]
    lines = describe(program, method_for(routing), words, 10)
    assert f"the base prompt: {heard}" in lines
    assert not any(line.startswith("it does not name") for line in lines)
    again = compile_program(program.plan, routing, FLUX_DEV, 4, size=(8, 16))
    assert again.texts == program.texts
    first = [
        TextOverride("left", "low", "green", np.arange(4)[:, None] < 1),
        TextOverride("right", "low", "pink", np.arange(4)[:, None] > 0),
    ]
    changed = compile_program(PLAN, routing, FLUX_DEV, 4, overrides=first)
    assert changed.plan.prompt == heard.replace("red", "green"), "as the picture begins"
    assert compile_program(changed.plan, routing, FLUX_DEV, 4, overrides=first).texts == changed.texts
    told = PLAN.model_copy(update={"prompt": "a circle and a square"})
    assert compile_program(told, routing, FLUX_DEV, 4).plan.prompt == told.prompt


def test_it_tells_loras_and_what_the_routing_makes_of_them() -> None:
    routing = Routing.from_yaml("""
name: a
rules: [{level: high}]
loras: [{names: [oil], depth: 50%-100%, steps: 50%-100%}, {regions: [right], strength: {from: 1, to: 0.5}}]
""")
    plan = ScenePlan.from_yaml(f"{PLAN.to_yaml()}loras: [{{file: a/oil.safetensors, scale: 0.5}}, {{file: ink}}]")
    right = plan.regions[1].model_copy(update={"loras": (Lora(file="b/oil", scale={"from": 1, "to": 0}),)})
    plan = plan.model_copy(update={"regions": (plan.regions[0], right)})

    def told(of: ScenePlan) -> list[str]:
        return describe(compile_program(of, routing, FLUX_DEV, 4), method_for(routing), words, 10)

    lines = told(plan)
    head = lines.index("LoRA  of      scale   acts in blocks            at steps  strength")
    assert lines[head + 1 : head + 4] == [
        "oil   global  0.5     single 9-37               2-3       1",
        "ink   global  1       none                      none      0",
        "oil   right   1 to 0  double 0-18, single 0-37  0-3       0.5 to 1",
    ]
    assert lines[head + 5] == (
        "note: the routing's loras: 'oil' is the name of 2 files, and all of them are meant: a/oil.safetensors, b/oil"
    )
    assert "note: the routing's loras do nothing: there is no LoRA to draw with" in told(PLAN)
    with pytest.raises(InputError, match=r"loras\[1\].regions: 'right': has no LoRA in the plan"):
        told(plan.model_copy(update={"regions": plan.regions[:1]}))


def test_it_tells_how_many_image_tokens_see_a_text() -> None:
    around = {"regions": PLAN.regions[:1], "high": "oil", "background": Texts(high="the sea")}
    program = compile_program(PLAN.model_copy(update=around), ROUTING, FLUX_DEV, 4)
    lines = describe(program, method_for(ROUTING), words, 2)
    for name, row in {"global": ["1", "32"], "left": ["2", "20"], "background": ["2", "12"]}.items():
        assert next(line for line in lines if line.startswith(f"{name}/high")).split()[1:3] == row
    everywhere = PLAN.regions[0].model_copy(update={"box": (0, 0, 128, 64)})
    covered = compile_program(PLAN.model_copy(update={**around, "regions": (everywhere,)}), ROUTING, FLUX_DEV, 4)
    assert covered.stream_names == ("global/high", "left/high", "left/low"), "no background is left to see its text"


def test_padding_that_a_routing_keeps_is_counted() -> None:
    routing = Routing.load("regional-prompting-flux")
    program = compile_program(PLAN, routing, FLUX_DEV, 12)
    lines = describe(program, method_for(routing), words, 512)
    assert next(line for line in lines if line.startswith("left/full")).split()[1] == "512"


def test_an_isolated_plan_costs_less_attention_than_an_open_one() -> None:
    def attention(isolate: str) -> float:
        routing = Routing.from_yaml(f"{{name: a, about: a, rules: [{{level: high, isolate: {isolate}}}]}}")
        cost = cost_of(compile_program(PLAN, routing, FLUX_DEV, 2), method_for(routing), words, 2)
        assert cost is not None
        return cost.attention

    assert attention("true") < attention("false")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (PLAN.model_copy(update={"width": 120}), "width: 120: must be a multiple of 16, .*; nearest: 112 or 128$"),
        (PLAN.model_copy(update={"height": 9}), "height: 9: must be a multiple of 16, .*; nearest: 16$"),
        (PLAN.model_copy(update={"regions": (PLAN.regions[0].model_copy(update={"box": (0, 0, 1, 1)}),)}), "regions"),
    ],
)
def test_what_cannot_be_compiled(plan: ScenePlan, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compile_program(plan, ROUTING, FLUX_DEV, 4)
    only = Routing.from_yaml("{name: a, about: a, rules: [{level: high, regions: [rihgt]}]}")
    with pytest.raises(InputError, match="right"):
        compile_program(PLAN, only, FLUX_DEV, 4)


def test_a_pipeline_compiles_what_it_draws(plan: ScenePlan) -> None:
    """Image to image leaves fewer steps; the program has those."""
    regional = RegionalPipeline(make_text_to_image()[0], ROUTING)
    assert regional.compile(plan, num_inference_steps=8).steps == 8
    assert regional.compile(plan, sigmas=[1.0, 0.5, 0.2]).steps == 3


def test_a_size_that_the_pipeline_chooses_itself(plan: ScenePlan) -> None:
    """Kontext fits its canvas to an area: the program is compiled anew for that grid, and observers are told."""
    pipe, options = make_kontext()
    seen = []

    class Watch(Observer):
        def begin(self, programs: Sequence[Program], texts: Mapping[str, int]) -> None:
            seen.append((programs[0].grid.rows, programs[0].grid.cols))

        def attention(self, event: AttentionEvent) -> None:
            raise AssertionError("it asks for no block's")

    regional = RegionalPipeline(pipe, ROUTING)
    regional.observers.append(Watch())
    options |= {"max_area": 64 * 96, "image": picture()}
    image = regional(plan, seed=0, num_inference_steps=2, output_type="np", **options).images[0]
    assert seen == [(8, 12), (16, 24)]
    assert image.shape[:2] == (64, 96)


def test_regions_of_several_plans_on_one_grid() -> None:
    plans = [PLAN.model_copy(update={"regions": (region,)}) for region in PLAN.regions]
    joint = joint_grid([compile_program(plan, ROUTING, FLUX_DEV, 4) for plan in plans])
    both = compile_program(PLAN, ROUTING, FLUX_DEV, 4).grid
    assert joint.names == ("0/left", "1/right")
    assert (joint.rows, joint.cols) == (both.rows, both.cols)
    assert (joint.masks == both.masks).all()
    assert (joint.background == both.background).all()


def test_observers_are_told_what_each_asks_for_of_conditional_calls(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()

    class Watch(Observer):
        def __init__(self, block: int) -> None:
            self.block, self.told = block, list[Any]()

        def begin(self, programs: Sequence[Program], texts: Mapping[str, int]) -> None:
            self.told.append(texts)

        def begin_step(self, step: int, inputs: Mapping[str, Any]) -> None:
            self.told.append(step)

        def watches(self, block: int) -> bool:
            return block == self.block

        def attention(self, event: AttentionEvent) -> None:
            self.told.append(event.block.name)
            self.segments = event.segments

    regional, watches = RegionalPipeline(pipe, ROUTING), [Watch(1), Watch(3)]
    regional.observers += watches
    options = {"num_inference_steps": 2, "output_type": "latent", "negative_prompt": "a star", "true_cfg_scale": 2.0}
    regional(plan, seed=0, **options)
    texts = {d.text: len(pipe.tokenizer_2(d.text).input_ids) for d in plan.descriptions()}
    for watch, block in zip(watches, ("double 1", "single 1"), strict=True):
        assert watch.told == [texts, 0, block, 1, block]
    unconditional = Attachment(regional.family, PlainRun(), [watches[0]], lambda text: False)
    with attached(pipe.transformer, unconditional):
        pipe("a star", width=48, height=32, num_inference_steps=1, output_type="latent")
    assert len(watches[0].told) == 5
    regional(ScenePlan(width=48, height=32, prompt="a star"), seed=0, num_inference_steps=1, output_type="latent")
    assert watches[0].told[5:] == [{}, 0, "double 1"], "of a plan without regions too"
    assert watches[0].segments == (("base", 24), ("image", 96))


def test_computation_weighs_tokens_and_pairs_as_a_block_does() -> None:
    """12 width² multiplications a token and 2 width a pair of query and key, over those of the plain model."""
    width, plain = 64, 100
    cost = Cost(tokens=1.5, attention=3.0)
    tokens, pairs = 12 * width**2 * plain, 2 * width * plain**2
    assert cost.computation(plain, width) == pytest.approx((1.5 * tokens + 3 * pairs) / (tokens + pairs))
    assert Cost(1.0, 1.0).computation(plain, width) == pytest.approx(1)
