"""Signals that end a program: Ctrl-C, SIGTERM and SIGHUP, all of which let what is under way be put away."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What may end a run; there is no SIGHUP on Windows."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came, which ends a run as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(number)


@contextmanager
def terminable() -> Iterator[None]:
    """While the context lasts, SIGTERM and SIGHUP raise `Terminated`.

    Without effect outside of the main thread, and on signals that are ignored (nohup) or handled in another way.
    """
    mine = [number for number in ENDING if _in_main_thread() and signal.getsignal(number) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """While the context lasts, the first signal that ends a run calls `action`; the next one raises as ever.

    A `KeyboardInterrupt` that then leaves the context becomes the one that the signal would have raised. Without effect
    outside of the main thread, and on signals that a program handles in a way of its own.
    """
    came: list[tuple[int, FrameType | None]] = []
    usual = _usual()

    def handle(number: int, frame: FrameType | None) -> None:
        _set(usual)
        came.append((number, frame))
        action()

    _set(dict.fromkeys(usual, handle))
    try:
        yield
    except KeyboardInterrupt:
        for number, frame in came:
            usual[number](number, frame)
        raise
    finally:
        _set(usual)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that end a run wait until the context ends, for the few moments in which files change places."""
    came: list[tuple[int, FrameType | None]] = []
    usual = _usual()
    _set(dict.fromkeys(usual, lambda number, frame: came.append((number, frame))))
    try:
        yield
    finally:
        _set(usual)
        for number, frame in came:
            usual[number](number, frame)


def _usual() -> dict[int, Any]:
    """The handlers that raise, by signal."""
    handlers = {number: signal.getsignal(number) for number in ENDING} if _in_main_thread() else {}
    return {n: handler for n, handler in handlers.items() if handler in (signal.default_int_handler, _terminate)}


def _set(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
