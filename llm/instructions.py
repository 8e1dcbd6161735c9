"""The system texts and worked examples that come before a prompt: files that a user can read, copy and replace.

A folder of instructions holds `layout.md`, `details.md` and `whole.md` (the system text of each task) and
`examples.yaml` (worked examples, with the folder's name and version). The bundled ones are in `default_instructions/`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, JsonValue, ValidationError

from strata.hierarchy.errors import InputError
from strata.hierarchy.file_model import Int, StrictModel, Text
from strata.hierarchy.files import read_document, read_text
from strata.hierarchy.validation import validate
from strata.llm.answer import Corners, Task, answer_form
from strata.llm.protocol import Message
from strata.llm.wording import Brief, Known

DEFAULT = Path(__file__).with_name("default_instructions")
TASKS: tuple[Task, ...] = get_args(Task)


class _KnownRegion(StrictModel):
    box: Corners | None = None
    content: Text | None = None


class _Example(StrictModel):
    task: Task
    canvas: Annotated[str, Field(pattern=r"^[0-9]{1,4}x[0-9]{1,4}$")]
    prompt: Text
    regions: Int | None = None
    known: tuple[_KnownRegion, ...] = ()
    style: Text | None = None
    background: Text | None = None
    answer: dict[str, JsonValue]

    def brief(self) -> Brief:
        width, height = map(int, self.canvas.split("x"))
        regions = [Known((k.box[0], k.box[1], k.box[2], k.box[3]) if k.box else None, k.content) for k in self.known]
        return Brief(self.task, self.prompt, width, height, self.regions, regions, self.style, self.background)


class _Examples(StrictModel):
    name: Text
    version: Int
    examples: tuple[_Example, ...] = ()


@dataclass(frozen=True)
class Instructions:
    """System texts and worked examples, with the name and version that a plan's provenance records."""

    name: str
    version: int
    sha256: str
    """Of the files' contents, hexadecimal."""
    system: Mapping[Task, str]
    examples: tuple[_Example, ...]

    @classmethod
    def load(cls, folder: str | os.PathLike[str] = DEFAULT) -> Instructions:
        """Reads a folder of instructions.

        Raises:
            InputError: a file is missing or empty, or an example is no example; names file, line and field.
        """
        return _default() if Path(folder) == DEFAULT else _read(Path(folder))

    def messages(self, brief: Brief) -> tuple[Message, ...]:
        """The chat that asks for a task: system text, the worked examples of this task, and the brief."""
        turns = [Message("system", self.system[brief.task])]
        for example in self.examples:
            if example.task == brief.task:
                answer = json.dumps(example.answer, ensure_ascii=False, separators=(",", ":"))
                turns += [Message("user", example.brief().text()), Message("assistant", answer)]
        return (*turns, Message("user", brief.text()))

    def as_data(self) -> dict[str, Any]:
        """For a plan's provenance."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256[:16]}


@cache
def _default() -> Instructions:
    return _read(DEFAULT)


def _read(folder: Path) -> Instructions:
    digest = hashlib.sha256()
    system: dict[Task, str] = {}
    for task in TASKS:
        path = folder / f"{task}.md"
        try:
            text = read_text(path).strip()
        except InputError as error:
            files = ", ".join([*(f"{name}.md" for name in TASKS), "examples.yaml"])
            raise InputError(f"{error} (a folder of instructions holds {files})") from error
        if not text:
            raise InputError(f"{path}: is empty")
        system[task] = text
        digest.update(f"{task}\0{text}\0".encode())
    document = read_document(folder / "examples.yaml")
    read = validate(_Examples, document)
    for index, example in enumerate(read.examples):
        form = answer_form(example.task, count=len(example.known) or example.regions)
        try:
            form.model_validate(example.answer)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise document.error(("examples", index, "answer"), f"{place}: {first['msg']}") from error
    digest.update(json.dumps(document.data, sort_keys=True).encode())
    return Instructions(read.name, read.version, digest.hexdigest(), system, read.examples)
