"""The plan: which texts apply where, as data that a person can write, read, diff and rerun."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Self

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from strata.hierarchy.errors import InputError
from strata.hierarchy.file_model import NUMBER, AnyText, FileModel, Fraction, Int, StrictModel, Text
from strata.hierarchy.files import KeyPath
from strata.hierarchy.loras import Lora, Loras

Level = Literal["high", "low", "full"]
LEVELS: tuple[Level, ...] = ("high", "low", "full")
RESERVED_NAMES = ("base", "background", "global")
"""Names of areas that every plan has, so that no region may take them."""
LARGEST_SIDE = 8192
"""Longest side of a canvas in pixels."""
FARTHEST = 10**6
"""Pixels from the origin at most of a polygon's corner; it may lie off the canvas."""
LONGEST_NAME = 200
"""Characters of a region's name."""
MOST_REGIONS, MOST_CORNERS = 100, 10_000
"""Regions of a plan, and corners of a polygon."""


@dataclass(frozen=True)
class Description:
    """One text of a plan, and where it applies."""

    area: str
    """A region's name, `"background"` or `"global"`."""
    level: Level
    text: str
    strength: float


@dataclass(frozen=True)
class PlacedLora:
    """One adapter of a plan, and where it acts."""

    area: str
    """A region's name, `"background"`, or `"global"`: everywhere."""
    lora: Lora
    path: KeyPath
    """Of its file in the plan."""


class Texts(StrictModel):
    """Descriptions by level."""

    high: Text | None = None
    """Content: subject, objects, their arrangement."""
    low: Text | None = None
    """Detail: colour, material, texture, lighting, style."""
    full: Text | None = None
    """Both, as one undivided prompt."""
    loras: Loras = ()
    """Adapters that act on the area's image tokens and its own texts alone."""

    @model_validator(mode="after")
    def _has_a_text(self) -> Self:
        if not any(self.by_level()):
            raise ValueError(f"needs a text: at least one of {', '.join(LEVELS)}")
        return self

    def by_level(self) -> Iterator[tuple[Level, str]]:
        """The texts there are, in the order of `LEVELS`."""
        texts: tuple[tuple[Level, str | None], ...] = (("high", self.high), ("low", self.low), ("full", self.full))
        return ((level, text) for level, text in texts if text is not None)


class Strength(StrictModel):
    """How strongly each level acts, 0 (not at all) to 1. In files a bare number means all three levels."""

    high: Fraction = 1.0
    low: Fraction = 1.0
    full: Fraction = 1.0

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return dict.fromkeys(LEVELS, value)
        if not isinstance(value, dict | Strength):
            raise ValueError(f"must be a number from 0 to 1, or a mapping with {', '.join(LEVELS)}")
        return value

    @model_serializer(mode="wrap")
    def _to_number(self, handler: SerializerFunctionWrapHandler) -> float | dict[str, float]:
        if self.high == self.low == self.full:
            return self.high
        levels: dict[str, float] = handler(self)
        return levels

    def of(self, level: Level) -> float:
        """The strength of one level."""
        return {"high": self.high, "low": self.low, "full": self.full}[level]


Box = tuple[Int, Int, Int, Int]
Coordinate = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST), NUMBER]
Point = tuple[Coordinate, Coordinate]
Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=MOST_CORNERS)]


