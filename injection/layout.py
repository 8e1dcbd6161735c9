"""Image tokens in atom order: every atom, and so every region, becomes a few contiguous ranges.

Attention over image tokens in another order than the pipeline's is harmless as long as the rotary embeddings travel
with the tokens. Tokens of a reference image (FLUX Kontext appends them) come last and belong to nothing: all see them.
Those of which only keys and values are kept (FLUX.2 klein's reference cache) stand behind all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strata.hierarchy.grid import TokenGrid

Span = tuple[int, int]
"""[start, stop) in a token sequence."""
Spans = tuple[Span, ...]


def merge(spans: Iterable[Span]) -> Spans:
    """Sorted, with touching spans joined and empty ones dropped."""
    merged: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if merged and merged[-1][1] >= start:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return tuple(merged)


def shift(spans: Spans, by: int) -> Spans:
    """The same spans, `by` tokens further on."""
    return tuple((start + by, stop + by) for start, stop in spans)


def within(spans: Spans, start: int, stop: int) -> Spans:
    """What of some spans lies in [start, stop)."""
    return merge((max(a, start), min(b, stop)) for a, b in spans)


def without(spans: Spans, others: Spans) -> Spans:
    """What of some spans lies in none of `others` (sorted and disjoint)."""
    left = list(spans)
    for start, stop in others:
        left = [part for a, b in left for part in ((a, min(b, start)), (max(a, stop), b))]
    return merge(left)


def length_of(spans: Spans) -> int:
    """How many tokens some spans hold."""
    return sum(stop - start for start, stop in spans)


def take(x_BLHD: Tensor, spans: Spans) -> Tensor:
    """The tokens (dim 1) of some spans; a view where there is one span."""
    parts = [x_BLHD[:, start:stop] for start, stop in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """The image tokens of one call, sorted by atom.

    Attributes:
        names: the regions.
        atoms: `(members, span)`: sorted region indices (empty for the background), and the atom's tokens.
        canvas: number of canvas tokens; reference tokens, if any, follow.
        total: number of all image tokens that pass the blocks.
        order: int64 `[total]`, pipeline index of each token in atom order.
        inverse: int64 `[total]`, its inverse.
        places: the same, in the host's memory: what asks where a token is has not to wait for the device.
        kept: reference tokens behind `total` that pass no block: keys and values alone.
    """

    names: tuple[str, ...]
    atoms: tuple[tuple[tuple[int, ...], Span], ...]
    canvas: int
    total: int
    order: Tensor
    inverse: Tensor
    places: NDArray[np.int64]
    kept: int = 0

    @classmethod
    def of(cls, grid: TokenGrid, total: int, device: torch.device, kept: int = 0) -> TokenLayout:
        """Sort the tokens of `grid`, followed by `total - rows * cols` reference tokens and `kept` ones."""
        atoms, parts, start = [], [], 0
        for atom in grid.atoms():
            atoms.append((atom.members, (start, start + len(atom.tokens))))
            parts.append(torch.from_numpy(atom.tokens))
            start += len(atom.tokens)
        order = torch.cat([*parts, torch.arange(start, total)])
        inverse = torch.argsort(order)
        return cls(grid.names, tuple(atoms), start, total, order.to(device), inverse.to(device), inverse.numpy(), kept)

    def part(self, names: tuple[str, ...], first: int, last: int) -> TokenLayout:
        """The same tokens with the regions `first` to `last` - 1 alone, by these names."""
        atoms = [(tuple(m - first for m in members if first <= m < last), span) for members, span in self.atoms]
        return replace(self, names=names, atoms=tuple(atoms))

    @property
    def keys(self) -> int:
        """Number of image tokens that are attended to."""
        return self.total + self.kept

    @property
    def reference(self) -> Spans:
        """The reference image's tokens, as keys; empty without one."""
        return merge([(self.canvas, self.keys)])

    @property
    def asking(self) -> Spans:
        """Those of them that pass the blocks, and attend."""
        return merge([(self.canvas, self.total)])

    def area(self, name: str) -> Spans:
        """The canvas tokens of a region, of "background" (tokens of no region) or of "global" (all)."""
        if name == "global":
            return ((0, self.canvas),)
        if name == "background":
            return merge(span for members, span in self.atoms if not members)
        index = self.names.index(name)
        return merge(span for members, span in self.atoms if index in members)

    def neighbours(self, members: tuple[int, ...]) -> Spans:
        """The canvas tokens that share a region with an atom of these members (background: with the background)."""
        return merge(span for other, span in self.atoms if (set(other) & set(members)) or (not other and not members))
