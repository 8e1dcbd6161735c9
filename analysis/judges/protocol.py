"""What every judge is: pictures and their plans in, what was found of each region out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.hierarchy.areas import box_around, region_mask
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Box, Region, ScenePlan
from strata.miniature.world.reading import parse_thing
from strata.miniature.world.scorer import OBJECT_HEADS

Features = NDArray[np.float32]


@dataclass(frozen=True)
class JudgedObject:
    """What was found of one region.

    Attributes:
        region: its name.
        asked: attributes with the values that its texts ask for; of texts in words of no known language, the levels
            with the texts.
        right: whether each is there.
        found: what is there instead or as asked, where the judge can tell; None where it cannot.
        sure: the judge's probability of each, 0 to 1.
        leak: whether something that is wrong is another region's; None where that is not judged.
        box: around the object, in pixels; None where none was found.
        iou: of that box and the region's; None where it is not judged, 0 where nothing was found.
        placed: whether the object's middle lies in the region; None where it is not judged.
    """

    region: str
    asked: Mapping[str, str]
    right: Mapping[str, bool]
    found: Mapping[str, str | None] = field(default_factory=dict)
    sure: Mapping[str, float] = field(default_factory=dict)
    leak: bool | None = None
    box: Box | None = None
    iou: float | None = None
    placed: bool | None = None

    @property
    def success(self) -> bool:
        """Whether everything asked for is there."""
        return all(self.right.values())


@dataclass(frozen=True)
class JudgedPicture:
    """What was found of a picture.

    Attributes:
        objects: one a region, in the plan's order.
        count: whether there are as many objects as regions; None where it is not judged.
        background: attributes of the background, and whether they are right; None where it is not judged.
        features: of the whole picture, for distances; None where the judge has none.
    """

    objects: tuple[JudgedObject, ...]
    count: bool | None = None
    background: Mapping[str, bool] | None = None
    features: Features | None = None

    def as_data(self) -> dict[str, Any]:
        """For JSON, without the features; probabilities rounded."""
        rows = []
        for judged in self.objects:
            row = asdict(judged) | {"success": judged.success}
            row["sure"] = {name: round(float(value), 4) for name, value in judged.sure.items()}
            row["iou"] = None if judged.iou is None else round(judged.iou, 4)
            rows.append(row)
        ground = None if self.background is None else dict(self.background)
        return {"objects": rows, "count": self.count, "background": ground}


class Judge(Protocol):
    """Judges pictures of plans."""

    @property
    def name(self) -> str:
        """Of its folder."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides its verdicts, such as its model: results of other settings are not mixed."""

    @property
    def error(self) -> str:
        """How often it is wrong itself, in words; or that this is not known."""

    def check(self, plan: ScenePlan) -> None:
        """Raises `InputError` for a plan that it cannot judge."""

    def judge(self, picture: Image.Image, plan: ScenePlan) -> JudgedPicture:
        """What a picture of a plan holds."""

    def reference(self, plan: ScenePlan) -> Features | None:
        """Features of the picture that the plan asks for, where that is known."""


def areas_of(plan: ScenePlan, size: tuple[int, int] | None = None) -> list[Box]:
    """The box around every region, in pixels of a picture of this size (None: the plan's). Raises `InputError`."""
    wide, tall = (1.0, 1.0) if size is None else (size[0] / plan.width, size[1] / plan.height)
    found = []
    for number, region in enumerate(plan.regions):
        box = box_around(region_mask(plan, number))
        if box is None:
            raise InputError(f"region {region.name}: lies outside the canvas, so there is nothing to judge")
        x1, y1, x2, y2 = box
        found.append((round(x1 * wide), round(y1 * tall), round(x2 * wide), round(y2 * tall)))
    return found


def asked_of(plan: ScenePlan) -> list[dict[str, str]]:
    """What every region's texts ask for: kind, colour, surface, style where all speak the miniature's language, else
    their texts by level."""
    try:
        things = [parse_thing(", ".join(text for _, text in region.by_level())) for region in plan.regions]
        named = [{name: value for name in OBJECT_HEADS if (value := getattr(t, name))} for t in things]
        if all(named):
            return named
    except InputError:
        pass
    return [dict(region.by_level()) for region in plan.regions]


def content_of(region: Region) -> str:
    """What a region's texts say is there, without its detail where that is a text of its own."""
    return region.high or region.full or region.low or region.name


def leaks(
    found: Sequence[Mapping[str, str | None]], asked: Sequence[Mapping[str, str]], names: Sequence[str]
) -> list[bool]:
    """For each region whether something that is wrong is what another region asks for.

    Args:
        found: values by attribute, a region each.
        asked: likewise.
        names: of the attributes that count.
    """
    told = []
    for number, (there, own) in enumerate(zip(found, asked, strict=True)):
        others = [other for n, other in enumerate(asked) if n != number]
        told.append(
            any(
                there.get(name) is not None
                and there[name] != own[name]
                and any(other.get(name) == there[name] for other in others)
                for name in names
                if name in own
            )
        )
    return told
