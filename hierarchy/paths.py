"""Fields of a file by their paths: which there are, and what a path such as `regions.moon.high` means in a document."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.hierarchy.files import KeyPath
from strata.hierarchy.validation import fields_of, models_in

Names = tuple[str, ...]
ITEM_NAMES = ("name", "level")
"""Keys of a list's items by whose values a path may pick them."""


def field_paths(model: type[BaseModel]) -> dict[Names, FieldInfo]:
    """Every field of a model and of those in it; those of a list's items stand below the list, without a number."""
    found: dict[Names, FieldInfo] = {}
    for name, field in fields_of([model]):
        found[name,] = field
        for inner, _ in models_in(field.annotation):
            found |= {(name, *path): below for path, below in field_paths(inner).items()}
    return found


def places(data: Mapping[str, Any], model: type[BaseModel], path: Sequence[str]) -> list[KeyPath]:
    """Where in a document a path leads.

    An item of a list is named by its name, its level or its number from 0; without, the path leads to all items.

    Args:
        data: of the document.
        model: what the document is of.
        path: of the field, such as `("regions", "moon", "high")`, `("rules", "steps")`.

    Raises:
        InputError: there is no such field or item; names those that there are.
    """
    return _places(data, [model], tuple(path), ())


def _places(value: Any, models: Sequence[type[BaseModel]], path: Names, here: KeyPath) -> list[KeyPath]:
    if not path:
        return [here]
    fields = dict(fields_of(models))
    if isinstance(value, list):
        picked, rest = _picked(value, path)
        if not picked and path[0] not in fields:
            names = [str(item[key]) for item in value for key in ITEM_NAMES if key in item]
            raise _unknown(path[0], list(dict.fromkeys([*names, *fields])))
        if not value:
            raise InputError("there are none")
        found = []
        for index in picked or range(len(value)):
            found += _places(value[index], models, rest if picked else path, (*here, index))
        return found
    if path[0] not in fields:
        raise _unknown(path[0], list(fields))
    inner = models_in(fields[path[0]].annotation)
    if len(path) > 1 and not inner:
        raise InputError(f"{quote(path[0])} has no fields")
    below = value.get(path[0]) if isinstance(value, Mapping) else None
    if below is None and any(listed for _, listed in inner):
        below = []
    return _places(below, [found for found, _ in inner], path[1:], (*here, path[0]))


def _picked(items: Sequence[Mapping[str, Any]], path: Names) -> tuple[list[int], Names]:
    """The items that the start of a path names, and the rest of it; names may hold dots."""
    for length in range(len(path), 0, -1):
        name = ".".join(path[:length])
        for key in ITEM_NAMES:
            if picked := [n for n, item in enumerate(items) if item.get(key) == name]:
                return picked, path[length:]
    if path[0].isdigit() and int(path[0]) < len(items):
        return [int(path[0])], path[1:]
    return [], path


def _unknown(name: str, choices: Sequence[str]) -> InputError:
    return InputError(f"{quote(name)}: {did_you_mean(name, choices)}must be one of {', '.join(choices)}")
