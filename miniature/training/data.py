"""What the flow is trained on: autoencoder latents of rendered scenes with fresh captions."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FluxPipeline
from torch import Tensor

from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.world.language import caption_segments, join
from strata.miniature.world.scenes import Scene, random_scene, token_labels
from strata.miniature.world.tensors import to_tensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """One kind of training picture.

    Canvas in pixels, numbers of objects, text tokens kept, share of the steps before and after `WIDER`, batch size,
    scenes drawn.
    """

    width: int
    height: int
    things: tuple[int, ...]
    length: int
    early: float
    late: float
    batch: int
    scenes: int


WIDER = 0.55
"""Share of the samples after which the larger canvases join: they cost more a picture, and what is learnt on
the small ones carries over."""
POOLS = (
    Pool(64, 64, (1,), 16, 0.34, 0.22, 96, 18_000),
    Pool(32, 64, (1,), 16, 0.11, 0.06, 128, 5_000),
    Pool(64, 32, (1,), 16, 0.11, 0.06, 128, 5_000),
    Pool(32, 32, (1,), 16, 0.09, 0.05, 160, 5_000),
    Pool(64, 64, (2,), 26, 0.25, 0.16, 80, 12_000),
    Pool(64, 64, (3, 4), 48, 0.10, 0.12, 64, 5_000),
    Pool(96, 64, (1, 2, 3, 4), 48, 0.0, 0.075, 48, 2_500),
    Pool(64, 96, (1, 2, 3, 4), 48, 0.0, 0.075, 48, 2_500),
    Pool(128, 64, (1, 2, 3, 4), 48, 0.0, 0.065, 40, 2_500),
    Pool(64, 128, (1, 2, 3, 4), 48, 0.0, 0.065, 40, 2_500),
    Pool(128, 128, (1, 2, 3, 4), 48, 0.0, 0.05, 20, 1_500),
)
LONG_BATCH = 64
"""Batch size of one object's captions padded to full length: the shape of `POOLS[5]`, a graph less to compile."""


class Data:
    """Latents of rendered scenes, kept in memory, and fresh captions for every batch.

    Args:
        vae: the trained autoencoder.
        t5: the trained T5 encoder.
        clip: the trained CLIP text encoder.
        tokenizers: of T5 and of CLIP.
        device: where batches are wanted.
        pools: the kinds of pictures; the first may also come with captions padded to full length.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        t5: Any,
        clip: Any,
        tokenizers: tuple[Any, Any],
        device: torch.device,
        pools: Sequence[Pool] = POOLS,
    ) -> None:
        self.device, self.pools = device, pools
        self.t5, self.clip = t5.to(device, torch.bfloat16), clip.to(device, torch.bfloat16)
        self.t5_tokenizer, self.clip_tokenizer = tokenizers
        self.scenes: list[list[Scene]] = []
        self.latents: list[Tensor] = []
        encoder = vae.encoder.to(device, torch.bfloat16)
        for pool in pools:
            rng = random.Random(f"{pool.width}x{pool.height} {pool.things}")
            scenes = [random_scene(rng, pool.width, pool.height, rng.choice(pool.things)) for _ in range(pool.scenes)]
            parts = []
            for start in range(0, len(scenes), 250):
                images = to_tensor([s.paint() for s in scenes[start : start + 250]])
                with torch.no_grad():
                    mean = encoder(images.to(device, torch.bfloat16, memory_format=torch.channels_last))[:, :8].float()
                mean = (mean - vae.config.shift_factor) * vae.config.scaling_factor
                n, c, h, w = mean.shape
                parts.append(FluxPipeline._pack_latents(mean.contiguous(), n, c, h, w).to("cpu", torch.float16))
            self.scenes.append(scenes)
            self.latents.append(torch.cat(parts))
            logger.info("encoded %d scenes of %d×%d with %s objects", len(scenes), pool.width, pool.height, pool.things)
        vae.encoder.to("cpu", torch.float32)
        with torch.no_grad():
            self.no_pooled = self.pool_texts([""])

    def pool_texts(self, texts: list[str]) -> Tensor:
        """CLIP's pooled vectors [N, 64]."""
        tokens = self.clip_tokenizer(texts, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
        pooled: Tensor = self.clip(input_ids=tokens.input_ids.to(self.device)).pooler_output
        return pooled

    def batch(self, progress: float, rng: random.Random) -> dict[str, Tensor]:
        """One batch of one pool; latents [B, N, 32], texts [B, L, 128], key bias [B, 1, 1, L+N], labels [B, N, 3].

        Args:
            progress: how much of the run is done, from 0 to 1.
            rng: chooses the pool, the pictures and their captions; torch's own generator leaves out pooled vectors.
        """
        which = rng.choices(range(len(self.pools)), [p.early if progress < WIDER else p.late for p in self.pools])[0]
        pool = self.pools[which]
        # Three in ten batches attend to the padding too, as the stock pipeline does; the others only to real tokens.
        see_padding = rng.random() < 0.3
        long = see_padding and which == 0 and rng.random() < 0.5
        length, size = (MAX_LENGTH, LONG_BATCH) if long else (pool.length, pool.batch)
        rows = [rng.randrange(len(self.scenes[which])) for _ in range(size)]
        scenes = [self.scenes[which][i] for i in rows]
        texts = [
            "" if rng.random() < 0.1 else join(caption_segments(tuple(p.thing for p in s.things), s.backdrop, rng))
            for s in scenes
        ]
        tokens = self.t5_tokenizer(
            texts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            embeds = self.t5(input_ids=tokens.input_ids.to(self.device)).last_hidden_state[:, :length]
            pooled = self.pool_texts(texts)
        without_pooled = (torch.rand(len(rows), 1) < 0.5).to(self.device)
        n = self.latents[which].shape[1]
        bias = torch.zeros(len(rows), 1, 1, length + n)
        if not see_padding:
            bias[:, 0, 0, :length].masked_fill_(tokens.attention_mask[:, :length] == 0, float("-inf"))
        h, w = pool.height // 8, pool.width // 8
        ids = torch.zeros(h, w, 3)
        # A small canvas stands at its own place on a larger one half of the time.
        ids[..., 1] = torch.arange(h)[:, None] + rng.choice((0, 0, max(0, 8 - h)))
        ids[..., 2] = torch.arange(w)[None] + rng.choice((0, 0, max(0, 8 - w)))
        labels = torch.from_numpy(np.stack([token_labels(s) for s in scenes])).flatten(1, 2)
        return {
            "latents": self.latents[which][rows].to(self.device).float(),
            "embeds": embeds,
            "pooled": torch.where(without_pooled, self.no_pooled, pooled),
            "bias": bias.to(self.device),
            "img_ids": ids.flatten(0, 1).to(self.device),
            "txt_ids": torch.zeros(length, 3, device=self.device),
            "labels": labels.to(self.device),
        }
