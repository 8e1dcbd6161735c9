"""Rows of a benchmark's files, each with its place: JSON lines, JSON, and parquet where pyarrow is installed."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from strata.hierarchy.errors import InputError, first_line, quote, reason_of
from strata.hierarchy.file_model import NUMBER, Text
from strata.hierarchy.files import LARGEST_FILE, Document, parse_document, read_json_lines, read_text
from strata.hierarchy.plan import FARTHEST, LARGEST_SIDE
from strata.hierarchy.validation import validate

SUFFIXES = (".jsonl", ".json", ".parquet")
LONGEST_LITERAL = 2**20
"""Characters of a list that stands in a row as text."""
LONGEST_FILE_NAME = 240
"""Bytes of a name that becomes a file's."""
R = TypeVar("R", bound="Row")


class Row(BaseModel):
    """What a benchmark's row has to hold; what else it holds is kept in `Scene.row` and not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _fit_for_a_file(name: str) -> str:
    if (found := re.search(r"[/\\\x00-\x1f\x7f]", name)) is not None:
        raise ValueError(f"becomes a file's name, so it must not hold {found[0]!r}")
    if len(name.encode()) > LONGEST_FILE_NAME:
        raise ValueError(f"becomes a file's name, so it must have at most {LONGEST_FILE_NAME} bytes")
    return name


def _no_hidden_file(name: str) -> str:
    if name.startswith("."):
        raise ValueError("becomes a file's name, so it must not begin with a dot")
    return name


FileStem = Annotated[Text, AfterValidator(_no_hidden_file), AfterValidator(_fit_for_a_file), BeforeValidator(_as_text)]
"""A text or a whole number that names a file."""
PromptName = Annotated[Text, AfterValidator(_fit_for_a_file)]
"""A prompt that names files."""
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE), NUMBER]
"""Pixels."""
Coordinate = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST), NUMBER]
Corners = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
"""x1, y1, x2, y2; of no order, and on no canvas yet."""


@dataclass(frozen=True)
class RowDocument(Document):
    """One row."""

    file: str = ""
    """The file it is of, as the user gave it."""
    index: int = 0
    """Its number among all rows of the files that were read, from 0."""

    @property
    def place(self) -> str:
        """`file:line`, or `file, row 3` where a file has no lines."""
        line = self.line(())
        return self.name if line is None else f"{self.name}:{line}"

    def validated(self, model: type[R]) -> R:
        """The row as a model. Raises `InputError`, which names file, line, field and value."""
        return validate(model, self)

    def with_lists(self, *fields: str) -> RowDocument:
        """The same row with the lists and mappings in it that stand there as text, of Python or JSON.

        Raises:
            InputError: a text that is none.
        """
        data = dict(self.data)
        for name in fields:
            if isinstance(text := data.get(name), str):
                try:
                    data[name] = literal(text)
                except ValueError as error:
                    raise self.error((name,), f"{quote(text)}: is no list or mapping: {error}") from error
        return replace(self, data=data)


def literal(text: str) -> Any:
    """A list or mapping of plain values that was written as text, of Python or JSON; parsed, never executed.

    Raises:
        ValueError: it is none.
    """
    if len(text) > LONGEST_LITERAL:
        raise ValueError(f"has more than {LONGEST_LITERAL} characters")
    try:
        return _plain(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        try:
            return parse_document(f'{{"":{text}}}', syntax="json").data[""]
        except InputError:
            reason = error.msg if isinstance(error, SyntaxError) else first_line(error)
            raise ValueError(reason) from error


def _plain(value: Any) -> Any:
    """A value of Python as JSON has it: tuples are lists, and keys are texts."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"holds a {type(value).__name__}")


def files_of(path: str | os.PathLike[str], suffixes: Sequence[str]) -> list[str]:
    """A file, or those of a folder that have one of the suffixes, by name. Raises `InputError` where there are none."""
    name = os.fspath(path)
    if not os.path.isdir(name):
        if Path(name).suffix.lower() not in suffixes and os.path.exists(name):
            raise InputError(f"{name}: suffix {quote(Path(name).suffix)}: must be one of {', '.join(suffixes)}")
        return [name]
    try:
        found = sorted(entry.path for entry in os.scandir(name) if Path(entry.name).suffix.lower() in suffixes)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {reason_of(error)}") from error
    if not found:
        raise InputError(f"{name}: no file in this folder ends in {', '.join(suffixes)}")
    return found


