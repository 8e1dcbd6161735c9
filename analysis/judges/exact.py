"""The miniature's own scorer, and its objects' patches: exact, for pictures in the scene language alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from strata.analysis.following_exact import named_things
from strata.analysis.judges.protocol import Features, JudgedObject, JudgedPicture, areas_of, asked_of, leaks
from strata.hierarchy.areas import region_mask
from strata.hierarchy.plan import ScenePlan
from strata.miniature.world.drawn import Patch, box_iou, patches
from strata.miniature.world.facts import Backdrop
from strata.miniature.world.scorer import OBJECT_HEADS, WEIGHTS, Scorer, Verdict
from strata.miniature.world.truth import plan_backdrop, render

LEAKING = ("colour", "surface", "style")
TRUSTED = 0.12
"""IoU of an object's box and its region's in the exact picture at least, where it is judged: patches
of objects that merge with a background of their colour are smaller."""


class ExactJudge:
    """The bundled scorer tells what is in each region's box, and patches where objects are.

    What the patches do not tell right of the exact picture of a scene (objects that touch, or have the background's
    colour) is not judged of its drawings.
    """

    name = "exact"
    settings: Mapping[str, Any] = {}

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._weights = weights
        self._known: dict[str, list[bool] | None] = {}

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer, loaded on first use."""
        return Scorer.load(self._weights)

    @property
    def error(self) -> str:
        """Of the scorer, measured on scenes that it never saw, as the autoencoder returns them."""
        wrong = ", ".join(f"{name} {100 * (1 - share):.1f} %" for name, share in self.scorer.accuracy.items())
        return f"wrong on unseen scenes in {wrong}"

    def check(self, plan: ScenePlan) -> None:
        """As of `Judge.check`: all texts of regions must be of the scene language."""
        named_things(plan)
        areas_of(plan)

    def judge(self, picture: Image.Image, plan: ScenePlan) -> JudgedPicture:
        """As of `Judge.judge`."""
        boxes, asked = areas_of(plan), asked_of(plan)
        *found, whole = self.scorer.score_batch([picture] * (len(boxes) + 1), [*boxes, None])
        things = named_things(plan)
        values: list[dict[str, str | None]] = [{name: getattr(v, name) for name in OBJECT_HEADS} for v in found]
        leaking = leaks(values, asked, LEAKING)
        there, trusted = patches(picture, _behind(plan, whole)), self._trusted(plan)
        objects = []
        for n, (region, verdict, thing) in enumerate(zip(plan.regions, found, things, strict=True)):
            patch = _patch_of(there, plan, n) if trusted is not None and trusted[n] else None
            judged = trusted is not None and trusted[n]
            objects.append(
                JudgedObject(
                    region.name,
                    asked[n],
                    verdict.right(thing),
                    {name: values[n][name] for name in asked[n]},
                    {name: verdict.probabilities[name][value] for name, value in asked[n].items()},
                    leaking[n] if len(things) > 1 else None,
                    patch.box if patch else None,
                    (box_iou(patch.box, boxes[n]) if patch else 0.0) if judged else None,
                    (patch is not None and _inside(patch, plan, n)) if judged else None,
                )
            )
        ground = whole.right(plan_backdrop(plan))
        count = len(there) == len(plan.regions) if trusted is not None else None
        return JudgedPicture(tuple(objects), count, ground or None, self.scorer.features(picture))

    def reference(self, plan: ScenePlan) -> Features | None:
        """Features of the exact picture."""
        return self.scorer.features(render(plan))

    def _trusted(self, plan: ScenePlan) -> list[bool] | None:
        """Whether the patch of each region's object is right in the exact picture; None where their number is not."""
        key = plan.to_json()
        if key not in self._known:
            there = patches(render(plan), [plan_backdrop(plan)])
            boxes, found = areas_of(plan), [_patch_of(there, plan, n) for n in range(len(plan.regions))]
            right = [
                patch is not None and _inside(patch, plan, n) and box_iou(patch.box, boxes[n]) > TRUSTED
                for n, patch in enumerate(found)
            ]
            self._known[key] = right if len(there) == len(plan.regions) else None
        return self._known[key]


def _behind(plan: ScenePlan, whole: Verdict) -> list[Backdrop]:
    """The backgrounds that a drawing may have: what was asked for, and what the scorer sees."""
    asked = plan_backdrop(plan)
    seen = Backdrop(setting=whole.setting) if whole.setting not in (None, "none") else None
    if seen is None and "none" not in (whole.pattern, whole.tone):
        seen = Backdrop(whole.pattern, whole.tone)
    return [asked] if seen is None else [asked, seen]


def _patch_of(there: list[Patch], plan: ScenePlan, number: int) -> Patch | None:
    """The patch most of which lies in a region and most of the region; None where none touches it."""
    inside = region_mask(plan, number)
    shares = [int((patch.mask & inside).sum()) ** 2 / int(patch.mask.sum()) for patch in there]
    best = max(range(len(there)), key=shares.__getitem__, default=None)
    return there[best] if best is not None and shares[best] > 0 else None


def _inside(patch: Patch, plan: ScenePlan, number: int) -> bool:
    x, y = patch.middle
    inside = region_mask(plan, number)
    return bool(inside[min(int(y), plan.height - 1), min(int(x), plan.width - 1)])
