"""Options of the call that it could not use are errors before anything is drawn."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import ChromaInpaintPipeline, FluxPipeline

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.block_paths import at_path, loops
from strata.injection.calling import ClassicPipeline, call_of
from strata.injection.families import facts_of
from strata.injection.pipeline import RegionalPipeline
from tests.injection.conftest import (
    chroma_parts,
    make_chroma,
    make_fill,
    make_img2img,
    make_kontext,
    make_text_to_image,
    quiet,
    tiny_parts,
)
from tests.injection.flux2 import make_klein, make_klein_base
from tests.injection.modular import modular_flux


def test_options(plan: ScenePlan) -> None:
    regional = RegionalPipeline(make_text_to_image()[0])
    cases: tuple[tuple[str, Any, str], ...] = (
        ("max_sequence_length", 0, "0: must be a whole number from 1 to 512"),
        ("max_sequence_length", 513, "513: must be a whole number from 1 to 512"),
        ("max_sequence_length", None, "None: must be a whole number"),
        ("guidance_scale", "x", "'x': must be a number from 0 to 1000"),
        ("guidance_scale", -0.1, "-0.1: must be a number from 0 to 1000"),
        ("guidance_scale", 1000.1, "1000.1: must be a number from 0 to 1000"),
        ("guidance_scale", None, "None: must be a number"),
        ("guidance_scale", float("nan"), "nan: must be a number"),
        ("num_images_per_prompt", 0, "0: must be a whole number"),
        ("num_images_per_prompt", 65537, "65537: must be a whole number from 1 to 65536"),
        ("callback_on_step_end", 3, "3: must be a function"),
        ("latents", "x", "str: must be a tensor"),
        ("latents", torch.zeros(1, 96, 16, dtype=torch.int64), "torch.int64: must be a tensor of floating-point"),
        ("latents", torch.zeros(1, 2, 3), r"shape \[1, 2, 3\]: must be \[…, 96, 16\]"),
    )
    for name, value, message in cases:
        with pytest.raises(InputError, match=f"{name}: {message}"):
            regional.compile(plan, num_inference_steps=4, **{name: value})
    good: dict[str, tuple[Any, ...]] = {
        "max_sequence_length": (1, 512),
        "guidance_scale": (0, 1000),
        "num_images_per_prompt": (1, 65536, None),
        "callback_on_step_end": (print, None),
        "latents": (torch.zeros(1, 96, 16), None),
        "num_inference_steps": (1, 1000),
    }
    for name, values in good.items():
        for value in values:
            regional.compile(plan, **{"num_inference_steps": 4, name: value})
    with pytest.raises(InputError, match="steps: FluxPipeline takes no such option") as unknown:
        regional.compile(plan, steps=4)
    valid = set(str(unknown.value).partition("valid: ")[2].split(", "))
    assert {"num_inference_steps", "true_cfg_scale"} < valid
    assert not {"prompt", "width", "height", "generator"} & valid, "what comes from the plan"
    for routing in (3, ""):
        with pytest.raises(InputError, match="must be a Routing, a preset's name"):
            RegionalPipeline(regional.pipe, routing)  # type: ignore[arg-type]
    regional.pipe.vae = None
    regional.compile(plan, latents=torch.zeros(1, 96, 4))
    with pytest.raises(InputError, match=r"must be \[…, 96, …\]"):
        regional.compile(plan, latents=torch.zeros(1, 95, 4))


def test_latents_of_another_size_than_the_plans(plan: ScenePlan) -> None:
    """Kontext may draw another one."""
    pipe, options = make_kontext()
    regional = RegionalPipeline(pipe)
    regional.compile(plan, latents=torch.zeros(1, 7, 16), **options)
    with pytest.raises(InputError, match=r"shape \[1, 7, 4\]: must be \[…, …, 16\]"):
        regional.compile(plan, latents=torch.zeros(1, 7, 4), **options)


def test_seeds_and_how_long_texts_are(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    call, facts = ClassicPipeline(pipe), facts_of(pipe)
    assert [call.text_length(facts, options) for options in ({}, {"max_sequence_length": 7})] == [24, 7]
    assert call.text_length(replace(facts, text_length=1000), {}) == 512, "the call's own default"
    shorter = ClassicPipeline(quiet(ChromaInpaintPipeline(**chroma_parts())))
    assert shorter.text_length(replace(facts, text_length=512), {}) == 256
    RegionalPipeline(shorter.pipe).check(plan, max_sequence_length=512)
    with pytest.raises(InputError, match="max_sequence_length: 513: must be a whole number from 1 to 512"):
        RegionalPipeline(shorter.pipe).check(plan, max_sequence_length=513)
    first, last, drawn = call.generator([0, 2**63 - 1, None])
    assert (first.initial_seed(), last.initial_seed()) == (0, 2**63 - 1)
    assert drawn.initial_seed() != call.generator([None, 0])[0].initial_seed()
    assert call.generator([7]).initial_seed() == 7
    assert call.generator([None, None]) is None


def test_image_to_image_runs_the_steps_that_its_strength_leaves(plan: ScenePlan) -> None:
    pipe, options = make_img2img()
    regional, options = RegionalPipeline(pipe), options | {"output_type": "latent"}
    for steps, strength, left in ((4, 1, 4), (4, 0.7, 3), (4, 0.25, 1)):
        options |= {"num_inference_steps": steps, "strength": strength}
        assert regional.compile(plan, **options).steps == left
        regional(plan, seed=1, **options)
        assert pipe.num_timesteps == left
    for strength, message in ((0, "0: leaves none of 4 steps"), (1.5, "1.5: must be a number from 0 to 1")):
        with pytest.raises(InputError, match=f"strength: {message}"):
            regional.compile(plan, **options | {"strength": strength})


@pytest.mark.parametrize(
    ("make", "cases"),
    [
        (
            make_text_to_image,
            [
                ({"true_cfg_scale": 2.0}, False),
                ({"negative_prompt": "a"}, False),
                ({"negative_prompt": "a", "true_cfg_scale": 1.5}, True),
                ({"negative_prompt": "", "negative_prompt_2": "a", "true_cfg_scale": 1.5}, True),
            ],
        ),
        (make_chroma, [({}, True), ({"guidance_scale": 1.5}, True), ({"guidance_scale": 1}, False)]),
        (make_klein, [({"guidance_scale": 4.0}, False)]),
        (make_klein_base, [({}, True), ({"guidance_scale": 1}, False)]),
        (make_fill, [({}, False)]),
    ],
)
def test_whether_a_call_makes_unconditional_ones(make: Any, cases: list[Any], empty_plan: ScenePlan) -> None:
    pipe, options = make()
    regional, calls = RegionalPipeline(pipe), []
    pipe.transformer.register_forward_hook(lambda *_: calls.append(1))
    for own, guided in cases:
        assert ClassicPipeline(pipe).guided(regional.facts, own) is guided
        calls.clear()
        regional(empty_plan, seed=0, num_inference_steps=1, output_type="latent", **options | own)
        assert len(calls) == 1 + guided


EMBEDS = {"prompt_embeds": torch.zeros(1, 24, 128), "pooled_prompt_embeds": torch.zeros(1, 64)}
NEGATIVE = {f"negative_{name}": value for name, value in EMBEDS.items()}


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            make_text_to_image,
            {"negative_prompt_2": "a"},
            "negative_prompt_2: changes nothing without a negative_prompt",
        ),
        (
            make_text_to_image,
            {"negative_prompt_2": "a", **NEGATIVE},
            "negative_prompt_2: negative_prompt_embeds stands",
        ),
        (make_text_to_image, {"prompt_2": "a", **EMBEDS}, "prompt_2: prompt_embeds stands in its place; leave one of"),
        (
            make_chroma,
            {"negative_prompt": "a", "negative_prompt_embeds": EMBEDS["prompt_embeds"]},
            "negative_prompt: negative_prompt_embeds stands in its place",
        ),
    ],
)
def test_texts_that_would_not_be_heard_are_refused(
    make: Any, options: dict[str, Any], message: str, plan: ScenePlan
) -> None:
    """The stock pipelines refuse them as well, or pass them over."""
    with pytest.raises(InputError, match=message):
        RegionalPipeline(make()[0]).compile(plan, **options, **({} if make is make_chroma else {"true_cfg_scale": 2.0}))


def test_a_plans_negative_prompt_and_what_stands_beside_it(plan: ScenePlan) -> None:
    regional, guided = RegionalPipeline(make_text_to_image()[0]), {"true_cfg_scale": 2.0}
    told = plan.model_copy(update={"negative_prompt": "b"})
    regional.compile(told, negative_prompt_2="a", **guided)
    regional.compile(plan, prompt_2=None, **EMBEDS)
    with pytest.raises(InputError, match="negative_prompt: negative_prompt_embeds stands in its place"):
        regional.compile(told, **NEGATIVE, **guided)


def test_no_unconditional_calls_where_no_negative_prompt_is_taken() -> None:
    for make in (make_klein, make_fill):
        pipe = make()[0]
        assert ClassicPipeline(pipe).guided(facts_of(pipe), {"negative_prompt": "a"}) is False


def test_each_model_is_on_the_device_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU stands for an accelerator, which tells how much memory is free."""
    monkeypatch.setattr(torch.cpu, "mem_get_info", lambda *_: (2**34, 2**34), raising=False)
    classic = FluxPipeline(**tiny_parts())
    for pipe in (classic, modular_flux()):
        call_of(pipe).offload("cpu")
        models = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
        hooks = [getattr(model, "_hf_hook", None) for model in models]
        assert None not in hooks
        call_of(pipe).release()
        again = [model._hf_hook is hook for model, hook in zip(models, hooks, strict=True)]
        assert again == [pipe is not classic] * 4, "what a classic pipeline left on the device is taken off"


def test_no_progress_bars_are_shown_where_none_are_wanted(
    empty_plan: ScenePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = modular_flux()
    for path in loops(loud._blocks):
        at_path(loud._blocks, path).set_progress_bar_config()
    for pipe in (FluxPipeline(**tiny_parts()), loud):
        regional = RegionalPipeline(pipe)
        regional.call.quiet()
        regional(empty_plan, seed=0, num_inference_steps=1, output_type="latent")
        assert "%|" not in capsys.readouterr().err
