"""The routing file: which level is heard in which blocks, at which steps, how strongly, beside how much base.

```yaml
name: coarse-to-fine
blend: {mode: shared, base_ratio: 0.2}
rules:
  - {level: low,  depth: 0%-33%,   steps: 0%-50%}
  - {level: high, depth: 33%-100%, steps: 0%-50%, isolate: true}
```
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, PrivateAttr, field_validator, model_validator

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import (
    Document,
    KeyPath,
    did_you_mean,
    dump_yaml,
    parse_document,
    quote,
    read_document,
    syntax_of,
    validate,
    write_atomic,
)
from strata.hierarchy.plan import Level, StrictModel
from strata.layers.ramp import Ramp
from strata.layers.ranges import Indices, Percent
from strata.layers.schedule import Schedule, resolve, select_blocks


def _reader(parse: Callable[[Any], Any], *kinds: type) -> PlainValidator:
    """A validator that takes what `parse` reads, and values that are already of one of `kinds`."""
    return PlainValidator(lambda value: value if isinstance(value, kinds) else parse(value))


def _parse_steps(value: Any) -> Percent | Indices | int:
    if isinstance(value, str) and "%" in value:
        return Percent.parse(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("the number of first steps must be at least 1")
        return value
    if isinstance(value, str) and value.strip().isdigit():
        number = value.strip()
        raise ValueError(f"write {number} without quotes for the first {number} steps, {number}-{number} for that step")
    return Indices.parse(value)


def _parse_strength(value: Any) -> float | Ramp:
    strength = Ramp.parse(value)
    highest = max(strength.start, strength.end) if isinstance(strength, Ramp) else strength
    if not 0 < highest <= 1:
        raise ValueError("must be greater than 0 and at most 1 (leave the rule out to silence a level)")
    return strength


def _parse_ratio(value: Any) -> float | Ramp:
    ratio = Ramp.parse(value)
    if isinstance(ratio, float) and not 0 <= ratio <= 1:
        raise ValueError("must be from 0 to 1")
    return ratio


def _write_indices(value: Indices) -> str | int:
    single = value.spans[0] if value.spans is not None and len(value.spans) == 1 else None
    return single[0] if single is not None and single[0] == single[1] else str(value)


def _write_steps(value: Percent | Indices | int) -> str | int:
    text = str(value)
    if isinstance(value, Indices) and text.isdigit():
        return f"{text}-{text}"  # a bare number means that many first steps
    return value if isinstance(value, int) else text


def _write_number(value: float | Ramp) -> float | dict[str, float]:
    return value.as_data() if isinstance(value, Ramp) else value


DEFAULT_ROUTING = "isolate-first"
"""The preset that is used where none is named."""

PercentField = Annotated[Percent, _reader(Percent.parse, Percent), PlainSerializer(str)]
IndicesField = Annotated[Indices, _reader(Indices.parse, Indices), PlainSerializer(_write_indices)]
StepsField = Annotated[Percent | Indices | int, _reader(_parse_steps, Percent, Indices), PlainSerializer(_write_steps)]
StrengthField = Annotated[float | Ramp, _reader(_parse_strength), PlainSerializer(_write_number)]
RatioField = Annotated[float | Ramp, _reader(_parse_ratio), PlainSerializer(_write_number)]


class ModelSize(StrictModel):
    """The block counts that a routing's exact ranges were written for."""

    double: Annotated[int, Field(ge=0, strict=True)]
    single: Annotated[int, Field(ge=0, strict=True)]

    @model_validator(mode="after")
    def _has_blocks(self) -> Self:
        if self.double + self.single == 0:
            raise ValueError("a model has at least one block")
        return self


class Blend(StrictModel):
    """How regional and base attention meet: `(1 - base_ratio) * regional + base_ratio * base`.

    `shared` keeps one image stream; both attentions read the same queries. `split` gives the base its own copy of the
    image tokens from the first single block on, as Regional-Prompting-FLUX does (arXiv 2411.02395). A ramp of the base
    ratio runs from the first to the last step in which anything is routed.
    """

    mode: Literal["shared", "split"] = "shared"
    base_ratio: RatioField = 0.2


