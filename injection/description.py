"""A program in words: which text is visible where, how many tokens, and what that costs against the plain model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from strata.hierarchy.agreement import disagreeing
from strata.injection.attention import AttentionSpec
from strata.injection.families import families
from strata.injection.families.base import BaseText, Canvas, Family
from strata.injection.methods import Method
from strata.injection.methods.base import Drawing
from strata.injection.methods.refresh import recalled, riding
from strata.injection.methods.regional import RegionalRun
from strata.injection.program import Program
from strata.injection.streams import Stream
from strata.layers.lora_rules import lora_notes
from strata.layers.ranges import Mask, compact


class Cost(NamedTuple):
    """What all steps together take, as multiples of the plain model's.

    Attributes:
        tokens: that pass the blocks; projections and MLPs are proportional to them.
        attention: products of queries and keys.
    """

    tokens: float
    attention: float

    def computation(self, plain: int, width: int) -> float:
        """Both as one multiple of the plain model's multiplications.

        A block of FLUX has 12 `width`² weights a token, and 2 `width` multiplications a pair of query and key.

        Args:
            plain: tokens of the plain model, text and image.
            width: channels of a token in the blocks.
        """
        return (6 * width * self.tokens + plain * self.attention) / (6 * width + plain)


def _family(program: Program) -> Family:
    return next(family for family in families() if family.name == program.facts.family)


def cost_of(program: Program, method: Method, count: Callable[[str], int], base_length: int) -> Cost | None:
    """What a program costs; None where the method does not draw it in one pass with the others.

    Args:
        program: what is drawn.
        method: by which.
        count: tokens of a text.
        base_length: tokens of the base prompt, as the model gets it.
    """
    family = _family(program)
    texts = {stream.text: torch.empty(1, _tokens(program, stream, count), 0) for stream in program.streams}
    run = method.start(Drawing(family, [program], texts, lambda: program.steps, lambda rows, cols, steps: [program]))
    if not isinstance(run, RegionalRun) or not run.by_program:
        return None
    rows, cols = program.grid.rows, program.grid.cols
    image = rows * cols
    run.settle([program], [BaseText(base_length)], 1, Canvas(rows, cols, image), torch.device("cpu"))
    plain = base_length + image
    tokens = pairs = 0
    for step in range(program.steps):
        for spec in _specs(run, program, step):
            length = plain if spec is None else spec.text_length + image
            tokens, pairs = tokens + length, pairs + (plain**2 if spec is None else spec.pairs(length))
    blocks = program.steps * program.schedule.blocks
    return Cost(tokens / (blocks * plain), pairs / (blocks * plain**2))


def _refreshed(program: Program) -> list[str]:
    """At which steps texts ride along, where it is not at all of them."""
    if program.routing.refresh == 1 or not program.streams:
        return []
    steps = compact(np.isin(np.arange(program.steps), riding(program)))
    return [f"refresh {program.routing.refresh}: texts ride along at steps {steps}, and are kept for the others"]


@torch.no_grad()
def _specs(run: RegionalRun, program: Program, step: int) -> Iterator[AttentionSpec | None]:
    """What each block of a step attends to; None: it is plain."""
    routed = program.routed(step)
    rides = routed and run.rides(step)
    visible = program.blocks(step) if rides or not routed or run.last is None else recalled(program, run.last, step)
    for block, each in enumerate(visible):
        found = None
        if routed:
            found = (run.attention if rides else run.recalling)(block, (each,), (0,))
        yield None if found is None else found.samples[0][1]


def describe(program: Program, method: Method, count: Callable[[str], int], base_length: int) -> list[str]:
    """A program in lines; arguments as of `cost_of`."""
    schedule, plan, grid = program.schedule, program.plan, program.grid
    routed = [step for step in range(program.steps) if program.routed(step)]
    ratios = schedule.base_ratio[routed]
    of_them = f"{len(routed)} of them routed" + (f", base ratio {_span(ratios)} in those" if routed else "")
    lines = [
        f"{plan.width}x{plan.height} pixels, {grid.rows}x{grid.cols} image tokens; {program.facts}",
        f"routing {program.routing.name}, method {method.name}, {program.steps} steps, {of_them}",
        *_refreshed(program),
        "",
    ]
    rows = [("text", "tokens", "image tokens", "visible in blocks", "at steps", "strength")]
    reach = grid.background.size if program.routing.blend.base_area == "canvas" else int((~grid.background).sum())
    rows.append(("base", str(base_length), str(reach), "all", "all", "base ratio"))
    for name, stream in zip(program.stream_names, program.streams, strict=True):
        blocks = _blocks(stream.weight, schedule.double_blocks)
        steps = compact(_any(stream.weight, 1))
        strength = _span(stream.weight[stream.weight > 0])
        rows.append((name, str(_tokens(program, stream, count)), str(_area(program, stream)), blocks, steps, strength))
    lines += [*_columns(rows), *_loras(program)]
    atoms = grid.atoms()
    lines += ["", f"{len(atoms)} groups of image tokens that share their regions:"]
    for atom in atoms:
        regions = " and ".join(grid.names[member] for member in atom.members) or "background"
        lines.append(f"  {regions}: {len(atom.tokens)}")
    if schedule.isolate.any():
        where, steps = _blocks(schedule.isolate, schedule.double_blocks), compact(_any(schedule.isolate, 1))
        lines.append(f"isolated from other regions in {where}, steps {steps}")
    if program.routing.text_positions == "region":
        family = _family(program)
        elsewhere = "" if family.places_texts else f", but in {family.title}, where the canvas's centre counts"
        lines.append(f"a region's texts stand at its first row and column{elsewhere}")
    lines.append(f"the base prompt: {' '.join(plan.prompt.split())}" if plan.prompt else "no base prompt")
    if untold := disagreeing(plan):
        lines.append(f"it does not name, or puts elsewhere: {', '.join(untold)}")
    if (cost := cost_of(program, method, count, base_length)) is not None:
        tokens, attention = f"{cost.tokens:.2f}", f"{cost.attention:.2f}"
        lines += ["", f"cost of the run: {tokens} × the plain model's tokens, {attention} × its attention"]
    return lines


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _loras(program: Program) -> list[str]:
    """The plan's LoRAs, and what the routing's `loras` make of them.

    Raises:
        InputError: a rule is for none of them.
    """
    schedule, placed = program.schedule, program.plan.placed_loras()
    schedule.check_loras((each.area, each.lora.name) for each in placed)
    rows = [("LoRA", "of", "scale", "acts in blocks", "at steps", "strength")]
    for area, lora in ((each.area, each.lora) for each in placed):
        scale = f"{lora.scale:g}" if isinstance(lora.scale, float) else str(lora.scale)
        strength = schedule.lora_strength(area, lora.name)
        acts = strength > 0
        where = (_blocks(acts, schedule.double_blocks), compact(_any(acts, 1))) if acts.any() else ("none", "none")
        rows.append((lora.name, area, scale, *where, _span(strength[acts]) if acts.any() else "0"))
    notes = [f"note: {text}" for text in lora_notes(program.routing.loras, placed)]
    return [*(["", *_columns(rows)] if placed else []), *(["", *notes] if notes else [])]


def _span(values: NDArray[Any]) -> str:
    low, high = f"{values.min():.2g}", f"{values.max():.2g}"
    return low if low == high else f"{low} to {high}"


def _tokens(program: Program, stream: Stream, count: Callable[[str], int]) -> int:
    """Text tokens of a stream; a routing may keep their padding, and some models always do."""
    facts, tokens = program.facts, count(stream.text)
    return facts.padded(tokens) if program.routing.pad == "full" or facts.text_window is not None else tokens


def _any(values_TB: NDArray[Any], axis: int) -> Mask:
    found: Mask = np.asarray(values_TB.any(axis), dtype=np.bool_)
    return found


def _blocks(values_TB: NDArray[Any], doubles: int) -> str:
    chosen = _any(values_TB, 0)
    parts = [("double", chosen[:doubles]), ("single", chosen[doubles:])]
    return ", ".join(f"{name} {compact(some)}" for name, some in parts if some.any())


def _area(program: Program, stream: Stream) -> int:
    grid = program.grid
    if stream.reach == "global":
        return grid.rows * grid.cols
    return int(grid.area(stream.area).sum())
