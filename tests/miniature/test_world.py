"""The scene world: what is drawn, said and read."""

import random
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from strata.hierarchy.errors import InputError
from strata.miniature.cases import CASE_KINDS, cases
from strata.miniature.world.captions import NOTHING, caption, join
from strata.miniature.world.facts import (
    COLOURS,
    HELD_OUT,
    HELD_OUT_STYLES,
    KINDS,
    PATTERNS,
    SETTINGS,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
    is_held_out,
)
from strata.miniature.world.labels import TAGS, token_labels
from strata.miniature.world.phrases import backdrop_text, full_text, high_text, low_text
from strata.miniature.world.reading import parse_backdrop, parse_style, parse_thing, words
from strata.miniature.world.render import RGB, paint_backdrop, paint_thing, to_pixels
from strata.miniature.world.scenes import Scene, random_scene, random_thing
from strata.miniature.world.truth import plan_backdrop, plan_style, region_thing, render
from strata.miniature.world.words import WORDS

CANVASES = ((64, 64), (128, 128), (192, 128), (128, 192), (256, 128), (128, 256), (256, 256))


def drawn(thing: Thing, radius: int = 40) -> np.ndarray:
    canvas = paint_backdrop(128, 128, Backdrop("plain", "white"), thing.style or "flat")
    paint_thing(canvas, thing, 64, 64, radius)
    return canvas


def scenes(n: int, seed: int = 0) -> list[Scene]:
    rng = random.Random(seed)
    return [random_scene(rng, *rng.choice(CANVASES[1:]), rng.choice((0, 1, 1, 2, 2, 3, 4, 5, 6, 8))) for _ in range(n)]


@pytest.mark.parametrize(
    ("attribute", "values"), [("kind", KINDS), ("colour", COLOURS), ("surface", SURFACES), ("style", STYLES)]
)
@pytest.mark.parametrize("style", STYLES)
def test_values_of_an_attribute_look_different_in_every_style(
    attribute: str, values: tuple[str, ...], style: str
) -> None:
    base = {"kind": "circle", "colour": "blue", "surface": "solid", "style": style}
    pictures = [drawn(Thing(**{**base, attribute: value})) for value in values]
    assert min(np.abs(a - b).mean() for a, b in combinations(pictures, 2)) > 0.008


@pytest.mark.parametrize("style", STYLES)
def test_backgrounds_look_different(style: str) -> None:
    plain = [Backdrop(pattern, tone) for pattern in PATTERNS for tone in TONES]
    pictures = [paint_backdrop(128, 128, b, style) for b in (*plain, *(Backdrop(setting=s) for s in SETTINGS))]
    assert min(np.abs(a - b).mean() for a, b in combinations(pictures, 2)) > 0.01


def test_flat_objects_have_their_colour_and_stay_within_their_radius() -> None:
    for kind in KINDS:
        for colour in COLOURS:
            canvas = drawn(Thing(kind, colour, "solid", "flat"))
            touched = np.argwhere(np.abs(canvas - canvas[0, 0]).max(-1) > 0.02)
            assert np.abs(touched + 0.5 - 64).max() <= 40 * 1.15 + 1
            assert (np.abs(canvas - RGB[colour]).max(-1) < 0.01).sum() > 300


def test_scenes_keep_their_objects_on_the_canvas_and_apart() -> None:
    for scene in scenes(150):
        assert scene.paint().shape == (scene.height, scene.width, 3)
        for p in scene.things:
            assert p.radius - 2 <= p.cx <= scene.width - p.radius + 2
            assert p.radius - 2 <= p.cy <= scene.height - p.radius + 2
        if scene.layout != "overlap":
            for a, b in combinations(scene.things, 2):
                assert max(abs(a.cx - b.cx), abs(a.cy - b.cy)) >= a.radius + b.radius - 2


def test_training_scenes_never_hold_what_is_kept_out_of_them() -> None:
    assert len(HELD_OUT) == len(HELD_OUT_STYLES) == 68
    for which in range(3):
        for value in (KINDS, COLOURS, SURFACES)[which]:
            assert 0 < sum(c[which] == value for c in HELD_OUT) < 20
    for scene in scenes(600, 1):
        assert not any(is_held_out(p.thing) for p in scene.things)
    rng = random.Random(2)
    assert all(is_held_out(random_thing(rng, rng.choice(STYLES), held_out=True)) for _ in range(300))


def test_two_panels_have_two_styles() -> None:
    found = [s for s in scenes(1500, 3) if s.second]
    assert found
    for scene in found:
        assert {p.thing.style for p in scene.things} == {scene.style, scene.second}


def test_captions_are_made_of_the_languages_words_and_their_variety_is_great() -> None:
    rng = random.Random(4)
    texts = [join(caption(scene, rng)) for scene in scenes(1500, 5)]
    assert set(" ".join(map(" ".join, map(words, texts))).split()) <= set(WORDS)
    assert len(set(texts)) > 1300
    structured = [t for t in texts if t.startswith("<1>")]
    assert 0.15 < len(structured) / len(texts) < 0.35
    assert max(len(words(t)) for t in texts) <= 95


