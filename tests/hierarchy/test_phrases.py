"""What a base prompt says of one area is found in it and said otherwise, as a person would write it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strata.hierarchy.phrases import Change, article, retold
from strata.hierarchy.plan import Level
from tests.examples import examples

BOAT = {"high": "a boat", "low": "red, striped"}
TWO = "a red striped boat on the left and a yellow checkered house on the right"
HOUSE = ("a house", "yellow, checkered")
LIGHTHOUSE = {"high": "a tall lighthouse on a cliff", "low": "white and red stripes"}
APPLES = {"high": "three apples", "low": "red"}
WOMAN = {"high": "an old woman", "low": "silver hair"}
PORTRAIT = "a portrait of an old woman with silver hair, oil painting"


@pytest.mark.parametrize(
    ("prompt", "old", "new", "others", "told"),
    [
        (TWO, BOAT, {"low": "green"}, HOUSE, "a green boat on the left and a yellow checkered house on the right"),
        (
            TWO,
            BOAT,
            {"low": "made of blue glass"},
            HOUSE,
            "a boat made of blue glass on the left and a yellow checkered house on the right",
        ),
        (
            TWO,
            BOAT,
            {"low": "with white sails, rusty"},
            HOUSE,
            "a rusty boat with white sails on the left and a yellow checkered house on the right",
        ),
        (
            TWO,
            BOAT,
            {"full": "an orange kite"},
            HOUSE,
            "an orange kite on the left and a yellow checkered house on the right",
        ),
        (
            "a boat on the left, a house",
            {"full": "a boat with a white sail"},
            {"high": "a canoe", "low": "green, striped"},
            HOUSE,
            "a green striped canoe on the left, a house",
        ),
        (
            "a boat on the left, a house",
            {"full": "a boat with a white sail"},
            {"full": "two green canoes"},
            HOUSE,
            "two green canoes on the left, a house",
        ),
        ("A tall lighthouse on a cliff at dusk", LIGHTHOUSE, {"high": "an hourglass"}, (), "An hourglass at dusk"),
        ("A tall lighthouse at dusk", LIGHTHOUSE, {"low": "mossy"}, (), "A tall lighthouse at dusk"),
        (PORTRAIT, WOMAN, {"high": "a young man"}, (), "a portrait of a young man with silver hair, oil painting"),
        (PORTRAIT, WOMAN, {"low": "dressed in black"}, (), "a portrait of an old woman dressed in black, oil painting"),
        ("The boat is red. It rains.", BOAT, {"low": "green, striped"}, (), "The boat is green and striped. It rains."),
        ("The boat is red. It rains.", BOAT, {"high": "a canoe"}, (), "The canoe is red. It rains."),
        ("a cat and a dog", {"high": "a cat"}, {"high": "two kittens"}, ("a dog",), "two kittens and a dog"),
        ("mountains at dawn", {"high": "mountains"}, {"high": "a forest"}, (), "a forest at dawn"),
        (
            "a street with an orange umbrella",
            {"high": "umbrella", "low": "orange"},
            {"low": "red"},
            (),
            "a street with a red umbrella",
        ),
        ("three red apples in a bowl", APPLES, {"high": "a pear"}, (), "a red pear in a bowl"),
        (
            "three red apples in a bowl",
            APPLES,
            {"low": "green, wet with dew"},
            (),
            "three green apples, wet with dew, in a bowl",
        ),
        ("a big red boat at sea", BOAT, {"low": "oak"}, (), "a big oak boat at sea"),
        (
            "a red car, parked, and a red bicycle",
            {"high": "a car", "low": "red"},
            {"low": "orange"},
            ("a bicycle", "red"),
            "an orange car, parked, and a red bicycle",
        ),
        ("a red boat and a red house", BOAT, {"low": "blue"}, ("a house", "red"), "a blue boat and a red house"),
        ("a red boat and red house", BOAT, {"low": "blue"}, ("a house", "red"), "a blue boat and red house"),
        ("one is red, one is blue", {"low": "red"}, {"low": "green"}, ("blue",), "one is green, one is blue"),
        ("a red one and a blue one", {"low": "red"}, {"low": "orange"}, ("blue",), "an orange one and a blue one"),
        ("a red one and a blue one", {"low": "red"}, {"low": "made of oak"}, ("blue",), "a red one and a blue one"),
        (
            "a ship sailing at dusk past rocks",
            {"full": "a ship sailing at dusk"},
            {"full": "an airship"},
            ("rocks",),
            "an airship past rocks",
        ),
        (
            "a knight in silver armour",
            {"high": "a knight", "low": "in silver armour"},
            {"low": "golden"},
            (),
            "a golden knight",
        ),
        (
            "the old bridge over the river",
            {"high": "an old bridge"},
            {"high": "a ferry"},
            ("a river",),
            "the ferry over the river",
        ),
        (
            "an old red striped boat",
            {"high": "an old boat", "low": "red, striped"},
            {"low": "blue"},
            (),
            "an old blue boat",
        ),
        (
            "a woman holding a red umbrella",
            {"high": "a woman holding an umbrella", "low": "red"},
            {"low": "orange"},
            (),
            "a woman holding an orange umbrella",
        ),
        ("an old man with a hat", {"high": "an old fisherman"}, {"high": "a boy"}, (), "an old man with a hat"),
        ("a boat and a boat", BOAT, {"high": "a canoe"}, ("a boat",), "a boat and a boat"),
        ("see red boats", {"high": "boats", "low": "red"}, {"high": "a house"}, (), "see a red house"),
        ("a boat at sea", BOAT, {"high": "ships"}, (), "ships at sea"),
    ],
)
def test_an_area_said_anew(
    prompt: str, old: dict[str, str], new: dict[str, str], others: tuple[str, ...], told: str
) -> None:
    after = new if "full" in new or "full" in old else old | new
    assert retold(prompt, [Change(old, after, others)]) == told  # type: ignore[arg-type]


MAN = {"high": "a man", "low": "clay, red"}
STYLE = {"low": "oil painting, moody"}


@pytest.mark.parametrize(
    ("prompt", "old", "low", "told"),
    [
        ("a man made of red clay stands near a house", MAN, "blue", "a man made of red clay stands near a house"),
        (
            "a boat that is red, next to a house",
            BOAT,
            "blue, dotted",
            "a boat that is blue and dotted, next to a house",
        ),
        ("a boat before a striped wood", {"high": "a boat", "low": "striped"}, "oak", "a boat before an oak wood"),
        ("a boat before a wood", {"high": "a boat", "low": "red, wood"}, "blue", "a boat before a wood"),
        ("an old woman; her silver hair shines", WOMAN, "bald", "an old woman; her silver hair shines"),
        ("an oil painting of a house", STYLE, "watercolour", "a watercolour of a house"),
        ("an oil painting of a house", STYLE, "in pencil", "an oil painting of a house"),
        (
            "a house, oil painting, dark, moody",
            STYLE,
            "watercolour, bright",
            "a house, watercolour and bright, dark, moody",
        ),
        ("a house in oil at dusk", {"low": "in oil"}, "made of ink", "a house made of ink at dusk"),
        ("a house in oil at dusk", {"low": "oil"}, "watercolour", "a house in oil at dusk"),
    ],
)
def test_detail_by_itself_is_said_anew_where_that_leaves_a_sentence(
    prompt: str, old: dict[Level, str], low: str, told: str
) -> None:
    assert retold(prompt, [Change(old, {**old, "low": low}, HOUSE)]) == told


def test_articles_go_by_sound() -> None:
    vowels, consonants = (
        ["orange", "hour", "heir", "umbrella", "uninhabited", "honest"],
        ["unicorn", "useful", "European", "one", "boat"],
    )
    assert {article(word) for word in vowels} == {"an"}
    assert {article(word) for word in consonants} == {"a"}


WORDS = st.lists(
    st.sampled_from(
        ["a", "an", "the", "red", "boat", "with", "of", "and", ",", ".", "is", "Boot,", "two", "-", "x", "'", "舟"]
    ),
    max_size=9,
).map(" ".join)


@examples(60)
@example("an x", "x", "", "")
@given(WORDS, WORDS, WORDS, WORDS)
def test_any_words_are_read(prompt: str, old: str, new: str, other: str) -> None:
    levels: tuple[Level, ...] = ("high", "low", "full")
    for level in levels:
        retold(prompt, [Change({level: old}, {level: new}, [other])])
    retold(prompt, [Change({"full": old}, {"high": new, "low": other}, []), Change({"low": other}, {"low": old}, [])])
    assert retold(prompt, [Change({"high": old}, {"high": old}, [other])]) == prompt
