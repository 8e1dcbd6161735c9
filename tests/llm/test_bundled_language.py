"""The planner's language: what is generated is understood, what is outside is refused, nothing is lost unseen."""

import itertools
import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.llm.answer import answer_form
from strata.llm.backends.bundled.answers import caption, right_answer, settle
from strata.llm.backends.bundled.checks import VOCABULARY, counted, difference, lost, refusal
from strata.llm.backends.bundled.lessons import EXERCISES, exercises, random_known, random_lesson
from strata.llm.backends.bundled.phrasing import (
    PROMPT_KINDS,
    ScenePrompt,
    random_prompt,
)
from strata.llm.backends.bundled.placement import arrange, canvas_form
from strata.llm.places import place_of
from strata.llm.wording import Known
from strata.miniature.world.language import HELD_OUT, SIDES, Backdrop, Thing, words

RANDOM = st.integers(0, 2**32).map(random.Random)
FORMS = ("tall", "wide", "even")


@given(RANDOM, st.sampled_from(PROMPT_KINDS), st.booleans())
def test_every_prompt_is_understood_and_its_caption_tells_the_same(
    rng: random.Random, kind: str, held_out: bool
) -> None:
    told = random_prompt(rng, kind, held_out=held_out)
    assert refusal(told.prompt) is None
    assert counted(told.prompt) == counted(caption(told.things, told.backdrop))
    assert counted(told.prompt).things == len(told.things) <= 4


def test_every_word_that_is_understood_is_taught() -> None:
    rng = random.Random(0)
    heard = {word for _ in range(25_000) for word in re.findall(r"\w+", random_prompt(rng).prompt.lower())}
    assert heard == VOCABULARY


@given(RANDOM)
def test_training_sees_no_combination_that_is_held_out(rng: random.Random) -> None:
    told = random_prompt(rng)
    assert not {thing.combination for thing in told.things} & HELD_OUT
    assert {thing.combination for thing in random_prompt(rng, "placed", held_out=True).things} <= HELD_OUT


@given(RANDOM)
def test_lessons_answer_in_the_form_that_is_asked_for(rng: random.Random) -> None:
    lesson = random_lesson(rng)
    known = lesson.brief.regions
    form = answer_form(
        lesson.brief.task,
        count=len(known) or None,
        box=not known or any(k.box is None for k in known),
        content=not known or any(k.content is None for k in known),
    )
    form.model_validate(lesson.answer)
    assert list(form.model_fields) == list(lesson.answer)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_told_sides_are_kept_and_nobody_shares_a_place(form: str, count: int) -> None:
    for told in itertools.product((None, *SIDES), repeat=count):
        places = arrange(told, form)
        assert len(places) == count
        distinct = {side for side in told if side in ("center", *(s for s in SIDES if " " in s))}
        if len([side for side in told if side]) == len({side for side in told if side}) and len(distinct) < 2:
            assert len({place.box for place in places}) == count
        for side, place in zip(told, places, strict=True):
            if side:
                assert set(side.split()) <= set(place_of(place.box).split())


@pytest.mark.parametrize(
    ("told", "form", "sides"),
    [
        ([None], "even", ["whole"]),
        ([None, None], "even", ["left", "right"]),
        ([None, None], "tall", ["top", "bottom"]),
        ([None] * 3, "even", ["top", "bottom left", "bottom right"]),
        ([None] * 3, "wide", ["left", "center", "right"]),
        ([None] * 4, "tall", ["top left", "top right", "bottom left", "bottom right"]),
        (["right", None], "tall", ["right", "left"]),
        (["top left", None], "even", ["top left", "right"]),
        (["bottom right", None, None], "even", ["bottom right", "top left", "top right"]),
        (["center", None], "even", ["center", "left"]),
        (["left", None, "center"], "even", ["left", "right", "center"]),
        (["left", "left"], "even", ["top left", "bottom left"]),
        (["left", "right", "top", "bottom"], "even", ["top left", "bottom right", "top right", "bottom left"]),
        (["left", None, None, None], "even", ["top left", "top right", "bottom left", "bottom right"]),
    ],
)
def test_the_rule_of_places(told: list[str | None], form: str, sides: list[str]) -> None:
    assert [place.side for place in arrange(told, form)] == sides


