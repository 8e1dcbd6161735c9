"""Training the miniature's ControlNet: outlines as pictures, which the objects drawn follow.

    python -m strata.miniature.training.control --run runs/control

The stock `FluxControlNetModel`, begun as a copy of the frozen transformer's own first blocks, and the flow matching
loss of the transformer with its residuals (Zhang et al., arXiv 2302.05543), with the model's own captions and pictures:
nothing tells it of regions. The transformer is told guidance 1 meanwhile, where the distilled model is the plain flow.
The ControlNet is told none, so that it is the same at every guidance.
"""

from __future__ import annotations

import argparse
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FluxControlNetModel, FluxControlNetPipeline, FluxTransformer2DModel
from PIL import Image
from torch import Tensor

from strata.miniature import CONTROL, WEIGHTS
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.train import keep_memory
from strata.miniature.training.data import Data, Pool
from strata.miniature.training.flow import ExplicitAttention, add_noise, grid_of, object_weights, velocity
from strata.miniature.training.loop import LearningRate, Trainer, adamw, train, write_whole_folder
from strata.miniature.world.facts import Thing
from strata.miniature.world.outlines import (
    drawn_silhouette,
    outlined_scene,
    outlines,
    overlap,
    silhouette,
    varied_outlines,
)
from strata.miniature.world.phrases import full_text
from strata.miniature.world.scenes import Scene
from strata.miniature.world.truth import ending

logger = logging.getLogger(__name__)

POOLS = (
    Pool(128, 128, (1,), 24, (0.38, 0.34, 0.30), 32, 512, 2_560),
    Pool(128, 128, (2,), 24, (0.38, 0.36, 0.32), 32, 512, 2_560),
    Pool(128, 128, (3, 4), 48, (0.20, 0.20, 0.20), 24, 256, 1_536),
    Pool(192, 128, (1, 2, 3, 4), 48, (0.02, 0.05, 0.09), 16, 64, 512),
    Pool(128, 192, (1, 2, 3, 4), 48, (0.02, 0.05, 0.09), 16, 64, 512),
)
SCORED = 12
"""Pictures that a score is of."""


class OutlinedData(Data):
    """As `Data`, with the latents of every scene's outlines behind its own: latents are [B, N, 128]."""

    def __init__(self, pipe: Any, device: str, folder: Path, pools: tuple[Pool, ...]) -> None:
        parts = (pipe.vae.requires_grad_(False), pipe.text_encoder_2.requires_grad_(False))
        encoders = (*parts, pipe.text_encoder.requires_grad_(False), (pipe.tokenizer_2, pipe.tokenizer))
        super().__init__(*encoders, torch.device(device), folder / "pictures", pools)
        self.outlined = Data(*encoders, torch.device(device), folder / "outlines", pools, paint=varied_outlines)

    def _sample(self, which: int, samples: int, size: int, rng: random.Random) -> tuple[list[Scene], Tensor]:
        """The same rows of both: scenes are made from their numbers alone."""
        before = rng.getstate()
        scenes, latents = super()._sample(which, samples, size, rng)
        rng.setstate(before)
        _, control = self.outlined._sample(which, samples, size, rng)
        return scenes, torch.cat([latents, control], -1)


def copied_blocks(transformer: FluxTransformer2DModel, double: int, single: int) -> FluxControlNetModel:
    """A ControlNet of a transformer's embeddings and first blocks, as `FluxControlNetModel.from_transformer` makes it.

    It has no guidance embedding; what the transformer's says of guidance 1 is put into its time embedding.
    """
    config = dict(transformer.config) | {"num_layers": double, "num_single_layers": single, "guidance_embeds": False}
    config["_name_or_path"] = ""  # else the model's folder would be named in the configuration
    model: FluxControlNetModel = FluxControlNetModel.from_config(config)
    for name in (
        "time_text_embed",
        "context_embedder",
        "x_embedder",
        "transformer_blocks",
        "single_transformer_blocks",
    ):
        getattr(model, name).load_state_dict(getattr(transformer, name).state_dict(), strict=False)
    embed = transformer.time_text_embed
    with torch.no_grad():
        one = embed.guidance_embedder(embed.time_proj(torch.tensor([1000.0], device=transformer.device)))
        model.time_text_embed.timestep_embedder.linear_2.bias += one[0]
    return model.to(transformer.device)


def residuals(model: Any, batch: dict[str, Tensor], noisy: Tensor, control: Tensor, times: Tensor) -> dict[str, Any]:
    """What the ControlNet gives the transformer, as the options of its call."""
    double, single = model(
        hidden_states=noisy,
        controlnet_cond=control,
        timestep=times,
        pooled_projections=batch["pooled"],
        encoder_hidden_states=batch["embeds"],
        txt_ids=batch["txt_ids"],
        img_ids=batch["img_ids"],
        return_dict=False,
    )
    return {"controlnet_block_samples": double, "controlnet_single_block_samples": single}


def scene_words(scene: Scene) -> str:
    """What the objects are, not where or how large."""
    things = [Thing(p.thing.kind, p.thing.colour, p.thing.surface) for p in scene.things]
    return " and ".join(full_text(thing) for thing in things) + ending(scene.backdrop, scene.style)