def test_what_a_caption_says_is_true_of_its_scene() -> None:
    rng = random.Random(6)
    for scene in scenes(600, 7):
        for _, said in caption(scene, rng):
            if said == NOTHING:
                continue
            for name in ("pattern", "tone", "setting"):
                assert getattr(said.backdrop, name) in (None, getattr(scene.backdrop, name))
            if said.thing != Thing() and said.thing != Thing(style=said.thing.style):
                told = {k: v for k, v in vars(said.thing).items() if v is not None}
                assert any(told.items() <= vars(p.thing).items() for p in scene.things), (scene, said)


def test_structured_boxes_surround_their_objects() -> None:
    rng = random.Random(8)
    for scene in scenes(300, 9):
        for _, said in caption(scene, rng, structured=1.0):
            if said.box is None:
                continue
            sides = [8 / scene.width, 8 / scene.height]
            near = [
                p
                for p in scene.things
                if max(
                    abs(side - value * sides[i % 2])
                    for i, (side, value) in enumerate(
                        zip(
                            said.box,
                            (p.cx - p.radius, p.cy - p.radius, p.cx + p.radius, p.cy + p.radius),
                            strict=True,
                        )
                    )
                )
                <= 0.5
            ]
            assert any((p.thing.kind == said.thing.kind or said.thing.kind is None) for p in near)


def test_texts_are_read_as_they_are_written() -> None:
    rng = random.Random(10)
    for _ in range(500):
        thing = replace(random_thing(rng, rng.choice(STYLES)), size=rng.choice((None, "small", "large")))
        assert parse_thing(full_text(thing, rng)) == thing
        assert parse_thing(full_text(thing)) == thing
        assert parse_thing(f"{high_text(thing, rng)}, {low_text(thing, rng)}") == thing
        assert parse_style(low_text(thing, rng)) == thing.style
    for backdrop in (*(Backdrop(p, t) for p in PATTERNS for t in TONES), *(Backdrop(setting=s) for s in SETTINGS)):
        assert parse_backdrop(backdrop_text(backdrop)) == backdrop
        assert parse_backdrop(f"a red striped star on the left, {backdrop_text(backdrop)}, neon") == backdrop
    assert parse_backdrop("a boat at sea") == Backdrop(setting="sea")
    assert parse_backdrop("striped, black, pixel art") == Backdrop("striped", "black")
    assert parse_backdrop("white, paper cut-out style") == Backdrop(tone="white")
    assert parse_backdrop("a red striped star") == Backdrop()


@pytest.mark.parametrize(
    ("text", "names"),
    [("a red blue star", "two colours"), ("a dog", "'dog' is not"), ("a neon star, watercolour", "two styles")],
)
def test_texts_that_cannot_be_read_are_refused(text: str, names: str) -> None:
    with pytest.raises(InputError, match=names):
        parse_thing(text)


def test_labels_of_tokens_are_of_the_object_there() -> None:
    for scene in scenes(60, 11):
        labels = token_labels(scene)
        assert labels.shape == (scene.height // 16, scene.width // 16, len(TAGS))
        for p in scene.things:
            others = [q for q in scene.things if q is not p]
            row, column = (int(c) // 16 for c in (p.cy, p.cx))
            middle = (16 * column + 8 - p.cx, 16 * row + 8 - p.cy)
            if p.thing.kind in ("circle", "square") and max(map(abs, middle)) < p.radius / 2 and not others:
                assert KINDS[labels[row, column, 0] - 1] == p.thing.kind


@pytest.mark.parametrize("kind", CASE_KINDS)
def test_cases_are_plans_whose_truth_can_be_read_and_drawn(kind: str) -> None:
    found = cases(kind, 24)
    assert found == cases(kind, 24)
    assert 24 <= sum(len(case.expected) * case.images for case in found) <= 24 + 2 * 8
    for case in found:
        if case.plan is None:
            assert len(words(case.prompt)) <= 95
            continue
        assert plan_backdrop(case.plan) == case.backdrop
        assert render(case.plan).size == (case.plan.width, case.plan.height)
        style = plan_style(case.plan)
        for region, expected in zip(case.plan.regions, case.expected, strict=True):
            thing = region_thing(region)
            assert thing == replace(expected.thing, style=expected.thing.style if "style" in kind else None)
            assert thing.style in (None, style) or kind == "two-styles"


def test_pixels_are_rounded() -> None:
    assert to_pixels(np.array([[[0.0, 0.5, 1.0]]], dtype=np.float32)).tolist() == [[[0, 128, 255]]]
    assert re.fullmatch(r"[a-z ,]+", low_text(Thing(colour="red", surface="solid", style="neon")))
