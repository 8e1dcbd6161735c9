"""Plans in the scene language: what each region should hold, and the picture that shows it. Truth and plan are one."""

from __future__ import annotations

import numpy as np
from PIL import Image

from strata.hierarchy.areas import pixel_mask
from strata.hierarchy.plan import Region, ScenePlan, Texts
from strata.miniature.language import Backdrop, Thing, parse_backdrop, parse_thing
from strata.miniature.render import fit, paint_backdrop, paint_thing


def region_thing(region: Region) -> Thing:
    """The object a region's texts describe together (full, or high and low)."""
    return parse_thing(" , ".join(t for t in (region.full, region.high, region.low) if t))


def plan_backdrop(plan: ScenePlan) -> Backdrop:
    """The background that a plan's background texts (else its base prompt) name."""
    texts = plan.background or Texts()
    told = [t for t in (texts.full, texts.high, texts.low) if t]
    found = [parse_backdrop(t) for t in told] or [parse_backdrop(plan.prompt)]
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
        mask = pixel_mask(region, plan.width, plan.height, plan.root)
        ys, xs = np.nonzero(mask)
        if len(xs):
            paint_thing(canvas, region_thing(region), *fit(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    return Image.fromarray(canvas)
