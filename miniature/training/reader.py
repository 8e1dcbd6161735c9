"""A reader of latents: what stands at every image token. Frozen, it judges what the flow predicts.

A loss on the flow's output: its predicted clean latents are to show the reader the objects that are there. It says
nothing about how or where inside the transformer that comes about.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from strata.miniature.training.loop import LearningRate, Trainer, adamw, train, write_whole
from strata.miniature.world.labels import CLASSES

if TYPE_CHECKING:
    from strata.miniature.training.data import Data

logger = logging.getLogger(__name__)

WIDTH = 128
NOTHING = 0.3
"""Weight of tokens with no object among the others."""


class Reader(nn.Module):
    """Three residual 3×3 convolutions over the grid of image tokens, then one linear read-out a question."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(64, WIDTH, 1)
        self.rest = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(8, WIDTH), nn.GELU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)) for _ in range(3)
        )
        self.last = nn.Conv2d(WIDTH, sum(CLASSES), 1)

    def forward(self, latents: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """Logits [N, tokens, classes], one tensor a question, of latents [N, tokens, 64] on a grid (rows, columns)."""
        x = self.first(latents.transpose(1, 2).unflatten(2, grid))
        for block in self.rest:
            x = x + block(x)
        return list(self.last(x).flatten(2).transpose(1, 2).split(CLASSES, dim=-1))


def disagreement(logits: Sequence[Tensor], labels: Tensor, nothing: float = NOTHING) -> Tensor:
    """Cross-entropy summed over the questions, of labels [N, tokens, 4]; empty tokens count `nothing`."""
    weights = torch.where(labels[..., 0] > 0, 1.0, nothing)
    total = torch.zeros((), device=labels.device)
    for i, x in enumerate(logits):
        each = nn.functional.cross_entropy(x.flatten(0, 1), labels[..., i].flatten(), reduction="none")
        total = total + (each * weights.flatten()).sum()
    return total / weights.sum()


def kinds_read(logits: Sequence[Tensor], labels: Tensor) -> Tensor:
    """The share of the objects' tokens whose kind is told right."""
    return (logits[0].argmax(-1) == labels[..., 0])[labels[..., 0] > 0].float().mean()


def train_reader(data: Data, out: Path, steps: int) -> Reader:
    """The reader, trained on pictures of the flow's pools with noise on their latents; from `reader.safetensors`."""
    reader = Reader().to(data.device)
    path = out / "reader.safetensors"
    if not path.exists():
        torch.manual_seed(2)
        trainer = Trainer(reader, lambda named: [adamw(named, 2e-3, weight_decay=0.01)], seed=2)

        def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
            latents, labels, grid = data.pictures(trainer.rng, 96)
            noise = 0.8 * torch.rand(len(latents), 1, 1).to(data.device)
            logits = reader(latents + noise * torch.randn(latents.shape).to(data.device), grid)
            loss = disagreement(logits, labels)
            loss.backward()
            return len(latents), {"loss": loss.detach(), "kind read": kinds_read(logits, labels)}

        train(trainer, learn, out, "reader", LearningRate(warm_up=20), samples=steps * 96, log_every=50)
        write_whole(path, lambda part: save_file(reader.state_dict(), part))
    reader.load_state_dict(load_file(path, device=str(data.device)))
    return reader.eval().requires_grad_(False)
