"""Seconds a denoising step: regional against plain FLUX, as ratios in one run.

    python benchmarks/speed.py                    the bundled miniature, four regions with two levels
    python benchmarks/speed.py --methods regional rpg    the same by several methods, each by its own routing
    python benchmarks/speed.py --size wide        random weights of width 768 at 1024×1024 pixels, 64 tokens a text
    python benchmarks/speed.py --size wide --compile    the same with compiled blocks beside eager ones
    python benchmarks/speed.py --size flux        random weights at FLUX.1-dev's full size (a GPU with 40 GB or more)

Nothing else should run beside it: the ratios are of medians within one run, but still of wall-clock time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor

from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, attached
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families import family_of
from strata.injection.methods import method_for
from strata.injection.methods.base import Drawing
from strata.injection.program import compile_program
from strata.layers.routing import Routing

SIZES: dict[str, dict[str, Any]] = {
    "wide": {"num_layers": 2, "num_single_layers": 4, "num_attention_heads": 6, "joint_attention_dim": 512},
    "flux": {"num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24, "joint_attention_dim": 4096},
}


def grid_plan(regions: int, size: int) -> ScenePlan:
    """`regions` boxes that cover the canvas, each with a content and a detail text."""
    columns = {1: 1, 2: 2, 4: 2, 8: 4, 16: 4}[regions]
    width, height = size // columns, size // (regions // columns)
    boxes = [
        (c * width, r * height, (c + 1) * width, (r + 1) * height)
        for r in range(regions // columns)
        for c in range(columns)
    ]
    return ScenePlan.model_validate(
        {
            "width": size,
            "height": size,
            "prompt": "base",
            "regions": [
                {"name": f"r{i}", "box": box, "high": f"content {i}", "low": f"detail {i}"}
                for i, box in enumerate(boxes)
            ],
        }
    )


def median_seconds(
    calls: Mapping[str, Callable[[], Any]],
    repeats: int,
    sync: Callable[[], None],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median over `repeats` rounds; a round makes every call once, so that all meet the same weather."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            sync()
            begin = clock()
            call()
            sync()
            if turn:  # the first round warms up
                times[name].append(clock() - begin)
    return {name: statistics.median(each) for name, each in times.items()}


def random_model(args: argparse.Namespace) -> None:
    """One transformer call on random weights, plain and with regions."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    sync = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    with torch.device(device):
        torch.set_default_dtype(dtype)
        model = FluxTransformer2DModel(guidance_embeds=True, attention_head_dim=128, **SIZES[args.size]).eval()
        torch.set_default_dtype(torch.float32)
    rows = args.pixels // 16
    width = SIZES[args.size]["joint_attention_dim"]
    latents = torch.randn(1, rows * rows, 64, device=device, dtype=dtype)
    ids = torch.zeros(rows, rows, 3, device=device)
    ids[..., 1] += torch.arange(rows, device=device)[:, None]
    ids[..., 2] += torch.arange(rows, device=device)[None]
    base = torch.randn(1, args.base_tokens, width, device=device, dtype=dtype)

    @torch.no_grad()
    def forward(context: Any) -> Tensor:
        with context:
            out: Tensor = model(
                hidden_states=latents,
                encoder_hidden_states=base,
                pooled_projections=torch.zeros(1, 768, device=device, dtype=dtype),
                timestep=torch.full((1,), 0.5, device=device, dtype=dtype),
                img_ids=ids.flatten(0, 1),
                txt_ids=torch.zeros(args.base_tokens, 3, device=device),
                guidance=torch.full((1,), 3.5, device=device, dtype=dtype),
                return_dict=False,
            )[0]
        return out

    family = family_of(model)
    stacks = (Stack("double", len(model.transformer_blocks)), Stack("single", len(model.single_transformer_blocks)))
    facts = ModelFacts(family.name, stacks, token_size=16, text_length=512)
    calls: dict[str, Callable[[], Any]] = {"0  plain FLUX": lambda: forward(nullcontext())}
    for regions in args.regions:
        plan = grid_plan(regions, args.pixels)
        for name in args.routing:
            programs = [compile_program(plan, Routing.load(name), facts, 10)]
            streams = programs[0].streams
            texts = {s.text: torch.randn(1, args.tokens, width, device=device, dtype=dtype) for s in streams}
            drawing = Drawing(family, programs, texts, lambda: 10, lambda rows, cols, steps, p=programs: p)

            def call(drawing: Drawing = drawing) -> Tensor:
                run = method_for(drawing.programs[0].routing).start(drawing)
                return forward(attached(model, Attachment(family, run)))

            calls[f"{regions}  {name}"] = call
    million = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{args.size}: {million:.0f} M parameters, {rows * rows} image tokens, {device}, {dtype}")
    print(f"base prompt {args.base_tokens} tokens, {args.tokens} tokens a text, two texts a region")
    show("regions, routing", "seconds a step", median_seconds(calls, args.repeats, sync))
    if args.compile:
        model.compile_repeated_blocks(fullgraph=True)
        torch._dynamo.utils.counters.clear()
        compiled = median_seconds(calls, args.repeats, sync)
        print(f"compiled by blocks: {torch._dynamo.utils.counters['stats']['unique_graphs']} graphs for all of these")
        show("regions, routing", "seconds a step", compiled)
    if device.type == "cuda":
        print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def miniature(args: argparse.Namespace) -> None:
    """Whole images of the bundled model, plain and with regions."""
    from strata.injection.pipeline import RegionalPipeline
    from strata.miniature import load
    from strata.miniature.model.text import MAX_LENGTH

    pipe = load()
    pipe.set_progress_bar_config(disable=True)
    if args.methods:
        return by_method(pipe, args, {"num_inference_steps": 20, "max_sequence_length": MAX_LENGTH})
    plan = ScenePlan.load("configs/plans/four_regions.yaml")
    options = {"num_inference_steps": 20, "max_sequence_length": MAX_LENGTH}

    size = {"width": plan.width, "height": plan.height}
    calls: dict[str, Callable[[], Any]] = {
        "plain FLUX": lambda: pipe(plan.prompt, generator=torch.Generator().manual_seed(0), **size, **options)
    }
    for name in args.routing:
        regional = RegionalPipeline(pipe, name)
        routed = int(np.count_nonzero(regional.schedule(20).routed_steps))
        calls[f"{name}, {routed} of 20 steps"] = lambda r=regional: r(plan, seed=0, **options)
    print(f"miniature, {plan.width}×{plan.height} pixels, 20 steps; four regions with two levels")
    show("routing", "seconds an image", median_seconds(calls, args.repeats, lambda: None))


