"""What makes a training step of the miniature cheap: each choice of the recipe against its alternative, in one run.

`python benchmarks/training.py [--threads 2] [--rounds 3]` takes about five minutes on two cores, most of it compiling.
Times are of forward and backward of one batch of 128 × 128 pictures with captions of 24 tokens (64 + 24 tokens), of
random content; the optimizers' own time is in the rows that name them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from torch import Tensor

from strata.miniature.model.text import CLIP_WIDTH, T5_WIDTH
from strata.miniature.model.transformer import new_transformer
from strata.miniature.training.flow import ExplicitAttention, compile_blocks, flow_trainer

IMAGE, TEXT = 64, 24


@dataclass(frozen=True)
class Way:
    """One way of computing a step."""

    name: str
    dtype: torch.dtype = torch.float32
    explicit: bool = True
    compiled: bool = True
    batch: int = 96


RECIPE = Way("the recipe: float32, attention written out, compiled")
WAYS = (
    RECIPE,
    replace(RECIPE, name="bfloat16", dtype=torch.bfloat16),
    replace(RECIPE, name="the fused attention kernel", explicit=False),
    replace(RECIPE, name="blocks not compiled", compiled=False),
    replace(RECIPE, name="16 pictures a batch, not compiled", batch=16, compiled=False),
)


def inputs(batch: int, dtype: torch.dtype) -> dict[str, Any]:
    """A batch of random content in the recipe's shapes."""
    ids = torch.zeros(8, 8, 3)
    ids[..., 1], ids[..., 2] = torch.arange(8)[:, None], torch.arange(8)[None]
    return {
        "hidden_states": torch.randn(batch, IMAGE, 64).to(dtype),
        "encoder_hidden_states": torch.randn(batch, TEXT, T5_WIDTH).to(dtype),
        "pooled_projections": torch.randn(batch, CLIP_WIDTH).to(dtype),
        "timestep": torch.rand(batch).to(dtype),
        "img_ids": ids.flatten(0, 1),
        "txt_ids": torch.zeros(TEXT, 3),
        "guidance": torch.ones(batch, dtype=dtype),
        "return_dict": False,
    }


def step(way: Way) -> Callable[[], None]:
    """Forward and backward of one batch."""
    torch._dynamo.reset()
    model = new_transformer().to(way.dtype)
    model.set_attn_processor(ExplicitAttention() if way.explicit else FluxAttnProcessor())
    if way.compiled:
        compile_blocks(model)
    batch = inputs(way.batch, way.dtype)

    def run() -> None:
        velocity: Tensor = model(**batch)[0]
        velocity.float().square().mean().backward()
        model.zero_grad(set_to_none=True)

    return run


def seconds(run: Callable[[], None], rounds: int) -> float:
    """The median time of a call, after one that is not counted."""
    run()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def optimizer_seconds(rounds: int) -> list[tuple[str, float]]:
    """Of one update: the recipe's Muon and AdamW, and AdamW for everything."""
    trainer = flow_trainer(new_transformer(), torch.device("cpu"))
    for p in trainer.master.values():
        p.grad = torch.randn_like(p)
    adam = torch.optim.AdamW(trainer.master.values(), lr=1e-3)
    ours = seconds(lambda: [o.step() for o in trainer.optimizers] and None, rounds)
    return [
        ("its optimizers: Muon for matrices, AdamW for the rest", ours),
        ("AdamW alone", seconds(adam.step, rounds)),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"{'':58}{'s a step':>10}{'ms a picture':>14}{'ratio':>8}")
    first = 0.0
    for way in WAYS:
        spent = seconds(step(way), args.rounds)
        each = spent / way.batch
        first = first or each
        print(f"{way.name[:57]:58}{spent:10.3f}{1000 * each:14.2f}{each / first:7.2f}×", flush=True)
    for name, spent in optimizer_seconds(args.rounds):
        print(f"{name:58}{spent:10.3f}{1000 * spent / RECIPE.batch:14.2f}{spent / RECIPE.batch / first:7.2f}×")


if __name__ == "__main__":
    main()