def test_canvas_forms() -> None:
    assert [canvas_form(*size) for size in ((64, 64), (64, 65), (139, 100), (140, 100))] == [
        "even",
        "tall",
        "even",
        "wide",
    ]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("a lighthouse on a cliff", 'does not know "lighthouse", "cliff"'),
        ("a red circle without dots", "without"),
        ("a red circle & a square", "&"),
        ("ein roter Kreis", "ein"),
        ("円", "円"),
        ("draw me a picture", "names no object"),
        ("red, striped", "names no object"),
        ("a plain grey background", "names no object"),
        ("four circles and a square", "names 5 objects"),
        ("circles and a square", 'how many "circles"'),
        ("a white circle on the left", '"white" of backgrounds only'),
        ("a white circle on a grey background", '"white" of backgrounds only'),
        ("a gradient circle", '"gradient" of backgrounds only'),
        ("a circle on a red background", "background in red"),
        ("a circle on a striped red background", "background in"),
    ],
)
def test_prompts_outside_the_language_are_refused_with_the_reason(prompt: str, reason: str) -> None:
    told = refusal(prompt)
    assert told is not None
    assert reason in told


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("two red circles and a polka-dotted square", {"red": 2, "circle": 2, "dotted": 1, "square": 1}),
        ("THREE STRIPED THINGS", {"striped": 3, "shape": 3}),
        ("two shapes: a disc and a gray backdrop", {"circle": 1, "grey": 1}),
        ("a square with polka dots", {"square": 1, "dotted": 1}),
        ("2 crosses", {"cross": 2}),
    ],
)
def test_words_are_counted(prompt: str, words: dict[str, int]) -> None:
    assert counted(prompt).words == Counter(words)


PROMPT = "a red striped circle and a blue square on a checkered background"


@pytest.mark.parametrize(
    ("contents", "looks", "fault"),
    [
        (["a circle", "a square"], [("red", "striped"), ("blue", "")], None),
        (["a circle", "a square"], [("red", "striped"), ("blue", "checkered")], None),
        (["a circle", "a square"], None, None),
        (["a circle"], None, "leaves out square"),
        (["a circle", "a star"], None, "leaves out square and invents star"),
        (["a circle", "a square"], [("red", "striped"), ("red", "")], "leaves out blue and invents red"),
        (["a circle", "a square"], [("red", ""), ("blue", "")], "leaves out checkered, striped"),
        (["a circle", "a square"], [("red", "striped"), ("blue", "dotted")], "invents dotted"),
    ],
)
def test_what_is_lost_is_told(contents: list[str], looks: list[tuple[str, str]] | None, fault: str | None) -> None:
    assert lost(PROMPT, contents, looks) == fault


def test_a_difference_in_words() -> None:
    assert difference(Counter("ab"), Counter("ab")) is None
    assert difference(Counter("aab"), Counter("abc")) == "leaves out a and invents c"


def test_regions_take_the_things_that_suit_them() -> None:
    told = ScenePrompt("", (Thing("circle", "red"), Thing("circle", "blue", side="left"), Thing("star")), Backdrop())
    left, right = (0, 0, 500, 1000), (500, 0, 1000, 1000)
    truth = settle(told, 64, 64, [Known(content="a star"), Known(right), Known(left)])
    assert [thing.shape for thing in truth.things] == ["star", "circle", "circle"]
    assert [thing.colour for thing in truth.things] == [None, "red", "blue"]
    assert truth.topic.startswith("a red circle on the right, a blue circle on the left and a star")


@given(RANDOM)
def test_drafted_regions_get_each_thing_once(rng: random.Random) -> None:
    told = random_prompt(rng)
    known = random_known(rng, told, 64, 64)
    truth = settle(told, 64, 64, known)
    assert Counter(thing.combination for thing in truth.things) == Counter(thing.combination for thing in told.things)
    assert counted(truth.topic) == counted(told.prompt)
    assert len(words(truth.topic)) <= 48
    looks = [(thing.colour or "", thing.surface or "") for thing in truth.things]
    assert lost(told.prompt, [item["content"] for item in right_answer("layout", truth)["objects"]], looks) is None


@pytest.mark.parametrize("kind", EXERCISES)
def test_exercises_are_the_same_every_time_and_of_things_never_trained(kind: str) -> None:
    found = exercises(kind, 5)
    assert found == exercises(kind, 5) != exercises(kind, 5, seed=1)
    for exercise in found:
        for thing in exercise.truth.things:
            assert None in thing.combination or thing.combination in HELD_OUT


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("a red circle above a blue square, a yellow star below the blue square", 'refers back to "the blue square"'),
        ("a circle on the left; the circle is red", 'refers back to "the circle"'),
        ("a red circle on the left, a blue square to the left of it", 'does not understand "of it"'),
        ("a red circle and a blue square, both striped", 'does not understand "both"'),
        ("a red circle at the top left and a blue square in the upper-left corner", "two objects in the top left"),
    ],
)
def test_what_would_be_taken_wrongly_is_refused(prompt: str, reason: str) -> None:
    assert reason in str(refusal(prompt))


@pytest.mark.parametrize(
    "prompt",
    [
        "the red circle and the blue circle, both on a white background",
        "a red circle on the left, a blue square to its right",
        "a ring in the top left corner and a ring in the top right corner",
    ],
)
def test_what_only_looks_like_it_is_not_refused(prompt: str) -> None:
    assert refusal(prompt) is None
