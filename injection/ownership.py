"""A regional call owns its pipeline while it lasts: whoever else uses it meanwhile gets an error, not a wrong picture.

Others are other threads, and code that the call itself lets run: callbacks, observers, hooks of modules. They would
draw with the call's regions, and set its scheduler back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from strata.injection.errors import UnsupportedError

DRAWING = (
    "regions are attached to this transformer already, by a call that is still running; let that end, or load another"
    " pipeline"
)

_owners: dict[int, Owner] = {}
_registry = threading.Lock()


class Owner:
    """One regional call: its thread, and whether code that is not its own is running."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._begun = False
        self._away = 0

    def check(self) -> None:
        """Raise `UnsupportedError` unless it is the call itself that runs."""
        if threading.get_ident() != self._thread or self._away:
            raise UnsupportedError(DRAWING)

    def begin(self) -> None:
        """`check`, and once only: the call checks its inputs at its begin."""
        self.check()
        if self._begun:
            raise UnsupportedError(DRAWING)
        self._begun = True

    def lend(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """A callback of the call, during which it is away."""

        @wraps(callback, updated=())
        def lent(*args: Any, **kwargs: Any) -> Any:
            self._away += 1
            try:
                return callback(*args, **kwargs)
            finally:
                self._away -= 1

        return lent


@contextmanager
def owned(pipe: Any) -> Iterator[Owner]:
    """Own a pipeline, and its transformer in whatever pipeline it is, while the context lasts.

    Raises:
        UnsupportedError: another call owns it; there is no waiting.
    """
    key, owner = id(getattr(pipe.transformer, "_orig_mod", pipe.transformer)), Owner()
    with _registry:
        if key in _owners:
            raise UnsupportedError(DRAWING)
        _owners[key] = owner
    try:
        with ExitStack() as undo:
            undo.enter_context(_guarded(pipe, "check_inputs", owner.begin))
            undo.enter_context(_guarded(pipe.scheduler, "set_timesteps", owner.check))
            yield owner
    finally:
        with _registry:
            del _owners[key]


@contextmanager
def _guarded(thing: Any, name: str, check: Callable[[], None]) -> Iterator[None]:
    """While the context lasts, the method `name` of this one object runs `check` before."""
    stock = getattr(thing, name, None)
    if stock is None:
        yield
        return

    @wraps(stock)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        check()
        return stock(*args, **kwargs)

    own = vars(thing)
    before = {name: own[name]} if name in own else {}
    own[name] = guarded
    try:
        yield
    finally:
        del own[name]
        own.update(before)
