"""An answer is never trusted: what is repaired, what is refused, and that nothing else can happen."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.llm.answer import LONGEST_TEXT, MOST_REGIONS, answer_form, json_schema
from strata.llm.errors import AnswerError
from strata.llm.reading import LONGEST_ANSWER, read_answer
from tests.examples import examples

PROMPT = "a cat and a moon"


def layout(*objects: Any, **changes: Any) -> dict[str, Any]:
    found = list(objects) or [{"content": "a cat", "box": [0, 0, 500, 1000]}]
    return {"topic": "A cat.", "objects": found, "background": "night"} | changes


def read(data: Any, **form: Any) -> Any:
    text = data if isinstance(data, str) else json.dumps(data)
    return read_answer(text, form.pop("task", "layout"), prompt=form.pop("prompt", PROMPT), **form)


def test_a_sound_answer_is_taken_as_it_is() -> None:
    answer = read(layout())
    assert (answer.topic, answer.background, answer.repairs) == ("A cat.", "night", ())
    assert [(o.content, o.box, o.detail) for o in answer.objects] == [("a cat", (0, 0, 500, 1000), {})]


@pytest.mark.parametrize(
    ("data", "objects", "repair"),
    [
        (f"Sure, here it is:\n```json\n{json.dumps(layout())}\n```", [("a cat", (0, 0, 500, 1000))], "text around"),
        (f"<think>{{hm}}</think>{json.dumps(layout())}", [("a cat", (0, 0, 500, 1000))], "thinking"),
        (
            layout(extra=1, path="/etc/passwd"),
            [("a cat", (0, 0, 500, 1000))],
            "of the answer: extra, path",
        ),
        (layout({"content": "x", "box": [0, 0, 9, 9], "mask": "/etc/passwd"}), [("x", (0, 0, 9, 9))], "mask"),
        (layout({"content": "x", "box": [900, 800, 100, 200]}), [("x", (100, 200, 900, 800))], "sorted the corners"),
        (layout({"content": "x", "box": [-50, 0, 2048, 1000]}), [("x", (0, 0, 1000, 1000))], "clamped"),
        (layout({"content": "x", "box": [0.25, 0.0, 0.75, 1.0]}), [("x", (250, 0, 750, 1000))], "fractions"),
        (layout({"content": "x", "box": [10.4, 0, 99.6, 50]}), [("x", (10, 0, 100, 50))], "rounded"),
        (
            layout({"content": "x\u0000\u202ey\u0007", "box": [0, 0, 9, 9]}),
            [("xy", (0, 0, 9, 9))],
            "control characters",
        ),
        (layout({"content": "<b>x</b> **y**", "box": [0, 0, 9, 9]}), [("x y", (0, 0, 9, 9))], "markup"),
        (layout({"content": "w " * 400, "box": [0, 0, 9, 9]}), None, "cut objects[0].content"),
        (layout(*[{"content": "x", "box": [0, 0, 9, 9]}] * 3), [("x", (0, 0, 9, 9))], "merged 2 objects"),
        (layout({"content": " ", "box": [0, 0, 9, 9]}), [], "dropped an object without content"),
        (layout({"content": "x", "box": [5, 0, 5, 9]}), [], "no area"),
        (layout({"content": "x", "box": [1200, 0, 1500, 9]}), [], "no area"),
        (layout(background=None), [("a cat", (0, 0, 500, 1000))], "background was missing"),
    ],
)
def test_what_is_safe_is_repaired_and_reported(data: Any, objects: Any, repair: str) -> None:
    answer = read(data)
    if objects is not None:
        assert [(o.content, o.box) for o in answer.objects] == objects
    assert any(repair in told for told in answer.repairs), answer.repairs
    assert all(len(o.content) <= LONGEST_TEXT for o in answer.objects)


def test_ten_thousand_regions_become_the_most_there_may_be() -> None:
    answer = read(layout(*({"content": f"thing {i}", "box": [0, 0, 9, 9]} for i in range(10_000))))
    assert len(answer.objects) == MOST_REGIONS
    assert f"dropped {10_000 - MOST_REGIONS} objects beyond the first {MOST_REGIONS}" in answer.repairs


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is empty"),
        ("   \n", "is empty"),
        ("I cannot do that.", "holds no JSON object"),
        ('["a"]', "holds no JSON object"),
        ('{"topic": "A cat", "objects": [{"content": "a c', "cut off"),
        ('{"topic": "A cat", "objects": [', "cut off"),
        ("{'topic': 'A cat'}", "not valid JSON"),
        ("{}", "objects: is missing"),
        (layout(objects={"a": 1}), "objects: must be a list, not an object"),
        (layout(objects=None), "objects: must be a list, not null"),
        (layout("a cat"), r"objects\[0\]: must be an object, not text"),
        (layout({"content": 7, "box": [0, 0, 9, 9]}), r"objects\[0\].content: must be text, not a number"),
        (layout({"content": ["a"], "box": [0, 0, 9, 9]}), "must be text, not a list"),
        (layout({"content": "a"}), r"objects\[0\].box: must be a list of four"),
        (layout({"content": "a", "box": [1, 2, 3]}), "list of four"),
        (layout({"content": "a", "box": {"x1": 1}}), "list of four"),
        (layout({"content": "a", "box": [True, 0, 9, 9]}), "true is no whole number"),
        (layout({"content": "a", "box": ["0", "0", "9", "9"]}), '"0" is no whole number'),
        (json.dumps(layout({"content": "a", "box": [math.nan, 0, 9, 9]})), "NaN is no number"),
        (json.dumps(layout({"content": "a", "box": [math.inf, 0, 9, 9]})), "Infinity is no number"),
        ('{"objects": [{"content": "a", "box": [1e999, 0, 9, 9]}]}', "is no whole number"),
        ('{"objects": [{"content": "a", "box": [' + "9" * 5000 + ", 0, 9, 9]}]}", "not usable JSON|no whole number"),
        ('{"a":' * 300_000, "characters; at most"),
        ('{"a":' * 200_000, "nested more than"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested more than"),
        ("{" + " " * LONGEST_ANSWER, "characters; at most"),
        (layout({"content": "кошка", "box": [0, 0, 9, 9]}, topic="кошка и луна", background="ночь"), "language"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words_fit_for_the_model(data: Any, message: str) -> None:
    with pytest.raises(AnswerError, match=message) as error:
        read(data)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_the_prompts_own_script_is_welcome() -> None:
    answer = read(layout({"content": "кошка", "box": [0, 0, 9, 9]}, topic="кошка", background=""), prompt="кошка")
    assert answer.objects[0].content == "кошка"


def test_where_the_number_is_settled_nothing_is_dropped_silently() -> None:
    two = [{"content": "a", "box": [0, 0, 9, 9]}] * 2
    assert len(read(layout(*two), count=2).objects) == 2, "doubles are kept: two were asked for"
    with pytest.raises(AnswerError, match="holds 2, but 3 are asked for"):
        read(layout(*two), count=3)
    with pytest.raises(AnswerError, match=r"objects\[0\].content: must not be empty"):
        read(layout({"content": "", "box": [0, 0, 9, 9]}), count=1)
    with pytest.raises(AnswerError, match="has no area"):
        read(layout({"content": "a", "box": [4, 0, 4, 9]}), count=1)


def test_only_what_was_asked_for_is_read() -> None:
    answer = read({"topic": "", "objects": [{"content": "a"}], "background": ""}, count=1, box=False)
    assert answer.objects[0].box is None
    answer = read({"topic": "", "objects": [{"box": [0, 0, 9, 9]}], "background": ""}, count=1, content=False)
    assert answer.objects[0].content is None
    details = {"colour": "red", "material": "", "texture": "striped", "other": ""}
    fine = {"objects": [details], "background": "grey", "light": "dim", "medium": "", "style": ""}
    answer = read(fine, task="details", count=1)
    assert answer.objects[0].detail == details
    assert answer.style == {"light": "dim", "medium": "", "style": ""}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("topic", "objects", "background", "content", "box", "colour", "material", "texture", "other", "light")
NEARLY = st.dictionaries(
    st.sampled_from(KEYS), JSON | st.lists(st.dictionaries(st.sampled_from(KEYS), JSON), max_size=3), max_size=8
)


@examples(300)
@given(st.text() | JSON.map(json.dumps) | NEARLY.map(json.dumps), st.sampled_from(("layout", "details", "whole")))
def test_any_text_is_read_or_refused(text: str, task: Any) -> None:
    try:
        answer = read_answer(text, task, prompt=PROMPT)
    except AnswerError:
        return
    for found in answer.objects:
        if found.box is not None:
            x1, y1, x2, y2 = found.box
            assert 0 <= x1 < x2 <= 1000
            assert 0 <= y1 < y2 <= 1000
        assert found.content is None or found.content.isprintable()


@pytest.mark.parametrize("task", ["layout", "details", "whole"])
@pytest.mark.parametrize("count", [None, 3])
def test_schemas_are_plain(task: Any, count: int | None) -> None:
    schema = json_schema(answer_form(task, count=count))
    text = json.dumps(schema)
    assert "$ref" not in text
    assert "prefixItems" not in text
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(schema["properties"])
    assert schema["properties"]["objects"]["maxItems"] == (count or MOST_REGIONS)
