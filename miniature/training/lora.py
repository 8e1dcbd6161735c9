"""Training a style LoRA for the miniature, of a style that it does not know (`world/tints.py`).

    python -m strata.miniature.training.lora blueprint --run runs/lora-blueprint
    python -m strata.miniature.training.lora rose --run runs/lora-rose

The flow matching loss of ordinary LoRA training, through peft, with the model's own captions and pictures painted in
the style: nothing tells the model of regions. Guidance is 1 meanwhile, where the distilled model is the plain flow. All
layers are adapted that see token by token, so that the LoRA can be confined to a region. In half of the batches the
text tokens go without it, as those of the base prompt do where it is confined.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor, nn

from strata.miniature import LORAS, WEIGHTS
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.train import keep_memory
from strata.miniature.training.data import Data, Pool
from strata.miniature.training.flow import ExplicitAttention, add_noise, velocity
from strata.miniature.training.loop import LearningRate, Trainer, adamw, train, write_whole
from strata.miniature.world.captions import caption, join
from strata.miniature.world.scenes import Scene, random_scene
from strata.miniature.world.tints import TINTS, tint_of

logger = logging.getLogger(__name__)

POOLS = (
    Pool(128, 128, (1,), 24, (0.4, 0.4, 0.4), 32, 512, 4_096),
    Pool(128, 128, (2,), 24, (0.4, 0.4, 0.4), 32, 512, 4_096),
    Pool(128, 128, (3, 4), 48, (0.2, 0.2, 0.2), 24, 256, 2_048),
)
TARGETS = (
    r".*transformer_blocks\.\d+\.(attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
    r"|ff(_context)?\.net\.(0\.proj|2)|proj_mlp|proj_out)"
)
"""All linear layers of blocks that see token by token."""
SCORED = 16
"""Pictures that a score is of."""


def add_lora(model: Any, rank: int) -> dict[str, nn.Parameter]:
    """Give a transformer a LoRA, which alone is trained; its weights by the names of a LoRA file."""
    model.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS, init_lora_weights="gaussian")
    model.add_adapter(config, "style")
    return {
        f"transformer.{name.replace('.style.', '.')}": weight
        for name, weight in model.named_parameters()
        if ".lora_" in name
    }


@contextmanager
def images_alone(model: Any, text: int) -> Iterator[None]:
    """While the context lasts, a LoRA acts on image tokens alone, behind `text` tokens in single blocks."""

    def gate(name: str) -> Any:
        if ".single_" in f".{name}":
            return lambda _, __, out: torch.cat([torch.zeros_like(out[:, :text]), out[:, text:]], dim=1)
        if any(part in name for part in (".add_", ".to_add_out", ".ff_context")):
            return lambda _, __, out: torch.zeros_like(out)
        return None

    layers = [(gate(name), module) for name, module in model.named_modules() if name.endswith(".lora_B.style")]
    handles = [module.register_forward_hook(hook) for hook, module in layers if hook is not None]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def weighing(named: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> Iterator[None]:
    """While the context lasts, the LoRA has these weights."""
    before = {name: weight.detach().clone() for name, weight in named.items()}
    with torch.no_grad():
        try:
            for name, weight in named.items():
                weight.copy_(weights[name])
            yield
        finally:
            for name, weight in named.items():
                weight.copy_(before[name])


def share_in_style(pipe: Any, style: str, pictures: int | None = None) -> float:
    """Share of pictures of fixed captions and seeds that are in the style, drawn by the stock pipeline as it is."""
    rng, right = random.Random(11), 0
    pictures = pictures or SCORED
    for seed in range(pictures):
        text = join(caption(random_scene(rng, 128, 128, rng.choice((1, 2))), rng))
        image = pipe(
            text,
            width=128,
            height=128,
            num_inference_steps=12,
            max_sequence_length=MAX_LENGTH,
            generator=torch.Generator().manual_seed(seed),
        ).images[0]
        right += tint_of(np.asarray(image)) == style
    return right / pictures


def train_lora(
    pipe: Any,
    style: str,
    run: Path,
    samples: int,
    *,
    rank: int = 12,
    lr: float = 1e-3,
    device: str = "cpu",
    score_every: int = 0,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Train a LoRA of a style until it has seen `samples` pictures, counting earlier runs in `run`.

    Goes on from `lora.pt`. Losses and, every `score_every` samples, the share of pictures that are in the style go to
    `log.csv`.

    Returns:
        Its averaged weights, by the names that diffusers loads.
    """
    torch.manual_seed(seed)
    model, tint = pipe.transformer, TINTS[style]

    def paint(scene: Scene) -> Any:
        return tint.paint(scene.paint())

    texts = (pipe.tokenizer_2, pipe.tokenizer)
    encoders = (pipe.text_encoder_2.requires_grad_(False), pipe.text_encoder.requires_grad_(False))
    data = Data(
        pipe.vae.requires_grad_(False), *encoders, texts, torch.device(device), run / "pools", POOLS, paint=paint
    )
    named = add_lora(model.to(device), rank)
    names = list(named)
    trainer = Trainer(
        nn.ParameterList(named.values()), lambda weights: [adamw(weights, lr, weight_decay=1e-4)], ema=0.995, seed=seed
    )
    stock = model.attn_processors
    model.set_attn_processor(ExplicitAttention())

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        batch = data.batch(progress, trainer.samples, trainer.rng)
        times, noise, noisy = add_noise(batch["latents"])
        text = batch["embeds"].shape[1]
        with images_alone(model, text) if trainer.rng.random() < 0.5 else nullcontext():
            found = velocity(model, batch, noisy, times, torch.ones_like(times))
        loss = (found - (noise - batch["latents"])).square().mean()
        loss.backward()
        return len(noisy), {"loss": loss.detach()}

    def by_name(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: weights[str(n)] for n, name in enumerate(names)}

    def score(weights: dict[str, Tensor]) -> dict[str, float]:
        model.set_attn_processor(dict(stock))
        try:
            with weighing(named, by_name(weights)):
                return {"in style": share_in_style(pipe, style)}
        finally:
            model.set_attn_processor(ExplicitAttention())

    schedule = LearningRate(warm_up=30, decay=0.4)
    asked = score if score_every else None
    try:
        train(
            trainer, learn, run, "lora", schedule, samples=samples, log_every=20, score=asked, score_every=score_every
        )
    finally:
        model.set_attn_processor(dict(stock))
    return by_name(trainer.weights)


