"""Omost canvases: Python-like text of a language model, parsed as a tree and never executed.

Source: lib_omost/canvas.py of lllyasviel/Omost: the calls, their arguments, and where an area lies on a grid of 90 by
90. A description becomes `high`, what details it (detailed descriptions, tags, atmosphere, style, quality) `low`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from strata.hierarchy.errors import InputError, closest, did_you_mean, quote
from strata.hierarchy.files import Document
from strata.hierarchy.placing import Placed, placed_plan
from strata.importers.protocol import Imported, Importer, joined

GRID = 90
LOCATIONS = {
    "in the center": (45, 45),
    "on the left": (15, 45),
    "on the right": (75, 45),
    "on the top": (45, 15),
    "on the bottom": (45, 75),
    "on the top-left": (15, 15),
    "on the top-right": (75, 15),
    "on the bottom-left": (15, 75),
    "on the bottom-right": (75, 75),
}
"""The middle of an area, x and y."""
OFFSETS = {
    "no offset": (0, 0),
    "slightly to the left": (-10, 0),
    "slightly to the right": (10, 0),
    "slightly to the upper": (0, -10),
    "slightly to the lower": (0, 10),
    "slightly to the upper-left": (-10, -10),
    "slightly to the upper-right": (10, -10),
    "slightly to the lower-left": (-10, 10),
    "slightly to the lower-right": (10, 10),
}
AREAS = {
    "a small square area": (50, 50),
    "a small vertical area": (40, 60),
    "a small horizontal area": (60, 40),
    "a medium-sized square area": (60, 60),
    "a medium-sized vertical area": (50, 80),
    "a medium-sized horizontal area": (80, 50),
    "a large square area": (70, 70),
    "a large vertical area": (60, 90),
    "a large horizontal area": (90, 60),
}
"""Width and height."""
_PLACE: dict[str, Mapping[str, tuple[int, int]]] = {"location": LOCATIONS, "offset": OFFSETS, "area": AREAS}
NEARLY = 0.85
"""How much alike words must be to a place's to be read as it: as much as with a letter wrong."""
_WHOLE = ("description", "detailed_descriptions", "tags", "HTML_web_color_name")
_LOCAL = (
    *("location", "offset", "area", "distance_to_viewer", "description", "detailed_descriptions"),
    *("tags", "atmosphere", "style", "quality_meta", "HTML_web_color_name"),
)
_CALLS = {"set_global_description": _WHOLE, "add_local_description": _LOCAL}
_NEEDED = {
    "set_global_description": ("description",),
    "add_local_description": ("location", "offset", "area", "description"),
}
_FENCED = re.compile(r"```[ \t]*python[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
MOST_CHARACTERS = 2**18
"""Of a canvas, so that no nesting exhausts the parser."""


class Omost(Importer):
    """Canvases of Omost."""

    name = "omost"
    about = "Omost: the canvas that its language model writes"

    def read(self, text: str, width: int | None, height: int | None, name: str = "<text>") -> list[Imported]:
        """As of `Importer.read`; a canvas tells no size, and one that is not square stretches its grid."""
        canvas = self.canvas(width, height)
        calls = _calls(text, name)
        whole = [(line, told) for line, called, told in calls if called == "set_global_description"]
        local = [(line, told) for line, called, told in calls if called == "add_local_description"]
        if len(whole) != 1:
            place = f"{name}:{whole[1][0]}" if whole else name
            raise InputError(f"{place}: canvas.set_global_description: must be called once, not {len(whole)} times")
        document = Document({}, name, Path(), {("local", n): line for n, (line, _) in enumerate(local)})
        notes: list[str] = []
        far = sorted({told.get("distance_to_viewer", 1.0) for _, told in local}, reverse=True)
        items = []
        for number, (_, told) in enumerate(local):
            rank = far.index(told.get("distance_to_viewer", 1.0))
            box = _box(document, number, told, notes)
            details = joined([*told["detailed_descriptions"], *(told[key] for key in _LOCAL[6:10])])
            description = joined([told["description"]])
            more = (("priority", rank),) if rank else ()
            items.append(Placed(box, ("local", number), description, description, details or None, more=more))
        if len(far) > 1:
            notes.append("distance_to_viewer becomes priority, which acts where overlap is set to priority")
        if any("HTML_web_color_name" in told for _, _, told in calls):
            notes.append("HTML_web_color_name is left out: a plan has no colour to begin with")
        told = whole[0][1]
        low = joined([*told["detailed_descriptions"], told["tags"]]) or None
        prompt = joined([told["description"]])
        plan = placed_plan(document, items, (GRID, GRID), canvas, notes, prompt=prompt, low=low)
        return [Imported(Path(name).stem, plan, tuple(notes))]


def _box(document: Document, number: int, told: dict[str, Any], notes: list[str]) -> tuple[float, float, float, float]:
    """Where an area lies on the grid, cut off at its edges."""
    pairs = []
    for key, known in _PLACE.items():
        value = told[key]
        if value not in known:
            near = closest(value.lower(), list(known), NEARLY)
            if near is None:
                choices = ", ".join(map(quote, known))
                raise document.error(("local", number), f"{key} {quote(value)}: must be one of {choices}")
            notes.append(str(document.error(("local", number), f"{key} {quote(value)}: read as {quote(near)}")))
            value = near
        pairs.append(known[value])
    (x, y), (x_offset, y_offset), (width, height) = pairs
    left, top = x + x_offset - width // 2, y + y_offset - height // 2
    sides = (left, top, left + 2 * (width // 2), top + 2 * (height // 2))
    x1, y1, x2, y2 = (float(max(0, min(GRID, side))) for side in sides)
    return x1, y1, x2, y2


def _calls(text: str, name: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Every call of the canvas's methods: its line, the method's name, and its arguments by name."""
    if (found := _FENCED.search(text)) is not None:  # a language model's whole answer
        text = "\n" * text.count("\n", 0, found.start(1)) + found[1]
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{name}: holds more than {MOST_CHARACTERS} characters, too many for a canvas")
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise InputError(f"{name}:{error.lineno or 1}: not valid Python: {error.msg}") from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise InputError(f"{name}: not valid Python: {error}") from error
    calls = []
    for statement in tree.body:
        if re.fullmatch(r"\w+ *= *Canvas\( *\)", written := ast.get_source_segment(text, statement) or ""):
            continue
        call = statement.value if isinstance(statement, ast.Expr) else None
        called = call.func if isinstance(call, ast.Call) else None
        plain = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.attr in _CALLS
        if not plain or not isinstance(call, ast.Call) or not isinstance(called, ast.Attribute):
            methods = " or ".join(f"canvas.{method}(…)" for method in _CALLS)
            raise InputError(f"{name}:{statement.lineno}: {quote(written)}: must be {methods}")
        calls.append((call.lineno, called.attr, _arguments(call, called.attr, name)))
    return calls


def _arguments(call: ast.Call, method: str, name: str) -> dict[str, Any]:
    known, told = _CALLS[method], {}
    if len(call.args) > len(known):
        raise InputError(f"{name}:{call.lineno}: canvas.{method}: takes {len(known)} arguments, not {len(call.args)}")
    given = [*zip(known, call.args, strict=False), *((word.arg or "**", word.value) for word in call.keywords)]
    for key, node in given:
        place = f"{name}:{node.lineno}: {key}"
        if key not in known:
            raise InputError(f"{place}: unknown argument: {did_you_mean(key, known)}must be one of {', '.join(known)}")
        if key in told:
            raise InputError(f"{place}: given twice")
        try:
            told[key] = ast.literal_eval(node)
        except (ValueError, TypeError, MemoryError, RecursionError) as error:
            raise InputError(f"{place}: must be a plain value: text, a number or a list of texts") from error
        _check(place, key, told[key])
    for key in _NEEDED[method]:
        if key not in told:
            raise InputError(f"{name}:{call.lineno}: canvas.{method}: {key} is missing")
    return {"detailed_descriptions": [], **dict.fromkeys(("tags", *_LOCAL[7:10]), ""), **told}


def _check(place: str, key: str, value: Any) -> None:
    if key == "distance_to_viewer":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise InputError(f"{place}: {quote(value)}: must be a number above 0")
    elif key == "detailed_descriptions":
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise InputError(f"{place}: {quote(value)}: must be a list of texts")
    elif not isinstance(value, str) or (key == "description" and not joined([value])):
        raise InputError(f"{place}: {quote(value)}: must be a text")


IMPORTER = Omost()
