"""Digests of pictures, to see that a change of the code changes none of them.

    python benchmarks/same_pictures.py > before.txt            20 plans × 4 presets on the bundled miniature, 6 minutes
    python benchmarks/same_pictures.py --against before.txt    draws them again and names what differs

A digest is of the picture's pixels, bit for bit, so both runs must be of one machine and number of threads.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np

from strata import Region, RegionalPipeline, ScenePlan
from strata.hierarchy.errors import InputError
from strata.hierarchy.grid import token_grid
from strata.miniature import load

PRESETS = ("isolate-first", "coarse-to-fine", "uniform", "regional-prompting-flux")
CANVASES = ((128, 128), (256, 128), (128, 192), (256, 256))
COLOURS = ("red", "blue", "green", "yellow", "purple")
KINDS = ("circle", "square", "house", "star", "boat")
SURFACES = ("striped", "solid", "dotted", "checkered")
STYLES = ("flat", "pencil", "neon")


def plans(count: int) -> list[ScenePlan]:
    """Plans of 0 to 6 regions from fixed seeds: overlaps, polygons, strengths, backgrounds, global texts."""
    return [_plan(np.random.default_rng(seed), seed) for seed in range(count)]


def _plan(rng: np.random.Generator, number: int) -> ScenePlan:
    width, height = CANVASES[number % len(CANVASES)]
    regions = [_region(rng, f"r{n}", width, height, number % 2) for n in range(number % 7)]
    texts: dict[str, object] = {}
    if number % 3 == 0:
        texts["background"] = {"high": "plain background", "low": "grey"}
    if number % 4 == 1:
        texts |= {"high": "objects side by side", "low": "watercolour"}
    if number % 5 == 2:
        texts["overlap"] = "priority"
    names = " and ".join(region.name for region in regions)
    prompt = f"{len(regions)} objects: {names}" if regions else "a red circle"
    data = {"width": width, "height": height, "prompt": prompt, "regions": regions, **texts}
    plan = ScenePlan.model_validate(data)
    try:
        token_grid(plan, height // 16, width // 16)
    except InputError:  # a region lost all its tokens to others
        plan = plan.model_copy(update={"overlap": "union"})
    return plan


def _region(rng: np.random.Generator, name: str, width: int, height: int, priority: int) -> Region:
    x1, y1 = (int(rng.integers(0, side - 64 + 1)) for side in (width, height))
    x2, y2 = (int(rng.integers(low + 48, side + 1)) for low, side in ((x1, width), (y1, height)))
    kind, colour, surface, style = (str(rng.choice(words)) for words in (KINDS, COLOURS, SURFACES, STYLES))
    data: dict[str, object] = {"name": name}
    if rng.random() < 0.25:
        data["polygon"] = [[x1, y1], [x2, y1], [(x1 + x2) // 2, y2]]
    else:
        data["box"] = [x1, y1, x2, y2]
    if rng.random() < 0.2:
        data["full"] = f"a {colour} {surface} {kind} in {style}"
    else:
        data |= {"high": f"a {kind}", "low": f"{colour}, {surface}, {style}"}
    if rng.random() < 0.3:
        data["strength"] = 0.5
    if priority:
        data["priority"] = int(rng.integers(0, 3))
    return Region.model_validate(data)


def main() -> int:
    """Print a line a picture, or compare with such lines; returns the number of differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="FILE", help="what an earlier run printed")
    parser.add_argument("--plans", type=int, default=20, metavar="N")
    args = parser.parse_args()
    before = dict(line.rsplit(" ", 1) for line in args.against.read_text().splitlines()) if args.against else None
    pipe = load()
    pipe.set_progress_bar_config(disable=True)
    differ = 0
    for preset in PRESETS:
        regional = RegionalPipeline(pipe, preset)
        for number, plan in enumerate(plans(args.plans)):
            options = {} if preset != "uniform" else {"num_images_per_prompt": 2}
            images = regional(plan, seed=number, num_inference_steps=8, output_type="np", **options).images
            digest = hashlib.sha256(images.tobytes()).hexdigest()[:24]
            name = f"{preset} {number}"
            if before is None:
                print(f"{name} {digest}", flush=True)
            elif before.get(name) != digest:
                differ += 1
                print(f"{name}: differs", flush=True)
    if before is not None:
        print(f"{differ} of {len(PRESETS) * args.plans} pictures differ", file=sys.stderr)
    return differ


if __name__ == "__main__":
    sys.exit(min(main(), 1))
