"""One attention over what all share, one over what each sees alone, merged by their log-sum-exp.

An `AttentionSpec` says which keys every query sees, and which queries blend two attentions. Here it becomes *layers* of
cells: a layer is one part of everybody's attention, and its cells are queries that see the same keys there. Keys that
many see, such as the image, are one cell for all of them; a region's texts are one for its image tokens. A text's
strength is added to its part's log-sum-exp, so there is never a mask.

A blended token has two sums, the regional one and the base attention's; a part counts in one or both. Its coefficient
in the output is the sum of its shares in each, times the weight of each in the blend.

Shapes: S sums (1, or 2 where tokens blend), B batch, L tokens, R rows of a layer, H heads, D head width.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from strata.injection.kernels import Cell, Kernel, Part, Traits
from strata.injection.layout import Span, Spans, length_of, merge, within, without

NEVER = -1e30
"""In a sum's logarithm: takes no part. Finite, so that differences of two are numbers."""
REGIONAL, BASE = 0, 1


class Sees(NamedTuple):
    """Queries and the keys that they see in one of the two sums.

    Attributes:
        strengths: of keys, the logarithm; of all others it is 0.
    """

    queries: Span
    keys: Spans
    sum: int = REGIONAL
    strengths: tuple[tuple[Span, float], ...] = ()


class Piece(NamedTuple):
    """In which sum, and how strongly, a cell's keys count for some of its queries."""

    queries: Span
    sum: int
    strength: float


class Counted(NamedTuple):
    """A cell, and for whom it counts how."""

    cell: Cell
    pieces: tuple[Piece, ...]

    def cost(self, traits: Traits) -> int:
        """By a kernel with these traits, in pairs of query and key."""
        rows, keys = length_of(self.cell.queries), length_of(self.cell.keys)
        parts = len(self.cell.keys)
        apart = traits.row * rows * (parts - 1) if traits.contiguous else traits.copy * keys * (parts > 1)
        return rows * keys + traits.row * rows + apart


def cells_of(sees: Sequence[Sees]) -> list[Counted]:
    """The fewest cells in which no keys are attended to twice by the same queries."""
    ends = {end for each in sees for span in (*each.keys, *(keys for keys, _ in each.strengths)) for end in span}
    cuts = sorted(ends)
    found: dict[tuple[Piece, ...], list[Span]] = {}
    for keys in itertools.pairwise(cuts):
        pieces = tuple(
            Piece(each.queries, each.sum, _strength(each, keys)) for each in sees if within(each.keys, *keys)
        )
        if pieces:
            found.setdefault(_together(pieces), []).append(keys)
    return [Counted(Cell(merge(p.queries for p in pieces), merge(keys)), pieces) for pieces, keys in found.items()]


def _strength(sees: Sees, keys: Span) -> float:
    return next((strength for span, strength in sees.strengths if within((span,), *keys)), 0.0)


