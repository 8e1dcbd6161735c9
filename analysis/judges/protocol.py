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
from strata.miniature.world.scorer import NONE, OBJECT_HEADS

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

    @property
    def complaint(self) -> str | None:
        """What is wrong, such as "moon: asked for red, found blue"; None where everything is there."""
        wrong = [name for name, ok in self.right.items() if not ok]
        if not wrong:
            return None
        asked = ", ".join(self.asked[name] for name in wrong)
        found = [value for name in wrong if (value := self.found.get(name)) is not None]
        told = "no whole object" if NONE in found else ", ".join(dict.fromkeys(found))
        return f"{self.region}: asked for {asked}, {f'found {told}' if told else 'which was not found'}"


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

    @property
    def disobedient(self) -> tuple[str, ...]:
        """The regions in which something is not as asked."""
        return tuple(judged.region for judged in self.objects if not judged.success)

    @property
    def background_wrong(self) -> bool:
        """Whether the background is known not to be as asked."""
        return self.background is not None and not all(self.background.values())

    @property
    def faults(self) -> tuple[int, int]:
        """How many regions are wrong, the background as one, and how much of what was asked for: fewer are better."""
        marks = [ok for judged in self.objects for ok in judged.right.values()] + [*(self.background or {}).values()]
        return len(self.disobedient) + self.background_wrong, marks.count(False)

    @property
    def complaints(self) -> tuple[str, ...]:
        """What is wrong, a line for each region and for the background; none where all is as asked."""
        found = [complaint for judged in self.objects if (complaint := judged.complaint) is not None]
        wrong = [name for name, ok in (self.background or {}).items() if not ok]
        return *found, *(
            [f"background: its {' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong"] if wrong else []
        )

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
