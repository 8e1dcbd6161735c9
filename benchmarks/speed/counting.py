"""What a step asks of a GPU, counted operator by operator on the meta device: nothing is computed.

FLOPs (two a multiplication and addition; `torch.utils.flop_counter`'s formulas), bytes that kernels read and write, and
kernel launches, by part. Fused kernels that a GPU has and the meta device takes apart are counted as one: scaled
dot-product attention, RMS norm. Attention over sequences of several lengths in one launch is counted by its lengths.

What code does on the meta device is what it does on a GPU wherever it asks for the CPU alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

PARTS = ("linear", "attention", "normalisation", "elementwise", "copies")
_LINEAR = ("addmm", "mm", "_scaled_mm")
_ATTENTION = ("attention", "attn", "bmm", "baddbmm", "_softmax", "_safe_softmax")
_NORMS = ("native_layer_norm", "_fused_rms_norm")
_COPIES = (
    *("cat", "copy_", "clone", "_to_copy", "index", "index_select", "gather", "index_copy_", "index_copy", "stack"),
    *("fill_", "zero_", "zeros", "ones", "full", "new_zeros", "zeros_like", "new_full", "constant_pad_nd", "repeat"),
    *("index_put_", "index_put", "_index_put_impl_", "scatter", "scatter_", "slice_scatter", "arange", "scalar_tensor"),
)
_GATHERS = ("index", "index_select", "gather")
"""Operators that read as much of their input as they return."""
_SCATTERS = ("index_copy_", "index_add_", "index_put_", "_index_put_impl_", "index_copy", "index_add", "index_put")
"""Operators that read and write as much as the values that they are given."""
_OVERWRITES = ("copy_", "fill_", "zero_")
_NOTHING = (
    *("empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "_unsafe_view", "lift_fresh", "detach"),
    *("alias", "_local_scalar_dense", "view", "_reshape_alias", "sym_size", "is_same_size", "set_", "resize_"),
)


@dataclass(frozen=True)
class Rates:
    """What a GPU sustains, for estimates: FLOP/s of linear layers and of attention, bytes/s, seconds a launch.

    `host`: seconds that the CPU takes to launch a kernel, uncompiled; where it is the slower one, the GPU waits.
    """

    name: str
    linear: float
    attention: float
    memory: float
    launch: float = 2e-6
    host: float = 6e-6


RATES = {
    rates.name: rates
    for rates in (
        Rates("H200", 650e12, 400e12, 3.9e12),
        Rates("H100", 650e12, 400e12, 2.7e12),
        Rates("A100", 240e12, 190e12, 1.6e12),
    )
}
"""Assumed, and not measured here: about two thirds of what the data sheets promise, flash attention 2 for attention."""


@dataclass
class Part:
    """Of the kernels of one kind."""

    flops: float = 0
    bytes: float = 0
    launches: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """By the rates of each GPU: every kernel takes the longer of its FLOPs and its bytes, and its launch."""


@dataclass
class Counts:
    """Of one call.

    Attributes:
        parts: by `PARTS`.
        host_copies: tensors brought from the CPU's memory.
        waits: times that the CPU waited for a value of the GPU's.
    """

    parts: dict[str, Part] = field(default_factory=lambda: {name: Part() for name in PARTS})
    host_copies: int = 0
    waits: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Of both calls, one after the other."""
        parts = {}
        for name, one in self.parts.items():
            two = other.parts[name]
            seconds = {gpu: one.seconds.get(gpu, 0) + two.seconds.get(gpu, 0) for gpu in RATES}
            parts[name] = Part(one.flops + two.flops, one.bytes + two.bytes, one.launches + two.launches, seconds)
        return Counts(parts, self.host_copies + other.host_copies, self.waits + other.waits)

    @property
    def flops(self) -> float:
        """Of all parts."""
        return sum(part.flops for part in self.parts.values())

    @property
    def launches(self) -> int:
        """Of all parts."""
        return sum(part.launches for part in self.parts.values())

    def seconds(self, rates: Rates) -> float:
        """An estimate: the GPU's time, or the CPU's for launching, whichever is longer."""
        return max(sum(p.seconds.get(rates.name, 0) for p in self.parts.values()), self.launches * rates.host)

    def add(self, name: str, flops: float, moved: float, launches: int = 1) -> None:
        """A kernel."""
        part = self.parts[name]
        part.flops += flops
        part.bytes += moved
        part.launches += launches
        for rates in RATES.values():
            rate = rates.attention if name == "attention" else rates.linear
            took = max(flops / rate, moved / rates.memory) + launches * rates.launch
            part.seconds[rates.name] = part.seconds.get(rates.name, 0) + took


_values: dict[int, tuple[Tensor, list[int]]] = {}
"""Integers of small tensors on the meta device, which have none of their own."""


