"""How well drawings follow outlines: `python -m strata.miniature.control_report`.

Plans of two regions with texts of their own, and outlines of their objects, smaller and elsewhere than texts alone have
them; the same noise without the ControlNet, with it, and with it confined to the first region. Told are the mean
overlap (intersection over union) of what is drawn in a region with its outline, and the share of regions that hold, by
the scorer, all that their texts name, with 95 % Wilson intervals.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from diffusers import FluxControlNetModel, FluxControlNetPipeline
from PIL import Image
from tqdm import tqdm

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.pipeline import RegionalPipeline
from strata.injection.weights import load_model
from strata.miniature import CONTROL
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.world.facts import Thing
from strata.miniature.world.outlines import drawn_silhouette, outlined_scene, outlines, overlap, silhouette
from strata.miniature.world.render import Pixels
from strata.miniature.world.scenes import Scene, halves
from strata.miniature.world.scorer import Scorer
from strata.miniature.world.shares import Share
from strata.miniature.world.truth import scene_plan

WITHOUT, WITH, CONFINED, BESIDE = "without", "with outlines", "confined: inside", "confined: beside"
RENDERED = "as rendered"
"""Not drawn at all: the most that both judges give to objects of such sizes."""
Mark = tuple[str, float, bool]
"""What was asked, the overlap with the outline, whether the region holds all that its texts name."""


def outlined_case(rng: random.Random) -> tuple[Scene, ScenePlan]:
    """A scene of two objects, and the plan of its texts: two halves."""
    scene = outlined_scene(rng, 2)
    things = [Thing(p.thing.kind, p.thing.colour, p.thing.surface) for p in scene.things]
    areas = halves(scene.width, scene.height, scene.things[0].place == "top")
    return scene, scene_plan(areas, things, scene.backdrop, style=scene.style)


def marks(
    regional: RegionalPipeline, scorer: Scorer, scene: Scene, plan: ScenePlan, seed: int, steps: int
) -> Iterator[Mark]:
    """What is drawn of one plan, region by region."""
    fixed: dict[str, Any] = {"guidance_scale": 3.5, "num_inference_steps": steps}
    fixed["control_image"] = Image.fromarray(outlines(scene))

    def drawn(**options: Any) -> Pixels:
        return np.asarray(regional(plan, seed=seed, **fixed, **options).images[0])

    def seen(asked: str, picture: Pixels, number: int) -> Mark:
        box, thing = plan.regions[number].box, replace(scene.things[number].thing, size=None)
        fits = overlap(drawn_silhouette(picture), silhouette(scene), box)
        return asked, fits, all(scorer.score(picture, box).right(thing).values())

    without = drawn(controlnet_conditioning_scale=0.0)
    outlined, confined = drawn(), drawn(control_regions=plan.regions[0].name)
    for number in range(2):
        yield seen(WITHOUT, without, number)
        yield seen(WITH, outlined, number)
        yield seen(RENDERED, scene.paint(), number)
    yield seen(CONFINED, confined, 0)
    yield seen(BESIDE, confined, 1)


def table(found: Sequence[Mark]) -> Iterator[str]:
    """A line for each of what was asked."""
    yield f"{'':18} {'overlap':>8} {'texts':>6}"
    for asked in dict.fromkeys(mark[0] for mark in found):
        own = [mark for mark in found if mark[0] == asked]
        share = Share(sum(right for *_, right in own), len(own))
        low, high = share.interval()
        mean = np.mean([fits for _, fits, _ in own])
        yield f"{asked:18} {mean:8.2f} {share.value:6.0%}  [{low:.0%}, {high:.0%}] of {share.asked}"


def main(argv: list[str] | None = None) -> None:
    """Print the table; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control", type=Path, default=CONTROL, help="folder of the ControlNet")
    parser.add_argument("--model", default="miniature")
    parser.add_argument("--routing", help="a preset or a file (default: the default preset)")
    parser.add_argument("--plans", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args(argv)
    if not (args.control / "config.json").is_file() or min(args.plans, args.steps) < 1:
        raise InputError(f"{args.control}: holds no ControlNet, or --plans or --steps is below 1")
    pipe = load_pipeline(args.model)
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    pipe = FluxControlNetPipeline(**parts, controlnet=load_model(args.control, FluxControlNetModel, pipe.dtype))
    pipe.set_progress_bar_config(disable=True)
    regional, scorer, rng = RegionalPipeline(pipe, args.routing), Scorer.load(), random.Random(14)
    found: list[Mark] = []
    for seed in tqdm(range(args.plans), disable=None):
        found += marks(regional, scorer, *outlined_case(rng), seed, args.steps)
    print(*table(found), sep="\n")


if __name__ == "__main__":
    main()
