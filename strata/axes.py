"""What a sweep varies: fields of the plan, the routing or the settings by their paths, each with its values."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from strata.hierarchy.errors import InputError, SettingError, quote
from strata.hierarchy.file_model import FileModel
from strata.hierarchy.files import field_name, parse_document
from strata.hierarchy.paths import Names, field_paths, places
from strata.hierarchy.plan import ScenePlan
from strata.layers.routing import Routing
from strata.settings import DrawSettings

Kind = Literal["plan", "routing", "settings"]
MOST_VALUES = 1000
"""Values of one field."""
_MODELS: Mapping[Kind, type[BaseModel]] = {"plan": ScenePlan, "routing": Routing, "settings": DrawSettings}
_FIXED: Mapping[tuple[Kind, str], str] = {
    **{("settings", name): "one model is loaded for all" for name in ("model", "device", "dtype", "offload")},
    ("settings", "strict"): "changes no picture",
    **{("plan", name): f"settings.{name} resizes the plan with all that is in it" for name in ("width", "height")},
    **{("routing", name): "changes no picture" for name in ("name", "about", "source", "evidence")},
    **{("plan", name): "changes no picture" for name in ("name", "provenance")},
    ("routing", "model"): "is what the routing was written for",
    ("routing", "balance"): "is applied to the plan before anything is varied; vary what it sets",
}
"""Fields that do not vary, and why."""
_WHOLE = (("plan", ("regions", "strength")),)
"""Fields that vary as a whole: in files a number stands for all that is in them."""
F = TypeVar("F", bound=FileModel)


@dataclass(frozen=True)
class Axis:
    """A field with the values that it takes.

    Attributes:
        name: as it was asked for; titles and columns have it.
        kind: what the field belongs to; "source" stands for whole plans, whose values are their numbers.
        path: of the field.
        values: as a file would have them.
        labels: what each value is called.
    """

    name: str
    kind: Kind | Literal["source"]
    path: Names
    values: tuple[Any, ...]
    labels: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """Reads `FIELD=VALUE,VALUE,…`, values as in YAML: `base_ratio=0,0.1`, `steps=0%-30%,0%-60%`, `seed=1-4`.

        A value with a comma stands in quotes or brackets. The field is named by its path, or by the end of it.

        Raises:
            SettingError: no such field, one that does not vary or several by that name, or values that it cannot have.
        """
        name, equals, written = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise SettingError(f"<vary> {quote(text)}: must be FIELD=VALUE,VALUE,…")
        try:
            data = parse_document(f"values: [{written}\n]", quote(name)).data["values"]
        except InputError as error:
            why = str(error).partition(": ")[2]
            message = f"values are separated by commas, as in a list of YAML ({why}); put quotes around texts"
            raise SettingError(f"<vary> {name}: {quote(written)}: {message}") from error
        return cls.of(name, data)

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> "Axis":
        """A field, by its path or the end of it, with values as a file would have them. Raises as `parse` does."""
        kind, path = _resolved(name, _expanded(name, values) if _is_seed(name) else values)
        if (kind, path) == ("settings", ("seed",)):
            values = _expanded(name, values)
        if not values:
            raise SettingError(f"<vary> {name}: needs a value at least")
        if len(values) > MOST_VALUES:
            raise SettingError(f"<vary> {name}: {len(values)} values; at most {MOST_VALUES}")
        labels = tuple(map(label, values))
        if (kind, path) == ("settings", ("routing",)):  # files by their names, where these tell them apart
            stems = tuple(
                Path(text).stem if Path(text).suffix in (".yaml", ".yml", ".json") else text for text in labels
            )
            labels = stems if len(set(stems)) == len(stems) else labels
        if twice := next((one for n, one in enumerate(labels) if one in labels[:n]), None):
            raise SettingError(f"<vary> {name}: {quote(twice)} is given twice")
        return cls(name, kind, path, tuple(values), labels)

    @property
    def field(self) -> tuple[str, Names]:
        """What is varied; no two axes vary the same."""
        return self.kind, self.path


def label(value: Any) -> str:
    """What a value is called, on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(text.split())


