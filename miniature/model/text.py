"""The miniature's two text encoders, in FLUX's own classes: a T5 encoder and a pooled CLIP, with their tokenizers."""

from __future__ import annotations

import re
import string
from collections import Counter
from itertools import pairwise

from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from strata.miniature.world.words import WORDS

T5_WIDTH, CLIP_WIDTH = 128, 64
MAX_LENGTH = 96
"""T5 tokens of every prompt, as FLUX.1-dev has 512: longer prompts are truncated, shorter ones padded."""
CLIP_LENGTH = 77
MARKS = (",", ".", ":", ";")


def t5_tokenizer() -> T5TokenizerFast:
    """One piece a word of the scene language; any other text falls apart into letters."""
    pieces: list[tuple[str, float]] = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -12.0)]
    pieces += [(mark, -2.0) for mark in MARKS]
    pieces += [(f"▁{word}", -3.0) for word in WORDS if word not in MARKS]
    pieces += [(letter, -14.0) for letter in string.ascii_lowercase + string.digits + "-'!?()<>"]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=MAX_LENGTH)


def clip_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE that spells every word of the scene language in one piece; the same every time."""
    letters = [chr(c) for c in range(33, 127)]
    merges: list[tuple[str, str]] = []
    words = dict.fromkeys(part for word in WORDS for part in re.findall(r"[a-z]+", word))
    spelled = [[*word[:-1], f"{word[-1]}</w>"] for word in words]
    while pairs := Counter(pair for pieces in spelled for pair in pairwise(pieces)):
        one, other = max(pairs, key=lambda pair: (pairs[pair], pair))  # ties by the alphabet
        merges.append((one, other))
        for pieces in spelled:
            for i in range(len(pieces) - 1, 0, -1):
                if pieces[i - 1 : i + 1] == [one, other]:
                    pieces[i - 1 : i + 1] = [one + other]
    pieces = [*letters, *(f"{c}</w>" for c in letters), *map("".join, merges)]
    vocab = dict.fromkeys(["<|startoftext|>", "<|endoftext|>", *pieces])
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(vocab)}, merges=merges, model_max_length=CLIP_LENGTH)


def new_t5(vocab_size: int) -> T5EncoderModel:
    """An untrained T5 encoder: 3 layers, width 128."""
    return T5EncoderModel(
        T5Config(
            vocab_size=vocab_size,
            d_model=T5_WIDTH,
            d_kv=32,
            d_ff=256,
            num_layers=3,
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
            max_position_embeddings=CLIP_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
