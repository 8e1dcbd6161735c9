"""LoRAs of a plan: which low-rank adapters act on an area, and how strongly."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, PlainSerializer, PlainValidator

from strata.hierarchy.file_model import StrictModel, Text
from strata.hierarchy.ramp import Ramp, as_written

LARGEST_LORA_SCALE = 10
"""Of an adapter's delta, either way; a negative one takes away what the adapter learned."""
MOST_LORAS = 20
"""Of one area."""


class ScaleRamp(Ramp):
    """A scale over the steps at which an adapter acts."""

    lowest: ClassVar[float] = -LARGEST_LORA_SCALE
    highest: ClassVar[float] = LARGEST_LORA_SCALE


def parse_scale(value: Any) -> float | ScaleRamp:
    """Read a number or a mapping with the keys `from` and `to`. Raises `ValueError` on anything else."""
    scale = ScaleRamp.parse(value)
    if isinstance(scale, float) and not abs(scale) <= LARGEST_LORA_SCALE:
        raise ValueError(f"must be from -{LARGEST_LORA_SCALE} to {LARGEST_LORA_SCALE}")
    return scale


class Lora(StrictModel):
    """One adapter."""

    file: Text
    """A `.safetensors` file, relative to the plan's folder, or of the hub: OWNER/NAME, OWNER/NAME/FILE."""
    scale: Annotated[float | ScaleRamp, PlainValidator(parse_scale), PlainSerializer(as_written)] = 1.0
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
