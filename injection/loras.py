"""LoRAs of a plan, on a pipeline: read, checked, and at work for the time of a call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.plan import ScenePlan
from strata.injection.errors import UnsupportedError
from strata.injection.families import Family
from strata.injection.lora_adapters import Adapter, check_adaptable, loaded
from strata.injection.lora_files import LoraFile, read_lora
from strata.injection.lora_gates import LoraGates, is_everywhere
from strata.injection.lora_hub import lora_path
from strata.injection.methods.base import Method
from strata.layers.schedule import Schedule


class PlanLoras:
    """The LoRAs of plans that one pipeline draws; what a file holds is kept as long as the file stays what it is."""

    def __init__(self, pipe: Any, family: Family) -> None:
        self.pipe, self.family = pipe, family
        self._files: dict[Path, tuple[tuple[int, int], LoraFile]] = {}

    def check(self, plan: ScenePlan, schedule: Schedule, method: Method) -> None:
        """Raise `InputError` and `UnsupportedError` for LoRAs that cannot be drawn with."""
        adapters = self._adapters(plan)
        if not adapters:
            return
        check_adapters(adapters, schedule, method, self.pipe.transformer, self.family)
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
        with loaded(self.pipe, self.family, adapters) as layers, gates.attached(self.pipe, self.family, layers):
            yield gates

    def _adapters(self, plan: ScenePlan) -> list[Adapter]:
        return [
            Adapter(placed.area, placed.lora, self._file(lora_path(plan, placed))) for placed in plan.placed_loras()
        ]

    def _file(self, path: Path) -> LoraFile:
        state = os.stat(path)
        mark = state.st_mtime_ns, state.st_size
        if path not in self._files or self._files[path][0] != mark:
            self._files[path] = mark, read_lora(path, type(self.pipe))
        return self._files[path][1]


def check_adapters(
    adapters: Sequence[Adapter], schedule: Schedule, method: Method, transformer: Any, family: Family
) -> None:
    """Raise `InputError` for adapters that do not fit a model, a routing or a method; no weights are needed.

    Args:
        adapters: of a plan.
        schedule: the routing, resolved.
        method: that draws.
        transformer: which may be on the meta device.
        family: of it.
    """
    schedule.check_loras((each.area, each.lora.name) for each in adapters)
    for adapter in adapters:
        adapter.file.check(transformer)
        if is_everywhere(adapter, schedule):
            continue
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
