"""Attention that tells the log-sum-exp of its logits, so that attentions over parts of the keys can be merged.

Attention over the union of two sets of keys is a mix of the attentions over each, weighted by the sums of their
exponentials (the online softmax of arXiv 1805.02867). `merging.py` says which parts there are; a kernel computes them.

What a machine has is tried once: a kernel that fails, or gives something else than the definition, is not used.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from torch import Tensor

from strata.injection.layout import Span, Spans, length_of, take

logger = logging.getLogger(__name__)

SMALLEST = 512
"""Tokens from which merging parts pays; below, its additional kernel calls cost more than they save."""


class Cell(NamedTuple):
    """Queries that attend to the same keys, all to all; spans over the sequence."""

    queries: Spans
    keys: Spans


class Part(NamedTuple):
    """Attention over some of the keys: output `[B, R, H, D]`, and the logits' log-sum-exp `[B, R, H]`, float32."""

    out_BRHD: Tensor
    lse_BRH: Tensor


class Packing(NamedTuple):
    """Small cells as one launch: which rows are asked, where each cell's queries and keys begin, how many keys."""

    rows: Tensor
    queries: Tensor
    keys: Tensor
    lengths: Tensor
    longest_query: int
    longest_key: int


class Traits(NamedTuple):
    """What of a kernel decides how attention is cut into cells.

    Attributes:
        contiguous: keys of a cell have to be one span.
        row: what merging a row costs, in pairs of query and key.
        copy: what a key costs that is not one span with its neighbours, in the same.
        alone: cells of more than this share of the queries are by themselves.
    """

    contiguous: bool
    row: int
    copy: int
    alone: float


class Kernel(Protocol):
    """One way to compute parts."""

    traits: ClassVar[Traits]

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, layers: Sequence[Sequence[Cell]]) -> list[Part]:
        """Each layer's part: the rows are its cells' queries, in their order, which are disjoint."""


Whole = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Attention of queries, keys and values `[B, H, L, D]`: output and log-sum-exp `[B, H, L]`."""


@dataclass(frozen=True)
class LoopKernel:
    """A call a cell."""

    whole: Whole
    traits: ClassVar[Traits] = Traits(contiguous=False, row=48, copy=16, alone=0.2)

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, layers: Sequence[Sequence[Cell]]) -> list[Part]:
        """See `Kernel`."""
        return [_joined([_of_cell(self.whole, q_BLHD, k_BLHD, v_BLHD, cell) for cell in layer]) for layer in layers]


def cpu(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> tuple[Tensor, Tensor]:
    """PyTorch's own for the CPU."""
    found: tuple[Tensor, Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q_BHLD, k_BHLD, v_BHLD)
    return found


