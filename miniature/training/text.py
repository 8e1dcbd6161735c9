"""Training the text encoders, before FLUX, on captions of random scenes.

T5 learns to tag every word with what the phrase around it says of its object (shape, colour, surface, side) or of the
background; CLIP's pooled vector learns which words a caption holds. Both are then frozen, as in FLUX.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from strata.miniature.model.text import CLIP_WIDTH, MAX_LENGTH, T5_WIDTH, clip_tokenizer, new_clip, new_t5, t5_tokenizer
from strata.miniature.training.loop import LearningRate, Trainer, adamw, train
from strata.miniature.world.language import (
    COLOURS,
    PATTERNS,
    SHAPES,
    SIDES,
    SURFACES,
    TONES,
    WORDS,
    Backdrop,
    Segment,
    Thing,
    caption_segments,
    join,
)
from strata.miniature.world.scenes import random_scene

logger = logging.getLogger(__name__)

BATCH = 64
SCHEDULE = LearningRate(warm_up=50, floor=0.02)

TAGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("shape", SHAPES),
    ("colour", COLOURS),
    ("surface", SURFACES),
    ("side", SIDES),
    ("pattern", PATTERNS),
    ("tone", TONES),
)


def _labels(said: Thing | Backdrop | None) -> list[int]:
    """One class a head, 0 where the phrase does not say."""
    out = []
    for name, valid in TAGS:
        value = getattr(said, name, None)
        out.append(0 if value is None else 1 + valid.index(value))
    return out


def _random_segments(rng: random.Random) -> list[Segment]:
    scene = random_scene(rng, 64, 64, rng.choice((1, 1, 2, 2, 3, 4)))
    return caption_segments(tuple(p.thing for p in scene.things), scene.backdrop, rng)


def _tagged(segments: list[Segment], tokenizer: T5TokenizerFast, length: int) -> tuple[list[int], list[list[int]]]:
    """Token ids and per-token labels [length][tags] of one caption, padded; -100 on padding and end."""
    ids: list[int] = []
    tags: list[list[int]] = []
    for text, said in segments:
        part = [3] if text == "," else tokenizer(text, add_special_tokens=False).input_ids
        ids += part
        tags += [_labels(said)] * len(part)
    ids, tags = ids[: length - 1], tags[: length - 1]
    padding = length - len(ids) - 1
    return [*ids, 1, *[0] * padding], [*tags, *[[-100] * len(TAGS)] * (padding + 1)]


def train_t5(
    out: Path, steps: int, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[T5TokenizerFast, T5EncoderModel, float]:
    """Train T5 to tag words; returns the tokenizer, the encoder and the share of words all of whose tags are right.

    Goes on from `t5.pt` in `out`, where there is one. The encoder is on the CPU.
    """
    torch.manual_seed(seed)
    tokenizer = t5_tokenizer()
    model = new_t5(len(tokenizer))
    head = nn.Linear(T5_WIDTH, sum(1 + len(valid) for _, valid in TAGS))
    both = nn.ModuleDict({"model": model, "head": head}).to(device)
    trainer = Trainer(both, lambda named: [adamw(named, 2e-3, weight_decay=0.01)], seed=seed)

    def batch(n: int) -> tuple[Tensor, Tensor]:
        rows = [_tagged(_random_segments(trainer.rng), tokenizer, MAX_LENGTH) for _ in range(n)]
        return torch.tensor([r[0] for r in rows], device=device), torch.tensor([r[1] for r in rows], device=device)

    def logits(ids: Tensor) -> list[Tensor]:
        hidden = model(input_ids=ids).last_hidden_state
        return list(head(hidden).split([1 + len(valid) for _, valid in TAGS], dim=-1))

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        ids, tags = batch(BATCH)
        losses = [
            nn.functional.cross_entropy(out.flatten(0, 1), tags[..., i].flatten()) for i, out in enumerate(logits(ids))
        ]
        loss = torch.stack(losses).sum()
        loss.backward()
        return BATCH, {"loss": loss.detach()}

    train(trainer, learn, out, "t5", SCHEDULE, samples=steps * BATCH, log_every=100)
    with torch.no_grad():
        ids, tags = batch(1000)
        right = torch.stack([found.argmax(-1) == tags[..., i] for i, found in enumerate(logits(ids))]).all(0)
        score = float(right[tags[..., 0] != -100].float().mean())
    logger.info("t5: %d steps, %.4f of words tagged right", steps, score)
    return tokenizer, model.to("cpu").eval().requires_grad_(False), score


def train_clip(
    out: Path, steps: int, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[CLIPTokenizer, CLIPTextModel, float]:
    """Train CLIP's pooled vector to hold a caption's words; returns tokenizer, encoder, share of words found right.

    Goes on from `clip.pt` in `out`, where there is one. The encoder is on the CPU.
    """
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    model = new_clip(tokenizer)
    head = nn.Linear(CLIP_WIDTH, len(WORDS))
    both = nn.ModuleDict({"model": model, "head": head}).to(device)
    trainer = Trainer(both, lambda named: [adamw(named, 2e-3, weight_decay=0.01)], seed=seed + 1)
    index = {word: i for i, word in enumerate(WORDS)}

    def batch(n: int) -> tuple[Tensor, Tensor]:
        texts = [join(_random_segments(trainer.rng)) if trainer.rng.random() < 0.95 else "" for _ in range(n)]
        held = torch.zeros(n, len(WORDS))
        for row, text in enumerate(texts):
            for word in text.replace(",", " , ").split():
                held[row, index[word]] = 1
        tokens = tokenizer(texts, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
        return tokens.input_ids.to(device), held.to(device)

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        ids, held = batch(BATCH)
        loss = nn.functional.binary_cross_entropy_with_logits(head(model(input_ids=ids).pooler_output), held)
        loss.backward()
        return BATCH, {"loss": loss.detach()}

    train(trainer, learn, out, "clip", SCHEDULE, samples=steps * BATCH, log_every=100)
    with torch.no_grad():
        ids, held = batch(1000)
        score = float(((head(model(input_ids=ids).pooler_output) > 0) == (held > 0)).float().mean())
    logger.info("clip: %d steps, %.4f of words found right", steps, score)
    return tokenizer, model.to("cpu").eval().requires_grad_(False), score
