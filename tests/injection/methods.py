"""Plans and transformers on which methods are held against their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, attached
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families import family_of
from strata.injection.methods.base import Drawing, Method
from strata.injection.program import Program, compile_program
from strata.layers.routing import Routing
from tests.injection.test_oracle import DOUBLE, SINGLE, TRANSFORMERS, run

STEPS = 3
TOKEN = 4
"""Pixels of an image token's side."""


def drawn_plan(seed: int, background: bool = True) -> ScenePlan:
    """One to three boxes that may overlap, with texts by level or undivided, some of them faint."""
    random = np.random.default_rng(seed)
    rows, cols = [(4, 4), (3, 5), (2, 6)][int(random.integers(3))]
    regions = []
    for n in range(int(random.integers(1, 4))):
        x, y = int(random.integers(cols)), int(random.integers(rows))
        right, bottom = int(random.integers(x + 1, cols + 1)), int(random.integers(y + 1, rows + 1))
        texts = [{"high": f"thing {n}", "low": f"look {n}"}, {"full": f"all of {n}"}, {"high": f"only {n}"}]
        box = [TOKEN * side for side in (x, y, right, bottom)]
        regions.append({"name": f"r{n}", "box": box, **texts[int(random.integers(3))]})
    data: dict[str, Any] = {"width": TOKEN * cols, "height": TOKEN * rows, "prompt": "base", "regions": regions}
    if background and random.random() < 0.5:
        data["background"] = {"high": "around", "low": "grey"}
    return ScenePlan.model_validate(data)


@dataclass
class Case:
    """A plan on a transformer, and everything that its calls are given."""

    family: str
    program: Program
    latents: Tensor
    base: Tensor
    texts: dict[str, Tensor]
    starts: dict[str, int]

    @property
    def transformer(self) -> Any:
        return TRANSFORMERS[self.family]

    @property
    def ids(self) -> Tensor:
        rows, cols = self.program.grid.rows, self.program.grid.cols
        ids = torch.zeros(rows * cols, 3)
        ids[:, 1] = torch.arange(rows * cols) // cols
        ids[:, 2] = torch.arange(rows * cols) % cols
        return ids

    def plain(self, text: Tensor, latents: Tensor, step: int, start: int = 0) -> Tensor:
        """What the stock transformer says with a text."""
        positions = range(start, start + text.shape[1])
        return run(self.transformer, latents, text.expand(2, -1, -1), self.ids, positions=list(positions), step=step)

    def steps(self) -> Tensor:
        """What the transformer says at every step, of the same latents."""
        return torch.stack([self.plain(self.base, self.latents, step) for step in range(STEPS)])


def case(family: str, method: Method, plan: ScenePlan, routing: Routing, seed: int) -> Case:
    """Random latents and texts for a plan; two pictures at once."""
    stacks = (Stack("double", DOUBLE), Stack("single", SINGLE))
    if family == "flux3":
        stacks = (Stack("mode", 2, routed=False), Stack("single", DOUBLE + SINGLE))
    facts = ModelFacts(family, stacks, token_size=TOKEN, text_length=8)
    told, _ = method.drawn(plan, facts)
    program = compile_program(told, routing, facts, STEPS)
    method.check_model(facts)
    method.check(program)
    generator = torch.Generator().manual_seed(seed)
    tokens = program.grid.rows * program.grid.cols
    texts = {s.text: torch.randn(1, 2 + n, 12, generator=generator) for n, s in enumerate(program.streams)}
    return Case(
        family,
        program,
        torch.randn(2, tokens, 8, generator=generator),
        torch.randn(1, 4, 12, generator=generator),
        texts,
        {text: (seed + n) % 3 for n, text in enumerate(texts)},
    )


@contextmanager
def drawing(case: Case, method: Method, levels: list[float] | None = None) -> Iterator[list[Tensor]]:
    """While the context lasts, the transformer's calls are the method's; collects the texts of the stock calls."""
    program, family = case.program, family_of(case.transformer)
    made = Drawing(
        family, [program], case.texts, lambda: STEPS, lambda *size: [program], case.starts, lambda: levels or []
    )
    seen: list[Tensor] = []
    hook = case.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["encoder_hidden_states"]), with_kwargs=True
    )
    try:
        with attached(case.transformer, Attachment(family, method.start(made))):
            yield seen
    finally:
        hook.remove()


def of_area(program: Program, name: str) -> np.ndarray:
    """bool `[N]`, the tokens of an area, looked up again."""
    grid = program.grid
    return (grid.background if name == "background" else grid.masks[grid.names.index(name)]).reshape(-1)
