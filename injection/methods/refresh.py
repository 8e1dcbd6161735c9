"""Texts that ride along at some steps alone (a routing's `refresh`), and whose keys and values are kept for the others.

A stream's keys and values change slowly from step to step. Where they are kept, a block has the base prompt and the
image to pass, and the image attends to what the streams were when they rode along last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from strata.injection.layout import Span
from strata.injection.program import Program, Visibility

Kept = dict[int, tuple[Tensor, Tensor]]
"""Keys and values of a block's streams, `[B, S, H, D]`, by the number of the sample."""


def needs_texts(programs: Sequence[Program], last: int | None, step: int) -> bool:
    """Whether the streams have to ride along at a step, if they did so last at another (None: not yet)."""
    refresh = min(program.routing.refresh for program in programs)
    if last is None or not 0 < step - last < refresh:
        return True
    return not all(_covers(program, last, step) for program in programs)


def riding(program: Program) -> list[int]:
    """The steps at which a program's streams ride along, if it is drawn from the first one on."""
    found: list[int] = []
    for step in filter(program.routed, range(program.steps)):
        if needs_texts([program], found[-1] if found else None, step):
            found.append(step)
    return found


def _covers(program: Program, last: int, step: int) -> bool:
    """Whether every stream that a block's image tokens see at a step rode through that block at another."""
    pairs = zip(program.blocks(last), program.blocks(step), strict=True)
    return all({now.alive[n] for n in now.visible} <= set(then.alive) for then, now in pairs)


def recalled(program: Program, last: int, step: int) -> tuple[Visibility, ...]:
    """What is visible in every block of a step, among the streams that rode through it at another."""
    found = []
    for then, now in zip(program.blocks(last), program.blocks(step), strict=True):
        weights = dict(zip(now.alive, now.weights, strict=True))
        found.append(replace(now, alive=then.alive, weights=tuple(weights.get(i, 0.0) for i in then.alive)))
    return tuple(found)


@dataclass(frozen=True)
class Keep:
    """Keeps the keys and values of a block's streams.

    Attributes:
        kept: where.
        spans: of the streams, of each sample.
    """

    kept: Kept
    spans: tuple[Span, ...]

    def __call__(self, sample: int, k_BLHD: Tensor, v_BLHD: Tensor) -> tuple[Tensor, Tensor]:
        """See `BlockAttention.keys`."""
        own = slice(*self.spans[sample])
        self.kept[sample] = k_BLHD[:, own].clone(), v_BLHD[:, own].clone()
        return k_BLHD, v_BLHD


@dataclass(frozen=True)
class Recall:
    """Puts what was kept behind a block's keys and values."""

    kept: Kept

    def __call__(self, sample: int, k_BLHD: Tensor, v_BLHD: Tensor) -> tuple[Tensor, Tensor]:
        """See `BlockAttention.keys`."""
        k_kept, v_kept = self.kept[sample]
        return torch.cat([k_BLHD, k_kept], dim=1), torch.cat([v_BLHD, v_kept], dim=1)
