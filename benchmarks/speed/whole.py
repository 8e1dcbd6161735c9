"""Whole pictures, counted: a routing's cost over all steps, in which it routes few, many or all blocks and texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import torch

from benchmarks.speed.counting import Counts, Rates, count
from benchmarks.speed.model import Model
from benchmarks.speed.scenes import plan_of
from benchmarks.speed.tables import table
from benchmarks.speed.ways import Steps, Way


@dataclass(frozen=True)
class CountedPicture:
    """All steps of one way.

    Attributes:
        routed: how many of them are.
    """

    tokens: int
    regions: int
    way: str
    routed: int
    counts: Counts
    plain: Counts


def count_pictures(
    model: str,
    base: int | None,
    size: tuple[int, int],
    tokens: Sequence[int],
    regions: Sequence[int],
    ways: Sequence[Way],
    steps: int,
) -> Iterator[CountedPicture]:
    """Count all steps of plans of boxes, as each routing has them."""
    made = Model.made(model, torch.device("meta"), base=base)
    plain = count(Steps(made, plan_of("boxes", 1, *size), None, 1, steps).step)
    for each in tokens:
        for number in regions:
            plan = plan_of("boxes", number, *size)
            for way in ways:
                drawn = Steps(made, plan, way, each, steps)
                assert drawn.program is not None
                routed = [step for step in range(steps) if drawn.program.routed(step)]
                yield CountedPicture(
                    each,
                    number,
                    way.name,
                    len(routed),
                    reduce(add, _counted(drawn, plain)),
                    reduce(add, [plain] * steps),
                )


def _counted(drawn: Steps, plain: Counts) -> Iterator[Counts]:
    """Of every step; steps alike are counted once."""
    assert drawn.program is not None
    found: dict[Any, Counts] = {}
    for step in range(drawn.steps):
        blocks = drawn.program.blocks(step)
        if not drawn.program.routed(step) and not any(block.open for block in blocks):
            yield plain
            continue
        alike = tuple((b.alive, b.visible, b.routed, b.open, b.isolate, b.base_ratio > 0) for b in blocks)
        kept = drawn.program.routing.refresh > 1  # what a step costs depends on those before it
        if kept or alike not in found:
            found[alike] = count(lambda step=step: drawn.at(step))
        yield found[alike]


def whole_table(found: Iterable[CountedPicture], steps: int, rates: Rates) -> str:
    """The estimate and the FLOPs of whole pictures, as multiples of plain's."""
    found = list(found)
    parts = [
        f"Whole pictures of {steps} steps, boxes, as each routing stands: the estimate for {rates.name} and, in"
        " brackets, the FLOPs, × plain's."
    ]
    for tokens in dict.fromkeys(each.tokens for each in found):
        own = [each for each in found if each.tokens == tokens]
        regions = list(dict.fromkeys(each.regions for each in own))
        rows = []
        for way in dict.fromkeys(each.way for each in own):
            cells = {each.regions: each for each in own if each.way == way}
            rows.append(
                [way, str(max(each.routed for each in cells.values())), *(_cell(cells[n], rates) for n in regions)]
            )
        rows.sort(key=lambda row: row[-1])
        parts.append(f"**Texts of {tokens} tokens**")
        parts.append(table(["routing", "routed steps", *(f"{number} regions" for number in regions)], rows))
    return "\n\n".join(parts)


def _cell(each: CountedPicture, rates: Rates) -> str:
    ratio = each.counts.seconds(rates) / each.plain.seconds(rates)
    return f"{ratio:.2f} ({each.counts.flops / each.plain.flops:.2f})"
