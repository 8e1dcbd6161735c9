"""What the miniature is asked to draw when it is scored: fixed prompts and plans, each with its truth."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Box, ScenePlan
from strata.miniature.world.facts import (
    COLOURS,
    HELD_OUT,
    KINDS,
    PLACES,
    STYLES,
    SURFACES,
    Backdrop,
    Thing,
    is_held_out,
)
from strata.miniature.world.phrases import full_text, high_text, low_text, where
from strata.miniature.world.scenes import halves, quarters, random_backdrop, two_rows
from strata.miniature.world.truth import Areas, ending, scene_plan, scene_text, structured_text

SIZE = 128
"""Canvases are 128×128 pixels where nothing else is said."""
NO_BACKDROP = Backdrop()
"""Of a text that leaves the background open."""


@dataclass(frozen=True)
class Expected:
    """What one area of the picture, or (without a box) the whole, should hold."""

    thing: Thing
    box: Box | None = None


@dataclass(frozen=True)
class Case:
    """One text or plan to draw from a seed, and what should be seen then."""

    prompt: str
    seed: int
    expected: tuple[Expected, ...]
    backdrop: Backdrop = NO_BACKDROP
    plan: ScenePlan | None = None
    images: int = 1
    """Pictures drawn from it in one call."""
    size: tuple[int, int] = (SIZE, SIZE)
    """Width and height in pixels of a picture without a plan."""


Make = Callable[[random.Random, int], list[Case]]


@dataclass(frozen=True)
class CaseKind:
    """A kind of case."""

    title: str
    make: Make


def _cycle(rng: random.Random, items: Sequence[Any], n: int) -> list[Any]:
    """`n` items, each as often as any other (but for one), in random order."""
    items = list(items)
    rng.shuffle(items)
    return list(itertools.islice(itertools.cycle(items), n))


def _things(rng: random.Random, n: int, held_out: bool = True) -> list[Thing]:
    every = itertools.product(KINDS, COLOURS, SURFACES)
    return [Thing(*c) for c in _cycle(rng, sorted(c for c in every if (c in HELD_OUT) == held_out), n)]


def _styled(things: Sequence[Thing], style: str | None) -> list[Thing]:
    return [replace(thing, style=style) for thing in things]


def _single(held_out: bool) -> Make:
    """Half of them with a place, half with a background, half with a style."""

    def make(rng: random.Random, n: int) -> list[Case]:
        cases = []
        for i, thing in enumerate(_things(rng, n, held_out)):
            place = f" {where(rng.choice(PLACES))}" if i % 2 else ""
            backdrop = random_backdrop(rng) if i // 2 % 2 else NO_BACKDROP
            styles = [s for s in STYLES if held_out or not is_held_out(replace(thing, style=s))]
            style = rng.choice(styles) if i // 4 % 2 else None
            text = full_text(thing) + place + ending(backdrop, style)
            cases.append(Case(text, rng.getrandbits(31), (Expected(replace(thing, style=style)),), backdrop))
        return cases

    return make


def _content(rng: random.Random, n: int) -> list[Case]:
    things = [Thing(kind) for kind in _cycle(rng, KINDS, n)]
    return [Case(high_text(thing), rng.getrandbits(31), (Expected(thing),)) for thing in things]


def _detail(rng: random.Random, n: int) -> list[Case]:
    triples = _cycle(rng, list(itertools.product(COLOURS, SURFACES, STYLES)), n)
    things = [Thing(None, *triple) for triple in triples]
    return [Case(low_text(thing), rng.getrandbits(31), (Expected(thing),)) for thing in things]


def _areas(rng: random.Random, count: int, width: int, height: int) -> Areas:
    if count == 2:
        return halves(width, height, height > width or (height == width and rng.random() < 0.5))
    if count == 4:
        return quarters(width, height)
    if count > 4:
        return two_rows(width, height, count)
    if rng.random() < 0.5:
        return sorted(rng.sample(quarters(width, height), 3))
    return [halves(width, height, True)[0], *quarters(width, height)[2:]]


def _ground(rng: random.Random, i: int) -> tuple[Backdrop, str | None]:
    return random_backdrop(rng) if i // 2 % 2 else NO_BACKDROP, rng.choice(STYLES) if i // 4 % 2 else None


def _named(count: int, width: int, height: int, structured: bool = False) -> Make:
    """Prompts alone that name `count` objects with their places, in prose or in the structured form."""

    def make(rng: random.Random, n: int) -> list[Case]:
        cases = []
        pictures = -(-n // count)
        pool = _things(rng, count * pictures)
        for i in range(pictures):
            areas, things = _areas(rng, count, width, height), pool[count * i : count * (i + 1)]
            backdrop, style = _ground(rng, i)
            expected = tuple(
                Expected(thing, box) for thing, (_, box) in zip(_styled(things, style), areas, strict=True)
            )
            if structured:
                text = structured_text(areas, things, backdrop, (width, height), style)
            else:
                text = scene_text(areas, things, backdrop, style)
            cases.append(Case(text, rng.getrandbits(31), expected, backdrop, size=(width, height)))
        return cases

    return make


def _planned(
    count: int,
    *,
    levels: bool = False,
    named: bool = True,
    size: tuple[int, int] = (SIZE, SIZE),
    alike: bool = False,
    styles: str | None = None,
) -> Make:
    """Plans with `count` regions, two pictures each, `n` regions judged in all (or a few more).

    Args:
        alike: all regions of one kind, in different colours.
        styles: None, "one" for the whole picture or "each" for every region its own.
    """

    def make(rng: random.Random, n: int) -> list[Case]:
        cases = []
        plans = -(-n // (2 * count))
        pool = _things(rng, plans * count)
        for i in range(plans):
            areas, things = _areas(rng, count, *size), pool[count * i : count * (i + 1)]
            if alike:
                kind = KINDS[i % len(KINDS)]
                colours = rng.sample(COLOURS, count)
                things = [Thing(kind, colour, rng.choice(SURFACES)) for colour in colours]
            style = rng.choice(STYLES) if styles == "one" else None
            if styles == "each":
                chosen = rng.sample(STYLES, count)
                things = [replace(thing, style=s) for thing, s in zip(things, chosen, strict=True)]
            backdrop = random_backdrop(rng)
            plan = scene_plan(areas, things, backdrop, style=style, levels=levels, named=named, size=size)
            judged = _styled(things, style) if style else things
            expected = tuple(Expected(thing, box) for thing, (_, box) in zip(judged, areas, strict=True))
            cases.append(Case(plan.prompt, rng.getrandbits(31), expected, backdrop, plan, images=2))
        return cases

    return make


_FULL = "with one full text each"
CASE_KINDS: Mapping[str, CaseKind] = {
    "single": CaseKind("one object of a combination kept out of training, plain prompt", _single(held_out=True)),
    "trained": CaseKind("one object of a combination seen in training, plain prompt", _single(held_out=False)),
    "content": CaseKind("content text alone, plain prompt", _content),
    "detail": CaseKind("detail text alone, plain prompt", _detail),
    "two-named": CaseKind("two objects named with their places, plain prompt", _named(2, SIZE, SIZE)),
    "four-named": CaseKind("four objects named in one prompt", _named(4, SIZE, SIZE)),
    "six-named": CaseKind("six objects named in one prompt, 192 by 128 pixels", _named(6, 192, 128)),
    "eight-named": CaseKind("eight objects named in one prompt, 256 by 128 pixels", _named(8, 256, 128)),
    "structured-2": CaseKind("two objects in the structured form", _named(2, SIZE, SIZE, True)),
    "structured-4": CaseKind("four objects in the structured form", _named(4, SIZE, SIZE, True)),
    "structured-8": CaseKind("eight objects in the structured form, 256 by 128", _named(8, 256, 128, True)),
    "192x128": CaseKind("two objects named, 192 by 128 pixels", _named(2, 192, 128)),
    "128x192": CaseKind("two objects named, 128 by 192 pixels", _named(2, 128, 192)),
    "256x128": CaseKind("two objects named, 256 by 128 pixels", _named(2, 256, 128)),
    "128x256": CaseKind("two objects named, 128 by 256 pixels", _named(2, 128, 256)),
    "256x256": CaseKind("two objects named, 256 by 256 pixels", _named(2, 256, 256)),
    "regions-2": CaseKind(f"two regions {_FULL}", _planned(2)),
    "regions-3": CaseKind(f"three regions {_FULL}", _planned(3)),
    "regions-4": CaseKind(f"four regions {_FULL}", _planned(4)),
    "regions-6": CaseKind(f"six regions {_FULL}, 192 by 128 pixels", _planned(6, size=(192, 128))),
    "regions-8": CaseKind(f"eight regions {_FULL}, 256 by 128 pixels", _planned(8, size=(256, 128))),
    "regions-4-256x256": CaseKind(f"four regions {_FULL}, 256 by 256 pixels", _planned(4, size=(256, 256))),
    "alone-2": CaseKind(f"two regions {_FULL}, the base prompt only counts them", _planned(2, named=False)),
    "alone-4": CaseKind(f"four regions {_FULL}, the base prompt only counts them", _planned(4, named=False)),
    "levels-2": CaseKind("two regions with a high and a low text each", _planned(2, levels=True)),
    "levels-4": CaseKind("four regions with a high and a low text each", _planned(4, levels=True)),
    "alike-4": CaseKind("four regions of one kind in different colours", _planned(4, alike=True)),
    "one-style": CaseKind("two regions, one style for the whole picture", _planned(2, styles="one")),
    "two-styles": CaseKind("two regions in two styles", _planned(2, styles="each")),
}
"""Objects are of combinations kept out of training, but for "trained", "content", "detail" and "alike-4"."""


def cases(kind: str, n: int, seed: int = 0) -> list[Case]:
    """The cases of a kind, about `n` objects in all. The same for the same arguments, always.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in CASE_KINDS:
        raise InputError(f"{kind}: no such kind of task; valid: {', '.join(CASE_KINDS)}")
    return CASE_KINDS[kind].make(random.Random(f"{kind} {seed}"), n)
