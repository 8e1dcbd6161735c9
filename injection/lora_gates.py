"""The deltas of LoRAs, token by token: `y = W x + m ⊙ s · B A x`.

`m` is 1 at the image tokens of an adapter's area and at that area's own texts, 0 at all others, the base prompt among
them; `s` is the adapter's scale, times the strength that the routing's `loras` give it in this block at this step.
Where areas overlap, their adapters add up. An adapter of the whole plan acts on everything, as it does without a plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strata.injection.attach import Attachment
from strata.injection.errors import UnsupportedError
from strata.injection.families.base import Block
from strata.injection.intercept import Call, intercepted
from strata.injection.lora_adapters import Adapter
from strata.injection.lora_files import LayerPlace, layer_places
from strata.injection.program import Program
from strata.layers.ramp import over_steps
from strata.layers.schedule import Schedule

Segments = tuple[tuple[str, int], ...]


def is_everywhere(adapter: Adapter, schedule: Schedule) -> bool:
    """Whether an adapter acts on everything in all blocks at all steps alike, as it does without a plan."""
    return adapter.area == "global" and isinstance(adapter.lora.scale, float) and not schedule.routing.loras


def weights_of(adapter: Adapter, schedule: Schedule) -> NDArray[np.float32]:
    """`float32[T, B]`: an adapter's scale in every block at every step, 0 where it does not act.

    A ramp runs from the first step at which it acts to the last; of a single one it is the mean of both ends.
    """
    strength = schedule.lora_strength(adapter.area, adapter.lora.name)
    scale = over_steps(adapter.lora.scale, np.asarray(strength.any(axis=1)))
    return np.asarray(strength * scale[:, None])


class LoraGates:
    """The adapters of one drawing.

    Args:
        adapters: of the plan, loaded.
        schedule: the routing, resolved.
    """

    def __init__(self, adapters: Sequence[Adapter], schedule: Schedule) -> None:
        self.adapters = tuple(adapters)
        self.everywhere = {id(a): float(a.lora.scale) for a in adapters if is_everywhere(a, schedule)}  # type: ignore[arg-type]
        self._at: Attachment | None = None
        self._program: Program | None = None
        self._weights: dict[int, NDArray[np.float32]] = {}
        self._masks: dict[object, Tensor] = {}
        self._blocks: tuple[Block, ...] = ()

    @property
    def follows(self) -> bool:
        """Whether it has to know where the drawing is."""
        return len(self.everywhere) < len(self.adapters)

    def follow(self, at: Attachment, program: Program) -> None:
        """Act as a program says from now on; `at` tells where it is."""
        self._at, self._program = at, program
        self._weights = {id(a): weights_of(a, program.schedule) for a in self.adapters}
        self._masks.clear()

    @contextmanager
    def attached(self, pipe: Any, family: Any, layers: Mapping[str, tuple[str, Any]]) -> Iterator[None]:
        """While the context lasts, calls of the layers add the deltas; `layers` as `loaded` yields them."""
        self._blocks = family.blocks(pipe.transformer)
        places = layer_places(pipe.transformer, family) if family.confines_loras else {}
        with ExitStack() as undo:
            for name, (part, layer) in layers.items():
                own: dict[str, list[Adapter]] = {}
                for adapter in self.adapters:
                    if adapter.key in layer.lora_A:
                        own.setdefault(adapter.key, []).append(adapter)
                place = places.get(name.removeprefix(f"{part}."))
                undo.enter_context(intercepted(layer, partial(self.around, layer, own, place)))
            try:
                yield
            finally:
                self._at = self._program = None
                self._masks.clear()

    def around(
        self,
        layer: Any,
        own: Mapping[str, Sequence[Adapter]],
        place: LayerPlace | None,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Tensor:
        """A layer's call, and the deltas of its adapters."""
        result: Tensor = call(*args, **kwargs)
        x, dtype = args[0], result.dtype
        for key, adapters in own.items():
            gate = self._gate(adapters, place, x)
            if isinstance(gate, float) and gate == 0:
                continue
            down, up, scaling = layer.lora_A[key], layer.lora_B[key], layer.scaling[key]
            x = layer._cast_input_dtype(x, down.weight.dtype)
            if isinstance(gate, float):
                result = result + up(down(x)) * (scaling * gate)
            else:
                result = result + up(down(x)) * scaling * gate.to(x.dtype)
        return result.to(dtype)

    def _gate(self, adapters: Sequence[Adapter], place: LayerPlace | None, x: Tensor) -> float | Tensor:
        """Of adapters that share weights: a number for all tokens, or `[1, L, 1]`."""
        gate: float | Tensor = 0.0
        for adapter in adapters:
            weight = self._weight(adapter, place)
            if weight == 0:
                continue
            mask = None if adapter.area == "global" else self._mask(adapter.area, place, x)
            gate = gate + (weight if mask is None else weight * mask)
        return gate

    def _weight(self, adapter: Adapter, place: LayerPlace | None) -> float:
        if id(adapter) in self.everywhere:
            return self.everywhere[id(adapter)]
        at = self._at
        if at is None or (adapter.area != "global" and not at.conditional_call):
            return 0.0
        # A layer outside all blocks (of the whole plan's adapters alone) acts as in the first of them.
        weights = self._weights[id(adapter)]
        return float(weights[min(at.running, len(weights) - 1), 0 if place is None else place.block])

    def _mask(self, area: str, place: LayerPlace | None, x: Tensor) -> Tensor:
        """float `[1, L, 1]`, 1 at the tokens of an area among those that a layer sees."""
        assert self._at is not None
        assert place is not None
        hooks = self._at.hooks
        segments = None if hooks is None else hooks.segments(self._blocks[place.block])
        key = area, place.tokens, segments, x.shape[1], x.device
        if key not in self._masks:
            self._masks[key] = self._new_mask(area, place, segments, x)
        return self._masks[key]

    def _new_mask(self, area: str, place: LayerPlace, segments: Segments | None, x: Tensor) -> Tensor:
        parts = [] if place.tokens == "text" else [self._image_mask(area)]
        if segments is None:  # base prompt, and references whose keys and values are to be kept
            parts.insert(0, torch.zeros(max(0, x.shape[1] - sum(map(len, parts)))))
        elif place.tokens != "image":
            own = [torch.full((n,), float(name.rpartition("/")[0] == area)) for name, n in segments if name != "image"]
            parts = own + parts
        mask = torch.cat(parts)
        if len(mask) != x.shape[1]:
            raise UnsupportedError(
                f"loras: a layer of {self._blocks[place.block].name} sees {x.shape[1]} tokens where {len(mask)} were"
                " expected: something else changes the transformer's tokens; switch it off"
            )
        return mask[None, :, None].to(x.device)

    def _image_mask(self, area: str) -> Tensor:
        """float `[total]`: canvas tokens as they stand in the call, then references."""
        assert self._at is not None
        assert self._program is not None
        grid, hooks = self._program.grid, self._at.hooks
        own = torch.from_numpy(grid.area(area).astype(np.float32)).flatten()
        mask = torch.zeros(self._at.canvas.total)
        mask[torch.arange(len(own)) if hooks is None else hooks.inverse.cpu()] = own
        return mask
