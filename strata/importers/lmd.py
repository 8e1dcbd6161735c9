"""LMD layouts: a caption, a list of objects with boxes, a background prompt and a negative one, as text.

Source: TonyLianLong/LLM-groundedDiffusion (`utils/parse.py`). Boxes are x, y, width, height on a canvas of 512 by 512.
The lists are of Python; they are parsed and never executed. A file holds one layout, several of them one after the
other (each begins with `Caption:`), or what LMD caches: a JSON object of captions and the answers to each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.file_model import Text
from strata.hierarchy.files import Document, parse_document
from strata.hierarchy.placing import Placed, placed_plan
from strata.hierarchy.validation import validate
from strata.importers.protocol import Imported, Importer, joined
from strata.readers.rows import Corners, Row, literal

SIDE = 512
_HEADS = {
    "caption": "Caption",
    "objects": "Objects",
    "background": "Background prompt",
    "negative": "Negative prompt",
}
_HEAD = re.compile(rf"^[ \t]*({'|'.join(_HEADS.values())}):", re.MULTILINE)


class _Objects(Row):
    objects: tuple[tuple[Text, Corners], ...]


class LMD(Importer):
    """Layouts of LLM-grounded Diffusion."""

    name = "lmd"
    about = "LLM-grounded Diffusion: objects with boxes, a background prompt"

    def read(self, text: str, width: int | None, height: int | None, name: str = "<text>") -> list[Imported]:
        """As of `Importer.read`; the canvas is 512 by 512 where none is given."""
        canvas = (width or SIDE, height or SIDE)
        told = list(_cached(text, name) if text.lstrip().startswith("{") else _written(text, name))
        if not told:
            raise InputError(
                f"{name}: holds no layout: must have a line that begins with Objects: and a list behind it"
            )
        names = [Path(name).stem] if len(told) == 1 else [f"{n:04}" for n in range(len(told))]
        return [_imported(one, parts, canvas, name) for one, parts in zip(names, told, strict=True)]


Parts = dict[str, tuple[int, str]]
"""The texts behind the heads, with their lines."""


def _written(text: str, name: str, first_line: int = 1) -> Iterator[Parts]:
    """The layouts of a text; a list without any head is one of objects alone."""
    found = list(_HEAD.finditer(text))
    if not found:
        if text.strip().startswith("["):
            yield {"objects": (first_line, text)}
        return
    keys = {head: key for key, head in _HEADS.items()}
    parts: Parts = {}
    for match, following in zip(found, [*found[1:], None], strict=True):
        key, line = keys[match[1]], first_line + text.count("\n", 0, match.start(1))
        if key in parts or (key == "caption" and parts):
            if key != "caption" and "caption" in parts:
                raise InputError(f"{name}:{line}: {match[1]}: already given in line {parts[key][0]}")
            yield _with_objects(parts, name)
            parts = {}
        parts[key] = (line, text[match.end() : following.start() if following else len(text)].strip())
    yield _with_objects(parts, name)


def _with_objects(parts: Parts, name: str) -> Parts:
    if "objects" not in parts:
        line = next(iter(parts.values()))[0]
        raise InputError(f"{name}:{line}: Objects: missing: a list of (text, [x, y, width, height])")
    return parts


def _cached(text: str, name: str) -> Iterator[Parts]:
    document = parse_document(text, name, syntax="json")
    for caption, answers in document.data.items():
        if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
            raise document.error((caption,), f"{quote(answers)}: must be a list of a language model's answers")
        for number, answer in enumerate(answers):
            line = document.line((caption, number)) or 1
            for parts in _written(answer, name, line):
                yield {"caption": (line, caption), **{k: (line, told) for k, (_, told) in parts.items()}}


def _imported(called: str, parts: Parts, canvas: tuple[int, int], name: str) -> Imported:
    line, listed = parts["objects"]
    document = Document({}, name, Path(), {(): line})
    notes: list[str] = []
    objects = _objects(document, listed)
    items = []
    for number, (label, (x, y, wide, high)) in enumerate(objects):
        written = (x, y, wide, high)
        box = (x, y, x + wide, y + high)
        items.append(Placed(box, ("objects", number), label, full=label.rstrip("."), written=written))
    background = parts.get("background", (0, ""))[1].strip()
    negative = parts.get("negative", (0, ""))[1].strip()
    kept: dict[str, Any] = {}
    if background:
        kept["background"] = {"full": background}
    if negative and negative.lower() != "none":
        kept["negative_prompt"] = negative
    prompt = parts.get("caption", (0, ""))[1].strip()
    if not prompt:
        labels = joined(label for label, _ in objects)
        prompt = f"{background.rstrip('.')} with {labels}" if background and labels else background or labels
        notes.append(f"{name}:{line}: has no caption: the base prompt is made of the background prompt and the objects")
    plan = placed_plan(document, items, (SIDE, SIDE), canvas, notes, prompt=prompt, **kept)
    return Imported(called, plan, tuple(notes))


def _objects(document: Document, listed: str) -> tuple[tuple[str, tuple[float, float, float, float]], ...]:
    """The list behind `Objects:`, of pairs or of mappings with `name` and `bounding_box`."""
    if listed.strip().rstrip(".").lower() in ("", "no objects", "none"):
        return ()
    try:
        found = literal(listed)
    except ValueError as error:
        raise document.error(("objects",), f"{quote(listed)}: is no list: {error}") from error
    pairs = [
        [item.get("name"), item.get("bounding_box")] if isinstance(item, dict) else item
        for item in (found if isinstance(found, list) else [found])
        if isinstance(item, dict | list)
    ]
    if not isinstance(found, list) or len(pairs) != len(found):
        raise document.error(("objects",), f"{quote(found)}: must be a list of (text, [x, y, width, height])")
    checked = validate(_Objects, Document({"objects": pairs}, document.name, document.root, document.lines))
    return checked.objects


IMPORTER = LMD()
