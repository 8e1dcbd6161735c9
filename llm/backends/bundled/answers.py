"""The right plan of a prompt, and the right answers to the questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from strata.hierarchy.plan import Box, ScenePlan
from strata.llm.answer import LONGEST_TEXT, Task
from strata.llm.backends.bundled.placement import ALONE, Tree, arrange, canvas_form, fit, overlap, sized
from strata.llm.backends.bundled.world import (
    Backdrop,
    Thing,
    backdrop_text,
    full_text,
    high_text,
    low_text,
    parse_thing,
    style_text,
    where,
)
from strata.llm.places import GRID, place_of, to_grid
from strata.llm.wording import Known

NO_BACKDROP = Backdrop()
MOST_WORDS = 88
"""Words of a base prompt; the image model reads 96."""


@dataclass(frozen=True)
class ScenePrompt:
    """A prompt and what it asks for: things in its order, where they stand, the background and the style."""

    prompt: str
    things: tuple[Thing, ...]
    places: tuple[str | None, ...] = ()
    """Empty where `tree` says where things stand."""
    tree: Tree | None = None
    backdrop: Backdrop = NO_BACKDROP
    style: str | None = None
    """Of the whole picture."""


@dataclass(frozen=True)
class Truth:
    """The right plan: what stands in each region, where, the background and the style of the picture."""

    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    backdrop: Backdrop
    style: str | None = None
    topic: str = ""


def settle(scene: ScenePrompt, width: int, height: int, known: Sequence[Known] = ()) -> Truth:
    """The right plan of a prompt on a canvas: a region for every thing, in its order, or those that are known."""
    form = canvas_form(width, height)
    things = scene.things
    if scene.tree is None:
        boxes = arrange(scene.places or (None,) * len(things), form)
    else:
        found = fit(scene.tree)
        boxes = tuple(found[i] for i in range(len(things)))
    apart = not any(overlap(one, other) for i, one in enumerate(boxes) for other in boxes[:i])
    boxes = tuple(sized(box, thing.size if apart else None) for box, thing in zip(boxes, things, strict=True))
    truth = Truth(things, boxes, scene.backdrop, scene.style)
    truth = replace(truth, topic=caption(truth))
    return deal(truth, scene.places or (None,) * len(things), known, form) if known else truth


def deal(truth: Truth, places: Sequence[str | None], known: Sequence[Known], form: str) -> Truth:
    """The plan of a prompt of whose regions something is known: one region for every thing.

    Each region in turn takes the thing that suits it best (see `_suits`), the first in the prompt of those that suit
    equally. Where no box is known, things keep their own; where some are, regions without one are placed by `arrange`,
    among the known ones and by the places of their things.
    """
    order: list[int] = []
    for region in known:
        left = [i for i in range(len(truth.things)) if i not in order]
        order.append(max(left, key=lambda i: (_suits(truth.things[i], places[i], region), -i)))
    taken = tuple(truth.things[i] for i in order)
    boxes = tuple(k.box or truth.boxes[i] for k, i in zip(known, order, strict=True))
    if len({k.box is None for k in known}) > 1:
        wanted = [place_of(k.box) if k.box else places[i] for k, i in zip(known, order, strict=True)]
        free = arrange([None if place == "everywhere" else place for place in wanted], form)
        boxes = tuple(k.box or box for k, box in zip(known, free, strict=True))
    told = [(thing, box) for _, thing, box in sorted(zip(order, taken, boxes, strict=True))]
    in_prompt = replace(truth, things=tuple(t for t, _ in told), boxes=tuple(b for _, b in told))
    return replace(truth, things=taken, boxes=boxes, topic=caption(in_prompt))


def _suits(thing: Thing, side: str | None, region: Known) -> int:
    """How well a thing suits a region: kind, colour and surface of the region's content weigh 4 each, the side 1."""
    score = 0
    told = parse_thing(region.content) if region.content else Thing()
    for name in ("kind", "colour", "surface", "size"):
        if value := getattr(told, name):
            score += 4 if value == getattr(thing, name) else -4
    if region.box and side:
        score += _agreement(side, place_of(region.box))
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


def styled(truth: Truth) -> list[Thing]:
    """The things as regions tell them: those without a style of their own in the picture's."""
    return [replace(thing, style=thing.style or truth.style) for thing in truth.things]


def right_answer(task: Task, truth: Truth, *, box: bool = True, content: bool = True) -> dict[str, Any]:
    """The right answer, its keys in the order of the form."""
    ground, style = truth.backdrop, style_text(truth.style) if truth.style else ""
    behind = f"{ground.setting or ground.pattern} background" if ground.setting or ground.pattern else ""
    behind = behind or ("background" if ground.tone else "")
    tone = ", ".join(text for text in (ground.tone, style) if text)
    objects: list[dict[str, Any]] = []
    for thing, area in zip(styled(truth), truth.boxes, strict=True):
        item: dict[str, Any] = {}
        if task != "details":
            item |= ({"content": high_text(thing)} if content else {}) | ({"box": list(area)} if box else {})
        if task != "layout":
            look = style_text(thing.style) if thing.style else ""
            item |= {"colour": thing.colour or "", "material": "", "texture": thing.surface or "", "other": look}
        objects.append(item)
    last = {"light": "", "medium": "", "style": style}
    if task == "details":
        return {"objects": objects, "background": tone, **last}
    found: dict[str, Any] = {"topic": truth.topic, "objects": objects, "background": behind}
    return found | ({"background_detail": tone, **last} if task == "whole" else {})


