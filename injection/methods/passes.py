"""Passes of the stock transformer on other texts than the base prompt, and on other latents than the pipeline's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import StrataError
from strata.injection.families.base import Canvas, Family
from strata.injection.methods.base import Drawing
from strata.injection.program import Program


def compiled(drawing: Drawing, canvas: Canvas) -> Sequence[Program]:
    """The programs of the plans that are drawn, for the call's size and steps."""
    programs, steps = drawing.programs, drawing.steps()
    if all(program.fits(canvas.rows, canvas.cols, steps) for program in programs):
        return programs
    return drawing.compile(canvas.rows, canvas.cols, steps)


def check_step(program: Program, step: int) -> None:
    """Raise `StrataError` behind the last step."""
    if step >= program.steps:
        raise StrataError(f"the pipeline called the transformer more often than its {program.steps} steps")


def told(family: Family, inputs: Mapping[str, Any], text_1LC: Tensor, start: int) -> dict[str, Any]:
    """A call's inputs with another text, whose first token stands at `start` in its padded text."""
    base, canvas = family.text(inputs), family.canvas(inputs)
    text = text_1LC.to(base).expand(len(base), -1, -1)
    order = torch.arange(canvas.total, device=base.device)
    return family.enter(inputs, text, [range(start, start + text.shape[1])], order)


def velocity(output: Any) -> Tensor:
    """What the transformer predicts, `[B, L, C]`."""
    found: Tensor = output[0]
    return found
