"""What a picture of the miniature's scene language holds in each region, by the bundled scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from PIL import Image

from strata.analysis.following import RegionFollowing
from strata.hierarchy.areas import box_around, region_mask
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.miniature.world.facts import Thing
from strata.miniature.world.scorer import OBJECT_HEADS, Scorer
from strata.miniature.world.truth import plan_backdrop, region_thing


def named_things(plan: ScenePlan) -> list[Thing]:
    """What each region's texts name.

    Raises:
        InputError: a text is not of the scene language, or names nothing.
    """
    things = []
    for region in plan.regions:
        thing = region_thing(region)
        if not any(getattr(thing, name) for name in OBJECT_HEADS):
            raise InputError(f"region {region.name}: its texts name no kind, colour, surface or style to judge")
        things.append(thing)
    return things


def judge(
    image: Image.Image, regions: Sequence[RegionFollowing], plan: ScenePlan
) -> tuple[list[RegionFollowing], dict[str, bool] | None, Mapping[str, float]]:
    """Which attributes that the texts name the picture has.

    Args:
        image: the picture, of the miniature's size (a region some 32 to 128 pixels a side).
        regions: with their boxes and texts.
        plan: for the background's texts; the base prompt's where it has none.

    Returns:
        The regions with `exact`; the same of the background, None where no text names it; the scorer's own accuracy on
        scenes it never saw, by attribute.

    Raises:
        InputError: a text is not of the scene language, or names nothing.
    """
    things = named_things(plan)
    scorer = Scorer.load()
    *found, whole = scorer.score_batch([image] * (len(regions) + 1), [*(region.box for region in regions), None])
    judged = [replace(r, exact=v.right(t)) for r, v, t in zip(regions, found, things, strict=True)]
    return judged, whole.right(plan_backdrop(plan)) or None, scorer.accuracy


def picture_scores(image: Image.Image, plan: ScenePlan) -> dict[str, float]:
    """How much of a plan a picture of the miniature shows, 0 to 1; nothing for plans outside its scene language.

    Args:
        image: the picture, of the miniature's size.
        plan: the plan.

    Returns:
        "regions", the share of regions that hold all that their texts name, and "attributes", the share of what the
        texts name (kinds, colours, surfaces, styles) that they hold.
    """
    try:
        things = named_things(plan)
    except InputError:
        return {}
    boxes = [box_around(region_mask(plan, index)) for index in range(len(plan.regions))]
    if not things or None in boxes:
        return {}
    verdicts = _scorer().score_batch([image] * len(boxes), boxes)
    right = [verdict.right(thing) for verdict, thing in zip(verdicts, things, strict=True)]
    flat = [found for one in right for found in one.values()]
    return {"regions": sum(all(one.values()) for one in right) / len(right), "attributes": sum(flat) / len(flat)}


@cache
def _scorer() -> Scorer:
    return Scorer.load()
