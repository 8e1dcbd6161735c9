"""What texts say is what is read in them."""

import random
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.errors import InputError
from strata.miniature.world.captions import NOTHING, caption, join
from strata.miniature.world.facts import (
    COLOURS,
    HELD_OUT,
    HELD_OUT_STYLES,
    KINDS,
    PATTERNS,
    PLACES,
    SETTINGS,
    SIZES,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
)
from strata.miniature.world.phrases import backdrop_text, full_text, high_text, low_text, where
from strata.miniature.world.reading import parse_backdrop, parse_thing, words
from strata.miniature.world.scenes import Scene, random_scene
from strata.miniature.world.words import WORDS

RANDOM = st.integers(0, 2**32).map(random.Random)
THINGS = st.builds(
    Thing,
    st.sampled_from(KINDS),
    st.sampled_from(COLOURS),
    st.sampled_from(SURFACES),
    st.sampled_from((None, *STYLES)),
    st.sampled_from((None, *SIZES)),
)
BACKDROPS = st.builds(Backdrop, st.sampled_from(PATTERNS), st.sampled_from(TONES)) | st.builds(
    Backdrop, st.none(), st.none(), st.sampled_from(SETTINGS)
)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    width, height = draw(st.sampled_from(((128, 128), (192, 128), (128, 256))))
    return random_scene(draw(RANDOM), width, height, draw(st.integers(0, 8)))


@given(scenes(), RANDOM)
def test_every_phrase_of_a_caption_parses_back_to_what_it_says(scene: Scene, rng: random.Random) -> None:
    """But for the style: one said of the whole picture is said of every phrase."""
    for text, said in caption(scene, rng):
        if said == NOTHING:
            continue
        read = parse_thing(text)
        assert replace(read, style=None) == replace(said.thing, style=None)
        assert read.style in (None, said.thing.style)
        if said.backdrop != Backdrop():
            assert parse_backdrop(text) == said.backdrop


@given(scenes(), RANDOM)
def test_captions_are_in_the_vocabulary_and_tell_no_other_background(scene: Scene, rng: random.Random) -> None:
    segments = caption(scene, rng)
    text = join(segments)
    assert set(" ".join(words(text)).split()) <= set(WORDS)
    told = next((said.backdrop for _, said in segments if said.backdrop != Backdrop()), Backdrop())
    assert parse_backdrop(text) in (told, Backdrop())


@given(THINGS, st.sampled_from(PLACES), RANDOM)
def test_level_texts_say_their_level_and_no_more(thing: Thing, place: str, rng: random.Random) -> None:
    assert parse_thing(high_text(thing)) == Thing(kind=thing.kind, size=thing.size)
    assert parse_thing(low_text(thing, rng)) == Thing(colour=thing.colour, surface=thing.surface, style=thing.style)
    assert parse_thing(full_text(thing, rng)) == thing
    both = f"{high_text(thing)}, {low_text(thing, rng)} {where(place, rng)}"
    assert parse_thing(both) == thing


@given(BACKDROPS)
def test_backdrops_parse_back(backdrop: Backdrop) -> None:
    assert parse_backdrop(backdrop_text(backdrop)) == backdrop
    assert parse_backdrop(f"a red striped circle on a {backdrop_text(backdrop)}") == backdrop


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a red circle and a square", "two kinds in one description: circle and square"),
        ("a red blue circle", "two colours in one description: red and blue"),
        ("a neon boat, pencil", "two styles in one description: neon and pencil"),
        ("a red furry circle", "'furry' is not in the miniature's language"),
    ],
)
def test_what_is_no_single_object_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_thing(text)


def test_the_combinations_kept_out_of_training_are_spread_evenly() -> None:
    assert ("circle", "red", "solid") in HELD_OUT, "the bundled weights were trained without these very combinations"
    assert ("circle", "red", "flat") in HELD_OUT_STYLES
    for held_out, last in ((HELD_OUT, SURFACES), (HELD_OUT_STYLES, STYLES)):
        assert len(held_out) == 68
        assert set(product(KINDS, COLOURS, last)) > held_out
        for kind in KINDS:
            own = [combination for combination in held_out if combination[0] == kind]
            assert [len({c[i] for c in own}) for i in (1, 2)] == [4, 4]
        counts = [[sum(value in combination for combination in held_out) for value in of] for of in (COLOURS, last)]
        assert all(max(c) - min(c) <= 3 for c in counts)


def test_words_are_unique() -> None:
    assert len(set(WORDS)) == len(WORDS)
