"""Which method draws, by which routing: as asked for, else as the source picture was drawn."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan
from strata.imports import uncollected
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.loading import ModelSource
from strata.settings import DrawSettings
from strata.source import Source

if TYPE_CHECKING:
    from strata.injection.methods import Method


def named_method(name: str) -> "Method":
    """The method of this name. Raises `SettingError` where there is none."""
    with uncollected():
        from strata.injection.methods import method_named
    with _method_as_setting():
        return method_named(name)


def check_methods(names: Iterable[object], setting: str = "<method>") -> None:
    """Raises `SettingError`, which names the setting, where one of the names is of no method; passes over None."""
    for name in names:
        if isinstance(name, str):
            try:
                named_method(name)
            except SettingError as error:
                raise SettingError(error.template.replace("<method>", setting, 1)) from error


def check_routings(names: Iterable[object]) -> None:
    """Raises `InputError` where one of the names is no preset, nor a file that is a routing; passes over None."""
    for name in names:
        if isinstance(name, str):
            Routing.load(name)


@contextmanager
def _method_as_setting() -> Iterator[None]:
    """An error about a method names the setting."""
    try:
        yield
    except InputError as error:
        raise SettingError(f"<method> {str(error).removeprefix('method ')}") from error


def routing_for(given: DrawSettings, source: Source, method: "Method | None") -> Routing:
    """The routing that is asked for, else the source's, else the method's own; by no method the default."""
    asked = source.routing if given.routing is None else Routing.load(given.routing)
    return asked or (Routing.load(DEFAULT_ROUTING) if method is None else method.default_routing)


def method_of(given: DrawSettings, settings: DrawSettings, source: Source, model: ModelSource) -> "Method | None":
    """The method that is asked for, or that drew the source picture; None: as the routing asks for.

    Raises:
        SettingError: there is no such method, it would ignore a setting, or it is none for this model.
    """
    if settings.method is None:
        return None
    method = named_method(settings.method)
    if model.facts is not None:
        with _method_as_setting():
            method.check_model(replace(model.facts, form=model.form))
    for name in sorted(method.ignores):
        if (value := getattr(given, name)) is not None:
            if given.method is not None:
                raise SettingError(f"<{name}> {value}: the method {method.name} would ignore it; leave one of them out")
            drawn = f"the picture was drawn by the method {method.name}, which would ignore it"
            raise SettingError(f"<{name}> {value}: {drawn}; name a <method>, such as regional, as well")
    if method.unrouted and (source.swaps or (source.repaints and not method.rewrites)):
        why = "has texts of theirs that change at a step" if source.swaps else "was repainted where one of them is"
        raise SettingError(f"<method> {method.name}: leaves regions out, but the picture {why}")
    return method


def drawn_in_place(method: "Method", plan: ScenePlan, model: ModelSource) -> ScenePlan:
    """What a method draws in the plan's place, where the model is at hand, else the plan."""
    if model.facts is None:
        return plan
    drawn, _ = method.drawn(plan, replace(model.facts, form=model.form))
    return drawn