def varied(model: F, values: Sequence[tuple[Axis, Any]]) -> F:
    """A plan or a routing with the axes' values in their places.

    Raises:
        InputError: it has no such place, or would not be valid; a `SettingError` where a value is wrong by itself.
    """
    for axis, value in values:
        try:
            # What is at its default does not stand in a file, but a path may lead there.
            at = places(model.model_dump(mode="json"), type(model), axis.path)
        except InputError as error:
            raise InputError(f"{axis.name}: {error}") from error
        try:
            model = model.with_values(dict.fromkeys(at, value))
        except InputError as error:
            own = next((own for own in map(field_name, at) if str(error).startswith(f"{own}: ")), None)
            if own is None:
                raise
            raise SettingError(f"<vary> {axis.name}: {str(error).removeprefix(f'{own}: ')}") from error
    return model


def _is_seed(name: str) -> bool:
    return name in ("seed", "settings.seed")


def _expanded(name: str, values: Sequence[Any]) -> list[Any]:
    """Seeds, of which `1-4` names several."""
    found: list[Any] = []
    for value in values:
        ends = re.fullmatch(r"(\d{1,19})-(\d{1,19})", value) if isinstance(value, str) else None
        if ends is None:
            found.append(value)
            continue
        first, last = int(ends[1]), int(ends[2])
        if last < first:
            raise SettingError(f"<vary> {name}: {quote(value)}: runs backwards; write {last}-{first}")
        if last - first >= MOST_VALUES:
            raise SettingError(f"<vary> {name}: {quote(value)}: {last - first + 1} values; at most {MOST_VALUES}")
        found += range(first, last + 1)
    return found


def _all_fields() -> Iterator[tuple[Kind, Names, FieldInfo]]:
    """Every field that may vary."""
    for kind, model in _MODELS.items():
        for path, field in field_paths(model).items():
            within = any(kind == of and path[: len(whole)] == whole != path for of, whole in _WHOLE)
            if not within and not any((kind, part) in _FIXED for part in path):
                yield kind, path, field


def _resolved(name: str, values: Sequence[Any]) -> tuple[Kind, Names]:
    """The field that a name means: a path from its root, or the end of one that no other field has."""
    parts = tuple(re.sub(r"\[(\d+)\]", r".\1", name).split("."))
    fields = list(_all_fields())
    for kind, model in _MODELS.items():
        if parts[0] == kind and len(parts) > 1:
            return kind, _below(kind, model, name, parts[1:], fields)
    ends = [(kind, path, field) for kind, path, field in fields if path[-len(parts) :] == parts]
    ends = [end for end in ends if "loras" not in end[1]] or ends  # which a path to theirs names
    fitting = [(kind, path) for kind, path, field in ends if all(_fits(field, value) for value in values)]
    if len(fitting) == 1 or len(ends) == 1:
        return fitting[0] if fitting else ends[0][:2]
    if ends:
        names = ", ".join(".".join([kind, *path]) for kind, path in fitting or [end[:2] for end in ends])
        raise SettingError(f"<vary> {name}: may be any of {names}; name one of them")
    for kind, model in _MODELS.items():
        if kind != "settings" and len(parts) > 1 and parts[0] in model.model_fields:
            return kind, _below(kind, model, name, parts, fields)
    if reasons := [why for (_, fixed), why in _FIXED.items() if fixed == parts[-1]]:
        raise SettingError(f"<vary> {name}: does not vary: {reasons[0]}")
    raise _no_field(name, fields)


def _below(
    kind: Kind, model: type[BaseModel], name: str, path: Names, fields: Sequence[tuple[Kind, Names, FieldInfo]]
) -> Names:
    """A path that starts at the root of a kind, whose first part is known; lists may have any items."""
    for part in (path[0], path[-1]):
        if (kind, part) in _FIXED:
            raise SettingError(f"<vary> {name}: does not vary: {_FIXED[kind, part]}")
    if path[0] not in model.model_fields or (kind == "settings" and len(path) > 1):
        raise _no_field(name, fields)
    return path


def _no_field(name: str, fields: Sequence[tuple[Kind, Names, FieldInfo]]) -> SettingError:
    full = [".".join([kind, *path]) for kind, path, _ in fields]
    last = name.rpartition(".")[2]
    near = get_close_matches(name, full, n=4)
    near += [
        one
        for end in get_close_matches(last, {one.rpartition(".")[2] for one in full}, n=2)
        for one in full
        if one.endswith(f".{end}")
    ]
    hint = f"near: {', '.join(dict.fromkeys(near))}" if near else f"fields: {', '.join(full)}"
    return SettingError(f"<vary> {name}: no such field of plan, routing or settings; {hint}")


def _fits(field: FieldInfo, value: Any) -> bool:
    if value is None:
        return True
    try:
        kind: Any = Annotated[field.annotation, field]
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
