"""Plans as the structured captions that models of today are trained on, and back: what every such form shares.

A form is a file with a `FORM`. What it cannot hold is left out in the open: `Form.held` is the plan without it, with a
note for each loss, and reading a caption back gives exactly that plan.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from strata.hierarchy.areas import box_around, region_mask
from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.file_model import NUMBER
from strata.hierarchy.files import Document
from strata.hierarchy.plan import Box, Region, ScenePlan, Texts, pixel_span
from strata.hierarchy.validation import validate

GRID = 1000
"""Steps of a side in the boxes of FLUX.3 and Ideogram 4."""
LARGEST_CAPTION = 2 * 2**20
"""Bytes of a caption's file."""


@dataclass(frozen=True)
class NativeCaption:
    """A plan as a model's own caption."""

    text: str
    notes: tuple[str, ...]
    """What of the plan the caption does not hold, a line each."""


@dataclass(frozen=True)
class ReadCaption:
    """A caption as a plan."""

    plan: ScenePlan
    notes: tuple[str, ...]
    """What of the caption the plan does not hold, or holds otherwise, a line each."""


class Form(ABC):
    """One model's structured captions."""

    name: str
    """What the command line calls it."""
    about: str
    """Whose captions these are."""

    @abstractmethod
    def held(self, plan: ScenePlan) -> tuple[ScenePlan, list[str]]:
        """What of a plan the form can hold, as the plan that reading gives back; and a note for each loss.

        Raises:
            InputError: the form cannot hold it at all.
        """

    @abstractmethod
    def write(self, plan: ScenePlan) -> str:
        """The caption of a plan that `held` gave."""

    @abstractmethod
    def read(self, text: str, width: int, height: int, name: str = "<text>") -> ReadCaption:
        """The plan that a caption describes, on a canvas of `width` × `height` pixels.

        Args:
            text: the caption, of anyone and in any state.
            width: of the canvas, in pixels.
            height: of the canvas, in pixels.
            name: what messages call the text.

        Raises:
            InputError: the caption is damaged; names line, field, value and what would be valid.
        """

    def caption(self, plan: ScenePlan) -> NativeCaption:
        """The caption of a plan, with a note for whatever is not read back from it.

        Raises:
            InputError: as of `held`; or an area cannot be used, as of `region_mask`.
        """
        held, notes = self.held(plan)
        text = self.write(held)
        try:
            same = self.read(text, plan.width, plan.height).plan == held
        except InputError:
            same = False
        if not same:
            notes.append("a text looks like a part of the form itself: import reads this caption otherwise")
        return NativeCaption(text, tuple(notes))


_FENCE = re.compile(r"^[ \t]*```[ \t]*(?:json|text)?[ \t]*$", re.MULTILINE)


def unfenced(text: str) -> str:
    """A text without the fences that language models put around code; lines keep their numbers."""
    return _FENCE.sub("", text).rstrip()


# Boxes --------------------------------------------------------------------------------------------------------------


def _is_box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    y1, x1, y2, x2 = box
    if max(box) <= 1:
        raise ValueError(f"must count in steps from 0 to {GRID}, not in shares of the sides")
    for first, last, axis in ((y1, y2, "y"), (x1, x2, "x")):
        if last <= first:
            raise ValueError(f"{axis}_max must be greater than {axis}_min (a box is y_min, x_min, y_max, x_max)")
    return box


Step = Annotated[float, Field(ge=0, le=GRID), NUMBER]
GridBox = Annotated[tuple[Step, Step, Step, Step], AfterValidator(_is_box)]
"""y_min, x_min, y_max, x_max in steps of the sides."""


def to_grid(box: Box, width: int, height: int) -> list[int]:
    """A box in pixels as y_min, x_min, y_max, x_max in steps; at least a step wide and high."""
    x1, x2 = pixel_span(box[0] * GRID / width, box[2] * GRID / width, GRID)
    y1, y2 = pixel_span(box[1] * GRID / height, box[3] * GRID / height, GRID)
    return [y1, x1, y2, x2] if max(x2, y2) > 1 else [0, 0, 2, 2]  # which could be shares of the sides


def from_grid(box: Sequence[float], width: int, height: int) -> Box:
    """A box in steps (y first) as x1, y1, x2, y2 in pixels; at least a pixel wide and high."""
    x1, x2 = pixel_span(box[1] * width / GRID, box[3] * width / GRID, width)
    y1, y2 = pixel_span(box[0] * height / GRID, box[2] * height / GRID, height)
    return x1, y1, x2, y2


def on_grid(plan: ScenePlan, notes: list[str]) -> ScenePlan:
    """The plan with every box as the grid tells it, and a note of how far the farthest side moves."""
    size = plan.width, plan.height
    moved = [from_grid(to_grid(region.box, *size), *size) for region in plan.regions if region.box]
    sides = [
        abs(a - b) for r, box in zip(plan.regions, moved, strict=True) for a, b in zip(r.box or (), box, strict=True)
    ]
    if any(sides):
        notes.append(f"boxes are told in {GRID} steps of a side: theirs move by up to {max(sides)} px")
    boxed = [region.model_copy(update={"box": box}) for region, box in zip(plan.regions, moved, strict=True)]
    return plan.model_copy(update={"regions": tuple(boxed)})


# Plans --------------------------------------------------------------------------------------------------------------


