"""One block's attention of a program, without a transformer, against the dense definition."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strata.hierarchy.grid import TokenGrid
from strata.injection.attention import regional_attention
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families.base import BaseText, Canvas
from strata.injection.families.flux import FAMILY
from strata.injection.methods import method_for
from strata.injection.methods.base import Drawing
from strata.injection.methods.regional import RegionalRun
from strata.injection.program import compile_program
from strata.layers.routing import Routing
from tests.injection.drawings import program_of
from tests.injection.methods import TOKEN, drawn_plan
from tests.injection.oracle import DenseProcessor, Scene, softmax_attention
from tests.injection.test_oracle import STEPS, scenes


@settings(max_examples=25)
@given(scenes(), st.sampled_from([0, 0, 2]), st.sampled_from([0, 3]), st.integers(0, 2**31))
def test_every_block_attends_as_the_definition_says(
    drawn: tuple[Scene, TokenGrid], faint: int, padding: int, seed: int
) -> None:
    """And keys are weighed, which costs a mask, only where some weight is not 1."""
    scene, grid = replace(drawn[0], faint=faint), drawn[1]
    program = program_of(grid, scene.schedule, scene.streams)
    texts = {s.text: torch.zeros(1, n, 12) for s, n in zip(scene.streams, scene.lengths, strict=True)}
    drawing = Drawing(FAMILY, [program], texts, lambda: STEPS, lambda *size: [program])
    run = method_for(program.routing).start(drawing)
    assert isinstance(run, RegionalRun)
    canvas = Canvas(grid.rows, grid.cols, scene.canvas + scene.reference)
    run.settle([program], [BaseText(scene.base_length, faint, -1.0)], 1, canvas, torch.device("cpu"))
    (sample,) = run.samples
    starts = np.cumsum([scene.base_length, *scene.lengths]).tolist()
    image = (starts[-1] + sample.layout.order).tolist()
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 1, starts[-1] + canvas.total, 2, 4, generator=generator)
    for step, block in np.ndindex(STEPS, scene.schedule.blocks):
        if not program.routed(step):
            continue
        visible = program.blocks(step)[block]
        streams = [token for i in visible.alive for token in range(starts[i], starts[i + 1])]
        places = [0] * padding + [*streams, *range(scene.base_length), *image]
        definition = DenseProcessor(scene, block)
        definition.step = step
        expected = definition.attend(q, k, v)[:, places]
        spec = run.spec(block, sample, visible, padding)
        if spec is None:
            assert not faint
            found = softmax_attention(*(x[:, places[padding:]] for x in (q, k, v)))
        else:
            found = regional_attention(*(x[:, places] for x in (q, k, v)), spec)[:, padding:]
            weighted = [group for group in (*spec.groups, spec.base) if group.weighted]
            assert (spec.bias is None) == (not weighted)
            for group in weighted:
                assert any(spec.bias[slice(*keys)].any() for keys in group.keys)
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
