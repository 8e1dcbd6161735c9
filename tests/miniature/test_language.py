import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.errors import InputError
from strata.miniature.language import (
    COLOURS,
    HELD_OUT,
    PATTERNS,
    SHAPES,
    SIDES,
    SURFACES,
    TONES,
    WORDS,
    Backdrop,
    Thing,
    backdrop_text,
    caption_segments,
    full_text,
    high_text,
    join,
    low_text,
    parse_backdrop,
    parse_thing,
    where,
    words,
)

THINGS = st.builds(
    Thing, st.sampled_from(SHAPES), st.sampled_from(COLOURS), st.sampled_from(SURFACES), st.sampled_from(SIDES)
)
BACKDROPS = st.builds(Backdrop, st.sampled_from(PATTERNS), st.sampled_from(TONES))
RANDOM = st.integers(0, 2**32).map(random.Random)


@given(st.lists(THINGS, min_size=1, max_size=4), BACKDROPS, RANDOM)
def test_every_phrase_of_a_caption_parses_back_to_what_it_says(
    things: list[Thing], backdrop: Backdrop, rng: random.Random
) -> None:
    for text, said in caption_segments(tuple(things), backdrop, rng):
        if isinstance(said, Thing):
            assert parse_thing(text) == said
        elif isinstance(said, Backdrop):
            assert parse_backdrop(text) == said


@given(st.lists(THINGS, min_size=1, max_size=4), BACKDROPS, RANDOM)
def test_captions_are_in_the_vocabulary_and_tell_no_other_background(
    things: list[Thing], backdrop: Backdrop, rng: random.Random
) -> None:
    segments = caption_segments(tuple(things), backdrop, rng)
    caption = join(segments)
    assert set(words(caption)) <= set(WORDS)
    told = next((said for _, said in segments if isinstance(said, Backdrop)), Backdrop())
    assert parse_backdrop(caption) in (told, Backdrop())


@given(THINGS, RANDOM)
def test_level_texts_say_their_level_and_no_more(thing: Thing, rng: random.Random) -> None:
    assert parse_thing(high_text(thing)) == Thing(shape=thing.shape)
    assert parse_thing(low_text(thing, rng)) == Thing(colour=thing.colour, surface=thing.surface)
    assert parse_thing(full_text(thing, rng)).combination == thing.combination
    both = f"{high_text(thing)}, {low_text(thing, rng)} {where(str(thing.side), rng)}"
    assert parse_thing(both) == thing


@given(BACKDROPS)
def test_backdrops_parse_back(backdrop: Backdrop) -> None:
    assert parse_backdrop(backdrop_text(backdrop)) == backdrop
    assert parse_backdrop(f"a red striped circle on a {backdrop_text(backdrop)}") == backdrop


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a red circle and a square", "two shapes in one description: circle and square"),
        ("a red blue circle", "two colours in one description: red and blue"),
        ("a red furry circle", "'furry' is not in the miniature's language"),
    ],
)
def test_what_is_no_single_object_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_thing(text)


def test_held_out_list_is_fixed_and_balanced() -> None:
    assert len(HELD_OUT) == 28
    assert set(product(SHAPES, COLOURS, SURFACES)) > HELD_OUT
    held_colours = {shape: " ".join(sorted(c for s, c, _ in HELD_OUT if s == shape)) for shape in SHAPES}
    assert held_colours == {
        "circle": "green orange red yellow",
        "square": "cyan green purple yellow",
        "triangle": "blue cyan pink purple",
        "star": "green orange pink yellow",
        "heart": "blue cyan purple red",
        "ring": "green orange pink yellow",
        "cross": "blue cyan purple red",
    }
    held_surfaces = {shape: {surface for s, _, surface in HELD_OUT if s == shape} for shape in SHAPES}
    assert held_surfaces == {
        "circle": {"solid"},
        "square": {"dotted"},
        "triangle": {"outlined"},
        "star": {"striped"},
        "heart": {"checkered"},
        "ring": {"solid"},
        "cross": {"dotted"},
    }
    counts = [[sum(value in combo for combo in HELD_OUT) for value in kind] for kind in (SHAPES, COLOURS, SURFACES)]
    assert counts[0] == [4] * 7
    assert set(counts[1]) <= {3, 4}
    assert sum(counts[2]) == 28
    assert min(counts[2]) >= 4


def test_words_are_unique() -> None:
    assert len(set(WORDS)) == len(WORDS)
