"""LoRAs of a plan: which low-rank adapters act on an area, and how strongly."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, PlainSerializer, PlainValidator

from strata.hierarchy.errors import quote
from strata.hierarchy.file_model import StrictModel, Text

LARGEST_LORA_SCALE = 10
"""Of an adapter's delta, either way; a negative one takes away what the adapter learned."""
MOST_LORAS = 20
"""Of one area."""


class ScaleRamp(StrictModel):
    """A scale that runs in a straight line over the steps at which the adapter acts, from the first to the last."""

    start: float
    end: float

    def __str__(self) -> str:
        return f"{self.start:g} to {self.end:g}"


def _number(value: Any, what: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{what}must be a number, or a ramp such as {{from: 1, to: 0.2}}")
    if not abs(value) <= LARGEST_LORA_SCALE:
        raise ValueError(f"{what}must be from -{LARGEST_LORA_SCALE} to {LARGEST_LORA_SCALE}")
    return float(value)


def parse_scale(value: Any) -> float | ScaleRamp:
    """Read a number or a mapping with the keys `from` and `to`. Raises `ValueError` on anything else."""
    if isinstance(value, ScaleRamp):
        return value
    if not isinstance(value, Mapping):
        return _number(value, "")
    unknown = [str(key) for key in value if key not in ("from", "to")]
    if unknown:
        raise ValueError(f"unknown key {quote(unknown[0])}; valid keys: from, to")
    if len(value) < 2:
        raise ValueError("a ramp needs both keys: from, to")
    return ScaleRamp(start=_number(value["from"], "from: "), end=_number(value["to"], "to: "))


def _written(scale: float | ScaleRamp) -> float | dict[str, float]:
    return {"from": scale.start, "to": scale.end} if isinstance(scale, ScaleRamp) else scale


class Lora(StrictModel):
    """One adapter."""

    file: Text
    """A `.safetensors` file, relative to the plan's folder, or a hub id (OWNER/NAME)."""
    scale: Annotated[float | ScaleRamp, PlainValidator(parse_scale), PlainSerializer(_written)] = 1.0
    """Of its delta; where the routing has `loras`, times their strength."""

    if TYPE_CHECKING:  # what may be given, as plan files write it

        def __init__(self, *, file: str, scale: float | ScaleRamp | Mapping[str, float] = 1.0) -> None: ...

    @property
    def name(self) -> str:
        """By which the routing's `loras` name it: the file's name without folders and suffix."""
        return self.file.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".safetensors")

    def moved(self, file: str) -> Self:
        """The same adapter under another path."""
        return self.model_copy(update={"file": file})


Loras = Annotated[tuple[Lora, ...], Field(max_length=MOST_LORAS)]