def save_lora(weights: Mapping[str, Tensor], path: Path) -> None:
    """A file in half precision that diffusers loads, whole or not at all."""
    half = {name: weight.detach().half().cpu().contiguous() for name, weight in weights.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, partial(save_file, half))


def main(argv: list[str] | None = None) -> None:
    """Train one; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("style", choices=list(TINTS))
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; goes on where it was")
    parser.add_argument("--out", type=Path, help="the file (default: miniature/loras/STYLE.safetensors)")
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="folder of a miniature")
    parser.add_argument("--samples", type=int, default=12_000, help="pictures, all resumes together")
    parser.add_argument("--score-every", type=int, default=3_000, help="samples between scores; 0: none")
    parser.add_argument("--rank", type=int, default=12)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    for name in ("samples", "rank", "threads"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)}: must be at least 1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    keep_memory()
    pipe = load_pipeline(args.model)
    pipe.set_progress_bar_config(disable=True)
    options = {"rank": args.rank, "lr": args.lr, "device": args.device, "score_every": args.score_every}
    weights = train_lora(pipe, args.style, args.run, args.samples, **options)
    out = args.out or LORAS / f"{args.style}.safetensors"
    save_lora(weights, out)
    logger.info("done: %s (%.2f MB)", out, out.stat().st_size / 1e6)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted; the same command goes on from the last checkpoint") from None
