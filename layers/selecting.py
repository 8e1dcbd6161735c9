"""What all rules of a routing have in common: how they name blocks and areas."""

from typing import TYPE_CHECKING, Self

from pydantic import field_validator, model_validator

from strata.hierarchy.file_model import StrictModel

if TYPE_CHECKING:
    from strata.hierarchy.ramp import Ramp
    from strata.layers.ranges import Indices, Percent


class Selecting(StrictModel):
    """A rule that selects blocks, steps and areas; its subclasses have the fields, in the order of their files."""

    if TYPE_CHECKING:
        depth: Percent | None
        double: Indices | None
        single: Indices | None
        every: int
        steps: Percent | Indices | int | None
        strength: float | Ramp
        regions: tuple[str, ...] | None

    @field_validator("regions", check_fields=False)
    @classmethod
    def _check_regions(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is None:
            return None
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