def _together(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """With touching queries joined where they count alike."""
    found: dict[tuple[int, float], list[Span]] = {}
    for piece in pieces:
        found.setdefault(piece[1:], []).append(piece.queries)
    return tuple(sorted(Piece(span, *alike) for alike, spans in found.items() for span in merge(spans)))


def cheapest(sees: Sequence[Sees], traits: Traits) -> list[Counted]:
    """Cells for queries of the image: what both sums have in common once, or each sum by itself, whichever costs less.

    Where regions are isolated, what the two have in common falls into as many cells as there are regions.
    """
    shared = cells_of(sees)
    alike: dict[tuple[int, Spans, object], list[Sees]] = {}
    for each in sees:
        key = (each.sum, each.keys if each.sum == REGIONAL else (), each.strengths)
        alike.setdefault(key, []).append(each)
    apart = [counted for group in alike.values() for counted in cells_of(group)]
    return min(shared, apart, key=lambda cells: sum(counted.cost(traits) for counted in cells))


def all_cells(sees: Sequence[Sees], text: int, traits: Traits) -> list[Counted]:
    """The cells of a block.

    Args:
        sees: of all queries.
        text: where the base prompt begins. Queries before it are streams'; those that see the same of the image share
            their cell for it.
        traits: of the kernel.
    """
    streams: dict[Spans, list[Sees]] = {}
    for each in sees:
        if each.queries[0] < text:
            streams.setdefault(tuple(span for span in each.keys if span[1] > text), []).append(each)
    image = cheapest([each for each in sees if each.queries[0] >= text], traits)
    return image + [counted for group in streams.values() for counted in cells_of(group)]


class Layer(NamedTuple):
    """Cells with disjoint queries."""

    counted: tuple[Counted, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What a kernel is given."""
        return tuple(counted.cell for counted in self.counted)

    @property
    def rows(self) -> Spans:
        """The queries, in the order of the cells; touching ones joined."""
        joined: list[Span] = []
        for start, stop in (span for counted in self.counted for span in counted.cell.queries):
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((start, stop))
        return tuple(joined)


def layers_of(cells: Iterable[Counted], length: int, traits: Traits) -> tuple[Layer, ...]:
    """Cells put side by side; the one with most queries comes first.

    Args:
        cells: of a block.
        length: of the sequence.
        traits: of the kernel.
    """
    if traits.contiguous:
        cells = [Counted(Cell(queries, (keys,)), pieces) for (queries, spans), pieces in cells for keys in spans]
    layers: list[list[Counted]] = []
    for counted in sorted(cells, key=lambda c: (-length_of(c.cell.queries), c.cell.queries)):
        queries = counted.cell.queries
        for layer in layers:
            alone = length_of(layer[0].cell.queries) > traits.alone * length
            if not alone and not any(_meet(queries, other.cell.queries) for other in layer):
                layer.append(counted)
                break
        else:
            layers.append([counted])
    return tuple(Layer(tuple(sorted(layer, key=lambda c: c.cell.queries))) for layer in layers)


def _meet(one: Spans, other: Spans) -> bool:
    return any(within(other, start, stop) for start, stop in one)


class _Rows:
    """Some tokens of a sequence: a slice of it where they are one span, else by their numbers."""

    def __init__(self, spans: Spans, device: torch.device) -> None:
        self.slice = slice(*spans[0]) if len(spans) == 1 else None
        self.numbers = torch.cat([torch.arange(*span) for span in spans]).to(device)

    def put(self, x_BLHD: Tensor, values_BRHD: Tensor) -> None:
        """Write them."""
        if self.slice is None:
            x_BLHD.index_copy_(1, self.numbers, values_BRHD)
        else:
            x_BLHD[:, self.slice] = values_BRHD

    def add(self, x_BLHD: Tensor, values_BRHD: Tensor, share_BRH1: Tensor) -> None:
        """Add values times shares to them; no token is there twice, so the order of additions is settled."""
        if self.slice is None:
            x_BLHD.index_add_(1, self.numbers, values_BRHD * share_BRH1)
        else:
            x_BLHD[:, self.slice].addcmul_(values_BRHD, share_BRH1)


@dataclass(frozen=True, eq=False)
class Merging:
    """How one block's attention is computed from parts.

    Attributes:
        layers: what is attended to.
        weights: of queries in the two sums, where it is not 1.
        length: L.
    """

    layers: tuple[Layer, ...]
    weights: tuple[tuple[Span, tuple[float, float]], ...]
    length: int
    _constants: dict[torch.device, _Constants] = field(default_factory=dict, repr=False)

    @property
    def pairs(self) -> int:
        """Of queries and keys that are computed."""
        cells = (cell for layer in self.layers for cell in layer.cells)
        return sum(length_of(cell.queries) * length_of(cell.keys) for cell in cells)

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, kernel: Kernel) -> Tensor:
        """The output `[B, L, H, D]`; zeros for queries that see nothing."""
        if q_BLHD.device not in self._constants:
            self._constants[q_BLHD.device] = _Constants(self, q_BLHD.device)
        constants = self._constants[q_BLHD.device]
        parts = kernel.attend(q_BLHD, k_BLHD, v_BLHD, [layer.cells for layer in self.layers])
        shares = constants.shares(parts, q_BLHD.dtype)
        out_BLHD = torch.empty(q_BLHD.shape, dtype=q_BLHD.dtype, device=q_BLHD.device)
        for start, stop in constants.unwritten:
            out_BLHD[:, start:stop] = 0
        for number, (rows, part, share) in enumerate(zip(constants.rows, parts, shares, strict=True)):
            if share is None:
                rows.put(out_BLHD, part.out_BRHD)
            elif number:
                rows.add(out_BLHD, part.out_BRHD, share)
            else:
                rows.put(out_BLHD, part.out_BRHD * share)
        return out_BLHD


class _Constants:
    """A merging's numbers on a device.

    Attributes:
        rows: of each layer.
        tokens: int64 `[R]`, of all layers' rows, one layer behind the other.
        places: int64 `[P, L]`, the rows of each token; those of a token that has fewer than others are R, which is
            behind the last.
        added: float32 `[S, 1, R, 1]`, to the log-sum-exp of all rows; None: 0 for all in the only sum.
        weights: float32 `[S, 1, L, 1]`, logarithm of every token's weights.
        alone: whether every layer is all that its queries see.
        unwritten: tokens that the first layer does not have.
    """

    def __init__(self, merging: Merging, device: torch.device) -> None:
        sums = 1 + any(p.sum for layer in merging.layers for c in layer.counted for p in c.pieces)
        weights = torch.full((sums, 1, merging.length, 1), NEVER)
        places: list[list[int]] = [[] for _ in range(merging.length)]
        tokens, added = [], []
        for layer in merging.layers:
            strengths = torch.full((sums, 1, merging.length, 1), NEVER)
            for counted in layer.counted:
                for (start, stop), which, strength in counted.pieces:
                    strengths[which, :, start:stop] = strength
                    weights[which, :, start:stop] = 0
            own = torch.cat([torch.arange(*span) for span in layer.rows])
            tokens.append(own)
            added.append(strengths[:, :, own])
        for row, token in enumerate(torch.cat(tokens).tolist()):
            places[token].append(row)
        count, most = sum(map(len, places)), max(map(len, places))
        self.rows = [_Rows(layer.rows, device) for layer in merging.layers]
        self.tokens = torch.cat(tokens).to(device)
        self.places = torch.tensor([each + [count] * (most - len(each)) for each in places]).T.contiguous().to(device)
        all_added = torch.cat(added, dim=2)
        self.added = None if sums == 1 and not all_added.any() else all_added.to(device)
        for (start, stop), each in merging.weights:
            for which in range(sums):
                if each[which] != 1:
                    weights[which, :, start:stop] += math.log(each[which])
        self.weights = weights.to(device)
        self.alone = sums == most == 1 and self.added is None
        self.unwritten = without(((0, merging.length),), merge(merging.layers[0].rows))

    def shares(self, parts: Sequence[Part], dtype: torch.dtype) -> list[Tensor | None]:
        """Each part's coefficient in the output, `[B, R, H, 1]`; None: 1."""
        if self.alone:
            return [None] * len(parts)
        lse_BRH = torch.cat([part.lse_BRH for part in parts], dim=1).unsqueeze(0)
        terms_SBRH = lse_BRH if self.added is None else lse_BRH + self.added
        padded_SBRH = torch.nn.functional.pad(terms_SBRH, (0, 0, 0, 1), value=NEVER)
        total_SBLH = padded_SBRH[:, :, self.places].logsumexp(2) - self.weights
        shares_BRH = (terms_SBRH - total_SBLH.index_select(2, self.tokens)).exp_().sum(0).to(dtype)
        return [*shares_BRH.unsqueeze(-1).split([part.lse_BRH.shape[1] for part in parts], dim=1)]
