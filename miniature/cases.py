"""What the miniature is asked to draw when it is scored: fixed prompts and plans, each with its truth."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Box, ScenePlan
from strata.miniature.world.language import (
    COLOURS,
    HELD_OUT,
    SHAPES,
    SIDES,
    SURFACES,
    Backdrop,
    Thing,
    backdrop_text,
    full_text,
    high_text,
    low_text,
    where,
)
from strata.miniature.world.scenes import halves, quarters, random_backdrop
from strata.miniature.world.truth import Areas, scene_plan, scene_text

SIZE = 64
"""Canvases are 64×64 pixels where nothing else is said."""
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


@dataclass(frozen=True)
class CaseKind:
    """A kind of case."""

    title: str
    make: Callable[[random.Random, int], list[Case]]


def _cycle(rng: random.Random, items: Sequence[Any], n: int) -> list[Any]:
    """`n` items, each as often as any other (but for one), in random order."""
    items = list(items)
    rng.shuffle(items)
    return list(itertools.islice(itertools.cycle(items), n))


def _things(rng: random.Random, n: int, held_out: bool = True) -> list[Thing]:
    every = itertools.product(SHAPES, COLOURS, SURFACES)
    return [Thing(*c) for c in _cycle(rng, sorted(c for c in every if (c in HELD_OUT) == held_out), n)]


def _single(held_out: bool) -> Callable[[random.Random, int], list[Case]]:
    def make(rng: random.Random, n: int) -> list[Case]:
        cases = []
        for i, thing in enumerate(_things(rng, n, held_out)):
            side = f" {where(rng.choice(SIDES))}" if i % 2 else ""
            backdrop = random_backdrop(rng) if i // 2 % 2 else NO_BACKDROP
            ground = f", {backdrop_text(backdrop)}" if backdrop.tone else ""
            cases.append(Case(full_text(thing) + side + ground, rng.getrandbits(31), (Expected(thing),), backdrop))
        return cases

    return make


def _content(rng: random.Random, n: int) -> list[Case]:
    things = [Thing(shape) for shape in _cycle(rng, SHAPES, n)]
    return [Case(high_text(thing), rng.getrandbits(31), (Expected(thing),)) for thing in things]


def _detail(rng: random.Random, n: int) -> list[Case]:
    pairs = _cycle(rng, list(itertools.product(COLOURS, SURFACES)), n)
    things = [Thing(colour=colour, surface=surface) for colour, surface in pairs]
    return [Case(low_text(thing), rng.getrandbits(31), (Expected(thing),)) for thing in things]


def _two_named(width: int, height: int) -> Callable[[random.Random, int], list[Case]]:
    """Two objects side by side or one above the other, along the longer side of the canvas if it has one."""

    def make(rng: random.Random, n: int) -> list[Case]:
        cases = []
        pictures = -(-n // 2)
        pool = _things(rng, 2 * pictures)
        for i in range(pictures):
            vertical = height > width or (height == width and bool(i % 2))
            areas, things = halves(width, height, vertical), pool[2 * i : 2 * i + 2]
            backdrop = random_backdrop(rng) if i // 2 % 2 else NO_BACKDROP
            expected = tuple(Expected(thing, box) for thing, (_, box) in zip(things, areas, strict=True))
            text = scene_text(areas, things, backdrop)
            cases.append(Case(text, rng.getrandbits(31), expected, backdrop, size=(width, height)))
        return cases

    return make


def _areas(rng: random.Random, count: int, width: int, height: int) -> Areas:
    if count == 2:
        return halves(width, height, height > width or (height == width and rng.random() < 0.5))
    if count == 4:
        return quarters(width, height)
    if rng.random() < 0.5:
        return sorted(rng.sample(quarters(width, height), 3))
    return [halves(width, height, True)[0], *quarters(width, height)[2:]]


def _planned(
    count: int, levels: bool = False, named: bool = True, size: tuple[int, int] = (SIZE, SIZE)
) -> Callable[[random.Random, int], list[Case]]:
    """Plans with `count` regions, two pictures each, `n` regions judged in all (or a few more)."""

    def make(rng: random.Random, n: int) -> list[Case]:
        cases = []
        plans = -(-n // (2 * count))
        pool = _things(rng, plans * count)
        for i in range(plans):
            areas, things = _areas(rng, count, *size), pool[count * i : count * (i + 1)]
            backdrop = random_backdrop(rng)
            plan = scene_plan(areas, things, backdrop, levels, named, size)
            expected = tuple(Expected(thing, box) for thing, (_, box) in zip(things, areas, strict=True))
            cases.append(Case(plan.prompt, rng.getrandbits(31), expected, backdrop, plan, images=2))
        return cases

    return make


CASE_KINDS: Mapping[str, CaseKind] = {
    "single": CaseKind("one object of a combination kept out of training, plain prompt", _single(held_out=True)),
    "trained": CaseKind("one object of a combination seen in training, plain prompt", _single(held_out=False)),
    "content": CaseKind("content text alone, plain prompt", _content),
    "detail": CaseKind("detail text alone, plain prompt", _detail),
    "two-named": CaseKind("two objects named with their sides, plain prompt", _two_named(SIZE, SIZE)),
    "96x64": CaseKind("the same on 96 by 64 pixels", _two_named(96, 64)),
    "64x96": CaseKind("the same on 64 by 96 pixels", _two_named(64, 96)),
    "128x64": CaseKind("the same on 128 by 64 pixels", _two_named(128, 64)),
    "64x128": CaseKind("the same on 64 by 128 pixels", _two_named(64, 128)),
    "128x128": CaseKind("the same on 128 by 128 pixels", _two_named(128, 128)),
    "regions-2-128x64": CaseKind("two regions with one full text each, 128 by 64 pixels", _planned(2, size=(128, 64))),
    "regions-4-128x128": CaseKind(
        "four regions with one full text each, 128 by 128 pixels", _planned(4, size=(128, 128))
    ),
    "regions-2": CaseKind("two regions with one full text each", _planned(2)),
    "regions-3": CaseKind("three regions with one full text each", _planned(3)),
    "regions-4": CaseKind("four regions with one full text each", _planned(4)),
    "alone-2": CaseKind(
        "two regions with one full text each, the base prompt only counts them", _planned(2, named=False)
    ),
    "alone-4": CaseKind(
        "four regions with one full text each, the base prompt only counts them", _planned(4, named=False)
    ),
    "levels-2": CaseKind("two regions with a high and a low text each", _planned(2, levels=True)),
}
"""Objects are of combinations kept out of training, but for "trained", "content" and "detail"."""


def cases(kind: str, n: int, seed: int = 0) -> list[Case]:
    """The cases of a kind, about `n` objects in all. The same for the same arguments, always.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in CASE_KINDS:
        raise InputError(f"{kind}: no such kind of task; valid: {', '.join(CASE_KINDS)}")
    return CASE_KINDS[kind].make(random.Random(f"{kind} {seed}"), n)
