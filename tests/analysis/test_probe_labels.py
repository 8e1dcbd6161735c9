"""Words in texts, and which blocks, steps and heads are meant."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from strata.analysis.labels import Labels, TextTokens, check_words, word_tokens
from strata.analysis.selection import chosen_blocks, chosen_heads, chosen_steps
from strata.hierarchy.errors import InputError
from strata.hierarchy.grid import TokenGrid
from strata.hierarchy.plan import ScenePlan
from strata.injection.program import compile_program
from strata.injection.streams import Stream
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.loading import MINIATURE, locate
from strata.miniature.model.text import t5_tokenizer
from tests.injection.drawings import program_of

TOKENIZER = t5_tokenizer()


def test_tokens_of_words() -> None:
    text = "a red circle and a redder red square"  # redder falls apart into letters
    tokens = TOKENIZER(text).tokens()
    at, said = word_tokens(text, "red", TOKENIZER, 48)
    assert [tokens[n] for n in at] == ["▁red", "▁red"]
    assert said == "red"
    at, said = word_tokens(text, "red  circle", TOKENIZER, 48)
    assert [tokens[n] for n in at] == ["▁red", "▁circle"]
    at, said = word_tokens("a Red circle", "red", TOKENIZER, 48)
    assert said == "Red"
    assert "".join(TOKENIZER("a Red circle").tokens()[n] for n in at) == "▁Red"
    assert word_tokens(text, "square", TOKENIZER, 5) == ([], "square")


def test_labels_partition_the_tokens() -> None:
    texts = [
        TextTokens("base", None, None, "a red circle", 8),
        TextTokens("left/low", "left", "low", "red, striped", 4),
        TextTokens("right/low", "right", "low", None, 3),
    ]
    labels = Labels.of(texts, ("red", "left/low", "red circle"), TOKENIZER)
    found = [(label.kind, label.text, label.word) for label in labels.labels]
    assert found == [
        ("text", "base", None),
        ("text", "left/low", None),
        ("text", "right/low", None),
        ("padding", "base", None),
        ("word", "base", "red"),
        ("word", "left/low", "red"),
        ("word", "base", "red circle"),
    ]
    sizes = np.bincount(np.concatenate([labels.column_of[text.name] for text in texts]), minlength=labels.columns)
    assert (labels.member @ sizes).tolist() == [4, 4, 3, 4, 1, 1, 2]
    assert labels.member[:4].sum(0).tolist() == [1] * labels.columns, "texts and paddings share no token"
    assert labels.words == (4, 5, 6), "left/low is a text that is labelled already"
    assert labels.word_tokens == ((1,), (0,), (1, 2))


def test_words_that_no_text_has() -> None:
    with pytest.raises(
        InputError, match="'blue': is in no text that is heard, nor the name of one; these are: base 'a red circle'"
    ):
        Labels.of([TextTokens("base", None, None, "a red circle", 8)], ("blue",), TOKENIZER)
    check_words({"base": "a red circle", "left/low": "red"}, ("left/low", "base"))
    for words, message in ((("",), "is empty"), (("red", "red"), "named twice"), (("re",), "is in no text")):
        with pytest.raises(InputError, match=message):
            check_words({"base": "a red circle"}, words)


def test_a_second_text_of_an_area_has_a_name_of_its_own() -> None:
    nowhere = np.zeros((1, 1, 1), dtype=np.bool_)
    streams = [Stream(area, "low", "", np.ones((1, 2), dtype=np.float32)) for area in "aaab"]
    schedule = Routing.from_yaml("name: n\nrules: [{level: low}]").resolve(1, 1, 1)
    program = program_of(TokenGrid(1, 1, ("a",), nowhere, ~nowhere[0]), schedule, streams)
    assert program.stream_names == ("a/low", "a/low 2", "a/low 3", "b/low")


def test_the_words_of_the_documented_commands_are_in_their_plans() -> None:
    text = (Path(__file__).parents[2] / "docs" / "probes.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("strata probe configs/")]
    assert commands
    facts = locate(MINIATURE).facts
    assert facts is not None
    for _, _, plan, _, words, *_ in commands:
        program = compile_program(
            ScenePlan.load(Path(__file__).parents[2] / plan), Routing.load(DEFAULT_ROUTING), facts, 20
        )
        texts = dict(zip(program.stream_names, (stream.text for stream in program.streams), strict=True))
        check_words({"base": program.plan.prompt, **texts}, words.split(","))


def test_selections() -> None:
    assert chosen_blocks(None, 2, 3) == (0, 1, 2, 3, 4)
    assert chosen_blocks("double 0-1, single 0,2", 2, 3) == (0, 1, 2, 4)
    assert chosen_blocks(["single 1", "double 0"], 2, 3) == (0, 3)
    assert chosen_blocks("single all", 2, 3) == (2, 3, 4)
    assert chosen_blocks("0%-40%", 2, 3) == (0, 1)
    assert chosen_steps("0-1", 4) == (0, 1)
    assert chosen_steps([3, 1], 4) == (1, 3)
    assert chosen_steps("50%-100%", 4) == (2, 3)
    assert chosen_heads(None, 4) is None
    assert chosen_heads(2, 4) == (2,)


def test_selections_that_do_not_fit() -> None:
    for blocks, message in (
        ("triple 0", 'must be such as "double 0-3".* the model has double 0-1 and single 0-2'),
        ("double 0 and single", "must be such as"),
        ("double 2", "'double 2': index 2 is out of range .valid: 0-1"),
        ("single 2-1", "runs backwards"),
        ("10%-20%x", "expected a percent range"),
    ):
        with pytest.raises(InputError, match=message):
            chosen_blocks(blocks, 2, 3)
    with pytest.raises(InputError, match="steps: '9': index 9 is out of range"):
        chosen_steps(9, 4)
    with pytest.raises(InputError, match="selects none of 4"):
        chosen_steps("0%-10%", 4)
    with pytest.raises(InputError, match="heads: 'x'"):
        chosen_heads("x", 4)
