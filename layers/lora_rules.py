"""Where and when LoRAs act: a routing's `loras`.

```yaml
loras:
  - {names: [watercolour], depth: 50%-100%, steps: 20%-100%}
  - {regions: [boat], strength: {from: 1, to: 0.2}}
```
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from strata.hierarchy.errors import quote
from strata.hierarchy.plan import PlacedLora
from strata.hierarchy.ramp import Ramp
from strata.layers.fields import IndicesField, PercentField, StepsField, StrengthField
from strata.layers.ranges import Indices, Percent
from strata.layers.selecting import Selecting


class LoraRule(Selecting):
    """Some adapters, acting in some blocks at some steps. Where several rules match one, the strongest counts.

    Attributes:
        names: of the adapters it is for: their files' names without folders and suffix. None: all.
        depth, double, single, every, steps, strength, regions: as of `Rule`.
    """

    names: tuple[str, ...] | None = None
    depth: PercentField | None = None
    double: IndicesField | None = None
    single: IndicesField | None = None
    every: Annotated[int, Field(ge=1, strict=True)] = 1
    steps: StepsField | None = None
    strength: StrengthField = 1.0
    regions: tuple[str, ...] | None = None

    if TYPE_CHECKING:  # what may be given, as routing files write it

        def __init__(
            self,
            *,
            names: Sequence[str] | None = None,
            depth: Percent | str | None = None,
            double: Indices | str | int | Sequence[int] | None = None,
            single: Indices | str | int | Sequence[int] | None = None,
            every: int = 1,
            steps: Percent | Indices | str | int | None = None,
            strength: float | Ramp | Mapping[str, float] = 1.0,
            regions: Sequence[str] | None = None,
        ) -> None: ...

    @field_validator("names")
    @classmethod
    def _check_names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and not all(names or ("",)):
            raise ValueError("must be names of adapters; leave the key out for all")
        return names

    @property
    def whose(self) -> str:
        """What it is for, in words: "LoRAs", "LoRA watercolour"."""
        return f"LoRA {' and '.join(self.names)}" if self.names else "LoRAs"

    def is_for(self, area: str, name: str) -> bool:
        """Whether it holds for an area's adapter of this name."""
        return (self.regions is None or area in self.regions) and (self.names is None or name in self.names)


def lora_notes(rules: Sequence[LoraRule], placed: Sequence[PlacedLora]) -> list[str]:
    """What a routing's `loras` do that one may not have meant, with the LoRAs of a plan: a sentence each."""
    if not rules:
        return []
    if not placed:
        return ["the routing's loras do nothing: there is no LoRA to draw with"]
    loras = [each.lora for each in placed]
    files = {name: {lora.file for lora in loras if lora.name == name} for rule in rules for name in rule.names or ()}
    shared = [
        f"the routing's loras: {quote(name)} is the name of {len(same)} files, and all of them are meant:"
        f" {', '.join(sorted(same))}"
        for name, same in files.items()
        if len(same) > 1
    ]
    silent = dict.fromkeys(
        (each.lora.name, each.area)
        for each in placed
        if not any(rule.is_for(each.area, each.lora.name) for rule in rules)
    )
    return shared + [
        f"LoRA {quote(name)} of {'the whole picture' if area == 'global' else quote(area)} does nothing: none of the"
        " routing's loras is for it"
        for name, area in silent
    ]
