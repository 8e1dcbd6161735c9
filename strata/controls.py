"""ControlNets of a drawing, as the settings ask for them: pictures, models, scales, modes, steps and areas."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strata.hierarchy.errors import InputError, SettingError, quote
from strata.hierarchy.files import read_bytes
from strata.hierarchy.plan import ScenePlan
from strata.injection.families import Family, family_of_folder
from strata.layers.ranges import Percent
from strata.loading import HUB_ID, MINIATURE, ModelSource, Origin
from strata.miniature import CONTROL
from strata.source import Source, decode_picture, safe_name

if TYPE_CHECKING:
    from strata.settings import DrawSettings

NO_MODE = -1
"""Of a ControlNet that is no union model, where several are used."""
_FIELDS = ("control_model", "control_scale", "control_mode", "control_steps", "control_region")
_ALIKE = ("in_channels", "joint_attention_dim", "pooled_projection_dim")
"""What a ControlNet has as its transformer has it."""
_AMONG = ("num_layers", "num_single_layers", "guidance_embeds", "conditioning_embedding_channels")
"""What ControlNets that are summed have alike: pipelines ask the first, and sum residuals block by block."""


@dataclass(frozen=True)
class ControlSource(Origin):
    """Where a ControlNet comes from."""

    bundled = CONTROL

    @cached_property
    def config(self) -> Mapping[str, Any] | None:
        """Its configuration; None where it is not at hand. Raises `SettingError` for a folder without one."""
        folder = self.folder()
        return None if folder is None else self.config_in(folder)

    def config_in(self, folder: Path) -> Mapping[str, Any]:
        """The configuration in its folder. Raises `SettingError` as `config`."""
        if self.kind == "miniature" and not folder.is_dir():
            raise self.error(f"its weights are missing from this installation ({folder})")
        try:
            found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self.error("has no config.json that can be read; name the folder of a ControlNet") from error
        if not isinstance(found, dict):
            raise self.error("its config.json holds no configuration")
        return found

    def error(self, reason: str) -> SettingError:
        """About this ControlNet."""
        return SettingError(f"<control_model> {self.name}: {reason}")


@dataclass(frozen=True)
class Control:
    """One ControlNet with its picture."""

    picture: str
    """By its name among a run's files."""
    model: ControlSource
    scale: float
    mode: int | None
    """Of a union model."""
    steps: Percent
    area: str
    """A region, "background" or "global"."""

    def shares(self, steps: int) -> tuple[float, float]:
        """From and up to which share of a run's steps it acts. Raises `SettingError` where it does at none."""
        on = self.steps.select(steps).nonzero()[0]
        if not len(on):
            raise SettingError(f"<control_steps> {self.steps}: selects none of {steps} steps")
        return int(on[0]) / steps, int(on[-1] + 1) / steps


def locate_control(name: str, recorded: bool = False) -> ControlSource:
    """What `name` is: `miniature`, a folder in the diffusers format, or a hub id (OWNER/NAME).

    `recorded`: a picture names it, which anybody may have made: only what is bundled, or in the hub's cache here.

    Raises:
        SettingError: none of them, or none that a picture may have loaded.
    """
    if name in (MINIATURE, str(CONTROL)):
        return ControlSource(name, "miniature")
    is_id = HUB_ID.fullmatch(name) is not None
    if recorded:
        from huggingface_hub import try_to_load_from_cache

        if is_id and isinstance(try_to_load_from_cache(name, "config.json"), str) and not Path(name).exists():
            return ControlSource(name, "hub", only_here=True)
        raise SettingError(
            f"ControlNet {quote(name)}: is what the picture was drawn with, but a picture cannot have a model loaded"
            " that is neither bundled nor in the hub's cache here; if you trust it, name it with <control_model>"
        )
    if Path(name).expanduser().is_dir():
        return ControlSource(name, "folder")
    if is_id:
        return ControlSource(name, "hub")
    raise SettingError(
        f"<control_model> {name}: no such folder; must be '{MINIATURE}', the folder of a ControlNet, or a hub id"
        " (OWNER/NAME)"
    )


