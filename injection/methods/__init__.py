"""Methods, one a file: ways of drawing a program. Each is found by its file and known by its name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.injection.methods.base import Method
from strata.layers.routing import Routing

__all__ = ["Method", "method_for", "method_named", "methods"]


@cache
def methods() -> dict[str, Method]:
    """All methods by their names."""
    names = sorted(module.name for module in iter_modules(__path__))
    found = [getattr(import_module(f"{__name__}.{name}"), "METHOD", None) for name in names]
    return {method.name: method for method in found if method is not None}


def method_named(name: str) -> Method:
    """The method of this name. Raises `InputError` where there is none."""
    if name not in methods():
        hint = did_you_mean(name, list(methods()))
        raise InputError(f"method {quote(name)}: {hint}must be one of {', '.join(methods())}")
    return methods()[name]


def method_for(routing: Routing) -> Method:
    """The method that a routing asks for: the published one where it has the published one's peculiarities."""
    published = routing.blend.mode == "split" or routing.unrouted == "open"
    return method_named("regional-prompting-flux" if published else "regional")
