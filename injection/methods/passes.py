"""Passes of the stock transformer on other texts than the base prompt, and on other latents than the pipeline's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import StrataError
from strata.injection.families.base import Canvas, Family
from strata.injection.methods.base import Drawing
from strata.injection.program import Program


def compiled(drawing: Drawing, canvas: Canvas) -> Program:
    """The program of the one plan that is drawn, for the call's size and steps."""
    (program,) = drawing.programs
    steps = drawing.steps()
    if not program.fits(canvas.rows, canvas.cols, steps):
        (program,) = drawing.compile(canvas.rows, canvas.cols, steps)
    return program


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


def with_velocity(output: Any, velocity_BLC: Tensor) -> Any:
    """An output of the transformer with another prediction."""
    if isinstance(output, tuple):
        return (velocity_BLC, *output[1:])
    return type(output)(sample=velocity_BLC)
