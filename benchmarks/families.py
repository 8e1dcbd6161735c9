"""Processor seconds a denoising step of every model family, routed against plain, as ratios in one run.

    python -m benchmarks.families                        all families, with all their blocks, at width 512
    python -m benchmarks.families --family flux3         one of them; with the states of its text blocks kept, and not
    python -m benchmarks.families --width 256 --pixels 256     smaller

Weights are random. Every region has two texts, which its image tokens see in all blocks (routing `uniform`). What is
counted is the time of this process on the CPU's cores, which other jobs on the machine stretch less than the clock's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from diffusers import (
    ChromaTransformer2DModel,
    Flux2Transformer2DModel,
    Flux3Transformer2DModel,
    FluxTransformer2DModel,
    Krea2Transformer2DModel,
    LongCatImageTransformer2DModel,
    QwenImageTransformer2DModel,
)
from torch import Tensor

from benchmarks.speed.scenes import grid_plan
from benchmarks.speed.timing import median_seconds, show
from strata.injection.attach import Attachment, attached
from strata.injection.families import family_of
from strata.injection.methods.base import Drawing
from strata.injection.methods.regional import RegionalRun
from strata.injection.program import compile_program
from strata.injection.text_states import TextStates
from strata.layers.routing import Routing

HEAD, TEXT_WIDTH, STEPS = 128, 512, 10_000
"""Channels of an attention head and of a text embedding; steps of a program, more than are measured."""
VAE = {"block_out_channels": (0,) * 4}


class Model(NamedTuple):
    """A family's transformer, with as many blocks as its largest model.

    Attributes:
        make: of the number of attention heads.
        inputs: of its call, beside what all take: of the image's rows and of the base prompt's tokens.
        tokens: of a text, padding included where the model sees it.
        layers: of the language model that a text embedding holds side by side; 0: it is one.
    """

    make: Callable[[int], Any]
    inputs: Callable[[int, int], dict[str, Any]]
    tokens: int = 64
    layers: int = 0


def _size(double: int, single: int, heads: int) -> dict[str, Any]:
    size = {"num_layers": double, "num_single_layers": single, "num_attention_heads": heads}
    return {**size, "attention_head_dim": HEAD, "joint_attention_dim": TEXT_WIDTH, "in_channels": 64}


def _ids(axes: int, counted: int | None = None, **own: Tensor) -> Callable[[int, int], dict[str, Any]]:
    """Positions of FLUX's kind with so many axes, of which `counted` counts text tokens."""

    def inputs(rows: int, base: int) -> dict[str, Any]:
        image, text = torch.zeros(rows, rows, axes), torch.zeros(base, axes)
        image[..., 1] += torch.arange(rows)[:, None]
        image[..., 2] += torch.arange(rows)[None]
        if counted is not None:
            text[:, counted] = torch.arange(base)
        return {"img_ids": image.flatten(0, 1), "txt_ids": text, **own}

    return inputs


def _krea2(heads: int) -> Krea2Transformer2DModel:
    """One key for four queries, and widths within as of the model."""
    return Krea2Transformer2DModel(
        num_attention_heads=heads,
        num_key_value_heads=heads // 4,
        intermediate_size=heads * HEAD * 8 // 3,
        text_hidden_dim=TEXT_WIDTH,
        text_num_attention_heads=TEXT_WIDTH // HEAD,
        text_num_key_value_heads=TEXT_WIDTH // HEAD,
        text_intermediate_size=TEXT_WIDTH * 27 // 10,
    )


def _krea2_inputs(rows: int, base: int) -> dict[str, Any]:
    ids = _ids(3)(rows, base)
    mask = torch.ones(1, base, dtype=torch.bool)
    return {"position_ids": torch.cat([ids["txt_ids"], ids["img_ids"]]), "encoder_attention_mask": mask}


_GUIDANCE = torch.full((1,), 3.5)
MODELS: dict[str, Model] = {
    "flux": Model(
        lambda heads: FluxTransformer2DModel(guidance_embeds=True, pooled_projection_dim=64, **_size(19, 38, heads)),
        _ids(3, pooled_projections=torch.zeros(1, 64), guidance=_GUIDANCE),
    ),
    "chroma": Model(lambda heads: ChromaTransformer2DModel(approximator_layers=1, **_size(19, 38, heads)), _ids(3)),
    "flux2": Model(lambda heads: Flux2Transformer2DModel(**_size(8, 48, heads)), _ids(4, -1, guidance=_GUIDANCE)),
    "flux3": Model(lambda heads: Flux3Transformer2DModel(**_size(5, 28, heads)), _ids(4, -1), tokens=80),
    "longcat": Model(
        lambda heads: LongCatImageTransformer2DModel(pooled_projection_dim=64, **_size(19, 38, heads)), _ids(3, -1)
    ),
    "qwen": Model(
        lambda heads: QwenImageTransformer2DModel(
            num_layers=60, num_attention_heads=heads, attention_head_dim=HEAD, joint_attention_dim=TEXT_WIDTH
        ),
        lambda rows, base: {
            "img_shapes": [[(1, rows, rows)]],
            "encoder_hidden_states_mask": torch.ones(1, base, dtype=torch.bool),
        },
    ),
    "krea2": Model(_krea2, _krea2_inputs, layers=12),
}


def measure(name: str, args: argparse.Namespace) -> None:
    """Print a family's table."""
    known = MODELS[name]
    model = known.make(args.width // HEAD).eval()
    family, rows = family_of(model), args.pixels // 16
    facts = family.facts(model.config, VAE, 512, {"_class_name": family.pipelines[0]})

    def text(tokens: int) -> Tensor:
        return torch.randn(1, tokens, *([known.layers] if known.layers else []), TEXT_WIDTH)

    inputs = {"hidden_states": torch.randn(1, rows * rows, 64), "encoder_hidden_states": text(args.base_tokens)}
    inputs |= {"timestep": torch.full((1,), 0.5), **known.inputs(rows, args.base_tokens)}

    @torch.no_grad()
    def forward(context: Any) -> Any:
        with context:
            return model(**inputs, return_dict=False)

    def routed(regions: int, keep: bool) -> Callable[[], Any]:
        program = compile_program(grid_plan(regions, args.pixels), Routing.load("uniform"), facts, STEPS)
        texts = {stream.text: text(known.tokens) for stream in program.streams}
        run = RegionalRun(Drawing(family, [program], texts, lambda: STEPS, lambda rows, cols, steps: [program]))
        run.text_states = TextStates(keep)
        attachment = Attachment(family, run)
        return lambda: forward(attached(model, attachment))

    calls: dict[str, Callable[[], Any]] = {"plain": lambda: forward(nullcontext())}
    own = bool(family.text_blocks(model))
    for regions in args.regions:
        calls[f"{regions} regions"] = routed(regions, keep=True)
        if own:
            calls[f"{regions} regions, text blocks at every step"] = routed(regions, keep=False)
    counts = ", ".join(f"{stack.blocks} {stack.name}" for stack in facts.stacks)
    million = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"\n{family.title}: {counts} blocks of width {args.width}, {million:.0f} M parameters")
    print(f"{rows * rows} image tokens, {args.base_tokens} of the base prompt, {known.tokens} a text, 2 texts a region")
    show("a step", "processor seconds", median_seconds(calls, args.repeats, time.process_time))


def main() -> None:
    """Print the tables; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--regions", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--width", type=int, default=512, help=f"channels of a token, a multiple of {HEAD}")
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--base-tokens", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    for name in args.family:
        measure(name, args)


if __name__ == "__main__":
    main()
