"""Methods, one a file: ways of drawing a program. Each is found by its file and known by its name."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import product
from pkgutil import iter_modules

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.injection.methods.base import Method
from strata.injection.methods.regional import is_published
from strata.layers.routing import Routing

__all__ = ["Method", "method_for", "method_named", "methods", "names"]


@cache
def methods() -> dict[str, Method]:
    """All methods by their names."""
    names = sorted(module.name for module in iter_modules(__path__))
    found = [getattr(import_module(f"{__name__}.{name}"), "METHOD", None) for name in names]
    return {method.name: method for method in found if method is not None}


def method_named(name: str) -> Method:
    """The method of this name, or two at once: `NAME+OTHER`. Raises `InputError` where there is none."""
    first, plus, other = name.partition("+")
    if first not in methods() or (plus and other not in methods()):
        hint = did_you_mean(name, names())
        raise InputError(f"method {quote(name)}: {hint}must be one of {', '.join(names())}")
    found = methods()[first]
    return found.beside(methods()[other]) if plus else found


def names() -> list[str]:
    """All names that `method_named` knows."""
    found = list(methods())
    for one, other in product(methods().values(), repeat=2):
        with suppress(InputError):
            found.append(one.beside(other).name)
    return sorted(found)


def method_for(routing: Routing) -> Method:
    """The method that a routing asks for: the published one where it has the published one's peculiarities."""
    return method_named("regional-prompting-flux" if is_published(routing) else "regional")
