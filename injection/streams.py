"""Plan + schedule → text streams: which text is heard in which area, in which block, at which step, how strongly.

A stream is one text that rides through the transformer's text side. There is one per (area, level) that is ever heard,
beside the base prompt.

Texts and rules need not come at the same levels. A `full` text stands in for `high` and `low` under a routing that
knows no `full`, heard wherever either of them is; `high` and `low` texts are joined into one under a routing that knows
only `full`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strata.hierarchy.plan import Description, Level, ScenePlan
from strata.layers.schedule import Schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Stream:
    """One text, its area (a region's name, "background" or "global"), and `weight[T, B]` in [0, 1], 0 = inaudible."""

    area: str
    level: Level
    text: str
    weight: NDArray[np.float32]

    def last_block(self, step: int) -> int:
        """The last block that hears the stream at a step; -1 where none does."""
        heard = np.flatnonzero(self.weight[step])
        return int(heard[-1]) if len(heard) else -1


def plan_streams(plan: ScenePlan, schedule: Schedule) -> tuple[Stream, ...]:
    """The streams of a plan under a schedule, in the plan's order; texts that are never heard have none.

    Raises:
        InputError: a rule names a region that the plan does not have.
    """
    schedule.check_areas(region.name for region in plan.regions)
    by_area: dict[str, dict[Level, Description]] = {}
    for description in plan.descriptions():
        by_area.setdefault(description.area, {})[description.level] = description
    streams: list[Stream] = []
    for area, texts in by_area.items():
        found = [s for s in _area_streams(area, texts, schedule) if s.weight.any()]
        if not found:
            logger.warning(
                "%s: nothing of it is heard under the routing %s (it has %s; the routing hears %s)",
                *(area, schedule.routing.name, ", ".join(texts), ", ".join(schedule.levels)),
            )
        streams += found
    return tuple(streams)


def _area_streams(area: str, texts: dict[Level, Description], schedule: Schedule) -> Iterable[Stream]:
    heard = set(schedule.levels)
    divided = [texts[level] for level in ("high", "low") if level in texts]
    if "full" in texts and "full" not in heard and not divided:
        weight = np.maximum(schedule.strength("high", area), schedule.strength("low", area))
        yield Stream(area, "full", texts["full"].text, weight * np.float32(texts["full"].strength))
    elif divided and "full" not in texts and heard == {"full"}:
        strength = max(d.strength for d in divided)
        text = ", ".join(d.text for d in divided)
        yield Stream(area, "full", text, schedule.strength("full", area) * np.float32(strength))
    else:
        for level, description in texts.items():
            yield Stream(
                area, level, description.text, schedule.strength(level, area) * np.float32(description.strength)
            )
