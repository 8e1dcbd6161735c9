"""`native` is the stock pipeline on the plan's own caption, and `native+METHOD` that method beside it."""

import logging
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.native_flux3 import FORM
from strata.hierarchy.plan import ScenePlan
from strata.injection import methods
from strata.injection.families import facts_of
from strata.injection.families.flux import FAMILY
from strata.injection.methods import method_named, names
from strata.injection.methods.base import Drawing
from strata.injection.pipeline import RegionalPipeline
from tests.injection.conftest import PLAN, make_img2img, make_klein, quiet, tiny_parts
from tests.rarely import rarely

STEPS: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt"}
FREE = """
width: 48
height: 32
prompt: a sun
low: neon
negative_prompt: checkered
regions:
  - {name: one star, polygon: [[0, 0], [20, 4], [8, 30]], full: "a star, red, dotted"}
  - {name: two, box: [30, 0, 48, 20], high: a boat, low: blue, strength: {high: 0.5}, priority: 1}
  - {name: three, box: [24, 4, 40, 30], low: "yellow, striped"}
background: {full: plain grey background}
overlap: priority
"""
PLANS = {"levels": ScenePlan.from_yaml(PLAN), "free": ScenePlan.from_yaml(FREE)}


def make_long() -> tuple[Any, dict[str, Any]]:
    """FLUX.1 with room for a caption."""
    parts = tiny_parts()
    parts["tokenizer_2"].model_max_length = 160
    return quiet(FluxPipeline(**parts)), {}


def drawn(pipe: Any, plan: ScenePlan, method: str, routing: str = "isolate-first", **options: Any) -> Tensor:
    found: Tensor = RegionalPipeline(pipe, routing, method, FORM)(plan, seed=3, **STEPS | options).images
    return found


def guided(plan: ScenePlan) -> dict[str, Any]:
    return {} if plan.negative_prompt is None else {"true_cfg_scale": 2.0}


@pytest.mark.parametrize("make", [make_long, *rarely(make_img2img, make_klein)])
@pytest.mark.parametrize("name", PLANS)
def test_native_is_the_stock_picture_of_the_caption(make: Any, name: str) -> None:
    plan, (pipe, options) = PLANS[name], make()
    if make is make_klein:
        plan = plan.model_copy(update={"negative_prompt": None})
    negative = {} if plan.negative_prompt is None else {"negative_prompt": plan.negative_prompt}
    caption = FORM.caption(plan)
    stock = pipe(
        prompt=caption.text,
        width=plan.width,
        height=plan.height,
        generator=torch.Generator("cpu").manual_seed(3),
        **STEPS | {"max_sequence_length": facts_of(pipe).text_length} | options | guided(plan) | negative,
    ).images
    assert torch.equal(drawn(pipe, plan, "native", **options | guided(plan)), stock)
    assert not torch.equal(drawn(pipe, plan, "plain", **options | guided(plan)), stock)


