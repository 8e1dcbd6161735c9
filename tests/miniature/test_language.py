import random
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.errors import InputError
from strata.miniature.world.language import (
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


def test_the_combinations_kept_out_of_training_are_spread_evenly() -> None:
    assert len(HELD_OUT) == 28
    assert set(product(SHAPES, COLOURS, SURFACES)) > HELD_OUT
    assert ("circle", "red", "solid") in HELD_OUT, "the bundled weights were trained without these very combinations"
    counts = [[sum(value in combo for combo in HELD_OUT) for value in kind] for kind in (SHAPES, COLOURS, SURFACES)]
    assert [sorted(c) for c in counts] == [[4] * 7, [3] * 4 + [4] * 4, [5, 5, 6, 6, 6]]
    for one, other in combinations(HELD_OUT, 2):
        assert sum(a == b for a, b in zip(one, other, strict=True)) <= 1, (one, other)


def test_words_are_unique() -> None:
    assert len(set(WORDS)) == len(WORDS)
