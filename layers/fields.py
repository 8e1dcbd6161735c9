"""Ranges and ramps as fields of a routing file: how each is read, checked and written back."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from strata.hierarchy.ramp import Ramp, as_written
from strata.layers.ranges import Indices, Percent


def reader(parse: Callable[[Any], Any], *kinds: type) -> PlainValidator:
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
        raise ValueError("must be greater than 0 and at most 1 (leave the rule out to hide a level)")
    return strength


def _parse_ratio(value: Any) -> float | Ramp:
    ratio = Ramp.parse(value)
    if isinstance(ratio, float) and not 0 <= ratio <= 1:
        raise ValueError("must be from 0 to 1")
    return ratio


def write_indices(value: Indices) -> str | int:
    """As a file has it: a number where it is one."""
    single = value.spans[0] if value.spans is not None and len(value.spans) == 1 else None
    return single[0] if single is not None and single[0] == single[1] else str(value)


def write_steps(value: Percent | Indices | int) -> str | int:
    """As a file has it."""
    text = str(value)
    if isinstance(value, Indices) and text.isdigit():
        return f"{text}-{text}"  # a bare number means that many first steps
    return value if isinstance(value, int) else text


PercentField = Annotated[Percent, reader(Percent.parse, Percent), PlainSerializer(str)]
IndicesField = Annotated[Indices, reader(Indices.parse, Indices), PlainSerializer(write_indices)]
StepsField = Annotated[Percent | Indices | int, reader(_parse_steps, Percent, Indices), PlainSerializer(write_steps)]
StrengthField = Annotated[float | Ramp, reader(_parse_strength), PlainSerializer(as_written)]
RatioField = Annotated[float | Ramp, reader(_parse_ratio), PlainSerializer(as_written)]
