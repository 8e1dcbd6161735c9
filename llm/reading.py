"""From a model's answer, which is never trusted, to a checked one: what is safe to repair is repaired and reported.

Nothing in an answer is ever run, opened or used as a name of a file: it is text and whole numbers, or it is refused.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import ValidationError

from strata.hierarchy.plan import Box
from strata.llm.answer import DETAIL, LONGEST_TEXT, MOST_REGIONS, STYLE, Task, answer_form
from strata.llm.errors import AnswerError
from strata.llm.places import GRID

LONGEST_ANSWER = 2**20
"""Characters; a longer answer is refused unread."""
DEEPEST = 12
"""Brackets within brackets; a deeper answer is refused unread."""


@dataclass(frozen=True)
class Found:
    """One object of an answer; None and {} where it was not asked for."""

    content: str | None
    box: Box | None
    detail: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """A checked answer."""

    objects: tuple[Found, ...]
    background: str
    topic: str = ""
    background_detail: str = ""
    style: dict[str, str] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()
    """What was changed to make it usable, in words."""


def read_answer(
    text: str, task: Task, *, prompt: str, count: int | None = None, box: bool = True, content: bool = True
) -> Answer:
    """Reads the answer to a question whose form is `answer_form(task, count=…, box=…, content=…)`.

    Repaired and reported: text around the JSON, unknown and missing optional keys, control characters and markup in
    texts, texts that are too long, boxes that are fractions, leave the canvas or have their corners swapped, and (where
    the number of objects is open) empty, doubled and too many objects.

    Raises:
        AnswerError: anything else; the message can be shown to the model.
    """
    reader = _Reader(task, prompt, count, box, content)
    data = _parse(text, reader.repairs)
    clean = reader.clean(data)
    try:
        answer_form(task, count=count, box=box, content=content).model_validate(clean)
    except ValidationError as error:  # the cleaning should leave nothing to complain of
        first = error.errors()[0]
        raise AnswerError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    objects = tuple(
        Found(
            item.get("content"),
            (b := item.get("box")) and (b[0], b[1], b[2], b[3]),
            {key: item[key] for key in DETAIL if key in item},
        )
        for item in clean["objects"]
    )
    style = {key: clean[key] for key in STYLE if key in clean}
    return Answer(
        objects,
        clean["background"],
        clean.get("topic", ""),
        clean.get("background_detail", ""),
        style,
        tuple(dict.fromkeys(reader.repairs)),
    )


# From text to data ----------------------------------------------------------------------------------------------------

_THOUGHTS = re.compile(r"\s*<think>.*?</think>", re.DOTALL)


def said(text: str, repairs: list[str]) -> str:
    """A text without the model's thinking. Raises `AnswerError` where nothing is left, or it is too long."""
    if len(text) > LONGEST_ANSWER:
        raise AnswerError(f"the answer has {len(text)} characters; at most {LONGEST_ANSWER} are read")
    if not text.strip():
        raise AnswerError("the answer is empty")
    if thoughts := _THOUGHTS.match(text):
        text = text[thoughts.end() :]
        repairs.append("left out the model's thinking")
    return text


def _parse(text: str, repairs: list[str]) -> Any:
    """The JSON object in a text."""
    text = said(text, repairs)
    start = text.find("{")
    if start < 0:
        raise AnswerError("the answer holds no JSON object")
    refuse_depth(text[start:])
    decoder = json.JSONDecoder(strict=False, parse_constant=_no_constant)
    try:
        data, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        cut = " (it seems cut off)" if error.pos >= len(text.rstrip()) - 1 or "Unterminated" in error.msg else ""
        raise AnswerError(f"the answer is not valid JSON: {error.msg} at character {error.pos}{cut}") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, nesting
        raise AnswerError(f"the answer is not usable JSON: {error}") from error
    if text[:start].strip() or text[end:].strip():
        repairs.append("left out text around the JSON")
    return data


def _no_constant(name: str) -> NoReturn:
    raise AnswerError(f"the answer is not valid JSON: {name} is no number")


def refuse_depth(text: str) -> None:
    """Raises `AnswerError` for JSON that is nested too deep to be parsed."""
    depth, in_string, escaped = 0, False, False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > DEEPEST:
                raise AnswerError(f"the answer is nested more than {DEEPEST} levels deep")
        elif character in "]}":
            depth -= 1


# From data to a clean answer ------------------------------------------------------------------------------------------


