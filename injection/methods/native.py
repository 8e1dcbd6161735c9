"""The structured captions that a model was trained on: the prompt says what stands where, and no attention is touched.

`native` alone is the stock model on the plan's caption (`strata.hierarchy.native`). `native+METHOD` draws the plan by
that method as it is routed, beside the caption as its base prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from strata.hierarchy.errors import InputError
from strata.hierarchy.native import Form
from strata.hierarchy.plan import ScenePlan
from strata.injection.facts import ModelFacts
from strata.injection.methods.base import ROUTING, Drawing, Method, MethodRun
from strata.injection.methods.plain import PlainRun, without_areas
from strata.injection.program import Program


class Native(Method):
    """The caption alone."""

    name: ClassVar[str] = "native"
    about: ClassVar[str] = "the stock model on the plan as the structured caption that the model was trained on"
    ignores: ClassVar[frozenset[str]] = frozenset({ROUTING})
    rewrites: ClassVar[bool] = True

    def check_model(self, facts: ModelFacts) -> None:
        """See `Method`: the model has to be trained for such captions."""
        _form_of(facts, self.name)

    def drawn(self, plan: ScenePlan, facts: ModelFacts) -> tuple[ScenePlan, Sequence[str]]:
        """See `Method`: the caption, and no areas."""
        captioned, notes = with_caption(plan, facts)
        return without_areas(captioned), notes

    def beside(self, other: Method) -> Method:
        """See `Method`."""
        if other.unrouted:
            raise InputError(
                f"method '{self.name}+{other.name}': {other.name} leaves regions out, so it is {self.name}"
            )
        return _Beside(other)

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return PlainRun()


class _Beside(Method):
    """The caption as the base prompt of a plan that another method draws."""

    about: ClassVar[str] = "the caption as the base prompt, and the plan's regions beside it"
    rewrites: ClassVar[bool] = True

    def __init__(self, other: Method) -> None:
        self.other = other
        self.name = f"{Native.name}+{other.name}"  # type: ignore[misc]
        self.source, self.ignores = other.source, other.ignores  # type: ignore[misc]
        self.refuses, self.routing = other.refuses, other.routing  # type: ignore[misc]
        self.keeps_texts = other.keeps_texts  # type: ignore[misc]

    def check_model(self, facts: ModelFacts) -> None:
        _form_of(facts, self.name)
        self.other.check_model(facts)

    def drawn(self, plan: ScenePlan, facts: ModelFacts) -> tuple[ScenePlan, Sequence[str]]:
        captioned, notes = with_caption(plan, facts)
        found, more = self.other.drawn(captioned, facts)
        return found, [*notes, *more]

    def check(self, program: Program) -> None:
        self.other.check_program(program)

    def start(self, drawing: Drawing) -> MethodRun:
        return self.other.start(drawing)


METHOD = Native()


def with_caption(plan: ScenePlan, facts: ModelFacts) -> tuple[ScenePlan, list[str]]:
    """The plan with its caption as the base prompt, and a line for whatever of it the caption does not hold.

    Raises:
        InputError: the model was not trained for captions, or its form cannot hold the plan.
    """
    told = plan.model_copy(update={"negative_prompt": None, "provenance": None, "loras": ()})  # of which none is lost
    caption = _form_of(facts, METHOD.name).caption(told)
    return plan.model_copy(update={"prompt": caption.text}), [f"caption: {note}" for note in caption.notes]


def _form_of(facts: ModelFacts, name: str) -> Form:
    if facts.form is None:
        raise InputError(
            f"method '{name}': the model ({facts.family}) is not known to be trained on structured captions; draw with"
            " another method, such as regional"
        )
    return facts.form
