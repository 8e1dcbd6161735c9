"""A plan, a routing and a model's facts, compiled once: what attends to what in every block at every step.

A program is drawn by a method, observed by probes and printed by `strata layout --program`; compiling it and throwing
it away is how a plan is checked. It knows no tensors: token counts of the texts come in when they are encoded.

Axes: T denoising steps, B blocks in execution order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from strata.hierarchy.composing import composed_prompt
from strata.hierarchy.grid import TokenGrid, token_grid
from strata.hierarchy.plan import ScenePlan
from strata.injection.facts import ModelFacts
from strata.injection.streams import Stream, TextOverride, plan_streams
from strata.layers.routing import Routing
from strata.layers.schedule import Schedule


@dataclass(frozen=True)
class Visibility:
    """What is visible in one block at one step; blocks alike are equal.

    Attributes:
        alive: the streams that ride through the block, ascending.
        weights: of each of `alive`, the strength in [0, 1] with which its area's image tokens attend to it; 0: not.
        routed: whether a rule of the routing matches.
        open: no rule matches, and everything in use attends to everything (a routing's `unrouted: open`).
        isolate: image tokens attend only to image tokens that share a region with them.
        base_ratio: of the blend with the base attention.
    """

    alive: tuple[int, ...]
    weights: tuple[float, ...]
    routed: bool
    open: bool
    isolate: bool
    base_ratio: float

    @property
    def visible(self) -> tuple[int, ...]:
        """Which of `alive`, counted there, image tokens attend to."""
        return tuple(n for n, weight in enumerate(self.weights) if weight > 0)


@dataclass(frozen=True, eq=False)
class Program:
    """Immutable; `compile_program` makes it.

    Attributes:
        plan: what was compiled, with the overlap policy that holds, and the base prompt that is heard.
        routing: balanced for the plan.
        facts: of the model.
        grid: the plan's regions on the image tokens.
        schedule: the routing resolved for the model and the steps.
        streams: the S texts beside the base prompt; only those that some image token attends to at some time.
    """

    plan: ScenePlan
    routing: Routing
    facts: ModelFacts
    grid: TokenGrid
    schedule: Schedule
    streams: tuple[Stream, ...]
    _blocks: dict[int, tuple[Visibility, ...]] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        what = f"{self.plan.width}x{self.plan.height}, {len(self.streams)} streams, routing {self.routing.name!r}"
        return f"Program({what}, {self.facts.family}, {self.steps} steps)"

    @property
    def steps(self) -> int:
        """T."""
        return self.schedule.steps

    @property
    def texts(self) -> tuple[str, ...]:
        """What has to be encoded: the base prompt, then the streams' texts, each once."""
        return tuple(dict.fromkeys([self.plan.prompt, *(stream.text for stream in self.streams)]))

    @cached_property
    def stream_names(self) -> tuple[str, ...]:
        """AREA/LEVEL of every stream, and AREA/LEVEL 2, … where one replaces another for a time."""
        names: list[str] = []
        for stream in self.streams:
            name, number = f"{stream.area}/{stream.level}", 1
            while name in names:
                number += 1
                name = f"{stream.area}/{stream.level} {number}"
            names.append(name)
        return tuple(names)

    @property
    def has_fractional_strengths(self) -> bool:
        """Whether some strength is neither 0 nor 1."""
        return any(((s.weight > 0) & (s.weight < 1)).any() for s in self.streams)

    def routed(self, step: int) -> bool:
        """Whether any stream is visible in the step; where none is, the step is the plain model's."""
        return any(stream.weight[step].any() for stream in self.streams)

    def blocks(self, step: int) -> tuple[Visibility, ...]:
        """`[B]`, what is visible in every block of a step."""
        if step not in self._blocks:
            self._blocks[step] = tuple(self._visibility(step))
        return self._blocks[step]

    def _visibility(self, step: int) -> list[Visibility]:
        schedule = self.schedule
        is_open = ~schedule.routed[step] if schedule.unrouted == "open" else np.zeros(schedule.blocks, dtype=np.bool_)
        last = [stream.last_block(step) for stream in self.streams]
        if is_open.any():
            last = [max(block, int(np.flatnonzero(is_open)[-1])) if block >= 0 else block for block in last]
        found = []
        for block in range(schedule.blocks):
            alive = tuple(i for i, end in enumerate(last) if end >= block)
            found.append(
                Visibility(
                    alive=alive,
                    weights=tuple(float(self.streams[i].weight[step, block]) for i in alive),
                    routed=bool(schedule.routed[step, block]),
                    open=bool(is_open[block]),
                    isolate=bool(schedule.isolate[step, block]),
                    base_ratio=float(schedule.base_ratio[step]),
                )
            )
        return found

    def fits(self, rows: int, cols: int, steps: int) -> bool:
        """Whether it was compiled for this token grid and number of steps."""
        return (self.grid.rows, self.grid.cols, self.steps) == (rows, cols, steps)


def compile_program(
    plan: ScenePlan,
    routing: Routing,
    facts: ModelFacts,
    steps: int,
    *,
    overrides: Sequence[TextOverride] = (),
    size: tuple[int, int] | None = None,
) -> Program:
    """Compile a plan for a model and a number of denoising steps.

    Args:
        plan: what to draw.
        routing: as written; the entry of its `balance` that fits the plan is applied.
        facts: of the model.
        steps: T.
        overrides: texts that are others in some blocks or at some steps.
        size: rows and columns of image tokens, where the pipeline draws another size than the plan's.

    Raises:
        InputError: the canvas is no multiple of the token size, a region has no token, the routing does not fit.
    """
    rows, cols = size or _grid_size(plan, facts.token_size)
    if plan.overlap is None:
        plan = plan.model_copy(update={"overlap": routing.overlap})
    grid = token_grid(plan, rows, cols)
    balanced = routing.balanced_for(plan)
    schedule = balanced.resolve(*facts.block_counts, steps)
    streams = plan_streams(plan, schedule, overrides)
    if balanced.blend.base_prompt == "composed":
        begins = {
            (other.area, other.level): other.text
            for other in overrides
            if other.text
            and np.broadcast_to(np.asarray(other.where, dtype=bool), (schedule.steps, schedule.blocks))[0].any()
        }
        plan = plan.model_copy(update={"prompt": composed_prompt(plan, begins)})
    heard = tuple(s for s in streams if s.reach != "background" or grid.background.any())
    return Program(plan, balanced, facts, grid, schedule, heard)


def _grid_size(plan: ScenePlan, token: int) -> tuple[int, int]:
    for side in ("width", "height"):
        pixels = getattr(plan, side)
        if pixels % token:
            low = pixels // token * token
            near = " or ".join(str(n) for n in (low, low + token) if n)
            message = f"{pixels}: must be a multiple of {token}, the model's token size; nearest: {near}"
            raise plan.error((side,), message)
    return plan.height // token, plan.width // token


def joint_grid(programs: Sequence[Program]) -> TokenGrid:
    """The regions of several plans of one size on one grid, so that a common order of tokens suits them all."""
    grids = [program.grid for program in programs]
    masks = np.concatenate([grid.masks for grid in grids])
    names = tuple(f"{n}/{name}" for n, grid in enumerate(grids) for name in grid.names)
    background: NDArray[np.bool_] = np.logical_not(masks.any(axis=0))
    return TokenGrid(grids[0].rows, grids[0].cols, names, masks, background)
