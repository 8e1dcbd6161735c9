"""The planner's language: what is generated is understood, what is outside is refused, nothing is lost unseen."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.llm.answer import LONGEST_TEXT, answer_form
from strata.llm.backends.bundled.answers import MOST_WORDS, Truth, right_answer, settle
from strata.llm.backends.bundled.asking import answer_text, truth_of
from strata.llm.backends.bundled.checks import fault
from strata.llm.backends.bundled.placement import (
    BIG,
    CELLS,
    Column,
    Front,
    Inside,
    Row,
    arrange,
    beside,
    canvas_form,
    fit,
    overlap,
)
from strata.llm.backends.bundled.reading.lexicon import EMPTY, NEAREST, SILENT, nearest
from strata.llm.backends.bundled.reading.vocabulary import VOCABULARY
from strata.llm.backends.bundled.reading.words import read
from strata.llm.backends.bundled.sentences import load_sentences
from strata.llm.backends.bundled.teaching.lessons import EXERCISES, exercises, random_lesson
from strata.llm.backends.bundled.teaching.phrasing import PATTERNS_OF_PROMPTS, random_prompt
from strata.llm.backends.bundled.world import (
    COLOURS,
    HELD_OUT,
    KINDS,
    PLACES,
    SETTINGS,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
)
from strata.llm.places import place_of
from tests.examples import examples

FEW = examples(40)
RANDOM = st.integers(0, 2**32).map(random.Random)
SENTENCES = Path(__file__).with_name("sentences.yaml")


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("There's a RED disc, on the left-hand side of the picture!", "a red circle , atleft"),
        ("put it next to a star", None),
        ("a purple star; put a blue hoop underneath it", "a purple star , a blue ring below it"),
        ("a star in each corner", "a star incorners"),
        ("three stripy boxes lined up", "three striped squares inrow"),
        ("a tiny polka-dot mug in the upper left-hand corner", "a small dotted cup attopleft"),
        ("a tree either side of a house", "a tree eitherside a house"),
        ("a red triangel besides a gren squre", "a red triangle beside a green square"),
        ("a boat sailing on the ocean", "a boat . background sea"),
        ("a pencil drawing of a cottage in a field", "a house . background meadow . style pencil"),
        ("a cup. Make it look like an 8-bit game!", "a cup . style pixel"),
        ("grey checked background, a heart", "a heart . background checkered grey"),
        ("2 big fish", "two large fishes"),
        ("a ring with a star in its middle", "a ring with a star inside it"),
        ("a boat over the sea and somthing yelow", "a boat and a yellow object . background sea"),
        ("anything striped next to a cup", "a striped object beside a cup"),
        ("the sun is shining over a little house", "the sun above a small house"),
    ],
)
def test_prompts_become_the_planners_words(prompt: str, text: str | None) -> None:
    found = read(prompt)
    assert (found.refusal is not None) if text is None else (found.text == text)


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a castle on a hill", ("castle", "house")),
        ("three dogs", ("dogs", "fish")),
        ("a brown house", ("brown", "orange")),
        ("an oil painting of a boat", ("oil", "watercolour")),
        ("a red circle on a blue background", ("blue", "white, grey, black")),
        ("a house in the forest", ("forest", "tree")),
        ("a black star", ("black", "blue")),
        ("a wibble", ("wibble", "circle, square")),
        ("a boat and a wibble yellow", ("wibble",)),
        ("a boat and wibble yellow", ("wibble",)),
        ("a heart with blue stripes", ("blue", "one tone")),
        ("a red and blue circle", ("red", "one colour")),
        ("some stars", ("some", "say a number")),
        ("stars on the left", ("stars", "say a number")),
        ("nine stars", ("nine", "at most 8")),
        ("a circle without dots", ("without",)),
        ("a circle or a square", ("or",)),
        ("a star, half on a meadow, half at sea", ("meadow", "sea")),
        ("円", ("円",)),
        ("a nice picture", ("names no object",)),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name_and_with_the_nearest(prompt: str, named: tuple[str, ...]) -> None:
    refusal = str(read(prompt).refusal)
    for word in named:
        assert word in refusal


@pytest.mark.parametrize(
    ("prompt", "ignored"),
    [
        ("a lovely house standing proudly beside a tree", ("lovely", "standing", "proudly")),
        ("please draw me a house", ()),
        ("a glimmeringly red star", ("glimmeringly",)),
        ("a zorbing star", ("zorbing",)),
        ("a boat on the sea at night", ("night",)),
    ],
)
def test_words_that_carry_nothing_are_passed_over_and_listed(prompt: str, ignored: tuple[str, ...]) -> None:
    found = read(prompt)
    assert found.refusal is None
    assert found.ignored == ignored


def test_no_word_is_in_two_lists() -> None:
    listed = {word for table in NEAREST.values() for word in table}
    assert not EMPTY & listed
    assert not SILENT & (listed | EMPTY)
    assert not listed & {*KINDS, *COLOURS, *SURFACES, *STYLES}
    for table in NEAREST.values():
        assert set(table.values()) <= {*KINDS, *COLOURS, *SURFACES, *STYLES, *SETTINGS}
    assert nearest("castles") == ("thing", "house")


def test_sentences_are_understood_or_refused_by_their_word() -> None:
    sentences = load_sentences(SENTENCES)
    assert len(sentences) >= 60
    for sentence in sentences:
        refusal = read(sentence.text).refusal
        assert (refusal is None) == (sentence.refuse is None), (sentence.text, refusal)
        assert sentence.refuse is None or f'"{sentence.refuse}"' in str(refusal)


@FEW
@given(RANDOM, st.sampled_from(sorted(PATTERNS_OF_PROMPTS)), st.booleans())
def test_prompts_are_made_of_the_planners_words_and_plans_are_short(
    rng: random.Random, pattern: str, held_out: bool
) -> None:
    scene = random_prompt(rng, pattern, held_out)
    reading = read(scene.prompt)
    truth = settle(scene, 128, 128)
    assert reading.refusal is not None or set(reading.tokens) <= VOCABULARY
    assert len(truth.topic.split()) <= MOST_WORDS
    assert len(truth.topic) <= LONGEST_TEXT
    assert 1 <= len(scene.things) <= 8


def test_right_plans_pass_the_checks() -> None:
    rng = random.Random(11)
    scenes = [random_prompt(rng) for _ in range(200)]
    read_well = [scene for scene in scenes if read(scene.prompt).refusal is None]
    assert len(read_well) >= 195
    faults = [fault(read(scene.prompt).text, settle(scene, 128, 128)) for scene in read_well]
    assert sum(f is not None for f in faults) <= 4, [f for f in faults if f]


@pytest.mark.slow
def test_every_word_is_taught() -> None:
    rng = random.Random(0)
    seen = {word for _ in range(1500) for word in read(random_prompt(rng).prompt).tokens}
    rare = {
        "at",
        "inrows",
        "columnsof",
        "last",
        "outline",
        "smaller",
        "larger",
        "topleft",
        "topright",
        "bottomleft",
        "bottomright",
    }
    assert VOCABULARY - seen <= rare | set(TONES)


@FEW
@given(RANDOM)
def test_training_sees_no_combination_that_is_held_out(rng: random.Random) -> None:
    for pattern in ("list", "pair", "groups"):
        told = random_prompt(rng, pattern)
        assert not {t.combination for t in told.things if None not in t.combination} & HELD_OUT


@FEW
@given(RANDOM)
def test_lessons_answer_in_the_form_that_is_asked_for(rng: random.Random) -> None:
    lesson = random_lesson(rng)
    form = answer_form("whole")
    form.model_validate(lesson.answer)
    assert list(form.model_fields) == list(lesson.answer)
    truth = truth_of(answer_text(lesson.answer))
    assert isinstance(truth, Truth)
    assert right_answer("whole", truth) == lesson.answer


PROMPT = "a red striped circle on the left and two small blue stars on the right"
SCENE = Truth(
    (Thing("circle", "red", "striped"), Thing("star", "blue", size="small"), Thing("star", "blue", size="small")),
    ((0, 0, 500, 1000), (500, 0, 1000, 500), (500, 500, 1000, 1000)),
    Backdrop(),
)


def changed(index: int, **looks: str | None) -> Truth:
    things = list(SCENE.things)
    things[index] = replace(things[index], **looks)
    return replace(SCENE, things=tuple(things))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (SCENE, None),
        (changed(0, colour="blue"), "tells no red striped circle"),
        (changed(0, colour=None), "tells no red striped circle"),
        (changed(1, colour="red"), "tells no small blue star"),
        (changed(0, size="small"), "tells no red striped circle"),
        (changed(2, kind="heart"), "tells no small blue star"),
        (replace(SCENE, things=SCENE.things[:2], boxes=SCENE.boxes[:2]), "tells no small blue star"),
        (replace(SCENE, boxes=(SCENE.boxes[1], SCENE.boxes[0], SCENE.boxes[2])), "does not put the circle at the left"),
        (replace(SCENE, boxes=(SCENE.boxes[0], SCENE.boxes[1], SCENE.boxes[1])), "two objects in one place"),
        (replace(SCENE, backdrop=Backdrop(tone="white")), "another background"),
        (replace(SCENE, style="neon"), "tells no red striped circle"),
    ],
)
def test_a_plan_that_disagrees_with_its_prompt_is_told(plan: Truth, said: str | None) -> None:
    found = fault(read(PROMPT).text, plan)
    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize(
    ("prompt", "tree", "right"),
    [
        ("a sun above a boat", Column((0, 1)), True),
        ("a sun above a boat", Column((1, 0)), False),
        ("a sun and a boat below it", Column((0, 1)), True),
        ("a sun and a boat below it", Row((0, 1)), False),
        ("a sun to the left of a boat", Row((1, 0)), False),
        ("a sun inside a boat", Inside(0, 1), True),
        ("a sun inside a boat", Row((0, 1)), False),
        ("a sun in front of a boat", Front(0, 1), True),
        ("above a boat there is a sun", Column((0, 1)), False),
    ],
)
def test_relations_are_checked(prompt: str, tree: Column | Row | Inside | Front, right: bool) -> None:
    kinds = ("boat", "sun") if prompt.startswith("above") else ("sun", "boat")
    boxes = fit(tree)
    plan = Truth(tuple(Thing(kind) for kind in kinds), (boxes[0], boxes[1]), Backdrop())
    assert (fault(read(prompt).text, plan) is None) == right


@pytest.mark.parametrize("form", ["tall", "wide", "even"])
@pytest.mark.parametrize("count", range(1, 9))
def test_nobody_shares_a_place(form: str, count: int) -> None:
    rng = random.Random(count)
    for _ in range(60):
        told: list[str | None] = [rng.choice((None, *PLACES)) for _ in range(count)]
        boxes = arrange(told, form)
        assert len(boxes) == count
        assert not any(overlap(one, other) for i, one in enumerate(boxes) for other in boxes[:i])
        for place, box in zip(told, boxes, strict=True):
            if place and told.count(place) == 1:
                assert place_of(box) == place


@pytest.mark.parametrize(
    ("told", "form", "places"),
    [
        ([None], "even", ["center"]),
        ([None, None], "even", ["left", "right"]),
        ([None, None], "tall", ["top", "bottom"]),
        ([None] * 3, "even", ["top", "bottom left", "bottom right"]),
        ([None] * 3, "wide", ["left", "center", "right"]),
        (["right", None], "tall", ["right", "left"]),
        (["top left", None], "even", ["top left", "bottom right"]),
        (["left", None, "center"], "even", ["left", "right", "center"]),
        (["left", "left"], "even", ["top left", "bottom left"]),
    ],
)
def test_the_rule_of_places(told: list[str | None], form: str, places: list[str]) -> None:
    assert [place_of(box) for box in arrange(told, form)] == places


def test_places_have_their_names() -> None:
    assert all(place_of(box) == place for table in (BIG, CELLS) for place, box in table.items())
    assert beside("left", "above") == "top left"
    assert beside("bottom", "above") == "top"
    assert beside("top", "above") is None
    sizes = ((64, 64), (64, 65), (139, 100), (140, 100))
    assert [canvas_form(*size) for size in sizes] == ["even", "tall", "even", "wide"]


@pytest.mark.parametrize("kind", EXERCISES)
def test_exercises_are_the_same_every_time(kind: str) -> None:
    assert exercises(kind, 2) == exercises(kind, 2) != exercises(kind, 2, seed=1)
