"""Plans in the scene language: what each region should hold, and the picture that shows it. Truth and plan are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from strata.hierarchy.areas import pixel_mask
from strata.hierarchy.plan import Box, Region, ScenePlan, Texts
from strata.miniature.world.captions import eighths, element_text, structured_head
from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.phrases import backdrop_text, enumerated, full_text, high_text, low_text, style_text, where
from strata.miniature.world.reading import parse_backdrop, parse_style, parse_thing
from strata.miniature.world.render import paint_backdrop, paint_thing, to_pixels
from strata.miniature.world.scenes import place_in_box
from strata.miniature.world.words import NUMBERS

Areas = Sequence[tuple[str, Box]]
"""Places with their boxes in pixels; the places of two rows are "top" and "bottom" again and again."""


def region_thing(region: Region) -> Thing:
    """The object a region's texts describe together (full, or high and low)."""
    return parse_thing(", ".join(text for _, text in region.by_level()))


def plan_backdrop(plan: ScenePlan) -> Backdrop:
    """The background that a plan's background texts (else its base prompt) name."""
    texts = [plan.prompt] if plan.background is None else [text for _, text in plan.background.by_level()]
    found = [parse_backdrop(text) for text in texts]

    def first(name: str) -> str | None:
        return next((value for b in found if (value := getattr(b, name))), None)

    setting = first("setting")
    return Backdrop(setting=setting) if setting else Backdrop(first("pattern"), first("tone"))


def plan_style(plan: ScenePlan) -> str:
    """The style that a plan's global low text or its base prompt names; flat where none is named."""
    return parse_style(plan.low or "") or parse_style(plan.prompt) or "flat"


def render(plan: ScenePlan) -> Image.Image:
    """The picture a plan in the scene language asks for: each region's object in the middle of its area.

    Raises:
        InputError: a region's texts are outside the scene language.
    """
    style = plan_style(plan)
    canvas = paint_backdrop(plan.width, plan.height, plan_backdrop(plan), style)
    for region in plan.regions:
        ys, xs = np.nonzero(pixel_mask(region, plan.width, plan.height, plan.root))
        if len(xs):
            thing = region_thing(region)
            place = place_in_box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            paint_thing(canvas, replace(thing, style=thing.style or style), *place)
    return Image.fromarray(to_pixels(canvas))


def ending(backdrop: Backdrop, style: str | None) -> str:
    """ ", plain grey background, neon"; empty where neither is said."""
    return "".join(f", {text}" for text in (backdrop_text(backdrop), style and style_text(style)) if text)


def scene_text(areas: Areas, things: Sequence[Thing], backdrop: Backdrop, style: str | None = None) -> str:
    """ "a red striped circle on the left and a blue dotted square on the right, plain grey background, neon"."""
    places = [place for place, _ in areas]
    if len(set(places)) < len(places):  # two rows
        upper = [full_text(t) for t, place in zip(things, places, strict=True) if place == "top"]
        lower = [full_text(t) for t, place in zip(things, places, strict=True) if place == "bottom"]
        text = f"in the top row {enumerated(upper)}; in the bottom row {enumerated(lower)}"
    else:
        text = enumerated([f"{full_text(t)} {where(place)}" for t, place in zip(things, places, strict=True)])
    return text + ending(backdrop, style)


def structured_text(
    areas: Areas, things: Sequence[Thing], backdrop: Backdrop, size: tuple[int, int], style: str | None = None
) -> str:
    """The structured caption: "<1> and <2>, grey background. <1> 0 0 4 8 a red circle <2> 4 0 8 8 a blue square"."""
    elements = []
    for i, ((_, box), thing) in enumerate(zip(areas, things, strict=True), start=1):
        elements.append(element_text(i, eighths(*place_in_box(*box), *size), full_text(thing)))
    return f"{structured_head(len(things))}{ending(backdrop, style)}. {' '.join(elements)}"


def scene_plan(
    areas: Areas,
    things: Sequence[Thing],
    backdrop: Backdrop,
    *,
    style: str | None = None,
    levels: bool = False,
    named: bool = True,
    size: tuple[int, int] = (128, 128),
) -> ScenePlan:
    """A plan with one region an area, each with one `full` text, or (`levels`) with a `high` and a `low` one.

    The base prompt names every object with its place, or (not `named`) only says how many there are. A `style` is said
    in the base prompt, and with the detail of every region and of the background; things may have styles of their own.
    """
    told = [replace(thing, style=thing.style or style) for thing in things]
    names = [
        f"{place} {i}" if sum(p == place for p, _ in areas) > 1 else place for i, (place, _) in enumerate(areas, 1)
    ]
    if levels:
        texts: list[dict[str, Any]] = [{"high": high_text(thing), "low": low_text(thing)} for thing in told]
        tone = ", ".join(text for text in (backdrop.tone, style and style_text(style)) if text)
        high = f"{backdrop.setting or backdrop.pattern} background"
        ground = Texts(high=high, low=tone) if tone else Texts(high=high)
    else:
        texts = [{"full": full_text(thing)} for thing in told]
        ground = Texts(full=backdrop_text(backdrop) + (f", {style_text(style)}" if style else ""))
    regions = tuple(
        Region(name=name, box=box, **text) for name, (_, box), text in zip(names, areas, texts, strict=True)
    )
    counted = f"{NUMBERS[len(things)]} object{'s' if len(things) > 1 else ''}{ending(backdrop, style)}"
    prompt = scene_text(areas, things, backdrop, style) if named else counted
    return ScenePlan(width=size[0], height=size[1], prompt=prompt, regions=regions, background=ground)
