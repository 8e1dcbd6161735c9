"""The right plan of a prompt, and the right answers to the questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from strata.hierarchy.plan import ScenePlan
from strata.llm.answer import Task
from strata.llm.backends.bundled.checks import counted
from strata.llm.backends.bundled.phrasing import ScenePrompt
from strata.llm.backends.bundled.placement import Place, arrange, canvas_form
from strata.llm.places import place_of, to_grid
from strata.llm.wording import Known
from strata.miniature.world.language import (
    COLOURS,
    SURFACES,
    Backdrop,
    Thing,
    backdrop_text,
    full_text,
    high_text,
    where,
)


@dataclass(frozen=True)
class Truth:
    """The right plan: what stands in each region, where, and the background."""

    things: tuple[Thing, ...]
    places: tuple[Place, ...]
    backdrop: Backdrop
    topic: str


def settle(scene: ScenePrompt, width: int, height: int, known: Sequence[Known] = ()) -> Truth:
    """The right plan of a prompt on a canvas.

    Without `known` there is a region for every thing, in the order of the prompt, placed by `arrange`. With `known`,
    one for every thing too, each region in turn takes the thing that suits it best (see `_suits`), the first in the
    prompt of those that suit equally; a region without a box is placed by `arrange`, among the known ones and by the
    side of its thing.
    """
    form = canvas_form(width, height)
    things = list(scene.things)
    if not known:
        places = arrange([thing.side for thing in things], form)
        return Truth(tuple(things), places, scene.backdrop, _topic(things, places, scene.backdrop))
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
    topic = _topic([thing for _, thing, _ in in_prompt], [place for _, _, place in in_prompt], scene.backdrop)
    return Truth(tuple(taken), places, scene.backdrop, topic)


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


def right_answer(task: Task, truth: Truth, *, box: bool = True, content: bool = True) -> dict[str, Any]:
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


def caption(things: Sequence[Thing], backdrop: Backdrop) -> str:
    """The scene in the drawing model's own language; things have the sides they stand on, or none."""
    phrases = [f"{full_text(thing)} {where(thing.side)}" if thing.side else full_text(thing) for thing in things]
    text = " and ".join([*([", ".join(phrases[:-1])] if len(phrases) > 1 else []), phrases[-1]])
    ground = backdrop_text(backdrop)
    return f"{text}, {ground}" if ground else text


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
    right = right_answer("whole", truth)
    behind = {
        level: text for level, text in (("high", right["background"]), ("low", right["background_detail"])) if text
    }
    found = plan.background.model_dump(exclude_none=True) if plan.background else {}
    if found != behind:
        wrong.append(f"background: {found}, not {behind}")
    if plan.low or plan.high:
        wrong.append(f"global texts: {plan.high!r}, {plan.low!r}")
    return wrong
