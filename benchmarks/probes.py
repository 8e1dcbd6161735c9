"""What probing costs: the same pictures with and without, as ratios in one run, and the probe's memory.

    python -m benchmarks.probes                       the bundled miniature at its own canvas, plain and regional
    python -m benchmarks.probes --pixels 128 256 512  and on larger ones
    python -m benchmarks.probes --size wide           random weights of width 768, 4096 tokens (FLUX.1's 1024×1024)
    python -m benchmarks.probes --size wide --device cuda    the same on a GPU

Words, shares and entropy are probed in all blocks at all steps; concept maps are measured apart. Times are seconds of
CPU that this process took, all threads together, where the models run on the CPU: what runs beside it matters less so.
On a GPU they are seconds that pass.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel

from strata.analysis.probe import Probe
from strata.analysis.recorder import probing
from strata.hierarchy.plan import ScenePlan
from strata.injection.pipeline import RegionalPipeline
from strata.miniature import load

PROMPT = "a red striped circle and a blue square"
WORDS, CONCEPTS = ("red", "circle"), ("circle", "square", "background")
PLAN = ScenePlan.from_yaml("""
width: 128
height: 128
prompt: a red striped circle and a blue square
low: plain background
regions:
  - {name: left, box: [0, 0, 64, 128], high: a circle, low: "red, striped"}
  - {name: right, box: [48, 0, 128, 128], high: a square, low: "blue, solid"}
background: {high: plain background}
""")


def wide_pipeline() -> Any:
    """The miniature's encoders and VAE around random weights of width 768: 2 double and 4 single blocks."""
    pipe = load()
    torch.manual_seed(0)
    config = dict(pipe.transformer.config)
    config |= {
        "num_layers": 2,
        "num_single_layers": 4,
        "num_attention_heads": 6,
        "attention_head_dim": 128,
        "axes_dims_rope": (16, 56, 56),
    }
    names = {name for name in config if not name.startswith("_")}
    transformer = FluxTransformer2DModel(**{name: config[name] for name in names}).eval()
    return FluxPipeline(**{**pipe.components, "transformer": transformer})


def calls(pipe: Any, pixels: int, steps: int) -> dict[str, tuple[Any, Callable[[], Any]]]:
    """What is drawn: plain and regional, each with what is to be probed."""
    regional, plan = RegionalPipeline(pipe), PLAN.resized(pixels, pixels)
    options: dict[str, Any] = {"num_inference_steps": steps}
    longest = regional.facts.text_length

    def plain() -> Any:
        generator = torch.Generator().manual_seed(1)
        return pipe(PROMPT, width=pixels, height=pixels, max_sequence_length=longest, generator=generator, **options)

    return {"plain": (pipe, plain), "regional": (regional, lambda: regional(plan, seed=1, **options))}


def clock() -> float:
    """Seconds of CPU; of the wall clock where a GPU is in use, whose work is waited for."""
    if not torch.cuda.is_initialized():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def seconds(draw: Callable[[], Any]) -> float:
    """Of one picture."""
    begin = clock()
    draw()
    return clock() - begin


def probed(target: Any, draw: Callable[[], Any], **options: Any) -> tuple[float, Probe]:
    """Seconds of one probed picture, from opening the recorder to having the result, and that."""
    begin = clock()
    with probing(target, words=WORDS, **options) as recorder:
        draw()
    result = recorder.result()
    return clock() - begin, result


def main() -> None:
    """Print a table of ratios, and the probe's memory over the number of steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("miniature", "wide"), default="miniature")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pixels", type=int, nargs="+", default=None)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    wide = args.size == "wide"
    pipe = (wide_pipeline() if wide else load()).to(args.device)
    pipe.set_progress_bar_config(disable=True)
    steps = args.steps or (2 if wide else 20)
    size = 2 * int(pipe.vae_scale_factor)
    canvases: list[int] = args.pixels or ([64 * size] if wide else [8 * size])
    print(
        f"{args.size} on {args.device}, {steps} steps, {args.repeats} repeats, {torch.get_num_threads()} threads,"
        f" torch {torch.__version__}"
    )
    print(f"{'':9} {'tokens':>7} {'without':>9} {'probed':>7} {'concepts':>9} {'MiB':>6}")
    for pixels in canvases:
        for name, (target, draw) in calls(pipe, pixels, steps).items():
            draw()
            without, with_words, with_concepts = [], [], []
            for _ in range(args.repeats):
                without.append(seconds(draw))
                taken, result = probed(target, draw)
                with_words.append(taken)
                with_concepts.append(probed(target, draw, concepts=CONCEPTS)[0])
            base = statistics.median(without)
            ratios = [statistics.median(times) / base for times in (with_words, with_concepts)]
            mib = result.facts.bytes / 2**20
            tokens = (pixels // size) ** 2
            print(f"{name:9} {tokens:7} {base:7.2f} s {ratios[0]:6.2f}× {ratios[1]:8.2f}× {mib:6.1f}", flush=True)
    print("\nthe probe's memory, MiB, by the number of steps")
    for count in (steps, 2 * steps, 4 * steps):
        target, draw = calls(pipe, canvases[0], count)["regional"]
        print(f"{count:4} steps {probed(target, draw)[1].facts.bytes / 2**20:8.3f}", flush=True)


if __name__ == "__main__":
    main()
