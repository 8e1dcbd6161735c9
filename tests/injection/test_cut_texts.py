"""What CLIP cuts off a prompt: told once for a model, and by diffusers only in calls that are not Strata's."""

import logging
from typing import Any

import pytest

from strata.hierarchy.plan import ScenePlan
from strata.injection.cut_texts import diffusers_silent, stock_call
from strata.injection.pipeline import RegionalPipeline
from tests.injection.conftest import make_chroma, make_img2img, make_text_to_image

LONG = "red " * 90 + "star"
OPTIONS = {"num_inference_steps": 1, "output_type": "latent", "max_sequence_length": 24}


def of_clip(said: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and first package of what was logged of CLIP since the last time."""
    found = [(r.levelname, r.name.split(".")[0]) for r in said.records if "CLIP" in r.getMessage()]
    said.clear()
    return found


def plain(pipe: Any, prompt: str) -> None:
    pipe(prompt, width=48, height=32, **OPTIONS)


def test_the_first_long_prompt_of_a_model_is_told(plan: ScenePlan, said: pytest.LogCaptureFixture) -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe, "coarse-to-fine")
    regional(plan, seed=1, **OPTIONS)
    assert of_clip(said) == []
    regional.encode(plan.model_copy(update={"prompt": "red " * 75}), **OPTIONS)
    assert of_clip(said) == [], "as long as CLIP reads"
    regional(plan.model_copy(update={"prompt": LONG}), seed=1, **OPTIONS)
    (message,) = [r.getMessage() for r in said.records if "CLIP" in r.getMessage()]
    assert "CLIP reads 77 of the 93 tokens of the prompt 'red red" in message
    assert f"lacks: {'red ' * 15}star (said once" in message, "75 words are read, between the marks of begin and end"
    assert of_clip(said) == [("WARNING", "strata")]
    again = RegionalPipeline(pipe, "uniform")
    again(plan.model_copy(update={"prompt": f"blue {LONG}"}), seed=1, **OPTIONS)
    assert of_clip(said) == [("INFO", "strata")], "another prompt, by another routing, on the same model"
    RegionalPipeline(make_text_to_image()[0], "uniform")(plan.model_copy(update={"prompt": LONG}), seed=1, **OPTIONS)
    assert of_clip(said) == [("WARNING", "strata")], "another model"


def test_negative_prompts_have_a_pooled_vector_and_regions_have_none(
    plan: ScenePlan, said: pytest.LogCaptureFixture
) -> None:
    region = plan.regions[0].model_copy(update={"high": LONG})
    regional = RegionalPipeline(make_text_to_image()[0])
    regional.encode(plan.model_copy(update={"regions": (region, *plan.regions[1:])}), **OPTIONS)
    assert of_clip(said) == []
    regional.encode(plan.model_copy(update={"negative_prompt": LONG}), true_cfg_scale=2.0, **OPTIONS)
    assert of_clip(said) == [("WARNING", "strata")]


def test_a_family_without_clip(plan: ScenePlan, said: pytest.LogCaptureFixture) -> None:
    RegionalPipeline(make_chroma()[0]).encode(plan.model_copy(update={"prompt": LONG}), **OPTIONS)
    assert of_clip(said) == []


def test_stock_calls_of_strata_and_those_of_others(said: pytest.LogCaptureFixture) -> None:
    pipe, _ = make_text_to_image()
    with stock_call(pipe, [LONG]):
        plain(pipe, LONG)
    assert of_clip(said) == [("WARNING", "strata")]
    plain(pipe, LONG)
    assert of_clip(said) == [("WARNING", "diffusers")], "afterwards diffusers speaks as ever"
    with pytest.raises(RuntimeError), stock_call(pipe, [LONG]):
        raise RuntimeError
    of_clip(said)
    with diffusers_silent(pipe):
        with diffusers_silent(pipe):
            pass
        plain(pipe, LONG)
        logging.getLogger("diffusers.pipelines.flux.pipeline_flux").warning("something else")
        assert [r.getMessage() for r in said.records if "CLIP" in r.getMessage()] == []
        assert "something else" in said.text
    plain(pipe, LONG)
    assert of_clip(said) == [("WARNING", "diffusers")]


def test_other_pipelines_of_the_family(plan: ScenePlan, said: pytest.LogCaptureFixture) -> None:
    pipe, options = make_img2img()
    long = plan.model_copy(update={"prompt": LONG})
    RegionalPipeline(pipe)(long, seed=1, **options, **{**OPTIONS, "num_inference_steps": 2})
    assert of_clip(said) == [("WARNING", "strata")]