def caption(truth: Truth) -> str:
    """The scene in the image model's own language: each object with its place, the background, the style.

    Where that is too long for a base prompt, the places are left out, then the background and the style.
    """
    texts = [full_text(thing) for thing in truth.things]
    ending = [backdrop_text(truth.backdrop), style_text(truth.style) if truth.style else ""]
    ground = "".join(f", {text}" for text in ending if text)
    forms = (_told(texts, truth.boxes) + ground, _listed(texts) + ground, _listed(texts))
    return next((f for f in forms if len(f.split()) <= MOST_WORDS and len(f) <= LONGEST_TEXT), forms[-1])


def _listed(texts: Sequence[str]) -> str:
    return " and ".join([*([", ".join(texts[:-1])] if len(texts) > 1 else []), texts[-1]])


def _told(texts: Sequence[str], boxes: Sequence[Box]) -> str:
    """Objects with where they stand: each at its place, in a row, in two rows, or one in front of another."""
    places = [place_of(box) for box in boxes]
    pairs = [(i, j) for i in range(len(boxes)) for j in range(i + 1, len(boxes)) if overlap(boxes[i], boxes[j])]
    if len(boxes) == 1:
        return (
            texts[0] if places[0] in ("everywhere",) or _in_the_middle(boxes[0]) else f"{texts[0]} {where(places[0])}"
        )
    if pairs:
        told: list[tuple[int, str]] = []
        done: set[int] = set()
        for largest in sorted({i for pair in pairs for i in pair}, key=lambda i: -_size(boxes[i])):
            fronts = [i for i in range(len(boxes)) if i not in done | {largest} and overlap(boxes[i], boxes[largest])]
            if largest in done or not fronts:
                continue
            done |= {largest, *fronts}
            front = " and ".join(texts[i] for i in fronts)
            before = largest < fronts[0]
            told.append(
                (
                    min(largest, *fronts),
                    f"{texts[largest]} behind {front}" if before else f"{front} in front of {texts[largest]}",
                )
            )
        told += [(i, f"{texts[i]} {where(places[i])}") for i in range(len(texts)) if i not in done]
        return _listed([text for _, text in sorted(told)])
    if len(set(places)) == len(places) and "everywhere" not in places:
        return _listed([f"{text} {where(place)}" for text, place in zip(texts, places, strict=True)])
    bands = sorted({(box[1], box[3]) for box in boxes})
    wide = sum(box[2] - box[0] for box in boxes) == GRID * len(bands) and all(box[2] > box[0] for box in boxes)
    if wide and len(bands) == 1 and list(boxes) == sorted(boxes):
        return f"{_listed(texts)} in a row"
    if wide and len(bands) == 2:
        rows = [[(b, t) for b, t in zip(boxes, texts, strict=True) if (b[1], b[3]) == band] for band in bands]
        upper, lower = (_listed([text for _, text in sorted(row)]) for row in rows)
        return f"in the top row {upper}; in the bottom row {lower}"
    return _listed([f"{text} {where(place)}" for text, place in zip(texts, places, strict=True)])


def _in_the_middle(box: Box) -> bool:
    """Whether a box is that of one object whose place is open."""
    return box in (ALONE, sized(ALONE, "small"))


def _size(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def truth_matches(plan: ScenePlan, truth: Truth) -> list[str]:
    """What is wrong with a plan, in words; an empty list if it is exactly right.

    Right are: the objects in their order, each with its content as `high` and its detail as `low`, at its place of the
    canvas; the background; the style; the base prompt.
    """
    wrong = []
    if plan.prompt != truth.topic:
        wrong.append(f"base prompt: {plan.prompt!r}, not {truth.topic!r}")
    if len(plan.regions) != len(truth.things):
        return [*wrong, f"{len(plan.regions)} regions, not {len(truth.things)}"]
    for region, thing, box in zip(plan.regions, styled(truth), truth.boxes, strict=True):
        if region.high is None or parse_thing(region.high) != parse_thing(high_text(thing)):
            wrong.append(f"{region.name}: high {region.high!r}, not {high_text(thing)!r}")
        if region.low != (low_text(thing) or None):
            wrong.append(f"{region.name}: low {region.low!r}, not {low_text(thing)!r}")
        if region.box is None or place_of(to_grid(region.box, plan.width, plan.height)) != place_of(box):
            wrong.append(f"{region.name}: box {region.box}, not {place_of(box)}")
    right = right_answer("whole", truth)
    behind = {
        level: text for level, text in (("high", right["background"]), ("low", right["background_detail"])) if text
    }
    found = dict(plan.background.by_level()) if plan.background else {}
    if found != behind:
        wrong.append(f"background: {found}, not {behind}")
    if (plan.low or "") != right["style"] or plan.high:
        wrong.append(f"global texts: {plan.high!r}, {plan.low!r}")
    return wrong
