"""Questions to the bundled planner with their right answers: what it is trained on, and what it is scored with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from strata.llm.backends.bundled.answers import ScenePrompt, Truth, right_answer, settle
from strata.llm.backends.bundled.checks import fault
from strata.llm.backends.bundled.reading.words import read
from strata.llm.backends.bundled.teaching.phrasing import PATTERNS_OF_PROMPTS, random_prompt
from strata.llm.backends.bundled.world import high_text
from strata.llm.draft import Draft, DraftRegion
from strata.llm.places import to_grid, to_pixels
from strata.llm.wording import Brief, Known

CANVASES = (
    *((128, 128), (192, 128), (128, 192), (256, 128), (128, 256), (256, 256), (192, 192)),
    *((1024, 1024), (1024, 768), (768, 1024), (1344, 768)),
)


@dataclass(frozen=True)
class Lesson:
    """A question and its right answer."""

    brief: Brief
    """Its prompt is in the planner's words."""
    answer: dict[str, Any]


def random_lesson(rng: random.Random) -> Lesson:
    """One question: a prompt of any pattern, read, on any canvas, and the answer to the whole of it."""
    while True:
        scene = random_prompt(rng)
        reading = read(scene.prompt)
        if reading.refusal is None:
            width, height = rng.choice(CANVASES)
            truth = settle(scene, width, height)
            return Lesson(Brief("whole", reading.text, width, height), right_answer("whole", truth))


@dataclass(frozen=True)
class Exercise:
    """A prompt to be planned, and the right plan."""

    prompt: str
    width: int
    height: int
    truth: Truth
    draft: Draft | None = None
    regions: int | None = None
    style: str | None = None


def _scene(rng: random.Random, pattern: str | None) -> ScenePrompt:
    """A prompt of things never trained, that the planner would not refuse if it read it right."""
    while True:
        scene = random_prompt(rng, pattern, held_out=True)
        reading = read(scene.prompt)
        if reading.refusal is None and fault(reading.text, settle(scene, 128, 128)) is None:
            return scene


def _exercise(pattern: str | None) -> Callable[[random.Random], Exercise]:
    def make(rng: random.Random) -> Exercise:
        scene = _scene(rng, pattern)
        width, height = rng.choice(CANVASES)
        return Exercise(scene.prompt, width, height, settle(scene, width, height))

    return make


def _drafted(boxes: bool) -> Callable[[random.Random], Exercise]:
    """Boxes or contents of the regions known, in an order of their own; kinds are all different."""

    def make(rng: random.Random) -> Exercise:
        while True:
            scene = _scene(rng, "list")
            if 2 <= len(scene.things) <= 3 and len({thing.kind for thing in scene.things}) == len(scene.things):
                break
        width, height = rng.choice(CANVASES)
        pairs = list(zip(scene.things, settle(scene, width, height).boxes, strict=True))
        rng.shuffle(pairs)
        if boxes:
            drawn = [to_pixels(box, width, height) for _, box in pairs]
            known = [Known(to_grid(box, width, height)) for box in drawn]
            draft = Draft(regions=tuple(DraftRegion(box=box) for box in drawn))
        else:
            texts = [high_text(thing) for thing, _ in pairs]
            known = [Known(content=text) for text in texts]
            draft = Draft(regions=tuple(DraftRegion(high=text) for text in texts))
        return Exercise(scene.prompt, width, height, settle(scene, width, height, known), draft)

    return make


def _counted(rng: random.Random) -> Exercise:
    found = _exercise(None)(rng)
    return replace(found, regions=len(found.truth.things))


EXERCISES: dict[str, tuple[str, Callable[[random.Random], Exercise]]] = {
    "any": ("a mixture of all patterns, without drafts", _exercise(None)),
    **{name: (f"prompts of the pattern {name!r}", _exercise(name)) for name in PATTERNS_OF_PROMPTS},
    "regions": ("a mixture, the number of regions fixed", _counted),
    "boxes drafted": ("two or three boxes known, in an order of their own", _drafted(boxes=True)),
    "contents drafted": ("two or three contents known, in an order of their own", _drafted(boxes=False)),
}
"""Kinds of exercises; every object that is fully described is of a combination kept out of training."""


def exercises(kind: str, n: int, seed: int = 0) -> list[Exercise]:
    """`n` exercises of a kind; the same for the same arguments, always."""
    rng = random.Random(f"{kind} {seed}")
    return [EXERCISES[kind][1](rng) for _ in range(n)]
