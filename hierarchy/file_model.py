"""Models that are read from files and written to them: strict ones, with numbers and texts of one kind."""

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import (
    Document,
    KeyPath,
    dump_json,
    dump_yaml,
    field_name,
    parse_document,
    read_document,
    syntax_of,
    write_atomic,
)
from strata.hierarchy.validation import validate

LONGEST_TEXT = 20_000
"""Characters of any text: many times what a text encoder reads."""


def _only_numbers(value: Any) -> Any:
    if isinstance(value, bool | str | bytes):
        raise ValueError("must be a number")
    return value


def _readable(text: str) -> str:
    if not text:
        raise ValueError("must not be empty (leave the key out instead)")
    return _without_controls(text)


def _without_controls(text: str) -> str:
    """Refuses control characters (but line breaks and tabs, white space to every tokenizer) and endless texts."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"must have at most {LONGEST_TEXT} characters, not {len(text)}")
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in "\n\t":
            raise ValueError(f"must not hold the control character U+{ord(character):04X}")
    return text


NUMBER = BeforeValidator(_only_numbers)
"""For constrained numbers; it goes last, after the constraints, so that the JSON schema shows them."""
Int = Annotated[int, NUMBER]
"""A whole number; `true` and `"3"` are refused, 3.0 is accepted."""
Fraction = Annotated[float, Field(ge=0, le=1), NUMBER]
"""A number from 0 to 1."""
Text = Annotated[str, AfterValidator(_readable)]
"""Text that is not empty and without control characters, stripped."""
AnyText = Annotated[str, AfterValidator(_without_controls)]
"""Text without control characters, stripped; may be empty."""


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys, infinities and NaN, and strips its texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)


class FileModel(StrictModel):
    """A model that is read from a file, YAML or JSON; what file it came from does not count among its contents."""

    _root: Path = PrivateAttr(default=Path())
    _document: Document | None = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        """Equal contents."""
        return self.__dict__ == other.__dict__ if isinstance(other, type(self)) else NotImplemented

    @property
    def root(self) -> Path:
        """The folder that mask files are relative to."""
        return self._root

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a `.yaml`, `.yml` or `.json` file.

        Raises:
            InputError: the file cannot be read, or its contents are wrong; names file, line and field.
        """
        return cls._from_document(read_document(path))

    @classmethod
    def from_yaml(cls, text: str, name: str = "<text>", root: str | os.PathLike[str] = ".") -> Self:
        """Reads YAML text; `name` is what errors call it, `root` the folder of its mask files. Raises `InputError`."""
        return cls._from_document(parse_document(text, name, root))

    @classmethod
    def from_json(cls, text: str, name: str = "<text>", root: str | os.PathLike[str] = ".") -> Self:
        """Reads JSON text; otherwise as `from_yaml`."""
        return cls._from_document(parse_document(text, name, root, syntax="json"))

    @classmethod
    def _from_document(cls, document: Document) -> Self:
        model = validate(cls, document)
        model._root, model._document = document.root, document
        return model

    def to_yaml(self) -> str:
        """The contents as YAML, without what is at its default."""
        return dump_yaml(self._contents())

    def to_json(self) -> str:
        """The contents as indented JSON, without what is at its default."""
        return dump_json(self._contents(), indent=2)

    def _contents(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_defaults=True)

    def with_values(self, values: Mapping[KeyPath, Any]) -> Self:
        """The same contents with other values at some places, as a file would have them; None takes what is there away.

        Raises:
            InputError: the contents would not be valid; names the place, with file and line where it stands in one.
        """
        data = self._contents()
        for path, value in values.items():
            _put(data, path, value)
        document = self._document or Document(None, "", self.root, {})
        return self._from_document(
            replace(document, data=data, root=self.root, replaced=document.replaced | values.keys())
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file whole or not at all; the suffix decides between YAML and JSON.

        Raises:
            InputError: an unknown suffix, or a folder that cannot be written.
        """
        write_atomic(path, self.to_json() if syntax_of(path) == "json" else self.to_yaml())

    def error(self, path: KeyPath, message: str) -> InputError:
        """An `InputError` about the field at `path`, with file and line where the model was read from a file."""
        if self._document is not None:
            return self._document.error(path, message)
        return InputError(": ".join(part for part in (field_name(path), message) if part))


def _put(data: Any, path: KeyPath, value: Any) -> None:
    *outer, last = path
    for key in outer:
        if isinstance(data, dict) and not isinstance(data.get(key), dict | list):
            data[key] = {}
        data = data[key]
    if value is None:
        data.pop(last, None)
    else:
        data[last] = value
