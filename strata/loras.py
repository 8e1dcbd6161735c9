"""LoRAs of a drawing, the settings' and the plan's: found, read and checked before the model is loaded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from strata.hierarchy.errors import InputError, SettingError, quote
from strata.hierarchy.loras import Lora, parse_scale
from strata.hierarchy.plan import PlacedLora, ScenePlan
from strata.imports import uncollected
from strata.injection.lora_form import check_form
from strata.injection.lora_hub import find_lora, is_of_hub, lora_path, named_in
from strata.layers.lora_rules import lora_notes
from strata.layers.routing import Routing
from strata.loading import ModelSource
from strata.record import Record
from strata.source import local_lora

if TYPE_CHECKING:
    from strata.injection.methods import Method


def given_lora(text: str) -> Lora:
    """FILE, or FILE:SCALE. Raises `SettingError` for a scale that is none."""
    file, colon, scale = text.rpartition(":")
    if not colon or not file:
        return Lora(file=text)
    try:
        number = float(scale)
    except ValueError:
        path, whole = Path(file).expanduser(), Path(text).expanduser()
        if whole.exists() or not (path.is_file() or is_of_hub(file, Path())):
            return Lora(file=text)  # a colon in the name of a file
        raise SettingError(f"<lora> {text}: {quote(scale)} behind the colon is no scale; give a number") from None
    try:
        return Lora(file=file, scale=parse_scale(number))
    except ValueError as error:
        raise SettingError(f"<lora> {text}: scale: {error}") from error


def in_full(text: str) -> str:
    """FILE:SCALE with the full path of a file that is here, as a record keeps it."""
    lora = given_lora(text)
    return f"{local_lora(lora.file, Path())}:{lora.scale:g}"


def with_given(plan: ScenePlan, given: Sequence[str] | None) -> ScenePlan:
    """The plan with LoRAs of the settings behind its own."""
    loras = tuple(given_lora(text) for text in given or ())
    return plan.model_copy(update={"loras": (*plan.loras, *loras)}) if loras else plan


def checked_loras(
    plans: Sequence[ScenePlan],
    given: Sequence[str] | None,
    model: ModelSource,
    method: "Method | None",
    routing: Routing,
    steps: int,
    record: Record | None,
) -> Mapping[str, str]:
    """The SHA-256 of every LoRA file, by its name, checked against the model where that is at hand.

    Args:
        plans: with LoRAs of their own.
        given: those of the settings.
        model: that draws.
        method: that draws; None: as the routing asks for.
        routing: as written.
        steps: of the run.
        record: of the source picture, whose files were `found_again`; no hub is asked for them.

    Raises:
        SettingError: of a LoRA of the settings.
        InputError: of one of a plan; names its file, line and field.
    """
    extra = [PlacedLora("global", given_lora(text), ()) for text in given or ()]
    if not extra and not any(plan.placed_loras() for plan in plans):
        return {}
    here, known = record is not None, record.settings.lora if record is not None else ()
    named = [_given_path(text, only_here=text in known) for text in given or ()]
    found: list[tuple[ScenePlan, list[tuple[PlacedLora, Path]]]] = []
    for plan in plans:
        paths = [*(lora_path(plan, own, here) for own in plan.placed_loras()), *named]
        found.append((plan, list(zip([*plan.placed_loras(), *extra], paths, strict=True))))
        for each, path in found[-1][1]:
            with _named(plan, each):
                check_form(path)  # of all, before torch and peft are imported, which takes seconds
    with uncollected():
        from strata.injection.lora_adapters import Adapter
        from strata.injection.lora_files import LoraFile, empty_transformer, read_lora
        from strata.injection.loras import check_adapter
        from strata.injection.methods import method_for
    folder = model.folder() if model.facts is not None else None
    stock = None if folder is None else empty_transformer(folder)  # else the loaded model is asked
    hashes: dict[str, str] = {}
    for plan, placed in found:
        adapters = []
        for each, path in placed:
            with _named(plan, each):
                file = LoraFile(path, {}) if stock is None else read_lora(path, stock[2])
                hashes[local_lora(each.lora.file, plan.root if each.path else Path())] = file.sha256
            adapters.append(Adapter(each.area, each.lora, file))
        if stock is not None and model.facts is not None:
            schedule = routing.balanced_for(plan).resolve(*model.facts.block_counts, steps)
            schedule.check_loras((adapter.area, adapter.lora.name) for adapter in adapters)
            for (each, _), adapter in zip(placed, adapters, strict=True):
                with _named(plan, each):
                    check_adapter(adapter, schedule, method or method_for(routing), *stock[:2])
    return hashes


def lora_notes_of(plans: Sequence[ScenePlan], given: Sequence[str] | None, routing: Routing) -> tuple[str, ...]:
    """What the routing's `loras` do that one may not have meant, with plans' LoRAs and those of the settings."""
    placed = [each for plan in plans for each in with_given(plan, given).placed_loras()]
    return tuple(lora_notes(routing.loras, placed))


@contextmanager
def _named(plan: ScenePlan, placed: PlacedLora) -> Iterator[None]:
    """An error about a LoRA file names where it is asked for: in the plan, or by the settings."""
    if placed.path:
        with named_in(plan, placed):
            yield
        return
    try:
        yield
    except InputError as error:
        raise SettingError(f"<lora> {placed.lora.file}: {error}") from error


def _given_path(text: str, only_here: bool) -> Path:
    lora = given_lora(text)
    try:
        return find_lora(lora.file, Path(), only_here)
    except InputError as error:
        raise SettingError(f"<lora> {lora.file}: {error}") from error
