"""Questions to the bundled planner with the answers that are right: what it is trained on and scored with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from strata.hierarchy.plan import ScenePlan
from strata.llm.answer import Task
from strata.llm.draft import Draft, DraftRegion
from strata.llm.places import place_of, to_grid, to_pixels
from strata.llm.wording import Brief, Known
from strata.miniature.language import COLOURS, SURFACES, Backdrop, Thing, full_text, high_text
from strata.miniature.planning_language import (
    Draw,
    Place,
    Told,
    arrange,
    canvas_form,
    caption,
    counted,
    random_told,
    seen_thing,
    unseen_thing,
)
from strata.miniature.scenes import Box

CANVASES = ((64, 64), (96, 64), (64, 96), (128, 64), (64, 128), (128, 128), (1024, 1024), (1024, 768), (768, 1024))
NOTHING = Known()


@dataclass(frozen=True)
class Truth:
    """The right plan: what stands in each region, where, and the background."""

    things: tuple[Thing, ...]
    places: tuple[Place, ...]
    backdrop: Backdrop
    topic: str


def settle(told: Told, width: int, height: int, known: Sequence[Known] = ()) -> Truth:
    """The right plan of a prompt on a canvas.

    Without `known` there is a region for every thing, in the order of the prompt, placed by `arrange`. With `known`,
    one for every thing too, each region in turn takes the thing that suits it best (see `_suits`), the first in the
    prompt of those that suit equally; a region without a box is placed by `arrange`, among the known ones and by the
    side of its thing.
    """
    form = canvas_form(width, height)
    things = list(told.things)
    if not known:
        places = arrange([thing.side for thing in things], form)
        return Truth(tuple(things), places, told.backdrop, _topic(things, places, told.backdrop))
    order: list[int] = []
    for region in known:
        left = [i for i in range(len(things)) if i not in order]
        order.append(max(left, key=lambda i: (_suits(things[i], region), -i)))
    taken = [things[i] for i in order]
    places = tuple(Place(place_of(k.box), k.box) if k.box else Place("", (0, 0, 0, 0)) for k in known)
    if any(k.box is None for k in known):
        sides = [p.side or thing.side for p, thing in zip(places, taken, strict=True)]
        places = arrange([None if side == "everywhere" else side for side in sides], form)
    in_prompt = sorted(zip(order, taken, places, strict=True))
    topic = _topic([thing for _, thing, _ in in_prompt], [place for _, _, place in in_prompt], told.backdrop)
    return Truth(tuple(taken), places, told.backdrop, topic)


def _suits(thing: Thing, region: Known) -> int:
    """How well a thing suits a region: shape, colour and surface of the region's content weigh 4 each, the side 1."""
    score = 0
    words = counted(region.content).words if region.content else {}
    for value, kind in ((thing.shape or "shape", None), (thing.colour, COLOURS), (thing.surface, SURFACES)):
        named = [word for word in words if (word in kind if kind else word not in (*COLOURS, *SURFACES))]
        if named:
            score += 4 if value in named else -4
    if region.box and thing.side:
        score += _agreement(thing.side, place_of(region.box))
    return score


def _agreement(side: str, place: str) -> int:
    """1 if a place is on a side, -1 if it is opposite, else 0."""
    if place == "everywhere":
        return 0
    one, other = set(side.split()), set(place.split())
    if one <= other:
        return 1
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    return -1 if any(opposite.get(word) in other for word in one) or "center" in one | other else 0


def _topic(things: Sequence[Thing], places: Sequence[Place], backdrop: Backdrop) -> str:
    sides = [None if place.side in ("whole", "everywhere") else place.side for place in places]
    return caption([replace(thing, side=side) for thing, side in zip(things, sides, strict=True)], backdrop)


def answer(task: Task, truth: Truth, *, box: bool = True, content: bool = True) -> dict[str, Any]:
    """The right answer, its keys in the order of the form."""
    ground = truth.backdrop
    behind = "plain background" if ground.pattern == "plain" else f"{ground.pattern} background"
    behind = behind if ground.pattern else "background" if ground.tone else ""
    objects: list[dict[str, Any]] = []
    for thing, place in zip(truth.things, truth.places, strict=True):
        item: dict[str, Any] = {}
        if task != "details":
            item |= ({"content": high_text(thing)} if content else {}) | ({"box": list(place.box)} if box else {})
        if task != "layout":
            item |= {"colour": thing.colour or "", "material": "", "texture": thing.surface or "", "other": ""}
        objects.append(item)
    style = {"light": "", "medium": "", "style": ""}
    if task == "details":
        return {"objects": objects, "background": ground.tone or "", **style}
    found: dict[str, Any] = {"topic": truth.topic, "objects": objects, "background": behind}
    return found | ({"background_detail": ground.tone or "", **style} if task == "whole" else {})


@dataclass(frozen=True)
class Lesson:
    """A question and its right answer."""

    brief: Brief
    answer: dict[str, Any]


