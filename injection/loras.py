"""LoRAs of a plan, on a pipeline: read, checked, and at work for the time of a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.plan import ScenePlan
from strata.injection.errors import UnsupportedError
from strata.injection.families import Family
from strata.injection.lora_adapters import Adapter, check_adaptable, loaded
from strata.injection.lora_files import read_lora
from strata.injection.lora_gates import LoraGates, is_everywhere
from strata.injection.lora_hub import lora_path, named_in
from strata.injection.methods.base import Method
from strata.layers.schedule import Schedule


class PlanLoras:
    """The LoRAs of plans that one pipeline draws."""

    def __init__(self, pipe: Any, family: Family) -> None:
        self.pipe, self.family = pipe, family
        self._stack: ExitStack | None = None
        self._keys: frozenset[str] = frozenset()
        self._layers: Mapping[str, tuple[str, Any]] = {}

    def check(self, plan: ScenePlan, schedule: Schedule, method: Method) -> None:
        """Raise `InputError` and `UnsupportedError` for LoRAs that cannot be drawn with."""
        adapters = self._adapters(plan)
        if not adapters:
            return
        schedule.check_loras((each.area, each.lora.name) for each in adapters)
        for placed, adapter in zip(plan.placed_loras(), adapters, strict=True):
            with named_in(plan, placed):
                check_adapter(adapter, schedule, method, self.pipe.transformer, self.family)
        check_adaptable(self.pipe, self.family, adapters)

    @contextmanager
    def attached(self, plans: Sequence[ScenePlan], schedule: Schedule) -> Iterator[LoraGates | None]:
        """While the context lasts, the pipeline draws with the LoRAs of a plan, which were checked.

        Raises:
            UnsupportedError: there are several plans.
        """
        adapters = [adapter for plan in plans for adapter in self._adapters(plan)]
        if not adapters:
            yield None
            return
        if len(plans) > 1:
            raise UnsupportedError(f"{adapters[0].file.path}: plans with LoRAs are drawn one a call")
        gates = LoraGates(adapters, schedule)
        with self._loaded(adapters) as layers, gates.attached(self.pipe, self.family, layers):
            yield gates

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While the context lasts, what a call has loaded stays in the pipeline, inactive, for a call with the same."""
        self._stack, self._keys = ExitStack(), frozenset()
        try:
            yield
        finally:
            stack, self._stack = self._stack, None
            stack.close()

    @contextmanager
    def _loaded(self, adapters: Sequence[Adapter]) -> Iterator[Mapping[str, tuple[str, Any]]]:
        if self._stack is None:
            with loaded(self.pipe, self.family, adapters) as layers:
                yield layers
            return
        keys = frozenset(adapter.key for adapter in adapters)
        if keys != self._keys:
            self._keys = frozenset()
            self._stack.close()
            self._layers = self._stack.enter_context(loaded(self.pipe, self.family, adapters))
            self._keys = keys
        yield self._layers

    def _adapters(self, plan: ScenePlan) -> list[Adapter]:
        found = []
        for placed in plan.placed_loras():
            path = lora_path(plan, placed)
            with named_in(plan, placed):
                found.append(Adapter(placed.area, placed.lora, read_lora(path, type(self.pipe))))
        return found


def check_adapter(adapter: Adapter, schedule: Schedule, method: Method, transformer: Any, family: Family) -> None:
    """Raise `InputError` for an adapter that does not fit a model, a routing or a method; no weights are needed.

    Args:
        adapter: of a plan.
        schedule: the routing, resolved.
        method: that draws.
        transformer: which may be on the meta device.
        family: of it.
    """
    adapter.file.check(transformer)
    if is_everywhere(adapter, schedule):
        return
    if not method.confines_loras:
        why = f"of {adapter.area}"
        if adapter.area == "global":
            ramp = not isinstance(adapter.lora.scale, float)
            why = "with a ramp as its scale" if ramp else "where the routing's loras have it act"
        raise InputError(
            f"method {quote(method.name)}: LoRA {quote(adapter.lora.file)} {why}: only the method regional draws it"
        )
    if adapter.area != "global":
        adapter.file.check_confined(transformer, family)
    elif adapter.file.adapts_texts:
        raise adapter.file.error("adapts the text encoder too, whose texts are encoded once: give it one scale")
