"""ComfyUI workflows: texts and the areas that `ConditioningSetArea` gives them, on their way to a sampler.

Source: `nodes.py` of comfyanonymous/ComfyUI. Both forms of a file: that of the API (numbers of nodes, each with
`class_type` and `inputs`) and that of the editor (`nodes` with `widgets_values`, and `links`). A text without an area
is part of the base prompt. Nodes that are not known are passed through, and told; one that is called a text encoder and
has a text is taken for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.files import Document, KeyPath, parse_document
from strata.hierarchy.placing import Placed, placed_plan
from strata.hierarchy.plan import LARGEST_SIDE
from strata.importers.protocol import Imported, Importer, joined

_WIDGETS: dict[str, tuple[str, ...]] = {
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSDXL": ("width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l"),
    "ConditioningSetArea": ("width", "height", "x", "y", "strength"),
    "ConditioningSetAreaPercentage": ("width", "height", "x", "y", "strength"),
    "ConditioningSetAreaStrength": ("strength",),
    "ConditioningSetMask": ("strength", "set_cond_area"),
}
"""The order in which the editor stores what the API names."""
_TEXTS = {"CLIPTextEncode": "text", "CLIPTextEncodeFlux": "t5xxl", "CLIPTextEncodeSDXL": "text_g"}
_JOINING = ("ConditioningCombine", "ConditioningConcat", "ConditioningAverage")
_OFF = 0
"""The editor's mode of a node that runs."""
DEEPEST = 100
"""Nodes between a sampler and a text."""
MOST_TEXTS = 1000


Source = tuple[str, int]
"""A node's number, and which of its outputs."""


@dataclass(frozen=True)
class Node:
    """One node of either form."""

    kind: str
    place: KeyPath
    values: Mapping[str, Any]
    """Inputs that are values."""
    links: Mapping[str, Source]
    """Inputs that come from another node; in the file's order."""
    runs: bool = True


@dataclass(frozen=True)
class Told:
    """A text on its way to the sampler."""

    text: str
    place: KeyPath
    area: tuple[float, float, float, float] | None = None
    """x, y, width, height: pixels, or shares of the sides."""
    shares: bool = False
    strength: float = 1.0


@dataclass
class _Walk:
    document: Document
    nodes: Mapping[str, Node]
    notes: list[str]
    passed: set[str] = field(default_factory=set)
    found: dict[Source, list[Told]] = field(default_factory=dict)
    """What was found before an output; many may lead to one."""

    def tell(self, node: Node, message: str) -> None:
        note = str(self.document.error(node.place, f"{node.kind}: {message}"))
        if note not in self.passed:
            self.passed.add(note)
            self.notes.append(note)


class ComfyUI(Importer):
    """Workflows of ComfyUI with areas."""

    name = "comfyui"
    about = "ComfyUI: a workflow whose texts have areas, as JSON"
    chunks = ("prompt", "workflow")

    def read(self, text: str, width: int | None, height: int | None, name: str = "<text>") -> list[Imported]:
        """As of `Importer.read`; the canvas is that of the sampler's empty latent."""
        document = parse_document(text, name, syntax="json")
        notes: list[str] = []
        nodes = _nodes(document)
        walk = _Walk(document, nodes, notes)
        number, positive = _sampler(walk)
        sampler = nodes[number]
        told = _texts(walk, positive, 0)
        found = _latent(walk, sampler)
        size = self.canvas(width or found[0], height or found[1])
        source = (found[0] or size[0], found[1] or size[1])
        items, base = [], []
        for one in told:
            if not one.text.strip():
                continue
            if one.area is None:
                base.append(one.text)
                continue
            x, y, wide, high = one.area
            across, down = source if one.shares else (1, 1)
            box = (x * across, y * down, (x + wide) * across, (y + high) * down)
            if one.strength > 1:
                notes.append(str(document.error(one.place, f"strength {one.strength:g} becomes 1, the most of a plan")))
            more = (("strength", one.strength),) if one.strength < 1 else ()
            items.append(Placed(box, one.place, one.text, full=one.text, more=more, written=one.area))
        negative = sampler.links.get("negative")
        against = _texts(walk, negative, 0) if negative is not None else []
        if any(one.area is not None for one in against):
            walk.tell(sampler, "areas of negative texts are left out: they become the plan's negative prompt")
        wrong = joined(one.text for one in against) or None
        plan = placed_plan(document, items, source, size, notes, prompt=joined(base), negative_prompt=wrong)
        return [Imported(Path(name).stem, plan, tuple(notes))]


# The graph ------------------------------------------------------------------------------------------------------------


