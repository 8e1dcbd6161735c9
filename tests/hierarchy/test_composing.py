"""A base prompt that tells of the regions as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.agreement import disagreeing
from strata.hierarchy.composing import composed_prompt
from strata.hierarchy.plan import Region, ScenePlan, Texts

BOXES = {
    "top left": (0, 0, 30, 30),
    "top": (20, 0, 44, 30),
    "top right": (34, 0, 64, 30),
    "left": (0, 20, 30, 44),
    "center": (20, 20, 44, 44),
    "right": (34, 20, 64, 44),
    "bottom left": (0, 34, 30, 64),
    "bottom": (20, 34, 44, 64),
    "bottom right": (34, 34, 64, 64),
}
SAID = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "center": "in the center",
}


def plan(prompt: str, *regions: Region, background: Texts | None = None) -> ScenePlan:
    return ScenePlan(width=64, height=64, prompt=prompt, regions=regions, background=background)


def region(place: str, high: str | None = None, low: str | None = None, full: str | None = None) -> Region:
    texts = {"high": high, "low": low, "full": full}
    return Region(name=place, box=BOXES[place], **{level: text for level, text in texts.items() if text})


BOAT, SUN = region("left", "a boat", "red, striped"), region("top right", "a sun", "yellow")


BOTH = "a red striped boat on the left and a yellow sun in the top right corner"


@pytest.mark.parametrize(
    ("prompt", "heard"),
    [
        ("a boat and a sun, at sea", None),
        ("a red boat on the left and a sun in the top right corner", None),
        ("two things", f"two things, {BOTH}"),
        ("A bay at dawn.", f"A bay at dawn, {BOTH}"),
        ("a sun over a bay", "a sun over a bay, a red striped boat on the left"),
        ("a boat on the right and a sun on the left, oil painting; calm", f"oil painting; calm, {BOTH}"),
        ("a big blue boat on the right, a sun", "a sun, a red striped boat on the left"),
        (
            "a boat on the right, a calm bay, a sun in the upper right corner",
            "a calm bay, a sun in the upper right corner, a red striped boat on the left",
        ),
        (
            "a whale on the left and a kite at the top, at sea",
            f"a whale on the left and a kite at the top, at sea, {BOTH}",
        ),
        ("", BOTH),
    ],
)
def test_regions_that_are_not_told_as_they_are_are_told_anew(prompt: str, heard: str | None) -> None:
    assert composed_prompt(plan(prompt, BOAT, SUN)) == (prompt if heard is None else heard)


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ("a boat on the right sailing at dusk under a stormy sky, oil painting", None),
        ("soft light from the left, three things", "soft light from the left, three things"),
        ("A photograph by Ansel Adams of a boat on the right", None),
        ("a black and white photograph of a boat on the right, film grain", None),
        ("a U.S. Navy boat on the right, 1944", None),
        ("a boat on the right at 8:30 a.m. in May, 1,000 gulls, ISO 1.600", None),
        ("mountains in the lower left corner, top quality", "mountains in the lower left corner, top quality"),
        ("On the right, a red boat, at dusk", "at dusk"),
        ("a red and striped boat on the right, at dusk", "at dusk"),
        ("a boat\n on the right,\n at dusk", "at dusk"),
        ("A boat\non the right\nDusk", "Dusk"),
        ("a boat on the right side of the picture, at dusk", "at dusk"),
        ("a rowing boat of the navy at the far right, dusk", "a rowing boat of the navy, dusk"),
        ("a red boat in the center, at dusk", "at dusk"),
        ("In the middle of the picture a boat sailing home, at dusk", "a boat sailing home, at dusk"),
        ("At the center, a red boat, at dusk", "at dusk"),
    ],
)
def test_what_a_clause_says_beside_stays(prompt: str, kept: str | None) -> None:
    kept = prompt.replace(" on the right", "") if kept is None else kept
    assert composed_prompt(plan(prompt, BOAT)) == f"{kept}, a red striped boat on the left"


@pytest.mark.parametrize("place", BOXES)
def test_every_place_has_its_words(place: str) -> None:
    where = SAID.get(place, f"in the {place} corner")
    assert composed_prompt(plan("a thing", region(place, "an owl"))) == f"a thing, an owl {where}"


def test_a_region_that_is_everywhere_is_at_no_place() -> None:
    whole = Region(name="all", box=(0, 0, 64, 64), high="a meadow")
    assert composed_prompt(plan("things", whole)) == "things, a meadow"


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"high": "a boat"}, "a boat"),
        ({"low": "red, striped"}, "red, striped"),
        ({"full": "An old boat, its sails torn."}, "an old boat, its sails torn"),
        ({"high": "an owl", "low": "grey"}, "a grey owl"),
        ({"high": "A house.", "low": "orange, made of glass"}, "an orange house made of glass"),
        ({"high": "two owls", "low": "white"}, "two white owls"),
        ({"high": "the Eiffel Tower", "low": "rusty"}, "the rusty Eiffel Tower"),
        ({"high": "a boat", "low": "Red. Striped."}, "a boat, Red. Striped"),
        ({"high": "a knight", "low": "rusty, he smiles"}, "a knight, rusty, he smiles"),
        ({"high": "ein Boot", "low": "rot"}, "rot ein Boot"),
        ({"high": "一艘船", "low": "红色"}, "一艘船, 红色"),
        ({"high": "a cat", "low": "black glossy fur and a long, thin, pale scar"}, None),
        ({"high": "a cat", "full": "a cat asleep"}, "a cat asleep"),
    ],
)
def test_a_regions_texts_in_one(texts: dict[str, str], told: str | None) -> None:
    heard = composed_prompt(plan("things", region("left", **texts)))
    if told is not None:
        assert heard == f"things, {told} on the left"
    for text in texts.values():
        assert all(
            word.strip(",.").lower() in heard.lower() for word in text.split() if word.lower() not in ("a", "an")
        )


def test_the_background_is_told_where_the_prompt_does_not() -> None:
    sea, told = Texts(high="a calm sea.", low="grey"), "a red striped boat on the left"
    assert composed_prompt(plan("two things", BOAT, background=sea)) == f"two things, a calm sea, grey, {told}"
    assert composed_prompt(plan("a calm grey sea", BOAT, background=sea)) == f"a calm grey sea, {told}"
    assert (
        composed_prompt(plan("two things, a calm sea", BOAT, background=sea)) == f"two things, a calm sea, grey, {told}"
    )
    assert composed_prompt(plan("a boat", BOAT, background=sea)) == "a boat"


def test_a_region_put_elsewhere_is_told_though_its_words_are_still_there() -> None:
    tower = region("left", "a tall white tower", "old")
    prompt = "a tall tower on the right, tall trees, white clouds"
    assert composed_prompt(plan(prompt, tower)) == "tall trees, white clouds, an old tall white tower on the left"


def test_no_regions_no_change() -> None:
    assert composed_prompt(plan("two boats on the left")) == "two boats on the left"


WORDS = st.sampled_from(["boat", "sun", "owl", "red boat", "old house", "cat", "tree"])
CLAUSES = st.tuples(WORDS, st.sampled_from(list(BOXES)))


@given(
    st.lists(st.tuples(WORDS, st.sampled_from(list(BOXES))), min_size=1, max_size=4, unique_by=lambda one: one[1]),
    st.lists(CLAUSES, max_size=4),
    st.sampled_from([", ", " and ", "; "]),
)
def test_it_agrees_with_regions_of_different_things_and_is_composed_once(
    told: list[tuple[str, str]], prompt: list[tuple[str, str]], between: str
) -> None:
    drawn = plan(
        between.join(f"a {what} {SAID.get(place, f'in the {place} corner')}" for what, place in prompt),
        *(region(place, f"a {what}") for what, place in told),
    )
    heard = drawn.model_copy(update={"prompt": composed_prompt(drawn)})
    assert disagreeing(heard) == ()
    assert composed_prompt(heard) == heard.prompt
