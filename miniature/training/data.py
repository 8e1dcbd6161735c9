"""What the flow is trained on: autoencoder latents of rendered scenes with fresh captions.

Scenes are drawn while training goes on and kept: a pool of pictures grows with the samples seen, so that a batch costs
little more than its own step, and a run can be gone on with. A scene is made again from its number alone; its latents
are kept in a file.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from strata.miniature.model.text import CLIP_LENGTH, MAX_LENGTH
from strata.miniature.training.autoencoder import pack
from strata.miniature.world.captions import caption, join
from strata.miniature.world.labels import TOKEN, token_labels
from strata.miniature.world.reading import words
from strata.miniature.world.render import Pixels
from strata.miniature.world.scenes import Scene, random_scene
from strata.miniature.world.tensors import to_tensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pool:
    """One kind of training picture.

    Canvas in pixels, numbers of objects, text tokens kept, share of the pictures in each phase, batch size, scenes
    drawn at the beginning and at most.
    """

    width: int
    height: int
    things: tuple[int, ...]
    length: int
    shares: tuple[float, float, float]
    batch: int
    first: int
    most: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of image tokens."""
        return self.height // TOKEN, self.width // TOKEN


PHASES = (0.25, 0.65)
"""Shares of the samples after which larger canvases and fuller scenes get more room: they cost more a picture, and
what is learnt on the small ones carries over."""
POOLS = (
    Pool(64, 64, (1,), 16, (0.62, 0.22, 0.04), 160, 6_000, 60_000),
    Pool(128, 128, (1,), 24, (0.14, 0.22, 0.20), 96, 3_000, 60_000),
    Pool(128, 128, (2,), 24, (0.12, 0.20, 0.20), 96, 3_000, 60_000),
    Pool(128, 128, (0, 3, 4), 48, (0.06, 0.14, 0.17), 64, 1_500, 40_000),
    Pool(128, 128, (5, 6, 7, 8), 96, (0.02, 0.07, 0.10), 48, 800, 20_000),
    Pool(192, 128, (1, 2, 3, 4, 6), 48, (0.02, 0.05, 0.08), 48, 600, 20_000),
    Pool(128, 192, (1, 2, 3, 4, 6), 48, (0.02, 0.05, 0.08), 48, 600, 20_000),
    Pool(256, 128, (1, 2, 3, 4, 6, 8), 64, (0.0, 0.025, 0.05), 32, 300, 10_000),
    Pool(128, 256, (1, 2, 3, 4, 6), 64, (0.0, 0.025, 0.05), 32, 300, 10_000),
    Pool(256, 256, (1, 2, 3, 4, 6, 8), 64, (0.0, 0.0, 0.03), 16, 200, 8_000),
)
FRESH = 0.11
"""Scenes drawn a picture that is trained on."""
CHUNK = 32
"""Scenes drawn at once."""
LONG_BATCH = 48
"""Batch size of one or two objects' captions padded to all tokens: the shape of `POOLS[4]`, a graph less to compile."""