def _remember(tensor: Tensor, values: Any) -> None:
    if isinstance(values, Tensor):
        values = values.tolist() if values.dtype in (torch.int32, torch.int64) and values.ndim == 1 else None
    if isinstance(values, (list, tuple)) and all(isinstance(value, int) for value in values):
        _values[id(tensor)] = tensor, list(values)


def known(tensor: Tensor) -> list[int]:
    """The values of such a tensor. Raises `KeyError` where they are not known."""
    return _values[id(tensor)][1]


def _size(tensor: Tensor) -> int:
    """Bytes that a kernel touches of it: what is repeated by a stride of 0 is there once."""
    held = math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or size == 0)
    return held * tensor.element_size()


class _Fused(TorchFunctionMode):
    """Kernels that a GPU has as one."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention and (args or [kwargs["query"]])[0].is_meta:
            return self._attention(*args, **kwargs)
        if func in (torch.nn.functional.rms_norm, torch.rms_norm) and args[0].is_meta:
            self.counts.add("normalisation", 0, 2 * _size(args[0]))
            return torch.empty(args[0].shape, dtype=args[0].dtype, device="meta")
        out = func(*args, **kwargs)
        if func is torch.tensor and isinstance(out, Tensor) and out.is_meta:
            self.counts.host_copies += 1
            _remember(out, args[0] if args else kwargs.get("data"))
        return out

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        batch, heads, queries, width = query.shape
        moved = (
            _size(query) + _size(key) + _size(value) + batch * heads * queries * value.shape[3] * query.element_size()
        )
        if attn_mask is not None:
            biased = attn_mask.numel() * query.element_size()
            if attn_mask.dtype == torch.bool:  # made numbers of, by a kernel of its own
                self.counts.add("elementwise", 0, _size(attn_mask) + biased)
            moved += biased
        self.counts.add("attention", 2 * batch * heads * queries * key.shape[2] * (width + value.shape[3]), moved)
        return torch.empty(batch, queries, heads, value.shape[3], dtype=query.dtype, device="meta").transpose(1, 2)


class _Kernels(TorchDispatchMode):
    """Every operator on the meta device."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name == "_local_scalar_dense" and inputs[0].is_meta:
            self.counts.waits += 1
            return 0.5 if inputs[0].is_floating_point() else 0
        out = func(*args, **kwargs)
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.is_meta]
        if not outputs:
            return out
        if name in ("_to_copy", "copy_") and any(not tensor.is_meta and tensor.ndim for tensor in inputs):
            self.counts.host_copies += 1
            _remember(outputs[0], inputs[-1])
        elif name not in _NOTHING and not func.is_view:
            self._count(func, name, args, kwargs, inputs, outputs, out)
        return out

    def _count(
        self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[Tensor], outputs: list[Tensor], out: Any
    ) -> None:
        written = sum(_size(tensor) for tensor in outputs)
        unique = list({id(tensor): tensor for tensor in inputs if tensor.is_meta}.values())
        if name in _OVERWRITES:
            unique = [tensor for tensor in unique if all(tensor is not each for each in outputs)]
        moved = written + sum(_size(tensor) for tensor in unique)
        if name in _GATHERS:
            moved = 2 * written
        elif name in _SCATTERS:
            moved = (3 if "add" in name else 2) * _size(inputs[-1])
        if "varlen" in name:
            queries, flops = _lengths(func, args, kwargs)
            moved = written + sum(_size(tensor) for tensor in unique[:1]) + queries
        else:
            formula = flop_registry.get(func.overloadpacket)
            flops = 0 if formula is None else formula(*args, **kwargs, out_val=out)
        self.counts.add(part_of(name), flops, moved)


def part_of(name: str) -> str:
    """Which of `PARTS` an operator is of."""
    if name in _LINEAR:
        return "linear"
    if name in _NORMS:
        return "normalisation"
    if name in _COPIES:
        return "copies"
    return "attention" if any(word in name for word in _ATTENTION) else "elementwise"


def _lengths(func: Any, args: Any, kwargs: Any) -> tuple[float, float]:
    """Bytes of the keys and values that an attention of several lengths reads, and its FLOPs."""
    names = [argument.name for argument in func._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    starts = known(given["cu_seq_q"])
    queries = [stop - start for start, stop in itertools.pairwise(starts)]
    if given.get("seqused_k") is not None:
        keys = known(given["seqused_k"])
    else:
        starts = known(given["cu_seq_k"])
        keys = [stop - start for start, stop in itertools.pairwise(starts)]
    _, heads, width = given["query"].shape
    moved = 2 * sum(keys) * heads * width * given["key"].element_size()
    return moved, 4 * heads * width * sum(q * k for q, k in zip(queries, keys, strict=True))


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what is called on the meta device while the context lasts."""
    counts = Counts()
    with _Fused(counts), _Kernels(counts):
        yield counts


def count(call: Callable[[], Any]) -> Counts:
    """Count a call on the meta device, that is made twice: what is settled at the first is not part of a step."""
    with counting():
        call()
    with counting() as counts:
        call()
    return counts