def random_lesson(rng: random.Random, draw: Draw = seen_thing) -> Lesson:
    """One question of any kind; those with a rule to learn come more often than in a mixture of prompts."""
    told = random_told(rng, draw, rng.choices(("any", "some placed", "related", "alike"), (72, 13, 10, 5))[0])
    width, height = rng.choice(CANVASES)
    drafted = random_known(rng, told, width, height) if rng.random() < 0.15 else []
    truth = settle(told, width, height, drafted)
    task: Task = rng.choices(("layout", "details", "whole"), (40, 45, 15))[0]
    box = not drafted or any(k.box is None for k in drafted)
    content = not drafted or any(k.content is None for k in drafted)
    known = drafted
    if task == "details":
        settled = zip(drafted or [NOTHING] * len(truth.things), truth.things, truth.places, strict=True)
        known = [Known(k.box or place.box, k.content or high_text(thing)) for k, thing, place in settled]
        truth = settle(told, width, height, known)
    brief = Brief(task, told.prompt, width, height, None, known)
    return Lesson(brief, answer(task, truth, box=box, content=content))


def random_known(rng: random.Random, told: Told, width: int, height: int) -> list[Known]:
    """A draft of a prompt's regions: boxes alone, contents alone, or some of both, in an order of its own."""
    things = list(told.things)
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


# Scoring --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exercise:
    """A prompt to be planned, and the right plan."""

    prompt: str
    width: int
    height: int
    truth: Truth
    draft: Draft | None = None
    regions: int | None = None


def truth_matches(plan: ScenePlan, truth: Truth) -> list[str]:
    """What is wrong with a plan, in words; an empty list if it is exactly right.

    Right are: the objects in their order, each with its content as `high` and its detail as `low`, on its side of the
    canvas; the background; the base prompt.
    """
    wrong = []
    if plan.prompt != truth.topic:
        wrong.append(f"base prompt: {plan.prompt!r}, not {truth.topic!r}")
    if len(plan.regions) != len(truth.things):
        return [*wrong, f"{len(plan.regions)} regions, not {len(truth.things)}"]
    for region, thing, place in zip(plan.regions, truth.things, truth.places, strict=True):
        if counted(region.high or "").words != counted(high_text(thing)).words:
            wrong.append(f"{region.name}: high {region.high!r}, not {high_text(thing)!r}")
        low = ", ".join(word for word in (thing.colour, thing.surface) if word) or None
        if region.low != low:
            wrong.append(f"{region.name}: low {region.low!r}, not {low!r}")
        if region.box is None or place_of(to_grid(region.box, plan.width, plan.height)) != place_of(place.box):
            wrong.append(f"{region.name}: box {region.box}, not {place.side}")
    right = answer("whole", truth)
    behind = {
        level: text for level, text in (("high", right["background"]), ("low", right["background_detail"])) if text
    }
    found = plan.background.model_dump(exclude_none=True) if plan.background else {}
    if found != behind:
        wrong.append(f"background: {found}, not {behind}")
    if plan.low or plan.high:
        wrong.append(f"global texts: {plan.high!r}, {plan.low!r}")
    return wrong


def _kind(name: str, count: int | None = None) -> Callable[[random.Random], Exercise]:
    def make(rng: random.Random) -> Exercise:
        told = random_told(rng, unseen_thing, name, count)
        width, height = rng.choice(CANVASES)
        return Exercise(told.prompt, width, height, settle(told, width, height))

    return make


def _drafted(boxes: bool) -> Callable[[random.Random], Exercise]:
    def make(rng: random.Random) -> Exercise:
        told = random_told(rng, unseen_thing, rng.choice(("placed", "unplaced", "related")), rng.choice((2, 3)))
        width, height = rng.choice(CANVASES)
        pairs = list(zip(told.things, settle(told, width, height).places, strict=True))
        rng.shuffle(pairs)
        if boxes:
            drawn = [to_pixels(place.box, width, height) for _, place in pairs]
            known = [Known(to_grid(box, width, height)) for box in drawn]
            draft = Draft(regions=tuple(DraftRegion(box=box) for box in drawn))
        else:
            known = [Known(content=high_text(thing)) for thing, _ in pairs]
            draft = Draft(regions=tuple(DraftRegion(high=k.content) for k in known))
        return Exercise(told.prompt, width, height, settle(told, width, height, known), draft)

    return make


def _counted(rng: random.Random) -> Exercise:
    found = _kind("any")(rng)
    return replace(found, regions=len(found.truth.things))


EXERCISES: dict[str, tuple[str, Callable[[random.Random], Exercise]]] = {
    "any": ("a mixture of all below, without drafts", _kind("any")),
    "one": ("one object, its side told", _kind("placed", 1)),
    "two": ("two objects, their sides told", _kind("placed", 2)),
    "three": ("three objects, their sides told", _kind("placed", 3)),
    "four": ("four objects, their sides told", _kind("placed", 4)),
    "unplaced": ("one to four objects, no side told", _kind("unplaced")),
    "related": ("two objects, one beside, above or below the other", _kind("related")),
    "some placed": ("two to four objects, some sides told", _kind("some placed")),
    "alike": ("two to four objects, some alike and counted", _kind("alike")),
    "partly told": ("shape, colour or surface left out", _kind("partly told")),
    "regions": ("a mixture, the number of regions fixed", _counted),
    "boxes drafted": ("two or three boxes known, in an order of their own", _drafted(boxes=True)),
    "contents drafted": ("two or three contents known, in an order of their own", _drafted(boxes=False)),
}
"""Kinds of exercises; every object that is fully told is of a combination kept out of training."""


def exercises(kind: str, n: int, seed: int = 0) -> list[Exercise]:
    """`n` exercises of a kind; the same for the same arguments, always."""
    rng = random.Random(f"{kind} {seed}")
    return [EXERCISES[kind][1](rng) for _ in range(n)]
