"""The stock model on the base prompt: regions, levels and routing are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from strata.hierarchy.plan import ScenePlan
from strata.injection.facts import ModelFacts
from strata.injection.methods.base import ROUTING, Drawing, Forward, Method, MethodRun


class PlainRun(MethodRun):
    """Changes nothing."""

    def forward(self, step: int, inputs: dict[str, Any], forward: Forward) -> Any:
        """See `MethodRun`."""
        return forward(inputs)


class Plain(Method):
    """The stock model."""

    name: ClassVar[str] = "plain"
    about: ClassVar[str] = "the stock model on the base prompt alone"
    ignores: ClassVar[frozenset[str]] = frozenset({ROUTING})

    def drawn(self, plan: ScenePlan, facts: ModelFacts) -> tuple[ScenePlan, Sequence[str]]:
        """See `Method`: the base prompt, and no areas."""
        return without_areas(plan), ()

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return PlainRun()


METHOD = Plain()


def without_areas(plan: ScenePlan) -> ScenePlan:
    """The plan with its prompts alone."""
    return plan.model_copy(update={"high": None, "low": None, "regions": (), "background": None})
