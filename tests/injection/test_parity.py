"""The published Regional-Prompting-FLUX pipeline, reproduced case by case on the stock transformer."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from safetensors.torch import load_file

from strata.hierarchy.grid import TokenGrid, nearest_tokens
from strata.injection.streams import Stream
from strata.layers.routing import Routing
from tests.injection.drawings import drawing, program_of

FOLDER = Path(os.environ.get("STRATA_PARITY_DIR") or Path(__file__).parents[1] / "data" / "parity")
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
TOLERANCE = 1e-4


def published_routing(case: dict[str, object]) -> Routing:
    """The preset `regional-prompting-flux`, at a case's settings."""
    double, single = case["double_inject_blocks_interval"], case["single_inject_blocks_interval"]
    steps = case["mask_inject_steps"]
    return Routing.from_yaml(f"""
name: parity
blend: {{mode: split, base_ratio: {case["base_ratio"]}}}
unrouted: open
background: none
pad: full
rules:
  - {{level: full, double: all, every: {double}, steps: {steps}, isolate: true}}
  - {{level: full, single: all, every: {single}, steps: {steps}, isolate: true}}
""")


def test_the_fixtures_are_there() -> None:
    assert CASES, f"no CASE.json in {FOLDER}"


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case = json.loads((FOLDER / f"{name}.json").read_text())
    data = load_file(FOLDER / f"{name}.safetensors")
    transformer = FluxTransformer2DModel.from_pretrained(FOLDER / "transformer")
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(FOLDER / "scheduler")
    rows, cols = case["height"] // 4, case["width"] // 4
    steps = case["num_inference_steps"]
    masks = np.stack([nearest_tokens(m.numpy() > 0.5, rows, cols) for m in data["region_masks"]])
    names = tuple(f"region {i}" for i in range(len(masks)))
    grid = TokenGrid(rows, cols, names, masks, ~masks.any(0))
    schedule = published_routing(case).resolve(
        len(transformer.transformer_blocks), len(transformer.single_transformer_blocks), steps
    )
    embeds = data["region_prompt_embeds"]
    streams = [Stream(area, "full", area, schedule.strength("full", area)) for area in names]
    base = data["base_prompt_embeds"]
    texts = dict(zip(names, embeds[:, None], strict=True))

    sigmas = np.linspace(1.0, 1 / steps, steps)
    scheduler.set_timesteps(sigmas=sigmas, mu=calculate_shift(rows * cols, 256, 4096, 0.5, 1.15))
    latents = data["initial_latents"]
    img_ids = torch.zeros(rows, cols, 3)
    img_ids[..., 1] += torch.arange(rows)[:, None]
    img_ids[..., 2] += torch.arange(cols)[None]
    worst = 0.0
    with torch.no_grad(), drawing(transformer, program_of(grid, schedule, streams), texts):
        for step, time in enumerate(scheduler.timesteps):
            prediction = transformer(
                hidden_states=latents,
                encoder_hidden_states=base,
                pooled_projections=data["pooled_prompt_embeds"],
                timestep=time.expand(1) / 1000,
                guidance=torch.tensor([case["guidance_scale"]]),
                img_ids=img_ids.flatten(0, 1),
                txt_ids=torch.zeros(base.shape[1], 3),
                return_dict=False,
            )[0]
            recorded = data["noise_preds"][step]
            worst = max(worst, float((prediction - recorded).norm() / recorded.norm()))
            latents = scheduler.step(prediction, time, latents, return_dict=False)[0]
    final = float((latents - data["final_latents"]).norm() / data["final_latents"].norm())
    print(f"{name}: worst step {worst:.1e}, final latents {final:.1e}")
    assert worst <= TOLERANCE
    assert final <= TOLERANCE