def read_rows(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> list[RowDocument]:
    """All rows of a file, or of the files of a folder; at least one.

    Args:
        path: of a `.jsonl`, `.json` (a list of mappings) or `.parquet` file, or a folder of such files.
        columns: of parquet files, those that are read where there are such, and no others, so that pictures are not;
            None: all.

    Raises:
        InputError: a file cannot be read or is damaged, pyarrow is missing, or there are no rows.
    """
    rows: list[RowDocument] = []
    for file in files_of(path, SUFFIXES):
        suffix = Path(file).suffix.lower()
        read = _parquet(file, columns) if suffix == ".parquet" else _json(file) if suffix == ".json" else _lines(file)
        for document in read:
            kept = document.data, document.name, document.root, document.lines
            rows.append(RowDocument(*kept, file=file, index=len(rows)))
    if not rows:
        raise InputError(f"{os.fspath(path)}: holds no rows")
    return rows


def _lines(file: str) -> Iterator[Document]:
    return read_json_lines(file, LARGEST_FILE)


def _json(file: str) -> Iterator[Document]:
    """The mappings of a list; JSON lines under this suffix too."""
    text = read_text(file, LARGEST_FILE)
    if not text.lstrip().startswith("["):
        yield from _lines(file)
        return
    whole = parse_document(f'{{"":{text}\n}}', file, syntax="json")
    lines: dict[int, dict[tuple[str | int, ...], int]] = {}
    for place, line in whole.lines.items():
        if len(place) > 1 and isinstance(place[1], int):
            lines.setdefault(place[1], {})[place[2:]] = line
    for number, data in enumerate(whole.data[""]):
        if not isinstance(data, dict):
            raise InputError(f"{file}:{lines[number][()]}: must be a JSON mapping, not {quote(data)}")
        yield Document(data, file, Path(file).parent, lines[number])


def _parquet(file: str, columns: Sequence[str] | None) -> Iterator[Document]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        message = 'parquet files need pyarrow: pip install "strata-prompting[benchmarks]"; or save the rows as .jsonl'
        raise InputError(f"{file}: {message}") from error
    try:
        with parquet.ParquetFile(file) as opened:
            there = set(opened.schema_arrow.names)
            kept = None if columns is None else [name for name in columns if name in there]
            number = 0
            for batch in opened.iter_batches(batch_size=256, columns=kept):
                for data in batch.to_pylist():
                    yield Document(_without_nulls(data), f"{file}, row {number}", Path(file).parent, {})
                    number += 1
    except FileNotFoundError as error:
        read_text(file)  # which tells what is there instead
        raise InputError(f"{file}: cannot be read") from error
    except Exception as error:  # pyarrow's own classes, and whatever a damaged file brings about
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: not a readable parquet file: {first_line(error)}") from error


def _without_nulls(data: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that a parquet file has in every row, whether or not they say anything."""
    return {key: value for key, value in data.items() if value is not None}


def refuse_twice(rows: Sequence[tuple[RowDocument, str]], field: str) -> None:
    """Raises `InputError` where two rows have one name for their pictures; names both."""
    seen: dict[str, RowDocument] = {}
    for document, name in rows:
        if (first := seen.get(name.lower())) is not None:
            raise document.error((field,), f"{quote(name)}: already that of {first.place}")
        seen[name.lower()] = document


def read_lines(path: str | os.PathLike[str]) -> list[RowDocument]:
    """The lines of a `.txt` file that are not empty, as rows with a `prompt`, what stands before the first tab.

    Raises:
        InputError: the file cannot be read, or holds no line.
    """
    (file,) = files_of(path, (".txt",))
    rows: list[RowDocument] = []
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if line.strip():
            prompt, *more = line.strip().split("\t")
            data = {"prompt": prompt.strip()} | ({"columns": more} if more else {})
            rows.append(RowDocument(data, file, Path(file).parent, {(): number}, file=file, index=len(rows)))
    if not rows:
        raise InputError(f"{file}: holds no prompts")
    return rows
