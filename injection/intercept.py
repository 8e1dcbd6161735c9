"""Calls of a module go through a function of ours while a context lasts, compiled or not, and nothing is renamed.

`torch.nn.Module` looks for a compiled call before its own; that is where the function stands. So state dict, submodule
names and LoRA keys stay as they are, all hooks run inside, and a block that `compile_repeated_blocks` compiled stays
compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

Call = Callable[..., Any]
Around = Callable[[Call, tuple[Any, ...], dict[str, Any]], Any]


class _Intercepted:
    """The call of a module, and what stands around it."""

    def __init__(self, stock: Call | None, call: Call, around: Around, busy: str):
        self.stock, self.call, self.around, self.busy = stock, call, around, busy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.around(self.call, args, kwargs)


@contextmanager
def intercepted(module: nn.Module, around: Around, busy: str = "") -> Iterator[None]:
    """While the context lasts, `module(*args, **kwargs)` is `around(call, args, kwargs)`, `call` being the module's.

    `busy` is for people: why nothing else may stand there meanwhile.
    """
    stock = module._compiled_call_impl
    module._compiled_call_impl = _Intercepted(stock, stock or module._call_impl, around, busy)
    try:
        yield
    finally:
        module._compiled_call_impl = stock


def is_intercepted(module: nn.Module) -> bool:
    """Whether a context of `intercepted` lasts."""
    return isinstance(module._compiled_call_impl, _Intercepted)


def why_busy(module: nn.Module) -> str:
    """What such a context gives as `busy`."""
    call = module._compiled_call_impl
    return call.busy if isinstance(call, _Intercepted) else ""


def is_compiled(module: nn.Module) -> bool:
    """Whether `module.compile()` was called, or the module is what `torch.compile` returned."""
    call = module._compiled_call_impl
    stock = call.stock if isinstance(call, _Intercepted) else call
    return stock is not None or hasattr(module, "_orig_mod")
