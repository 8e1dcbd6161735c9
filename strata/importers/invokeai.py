"""InvokeAI canvases: regional guidance, as the metadata of its pictures and its saved canvases hold them, in JSON.

Source: invoke-ai/InvokeAI, `features/controlLayers/store/types.ts` (regional guidance with `objects`, InvokeAI 5 and 6;
`control_layers` with `maskObjects`, InvokeAI 4) and the metadata of a picture: `positive_prompt`, `negative_prompt`,
`width`, `height`, `canvas_v2_metadata`. A region of one rectangle is its box; strokes and several objects become the
box around them, and that is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from strata.hierarchy.errors import quote
from strata.hierarchy.file_model import AnyText
from strata.hierarchy.files import Document, KeyPath, parse_document
from strata.hierarchy.placing import Placed, placed_plan
from strata.hierarchy.validation import validate
from strata.importers.protocol import Imported, Importer
from strata.readers.rows import Coordinate, Row, Side

Length = Annotated[Coordinate, Field(gt=0)]


class _Point(Row):
    x: Coordinate = 0.0
    y: Coordinate = 0.0


class _Rect(_Point):
    width: Length
    height: Length


class _Image(Row):
    width: Length
    height: Length


class _Object(_Point):
    """A shape of a mask; which keys it has depends on its type."""

    type: str
    tool: str | None = None
    rect: _Rect | None = None
    width: Length | None = None
    height: Length | None = None
    points: tuple[Coordinate, ...] | tuple[_Point, ...] = ()
    strokeWidth: Annotated[Coordinate, Field(ge=0)] = 0.0
    image: _Image | None = None


class _Region(Row):
    name: AnyText | None = None
    isEnabled: bool = True
    position: _Point = _Point()
    x: Coordinate = 0.0
    y: Coordinate = 0.0
    objects: tuple[_Object, ...] = ()
    maskObjects: tuple[_Object, ...] = ()
    positivePrompt: AnyText | None = None
    negativePrompt: AnyText | None = None
    referenceImages: tuple[Any, ...] = ()
    ipAdapters: tuple[Any, ...] = ()
    autoNegative: bool | str = False


class _Frame(Row):
    rect: _Rect


class _Canvas(Row):
    """Of any of the forms: keys that one has and another has not."""

    positive_prompt: AnyText | None = None
    positivePrompt: AnyText | None = None
    negative_prompt: AnyText | None = None
    negativePrompt: AnyText | None = None
    width: Side | None = None
    height: Side | None = None
    bbox: _Frame | None = None


_OTHERS = {
    "rasterLayers": "raster layers",
    "controlLayers": "control layers",
    "inpaintMasks": "inpaint masks",
    "referenceImages": "reference images",
    "vectorLayers": "vector layers",
}


class InvokeAI(Importer):
    """Regional guidance of InvokeAI."""

    name = "invokeai"
    about = "InvokeAI: regional guidance of a canvas, as JSON"
    chunks = ("invokeai_metadata",)

    def read(self, text: str, width: int | None, height: int | None, name: str = "<text>") -> list[Imported]:
        """As of `Importer.read`; where the file has the frame that is drawn (`bbox`), boxes count from its corner."""
        document = parse_document(text, name, syntax="json")
        whole = validate(_Canvas, document)
        notes: list[str] = []
        where, regions = _regions(document)
        frame = _frame(document, where, whole)
        if frame is None:
            canvas = self.canvas(width or whole.width, height or whole.height)
            corner = (0.0, 0.0)
            frame = _Rect(width=whole.width or canvas[0], height=whole.height or canvas[1])
        else:
            canvas, corner = (width or round(frame.width), height or round(frame.height)), (frame.x, frame.y)
        items = [item for place, data in regions for item in _placed(document, place, data, corner, notes)]
        _tell_others(document, where, notes)
        prompt = whole.positive_prompt or whole.positivePrompt or ""
        if not prompt:
            notes.append(f"{name}: has no positive_prompt: the base prompt is empty")
        negative = whole.negative_prompt or whole.negativePrompt or None
        size = (frame.width, frame.height)
        plan = placed_plan(document, items, size, canvas, notes, prompt=prompt, negative_prompt=negative)
        return [Imported(Path(name).stem, plan, tuple(notes))]


def _at(data: Any, *keys: str | int) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) and isinstance(key, str) else None
    return data


def _regions(document: Document) -> tuple[KeyPath, list[tuple[KeyPath, Any]]]:
    """Where the canvas is in the file, and its regions with their places."""
    for where in (("canvas_v2_metadata",), ("canvas",), ("canvasV2",), ()):
        for inner in (("regionalGuidance",), ("regionalGuidance", "entities"), ("regions", "entities")):
            if isinstance(found := _at(document.data, *where, *inner), list):
                return where, [((*where, *inner, n), data) for n, data in enumerate(found)]
    for where in (("control_layers",), ("controlLayers",), ()):
        if isinstance(found := _at(document.data, *where, "layers"), list):
            told = [((*where, "layers", n), data) for n, data in enumerate(found)]
            return where, [one for one in told if _at(one[1], "type") == "regional_guidance_layer"]
    message = "must hold canvas_v2_metadata.regionalGuidance, regionalGuidance or control_layers.layers"
    raise document.error((), f"holds no regional guidance: {message}")


def _frame(document: Document, where: KeyPath, whole: _Canvas) -> _Rect | None:
    """What of the canvas is drawn."""
    if whole.bbox is not None:
        return whole.bbox.rect
    data = document.data
    for key in where:
        data = data[key]
    if where and isinstance(data, dict) and "bbox" in data:
        lines = {place[len(where) :]: line for place, line in document.lines.items() if place[: len(where)] == where}
        return validate(
            _Frame, Document(data["bbox"], document.name, document.root, {(): lines.get(("bbox",), 1)})
        ).rect
    return None


def _placed(
    document: Document, place: KeyPath, data: Any, corner: tuple[float, float], notes: list[str]
) -> Iterator[Placed]:
    """The region of an entity; none where it is off, or has no text or no shape."""

    def tell(message: str) -> None:
        notes.append(str(document.error(place, message)))

    lines = {path[len(place) :]: line for path, line in document.lines.items() if path[: len(place)] == place}
    region = validate(_Region, Document(data, document.name, document.root, lines))
    called = quote(region.name or region.positivePrompt or place[-1])
    if not region.isEnabled:
        tell(f"{called} is switched off; it is left out")
        return
    for key in ("negativePrompt", "referenceImages", "ipAdapters"):
        if value := getattr(region, key):
            tell(f"{called}: {key} {quote(value) if isinstance(value, str) else f'({len(value)})'} is left out")
    if region.autoNegative not in (False, "off"):
        tell(f"{called}: autoNegative is left out: other regions do not have its text as a negative one")
    if not region.positivePrompt:
        tell(f"{called} has no positivePrompt; it is left out")
        return
    shapes = region.objects or region.maskObjects
    drawn = [shape for shape in shapes if not (shape.type.startswith("eraser") or shape.tool == "eraser")]
    if len(drawn) < len(shapes):
        tell(f"{called}: what the eraser took away is left out (strokes: {len(shapes) - len(drawn)})")
    boxes = [box for shape in drawn if (box := _box(shape)) is not None]
    if not boxes:
        tell(f"{called} has no shape that the file holds; its text {quote(region.positivePrompt)} is left out")
        return
    if len(boxes) > 1 or drawn[0].type not in ("rect", "vector_mask_rect"):
        tell(f"{called}: its shape becomes the box around it ({_shapes(drawn)})")
    x, y = region.position.x + region.x - corner[0], region.position.y + region.y - corner[1]
    x1, y1, x2, y2 = (pick(box[n] for box in boxes) for n, pick in enumerate((min, min, max, max)))
    text = region.positivePrompt
    yield Placed((x1 + x, y1 + y, x2 + x, y2 + y), place, region.name or text, full=text)


def _box(shape: _Object) -> tuple[float, float, float, float] | None:
    """The box around a shape; None where the file does not tell it."""
    if shape.rect is not None:
        rect = shape.rect
        return rect.x, rect.y, rect.x + rect.width, rect.y + rect.height
    if shape.width is not None and shape.height is not None:
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    if shape.image is not None:
        return shape.x, shape.y, shape.x + shape.image.width, shape.y + shape.image.height
    if not shape.points:
        return None
    flat = [side for p in shape.points for side in ((p.x, p.y) if isinstance(p, _Point) else (p,))]
    step = 3 if "pressure" in shape.type else 2
    xs, ys, half = flat[0::step], flat[1::step], shape.strokeWidth / 2
    return min(xs) - half, min(ys) - half, max(xs) + half, max(ys) + half


def _shapes(shapes: list[_Object]) -> str:
    kinds = dict.fromkeys(shape.type for shape in shapes)
    return ", ".join(f"{sum(shape.type == kind for shape in shapes)} {kind}" for kind in kinds)


def _tell_others(document: Document, where: KeyPath, notes: list[str]) -> None:
    for key, called in _OTHERS.items():
        found = _at(document.data, *where, key)
        found = found.get("entities") if isinstance(found, dict) else found
        if isinstance(found, list) and found:
            notes.append(str(document.error((*where, key), f"{called} are left out ({len(found)})")))


IMPORTER = InvokeAI()
