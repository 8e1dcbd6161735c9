"""What a base prompt says of one area is found in it and said otherwise, as a person would write it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strata.hierarchy.phrases import article, prompt_without, retold

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
    assert retold(prompt, old, after, others) == told  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "dropped", "subject", "left"),
    [
        ("an orange on the left and a house", ["orange"], "a fruit", "a fruit on the left and a house"),
        ("the orange on the left", ["orange"], "a fruit", "the fruit on the left"),
        ("an orange, peeled", ["orange"], None, "something, peeled"),
        ("a boat in red and white at sea", ["red", "white"], None, "a boat at sea"),
        ("the boat is red, the sky is blue", ["red"], None, "the boat, the sky is blue"),
        ("a red hour", ["red"], None, "an hour"),
        ("an orange unicorn, an MRI", ["orange"], None, "a unicorn, an MRI"),
        ("a boat with red sails", ["red", "sails"], None, "a boat"),
    ],
)
def test_nothing_is_left_hanging_where_words_are_dropped(
    prompt: str, dropped: list[str], subject: str | None, left: str
) -> None:
    assert prompt_without(prompt, dropped, subject) == left


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


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS, WORDS, WORDS)
def test_any_words_are_read(prompt: str, old: str, new: str, other: str) -> None:
    for levels in (("high", "high"), ("low", "low"), ("full", "full")):
        retold(prompt, {levels[0]: old}, {levels[1]: new}, [other])  # type: ignore[dict-item]
    retold(prompt, {"full": old}, {"high": new, "low": other}, [])
    assert retold(prompt, {"high": old}, {"high": old}, [other]) == prompt
    prompt_without(prompt, old.split(), new)
