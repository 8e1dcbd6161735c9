"""The stock model on the base prompt: regions, levels and routing are left out."""

from __future__ import annotations

from typing import Any, ClassVar

from strata.injection.methods.base import Drawing, Forward, Method, MethodRun


class PlainRun(MethodRun):
    """Changes nothing."""

    def forward(self, step: int, inputs: dict[str, Any], forward: Forward) -> Any:
        """See `MethodRun`."""
        return forward(inputs)


class Plain(Method):
    """The stock model."""

    name: ClassVar[str] = "plain"
    about: ClassVar[str] = "the stock model on the base prompt alone"

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return PlainRun()


METHOD = Plain()
