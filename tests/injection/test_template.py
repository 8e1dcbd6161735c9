"""A tokenizer with a template gives of a text what the tokenizer within gives, and the template's end."""

from collections.abc import Callable
from typing import Any

import pytest
from transformers import ByT5Tokenizer

from strata.injection.template import TemplateTokenizer
from strata.miniature.model.text import t5_tokenizer
from tests.injection.flux2 import qwen_tokenizer

BEFORE, TEXT, END = "a star\n", "a red circle and a blue square", "solid, striped"
"""The text, and what the template puts around it."""


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("make", [qwen_tokenizer, t5_tokenizer])
def test_text_padding_and_the_templates_end(make: Callable[[], Any], within: bool) -> None:
    """Padding stands behind all or before the template's end, which is then kept; T5's own end belongs to neither."""
    inner = make()

    def alone(text: str) -> list[int]:
        found: list[int] = inner(text, add_special_tokens=False).input_ids
        return found

    options = {"padded_within": True} if within else {}
    tokenizer = TemplateTokenizer(inner, BEFORE, len(alone(BEFORE)), END, **options)
    places = inner(TEXT, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    own = [(token, 1, place) for token, place in zip(alone(TEXT), places, strict=True)]
    end = [(token, 1, (len(TEXT), len(TEXT))) for token in alone(END)]
    pad, whole = (inner.pad_token_id, 0, (0, 0)), len(own) + len(end)
    assert min(len(own), len(end)) > 2
    cases: list[tuple[dict[str, Any], Any]] = [
        ({}, own + end),
        ({"truncation": True}, own + end),
        ({"padding": "max_length"}, own + end),
        ({"max_length": whole + 3}, own + end),
        ({"max_length": 2}, own + end),
        (
            {"padding": "max_length", "max_length": whole + 3},
            own + [pad] * 3 + end if within else own + end + [pad] * 3,
        ),
        (
            {"padding": "max_length", "truncation": True, "max_length": whole - 2},
            own[:-2] + end if within else (own + end)[:-2],
        ),
    ]
    for options, expected in cases:
        found = tokenizer(TEXT, **options)
        assert [*zip(found.input_ids, found.attention_mask, found.offset_mapping, strict=True)] == expected
    assert tokenizer.decode([*tokenizer(TEXT).input_ids, inner.pad_token_id]).strip() == TEXT


def test_places_that_no_slow_tokenizer_tells() -> None:
    found = TemplateTokenizer(ByT5Tokenizer(), suffix="b")("aa")
    assert len(found.input_ids) == 3
    assert found.offset_mapping == [(0, 0), (0, 0), (2, 2)]