def controls_of(
    given: "DrawSettings", source: Source, files: dict[str, bytes], model: ModelSource, plan: ScenePlan, steps: int
) -> tuple[Control, ...]:
    """The ControlNets that are asked for, else those of the source's record; their pictures are put among the files.

    A new picture brings all of its own settings; without one, the record's settings count where none are given.

    Raises:
        SettingError: settings that do not go together, or with the model, as far as that is at hand.
        InputError: a picture that cannot be read.
    """
    record = source.record if given.control is None else None
    pictures = _pictures(given, source, files)
    if not pictures:
        for name in _FIELDS:
            if (value := getattr(given, name)) is not None:
                raise SettingError(f"<{name}> {_shown(value)}: needs <control> too")
        return ()
    if given.image is not None or (source.record is not None and source.record.image is not None):
        raise SettingError("<control>: does not go with <image>: pipelines that take both are for Python")
    count = len(pictures)

    def values(name: str, default: Any) -> tuple[Any, ...]:
        value = getattr(given, name)
        if value is None and record is not None:
            value = getattr(record.settings, name)
        value = value or (default,)
        if len(value) not in (1, count):
            raise SettingError(
                f"<{name}> {_shown(value)}: {len(value)} for {count} <control>; give one, or one for each"
            )
        return tuple(value) * (count if len(value) == 1 else 1)

    if given.control_model is None and record is None and model.kind != "miniature":
        raise SettingError("<control>: needs <control_model> too, the folder or hub id of a ControlNet for the model")
    recorded = given.control_model is None and record is not None
    controls = tuple(
        Control(picture, locate_control(name, recorded), scale, None if mode == NO_MODE else mode, _steps(text), area)
        for picture, name, scale, mode, text, area in zip(
            pictures,
            values("control_model", MINIATURE),
            values("control_scale", 1.0),
            values("control_mode", NO_MODE),
            values("control_steps", "0%-100%"),
            values("control_region", "global"),
            strict=True,
        )
    )
    folder = model.folder()
    if folder is not None and model.facts is not None:  # else the loaded model is asked
        family, index = family_of_folder(folder)
        transformer = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
        check_controls(controls, [c.model.config for c in controls], family, index["_class_name"], transformer)
    for control in controls:
        control.shares(steps)
    return controls


def check_areas(controls: Sequence[Control], plan: ScenePlan, model: ModelSource, plain: bool) -> None:
    """Raises `SettingError` for areas that the plan does not have, or where nothing is confined."""
    from strata.injection.controls import EVERYWHERE, area_tokens

    token = 1 if model.facts is None else model.facts.token_size  # by pixels, until the model is loaded
    for area in dict.fromkeys(control.area for control in controls if control.area != EVERYWHERE):
        if plain:
            raise SettingError(f"<control_region> {area}: the prompt alone has no regions")
        try:
            area_tokens(plan, area, token)
        except InputError as error:
            raise SettingError(f"<control_region> {error}") from error


def check_controls(
    controls: Sequence[Control],
    configs: Sequence[Mapping[str, Any] | None],
    family: Family,
    pipeline: str,
    transformer: Mapping[str, Any],
) -> None:
    """Raises `SettingError` for ControlNets that are not for this model, or not for each other.

    Args:
        controls: of one drawing.
        configs: of their models; None where one is not at hand.
        family: of the model that draws.
        pipeline: the class of its pipeline.
        transformer: the configuration of its transformer.
    """
    by_control, kind, _ = family.with_control
    if not by_control:
        raise SettingError(f"<control>: diffusers has no pipeline of {family.title} with a ControlNet")
    if pipeline == by_control:
        raise SettingError(f"<control>: {pipeline} brings its own ControlNet; give its picture with <image>")
    if pipeline != family.with_picture[0]:
        raise SettingError(f"<control>: {pipeline} takes no ControlNet; choose a {family.with_picture[0]}")
    known = [(c, config) for c, config in zip(controls, configs, strict=True) if config is not None]
    for control, config in known:
        if (found := config.get("_class_name")) != kind:
            raise control.model.error(f"is a {found}, but {family.title} needs a {kind}")
        here, there = _widths(config), _widths(transformer)
        if different := [name for name in here if name in there and here[name] != there[name]]:
            parts = ", ".join(f"{name} {here[name]}, not {there[name]}" for name in different)
            raise control.model.error(f"is for another model: {parts}")
        _check_mode(control, config)
    for control, config in known[1:]:
        first, other = known[0][0].model.name, {name: config.get(name) for name in _AMONG}
        if different := [name for name in _AMONG if other[name] != known[0][1].get(name)]:
            raise control.model.error(f"cannot be summed with {first}: its {', '.join(different)} is another")
    if by_control.startswith("Qwen") and len({control.model.name for control in controls}) > 1:
        raise SettingError(f"<control_model>: {by_control} takes one ControlNet, for all of the pictures")