def _nodes(document: Document) -> dict[str, Node]:
    data = document.data
    if isinstance(data.get("nodes"), list):
        return _of_editor(document)
    inner: KeyPath = ("prompt",) if isinstance(data.get("prompt"), dict) else ()
    found = {}
    for number, told in (data["prompt"] if inner else data).items():
        place = (*inner, number)
        if not isinstance(told, dict) or not isinstance(told.get("class_type"), str):
            message = "must be a node with class_type and inputs (a workflow of the API), or the file must have nodes"
            raise document.error(place, f"{quote(told)}: {message}")
        inputs = told.get("inputs", {})
        if not isinstance(inputs, dict):
            raise document.error((*place, "inputs"), f"{quote(inputs)}: must be a mapping")
        links = {key: (str(value[0]), value[1]) for key, value in inputs.items() if _is_link(value)}
        values = {key: value for key, value in inputs.items() if key not in links}
        found[str(number)] = Node(told["class_type"], place, values, links)
    return found


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and isinstance(value[1], int)


def _of_editor(document: Document) -> dict[str, Node]:
    sources: dict[int, Source] = {}
    for number, link in enumerate(_listed(document.data.get("links"))):
        # number, from node, its output, to node, its input, type
        if isinstance(link, list) and len(link) >= 4 and isinstance(link[0], int) and isinstance(link[2], int):
            sources[link[0]] = (str(link[1]), link[2])
        elif isinstance(link, dict) and isinstance(link.get("id"), int) and isinstance(link.get("origin_slot"), int):
            sources[link["id"]] = (str(link.get("origin_id")), link["origin_slot"])
        else:
            message = "must be a list: number, node, output, node, input, type"
            raise document.error(("links", number), f"{quote(link)}: {message}")
    found = {}
    for index, told in enumerate(document.data["nodes"]):
        place: KeyPath = ("nodes", index)
        if not isinstance(told, dict) or "id" not in told or not isinstance(told.get("type"), str):
            raise document.error(place, f"{quote(told)}: must be a node with id and type")
        links = {}
        for slot in _listed(told.get("inputs")):
            named = isinstance(slot, dict) and isinstance(slot.get("name"), str) and isinstance(slot.get("link"), int)
            if named and slot["link"] in sources:
                links[slot["name"]] = sources[slot["link"]]
        widgets = told.get("widgets_values")
        names = _WIDGETS.get(told["type"], ())
        values = dict(widgets) if isinstance(widgets, dict) else dict(zip(names, _listed(widgets), strict=False))
        if isinstance(widgets, list) and not names:
            values = {f"widget {n}": value for n, value in enumerate(widgets)}
        kept = {key: value for key, value in values.items() if key not in links}
        found[str(told["id"])] = Node(told["type"], place, kept, links, told.get("mode", _OFF) == _OFF)
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _sampler(walk: _Walk) -> tuple[str, Source]:
    """The first sampler, of those whose texts have areas if there are any; and where its positive texts come from."""
    found = []
    for number, node in walk.nodes.items():
        start = node.links.get("positive") or (node.links.get("conditioning") if "Guider" in node.kind else None)
        if start is not None and node.runs and ("Sampler" in node.kind or "Guider" in node.kind):
            found.append((number, start))
    if not found:
        message = "holds no sampler with a positive input (KSampler, KSamplerAdvanced, CFGGuider, BasicGuider)"
        raise walk.document.error((), message)

    def has_area(one: tuple[str, Source]) -> bool:
        quiet = _Walk(walk.document, walk.nodes, [])
        return any(told.area is not None for told in _texts(quiet, one[1], 0))

    chosen = next((one for one in found if has_area(one)), found[0])
    for number, start in found:
        if start != chosen[1]:
            walk.tell(walk.nodes[number], "is another sampler with other texts, which are left out")
    return chosen


def _texts(walk: _Walk, source: Source, depth: int) -> list[Told]:
    """The texts that leave an output, in their order."""
    if source not in walk.found:
        walk.found[source] = _found(walk, source, depth)
    return walk.found[source]


