"""Training the autoencoder on rendered scenes; its latents say what they hold, as FLUX.2's do.

A linear read-out of every image token's latents (2 × 2 × 16 numbers) is taught, together with the autoencoder, to tell
kind, colour, surface and style of the object there: a flow learns such latents in fewer pictures (Yao et al., arXiv
2501.01423). The read-out is thrown away.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxPipeline
from torch import Tensor, nn

from strata.miniature.model.autoencoder import CHANNELS, new_autoencoder, psnr
from strata.miniature.training.loop import LearningRate, Trainer, muon, train
from strata.miniature.training.reader import disagreement, kinds_read
from strata.miniature.world.labels import CLASSES, token_labels
from strata.miniature.world.scenes import Scene, random_scene
from strata.miniature.world.tensors import to_tensor

logger = logging.getLogger(__name__)

OPPONENT = torch.tensor([[0.58, 0.58, 0.58], [0.7, -0.7, 0.0], [0.4, 0.4, -0.8]])
"""Lightness, red-green and blue-yellow: a plain RGB error let the red-green axis collapse."""
READ_OUT = (0.004, 0.016)
"""Weight of the read-out's cross-entropies, summed over its four questions, in the first quarter and afterwards."""


PATCHES = 32
"""A batch holds so many times 64 × 64 pixels; what is counted as samples."""


def _scene(rng: random.Random, width: int, height: int, most: int) -> Scene:
    return random_scene(rng, width, height, rng.choice((1, 1, 1, 2, 2, 3, 4, 6, 8)[:most]), held_out=None)


def batch(rng: random.Random, progress: float) -> tuple[Tensor, Tensor]:
    """Pictures [N, 3, H, W] and labels [N, H·W/256, 4], `PATCHES` × 64 × 64 pixels in all.

    In the first half of the training small canvases and parts of larger ones, for more variety; then whole pictures.
    """
    images, labels = [], []
    if progress >= 0.5:
        width, height = rng.choice(((128, 128), (128, 128), (256, 64), (64, 256)))
        for _ in range(PATCHES // 4):
            scene = _scene(rng, width, height, 9 if width == height else 4)
            images.append(scene.paint())
            labels.append(token_labels(scene))
    while len(images) < PATCHES and progress < 0.5:
        if rng.random() < 0.25:
            scene = _scene(rng, 64, 64, 3)
            images.append(scene.paint())
            labels.append(token_labels(scene))
            continue
        scene = _scene(rng, 128, 128, 9)
        pixels, tokens = scene.paint(), token_labels(scene)
        for _ in range(min(PATCHES - len(images), rng.choice((1, 2)))):
            x, y = rng.randrange(5), rng.randrange(5)
            images.append(pixels[16 * y : 16 * y + 64, 16 * x : 16 * x + 64])
            labels.append(tokens[y : y + 4, x : x + 4])
    return to_tensor(images), torch.stack([torch.from_numpy(x).flatten(0, 1) for x in labels])


def pack(latents: Tensor) -> Tensor:
    """Latents [N, 16, H/8, W/8] → the transformer's tokens [N, H·W/256, 64]."""
    n, c, h, w = latents.shape
    packed: Tensor = FluxPipeline._pack_latents(latents.contiguous(), n, c, h, w)
    return packed


def _is_kernel(name: str) -> bool:
    return name.endswith("weight") and "norm" not in name and "conv_in" not in name and "conv_out" not in name


def train_autoencoder(out: Path, steps: int, seed: int = 0, device: str | torch.device = "cpu") -> AutoencoderKL:
    """Train from scratch on random scenes; sets the latents' shift and scale so that they are standard normal.

    Goes on from `autoencoder.pt` in `out`, where there is one. The result is on the CPU.
    """
    torch.manual_seed(seed)
    model = new_autoencoder().to(device)
    head = nn.Sequential(nn.LayerNorm(4 * CHANNELS, elementwise_affine=False), nn.Linear(4 * CHANNELS, sum(CLASSES)))
    head = head.to(device)

    trainer = Trainer(model, lambda named: muon(named, _is_kernel, 3e-3), auxiliary=head, seed=seed)
    opponent = OPPONENT.to(device)

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        images, labels = (x.to(device) for x in batch(trainer.rng, progress))
        posterior = model.encode(images).latent_dist
        latents = posterior.sample()
        blur = torch.rand(len(latents), 1, 1, 1, device=latents.device) * 0.15 * latents.detach().std()
        decoded = model.decode(latents + blur * torch.randn_like(latents)).sample
        error = torch.einsum("oc,nchw->nohw", opponent, decoded - images)
        pixels = error.square().mean() + 0.05 * error.abs().mean()
        logits = head(pack(latents)).split(CLASSES, dim=-1)
        told = disagreement(logits, labels, nothing=1.0)
        loss = pixels + READ_OUT[progress > 0.25] * told + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()
        loss.backward()
        return PATCHES, {
            "loss": loss.detach(),
            "squared error": error.detach().square().mean(),
            "read out": told.detach(),
            "kind read": kinds_read(logits, labels),
        }

    schedule = LearningRate(warm_up=50, power=0.8)
    train(trainer, learn, out, "autoencoder", schedule, samples=steps * PATCHES, log_every=20)
    model.to("cpu").eval().requires_grad_(False)
    held = to_tensor([_scene(random.Random(10_000 + i), 128, 128, 9).paint() for i in range(128)])
    latents = torch.cat([model.encode(part).latent_dist.mean for part in held.split(16)])
    model.register_to_config(shift_factor=float(latents.mean()), scaling_factor=float(1 / latents.std()))
    found = torch.cat([psnr(model, part) for part in held.split(16)])
    logger.info("autoencoder: %d steps, %.2f dB on fresh scenes, least %.2f", steps, found.mean(), found.min())
    return model
