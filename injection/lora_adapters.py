"""LoRAs in a pipeline for the time of a drawing: loaded by diffusers and peft, and taken out again without a trace.

They are never among peft's active adapters: the layers compute what they did before, and their deltas are added around
them (`lora_gates.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from strata.hierarchy.loras import Lora
from strata.injection.checks import UnsupportedError
from strata.injection.families import Family
from strata.injection.intercept import is_compiled
from strata.injection.lora_files import LoraFile, silent_loaders


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA file at work in one area.

    Attributes:
        area: a region's name, "background" or "global".
        lora: as the plan has it.
        file: where its weights are.
    """

    area: str
    lora: Lora
    file: LoraFile

    @property
    def key(self) -> str:
        """Its name among peft's adapters; areas share a file."""
        return f"strata_{self.file.sha256[:16]}"


def check_adaptable(pipe: Any, family: Family, adapters: Sequence[Adapter]) -> None:
    """Raise `UnsupportedError` for modes of a pipeline in which adapters would be skipped or wrong."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    transformer, file = pipe.transformer, adapters[0].file.path
    for block in family.blocks(transformer):
        if is_compiled(block.module):
            raise UnsupportedError(
                f"{file}: {block.name} is compiled, and compiled code would leave the plan's LoRAs out; draw them with"
                " blocks that are not compiled"
            )
        if getattr(block.attn, "fused_projections", False):
            raise UnsupportedError(
                f"{file}: the projections of {block.name} are fused, and LoRAs of single projections would be left"
                " out; call pipe.transformer.unfuse_qkv_projections()"
            )
    for name, part in _parts(pipe, family).items():
        for where, layer in part.named_modules():
            if isinstance(layer, BaseTunerLayer) and layer.merged:
                raise UnsupportedError(
                    f"{file}: {name}.{where} has a fused LoRA, which another one cannot be loaded beside; call"
                    " pipe.unfuse_lora()"
                )
    for adapter in adapters:
        if adapter.file.adapts_texts and getattr(pipe, "text_encoder", None) is None:
            raise UnsupportedError(f"{adapter.file.path}: adapts the text encoder, which is not loaded")


@contextmanager
def loaded(pipe: Any, family: Family, adapters: Sequence[Adapter]) -> Iterator[Mapping[str, tuple[str, Any]]]:
    """While the context lasts, a pipeline has the adapters' weights, inactive.

    Yields the layers that have some, by their names below the pipeline: which part of it, and the layer.
    """
    if not adapters:
        yield {}
        return
    kept = [_Kept(part) for part in _parts(pipe, family).values()]
    try:
        with silent_loaders():
            for adapter in {adapter.key: adapter for adapter in adapters}.values():
                pipe.load_lora_weights(str(adapter.file.path), adapter_name=adapter.key)
        for each in kept:
            each.deactivate()
        keys = {adapter.key for adapter in adapters}
        found: dict[str, tuple[str, Any]] = {}
        for name, part in _parts(pipe, family).items():
            for where, layer in part.named_modules():
                if keys & set(getattr(layer, "lora_A", ())):
                    found[f"{name}.{where}"] = name, layer
        yield found
    finally:
        for each in kept:
            each.restore()


def _parts(pipe: Any, family: Family) -> dict[str, nn.Module]:
    """The parts of a pipeline that LoRAs adapt."""
    named = {"transformer": pipe.transformer, "text_encoder": getattr(pipe, "text_encoder", None)}
    return {name: part for name, part in named.items() if isinstance(part, nn.Module)}


class _Kept:
    """What peft changes in a model, as it was."""

    _OWN = ("peft_config", "_hf_peft_config_loaded")

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.layers = {
            name: (layer._active_adapter, dict(layer.scaling), {*layer.lora_A})
            for name, layer in self._tuned()
            if hasattr(layer, "lora_A")
        }
        self.grads = [(weight, weight.requires_grad) for weight in model.parameters()]
        self.own = {name: model.__dict__[name] for name in self._OWN if name in model.__dict__}
        self.config = dict(self.own.get("peft_config") or {})

    def _tuned(self) -> list[tuple[str, Any]]:
        from peft.tuners.tuners_utils import BaseTunerLayer

        return [(name, module) for name, module in self.model.named_modules() if isinstance(module, BaseTunerLayer)]

    def deactivate(self) -> None:
        """Only what was active before is; and nothing that was not takes part in training."""
        for name, layer in self._tuned():
            active, scaling, _ = self.layers.get(name, ([], {}, set()))
            layer._active_adapter = active
            layer.scaling.update(scaling)
            layer.requires_grad_(False)
        self._restore_grads()

    def restore(self) -> None:
        """Takes out whatever came since."""
        for name, layer in self._tuned():
            if name not in self.layers:
                outer, _, inner = name.rpartition(".")
                setattr(self.model.get_submodule(outer), inner, layer.get_base_layer())
                continue
            active, scaling, adapters = self.layers[name]
            for adapter in {*layer.lora_A} - adapters:
                layer.delete_adapter(adapter)
            layer._active_adapter = active
            layer.scaling.update(scaling)
        for name in self._OWN:
            if name in self.own:
                setattr(self.model, name, self.own[name])
            else:
                self.model.__dict__.pop(name, None)
        if "peft_config" in self.own:
            config = self.own["peft_config"]
            for key in set(config) - set(self.config):
                del config[key]
        self._restore_grads()

    def _restore_grads(self) -> None:
        for weight, grad in self.grads:
            weight.requires_grad_(grad)