class Rule(StrictModel):
    """One level, heard in some blocks at some steps. A rule without a selector holds in every block at every step.

    Attributes:
        level: whose texts are heard.
        depth: percent range of all blocks, double then single ("0%-33%"). Not beside `double` or `single`.
        double: exact double blocks ("0-18", "0-3,7", 17, [0, 1, 17], "all"). Without `single`: no single blocks.
        single: exact single blocks, likewise.
        every: keep only blocks whose index within their family is a multiple of this.
        steps: percent range ("0%-50%"), exact steps ("0-9"), or a number n: the first n steps, or all of a shorter
            run. None: all.
        strength: in (0, 1], or a ramp over the rule's steps.
        isolate: image tokens see only image tokens that share a region with them.
        regions: the areas the rule is for (region names, "background", "global"). None: all.
    """

    level: Level
    depth: PercentField | None = None
    double: IndicesField | None = None
    single: IndicesField | None = None
    every: Annotated[int, Field(ge=1, strict=True)] = 1
    steps: StepsField | None = None
    strength: StrengthField = 1.0
    isolate: Annotated[bool, Field(strict=True)] = False
    regions: tuple[str, ...] | None = None

    @field_validator("regions")
    @classmethod
    def _check_regions(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is None:
            return names
        if not names:
            raise ValueError("an empty list is for no region; leave the key out for all")
        if "" in names or "base" in names:
            raise ValueError('must be names of regions, "background" or "global" (the base prompt is not routed)')
        if len(set(names)) < len(names):
            raise ValueError("names a region twice")
        return names

    @model_validator(mode="after")
    def _one_kind_of_range(self) -> Self:
        if self.depth is not None and (self.double is not None or self.single is not None):
            raise ValueError("give either depth (percent of all blocks) or double and single (exact blocks), not both")
        return self


@dataclass(frozen=True)
class _Origin:
    """The document a routing was read from. All origins are equal: where a routing stood is no part of it."""

    document: Document | None = field(default=None, compare=False)


class Routing(StrictModel):
    """A routing file.

    Attributes:
        name: what it is called.
        about: what it does, for people.
        source: where the idea was published.
        model: the block counts that exact ranges were written for; on models with other counts they are rescaled.
            None: exact ranges are taken literally.
        blend: how regional and base attention meet.
        unrouted: what a block without a matching rule does in a step in which others are routed: "plain" is base
            attention only, "open" is regional attention without any mask (as published).
        background: what image tokens of no region hear where the plan gives no background texts: the base prompt, or
            nothing ("none", as published).
        pad: "full" keeps the padding tokens of the texts (as published), "none" drops them.
        rules: who is heard where. Where rules of one level overlap, the strongest counts.
    """

    name: Annotated[str, Field(min_length=1)]
    about: str = ""
    source: str | None = None
    model: ModelSize | None = None
    blend: Blend = Blend()
    unrouted: Literal["plain", "open"] = "plain"
    background: Literal["base", "none"] = "base"
    pad: Literal["none", "full"] = "none"
    rules: tuple[Rule, ...]

    _origin: _Origin = PrivateAttr(default_factory=_Origin)

    @field_validator("rules")
    @classmethod
    def _has_rules(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if not rules:  # checked here, after the rules, so that a lone rule's own mistake is what is told
            raise ValueError("must have at least one rule")
        return rules

    @classmethod
    def load(cls, source: str | os.PathLike[str]) -> Self:
        """Load a preset by its name, or a routing file by its path.

        Raises:
            InputError: there is no such preset or file, or its content is wrong.
        """
        if isinstance(source, str) and not Path(source).suffix and os.sep not in source and "/" not in source:
            names = presets()
            if source not in names:
                hint = did_you_mean(source, names)
                raise InputError(f"routing {quote(source)}: {hint}must be a .yaml file or one of {', '.join(names)}")
            text = (_preset_folder() / f"{source}.yaml").read_text(encoding="utf-8")
            return cls._from_document(parse_document(text, f"{source}.yaml"))
        return cls._from_document(read_document(source))

    @classmethod
    def from_yaml(cls, text: str, name: str = "<text>") -> Self:
        """Read a routing from YAML text; `name` is what error messages call it. Raises `InputError`."""
        return cls._from_document(parse_document(text, name))

    @classmethod
    def _from_document(cls, document: Document) -> Self:
        routing = validate(cls, document)
        routing._origin = _Origin(document)
        if routing.model is not None:  # else exact ranges can be judged only once the model is known
            for index in range(len(routing.rules)):
                select_blocks(routing, index, routing.model.double, routing.model.single)
        return routing

    def to_yaml(self) -> str:
        """The routing as YAML, defaults left out. `from_yaml` reads it back to an equal routing."""
        return dump_yaml(self._as_data())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `.yaml`, `.yml` or `.json` file, whole or not at all. Raises `InputError`."""
        if syntax_of(path) == "json":
            write_atomic(path, json.dumps(self._as_data(), indent=2, ensure_ascii=False) + "\n")
        else:
            write_atomic(path, self.to_yaml())

    def resolve(self, double_blocks: int, single_blocks: int, steps: int) -> Schedule:
        """The routing as arrays, for a model with these block counts and a run of so many denoising steps.

        Raises:
            InputError: a rule names a block or step that does not exist, or matches none; file, line, rule, value and
                the model's counts are named.
        """
        return resolve(self, double_blocks, single_blocks, steps)

    def error(self, path: KeyPath, message: str) -> InputError:
        """An `InputError` about the field at `path`, with file and line where the routing was read from a file."""
        document = self._origin.document or Document(None, f"routing {quote(self.name)}", Path(), {})
        return document.error(path, message)

    def _as_data(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_defaults=True)


def presets() -> list[str]:
    """The names of the bundled routings, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _preset_folder().iterdir() if entry.is_file())


def _preset_folder() -> Any:
    return files("strata.configs") / "routings"
