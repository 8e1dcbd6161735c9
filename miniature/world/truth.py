"""Plans in the scene language: what each region should hold, and the picture that shows it. Truth and plan are one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from strata.hierarchy.areas import pixel_mask
from strata.hierarchy.plan import Box, Region, ScenePlan, Texts
from strata.miniature.world.language import (
    NUMBERS,
    Backdrop,
    Thing,
    backdrop_text,
    full_text,
    high_text,
    low_text,
    parse_backdrop,
    parse_thing,
    where,
)
from strata.miniature.world.render import paint_backdrop, paint_thing, place_in_box

Areas = Sequence[tuple[str, Box]]
"""Side words with their boxes in pixels."""


def region_thing(region: Region) -> Thing:
    """The object a region's texts describe together (full, or high and low)."""
    return parse_thing(", ".join(text for _, text in region.by_level()))


def plan_backdrop(plan: ScenePlan) -> Backdrop:
    """The background that a plan's background texts (else its base prompt) name."""
    texts = [plan.prompt] if plan.background is None else [text for _, text in plan.background.by_level()]
    found = [parse_backdrop(text) for text in texts]
    return Backdrop(
        pattern=next((b.pattern for b in found if b.pattern), None), tone=next((b.tone for b in found if b.tone), None)
    )


def render(plan: ScenePlan) -> Image.Image:
    """The picture a plan in the scene language asks for: each region's object in the middle of its area.

    Raises:
        InputError: a region's texts are outside the scene language.
    """
    canvas = paint_backdrop(plan.width, plan.height, plan_backdrop(plan))
    for region in plan.regions:
        ys, xs = np.nonzero(pixel_mask(region, plan.width, plan.height, plan.root))
        if len(xs):
            paint_thing(canvas, region_thing(region), *place_in_box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    return Image.fromarray(canvas)


def scene_text(areas: Areas, things: Sequence[Thing], backdrop: Backdrop) -> str:
    """ "a red striped circle on the left and a blue dotted square on the right, plain grey background"."""
    phrases = [f"{full_text(thing)} {where(side)}" for (side, _), thing in zip(areas, things, strict=True)]
    text = " and ".join([", ".join(phrases[:-1]), phrases[-1]])
    return f"{text}, {backdrop_text(backdrop)}" if backdrop.tone else text


def scene_plan(
    areas: Areas,
    things: Sequence[Thing],
    backdrop: Backdrop,
    levels: bool = False,
    named: bool = True,
    size: tuple[int, int] = (64, 64),
) -> ScenePlan:
    """A plan with one region an area, each with one `full` text, or (`levels`) with a `high` and a `low` one.

    The base prompt names every object with its side, or (not `named`) only says how many there are, up to four.
    """
    if levels:
        texts: list[dict[str, Any]] = [{"high": high_text(thing), "low": low_text(thing)} for thing in things]
        ground = Texts(high=f"{backdrop.pattern} background", low=str(backdrop.tone))
    else:
        texts = [{"full": full_text(thing)} for thing in things]
        ground = Texts(full=backdrop_text(backdrop))
    regions = tuple(Region(name=side, box=box, **text) for (side, box), text in zip(areas, texts, strict=True))
    number = f"{NUMBERS[len(things)]} " if len(things) < len(NUMBERS) else ""
    counted = f"{number}object{'s' if len(things) > 1 else ''}, {backdrop_text(backdrop)}"
    prompt = scene_text(areas, things, backdrop) if named else counted
    return ScenePlan(width=size[0], height=size[1], prompt=prompt, regions=regions, background=ground)
