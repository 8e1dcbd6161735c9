"""Plan + schedule → text streams: which text is visible in which area, in which block, at which step, how strongly.

A stream is one text that rides through the transformer's text side. There is one per (area, level) that any image token
ever attends to, beside the base prompt.

Texts and rules need not come at the same levels. A `full` text stands in for `high` and `low` under a routing that
knows no `full`, visible wherever either of them is; `high` and `low` texts are joined into one under a routing that
knows only `full`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.plan import Description, Level, ScenePlan
from strata.layers.schedule import Schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Stream:
    """One text, its area (a region's name, "background" or "global"), and `weight[T, B]` in [0, 1], 0 = invisible.

    `lead`: what the text begins with under an anchored routing, its area's content; an override keeps it.
    `everywhere`: whether all image tokens see it, whatever its area.
    """

    area: str
    level: Level
    text: str
    weight: NDArray[np.float32]
    lead: str = ""
    everywhere: bool = False

    @property
    def reach(self) -> str:
        """The area whose image tokens see the text."""
        return "global" if self.everywhere else self.area

    def last_block(self, step: int) -> int:
        """The last block in which the stream is visible at a step; -1 where it never is."""
        visible = np.flatnonzero(self.weight[step])
        return int(visible[-1]) if len(visible) else -1


@dataclass(frozen=True, eq=False)
class TextOverride:
    """An intervention: at some places of the schedule an area's text is another one.

    Attributes:
        area: a region's name, "background" or "global".
        level: of the text, as the routing uses it (see `plan_streams`).
        text: what is visible instead; None: nothing.
        where: bool, broadcast to `[T, B]` steps and blocks (`[T, 1]`: whole steps, `[B]`: blocks at every step).
    """

    area: str
    level: Level
    text: str | None
    where: ArrayLike = True


def plan_streams(plan: ScenePlan, schedule: Schedule, overrides: Sequence[TextOverride] = ()) -> tuple[Stream, ...]:
    """The streams of a plan under a schedule, in the plan's order; texts that are never visible have none.

    Overrides take effect one after the other, each on the texts of the plan and not on those of overrides before it.

    Raises:
        InputError: a rule names a region that the plan does not have, or an override a text that is not in use.
    """
    schedule.check_areas(region.name for region in plan.regions)
    by_area: dict[str, dict[Level, Description]] = {}
    for description in plan.descriptions():
        by_area.setdefault(description.area, {})[description.level] = description
    streams: list[Stream] = []
    for area, texts in by_area.items():
        found = [s for s in _area_streams(area, texts, schedule) if s.weight.any()]
        if area == "background" and schedule.routing.background_in_regions:
            found = [replace(stream, everywhere=True) for stream in found]
        if not found:
            logger.warning(
                "%s: none of its texts is visible under the routing %s (it has %s; the routing uses %s)",
                *(area, schedule.routing.name, ", ".join(texts), ", ".join(schedule.levels)),
            )
        streams += found
    for override in overrides:
        streams = _overridden(streams, override)
    return tuple(stream for stream in streams if stream.weight.any())


def _overridden(streams: list[Stream], override: TextOverride) -> list[Stream]:
    """`streams` with one of them replaced, in part or as a whole."""
    places = [i for i, stream in enumerate(streams) if (stream.area, stream.level) == (override.area, override.level)]
    if not places:
        used = ", ".join(dict.fromkeys(f"{stream.area}/{stream.level}" for stream in streams)) or "none"
        asked = quote(f"{override.area}/{override.level}")
        raise InputError(f"override {asked}: no such text is in use; in use are: {used}")
    own = streams[places[0]]  # the plan's; texts of overrides before follow it
    try:
        where = np.broadcast_to(np.asarray(override.where, dtype=bool), own.weight.shape)
    except ValueError as error:
        steps, blocks = own.weight.shape
        shape = list(np.shape(override.where))
        raise InputError(f"override where: {shape}: must fit {steps} steps × {blocks} blocks") from error
    found = [replace(own, weight=np.where(where, np.float32(0), own.weight))]
    if override.text is not None:
        weight = np.where(where, own.weight, np.float32(0))
        found.append(replace(own, text=own.lead + override.text, weight=weight))
    return [*streams[: places[0]], *found, *streams[places[0] + 1 :]]


def undivided(texts: Mapping[Level, Description]) -> Description:
    """An area's text without levels: its full one, else high and low joined, as strong as the stronger of them."""
    if "full" in texts:
        return texts["full"]
    divided = [texts[level] for level in ("high", "low") if level in texts]
    text = ", ".join(d.text for d in divided)
    return Description(divided[0].area, "full", text, max(d.strength for d in divided))


def _area_streams(area: str, texts: dict[Level, Description], schedule: Schedule) -> Iterable[Stream]:
    levels = set(schedule.levels)
    divided = [texts[level] for level in ("high", "low") if level in texts]
    if "full" in texts and "full" not in levels and not divided:
        weight = np.maximum(schedule.strength("high", area), schedule.strength("low", area))
        yield Stream(area, "full", texts["full"].text, weight * np.float32(texts["full"].strength))
    elif divided and "full" not in texts and levels == {"full"}:
        whole = undivided(texts)
        yield Stream(area, "full", whole.text, schedule.strength("full", area) * np.float32(whole.strength))
    else:
        for level, description in texts.items():
            anchored = schedule.routing.anchor and level == "low" and "high" in texts and area != "global"
            lead = f"{texts['high'].text}, " if anchored else ""
            weight = schedule.strength(level, area) * np.float32(description.strength)
            yield Stream(area, level, lead + description.text, weight, lead)
