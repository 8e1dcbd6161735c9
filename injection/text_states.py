"""Text tokens behind the blocks that they pass by themselves, kept from step to step.

In FLUX.3 text meets the image only behind blocks of its own, in which it stands at timestep 0. The same tokens through
the same weights give the same states, so these blocks are computed where one of the two has changed: once a drawing;
once a step where what modulates the text changes with it (a flow map's target timestep); anew where a LoRA was loaded
or switched between steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from strata.injection.families.base import Block

_LOADED_AHEAD = "group_offload"
"""In the names of diffusers hooks that load a block's weights while the one before it is called."""
_ADAPTED = ("active_adapters", "disable_adapters", "merged_adapters", "scaling")
"""What of a peft layer decides its output, beside its weights."""


class TextStates:
    """Of one drawing; nothing is kept while gradients are recorded, or while weights are offloaded in groups.

    Args:
        keep: whether to; else all is computed at every step, which gives the same.
    """

    def __init__(self, keep: bool = True) -> None:
        self.keep = keep
        self._states: Tensor | None = None
        self._entered: list[Tensor] = []
        self._modules: list[nn.Module] = []
        self._marks: list[object] = []
        self._weights: list[Tensor] = []
        self._known = False

    def behind(self, block: Block, inputs: Mapping[str, Any], attend: Callable[[], Tensor]) -> Tensor:
        """What a text block returns; where the states behind the last are known, these, whichever block it is.

        Args:
            block: of `Family.text_blocks`, called in their order.
            inputs: of its call.
            attend: calls it.
        """
        if block.index == 0:
            self._begin(inputs)
        if not self._known:
            self._modules.append(block.module)
            self._marks.append(_mark(block.module))
            self._weights += block.module.parameters()  # as long as they are held, no other has their number
            self._states = attend()
        assert self._states is not None
        return self._states

    def _begin(self, inputs: Mapping[str, Any]) -> None:
        """See whether the states are those of the last call."""
        entered, marks = list(_tensors(inputs)), [_mark(module) for module in self._modules]
        self._known = (
            self.keep
            and self._states is not None
            and not torch.is_grad_enabled()
            and marks == self._marks
            and len(entered) == len(self._entered)
            and all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(entered, self._entered, strict=True))
        )
        if not self._known:
            self._entered, self._modules, self._marks, self._weights = entered, [], [], []


def _tensors(inputs: Mapping[str, Any]) -> Iterator[Tensor]:
    for value in inputs.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, Tensor):
                yield each


def _mark(module: nn.Module) -> object:
    """What is another where a module's output might be; one that equals no other where its calls must not be left out.

    A weight that a library exchanges, or writes to, is another one.
    """
    found: list[object] = [(id(weight), weight._version) for weight in module.parameters()]
    for part in module.modules():
        hooks = getattr(getattr(part, "_diffusers_hook", None), "hooks", {})
        if any(_LOADED_AHEAD in name for name in hooks):
            return object()
        found += [repr(getattr(part, name)) for name in _ADAPTED if hasattr(part, name)]
    return found