@pytest.mark.parametrize(
    ("routing", "method"),
    [("uniform", "regional"), pytest.param(*("regional-prompting-flux",) * 2, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", PLANS)
def test_both_are_the_plan_with_its_caption_as_the_base(routing: str, method: str, name: str) -> None:
    plan, (pipe, _) = PLANS[name], make_long()
    by_hand = plan.model_copy(update={"prompt": FORM.caption(plan).text})
    both = drawn(pipe, plan, f"native+{method}", routing, **guided(plan))
    assert torch.equal(both, drawn(pipe, by_hand, method, routing, **guided(plan)))
    assert not torch.equal(both, drawn(pipe, plan, method, routing, **guided(plan)))


def test_losses_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    pipe, _ = make_long()
    regional = RegionalPipeline(pipe, method="native", form=FORM)
    own = "strata.injection.pipeline"
    with caplog.at_level(logging.INFO, own):
        for seed in (1, 2):
            regional(PLANS["free"], seed=seed, true_cfg_scale=2.0, **STEPS)
    (warned, *told) = [record for record in caplog.records if record.name == own]
    assert warned.getMessage() == (
        "4 things of the plan are left out of its caption or told otherwise; `strata export flux3 PLAN` tells each"
    )
    assert {record.levelno for record in told} == {logging.INFO}
    assert tuple(record.message for record in told) == regional.lost(PLANS["free"])
    assert regional.lost(PLANS["free"]) == (
        "caption: overlap 'priority' is left out",
        "caption: 'one star': its polygon becomes the box around it, [0, 0, 20, 29]",
        'caption: \'two\': strength {"high": 0.5, "low": 1.0, "full": 1.0} is left out',
        "caption: 'two': priority 1 is left out",
    )
    caplog.clear()
    one = PLANS["free"].model_copy(update={"regions": PLANS["free"].regions[:1], "overlap": None})
    regional.compile(one, true_cfg_scale=2.0)
    assert caplog.messages == ["caption: 'one star': its polygon becomes the box around it, [0, 0, 20, 29]"]


def test_a_caption_that_is_too_long_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pipe, _ = make_img2img()  # 24 tokens
    with caplog.at_level(logging.WARNING):
        RegionalPipeline(pipe, method="native", form=FORM).encode(PLANS["levels"])
    assert any("is cut to 24; not heard: " in record.message for record in caplog.records)


def test_texts_encoded_elsewhere_are_those_of_the_caption(plan: ScenePlan) -> None:
    pipe, _ = make_long()
    native = RegionalPipeline(pipe, method="native", form=FORM)
    encoded = native.encode(plan)
    assert encoded.said["prompt"] == FORM.caption(plan).text
    assert not encoded.texts
    again = native(plan, seed=3, encoded=encoded, **STEPS).images
    assert torch.equal(again, drawn(pipe, plan, "native"))
    with pytest.raises(InputError, match="encoded: is of prompt "):
        RegionalPipeline(pipe)(plan, seed=3, encoded=encoded, **STEPS)


def test_what_is_refused() -> None:
    pipe, _ = make_long()
    for method in ("native", "native+regional"):
        message = rf"method '{method.replace('+', '.')}': the model \(flux\) is not known to be trained on"
        with pytest.raises(InputError, match=message):
            RegionalPipeline(pipe, method=method)
    with pytest.raises(InputError, match="routing: 'uniform': the method native would ignore it"):
        RegionalPipeline(pipe, "uniform", "native", FORM)
    with pytest.raises(InputError, match=r"'native\+plain': plain leaves regions out, so it is native"):
        method_named("native+plain")
    with pytest.raises(InputError, match=r"method 'regional\+native': regional does not go with another method"):
        method_named("regional+native")
    for wrong in ("native+", "native+native+regional", "+", ""):
        with pytest.raises(InputError, match="must be one of densediffusion, native, native"):
            method_named(wrong)
    qwen = replace(facts_of(pipe), family="qwen", form=FORM)
    method_named("native+regional").check_model(qwen)
    with pytest.raises(InputError, match="method 'rpg': has not been tried with models of the family 'qwen'"):
        method_named("native+rpg").check_model(qwen)
    published = RegionalPipeline(pipe, "regional-prompting-flux", "native+regional", FORM)
    with pytest.raises(InputError, match="blend mode split and unrouted open are for"):
        published(PLANS["levels"], seed=0, **STEPS)


@pytest.mark.parametrize("name", ["plain", "native"])
def test_a_call_of_the_transformer_is_left_as_it_is(name: str) -> None:
    run = method_named(name).start(Drawing(FAMILY, [], {}, lambda: 1, lambda *size: []))
    inputs = {"hidden_states": torch.ones(1, 4, 8)}
    assert run.forward(0, inputs, lambda given: given) is inputs


def test_methods_are_found_by_their_files() -> None:
    modules = [import_module(f"{methods.__name__}.{module.name}") for module in iter_modules(methods.__path__)]
    files = {module.__name__.rpartition(".")[2].replace("_", "-") for module in modules if hasattr(module, "METHOD")}
    assert {name for name in names() if "+" not in name} == files
    assert {name for name in names() if "+" in name} == {f"native+{name}" for name in files - {"native", "plain"}}