class _Reader:
    """Cleans the data of one answer and notes what it repaired."""

    def __init__(self, task: Task, prompt: str, count: int | None, box: bool, content: bool) -> None:
        self.task, self.count = task, count
        self.scripts = {"LATIN", *map(_script, prompt)}
        self.keys = [*(("content",) * content), *(("box",) * box)] if task != "details" else []
        self.keys += DETAIL if task != "layout" else ()
        self.repairs: list[str] = []

    def clean(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise AnswerError("the answer is no JSON object")
        texts = ["background", *(("topic",) if self.task != "details" else ())]
        texts += ["background_detail"] if self.task == "whole" else []
        texts += STYLE if self.task != "layout" else ()
        self._drop_unknown(data, ["objects", *texts], "the answer")
        clean: dict[str, Any] = {key: self._text(data, key, key) for key in texts}
        if "objects" not in data:
            raise AnswerError("objects: is missing")
        objects = data["objects"]
        if not isinstance(objects, list):
            raise AnswerError(f"objects: must be a list, not {_kind(objects)}")
        most = MOST_REGIONS if self.count is None else self.count
        if len(objects) > most:
            self.repairs.append(f"dropped {len(objects) - most} objects beyond the first {most}")
            objects = objects[:most]
        found = [self._object(item, f"objects[{i}]") for i, item in enumerate(objects)]
        if self.count is None:
            clean["objects"] = self._unlike([item for item in found if item is not None])
        elif len(found) < self.count:
            raise AnswerError(f"objects: holds {len(found)}, but {self.count} are asked for")
        else:
            clean["objects"] = found
        self._refuse_scripts(clean)
        return clean

    def _drop_unknown(self, data: dict[str, Any], known: Sequence[str], where: str) -> None:
        if extra := [str(key)[:40] for key in data if key not in known]:
            shown = ", ".join(sorted(extra)[:5]) + (", …" if len(extra) > 5 else "")
            self.repairs.append(f"dropped unknown keys of {where}: {cleaned(shown)}")

    def _object(self, item: Any, where: str) -> dict[str, Any] | None:
        """One object; None where it is empty and may be dropped."""
        if not isinstance(item, dict):
            raise AnswerError(f"{where}: must be an object, not {_kind(item)}")
        self._drop_unknown(item, self.keys, "an object")
        clean: dict[str, Any] = {}
        for key in self.keys:
            if key == "box":
                box = self._box(item.get("box"), f"{where}.box")
                if box is None:
                    return None
                clean["box"] = box
            else:
                clean[key] = self._text(item, key, f"{where}.{key}")
                if key == "content" and not clean[key]:
                    if self.count is not None:
                        raise AnswerError(f"{where}.content: must not be empty")
                    self.repairs.append("dropped an object without content")
                    return None
        return clean

    def _text(self, data: dict[str, Any], key: str, where: str) -> str:
        value = data.get(key)
        if value is None:
            self.repairs.append(f"{key} was missing; taken as empty")
            return ""
        if not isinstance(value, str):
            raise AnswerError(f"{where}: must be text, not {_kind(value)}")
        text = cleaned(value)
        if text != " ".join(value.split()):
            self.repairs.append(f"removed control characters or markup from {where}")
        if len(text) > LONGEST_TEXT:
            text = text[:LONGEST_TEXT].rsplit(" ", 1)[0]
            self.repairs.append(f"cut {where} to {LONGEST_TEXT} characters")
        return text

    def _box(self, value: Any, where: str) -> list[int] | None:
        """A box within the grid; None where nothing is left of it and it may be dropped."""
        box = read_box(value, where, self.repairs)
        if box is None and self.count is not None:
            raise AnswerError(f"{where}: {_shown(value)} has no area")
        if box is None:
            self.repairs.append("dropped an object whose box has no area")
        return box

    def _unlike(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Without those that are the same as an earlier one: content and box."""
        if self.task == "details":
            return found
        seen: dict[str, dict[str, Any]] = {}
        for item in found:
            seen.setdefault(f"{item.get('content', '').lower()} {item.get('box')}", item)
        if len(seen) < len(found):
            self.repairs.append(f"merged {len(found) - len(seen)} objects that were told twice")
        return list(seen.values())

    def _refuse_scripts(self, clean: dict[str, Any]) -> None:
        texts = [text for text in clean.values() if isinstance(text, str)]
        texts += [text for item in clean["objects"] for text in item.values() if isinstance(text, str)]
        letters = [c for c in "".join(texts) if c.isalpha()]
        foreign = sum(_script(c) not in self.scripts for c in letters)
        if foreign > 0.2 * len(letters):
            raise AnswerError("the answer is in another language than the prompt; answer in English")


def read_box(value: Any, where: str, repairs: list[str], order: str = "x1, y1, x2, y2") -> list[int] | None:
    """Four corners on the grid, two of each axis by turns, clamped and sorted; None where they have no area.

    Raises:
        AnswerError: it is no list of four numbers.
    """
    if not isinstance(value, list) or len(value) != 4:
        raise AnswerError(f"{where}: must be a list of four whole numbers {order}")
    for x in value:
        if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
            raise AnswerError(f"{where}: {_shown(x)} is no whole number from 0 to {GRID}")
    if any(isinstance(x, float) and not x.is_integer() for x in value):
        if all(0 <= x <= 1 for x in value):
            value = [x * GRID for x in value]
            repairs.append(f"{where} was in fractions of the canvas")
        else:
            repairs.append(f"rounded {where} to whole numbers")
    numbers = [round(min(max(x, 0), GRID)) for x in value]
    if any(not 0 <= x <= GRID for x in value):
        repairs.append(f"{where} left the canvas; clamped")
    x1, y1, x2, y2 = numbers
    if x1 > x2 or y1 > y2:
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        repairs.append(f"sorted the corners of {where}")
    return None if x1 == x2 or y1 == y2 else [x1, y1, x2, y2]


_MARKUP = re.compile(r"<[^<>]{1,200}>|```\w*|\*\*|`")


def cleaned(text: str) -> str:
    """Without markup, control, format and unassigned characters; white space collapsed."""
    text = _MARKUP.sub(" ", unicodedata.normalize("NFC", text))
    kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(kept.split())


def _script(character: str) -> str:
    """ "LATIN", "CYRILLIC", "CJK", …; what all scripts share counts as Latin."""
    if not character.isalpha() or character.isascii():
        return "LATIN"
    return unicodedata.name(character, "UNKNOWN").split()[0]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."