def followed(pipe: Any, controlnet: FluxControlNetModel, pictures: int, scale: float = 1.0) -> float:
    """Mean overlap of drawn objects with their outlines: fixed scenes and seeds, the stock pipeline as it is."""
    stock = FluxControlNetPipeline(**{k: v for k, v in pipe.components.items() if v is not None}, controlnet=controlnet)
    stock.set_progress_bar_config(disable=True)
    rng, found = random.Random(12), []
    for seed in range(pictures):
        scene = outlined_scene(rng, rng.choice((1, 2)))
        image = stock(
            scene_words(scene),
            control_image=Image.fromarray(outlines(scene)),
            controlnet_conditioning_scale=scale,
            width=128,
            height=128,
            num_inference_steps=12,
            guidance_scale=3.5,
            max_sequence_length=MAX_LENGTH,
            generator=torch.Generator().manual_seed(seed),
        ).images[0]
        found.append(overlap(drawn_silhouette(np.asarray(image)), silhouette(scene)))
    return float(np.mean(found))


def train_control(
    pipe: Any,
    run: Path,
    samples: int,
    *,
    double: int = 2,
    single: int = 2,
    lr: float = 1e-3,
    device: str = "cpu",
    score_every: int = 0,
    seed: int = 0,
) -> FluxControlNetModel:
    """Train a ControlNet until it has seen `samples` pictures, counting earlier runs in `run`.

    Goes on from `control.pt`. Losses and, every `score_every` samples, the overlap of what is drawn with its outlines
    go to `log.csv`.

    Returns:
        It, with its averaged weights.
    """
    torch.manual_seed(seed)
    frozen = pipe.transformer.to(device).requires_grad_(False)
    data = OutlinedData(pipe, device, run / "pools", POOLS)
    model = copied_blocks(frozen, double, single)
    averaged = copied_blocks(frozen, double, single).eval().requires_grad_(False)
    trainer = Trainer(model, lambda named: [adamw(named, lr, (0.9, 0.98), weight_decay=1e-4)], ema=0.995, seed=seed)
    stock = frozen.attn_processors
    for each in (frozen, model):
        each.set_attn_processor(ExplicitAttention())

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        batch = data.batch(progress, trainer.samples, trainer.rng)
        clean, control = batch["latents"].chunk(2, -1)
        times, noise, noisy = add_noise(clean)
        given = residuals(model, batch, noisy, control, times)
        found = velocity(frozen, batch, noisy, times, torch.ones_like(times), **given)
        each = (found - (noise - clean)).square().mean(-1)
        (each * object_weights(batch["labels"], grid_of(batch["img_ids"]))).mean().backward()
        return len(clean), {"loss": each.detach().mean()}

    def score(weights: dict[str, Tensor]) -> dict[str, float]:
        averaged.load_state_dict(weights)
        return {"overlap": followed(pipe, averaged, SCORED)}

    schedule = LearningRate(warm_up=50, decay=0.4)
    asked = score if score_every else None
    try:
        train(
            trainer,
            learn,
            run,
            "control",
            schedule,
            samples=samples,
            log_every=20,
            score=asked,
            score_every=score_every,
        )
    finally:
        frozen.set_attn_processor(dict(stock))
    averaged.load_state_dict(trainer.weights)
    return averaged


def amplified(model: FluxControlNetModel, gain: float) -> FluxControlNetModel:
    """The same ControlNet whose residuals are `gain` times as large, as `controlnet_conditioning_scale` makes them."""
    with torch.no_grad():
        for layer in (*model.controlnet_blocks, *model.controlnet_single_blocks):
            layer.weight.mul_(gain)
            layer.bias.mul_(gain)
    return model


def save_control(model: FluxControlNetModel, folder: Path) -> None:
    """A folder in half precision that diffusers loads, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_whole_folder(folder, model.half().save_pretrained)


def main(argv: list[str] | None = None) -> None:
    """Train it; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; goes on where it was")
    parser.add_argument("--out", type=Path, default=CONTROL, help="the folder (default: miniature/weights_control)")
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="folder of a miniature")
    parser.add_argument("--samples", type=int, default=30_000, help="pictures, all resumes together")
    parser.add_argument("--score-every", type=int, default=5_000, help="samples between scores; 0: none")
    parser.add_argument("--double", type=int, default=2, help="double-stream blocks copied")
    parser.add_argument("--single", type=int, default=2, help="single-stream blocks copied")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--gain", type=float, default=1.5, help="of what is saved: guidance thins it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    for name, least in (("samples", 1), ("double", 1), ("single", 0), ("threads", 1)):
        if getattr(args, name) < least:
            parser.error(f"--{name} {getattr(args, name)}: must be at least {least}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    keep_memory()
    pipe = load_pipeline(args.model)
    blocks = {"double": args.double, "single": args.single}
    model = train_control(
        pipe, args.run, args.samples, **blocks, lr=args.lr, device=args.device, score_every=args.score_every
    )
    save_control(amplified(model, args.gain), args.out)
    size = sum(file.stat().st_size for file in args.out.iterdir())
    logger.info("done: %s (%.2f MB)", args.out, size / 1e6)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted; the same command goes on from the last checkpoint") from None
