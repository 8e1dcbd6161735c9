"""YAML and JSON texts as data, with the line of every key and list item.

YAML is read by the rules of YAML 1.2 (`no` and `on` are words, `1e-3` is a number), without aliases and without any
tag that builds Python objects. Keys must be text and may not occur twice, in JSON as in YAML.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from strata.hierarchy.errors import LONGEST_VALUE, InputError, quote, shortened

KeyPath = tuple[str | int, ...]
DEEPEST = 64
"""Mappings and lists within each other."""


class _Loader(yaml.SafeLoader):
    """Safe YAML with the scalars of YAML 1.2's core schema, no aliases and no deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.get_event()
            problem = f"aliases (*{shortened(event.anchor, LONGEST_VALUE)}) are not supported"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if self.depth == DEEPEST and self.check_event(yaml.CollectionStartEvent):
            problem = f"nested more than {DEEPEST} levels deep"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.peek_event().start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:  # its tag
            value = quote(node.value) if isinstance(node, yaml.ScalarNode) else "what stands here"
            problem = f"{value} is no {node.tag.rpartition(':')[2]} that can be read"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error


YAML_FLOAT = re.compile(r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$")
_SCALARS: tuple[tuple[str, re.Pattern[str], list[str]], ...] = (
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")),
    ("float", YAML_FLOAT, list("-+.0123456789")),
)
_Loader.yaml_implicit_resolvers = {}  # instead of those of YAML 1.1
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)


def parse_yaml(text: str, name: str) -> tuple[Any, dict[KeyPath, int]]:
    """The data of a text and its lines (1-based; `()` is the whole). Raises `InputError` with name and line."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            lines = dict(_yaml_lines(node, (), name))
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise InputError(f"{place}: not valid YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{name}:{line}: not valid YAML: character {error.character!r} is not allowed") from error
    except InputError:
        raise
    except (ValueError, OverflowError) as error:  # of the scanner, such as an escape beyond Unicode
        raise InputError(f"{name}: not valid YAML: {error}") from error


def _yaml_lines(node: yaml.Node, path: KeyPath, name: str) -> Iterator[tuple[KeyPath, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _yaml_lines(item, (*path, index), name)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag != "tag:yaml.org,2002:str":
                shown = quote(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                raise InputError(f"{name}:{line}: key {shown}: keys must be text (write it in quotes)")
            _refuse_twice(seen, key_node.value, line, name)
            child = (*path, key_node.value)
            yield from _yaml_lines(value, child, name)
            yield child, line  # the line of the key counts, not that of a value below it


def _refuse_twice(seen: dict[str, int], key: str, line: int, name: str) -> None:
    if key in seen:
        raise InputError(f"{name}:{line}: key {quote(key)}: already given in line {seen[key]}")
    seen[key] = line


_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def parse_json(text: str, name: str, only_line: int | None = None) -> tuple[Any, dict[KeyPath, int]]:
    """Parses a whole file, or the one line of it that is the text; otherwise as `parse_yaml`."""
    first_line = only_line or 1
    place = f"{name}:{only_line}" if only_line else name

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON number")

    try:
        data = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}:{first_line + error.lineno - 1}: not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise InputError(f"{place}: nested more than {DEEPEST} levels deep") from error
    except ValueError as error:
        raise InputError(f"{place}: not valid JSON: {error}") from error
    return data, _json_lines(text, name, first_line)


def _json_lines(text: str, name: str, first_line: int) -> dict[KeyPath, int]:
    """Lines of all keys and items of a text that is known to be valid JSON."""
    lines: dict[KeyPath, int] = {}
    stack: list[dict[str, int] | None] = []  # per open bracket: the keys seen so far, or None in a list
    path: list[str | int] = []  # where the next value goes
    line, position = first_line, 0
    previous = ""
    for match in _JSON_TOKEN.finditer(text):
        token = match.group()
        line += text.count("\n", position, match.start())
        position = match.start()
        keys = stack[-1] if stack else None
        if token in ("}", "]"):
            stack.pop()
            path.pop()
        elif token == ",":
            last = path[-1]
            if isinstance(last, int):
                path[-1] = last + 1
        elif keys is not None and previous in ("{", ",") and token[0] == '"':
            path[-1] = json.loads(token, strict=False)
            _refuse_twice(keys, str(path[-1]), line, name)
            lines[tuple(path)] = line
        elif token != ":":
            lines.setdefault(tuple(path), line)
            if token in ("{", "["):
                if len(stack) == DEEPEST:
                    raise InputError(f"{name}:{line}: nested more than {DEEPEST} levels deep")
                stack.append({} if token == "{" else None)
                path.append("" if token == "{" else 0)
        previous = token
    return lines