def boxed(plan: ScenePlan) -> tuple[ScenePlan, list[str]]:
    """The plan as no form holds more of it: regions are boxes with texts, and nothing is weighed.

    Returns:
        The plan, and a note for everything it lost.

    Raises:
        InputError: an area covers no pixel, or its mask file cannot be used.
    """
    notes = []
    for key, default in (("negative_prompt", None), ("overlap", None), ("grid", "nearest"), ("provenance", None)):
        value = getattr(plan, key)
        if value != default:
            notes.append(f"{key} {quote(value)} is left out")
    if plan.loras or (plan.background is not None and plan.background.loras):
        notes.append("loras are left out")
    regions = []
    for index, region in enumerate(plan.regions):
        box = region.box
        if box is None:
            box = box_around(region_mask(plan, index))
            kind = "polygon" if region.polygon is not None else "mask"
            if box is None:
                raise plan.error(("regions", index, kind), f"covers no pixel of the {plan.width}x{plan.height} canvas")
            notes.append(f"{quote(region.name)}: its {kind} becomes the box around it, {list(box)}")
        if (strength := region.model_dump()["strength"]) != 1:
            notes.append(f"{quote(region.name)}: strength {quote(strength)} is left out")
        if region.loras:
            notes.append(f"{quote(region.name)}: loras are left out")
        if region.priority:
            notes.append(f"{quote(region.name)}: priority {region.priority} is left out")
        regions.append(Region(name=region.name, box=box, high=region.high, low=region.low, full=region.full))
    kept = {key: getattr(plan, key) for key in ("width", "height", "prompt", "high", "low", "background")}
    return ScenePlan(**kept, regions=regions), notes


def one_text(texts: Texts) -> str:
    """The texts of an area in one: the full one where there is one, else "high, low"."""
    return texts.full or ", ".join(text for _, text in texts.by_level())


def undivided(plan: ScenePlan, notes: list[str]) -> ScenePlan:
    """The plan with one full text an area, and a note of what that joins or leaves out."""
    areas: list[tuple[str, Texts]] = [(region.name, region) for region in plan.regions]
    areas += [("background", plan.background)] if plan.background is not None else []
    if any(texts.full is None for _, texts in areas):
        notes.append("high and low texts of an area become one full text")
    for name, texts in areas:
        if texts.full is not None and (texts.high or texts.low):
            notes.append(f"{quote(name)}: has a full text, so its high and low ones are left out")
    only = {"high": None, "low": None}
    regions = tuple(region.model_copy(update=only | {"full": one_text(region)}) for region in plan.regions)
    background = None if plan.background is None else Texts(full=one_text(plan.background))
    return plan.model_copy(update={"regions": regions, "background": background})


def renamed(plan: ScenePlan, names: Sequence[str], notes: list[str]) -> ScenePlan:
    """The plan with these names of its regions, and a note of those that change."""
    pairs = list(zip(plan.regions, names, strict=True))
    changed = [f"{quote(region.name)} {quote(name)}" for region, name in pairs if region.name != name]
    if changed:
        notes.append(f"names that the form cannot hold; import calls {', '.join(changed)}")
    regions = tuple(region.model_copy(update={"name": name}) for region, name in pairs)
    return plan.model_copy(update={"regions": regions})


def spaced(text: str) -> str:
    """A text on one line: every line break and tab is a space."""
    return re.sub(r"\s", " ", text) if not text.isprintable() else text


# Texts in one ------------------------------------------------------------------------------------------------------


FRONT = {"Style": "low", "Composition": "high", "Scene": "prompt"}
"""The words that the texts of the whole image stand behind, in their order, and the keys of a plan they are."""
PART = r"(?:^|; |(?<=[.!?]) )"
"""What a part of a text begins behind, as a pattern."""


def joined(parts: Sequence[str]) -> str:
    """Parts as one text: behind the end of a sentence stands a space, else a semicolon."""
    text = ""
    for part in parts:
        between = "" if not text else " " if text[-1] in ".!?" else "; "
        text += between + part
    return text


def sections(text: str, markers: Mapping[str, str]) -> dict[str, str] | None:
    """The texts behind markers that stand in their order, by their keys; None where the text begins with none."""
    order = list(markers)
    found: list[re.Match[str]] = []
    for match in re.finditer(rf"{PART}({'|'.join(order)}): ", text):
        if not found or order.index(match[1]) > order.index(found[-1][1]):
            found.append(match)
    if not found or found[0].start() > 0:
        return None
    ends = [*(match.start() for match in found[1:]), len(text)]
    return {markers[match[1]]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


def front(plan: ScenePlan, markers: Mapping[str, str]) -> list[str]:
    """The texts of the whole image, global ones in front, each behind its marker; a prompt alone needs none."""
    parts = [f"{m}: {text}" for m, key in markers.items() if key != "prompt" and (text := getattr(plan, key))]
    if plan.prompt:
        marked = parts or sections(plan.prompt, markers) is not None
        parts.append(f"Scene: {plan.prompt}" if marked else plan.prompt)
    return parts


def read_front(text: str, markers: Mapping[str, str]) -> dict[str, str]:
    """What `front` made one text of, by the keys of a plan; any other text is its prompt."""
    found = sections(text, markers)
    return {"prompt": text} if found is None else {"prompt": "", **found}


def plan_of(data: dict[str, Any], name: str) -> ScenePlan:
    """The plan of what was read. Raises `InputError`, which names the field and its value."""
    return validate(ScenePlan, Document(data, name, Path(), {}))
