"""Ideogram 4: one JSON object with a description of the whole, one of the background, and its elements with boxes.

The keys and their order are those that the model's publisher checks captions for (`caption_verifier.py` in
ideogram-oss/ideogram4); diffusers writes such captions too, without boxes (`pipelines/ideogram4/prompt_enhancer.py`).
Elements have no names, and one text each. A global low text is the style: `photo` where it speaks of a photograph,
else `art_style`.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field

from strata.hierarchy.errors import quote
from strata.hierarchy.file_model import AnyText, StrictModel
from strata.hierarchy.files import parse_document
from strata.hierarchy.native import (
    FRONT,
    Form,
    GridBox,
    ReadCaption,
    boxed,
    from_grid,
    front,
    joined,
    on_grid,
    plan_of,
    read_front,
    renamed,
    to_grid,
    undivided,
    unfenced,
)
from strata.hierarchy.plan import MOST_REGIONS, ScenePlan
from strata.hierarchy.validation import validate

_WHOLE = {marker: key for marker, key in FRONT.items() if key != "low"}
_WRITING = re.compile(r'the text "(.+?)"(?:, (.+))?', re.DOTALL)
"""What a region says whose element is writing."""
_STYLES = {
    "photo": ("aesthetics", "lighting", "photo", "medium"),
    "art_style": ("aesthetics", "lighting", "medium", "art_style"),
}
Palette = tuple[AnyText, ...]


class _Style(StrictModel):
    aesthetics: AnyText = ""
    lighting: AnyText = ""
    photo: AnyText = ""
    medium: AnyText = ""
    art_style: AnyText = ""
    color_palette: Palette = ()


class _Element(StrictModel):
    type: Literal["obj", "text"]
    bbox: GridBox | None = None
    text: AnyText = ""
    desc: AnyText
    color_palette: Palette = ()


class _Composition(StrictModel):
    background: AnyText
    elements: Annotated[tuple[_Element, ...], Field(max_length=MOST_REGIONS)]


class _Caption(StrictModel):
    high_level_description: AnyText = ""
    style_description: _Style | None = None
    compositional_deconstruction: _Composition


class Ideogram(Form):
    """Captions of Ideogram 4."""

    name = "ideogram"
    about = "Ideogram 4: a JSON object of background and elements"

    def held(self, plan: ScenePlan) -> tuple[ScenePlan, list[str]]:
        """All but what no form holds (`boxed`), names, and levels of regions and background."""
        plan, notes = boxed(plan)
        plan = undivided(on_grid(plan, notes), notes)
        return renamed(plan, [_name(number) for number in range(1, len(plan.regions) + 1)], notes), notes

    def write(self, plan: ScenePlan) -> str:
        """The caption on one line."""
        caption: dict[str, Any] = {"high_level_description": joined(front(plan, _WHOLE))}
        if plan.low is not None:
            key = "photo" if re.search(r"\bphoto", plan.low, re.IGNORECASE) else "art_style"
            caption["style_description"] = dict.fromkeys(_STYLES[key], "") | {key: plan.low}
        elements = []
        for region in plan.regions:
            assert region.box is not None
            assert region.full is not None
            box, writing = to_grid(region.box, plan.width, plan.height), _WRITING.fullmatch(region.full)
            if writing is not None:
                elements.append({"type": "text", "bbox": box, "text": writing[1], "desc": writing[2] or ""})
            else:
                elements.append({"type": "obj", "bbox": box, "desc": region.full})
        background = plan.background.full if plan.background is not None else ""
        caption["compositional_deconstruction"] = {"background": background, "elements": elements}
        return json.dumps(caption, ensure_ascii=False, separators=(",", ":"))

    def read(self, text: str, width: int, height: int, name: str = "<text>") -> ReadCaption:
        """As of `Form.read`; an element without a box joins the base prompt."""
        document = parse_document(unfenced(text), name, syntax="json")
        caption = validate(_Caption, document)
        notes: list[str] = []
        whole, composition = read_front(caption.high_level_description, _WHOLE), caption.compositional_deconstruction
        low = None
        if (style := caption.style_description) is not None:
            fields = ("aesthetics", "lighting", "photo", "medium", "art_style")
            low = ", ".join(told for field in fields if (told := getattr(style, field))) or None
            if style.color_palette:
                notes.append(f"style_description: color_palette {quote(style.color_palette)} is left out")
        regions: list[dict[str, Any]] = []
        for index, element in enumerate(composition.elements):
            place = ("compositional_deconstruction", "elements", index)
            told = element.desc
            if element.type == "text":
                if not element.text:
                    raise document.error((*place, "text"), "missing: of an element of type text, what is written")
                told = f'the text "{element.text}"' + (f", {told}" if told else "")
            elif element.text:
                raise document.error((*place, "text"), f"{quote(element.text)}: goes with type text, not obj")
            if not told:
                raise document.error((*place, "desc"), "must not be empty")
            if element.color_palette:
                notes.append(f"elements[{index}]: color_palette {quote(element.color_palette)} is left out")
            if element.bbox is None:
                whole["prompt"] = ", ".join(part for part in (whole["prompt"], told) if part)
                notes.append(f"elements[{index}] has no bbox: it joins the base prompt")
                continue
            box = from_grid(element.bbox, width, height)
            regions.append({"name": _name(len(regions) + 1), "box": box, "full": told})
        background = {"full": composition.background} if composition.background else None
        data = {"width": width, "height": height, "low": low, **whole, "background": background, "regions": regions}
        return ReadCaption(plan_of(data, name), tuple(notes))


FORM = Ideogram()


def _name(number: int) -> str:
    return f"element {number}"
