"""Training the autoencoder on rendered scenes."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from strata.miniature.model.autoencoder import new_autoencoder, psnr
from strata.miniature.training.loop import LearningRate, Trainer, adamw, train
from strata.miniature.world.tensors import random_images

logger = logging.getLogger(__name__)

OPPONENT = torch.tensor([[0.58, 0.58, 0.58], [0.7, -0.7, 0.0], [0.4, 0.4, -0.8]])
"""Lightness, red-green and blue-yellow: a plain RGB error let the red-green axis collapse."""


def train_autoencoder(
    out: Path, steps: int, seed: int = 0, batch_size: int = 32, lr: float = 2e-3, device: str | torch.device = "cpu"
) -> AutoencoderKL:
    """Train from scratch on random scenes; sets the latents' shift and scale so that they are standard normal.

    Goes on from `autoencoder.pt` in `out`, where there is one. The result is on the CPU.
    """
    torch.manual_seed(seed)
    model = new_autoencoder().to(device)
    trainer = Trainer(model, lambda named: [adamw(named, lr, (0.9, 0.98))], seed=seed)
    opponent = OPPONENT.to(device)

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        images = random_images(trainer.rng, batch_size).to(device, memory_format=torch.channels_last)
        with torch.autocast(trainer.device.type, torch.bfloat16):
            posterior = model.encode(images).latent_dist
            decoded = model.decode(posterior.sample()).sample
        error = torch.einsum("oc,nchw->nohw", opponent, decoded.float() - images)
        loss = error.square().mean() + 0.05 * error.abs().mean()
        loss = loss + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()
        loss.backward()
        return batch_size, {"loss": loss.detach()}

    schedule = LearningRate(warm_up=100, power=0.8)
    train(trainer, learn, out, "autoencoder", schedule, samples=steps * batch_size, log_every=100)
    model.to("cpu").eval().requires_grad_(False)
    held = random_images(random.Random(10_000), 256)
    latents = model.encode(held).latent_dist.mean
    model.register_to_config(shift_factor=float(latents.mean()), scaling_factor=float(1 / latents.std()))
    logger.info("autoencoder: %d steps, %.2f dB on fresh scenes", steps, psnr(model, held))
    return model
