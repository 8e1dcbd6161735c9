"""A draft: what a user already knows of a plan (a layout without texts, texts without a layout, a style), as a file.

```yaml
style: oil painting, thick brush strokes
regions:
  - {name: lighthouse, box: [640, 40, 960, 720]}      # the planner fills in what stands there
  - {high: a small boat, low: red sail}               # the planner finds a place for it
  - {high: a moon, box: [40, 40, 200, 200]}           # only its details are open
background: {high: the sea}
```

Whatever a draft gives stands in the plan as it is; the planner fills the rest.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from strata.hierarchy.areas import box_around, pixel_mask
from strata.hierarchy.file_model import NUMBER, FileModel, Int, StrictModel, Text
from strata.hierarchy.files import read_bytes
from strata.hierarchy.plan import LARGEST_SIDE, Area, Box, Polygon, ScenePlan, Strength, Texts
from strata.llm.answer import MOST_REGIONS
from strata.llm.places import to_grid
from strata.llm.wording import Known

Side = Annotated[int, Field(gt=0, le=LARGEST_SIDE), NUMBER]


class DraftRegion(StrictModel):
    """What is known of a region; every key of a plan's region, none of them needed."""

    name: Text | None = None
    box: Box | None = None
    polygon: Polygon | None = None
    mask: Text | None = None
    mask_threshold: Annotated[float, Field(gt=0, le=1), NUMBER] = 0.5
    high: Text | None = None
    low: Text | None = None
    full: Text | None = None
    strength: Strength = Strength()
    priority: Int = 0

    @model_validator(mode="after")
    def _is_no_more_than_one_shape(self) -> Self:
        if self.placed:
            self.area("region")
        return self

    @property
    def placed(self) -> bool:
        """Whether the region has an area."""
        return any(value is not None for value in (self.box, self.polygon, self.mask))

    @property
    def content(self) -> str | None:
        """What is known of what stands there."""
        return self.high or self.full

    def area(self, name: str) -> Area:
        """The region's area, checked as a plan's."""
        keys = ("box", "polygon", "mask", "mask_threshold")
        given = {key: getattr(self, key) for key in keys if key in self.model_fields_set}
        return Area.model_validate({"name": self.name or name} | given)


class Draft(FileModel):
    """What is known of a plan before its prompt is read."""

    width: Side | None = None
    """Pixels; with `height` the canvas that the areas are drawn for, and the plan's where nothing else is asked."""
    height: Side | None = None
    style: Text | None = None
    """Of the whole image: the plan's global `low`."""
    high: Text | None = None
    """Overall composition: the plan's global `high`."""
    negative_prompt: Text | None = None
    regions: Annotated[tuple[DraftRegion, ...], Field(max_length=MOST_REGIONS)] = ()
    background: Texts | None = None
    overlap: Literal["union", "priority", "split"] | None = None
    grid: Literal["nearest", "coverage"] = "nearest"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("needs width and height, or neither")
        return self

    def as_data(self) -> dict[str, Any]:
        """The draft, with what is in its mask files."""
        masks = [self.root / region.mask for region in self.regions if region.mask is not None]
        inside = [hashlib.sha256(read_bytes(path)).hexdigest() for path in masks]
        return self.model_dump(mode="json", exclude_defaults=True) | ({"masks inside": inside} if inside else {})

    def canvas(self, width: int, height: int) -> ScenePlan:
        """The regions that have an area, on a canvas of `width` × `height` pixels, named "1", "2", … by their place.

        Raises:
            InputError: an area leaves the canvas, or a mask file cannot be used.
        """
        placed = [index for index, region in enumerate(self.regions) if region.placed]
        areas = [
            {"full": "-", **self.regions[i].area("region").model_dump(exclude_unset=True), "name": str(i + 1)}
            for i in placed
        ]
        size = {"width": self.width or width, "height": self.height or height, "prompt": ""}
        try:
            plan = ScenePlan.model_validate(size | {"regions": areas})
        except ValidationError as error:
            first = error.errors()[0]
            _, index, *rest = first["loc"]
            raise self.error(("regions", placed[int(index)], *rest), first["msg"]) from error
        plan._root = self._root
        return plan if (plan.width, plan.height) == (width, height) else plan.resized(width, height)

    def known(self, width: int, height: int) -> list[Known]:
        """What is known of each region: the box around it, and its content."""
        plan = self.canvas(width, height)
        placed = {region.name: region for region in plan.regions}
        found = []
        for number, region in enumerate(self.regions, start=1):
            box = None
            if (area := placed.get(str(number))) is not None:
                around = box_around(pixel_mask(area, width, height, plan.root))
                if around is None:
                    raise self.error(("regions", number - 1), f"covers no pixel of the {width}x{height} canvas")
                box = to_grid(around, width, height)
            found.append(Known(box, region.content))
        return found
