"""From programs and encoded texts to a transformer that draws them while a pipeline runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, PromptCalls, attached
from strata.injection.checks import check_strengths, check_transformer
from strata.injection.encoding import EncodedPlan
from strata.injection.errors import UnsupportedError
from strata.injection.facts import ModelFacts
from strata.injection.families import Family
from strata.injection.lora_gates import LoraGates
from strata.injection.methods import Method
from strata.injection.methods.base import Drawing
from strata.injection.methods.plain import PlainRun
from strata.injection.observer import Observer
from strata.injection.ownership import Owner
from strata.injection.program import Program, compile_program
from strata.injection.streams import TextOverride
from strata.layers.routing import Routing

_EULER = "FlowMatchEulerDiscreteScheduler"


@dataclass(frozen=True)
class Draughtsman:
    """Draws plans on the transformer of a pipeline.

    Attributes:
        pipe: the pipeline.
        family: of its transformer.
        routing: as written.
        method: how programs are drawn.
        observers: are told of the drawing.
        overrides: texts that are others in some blocks or at some steps.
    """

    pipe: Any
    family: Family
    routing: Routing
    method: Method
    observers: Sequence[Observer] = field(default=())
    overrides: Sequence[TextOverride] = field(default=())

    def compile(self, plan: ScenePlan, facts: ModelFacts, steps: int) -> Program:
        """The program of a plan, checked. Raises `InputError` and `UnsupportedError`."""
        check_transformer(self.pipe.transformer, self.family)
        program = compile_program(plan, self.routing, facts, steps, overrides=self.overrides)
        self.method.check_program(program)
        if program.has_fractional_strengths:
            check_strengths(self.pipe.transformer)
        return program

    @contextmanager
    def drawing(
        self,
        programs: Sequence[Program],
        encoded: Sequence[EncodedPlan],
        owner: Owner,
        negative: Tensor | None,
        step: Callable[[], int] | None,
        gates: LoraGates | None = None,
    ) -> Iterator[None]:
        """While the context lasts, calls of the transformer draw these programs.

        Args:
            programs: of the plans, all of one size.
            encoded: their texts.
            owner: whose call it is.
            negative: the embedding of the unconditional calls; None: there are none.
            step: tells the denoising step that is running; None: every conditional call is one.
            gates: of the plan's LoRAs.
        """
        texts = {text: value for each in encoded for text, value in each.texts.items()}
        starts = {text: start for each in encoded for text, start in each.starts.items()}

        def told(programs: Sequence[Program]) -> Sequence[Program]:
            for observer in self.observers:
                observer.begin(programs, {text: value.shape[1] for text, value in texts.items()})
            return programs

        def compiled(rows: int, cols: int, steps: int) -> Sequence[Program]:
            size = (rows, cols)
            return [
                compile_program(p.plan, self.routing, p.facts, steps, overrides=self.overrides, size=size)
                for p in programs
            ]

        def anew(rows: int, cols: int, steps: int) -> Sequence[Program]:
            return told(compiled(rows, cols, steps))

        def follow(at: Attachment) -> None:
            assert gates is not None
            size = at.canvas.rows, at.canvas.cols, steps()
            gates.follow(at, programs[0] if programs[0].fits(*size) else compiled(*size)[0])

        told(programs)
        silent = not any(program.streams for program in programs)
        following = gates is not None and gates.follows
        if silent and not self.observers and not following:
            yield
            return
        steps = lambda: int(self.pipe.num_timesteps)  # noqa: E731
        levels = lambda: noise_levels(self.pipe.scheduler, steps())  # noqa: E731
        drawing = Drawing(self.family, programs, texts, steps, anew, starts, levels)
        run = PlainRun() if silent else self.method.start(drawing)
        attachment = Attachment(
            self.family, run, self.observers, PromptCalls(negative), owner, step, follow if following else None
        )
        with attached(self.pipe.transformer, attachment):
            yield


def noise_levels(scheduler: Any, steps: int) -> list[float]:
    """The noise level of each of the loop's steps, and behind the last.

    Raises:
        UnsupportedError: its step is not `latents + (next level - level) * output`.
    """
    kind = type(scheduler).__name__
    if kind != _EULER or scheduler.config.get("stochastic_sampling"):
        raise UnsupportedError(f"scheduler: {kind}: the method needs {_EULER}, without noise of its own (its steps)")
    found: list[float] = scheduler.sigmas[-(steps + 1) :].tolist()
    return found
