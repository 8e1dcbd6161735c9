"""Importing large libraries without looking for garbage meanwhile."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """While the context lasts, the garbage collector rests.

    Importing torch, transformers and diffusers makes a million objects that all stay; the collector, which runs after
    every few hundred new ones, took a sixth of that time and found nothing.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
