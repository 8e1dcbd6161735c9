"""Several plans in one call: each is drawn as it is alone, though texts, regions and routed steps differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pytest
import torch
from torch import Tensor

from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, attached
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families import family_of
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.program import Program, compile_program
from strata.layers.routing import Routing
from tests.injection.drawings import start
from tests.injection.methods import TOKEN, drawn_plan
from tests.injection.test_oracle import DOUBLE, SINGLE, STEPS, TRANSFORMERS, run

FACTS = ModelFacts("flux", (Stack("double", DOUBLE), Stack("single", SINGLE)), token_size=TOKEN, text_length=8)
ROWS, SIDE = 2, 4
"""Pictures a plan, and image tokens along a side."""
EMPTY = ScenePlan(width=TOKEN * SIDE, height=TOKEN * SIDE, prompt="base")
PLANS = [p for p in map(drawn_plan, range(40)) if (p.width, p.height) == (EMPTY.width, EMPTY.height)]
BATCHES = {
    "two": (PLANS[0], PLANS[1]),
    "three": (PLANS[2], EMPTY, PLANS[3]),
    "the longest texts last": (EMPTY, PLANS[4]),
}
ROUTINGS = {
    "texts end": "rules: [{level: high, double: 0, isolate: true}, {level: low, depth: 0%-60%, strength: 0.5}]",
    "steps of their own": "rules: [{level: high, steps: 0-0}, {level: full, steps: 1-1, single: 1}]",
    "kept": "refresh: 2, rules: [{level: high, depth: 0%-60%, isolate: true}, {level: low, strength: 0.5}]",
    "a copy": "blend: {mode: split, base_ratio: 0.3}, unrouted: open, rules: [{level: full, every: 2}, {level: low}]",
}
PLAIN = ["steps of their own", "texts end"]


def embedded(text: str) -> Tensor:
    """`[1, L, 12]`, one to four tokens."""
    seed = crc32(text.encode())
    return torch.randn(1, 1 + seed % 4, 12, generator=torch.Generator().manual_seed(seed))


class Segments(Observer):
    """Holds what it is told of every block's tokens against the tokens."""

    def __init__(self, program: Program) -> None:
        self.program, self.names = program, set[str]()

    def watches(self, block: int) -> bool:
        return True

    def attention(self, event: AttentionEvent) -> None:
        names, counts = zip(*event.segments, strict=True)
        assert sum(counts) == event.k_BLHD.shape[1]
        assert all(counts), "nothing is named that is not there"
        streams = [name for name in names if name not in ("padding", "base", "image")]
        lengths = dict(zip(self.program.stream_names, self.program.streams, strict=True))
        assert [n for name, n in event.segments if name in lengths] == [
            embedded(lengths[name].text).shape[1] for name in streams
        ]
        assert "padding" not in names[1:]
        self.names.update(names)


@dataclass
class Call:
    """What the rows of a batch are given."""

    transformer: Any
    latents: Tensor
    base: Tensor
    masked: list[int]
    mask: torch.dtype

    def drawn(self, programs: Sequence[Program], rows: slice) -> tuple[Tensor, set[str]]:
        """What the transformer says at every step, `[T, B, L, C]`, and the names of the first plan's tokens."""
        ids = torch.zeros(SIDE**2, 3)
        ids[:, 1:] = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE))
        texts = {stream.text: embedded(stream.text) for program in programs for stream in program.streams}
        begun, watch = start(self.transformer, programs, texts), Segments(programs[0])
        given = self.latents[rows], self.base[rows], ids, self.masked[rows], self.mask
        with attached(self.transformer, Attachment(family_of(self.transformer), begun, [watch])):
            said = [run(self.transformer, *given, step=step) for step in range(STEPS)]
        return torch.stack(said), watch.names


@pytest.mark.parametrize(
    ("masks", "routing"),
    [*((None, name) for name in ROUTINGS), *((torch.bool, name) for name in PLAIN), (torch.float32, PLAIN[0])],
)
def test_each_is_drawn_as_it_is_alone(masks: torch.dtype | None, routing: str) -> None:
    """FLUX.1, and Chroma with base prompts of different lengths, hidden or faint behind their ends."""
    found = Routing.from_yaml(f"{{name: a, about: a, {ROUTINGS[routing]}}}")
    for seed, (name, plans) in enumerate(BATCHES.items()):
        programs = [compile_program(plan, found, FACTS, STEPS) for plan in plans]
        generator = torch.Generator().manual_seed(seed)
        call = Call(
            TRANSFORMERS["flux" if masks is None else "chroma"],
            torch.randn(ROWS * len(plans), SIDE**2, 8, generator=generator),
            torch.randn(ROWS * len(plans), 5, 12, generator=generator),
            [0 if masks is None else (seed + 3 * n) % 4 for n in range(len(plans)) for _ in range(ROWS)],
            masks or torch.bool,
        )
        together, names = call.drawn(programs, slice(None))
        assert ("padding" in names) >= (name == "the longest texts last")
        for n, program in enumerate(programs):
            rows = slice(n * ROWS, (n + 1) * ROWS)
            torch.testing.assert_close(together[:, rows], call.drawn([program], rows)[0], atol=1e-5, rtol=1e-5)
