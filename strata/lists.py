"""Files that list what is to be planned or drawn: a text of a prompt a line, or JSON mappings, one a line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.file_model import NUMBER, StrictModel, Text
from strata.hierarchy.files import read_json_lines, read_text
from strata.hierarchy.plan import LARGEST_SIDE
from strata.hierarchy.validation import validate
from strata.llm.answer import MOST_REGIONS
from strata.planning import is_file
from strata.settings import Seed

LIST_SUFFIXES = (".txt", ".jsonl")
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE), NUMBER]


class ListRow(StrictModel):
    """What a line may say of a prompt beside its words; None is as the settings say."""

    name: Text | None = None
    width: Side | None = None
    height: Side | None = None
    regions: Annotated[int, Field(ge=1, le=MOST_REGIONS), NUMBER] | None = None
    style: Text | None = None

    @field_validator("name")
    @classmethod
    def _name_is_a_file_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"\w[\w.-]{0,99}", name):
            raise ValueError("must be a file name without its suffix: letters, digits, '_', '-' and '.', at most 100")
        return name


class PromptRow(ListRow):
    """One line of a .jsonl file of prompts."""

    prompt: Text


class DrawRow(ListRow):
    """One line of a .jsonl file of what is drawn: a prompt, or the path of a plan or a picture."""

    prompt: Text | None = None
    plan: Text | None = None
    seed: Annotated[Seed, NUMBER] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.prompt is None) == (self.plan is None):
            raise ValueError("must have either prompt or plan")
        given = [name for name in ListRow.model_fields if getattr(self, name) is not None and name != "name"]
        if self.plan is not None and given:
            raise ValueError(f"{', '.join(given)}: for prompts; a plan has its own")
        return self


def prompt_rows(path: Path) -> Iterator[tuple[int, PromptRow]]:
    """The prompts of a list, with their lines. Raises `InputError` for a line that is wrong."""
    if path.suffix.lower() == ".jsonl":
        for document in read_json_lines(path):
            yield document.lines[()], validate(PromptRow, document)
        return
    for number, text in _lines(path):
        yield number, PromptRow.model_construct(prompt=text)


def draw_rows(path: Path) -> Iterator[tuple[int, DrawRow | InputError]]:
    """What a list has drawn, with its lines, or what is wrong with one. Paths start from the list's folder.

    Raises:
        InputError: the list cannot be read.
    """
    if path.suffix.lower() == ".jsonl":
        for document in read_json_lines(path):
            row: DrawRow | InputError
            try:
                row = validate(DrawRow, document)
            except InputError as error:
                row = error
            yield document.lines[()], row if isinstance(row, InputError) else _placed(row, path)
        return
    for number, text in _lines(path):
        fields: dict[str, Any] = {"plan" if is_file(text) or (path.parent / text).exists() else "prompt": text}
        yield number, _placed(DrawRow.model_construct(**fields), path)


def check_list(path: Path) -> None:
    """Raises `InputError` for a path that is no list's."""
    if path.suffix.lower() not in LIST_SUFFIXES and path.exists():
        kind = "is a folder" if path.is_dir() else f"suffix {quote(path.suffix)}"
        raise InputError(f"{path}: {kind}; must be a prompt of several words, or a .txt or .jsonl file of prompts")


def _placed(row: DrawRow, path: Path) -> DrawRow:
    return row if row.plan is None else row.model_copy(update={"plan": str(path.parent / row.plan)})


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Every line of a text that is neither empty nor a # comment."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield number, text
