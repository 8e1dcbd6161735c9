"""Questions to the bundled planner with their right answers: what it is trained on, and what it is scored with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from strata.hierarchy.plan import Box
from strata.llm.answer import Task
from strata.llm.backends.bundled.answers import Truth, right_answer, settle
from strata.llm.backends.bundled.phrasing import ScenePrompt, random_prompt
from strata.llm.backends.bundled.placement import arrange, canvas_form
from strata.llm.draft import Draft, DraftRegion
from strata.llm.places import to_grid, to_pixels
from strata.llm.wording import Brief, Known
from strata.miniature.world.language import full_text, high_text

CANVASES = ((64, 64), (96, 64), (64, 96), (128, 64), (64, 128), (128, 128), (1024, 1024), (1024, 768), (768, 1024))


@dataclass(frozen=True)
class Lesson:
    """A question and its right answer."""

    brief: Brief
    answer: dict[str, Any]


def random_lesson(rng: random.Random) -> Lesson:
    """One question of any kind; those with a rule to learn come more often than in a mixture of prompts."""
    scene = random_prompt(rng, rng.choices(("any", "some placed", "related", "alike"), (72, 13, 10, 5))[0])
    width, height = rng.choice(CANVASES)
    drafted = random_known(rng, scene, width, height) if rng.random() < 0.15 else []
    truth = settle(scene, width, height, drafted)
    task: Task = rng.choices(("layout", "details", "whole"), (40, 45, 15))[0]
    box = not drafted or any(k.box is None for k in drafted)
    content = not drafted or any(k.content is None for k in drafted)
    known = drafted
    if task == "details":
        settled = zip(drafted or [Known()] * len(truth.things), truth.things, truth.places, strict=True)
        known = [Known(k.box or place.box, k.content or high_text(thing)) for k, thing, place in settled]
        truth = settle(scene, width, height, known)
    brief = Brief(task, scene.prompt, width, height, None, known)
    return Lesson(brief, right_answer(task, truth, box=box, content=content))


def random_known(rng: random.Random, scene: ScenePrompt, width: int, height: int) -> list[Known]:
    """A draft of a prompt's regions: boxes alone, contents alone, or some of both, in an order of its own."""
    things = list(scene.things)
    boxes: list[Box] = [place.box for place in arrange([thing.side for thing in things], canvas_form(width, height))]
    if rng.random() < 0.4:
        boxes = [place.box for place in arrange([None] * len(things), rng.choice(("tall", "wide", "even")))]
    pairs = list(zip(things, boxes, strict=True))
    rng.shuffle(pairs)
    form = rng.choice(("boxes", "contents", "both"))
    known = []
    for thing, box in pairs:
        some = [rng.random() < 0.6 for _ in range(2)] if form == "both" else [form == "boxes", form == "contents"]
        text = rng.choice((high_text(thing), high_text(thing), thing.shape or "shape", full_text(thing)))
        known.append(Known(_jittered(rng, box) if some[0] else None, text if some[1] else None))
    return known


def _jittered(rng: random.Random, box: Box) -> Box:
    """The box, a little smaller at times: as a person draws it."""
    if rng.random() < 0.5:
        return box
    x1, y1, x2, y2 = (value + sign * rng.randint(0, 60) for value, sign in zip(box, (1, 1, -1, -1), strict=True))
    return (x1, y1, x2, y2)


@dataclass(frozen=True)
class Exercise:
    """A prompt to be planned, and the right plan."""

    prompt: str
    width: int
    height: int
    truth: Truth
    draft: Draft | None = None
    regions: int | None = None


def _exercise(name: str, count: int | None = None) -> Callable[[random.Random], Exercise]:
    def make(rng: random.Random) -> Exercise:
        scene = random_prompt(rng, name, count, held_out=True)
        width, height = rng.choice(CANVASES)
        return Exercise(scene.prompt, width, height, settle(scene, width, height))

    return make


def _drafted(boxes: bool) -> Callable[[random.Random], Exercise]:
    def make(rng: random.Random) -> Exercise:
        scene = random_prompt(rng, rng.choice(("placed", "unplaced", "related")), rng.choice((2, 3)), held_out=True)
        width, height = rng.choice(CANVASES)
        pairs = list(zip(scene.things, settle(scene, width, height).places, strict=True))
        rng.shuffle(pairs)
        if boxes:
            drawn = [to_pixels(place.box, width, height) for _, place in pairs]
            known = [Known(to_grid(box, width, height)) for box in drawn]
            draft = Draft(regions=tuple(DraftRegion(box=box) for box in drawn))
        else:
            known = [Known(content=high_text(thing)) for thing, _ in pairs]
            draft = Draft(regions=tuple(DraftRegion(high=k.content) for k in known))
        return Exercise(scene.prompt, width, height, settle(scene, width, height, known), draft)

    return make


def _counted(rng: random.Random) -> Exercise:
    found = _exercise("any")(rng)
    return replace(found, regions=len(found.truth.things))


EXERCISES: dict[str, tuple[str, Callable[[random.Random], Exercise]]] = {
    "any": ("a mixture of all below, without drafts", _exercise("any")),
    "one": ("one object, its side told", _exercise("placed", 1)),
    "two": ("two objects, their sides told", _exercise("placed", 2)),
    "three": ("three objects, their sides told", _exercise("placed", 3)),
    "four": ("four objects, their sides told", _exercise("placed", 4)),
    "unplaced": ("one to four objects, no side told", _exercise("unplaced")),
    "related": ("two objects, one beside, above or below the other", _exercise("related")),
    "some placed": ("two to four objects, some sides told", _exercise("some placed")),
    "alike": ("two to four objects, some alike and counted", _exercise("alike")),
    "partly told": ("shape, colour or surface left out", _exercise("partly told")),
    "regions": ("a mixture, the number of regions fixed", _counted),
    "boxes drafted": ("two or three boxes known, in an order of their own", _drafted(boxes=True)),
    "contents drafted": ("two or three contents known, in an order of their own", _drafted(boxes=False)),
}
"""Kinds of exercises; every object that is fully described is of a combination kept out of training."""


def exercises(kind: str, n: int, seed: int = 0) -> list[Exercise]:
    """`n` exercises of a kind; the same for the same arguments, always."""
    rng = random.Random(f"{kind} {seed}")
    return [EXERCISES[kind][1](rng) for _ in range(n)]
