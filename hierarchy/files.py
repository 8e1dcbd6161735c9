"""YAML and JSON documents that remember their lines, so that every complaint can name file, line and field."""

import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from strata.hierarchy.errors import LONGEST_VALUE, InputError, printable, quote, reason_of, shortened
from strata.hierarchy.nearest import nearest_path
from strata.hierarchy.parsing import YAML_FLOAT, parse_json, parse_yaml
from strata.hierarchy.parsing import KeyPath as KeyPath

Syntax = Literal["yaml", "json"]

_SYNTAX_OF_SUFFIX: dict[str, Syntax] = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}
LARGEST_TEXT = 8 * 2**20
"""Bytes of a plan, a draft, a routing or another file of text."""
LARGEST_FILE = 512 * 2**20
"""Bytes of any file, such as a picture: more than a picture of the largest canvas with all its attachments."""


@dataclass(frozen=True)
class Document:
    """A parsed file: its data and where each part of it stands."""

    data: Any
    name: str
    """What messages call it: the path as the user gave it."""
    root: Path
    """The folder that relative paths inside the document start from."""
    lines: Mapping[KeyPath, int]
    """1-based line of every key and list item; `()` is the document itself."""
    replaced: frozenset[KeyPath] = field(default=frozenset(), kw_only=True)
    """What was given in the place of what the file says: errors about it name the field alone."""

    def line(self, path: KeyPath) -> int | None:
        """Line of `path`, or of the nearest thing around it that has a line."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None

    def error(self, path: KeyPath, message: str) -> InputError:
        """An `InputError` that reads `file:line: field: message`."""
        line = self.line(path)
        place = self.name if line is None else f"{self.name}:{line}"
        if any(path[:end] in self.replaced for end in range(len(path) + 1)):
            place = ""
        return InputError(": ".join(part for part in (place, field_name(path), message) if part))


def field_name(path: KeyPath) -> str:
    """`("regions", 1, "box")` as a person writes it: `regions[1].box`."""
    text = ""
    for key in path:
        dot = "." if text else ""
        text += f"[{key}]" if isinstance(key, int) else dot + shortened(printable(key), LONGEST_VALUE)
    return text


def syntax_of(path: str | os.PathLike[str]) -> Syntax:
    """YAML or JSON, by the suffix. Raises `InputError` for any other."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SYNTAX_OF_SUFFIX:
        raise InputError(f"{os.fspath(path)}: suffix {quote(suffix)}: must be one of {', '.join(_SYNTAX_OF_SUFFIX)}")
    return _SYNTAX_OF_SUFFIX[suffix]


# Reading ------------------------------------------------------------------------------------------------------------


def read_document(path: str | os.PathLike[str]) -> Document:
    """Reads a `.yaml`, `.yml` or `.json` file that holds one mapping.

    Raises:
        InputError: the file is missing or unreadable, not UTF-8, not valid YAML or JSON, repeats a key, or is no
            mapping.
    """
    try:
        syntax = syntax_of(path)
    except InputError as error:
        try:
            os.stat(path)
        except FileNotFoundError as missing:
            if meant := _meant(os.fspath(path), missing):
                raise InputError(f"{os.fspath(path)}: there is no such file{meant}") from error
        except (OSError, ValueError):  # no name of a file at all
            pass
        raise
    return parse_document(read_text(path), name=os.fspath(path), root=Path(path).parent, syntax=syntax)


def read_json_lines(path: str | os.PathLike[str], most: int = LARGEST_TEXT) -> Iterator[Document]:
    """Reads a `.jsonl` file of at most `most` bytes: one JSON mapping a line, empty lines aside.

    Raises:
        InputError: the file cannot be read, or a line is no JSON mapping or repeats a key; names file and line.
    """
    name = os.fspath(path)
    for number, line in enumerate(read_text(path, most).split("\n"), start=1):
        if line.strip():
            data, lines = parse_json(line, name, number)
            if not isinstance(data, dict):
                raise InputError(f"{name}:{number}: must be a JSON mapping, not {quote(data)}")
            document = Document(data, name, Path(path).parent, lines)
            _refuse_surrogates(document, data, ())
            yield document


