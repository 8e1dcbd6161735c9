"""Programs put together by hand, and drawn on a transformer without a pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from strata.hierarchy.grid import TokenGrid
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, attached
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families import family_of
from strata.injection.methods import method_for
from strata.injection.methods.base import Drawing, MethodRun
from strata.injection.program import Program
from strata.injection.streams import Stream
from strata.layers.schedule import Schedule


def program_of(grid: TokenGrid, schedule: Schedule, streams: Sequence[Stream]) -> Program:
    plan = ScenePlan(width=grid.cols, height=grid.rows, prompt="base")
    stacks = (Stack("double", schedule.double_blocks), Stack("single", schedule.single_blocks))
    facts = ModelFacts("flux", stacks, token_size=1, text_length=512)
    return Program(plan, schedule.routing, facts, grid, schedule, tuple(streams))


def start(
    transformer: Any,
    programs: Sequence[Program],
    texts: Mapping[str, Tensor],
    starts: Mapping[str, int] | None = None,
) -> MethodRun:
    family, steps = family_of(transformer), programs[0].steps
    drawing = Drawing(family, programs, texts, lambda: steps, lambda rows, cols, steps: programs, starts or {})
    return method_for(programs[0].routing).start(drawing)


@contextmanager
def seen_calls(pipe: Any) -> Iterator[list[dict[str, Any]]]:
    """While the context lasts, collects the inputs of all transformer calls, as the stock transformer gets them."""
    seen: list[dict[str, Any]] = []
    hook = pipe.transformer.register_forward_pre_hook(lambda m, a, k: seen.append(k), with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@contextmanager
def drawing(
    transformer: Any, program: Program, texts: Mapping[str, Tensor], starts: Mapping[str, int] | None = None
) -> Iterator[None]:
    """While the context lasts, calls of the transformer are the steps of a program."""
    with attached(transformer, Attachment(family_of(transformer), start(transformer, [program], texts, starts))):
        yield
