"""The miniature's autoencoder: diffusers' AutoencoderKL at small size, 4 pixels a latent, 8 latent channels."""

from __future__ import annotations

import logging
import random

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from strata.miniature.render import Pixels
from strata.miniature.scenes import random_scene

logger = logging.getLogger(__name__)

OPPONENT = torch.tensor([[0.58, 0.58, 0.58], [0.7, -0.7, 0.0], [0.4, 0.4, -0.8]])
"""Lightness, red-green and blue-yellow: a plain RGB error let the red-green axis collapse."""


def new_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder; the encoder starts nearly deterministic (log-variance about -6)."""
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    with torch.no_grad():
        assert model.encoder.conv_out.bias is not None
        model.encoder.conv_out.bias[8:] -= 6.0
    return model.to(memory_format=torch.channels_last)


def to_tensor(images: list[Pixels]) -> Tensor:
    """RGB uint8 [H, W, 3] images → float [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def random_images(rng: random.Random, n: int, size: int = 64) -> Tensor:
    """`n` rendered scenes as float [n, 3, size, size] in [-1, 1]."""
    return to_tensor([random_scene(rng, size, size, rng.choice((1, 1, 2, 3, 4))).paint() for _ in range(n)])


def psnr(model: AutoencoderKL, images: Tensor) -> float:
    """Mean over images of the reconstruction's peak signal-to-noise ratio, in dB, on 8-bit pixels."""
    with torch.no_grad():
        out = model.decode(model.encode(images).latent_dist.mean).sample.clamp(-1, 1)
    error = ((out - images) * 127.5).round().square().flatten(1).mean(1)
    return float((10 * torch.log10(255**2 / error.clamp_min(1e-3))).mean())


def teach_autoencoder(steps: int, seed: int = 0, batch_size: int = 32, lr: float = 2e-3) -> AutoencoderKL:
    """Train from scratch on random scenes; sets the latents' shift and scale so that they are standard normal."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = new_autoencoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 100) * max(0.01, 1 - step / steps) ** 0.8
        images = random_images(rng, batch_size).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = model.encode(images).latent_dist
            out = model.decode(posterior.sample()).sample
        error = torch.einsum("oc,nchw->nohw", OPPONENT, out.float() - images)
        loss = error.square().mean() + 0.05 * error.abs().mean()
        loss = loss + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            logger.info("autoencoder step %d loss %.5f", step, float(loss.detach()))
    model.eval().requires_grad_(False)
    held = random_images(random.Random(10_000), 256)
    latents = model.encode(held).latent_dist.mean
    model.register_to_config(shift_factor=float(latents.mean()), scaling_factor=float(1 / latents.std()))
    logger.info("autoencoder: %d steps, %.2f dB on fresh scenes", steps, psnr(model, held))
    return model