def read_text(path: str | os.PathLike[str], most: int = LARGEST_TEXT) -> str:
    """The text of a UTF-8 file. Raises `InputError` where it cannot be read, is none, or has more than `most` bytes."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{os.fspath(path)}: not UTF-8 text (byte {error.start})") from error


def read_bytes(path: str | os.PathLike[str], most: int = LARGEST_FILE) -> bytes:
    """The content of a file.

    Raises:
        InputError: it cannot be read, has more than `most` bytes, or is no file but a pipe, a device or a socket, which
            could keep the reader waiting or never end.
    """
    name = os.fspath(path)
    try:
        _refuse_special(name, os.stat(path).st_mode)  # opening a device may have effects of its own
        unblocked = getattr(os, "O_NONBLOCK", 0)  # a pipe that has taken the file's place
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | unblocked)) as file:
            _refuse_special(name, os.fstat(file.fileno()).st_mode)
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: cannot be read: {reason_of(error)}{_meant(name, error)}") from error
    if len(content) > most:
        raise InputError(f"{name}: is larger than {most / 2**20:g} MiB, the most that is read of such a file")
    return content


def _meant(name: str, error: Exception) -> str:
    """The nearest file or folder to a missing one, as a question; of a link, where it leads."""
    if isinstance(error, FileNotFoundError) and os.path.islink(name):
        return f"; it is a link to '{printable(os.readlink(name))}'"
    alike = nearest_path(name) if isinstance(error, FileNotFoundError | NotADirectoryError) else None
    if alike is None:
        return ""
    shown = os.path.basename(alike) if os.path.dirname(alike) == os.path.dirname(name) else alike
    return f"; did you mean '{printable(shown)}'?"


def _refuse_special(name: str, mode: int) -> None:
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # the system refuses to read a folder
        kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
        kind = next((kind for is_one, kind in kinds if is_one(mode)), "a device")
        raise InputError(f"{name}: cannot be read: is {kind}; must be a file")


def parse_document(
    text: str, name: str = "<text>", root: str | os.PathLike[str] = ".", *, syntax: Syntax = "yaml"
) -> Document:
    """Parses one mapping from `text`.

    Args:
        text: YAML or JSON, as `syntax` says.
        name: what messages call it.
        root: the folder that relative paths inside it start from.

    Raises:
        InputError: not valid, a repeated key, or no mapping.
    """
    data, lines = parse_json(text, name) if syntax == "json" else parse_yaml(text, name)
    if not isinstance(data, dict):
        raise InputError(f"{name}:{lines.get((), 1)}: must be a mapping (key: value lines), not {quote(data)}")
    document = Document(data, name, Path(root), lines)
    _refuse_surrogates(document, data, ())
    return document


def _refuse_surrogates(document: Document, data: Any, path: KeyPath) -> None:
    """JSON and YAML can spell halves of characters, which no file and no terminal takes."""
    texts = [data] if isinstance(data, str) else list(data) if isinstance(data, dict) else []
    for text in texts:
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            place = path if isinstance(data, str) else (*path, text)
            raise document.error(place, f"{quote(text)}: holds half of a character (U+D800 to U+DFFF)")
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            _refuse_surrogates(document, value, (*path, key))


# Writing --------------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Block YAML with indented lists, and number lists on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _numeric(data: Any) -> bool:
    if isinstance(data, list | tuple):
        return all(_numeric(item) for item in data)
    return isinstance(data, int | float)


def _represent_list(dumper: yaml.SafeDumper, data: list[Any] | tuple[Any, ...]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=_numeric(data))


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Unusual white space is written as escapes: pyyaml's other styles do not give all of it back."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", YAML_FLOAT, list("-+.0123456789"))


def dump_yaml(data: Mapping[str, Any]) -> str:
    """`data` (plain dicts, lists, tuples, text, numbers, booleans, None) as YAML; keys stay in their order."""
    return str(yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def dump_json(data: Any, indent: int = 1) -> str:
    """`data` as indented JSON that ends with a line break."""
    return json.dumps(data, ensure_ascii=False, indent=indent) + "\n"


def first_difference(found: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first value of `given` that a JSON file has otherwise, or not at all: its name, what was found and what is
    given, both as JSON has them (tuples are lists there); None where the file has them all."""
    plain = json.loads(json.dumps(dict(given)))
    return next(((name, found.get(name), value) for name, value in plain.items() if found.get(name) != value), None)


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file whole or not at all: into a temporary file beside it that then takes its place.

    Raises:
        InputError: the folder is missing or not writable.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be written: {reason_of(error)}") from error