def by_method(pipe: Any, args: argparse.Namespace, options: Mapping[str, Any]) -> None:
    """Whole images of the bundled model by several methods, each by its own routing."""
    from strata.injection.pipeline import RegionalPipeline

    print("miniature, 128×128 pixels, 20 steps; regions that cover the canvas, with two texts each")
    for regions in args.regions:
        plan = grid_plan(regions, 128)
        calls: dict[str, Callable[[], Any]] = {}
        for name in ("plain", *args.methods):
            regional = RegionalPipeline(pipe, method=name)
            calls[f"{regions}  {name}"] = lambda r=regional, p=plan: r(p, seed=0, **options)
        seconds = median_seconds(calls, args.repeats, lambda: None, time.process_time)
        show("regions, method", "processor seconds", seconds)


def show(what: str, unit: str, seconds: Mapping[str, float]) -> None:
    """Print times and their ratios to the first."""
    plain = next(iter(seconds.values()))
    print(f"{what:40} {unit:>16}  × plain")
    for name, each in seconds.items():
        print(f"{name:40} {each:16.3f}  {each / plain:7.2f}")


def main() -> None:
    """Print the table; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["miniature", *SIZES], default="miniature")
    parser.add_argument(
        "--routing", nargs="+", default=["isolate-first", "coarse-to-fine", "uniform", "regional-prompting-flux"]
    )
    parser.add_argument("--regions", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--methods", nargs="+", default=[], help="of the miniature: instead of routings")
    parser.add_argument("--pixels", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each region's text")
    parser.add_argument("--base-tokens", type=int, default=512)
    parser.add_argument("--compile", action="store_true", help="measure compiled blocks too, beside a random model")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    miniature(args) if args.size == "miniature" else random_model(args)


if __name__ == "__main__":
    main()
