"""The miniature's two text encoders, in FLUX's own classes: a T5 encoder and a pooled CLIP, both taught before FLUX is.

T5 learns to tag every word with what the phrase around it says of its object (shape, colour, surface, side) or of the
background; CLIP learns to say from its pooled vector which words a caption holds. Both are then frozen, as in FLUX.
"""

from __future__ import annotations

import json
import logging
import random
import string

import torch
from tokenizers import Tokenizer, models, trainers
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from strata.miniature.language import (
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
from strata.miniature.scenes import random_scene

logger = logging.getLogger(__name__)

T5_WIDTH, CLIP_WIDTH = 128, 64
MAX_LENGTH = 48
"""T5 tokens of every prompt, as FLUX.1-dev has 512: longer ones are cut, shorter ones padded."""

HEADS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("shape", SHAPES),
    ("colour", COLOURS),
    ("surface", SURFACES),
    ("side", SIDES),
    ("pattern", PATTERNS),
    ("tone", TONES),
)


def t5_tokenizer() -> T5TokenizerFast:
    """One piece a word of the scene language; any other text falls apart into letters."""
    pieces: list[tuple[str, float]] = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), (",", -2.0), ("▁", -12.0)]
    pieces += [(f"▁{word}", -3.0) for word in WORDS if word != ","]
    pieces += [(letter, -14.0) for letter in string.ascii_lowercase + string.digits + "-.'!?:;()"]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=MAX_LENGTH)


def clip_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE that spells every word of the scene language in one piece."""
    letters = [chr(c) for c in range(33, 127)]
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.train_from_iterator(
        (w for w in WORDS for _ in range(2)), trainers.BpeTrainer(end_of_word_suffix="</w>", show_progress=False)
    )
    merges: list[tuple[str, str]] = [tuple(m) for m in json.loads(bpe.to_str())["model"]["merges"]]
    pieces = [*letters, *(f"{c}</w>" for c in letters), *map("".join, merges)]
    vocab = dict.fromkeys(["<|startoftext|>", "<|endoftext|>", *pieces])
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(vocab)}, merges=merges, model_max_length=64)


def new_t5(vocab_size: int) -> T5EncoderModel:
    """An untrained T5 encoder: 2 layers, width 128."""
    return T5EncoderModel(
        T5Config(
            vocab_size=vocab_size,
            d_model=T5_WIDTH,
            d_kv=32,
            d_ff=256,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            tie_word_embeddings=False,
        )
    )


def new_clip(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text encoder: 2 layers, width 64."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=CLIP_WIDTH,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _labels(said: Thing | Backdrop | None) -> list[int]:
    """One class a head, 0 where the phrase does not say."""
    out = []
    for name, valid in HEADS:
        value = getattr(said, name, None)
        out.append(0 if value is None else 1 + valid.index(value))
    return out


def _random_segments(rng: random.Random) -> list[Segment]:
    scene = random_scene(rng, 64, 64, rng.choice((1, 1, 2, 2, 3, 4)))
    return caption_segments(tuple(p.thing for p in scene.things), scene.backdrop, rng)


def _tagged(segments: list[Segment], tokenizer: T5TokenizerFast, length: int) -> tuple[list[int], list[list[int]]]:
    """Token ids and per-token labels [length][heads] of one caption, padded; -100 on padding and end."""
    ids: list[int] = []
    tags: list[list[int]] = []
    for text, said in segments:
        part = [3] if text == "," else tokenizer(text, add_special_tokens=False).input_ids
        ids += part
        tags += [_labels(said)] * len(part)
    ids, tags = ids[: length - 1], tags[: length - 1]
    padding = length - len(ids) - 1
    return [*ids, 1, *[0] * padding], [*tags, *[[-100] * len(HEADS)] * (padding + 1)]


def teach_t5(steps: int, seed: int = 0) -> tuple[T5TokenizerFast, T5EncoderModel, float]:
    """Train T5 to tag words; returns the tokenizer, the encoder and the share of words all of whose tags are right."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = t5_tokenizer()
    model = new_t5(len(tokenizer))
    heads = nn.Linear(T5_WIDTH, sum(1 + len(valid) for _, valid in HEADS))
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)

    def batch(n: int) -> tuple[Tensor, Tensor]:
        rows = [_tagged(_random_segments(rng), tokenizer, MAX_LENGTH) for _ in range(n)]
        return torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows])

    def logits(ids: Tensor) -> list[Tensor]:
        hidden = model(input_ids=ids).last_hidden_state
        return list(heads(hidden).split([1 + len(valid) for _, valid in HEADS], dim=-1))

    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / steps)
        ids, tags = batch(64)
        loss = sum(
            nn.functional.cross_entropy(out.flatten(0, 1), tags[..., i].flatten()) for i, out in enumerate(logits(ids))
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 100 == 0:
            logger.info("t5 step %d loss %.4f", step, float(loss.detach()))  # type: ignore[union-attr]
    with torch.no_grad():
        ids, tags = batch(1000)
        right = torch.stack([out.argmax(-1) == tags[..., i] for i, out in enumerate(logits(ids))]).all(0)
        score = float(right[tags[..., 0] != -100].float().mean())
    logger.info("t5: %d steps, %.4f of words tagged right", steps, score)
    return tokenizer, model.eval().requires_grad_(False), score


def teach_clip(steps: int, seed: int = 0) -> tuple[CLIPTokenizer, CLIPTextModel, float]:
    """Train CLIP's pooled vector to tell a caption's words; returns tokenizer, encoder, share of words told right."""
    torch.manual_seed(seed)
    rng = random.Random(seed + 1)
    tokenizer = clip_tokenizer()
    model = new_clip(tokenizer)
    head = nn.Linear(CLIP_WIDTH, len(WORDS))
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    index = {word: i for i, word in enumerate(WORDS)}

    def batch(n: int) -> tuple[Tensor, Tensor]:
        texts = [join(_random_segments(rng)) if rng.random() < 0.95 else "" for _ in range(n)]
        held = torch.zeros(n, len(WORDS))
        for row, text in enumerate(texts):
            for word in text.replace(",", " , ").split():
                held[row, index[word]] = 1
        tokens = tokenizer(texts, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
        return tokens.input_ids, held

    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / steps)
        ids, held = batch(64)
        loss = nn.functional.binary_cross_entropy_with_logits(head(model(input_ids=ids).pooler_output), held)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    with torch.no_grad():
        ids, held = batch(1000)
        score = float(((head(model(input_ids=ids).pooler_output) > 0) == (held > 0)).float().mean())
    logger.info("clip: %d steps, %.4f of words told right", steps, score)
    return tokenizer, model.eval().requires_grad_(False), score
