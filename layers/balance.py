"""Balance: base ratio and steps by a plan's regions, how many and how large.

Many small regions want another balance than one large one. A routing's entries say so; the first that fits holds:

```yaml
balance:
  - {regions: 1-2, base_ratio: 0.3, steps: 0%-60%}
  - {regions: 3+, area: 0%-15%, base_ratio: 0.1}
```
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import PlainSerializer, model_validator

from strata.hierarchy.areas import region_mask
from strata.hierarchy.errors import quote
from strata.hierarchy.file_model import StrictModel
from strata.hierarchy.plan import ScenePlan
from strata.layers.fields import PercentField, RatioField, reader
from strata.layers.ranges import Indices, Percent

if TYPE_CHECKING:
    from strata.layers.routing import Rule

_COUNT = re.compile(r"([0-9]{1,6})(?:\s*-\s*([0-9]{1,6})|\s*(\+))?")


@dataclass(frozen=True)
class Count:
    """Numbers of regions, from `first` to `last`, both included; `last` None: and more."""

    first: int
    last: int | None

    @classmethod
    def parse(cls, value: Any) -> "Count":
        """Read `2`, `"2"`, `"1-2"` or `"3+"`. Raises `ValueError` on anything else."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value, value)
        match = _COUNT.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError('expected a number of regions such as 2, "1-2" or "3+"')
        first = int(match[1])
        last = None if match[3] else int(match[2] or match[1])
        if last is not None and first > last:
            raise ValueError(f'the range {quote(value.strip())} runs backwards; write "{last}-{first}"')
        return cls(first, last)

    def holds(self, number: int) -> bool:
        """Whether `number` is one of them."""
        return self.first <= number and (self.last is None or number <= self.last)

    def __str__(self) -> str:
        if self.last is None:
            return f"{self.first}+"
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


def _write_count(value: Count) -> str | int:
    return value.first if value.first == value.last else str(value)


CountField = Annotated[Count, reader(Count.parse, Count), PlainSerializer(_write_count)]


class Balance(StrictModel):
    """One entry: which plans it is for, and what holds for them.

    Attributes:
        regions: how many regions a plan has. None: any number.
        area: percent range of the mean share of the canvas that a region of it covers. None: any.
        base_ratio: in place of the blend's. None: the blend's.
        steps: the part of the run over which the rules' percent ranges of steps are laid; a rule without steps holds
            over this part, exact steps stay. None: the whole run.
    """

    regions: CountField | None = None
    area: PercentField | None = None
    base_ratio: RatioField | None = None
    steps: PercentField | None = None

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.base_ratio is None and self.steps is None:
            raise ValueError("must have base_ratio, steps or both")
        return self

    def fits(self, regions: int, area: float) -> bool:
        """Whether the entry is for plans with so many regions, of this mean share of the canvas (0 to 1)."""
        return (self.regions is None or self.regions.holds(regions)) and _holds(self.area, area)

    def covers(self, other: "Balance") -> bool:
        """Whether the entry fits every plan that `other` fits."""
        mine, its = self.regions or Count(0, None), other.regions or Count(0, None)
        counts = mine.holds(its.first) and (mine.last is None or (its.last is not None and its.last <= mine.last))
        return counts and _within(other.area, self.area)

    def laid(self, rule: "Rule") -> "Rule":
        """A rule with its percent range of steps laid over the entry's part of the run."""
        part = self.steps
        if part is None or isinstance(rule.steps, Indices | int):
            return rule
        own = rule.steps or _WHOLE
        share = (part.stop - part.start) / 100
        start, stop = (round(part.start + share * edge, 9) for edge in (own.start, own.stop))
        return rule.model_copy(update={"steps": Percent(start, stop)})

    def __str__(self) -> str:
        plans = f"{self.regions} regions" if self.regions is not None else "any number of regions"
        area = f", {self.area} of the canvas each" if self.area is not None else ""
        ratio = f"{self.base_ratio:g}" if isinstance(self.base_ratio, float) else self.base_ratio
        values = {"base ratio": ratio, "steps": self.steps}
        return f"{plans}{area}: {', '.join(f'{name} {value}' for name, value in values.items() if value is not None)}"


_WHOLE = Percent(0, 100)


def _holds(part: Percent | None, share: float) -> bool:
    percent = round(100 * share, 6)
    return part is None or part.start <= percent < part.stop or part.stop == 100 == percent


def _within(inner: Percent | None, outer: Percent | None) -> bool:
    inner, outer = inner or _WHOLE, outer or _WHOLE
    return outer.start <= inner.start and inner.stop <= outer.stop


def mean_area(plan: ScenePlan) -> float:
    """The mean share of the canvas that a region covers, by its pixels; 0 without regions.

    Raises:
        InputError: a mask file cannot be used.
    """
    shares = [float(region_mask(plan, index).mean()) for index in range(len(plan.regions))]
    return sum(shares) / len(shares) if shares else 0.0