class Area(StrictModel):
    """A named part of the canvas: a box, a polygon or a mask image."""

    name: Text
    box: Box | None = None
    """x1, y1, x2, y2 in pixels of the canvas; x2 and y2 are the first pixels outside."""
    polygon: Polygon | None = None
    """Corners (x, y) in pixels of the canvas, even-odd where it crosses itself; what leaves the canvas is cut off."""
    mask: Text | None = None
    """Image file, relative to the plan's folder; bright (or, with transparency, opaque) pixels are inside."""
    mask_threshold: Annotated[float, Field(gt=0, le=1), NUMBER] = 0.5
    """Brightness (0 to 1) from which a pixel of the mask is inside."""

    @field_validator("name")
    @classmethod
    def _name_is_usable(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"is reserved (reserved names: {', '.join(RESERVED_NAMES)})")
        if len(name) > LONGEST_NAME:
            raise ValueError(f"must have at most {LONGEST_NAME} characters, not {len(name)}")
        for character in "/\\\n\t":
            if character in name:
                raise ValueError(f"must not hold {character!r}")
        return name

    @field_validator("box")
    @classmethod
    def _box_has_area(cls, box: Box | None) -> Box | None:
        if box is not None:
            for first, last, axis in ((box[0], box[2], "x"), (box[1], box[3], "y")):
                if first < 0:
                    raise ValueError(f"{axis}1 must not be negative")
                if last <= first:
                    raise ValueError(f"{axis}2 must be greater than {axis}1 (a box is x1, y1, x2, y2)")
        return box

    @model_validator(mode="after")
    def _is_one_shape(self) -> Self:
        given = [kind for kind in ("box", "polygon", "mask") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of box, polygon, mask (given: {', '.join(given) or 'none'})")
        if self.mask is None and self.mask_threshold != type(self).model_fields["mask_threshold"].default:
            raise ValueError("mask_threshold needs a mask")
        return self


class Region(Texts, Area):
    """A named area with its descriptions."""

    strength: Strength = Strength()
    priority: Int = 0
    """Where the plan's overlap policy is `priority`, the highest wins, and of equals the later in the list."""

    if TYPE_CHECKING:  # what may be given, as plan files write it

        def __init__(
            self,
            *,
            name: str,
            box: Sequence[int] | None = None,
            polygon: Sequence[Sequence[float]] | None = None,
            mask: str | None = None,
            mask_threshold: float = 0.5,
            high: str | None = None,
            low: str | None = None,
            full: str | None = None,
            strength: Strength | Mapping[str, float] = ...,
            priority: int = 0,
            loras: Sequence[Lora | Mapping[str, Any]] = (),
        ) -> None: ...


class ScenePlan(FileModel):
    """Which texts apply where: the canvas, the base prompt, regions and background."""

    width: Annotated[int, Field(gt=0, le=LARGEST_SIDE), NUMBER]
    """Pixels."""
    height: Annotated[int, Field(gt=0, le=LARGEST_SIDE), NUMBER]
    """Pixels."""
    prompt: AnyText
    """The base prompt, visible to the whole image."""
    negative_prompt: AnyText | None = None
    high: Text | None = None
    """Overall composition: visible everywhere, at level `high`."""
    low: Text | None = None
    """Overall style: visible everywhere, at level `low`."""
    regions: Annotated[tuple[Region, ...], Field(max_length=MOST_REGIONS)] = ()
    background: Texts | None = None
    """Texts of the part of the canvas outside all regions; where they are missing, the routing decides."""
    loras: Loras = ()
    """Adapters that act on the whole model, as they do without a plan."""
    overlap: Literal["union", "priority", "split"] | None = None
    """Where regions overlap, the texts of all of them are visible (`union`) or of one: of the region of the highest
    priority (`priority`), or of the nearest (`split`, see `splitting`). None: as the routing says."""
    grid: Literal["nearest", "coverage"] = "nearest"
    """How areas become image tokens; see `grid.py`."""
    provenance: dict[str, JsonValue] | None = None
    """Where the plan comes from; kept, never interpreted."""

    if TYPE_CHECKING:  # what may be given, as plan files write it

        def __init__(
            self,
            *,
            width: int,
            height: int,
            prompt: str,
            negative_prompt: str | None = None,
            high: str | None = None,
            low: str | None = None,
            regions: Sequence[Region | Mapping[str, Any]] = (),
            background: Texts | Mapping[str, Any] | None = None,
            loras: Sequence[Lora | Mapping[str, Any]] = (),
            overlap: Literal["union", "priority", "split"] | None = None,
            grid: Literal["nearest", "coverage"] = "nearest",
            provenance: Mapping[str, Any] | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _regions_fit(self) -> Self:
        first: dict[str, int] = {}
        for index, region in enumerate(self.regions):
            if region.name in first:
                _refuse(("regions", index, "name"), region.name, f"already the name of regions[{first[region.name]}]")
            first[region.name] = index
            if region.box is not None:
                if region.box[2] > self.width or region.box[3] > self.height:
                    _refuse(("regions", index, "box"), region.box, f"leaves the {self.width}x{self.height} canvas")
            elif region.polygon is not None:
                xs, ys = zip(*region.polygon, strict=True)
                if max(xs) <= 0 or max(ys) <= 0 or min(xs) >= self.width or min(ys) >= self.height:
                    message = f"lies outside the {self.width}x{self.height} canvas"
                    _refuse(("regions", index, "polygon"), region.polygon, message)
        return self

    def _contents(self) -> dict[str, Any]:
        contents = super()._contents()
        for region in contents.get("regions", ()):
            if "polygon" in region:
                region["polygon"] = [[_short(x), _short(y)] for x, y in region["polygon"]]
        return contents

    def placed_loras(self) -> tuple[PlacedLora, ...]:
        """Every adapter: the plan's own, each region's, then the background's."""
        found = [PlacedLora("global", lora, ("loras", n, "file")) for n, lora in enumerate(self.loras)]
        for index, region in enumerate(self.regions):
            path = ("regions", index, "loras")
            found += [PlacedLora(region.name, lora, (*path, n, "file")) for n, lora in enumerate(region.loras)]
        if self.background is not None:
            own = self.background.loras
            found += [PlacedLora("background", a, ("background", "loras", n, "file")) for n, a in enumerate(own)]
        return tuple(found)

    def with_loras(self, move: Callable[[str], str]) -> Self:
        """The same plan with other paths for its LoRA files."""

        def moved(loras: Loras) -> Loras:
            return tuple(lora.moved(move(lora.file)) for lora in loras)

        changes: dict[str, Any] = {"loras": moved(self.loras)}
        changes["regions"] = tuple(r.model_copy(update={"loras": moved(r.loras)}) for r in self.regions)
        if self.background is not None:
            changes["background"] = self.background.model_copy(update={"loras": moved(self.background.loras)})
        return self.model_copy(update=changes) if self.placed_loras() else self

    def save(self, path: str | os.PathLike[str]) -> None:
        """As of `FileModel`. Files stay where they are: the saved plan names them relative to its own folder."""
        FileModel.save(self._moved(Path(path).parent), path)

    def _moved(self, folder: Path) -> Self:
        """The same plan with its mask and LoRA files named relative to `folder`."""
        if folder.resolve() == self.root.resolve():
            return self
        regions = tuple(
            region if region.mask is None else region.model_copy(update={"mask": self._file_from(folder, region.mask)})
            for region in self.regions
        )
        moved = self.model_copy(update={"regions": regions}).with_loras(lambda file: self._lora_from(folder, file))
        moved._root = folder
        return moved

    def _lora_from(self, folder: Path, file: str) -> str:
        return self._file_from(folder, file) if (self.root / file).exists() else file  # else of the hub

    def _file_from(self, folder: Path, file: str) -> str:
        if PurePath(file).is_absolute():
            return file
        target = (self.root / file).resolve()
        try:
            return Path(os.path.relpath(target, folder.resolve())).as_posix()
        except ValueError:  # another drive
            return target.as_posix()

    def descriptions(self) -> tuple[Description, ...]:
        """Every text but the prompts: the global ones, each region's, then the background's; by level within each."""
        found: list[Description] = []
        if self.high is not None:
            found.append(Description("global", "high", self.high, 1.0))
        if self.low is not None:
            found.append(Description("global", "low", self.low, 1.0))
        for region in self.regions:
            for level, text in region.by_level():
                found.append(Description(region.name, level, text, region.strength.of(level)))
        if self.background is not None:
            found += [Description("background", level, text, 1.0) for level, text in self.background.by_level()]
        return tuple(found)

    def resized(self, width: int, height: int) -> Self:
        """The same layout on a canvas of `width` x `height` pixels.

        Boxes are rounded to whole pixels but keep at least one; mask files are resized when they are read.

        Raises:
            InputError: a side that is not from 1 to `LARGEST_SIDE`, or a polygon's corner that would then lie further
                than `FARTHEST` off.
        """
        for name, side in (("width", width), ("height", height)):
            if not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
                raise InputError(f"{name}: {side}: must be a whole number from 1 to {LARGEST_SIDE}")
        x_scale, y_scale = width / self.width, height / self.height
        regions = []
        for index, region in enumerate(self.regions):
            if region.box is not None:
                x1, x2 = pixel_span(region.box[0] * x_scale, region.box[2] * x_scale, width)
                y1, y2 = pixel_span(region.box[1] * y_scale, region.box[3] * y_scale, height)
                region = region.model_copy(update={"box": (x1, y1, x2, y2)})
            elif region.polygon is not None:
                polygon = tuple((x * x_scale, y * y_scale) for x, y in region.polygon)
                if max(abs(value) for corner in polygon for value in corner) > FARTHEST:
                    message = f"has a corner more than {FARTHEST} pixels off at {width}x{height}; move it nearer"
                    raise self.error(("regions", index, "polygon"), message)
                region = region.model_copy(update={"polygon": polygon})
            regions.append(region)
        return self.model_copy(update={"width": width, "height": height, "regions": tuple(regions)})


def pixel_span(first: float, last: float, size: int) -> tuple[int, int]:
    """Rounded to whole pixels of `size`, at least one of them."""
    start, end = round(first), round(last)
    if start < end:
        return start, end
    start = min(start, size - 1)
    return start, start + 1


def _short(value: float) -> float | int:
    """A whole number without its `.0`, as a person would write it."""
    return int(value) if value.is_integer() else value


def _refuse(path: KeyPath, value: object, message: str) -> NoReturn:
    """Fails a model's validation at a place inside it."""
    details = InitErrorDetails(type=PydanticCustomError("layout", message), loc=path, input=value)
    raise ValidationError.from_exception_data("ScenePlan", [details])