def flash(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> tuple[Tensor, Tensor]:
    """Flash attention on a GPU, of float16 and bfloat16."""
    out, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention(q_BHLD, k_BHLD, v_BHLD)
    return out, lse


def efficient(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> tuple[Tensor, Tensor]:
    """Memory-efficient attention on a GPU, of all types."""
    out, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(q_BHLD, k_BHLD, v_BHLD, None, True)
    return out, lse


def varlen(q_THD: Tensor, k_THD: Tensor, v_THD: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Flash attention of many cells of any lengths: output `[T, H, D]`, log-sum-exp `[T, H]`."""
    from torch.nn.attention.varlen import AuxRequest, varlen_attn  # not in every PyTorch that we take

    out, lse = varlen_attn(
        *(q_THD, k_THD, v_THD, packing.queries, packing.keys, packing.longest_query, packing.longest_key),
        return_aux=AuxRequest(lse=True),
        seqused_k=packing.lengths,
    )
    rows, heads = out.shape[:2]
    return out, lse if tuple(lse.shape) == (rows, heads) != (heads, rows) else lse.transpose(0, 1)


def _of_cell(whole: Whole, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, cell: Cell) -> Part:
    q, k, v = take(q_BLHD, cell.queries), take(k_BLHD, cell.keys), take(v_BLHD, cell.keys)
    out_BHRD, lse_BHR = whole(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return Part(out_BHRD.transpose(1, 2), lse_BHR[..., : q.shape[1]].transpose(1, 2))  # some kernels pad the sums


def _joined(parts: Sequence[Part]) -> Part:
    """Rows of several parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Part(torch.cat([p.out_BRHD for p in parts], dim=1), torch.cat([p.lse_BRH for p in parts], dim=1))


@dataclass(frozen=True)
class VarlenKernel:
    """A launch for every large cell, and one for all others, of whatever lengths.

    Keys are read where they lie: a cell's begin anywhere, and several cells may have the same.
    """

    whole: Whole = flash
    many: Callable[[Tensor, Tensor, Tensor, Packing], tuple[Tensor, Tensor]] = varlen
    traits: ClassVar[Traits] = Traits(contiguous=True, row=300, copy=0, alone=0.5)

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, layers: Sequence[Sequence[Cell]]) -> list[Part]:
        """See `Kernel`."""
        least = self.traits.alone * q_BLHD.shape[1]
        small = tuple(tuple(layer) for layer in layers if not _is_large(layer, least))
        packed = iter(self._packed(q_BLHD, k_BLHD, v_BLHD, small) if small else ())
        return [
            _of_cell(self.whole, q_BLHD, k_BLHD, v_BLHD, layer[0]) if _is_large(layer, least) else next(packed)
            for layer in layers
        ]

    def _packed(
        self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, layers: tuple[tuple[Cell, ...], ...]
    ) -> list[Part]:
        batch, length = q_BLHD.shape[:2]
        order = _packing(layers, batch, length, k_BLHD.shape[1], q_BLHD.device)
        queries_THD = q_BLHD.flatten(0, 1).index_select(0, order.rows)
        out_THD, lse_TH = self.many(queries_THD, k_BLHD.flatten(0, 1), v_BLHD.flatten(0, 1), order)
        parts, at = [], 0
        for layer in layers:
            asked = sum(length_of(cell.queries) for cell in layer)
            stop = at + batch * asked
            shape = batch, asked, *q_BLHD.shape[2:]
            parts.append(Part(out_THD[at:stop].view(shape), lse_TH[at:stop].reshape(shape[:3])))
            at = stop
        return parts


def _is_large(layer: Sequence[Cell], least: float) -> bool:
    return len(layer) == 1 and len(layer[0].queries) == 1 and length_of(layer[0].queries) > least


@lru_cache(maxsize=256)
def _packing(layers: tuple[tuple[Cell, ...], ...], batch: int, length: int, keys: int, device: torch.device) -> Packing:
    rows, starts, lengths, counts = [], [], [], []
    for layer in layers:
        for row in range(batch):
            for cell in layer:
                rows += [torch.arange(start, stop) + row * length for start, stop in cell.queries]
                starts.append(cell.keys[0][0] + row * keys)
                lengths.append(length_of(cell.keys))
                counts.append(length_of(cell.queries))
    numbers = (list(itertools.accumulate(counts, initial=0)), [*starts, starts[-1] + lengths[-1]], lengths)
    queries, begins, used = (torch.tensor(each, dtype=torch.int32, device=device) for each in numbers)
    return Packing(torch.cat(rows).to(device), queries, begins, used, max(counts), max(lengths))


_NATIVE = {AttentionBackendName.NATIVE}
_FLASH = _NATIVE | {AttentionBackendName.FLASH, AttentionBackendName.FLASH_VARLEN, AttentionBackendName._NATIVE_FLASH}


def kernel_for(q_BLHD: Tensor, backend: Any) -> Kernel | None:
    """What computes parts of these queries; None where merging cannot be had, or does not pay.

    Not with a backend that the user chose and that is none of these; not while gradients are recorded: no kernel has
    them for the log-sum-exp. On the meta device it is what a GPU would take.
    """
    if q_BLHD.shape[1] < SMALLEST or (torch.is_grad_enabled() and q_BLHD.requires_grad):
        return None
    chosen = AttentionBackendName(backend or _AttentionBackendRegistry.get_active_backend()[0])
    kind = q_BLHD.device.type
    if kind == "cpu":
        return LoopKernel(cpu) if chosen in _NATIVE else None
    if kind == "meta":
        return VarlenKernel() if chosen in _FLASH else None
    if kind != "cuda" or chosen not in _FLASH:
        return None
    return _of_gpu(q_BLHD.device, q_BLHD.dtype, q_BLHD.shape[-1])


@lru_cache
def _of_gpu(device: torch.device, dtype: torch.dtype, width: int) -> Kernel | None:
    """The first kernel that agrees with the definition."""
    half = dtype in (torch.float16, torch.bfloat16)
    kernels: list[Kernel] = [VarlenKernel(), LoopKernel(efficient)] if half else [LoopKernel(efficient)]
    for kernel in kernels:
        try:
            found = agrees(kernel, device, dtype, width)
        except (RuntimeError, ValueError, TypeError, ImportError) as error:
            logger.debug("%s cannot be used on %s: %s", kernel, device, error)
            continue
        if found:
            return kernel
        logger.warning("%s gives wrong results on %s and is not used", kernel, device)
    return None


def agrees(kernel: Kernel, device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether a kernel does what the definition says: cells large and small, sharing keys, out of order, in a batch."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 1324, 2, width, generator=generator).to(device, dtype) for _ in range(3))
    large: Span = (200, 1244)
    layers = [
        [Cell((large,), ((100, 700),))],
        [
            Cell(((0, 7), (1100, 1200)), ((800, 1000),)),
            Cell(((7, 130),), ((30, 36),)),
            Cell(((1200, 1201),), ((0, 65),)),
        ],
        [Cell(((50, 60),), ((0, 1324),))],
    ]
    near = 1e-4 if dtype == torch.float32 else 2e-2
    for layer, part in zip(layers, kernel.attend(q, k, v, layers), strict=True):
        expected = _joined([_defined(q, k, v, cell) for cell in layer])
        for one, other in zip(part, expected, strict=True):
            if one.shape != other.shape or not torch.allclose(one.float(), other, atol=near, rtol=near):
                return False
    return True


def _defined(q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, cell: Cell) -> Part:
    q, k, v = (take(x, s).float() for x, s in ((q_BLHD, cell.queries), (k_BLHD, cell.keys), (v_BLHD, cell.keys)))
    logits_BHRK = torch.einsum("brhd,bkhd->bhrk", q, k) * q.shape[-1] ** -0.5
    out_BRHD = torch.einsum("bhrk,bkhd->brhd", logits_BHRK.softmax(-1), v)
    return Part(out_BRHD, logits_BHRK.logsumexp(-1).transpose(1, 2))