class Data:
    """Latents of rendered scenes, kept in a file a pool, and fresh captions for every batch.

    Args:
        vae: the trained autoencoder.
        t5: the trained T5 encoder.
        clip: the trained CLIP text encoder.
        tokenizers: of T5 and of CLIP.
        device: where batches are wanted.
        folder: of the latents' files.
        pools: the kinds of pictures.
        paint: draws a scene.
        wander: place small canvases at random on the position grid of 8×8 tokens, as no FLUX does: a control.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        t5: Any,
        clip: Any,
        tokenizers: tuple[Any, Any],
        device: torch.device,
        folder: Path,
        pools: Sequence[Pool] = POOLS,
        wander: bool = False,
        paint: Callable[[Scene], Pixels] = Scene.paint,
    ) -> None:
        self.device, self.pools, self.vae = device, pools, vae.to(device)
        self.wander, self.paint = wander, paint
        self.t5, self.clip = t5.to(device), clip.to(device)
        self.t5_tokenizer, self.clip_tokenizer = tokenizers
        self.scenes: list[list[Scene]] = [[] for _ in pools]
        self.latents: list[np.memmap[Any, Any]] = []
        self.drawn: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)
        for i, pool in enumerate(pools):
            shape = (pool.most, math.prod(pool.grid), 64)
            path = folder / f"pool-{i}.f16"
            size = 2 * math.prod(shape)
            if not path.exists() or path.stat().st_size != size:
                with path.open("wb") as file:
                    file.truncate(size)
            latents = np.memmap(path, np.float16, "r+", shape=shape)
            # What was drawn before comes in one piece, in chunks; latents are never all zero.
            chunks = latents[::CHUNK, 0, :8].astype(bool).any(-1)
            self.latents.append(latents)
            self.drawn.append(CHUNK * int(np.argmin(chunks)) if not chunks.all() else pool.most)
        with torch.no_grad():
            self.no_pooled = self.pool_texts([""])

    def pool_texts(self, texts: list[str]) -> Tensor:
        """CLIP's pooled vectors [N, 64]."""
        tokens = self.clip_tokenizer(
            texts, padding="max_length", max_length=CLIP_LENGTH, truncation=True, return_tensors="pt"
        )
        # Causal: what comes after the text's end does not matter, so that batches can be cut to their longest text.
        longest = int(tokens.attention_mask.sum(1).max())
        pooled: Tensor = self.clip(input_ids=tokens.input_ids[:, :longest].to(self.device)).pooler_output
        return pooled

    def _grow(self, which: int, samples: int) -> int:
        """See that a pool has as many scenes as it has at `samples` samples of the run; returns their number."""
        pool, scenes = self.pools[which], self.scenes[which]
        wanted = min(pool.most, pool.first + CHUNK * int(FRESH * max(pool.shares) * samples / CHUNK))
        wanted -= wanted % CHUNK
        while len(scenes) < wanted:
            start = len(scenes)
            rng = random.Random(f"{pool.width}x{pool.height} {pool.things} {start}")
            made = [random_scene(rng, pool.width, pool.height, rng.choice(pool.things)) for _ in range(CHUNK)]
            if start >= self.drawn[which]:
                images = to_tensor([self.paint(scene) for scene in made]).to(self.device)
                with torch.no_grad():
                    mean = self.vae.encode(images).latent_dist.mean
                mean = (mean - self.vae.config.shift_factor) * self.vae.config.scaling_factor
                self.latents[which][start : start + CHUNK] = pack(mean).to("cpu", torch.float16).numpy()
                self.drawn[which] = start + CHUNK
            scenes += made
        return wanted

    def _text(self, scene: Scene, rng: random.Random, length: int) -> str:
        """A caption that fits into a number of tokens, if a few tries find one; empty for one in ten."""
        if rng.random() < 0.1:
            return ""
        for _ in range(4):
            text = join(caption(scene, rng))
            if len(words(text)) < length:
                break
        return text

    def batch(self, progress: float, samples: int, rng: random.Random) -> dict[str, Tensor]:
        """One batch of one pool; latents [B, N, 64], texts [B, L, 128], key bias [B, 1, 1, L+N], labels [B, N, 4].

        Args:
            progress: how much of the run is done, from 0 to 1.
            samples: pictures seen so far.
            rng: chooses the pool, the pictures and their captions; torch's own generator leaves out pooled vectors.
        """
        phase = sum(progress >= border for border in PHASES)
        # Shares are of pictures, batches differ in size.
        which = rng.choices(range(len(self.pools)), [p.shares[phase] / p.batch for p in self.pools])[0]
        pool = self.pools[which]
        # Three in ten batches attend to the padding too, as the stock pipeline does; the others only to real tokens.
        see_padding = rng.random() < 0.3
        length, size = pool.length, pool.batch
        if which in (1, 2) and see_padding and rng.random() < 0.4:
            length, size = MAX_LENGTH, LONG_BATCH
        scenes, latents = self._sample(which, samples, size, rng)
        texts = [self._text(scene, rng, length) for scene in scenes]
        tokens = self.t5_tokenizer(
            texts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            embeds = self.t5(input_ids=tokens.input_ids.to(self.device)).last_hidden_state[:, :length]
            pooled = self.pool_texts(texts)
        without_pooled = (torch.rand(size, 1) < 0.5).to(self.device)
        bias = torch.zeros(size, 1, 1, length + latents.shape[1])
        if not see_padding:
            bias[:, 0, 0, :length].masked_fill_(tokens.attention_mask[:, :length] == 0, float("-inf"))
        h, w = pool.grid
        ids = torch.zeros(h, w, 3)
        down, right = (rng.choice((0, max(0, 8 - side))) if self.wander else 0 for side in (h, w))
        ids[..., 1], ids[..., 2] = torch.arange(h)[:, None] + down, torch.arange(w)[None] + right
        return {
            "latents": latents,
            "embeds": embeds,
            "pooled": torch.where(without_pooled, self.no_pooled, pooled),
            "bias": bias.to(self.device),
            "img_ids": ids.flatten(0, 1).to(self.device),
            "txt_ids": torch.zeros(length, 3, device=self.device),
            "labels": self._labels(scenes),
        }

    def _sample(self, which: int, samples: int, size: int, rng: random.Random) -> tuple[list[Scene], Tensor]:
        """Pictures of a pool as it is at `samples` samples: scenes, and latents [size, N, 64]."""
        known = self._grow(which, samples)
        rows = [rng.randrange(known) for _ in range(size)]
        latents = torch.from_numpy(self.latents[which][rows]).to(self.device).float()
        return [self.scenes[which][i] for i in rows], latents

    def _labels(self, scenes: Sequence[Scene]) -> Tensor:
        return torch.from_numpy(np.stack([token_labels(s) for s in scenes])).flatten(1, 2).to(self.device)

    def pictures(self, rng: random.Random, size: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Latents [size, N, 64] of one pool, labels [size, N, 4], and its grid of tokens (rows, columns)."""
        which = rng.choices(range(len(self.pools)), [pool.shares[0] for pool in self.pools])[0]
        scenes, latents = self._sample(which, 0, size, rng)
        return latents, self._labels(scenes), self.pools[which].grid
