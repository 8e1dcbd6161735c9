"""Whole images of the bundled model: plain, by several routings, or by several methods."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.speed.scenes import grid_plan
from benchmarks.speed.timing import median_seconds, show
from strata.hierarchy.plan import ScenePlan

FOUR = "configs/plans/four_regions.yaml"
STEPS = 20


def miniature(args: argparse.Namespace) -> None:
    """Print the table of `--routing`, or of `--methods` by their own routings."""
    from strata.injection.pipeline import RegionalPipeline
    from strata.miniature import load
    from strata.miniature.model.text import MAX_LENGTH

    pipe = load()
    pipe.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": STEPS, "max_sequence_length": MAX_LENGTH}
    if args.methods:
        by_method(pipe, args, options)
        return
    plan = ScenePlan.load(FOUR)
    size = {"width": plan.width, "height": plan.height}
    calls: dict[str, Callable[[], Any]] = {
        "plain FLUX": lambda: pipe(plan.prompt, generator=torch.Generator().manual_seed(0), **size, **options)
    }
    for name in args.routing:
        regional = RegionalPipeline(pipe, name)
        routed = int(np.count_nonzero(regional.schedule(STEPS).routed_steps))
        calls[f"{name}, {routed} of {STEPS} steps"] = lambda r=regional: r(plan, seed=0, **options)
    print(f"miniature, {plan.width}×{plan.height} pixels, {STEPS} steps; four regions with two levels")
    show("routing", "seconds an image", median_seconds(calls, args.repeats))


def by_method(pipe: Any, args: argparse.Namespace, options: Mapping[str, Any]) -> None:
    """Several methods, each by its own routing."""
    from strata.injection.pipeline import RegionalPipeline

    print(f"miniature, 128×128 pixels, {STEPS} steps; regions that cover the canvas, with two texts each")
    for regions in args.regions:
        plan = grid_plan(regions, 128)
        calls: dict[str, Callable[[], Any]] = {}
        for name in ("plain", *args.methods):
            regional = RegionalPipeline(pipe, method=name)
            calls[f"{regions}  {name}"] = lambda r=regional, p=plan: r(p, seed=0, **options)
        show("regions, method", "processor seconds", median_seconds(calls, args.repeats, time.process_time))
