"""From a document to a model of pydantic, and pydantic's complaints in terms of the document."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from strata.hierarchy.errors import did_you_mean, quote
from strata.hierarchy.files import Document, KeyPath, field_name

M = TypeVar("M", bound=BaseModel)

MOST_ALSO = 4
"""Fields beside the first that are wrong, by name."""


def validate(model: type[M], document: Document) -> M:
    """Builds `model` from a document.

    Raises:
        InputError: `plan.yaml:12: regions[1].box: [5, 5, 2, 2]: x2 must be greater than x1 (also wrong: width)`.
            Unknown keys are reported first, as they often cause the others, with the valid keys.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        # One value may fail in several ways, or as several members of a union: report it once.
        found: dict[KeyPath, ErrorDetails] = {}
        for details in error.errors():
            found.setdefault(_path_in(document.data, details), details)
        path, *others = sorted(
            found, key=lambda path: (found[path]["type"] != "extra_forbidden", document.line(path) or 0)
        )
        raise document.error(path, _complaint(model, path, found[path]) + _also(others)) from error


def _also(others: Sequence[KeyPath]) -> str:
    """Where else something is wrong."""
    if not others:
        return ""
    left = f" and {len(others) - MOST_ALSO} more" if len(others) > MOST_ALSO else ""
    return f" (also wrong: {', '.join(field_name(path) or 'the whole' for path in others[:MOST_ALSO])}{left})"


def _path_in(data: Any, details: ErrorDetails) -> KeyPath:
    """The error's place as keys of the data, without the union members that pydantic mixes into it."""
    path: list[str | int] = []
    location = details["loc"]
    for index, key in enumerate(location):
        if _holds(data, key):
            data = data[key]
            path.append(key)
        elif details["type"] == "missing" and index == len(location) - 1:
            path.append(key)
    return tuple(path)


def _holds(data: Any, key: str | int) -> bool:
    if isinstance(data, dict):
        return key in data
    return isinstance(data, list) and isinstance(key, int) and key < len(data)


def _complaint(model: type[BaseModel], path: KeyPath, details: ErrorDetails) -> str:
    kind, message = details["type"], details["msg"]
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        keys, places = _valid_keys(model, path[:-1]), _places(model, str(path[-1]))
        if places:
            here = _place(path[:-1])
            return f"unknown key: belongs {' or '.join(places)}, not {here}; valid keys {here}: {', '.join(keys)}"
        return f"unknown key: {did_you_mean(str(path[-1]), keys)}valid keys: {', '.join(keys)}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        message = "must be a mapping"
    elif kind in ("tuple_type", "list_type"):
        message = "must be a list"
    message = message.removeprefix("Value error, ")
    message = re.sub(r"^(Input|Value|String|Tuple|List|Dictionary) should ", "must ", message)
    whole = isinstance(details["input"], dict | BaseModel)  # a rule between several keys: the value alone shows nothing
    return message if whole else f"{quote(details['input'])}: {message}"


def _valid_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Keys that the model or models at `path` know."""
    models = [model]
    for key in path:
        if isinstance(key, str):
            fields = [field for name, field in fields_of(models) if name == key]
            models = [found for field in fields for found, _ in models_in(field.annotation)]
    return [name for name, _ in fields_of(models)]


def _places(model: type[BaseModel], key: str, path: KeyPath = ()) -> list[str]:
    """Where in a document of `model` there is such a key, as a person says it: "at the top", "in blend"."""
    fields = fields_of([model])
    found = [_place(path)] if any(name == key for name, _ in fields) else []
    for name, field in fields:
        for inner, listed in models_in(field.annotation):
            found += _places(inner, key, (*path, name, 0) if listed else (*path, name))
    return list(dict.fromkeys(found))


def _place(path: KeyPath) -> str:
    """The place of a mapping: `("regions", 1)` is "in an entry of regions"."""
    if not path:
        return "at the top"
    names = ".".join(str(key) for key in path if isinstance(key, str))
    return f"in an entry of {names}" if isinstance(path[-1], int) else f"in {names}"


def fields_of(models: Sequence[type[BaseModel]]) -> list[tuple[str, FieldInfo]]:
    """Every field of the models, by the name it has in files."""
    return [(field.alias or name, field) for model in models for name, field in model.model_fields.items()]


def models_in(annotation: Any, listed: bool = False) -> list[tuple[type[BaseModel], bool]]:
    """Every model that an annotation mentions, such as `tuple[Region, ...] | None`, and whether in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, listed)]
    listed = listed or get_origin(annotation) in (tuple, list)
    return [found for part in get_args(annotation) for found in models_in(part, listed)]


def first_reason(error: ValidationError) -> str:
    """What the first complaint of a model says, without its place."""
    return error.errors()[0]["msg"].removeprefix("Value error, ")
