"""What is compared: ways of drawing a plan, each a method with a routing; and one way's steps on a model.

A way's routed step goes through the method's run as in a pipeline, so methods that call the transformer several times
a step are measured with all of these calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.speed.dense import DenseMask
from benchmarks.speed.model import Model
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, attached
from strata.injection.methods import method_for, method_named
from strata.injection.methods.base import Drawing, Method, MethodRun
from strata.injection.program import Program, compile_program
from strata.layers.ranges import Indices, Percent
from strata.layers.routing import Routing

PLAIN = "plain"
ROUTINGS = ("isolate-first", "coarse-to-fine", "uniform")
METHODS = ("dense-mask", "regional-prompting-flux", "rpg", "densediffusion", "stitch")
PASSES = ("rpg", "stitch")
"""Methods that call the transformer for each region; what texts and layouts cost them is little beside it."""


class Way(NamedTuple):
    """A method and what it is drawn by; `name` is unique in a table."""

    name: str
    method: Method
    routing: Routing

    @classmethod
    def of_routing(cls, source: str) -> Way:
        """A preset, or a routing file, drawn by the method that it asks for."""
        routing = Routing.load(source)
        return cls(Path(source).stem if Path(source).suffix else source, method_for(routing), routing)

    @classmethod
    def of_method(cls, name: str) -> Way:
        """A method by its own routing; `dense-mask` by `uniform`."""
        if name == DenseMask.name:
            return cls(name, DenseMask(), Routing.load("uniform"))
        method = method_named(name)
        return cls(name, method, method.default_routing)


def with_routed(routing: Routing, steps: int, routed: int, whole: bool) -> Routing:
    """A routing whose rules hold in the first `routed` of so many steps, its phases in proportion.

    `whole`: every rule holds in all of these; what percentages say of phases does not count.
    """
    ends = [r.steps.stop for r in routing.rules if isinstance(r.steps, Percent)]
    last = 100.0 if any(r.steps is None for r in routing.rules) else max(ends, default=100.0)
    scale = 100 * routed / steps / last
    rules = []
    for rule in routing.rules:
        held: Any = Indices(((0, routed - 1),))
        if isinstance(rule.steps, Percent) and not whole:
            held = Percent(rule.steps.start * scale, min(rule.steps.stop * scale, 100.0))
        rules.append(rule.model_copy(update={"steps": held}))
    return routing.model_copy(update={"rules": tuple(rules), "balance": ()})


class Steps:
    """A way of drawing a plan on a model of random weights; texts are random, too.

    Args:
        model: whose transformer is called.
        plan: regions with two texts each.
        way: how; None: plain.
        tokens: of a text. One that stands for both of a region's has twice as many, one that keeps its padding as
            many as the base prompt.
        steps: of a picture.
        routed: how many of them, the first, are routed; None: as the routing says.
        behind: how many steps behind the first routed one `step` is, which is called once before it.
    """

    def __init__(
        self,
        model: Model,
        plan: ScenePlan,
        way: Way | None,
        tokens: int,
        steps: int,
        routed: int | None = None,
        behind: int = 0,
    ) -> None:
        self.model, self.way, self.steps, self.behind = model, way, steps, behind
        self.inputs = model.inputs(plan.width, plan.height)
        self.family = model.family(plan.width, plan.height)
        self.program: Program | None = None
        if way is None:
            return
        routing = way.routing
        if routed is not None:
            routing = with_routed(routing, steps, routed, whole=way.method.unrouted or hasattr(way.method, "tried"))
        drawn, _ = way.method.drawn(plan, model.facts)
        self.program = compile_program(drawn, routing, model.facts, steps)
        way.method.check(self.program)
        self.texts = {s.text: model.text(self._length(s.level, tokens)) for s in self.program.streams}
        self._kept: MethodRun | None = None

    def _length(self, level: str, tokens: int) -> int:
        assert self.program is not None
        if self.program.routing.pad == "full":
            return self.model.size.base
        return 2 * tokens if level == "full" else tokens

    @property
    def atoms(self) -> int:
        """Groups of image tokens that see the same."""
        return 0 if self.program is None else len(self.program.grid.atoms())

    @property
    def first(self) -> int:
        """The first routed step."""
        assert self.program is not None
        return next(step for step in range(self.steps) if self.program.routed(step))

    def _run(self) -> MethodRun:
        assert self.way is not None
        assert self.program is not None
        programs = [self.program]
        levels = [1 - step / self.steps for step in range(self.steps + 1)]
        drawing = Drawing(
            self.family,
            programs,
            self.texts,
            lambda: self.steps,
            lambda rows, cols, steps: programs,
            {},
            lambda: levels,
        )
        return self.way.method.start(drawing)

    @torch.no_grad()
    def step(self) -> Any:
        """One step; what a run settles at its beginning is settled at the first call."""
        if self.way is None:
            return self._call(nullcontext())
        if self._kept is None and self.behind:
            self.at(self.first)
        return self.at(self.first + self.behind)

    @torch.no_grad()
    def at(self, number: int) -> Any:
        """The step of that number, in a run that goes on from call to call."""
        if self._kept is None:
            self._kept = self._run()
        return self._call(attached(self.model.transformer, Attachment(self.family, self._kept, step=lambda: number)))

    @torch.no_grad()
    def picture(self) -> Any:
        """All steps of a picture, a run of its own."""
        output = None
        if self.way is None:
            for _ in range(self.steps):
                output = self._call(nullcontext())
            return output
        with attached(self.model.transformer, Attachment(self.family, self._run())):
            for _ in range(self.steps):
                output = self._call(nullcontext())
        return output

    def _call(self, context: Any) -> Any:
        with context:
            return self.model.transformer(**self.inputs)


def ways_of(routings: Sequence[str], methods: Sequence[str]) -> list[Way]:
    """All of them, each name once."""
    found = [Way.of_routing(source) for source in routings] + [Way.of_method(name) for name in methods]
    return list({way.name: way for way in found}.values())


def drawings_of(
    model: Model,
    plan: ScenePlan,
    ways: Sequence[Way],
    tokens: int,
    steps: int,
    routed: int | None = None,
    behind: int = 0,
) -> dict[str, Steps]:
    """Plain, and every way by its name; arguments as of `Steps`."""
    found = {PLAIN: Steps(model, plan, None, tokens, steps)}
    return found | {way.name: Steps(model, plan, way, tokens, steps, routed, behind) for way in ways}


def steps_of(drawings: Mapping[str, Steps]) -> dict[str, Callable[[], Any]]:
    """The call of one routed step of each."""
    return {name: drawn.step for name, drawn in drawings.items()}