def _found(walk: _Walk, source: Source, depth: int) -> list[Told]:
    number, output = source
    node = walk.nodes.get(number)
    if node is None:
        raise InputError(f"{walk.document.name}: node {quote(number)}: is linked to, and not in the file")
    if depth > DEEPEST:
        raise walk.document.error(node.place, f"has more than {DEEPEST} nodes before it, or is part of a circle")

    def before(key: str) -> list[Told]:
        return _texts(walk, node.links[key], depth + 1) if key in node.links else []

    if not node.runs:
        walk.tell(node, "is switched off in the editor; it is passed through")
        return _through(node, output, before)
    if (key := _TEXTS.get(node.kind) or _own_text(node)) is not None:
        return _encoded(walk, node, key)
    if node.kind in _JOINING:
        return _joined(walk, node, before)
    if node.kind in ("ConditioningSetArea", "ConditioningSetAreaPercentage"):
        shares = node.kind.endswith("Percentage")
        area = tuple(_number(walk, node, key) for key in ("x", "y", "width", "height"))
        strength = _number(walk, node, "strength", 1.0)
        box = (area[0], area[1], area[2], area[3])
        told = before("conditioning")
        return [replace(one, area=box, shares=shares, strength=strength, place=node.place) for one in told]
    if node.kind == "ConditioningSetAreaStrength":
        strength = _number(walk, node, "strength", 1.0)
        return [replace(told, strength=strength) for told in before("conditioning")]
    if node.kind == "ConditioningSetMask":
        texts = joined(told.text for told in before("conditioning"))
        walk.tell(node, f"its mask is not in the file; its text {quote(texts)} is left out")
        return []
    if node.kind == "ConditioningZeroOut":
        return []
    walk.tell(node, "does what no plan holds; it is passed through")
    return _through(node, output, before)


def _through(node: Node, output: int, before: Callable[[str], list[Told]]) -> list[Told]:
    """What a node passes on: of a pair of texts the one of the same place, else the first."""
    if "positive" in node.links or "negative" in node.links:
        return before("negative" if output == 1 else "positive")
    return next((before(key) for key in node.links if key.startswith("conditioning")), [])


def _own_text(node: Node) -> str | None:
    """Which value the text of an encoder is that is not ComfyUI's own; None where the node is none."""
    if "TextEncode" not in node.kind or any(key.startswith("conditioning") for key in node.links):
        return None
    named = [key for key in ("text", "prompt") if key in node.values or key in node.links]
    return next(iter([*named, *(key for key, value in node.values.items() if isinstance(value, str))]), None)


def _joined(walk: _Walk, node: Node, before: Callable[[str], list[Told]]) -> list[Told]:
    parts = [before(key) for key in node.links if key.startswith("conditioning")]
    if node.kind == "ConditioningCombine":
        if sum(map(len, parts)) > MOST_TEXTS:
            raise walk.document.error(node.place, f"joins more than {MOST_TEXTS} texts")
        return [told for part in parts for told in part]
    walk.tell(node, "its texts become one, with commas between them")
    first = next((told for part in parts for told in part), None)
    if first is None:
        return []
    return [replace(first, text=joined(told.text for part in parts for told in part))]


def _encoded(walk: _Walk, node: Node, key: str) -> list[Told]:
    text = _value(walk, node, key)
    if not isinstance(text, str):
        raise walk.document.error(node.place, f"{key}: {quote(text)}: must be a text")
    for other in ("clip_l", "text_l"):
        more = _value(walk, node, other) if other in node.values or other in node.links else None
        if isinstance(more, str) and more.strip() not in ("", text.strip()):
            walk.tell(node, f"{other} {quote(more)} is left out: a plan has one text for all encoders")
    return [Told(text, node.place)]


def _value(walk: _Walk, node: Node, key: str) -> Any:
    """A value, also one that comes from a node that only holds it."""
    for _ in range(DEEPEST):
        if key in node.values:
            return node.values[key]
        if key not in node.links or node.links[key][0] not in walk.nodes:
            return None
        node = walk.nodes[node.links[key][0]]
        plain = [name for name, value in node.values.items() if isinstance(value, str | int | float)]
        key = plain[0] if plain else next(iter(node.links), "")
    return None


def _number(walk: _Walk, node: Node, key: str, default: float | None = None) -> float:
    value = _value(walk, node, key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_SIDE:
        raise walk.document.error(node.place, f"{node.kind}: {key}: {quote(value)}: must be a number from 0")
    return float(value)


def _latent(walk: _Walk, sampler: Node) -> tuple[int | None, int | None]:
    """Width and height of the empty latent that is drawn on; None where the file does not tell."""
    number = sampler.links.get("latent_image", ("", 0))[0]
    candidates = [walk.nodes[number]] if number in walk.nodes else []
    candidates += [node for node in walk.nodes.values() if node.kind.startswith("Empty") and "Latent" in node.kind]
    for node in candidates:
        names = ("width", "height")
        values = [_value(walk, node, key) for key in names]
        if None in values:
            values = [_value(walk, node, f"widget {n}") for n in range(2)]
        if all(isinstance(v, int) and not isinstance(v, bool) and 0 < v <= LARGEST_SIDE for v in values):
            return values[0], values[1]
    return None, None


IMPORTER = ComfyUI()
