"""What methods without levels draw in a plan's place: one prompt, and one text an area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.plan import Description, Level, ScenePlan, Texts
from strata.injection.facts import ModelFacts
from strata.injection.methods.base import Method
from strata.injection.program import Program
from strata.injection.streams import undivided


class UndividedMethod(Method):
    """A method without levels: it draws undivided texts, with models of families that it was tried with.

    Attributes:
        tried: the families.
    """

    rewrites: ClassVar[bool] = True
    tried: ClassVar[Sequence[str]]

    def check_model(self, facts: ModelFacts) -> None:
        """See `Method`."""
        if facts.family not in self.tried:
            valid = ", ".join(self.tried)
            raise InputError(
                f"method '{self.name}': has not been tried with models of the family {quote(facts.family)}, only with"
                f" {valid}; draw with another method, such as regional"
            )

    def drawn(self, plan: ScenePlan, facts: ModelFacts) -> tuple[ScenePlan, Sequence[str]]:
        """See `Method`: undivided texts."""
        return undivided_plan(plan), ()


def undivided_plan(plan: ScenePlan) -> ScenePlan:
    """The plan with its global texts behind its prompt, and the undivided text of every area, as the full level's."""
    by_area: dict[str, dict[Level, Description]] = {}
    for description in plan.descriptions():
        by_area.setdefault(description.area, {})[description.level] = description
    prompt = ", ".join(text for text in (plan.prompt, plan.high, plan.low) if text)
    regions = []
    for region in plan.regions:
        if region.name in by_area and (region.high, region.low) != (None, None):
            whole = undivided(by_area[region.name])
            strength = region.strength.model_copy(update={"full": whole.strength})
            region = region.model_copy(update={"high": None, "low": None, "full": whole.text, "strength": strength})
        regions.append(region)
    background = plan.background
    if background is not None:
        background = Texts(full=undivided(by_area["background"]).text)
    changed = {"prompt": prompt, "high": None, "low": None, "regions": tuple(regions), "background": background}
    return plan.model_copy(update=changed)


def check_whole_passes(name: str, program: Program) -> None:
    """Raise `InputError` where a text is visible in some blocks and not in others: the method draws whole passes."""
    for stream in program.streams:
        if (stream.weight != stream.weight[:, :1]).any():
            raise InputError(
                f"method '{name}': routing {quote(program.routing.name)}: {quote(stream.area)} is not visible in all"
                " blocks alike, but the method passes a region's text through all of them; choose a routing without"
                " depth, double, single and every, such as uniform"
            )


def visible_streams(program: Program, step: int) -> list[tuple[int, float]]:
    """The streams visible at a step of whole passes, and how strongly."""
    found = ((i, float(stream.weight[step].max())) for i, stream in enumerate(program.streams))
    return [(i, weight) for i, weight in found if weight > 0]


def area_tokens(program: Program, area: str) -> np.ndarray:
    """bool `[rows * cols]`, the canvas tokens of a region or of the background, in the pipeline's order."""
    return program.grid.area(area).reshape(-1)