def _widths(config: Mapping[str, Any]) -> dict[str, Any]:
    heads = config.get("num_attention_heads", 24) * config.get("attention_head_dim", 128)
    return {"width": heads} | {name: config[name] for name in _ALIKE if name in config}


def _check_mode(control: Control, config: Mapping[str, Any]) -> None:
    modes = config.get("num_mode")
    if modes is None and control.mode is not None:
        raise SettingError(f"<control_mode> {control.mode}: {control.model.name} is no union model and has no modes")
    if modes is not None and (control.mode is None or control.mode >= modes):
        said = "" if control.mode is None else f" {control.mode}"
        raise SettingError(
            f"<control_mode>{said}: {control.model.name} is a union model; must be from 0 to {modes - 1}"
        )


def _pictures(given: "DrawSettings", source: Source, files: dict[str, bytes]) -> list[str]:
    """The control pictures' names among the files, where they are put; checked."""
    if given.control is None:
        names = list(source.record.control) if source.record is not None else []
        files.update((name, source.files[name]) for name in names)
    else:
        names = []
        for number, path in enumerate(given.control, start=1):
            suffix = safe_name(Path(path).suffix.lower()) if Path(path).suffix else "png"
            names.append(f"inputs/control{'' if number == 1 else f'-{number}'}.{suffix}")
            files[names[-1]] = read_bytes(path)
    for name, told in zip(names, given.control or names, strict=True):
        decode_picture(files[name], told, "RGB")
    return names


def _steps(text: str | Percent) -> Percent:
    try:
        return text if isinstance(text, Percent) else Percent.parse(text)
    except ValueError as error:
        raise SettingError(f"<control_steps> {text}: {error}") from error


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def recorded_controls(controls: Sequence[Control]) -> dict[str, tuple[Any, ...]]:
    """The settings that a record keeps of them."""
    return {
        "control_model": tuple(c.model.name for c in controls),
        "control_scale": tuple(c.scale for c in controls),
        "control_mode": tuple(NO_MODE if c.mode is None else c.mode for c in controls),
        "control_steps": tuple(c.steps for c in controls),
        "control_region": tuple(c.area for c in controls),
    }


def resized_notes(
    controls: Sequence[Control], files: Mapping[str, bytes], plan: ScenePlan, given: Sequence[str] | None
) -> tuple[str, ...]:
    """A note for each control picture that is not of the canvas's proportions: pipelines stretch it.

    Args:
        controls: all of them.
        files: the pictures by their names in the run.
        plan: for the canvas.
        given: what the user calls the pictures; None: as the run does.
    """
    notes = []
    for control, told in zip(controls, given or [control.picture for control in controls], strict=True):
        width, height = decode_picture(files[control.picture], control.picture, "RGB").size
        if width * plan.height != height * plan.width:
            size = f"{width}x{height} is not of the canvas's proportions"
            notes.append(f"{told}: {size}; it is stretched to {plan.width}x{plan.height}")
    return tuple(notes)


def control_options(controls: Sequence[Control], files: Mapping[str, bytes], steps: int, plain: bool) -> dict[str, Any]:
    """As a pipeline's call names them."""
    if not controls:
        return {}
    shares = [control.shares(steps) for control in controls]
    found: dict[str, list[Any]] = {
        "control_image": [decode_picture(files[c.picture], c.picture, "RGB") for c in controls],
        "controlnet_conditioning_scale": [c.scale for c in controls],
        "control_guidance_start": [start for start, _ in shares],
        "control_guidance_end": [stop for _, stop in shares],
    }
    if any(c.mode is not None for c in controls):
        found["control_mode"] = [c.mode for c in controls]
    if not plain:
        found["control_regions"] = [c.area for c in controls]
    return found if len(controls) > 1 else {name: value for name, (value,) in found.items()}
