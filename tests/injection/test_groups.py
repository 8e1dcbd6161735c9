"""One block's attention of a program, without a transformer, against the dense definition."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from strata.hierarchy.grid import TokenGrid
from strata.hierarchy.plan import Level
from strata.injection.attention import regional_attention
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families.base import BaseText, Canvas
from strata.injection.families.flux import FAMILY
from strata.injection.kernels import LoopKernel, VarlenKernel, cpu
from strata.injection.methods import method_for
from strata.injection.methods.base import Drawing
from strata.injection.methods.regional import RegionalRun
from strata.injection.program import compile_program
from strata.injection.streams import Stream
from strata.layers.routing import Routing
from tests.injection.drawings import program_of
from tests.injection.methods import TOKEN, drawn_plan
from tests.injection.oracle import DenseProcessor, Scene, softmax_attention
from tests.injection.test_kernels import defined, many
from tests.injection.test_oracle import DOUBLE, SINGLE, STEPS


def scene(options: tuple[Any, ...]) -> tuple[Scene, TokenGrid]:
    """Two regions that overlap, and texts of all kinds: some weigh half, some end before others, some are unseen."""
    ratio, unrouted, background, reference, faint = options
    masks = np.zeros((2, 3, 4), dtype=bool)
    masks[0, :2, :3] = masks[1, 1:, 1:3] = True
    rules = (
        "[{level: high, double: 0, isolate: true}, {level: low, single: 0-1, strength: 0.5}, {level: high, single: 1}]"
    )
    head = f"blend: {{base_ratio: {ratio}}}, unrouted: {unrouted}, background: {background}"
    schedule = Routing.from_yaml(f"{{name: a, about: a, {head}, rules: {rules}}}").resolve(DOUBLE, SINGLE, 1)
    told: list[tuple[str, Level, float]] = [
        ("a", "high", 1.0), ("a", "low", 1.0), ("b", "low", 0.5), ("background", "low", 1.0), ("global", "low", 1.0)
    ]  # fmt: skip
    streams = [
        Stream(area, level, area + level, schedule.strength(level, area) * np.float32(x)) for area, level, x in told
    ]
    flat = masks.reshape(2, -1)
    found = Scene(("a", "b"), flat, streams, [1, 2, 3, 1, 2], 4, reference, schedule, faint)
    return found, TokenGrid(3, 4, ("a", "b"), masks, ~masks.any(0))


OPTIONS = list(product([0, 0.3, 1], ["plain", "open"], ["base", "none"], [0, 3], [0, 2]))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_block_attends_as_the_definition_says(options: tuple[Any, ...]) -> None:
    """By groups and in parts, by either kind of kernel; keys are weighed only where some weight is not 1."""
    drawn, grid = scene(options)
    program = program_of(grid, drawn.schedule, drawn.streams)
    texts = {s.text: torch.zeros(1, n, 12) for s, n in zip(drawn.streams, drawn.lengths, strict=True)}
    drawing = Drawing(FAMILY, [program], texts, lambda: 1, lambda *size: [program])
    run = method_for(program.routing).start(drawing)
    assert isinstance(run, RegionalRun)
    canvas = Canvas(grid.rows, grid.cols, drawn.canvas + drawn.reference)
    run.settle([program], [BaseText(drawn.base_length, drawn.faint, -1.0)], 1, canvas, torch.device("cpu"))
    (sample,) = run.samples
    starts = np.cumsum([drawn.base_length, *drawn.lengths]).tolist()
    image = (starts[-1] + sample.layout.order).tolist()
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, starts[-1] + canvas.total, 2, 4, generator=generator)
    for block, visible in enumerate(program.blocks(0)):
        streams = [token for i in visible.alive for token in range(starts[i], starts[i + 1])]
        padding = 3 * (block % 2)
        places = [0] * padding + [*streams, *range(drawn.base_length), *image]
        expected = DenseProcessor(drawn, block).attend(q, k, v)[:, places]
        spec = run.spec(block, sample, visible, padding)
        if spec is None:
            assert not drawn.faint
            found = softmax_attention(*(x[:, places[padding:]] for x in (q, k, v)))
        else:
            found = regional_attention(*(x[:, places] for x in (q, k, v)), spec)[:, padding:]
            length = len(places)
            weighted = [group for group in (*spec.groups, spec.base) if group.weighted]
            assert (not spec.strengths) == (not weighted)
            for group in weighted:
                assert any(spec.bias(length)[slice(*keys)].any() for keys in group.keys)
        torch.testing.assert_close(found, expected[:, padding:], atol=1e-5, rtol=1e-5)
        if spec is None:
            continue
        for kernel in (LoopKernel(cpu), VarlenKernel(defined, many)):
            for row in (0, 10**6):  # what many see is computed once for all, or every sum by itself
                merged = spec.merging(len(places), kernel.traits._replace(row=row))
                found = merged.attend(*(x[:, places] for x in (q, k, v)), kernel)[:, padding:]
                torch.testing.assert_close(found, expected[:, padding:], atol=1e-5, rtol=1e-5)


def test_a_texts_tokens_stand_where_its_start_says_or_at_the_front() -> None:
    plan = drawn_plan(0, background=False)
    facts = ModelFacts("flux", (Stack("double", 1),), token_size=TOKEN, text_length=8)
    program = compile_program(plan, Routing.load("uniform"), facts, STEPS)
    first, *others = (stream.text for stream in program.streams)
    texts = {text: torch.zeros(1, 2 + n, 12) for n, text in enumerate((first, *others))}
    run = RegionalRun(Drawing(FAMILY, [program], texts, lambda: STEPS, lambda *size: [program], {first: 5}))
    grid = program.grid
    run.settle([program], [BaseText(4)], 1, Canvas(grid.rows, grid.cols, grid.rows * grid.cols), torch.device("cpu"))
    assert others
    assert run.samples[0].positions == (range(5, 7), *(range(3 + n) for n in range(len(others))), range(4))
