"""Teaching the text encoders beforehand: T5 what each word is about, CLIP which words a caption holds.

Both are then frozen, as in FLUX.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from strata.miniature.model.text import (
    CLIP_LENGTH,
    CLIP_WIDTH,
    MARKS,
    MAX_LENGTH,
    T5_WIDTH,
    clip_tokenizer,
    new_clip,
    new_t5,
    t5_tokenizer,
)
from strata.miniature.training.loop import LearningRate, Trainer, adamw, train
from strata.miniature.world.captions import Said, Segment, caption, join
from strata.miniature.world.facts import PATTERNS, PLACES, SETTINGS, SIZES, TONES
from strata.miniature.world.labels import TAGS
from strata.miniature.world.scenes import random_scene
from strata.miniature.world.words import EIGHTHS, WORDS

logger = logging.getLogger(__name__)

BATCH = 64
SCHEDULE = LearningRate(warm_up=50, floor=0.02)

ALL_PLACES = (*PLACES, "row", "behind", "front")
SIDES = ("box left", "box top", "box right", "box bottom")
_OF_THING = {**dict(TAGS), "size": SIZES}
_OF_BACKDROP = {"pattern": PATTERNS, "tone": TONES, "setting": SETTINGS}
ANSWERS: Mapping[str, int] = {
    **{name: len(values) for name, values in _OF_THING.items()},
    "place": len(ALL_PLACES),
    "order": 4,
    **{name: len(values) for name, values in _OF_BACKDROP.items()},
    **dict.fromkeys(SIDES, EIGHTHS + 1),
}
"""What is told of every word, and how many answers there are beside "nothing is said"."""
SIZES_OF_CLASSES = [1 + n for n in ANSWERS.values()]


def labels(said: Said) -> list[int]:
    """One class a question, 0 where the phrase does not say."""

    def index(values: tuple[str, ...], value: str | None) -> int:
        return 0 if value is None else 1 + values.index(value)

    return [
        *(index(values, getattr(said.thing, name)) for name, values in _OF_THING.items()),
        index(ALL_PLACES, said.place),
        said.order,
        *(index(values, getattr(said.backdrop, name)) for name, values in _OF_BACKDROP.items()),
        *([0] * len(SIDES) if said.box is None else [1 + side for side in said.box]),
    ]


def random_segments(rng: random.Random) -> list[Segment]:
    """A caption of any scene."""
    width, height = rng.choice(((128, 128), (128, 128), (192, 128), (128, 192), (256, 128), (128, 256)))
    return caption(random_scene(rng, width, height, rng.choice((0, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8))), rng)


def _noisy(text: str, rng: random.Random) -> str:
    """The text with, at times, a word that nobody knows."""
    if rng.random() > 0.05:
        return text
    word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 8)))
    return f"{word} {text}" if rng.random() < 0.5 else f"{text} {word}"


def tagged(
    segments: list[Segment], tokenizer: T5TokenizerFast, length: int, rng: random.Random
) -> tuple[list[int], list[list[int]]]:
    """Token ids and per-token labels [length][tags] of one caption, padded; -100 on padding and end."""
    ids: list[int] = []
    tags: list[list[int]] = []
    for text, said in segments:
        if text in MARKS:
            part = [tokenizer.convert_tokens_to_ids(text)]
        else:
            part = tokenizer(_noisy(text, rng), add_special_tokens=False).input_ids
        ids += part
        tags += [labels(said)] * len(part)
    ids, tags = ids[: length - 1], tags[: length - 1]
    padding = length - len(ids) - 1
    return [*ids, 1, *[0] * padding], [*tags, *[[-100] * len(ANSWERS)] * (padding + 1)]


def train_t5(
    out: Path, steps: int, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[T5TokenizerFast, T5EncoderModel, float]:
    """Train T5 to tag words; returns the tokenizer, the encoder and the share of words all of whose tags are right.

    Goes on from `t5.pt` in `out`, where there is one. The encoder is on the CPU.
    """
    torch.manual_seed(seed)
    tokenizer = t5_tokenizer()
    model = new_t5(len(tokenizer))
    head = nn.Linear(T5_WIDTH, sum(SIZES_OF_CLASSES))
    both = nn.ModuleDict({"model": model, "head": head}).to(device)
    trainer = Trainer(both, lambda named: [adamw(named, 2e-3, weight_decay=0.01)], seed=seed)

    def batch(n: int, length: int) -> tuple[Tensor, Tensor]:
        rows = [tagged(random_segments(trainer.rng), tokenizer, length, trainer.rng) for _ in range(n)]
        return torch.tensor([r[0] for r in rows], device=device), torch.tensor([r[1] for r in rows], device=device)

    def logits(ids: Tensor) -> list[Tensor]:
        hidden = model(input_ids=ids).last_hidden_state
        return list(head(hidden).split(SIZES_OF_CLASSES, dim=-1))

    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        # Half of the batches are cut to 32 tokens: padding is read in the others, as the stock pipeline has it.
        ids, tags = batch(BATCH, MAX_LENGTH if trainer.rng.random() < 0.5 else 32)
        losses = [
            nn.functional.cross_entropy(out.flatten(0, 1), tags[..., i].flatten()) for i, out in enumerate(logits(ids))
        ]
        loss = torch.stack(losses).sum()
        loss.backward()
        return BATCH, {"loss": loss.detach()}

    train(trainer, learn, out, "t5", SCHEDULE, samples=steps * BATCH, log_every=100)
    with torch.no_grad():
        ids, tags = batch(1000, MAX_LENGTH)
        right = torch.stack([found.argmax(-1) == tags[..., i] for i, found in enumerate(logits(ids))])
        counted = tags[..., 0] != -100
        score = float(right.all(0)[counted].float().mean())
        of_each = {name: round(float(right[i][counted].float().mean()), 4) for i, name in enumerate(ANSWERS)}
    logger.info("t5: %d steps, %.4f of words tagged right; %s", steps, score, of_each)
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
    words = [word for word in WORDS if word not in MARKS and not word[0].isdigit() and word[0] != "<"]
    head = nn.Linear(CLIP_WIDTH, len(words))
    both = nn.ModuleDict({"model": model, "head": head}).to(device)
    trainer = Trainer(both, lambda named: [adamw(named, 2e-3, weight_decay=0.01)], seed=seed + 1)
    index = {word: i for i, word in enumerate(words)}

    def batch(n: int) -> tuple[Tensor, Tensor]:
        texts = [join(random_segments(trainer.rng)) if trainer.rng.random() < 0.95 else "" for _ in range(n)]
        held = torch.zeros(n, len(words))
        for row, text in enumerate(texts):
            for word in re.findall(r"[a-z'8][a-z'-]*", text):
                if word in index:
                    held[row, index[word]] = 1
        tokens = tokenizer(texts, padding="max_length", max_length=CLIP_LENGTH, truncation=True, return_tensors="pt")
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
