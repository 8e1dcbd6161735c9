import random
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from strata.miniature.model.text import (
    CLIP_WIDTH,
    MARKS,
    MAX_LENGTH,
    T5_WIDTH,
    clip_tokenizer,
    new_clip,
    new_t5,
    t5_tokenizer,
)
from strata.miniature.world.captions import caption, join
from strata.miniature.world.reading import words
from strata.miniature.world.scenes import random_scene
from strata.miniature.world.words import WORDS


@pytest.fixture(scope="module")
def captions() -> list[str]:
    rng = random.Random(0)
    made = ["", "a red striped circle", "a purple solid house at the top, meadow background, watercolour"]
    for _ in range(200):
        scene = random_scene(rng, *rng.choice(((128, 128), (256, 128))), rng.choice((1, 2, 3, 4, 6, 8)))
        made.append(join(caption(scene, rng)))
    return made


@pytest.fixture(scope="module")
def tokenizers() -> tuple[T5TokenizerFast, CLIPTokenizer]:
    return t5_tokenizer(), clip_tokenizer()


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_one_piece_to_both(word: str, tokenizers: tuple[T5TokenizerFast, CLIPTokenizer]) -> None:
    t5, clip = tokenizers
    assert len(t5.tokenize(f"circle{word}" if word in MARKS else word)) == (2 if word in MARKS else 1)
    assert "".join(clip.tokenize(word)).replace("</w>", "") == word
    assert clip.unk_token_id not in clip(word).input_ids[1:-1]
    if word.isalpha():
        assert clip.tokenize(word) == [f"{word}</w>"]


def test_t5_splits_captions_into_words_and_knows_them_all(captions: list[str]) -> None:
    tokenizer = t5_tokenizer()
    for text in captions:
        ids = tokenizer(text).input_ids
        assert len(ids) == len(words(text)) + 1
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.unk_token_id not in ids
    assert all(len(tokenizer(text).input_ids) <= MAX_LENGTH for text in captions)


def test_words_outside_the_language_are_spelled_not_lost() -> None:
    tokenizer = t5_tokenizer()
    assert len(tokenizer.tokenize("zebra")) > 1
    assert tokenizer.unk_token_id not in tokenizer("zebra").input_ids


def test_tokenizers_are_the_same_after_saving(tmp_path: Path, captions: list[str]) -> None:
    for made, kind in ((t5_tokenizer(), T5TokenizerFast), (clip_tokenizer(), CLIPTokenizer)):
        folder = tmp_path / kind.__name__
        made.save_pretrained(folder)
        loaded = kind.from_pretrained(folder)
        options = {"padding": "max_length", "max_length": MAX_LENGTH, "truncation": True}
        before, after = made(captions, **options), loaded(captions, **options)
        assert before.input_ids == after.input_ids
        assert before.attention_mask == after.attention_mask


def test_encoders_are_the_same_after_saving(tmp_path: Path) -> None:
    t5 = t5_tokenizer()
    encoder = new_t5(len(t5)).eval()
    ids = t5(["a red circle"], return_tensors="pt").input_ids
    encoder.save_pretrained(tmp_path / "t5")
    with torch.no_grad():
        before = encoder(input_ids=ids).last_hidden_state
        after = T5EncoderModel.from_pretrained(tmp_path / "t5")(input_ids=ids).last_hidden_state
    assert before.shape == (1, 4, T5_WIDTH)
    assert torch.equal(before, after)
    clip = clip_tokenizer()
    pooler = new_clip(clip).eval()
    ids = clip(["a red circle"], return_tensors="pt").input_ids
    pooler.save_pretrained(tmp_path / "clip")
    with torch.no_grad():
        before = pooler(input_ids=ids).pooler_output
        after = CLIPTextModel.from_pretrained(tmp_path / "clip").eval()(input_ids=ids).pooler_output
    assert before.shape == (1, CLIP_WIDTH)
    assert torch.equal(before, after)
