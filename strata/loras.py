"""LoRAs of a drawing, the settings' and the plan's: found, read and checked before the model is loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.loras import Lora, parse_scale
from strata.hierarchy.plan import PlacedLora, ScenePlan
from strata.imports import uncollected
from strata.injection.lora_hub import find_lora, lora_path
from strata.layers.routing import Routing
from strata.loading import ModelSource
from strata.record import Record
from strata.source import local_lora

if TYPE_CHECKING:
    from strata.injection.methods import Method


def given_lora(text: str) -> Lora:
    """FILE, or FILE:SCALE. Raises `SettingError` for a scale that is none."""
    file, colon, scale = text.rpartition(":")
    try:
        number = float(scale)
    except ValueError:
        return Lora(file=text)  # a colon in the name of a file
    if not colon or not file:
        return Lora(file=text)
    try:
        return Lora(file=file, scale=parse_scale(number))
    except ValueError as error:
        raise SettingError(f"<lora> {text}: scale {error}") from error


def in_full(text: str) -> str:
    """FILE:SCALE with the full path of a file that is here, as a record keeps it."""
    lora = given_lora(text)
    return f"{local_lora(lora.file, Path())}:{lora.scale:g}"


def with_given(plan: ScenePlan, given: Sequence[str] | None) -> ScenePlan:
    """The plan with LoRAs of the settings behind its own."""
    loras = tuple(given_lora(text) for text in given or ())
    return plan.model_copy(update={"loras": (*plan.loras, *loras)}) if loras else plan


def checked_loras(
    plan: ScenePlan,
    given: Sequence[str] | None,
    model: ModelSource,
    method: "Method | None",
    routing: Routing,
    steps: int,
    record: Record | None,
) -> Mapping[str, str]:
    """The SHA-256 of every LoRA file, by its name, checked against the model where that is at hand.

    Args:
        plan: with LoRAs of its own.
        given: those of the settings.
        model: that draws.
        method: that draws; None: as the routing asks for.
        routing: as written.
        steps: of the run.
        record: of the source picture, which names files that have to be what they were, and asks no hub.

    Raises:
        SettingError: of a LoRA of the settings.
        InputError: of one of the plan.
    """
    extra = [given_lora(text) for text in given or ()]
    placed = [*plan.placed_loras(), *(PlacedLora("global", lora, ()) for lora in extra)]
    if not placed:
        return {}
    with uncollected():
        from strata.injection.lora_adapters import Adapter
        from strata.injection.lora_files import LoraFile, empty_transformer, read_lora
        from strata.injection.loras import check_adapters
        from strata.injection.methods import method_for
    here = record is not None
    paths = [lora_path(plan, each, only_here=here) for each in plan.placed_loras()]
    paths += [_given_path(lora, only_here=here) for lora in extra]
    files = [LoraFile(path, {}) for path in paths]
    folder = model.folder() if model.facts is not None else None
    if folder is not None and model.facts is not None:  # else the loaded model is asked
        transformer, family, pipeline = empty_transformer(folder)
        files = [read_lora(path, pipeline) for path in paths]
        schedule = routing.balanced_for(plan).resolve(*model.facts.block_counts, steps)
        adapters = [Adapter(each.area, each.lora, file) for each, file in zip(placed, files, strict=True)]
        check_adapters(adapters, schedule, method or method_for(routing), transformer, family)
    hashes = {local_lora(e.lora.file, plan.root): file.sha256 for e, file in zip(placed, files, strict=True)}
    for name, digest in hashes.items():
        if record is not None and record.lora_hashes.get(name, digest) != digest:
            raise SettingError(f"{name}: is not the LoRA file that the picture was drawn with")
    return hashes


def _given_path(lora: Lora, only_here: bool) -> Path:
    try:
        return find_lora(lora.file, Path(), only_here)
    except InputError as error:
        raise SettingError(f"<lora> {lora.file}: {error}") from error
