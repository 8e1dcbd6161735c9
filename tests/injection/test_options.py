"""Options of the call that it could not use are errors before anything is drawn."""

from typing import Any

import pytest
import torch

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.pipeline import RegionalPipeline
from tests.injection.conftest import make_text_to_image


def test_options(plan: ScenePlan) -> None:
    regional = RegionalPipeline(make_text_to_image()[0])
    cases: tuple[tuple[str, Any, str], ...] = (
        ("max_sequence_length", -1, "-1: must be a whole number from 1 to 512"),
        ("guidance_scale", "x", "'x': must be a number from 0 to 1000"),
        ("guidance_scale", float("nan"), "nan: must be a number"),
        ("num_images_per_prompt", 0, "0: must be a whole number"),
        ("callback_on_step_end", 3, "3: must be a function"),
        ("latents", "x", "str: must be a tensor"),
        ("latents", torch.zeros(1, 96, 16, dtype=torch.int64), "torch.int64: must be a tensor of floating-point"),
        ("latents", torch.zeros(1, 2, 3), r"shape \[1, 2, 3\]: must be \[…, 96, 16\]"),
    )
    for name, value, message in cases:
        with pytest.raises(InputError, match=f"{name}: {message}"):
            regional.compile(plan, num_inference_steps=4, **{name: value})
    regional.compile(plan, num_inference_steps=4, latents=torch.zeros(1, 96, 16))
    with pytest.raises(InputError, match="routing"):
        RegionalPipeline(regional.pipe, None)  # type: ignore[arg-type]
