"""What is to be drawn: settings and a source, read, completed and checked as far as that needs no weights."""

import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from strata.controls import Control, check_areas, controls_of, resized_notes
from strata.hierarchy.agreement import disagreeing
from strata.hierarchy.composing import composed_prompt
from strata.hierarchy.errors import InputError, SettingError, printable, quote, shortened
from strata.hierarchy.files import read_bytes
from strata.hierarchy.plan import Level, ScenePlan
from strata.injection.program import compile_program
from strata.layers.ranges import Mask
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.loading import ModelSource, check_offload, choose_device, choose_dtype, locate_for, slow_dtype
from strata.lora_search import found_again
from strata.loras import checked_loras, in_full, lora_notes_of, with_given
from strata.methods import drawn_in_place, method_of, routing_for
from strata.record import Record, Repaint, RunSettings, TextSwap, now, plans_before, versions
from strata.settings import LARGEST_SEED, DrawSettings, read_settings
from strata.source import Source, check_attachments, decode_picture, portable, safe_name

if TYPE_CHECKING:
    from PIL import Image

    from strata.injection.methods import Method

logger = logging.getLogger(__name__)
LONGEST_HEARD = 600
"""Characters of a base prompt that is told."""


@dataclass(frozen=True)
class Job:
    """A drawing that is ready to go; nothing is loaded yet. `prepare` makes one."""

    name: str
    given: DrawSettings
    """As asked for."""
    settings: DrawSettings
    """`given`, completed from the record of the source picture; None where the loaded pipeline decides."""
    model: ModelSource
    seed: int
    steps: int
    device: str
    dtype: str
    threads: int | None
    """Of torch when the source picture was drawn."""
    plan: ScenePlan
    """For drawing: its errors name the user's file."""
    drawn: ScenePlan
    """What the method draws in the plan's place, as far as that is known before the model is loaded: else the plan."""
    kept_plan: ScenePlan
    """The same plan as a run keeps it: mask files renamed."""
    files: Mapping[str, bytes]
    """What a run keeps beside the plan: mask files and input pictures, by name."""
    routing: Routing
    swaps: tuple[TextSwap, ...]
    lora_hashes: Mapping[str, str]
    """SHA-256 of every LoRA file, by the name that settings and plan have it by."""
    repaints: tuple[Repaint, ...]
    """Mask files named as the run keeps them."""
    before: tuple[ScenePlan, ...]
    """The plan before each of the repaints, for drawing."""
    picture: "Image.Image | None"
    """The picture that the last of the repaints changes; None: as it is drawn again."""
    image: str | None
    """The input picture, by its name among the files."""
    mask_image: str | None
    controls: tuple[Control, ...]
    method: "Method | None"
    """None: as the routing asks for."""
    plain: bool
    """Drawn by the stock pipeline, without routing."""
    command: str
    notes: tuple[str, ...]
    """What the user should know, such as that the source picture was drawn by other versions."""

    @property
    def control(self) -> tuple[str, ...]:
        """The control pictures, by their names among the files."""
        return tuple(control.picture for control in self.controls)

    @property
    def unrouted(self) -> bool:
        """Whether the routing has no part in the picture."""
        return self.plain or (self.method is not None and self.method.unrouted)

    @property
    def plans(self) -> tuple[ScenePlan, ...]:
        """What is drawn, pass by pass: the plans before, and the plan, with the LoRAs of the settings."""
        return tuple(with_given(plan, self.settings.lora) for plan in (*self.before, self.plan))

    @property
    def drawn_as(self) -> tuple[Routing, str | None]:
        """Routing and method of the `RegionalPipeline` that draws it."""
        name = None if self.method is None else self.method.name
        return (Routing.load(DEFAULT_ROUTING) if self.unrouted else self.routing), name

    @property
    def drawn_by(self) -> str:
        """What draws, in words: "routing NAME", "method NAME", or both; "plain" for neither."""
        routing = [] if self.unrouted else [f"routing {self.routing.name}"]
        return ", ".join([*routing, *([f"method {self.method.name}"] if self.method is not None else [])]) or "plain"

    @property
    def composes(self) -> bool:
        """Whether a base prompt that does not tell of the regions as they are is heard otherwise."""
        return not self.unrouted and self.routing.blend.base_prompt == "composed"

    @cached_property
    def base_prompt(self) -> str | None:
        """What is heard in the base prompt's place, where that does not tell of the regions as they are; else None."""
        if not self.composes:
            return None
        first = (swap for swap in self.swaps if swap.steps.select(self.steps)[0])
        heard = composed_prompt(self.drawn, {(swap.area, swap.level): swap.text for swap in first if swap.text})
        return None if heard == self.drawn.prompt else heard

    @cached_property
    def composed(self) -> tuple[str, ...]:
        """A line on that."""
        if (heard := self.base_prompt) is None:
            return ()
        untold = f"the base prompt does not name, or puts elsewhere: {', '.join(disagreeing(self.drawn))}"
        return (f"{untold}; heard in its place: “{shortened(printable(' '.join(heard.split())), LONGEST_HEARD)}”",)

    def heard(self, level: Level, area: str) -> Mask:
        """bool `[steps]`: when an area's text of a level is visible, as far as that is known before loading.

        A full text stands in for high and low where the routing knows only those.

        Raises:
            InputError: it is visible nowhere.
            SettingError: the routing hears no such texts at all.
        """
        facts, name = self.model.facts_or_flux, self.routing.name
        schedule = self.routing.balanced_for(self.plan).resolve(*facts.block_counts, self.steps)
        levels: tuple[Level, ...] = (level,)
        if {text.level for text in self.plan.descriptions() if text.area == area} == {"full"} == {level}:
            levels = (level,) if level in schedule.levels else ("high", "low")
        if not set(levels) & set(schedule.levels):
            used = ", ".join(schedule.levels)
            raise SettingError(
                f"routing {quote(name)}: hears no {level} texts ({used} only); choose another with <routing>"
            )
        active: Mask = np.max([schedule.strength(one, area).max(axis=1) for one in levels], axis=0) > 0
        if not active.any():
            raise InputError(f"{level} text of {quote(area)}: the routing {quote(name)} makes it visible nowhere")
        return active

    def record(self, settings: RunSettings, lost: tuple[str, ...] = ()) -> Record:
        """The record of a picture that was drawn with `settings`, and without what the method `lost` of the plan."""
        return Record(
            name=self.name,
            settings=settings,
            image=self.image,
            mask_image=self.mask_image,
            control=self.control,
            swaps=self.swaps,
            lora_hashes=dict(self.lora_hashes),
            repaints=self.repaints,
            base_prompt=self.base_prompt,
            lost=lost,
            command=self.command,
            created=now(),
            versions=versions(),
        )


def notes_of(jobs: Iterable[Job]) -> tuple[str, ...]:
    """What the user should know of several jobs before they are drawn; of several composed prompts, how many."""
    jobs = list(jobs)
    notes = tuple(dict.fromkeys(text for job in jobs for text in job.notes))
    prompts = {(job.drawn.prompt, job.base_prompt): job for job in jobs if job.composes}
    composed = [job for (_, heard), job in prompts.items() if heard is not None]
    if len(composed) < 2:
        return (*notes, *(text for job in composed for text in job.composed))
    untold = f"{len(composed)} of {len(prompts)} base prompts do not tell of their regions as they are"
    return (*notes, f"{untold}; the record of a picture has what is heard in its place")


def prepare(
    given: DrawSettings, source: Source, *, command: str = "", plain: bool = False, planned: bool = True
) -> Job:
    """Completes and checks everything about a drawing that needs no weights.

    Args:
        given: the settings; what is None there is taken from the source's record, else from the defaults.
        source: what is drawn, as `open_source` reads it, or a plan in memory.
        command: what the record gives as the command of the run.
        plain: draw the prompt with the stock pipeline, without routing.
        planned: False while the plan stands in for one that is still to be made, and has no regions yet.

    Raises:
        SettingError: a setting that cannot be used; names it.
        InputError: a file that cannot be used; names it, with line and field.
    """
    source = found_again(source, given)
    record, plan = source.record, source.plan
    recorded = record.settings if record is not None else None
    _check_repainted(given, source)
    if given.width is not None or given.height is not None:
        plan = plan.resized(given.width or plan.width, given.height or plan.height)
    before = plans_before(plan, source.repaints)
    (kept_plan, *kept_before), files = portable([plan, *before])
    image, mask_image = (_input_picture(name, given, source, files) for name in ("image", "mask_image"))
    if mask_image is not None and image is None:
        raise SettingError(f"<mask_image> {given.mask_image}: needs <image> too")
    if given.image_strength is not None and image is None:
        raise SettingError(f"<image_strength> {given.image_strength:g}: needs <image> too")
    settings = _completed(given, recorded)
    model = locate_for(given.model, recorded.model if recorded is not None else None)
    for name in filter(None, (image, mask_image)):
        decode_picture(files[name], name, "RGB")
    steps = settings.steps or model.default_steps
    controls = controls_of(given, source, files, model, plan, steps)
    check_attachments(files)
    if source.swaps and image is not None:
        raise SettingError(f"{image}: texts that change at a step (<from_step>) do not go with an input picture")
    check_canvas(model, plan, [name for name in ("width", "height") if getattr(given, name) is not None])
    _check_negative_prompt(plan, settings, given, model)
    method = method_of(given, settings, source, model)
    routing = routing_for(given, source, method)
    plans = [plan, *before]
    if method is not None and planned:
        plans = [drawn_in_place(method, each, model) for each in plans]
    if planned:
        _check_known(model, plans[0], given.strict)
    if model.facts is not None and image is None and not plain:
        used = Routing.load(DEFAULT_ROUTING) if method is not None and method.unrouted else routing
        if planned:
            for each in plans:
                program = compile_program(each, used, model.facts, steps)
                if method is not None:
                    method.check_program(program)
        else:
            used.resolve(*model.facts.block_counts, steps)
    if planned:
        check_areas(controls, plan, model, plain)
    hashes = checked_loras((plan, *before), settings.lora, model, method, routing, steps, record)
    if hashes and plain:
        raise InputError(f"{next(iter(hashes))}: the prompt alone is drawn without LoRAs")
    settings = settings.model_copy(update={"lora": settings.lora and tuple(map(in_full, settings.lora))})
    device, notes = _device(given, recorded)
    check_offload(given.offload, device)
    dtype = choose_dtype(settings.dtype or model.default_dtype, device)
    notes += tuple(filter(None, [slow_dtype(dtype, device)]))
    notes += resized_notes(controls, files, plan, given.control)
    if planned and not plain and not (method is not None and method.unrouted):
        notes += lora_notes_of((plan, *before), settings.lora, routing)
    if record is not None:
        notes += _other_versions(record.versions)
    return Job(
        name=source.name,
        given=given,
        settings=settings,
        model=model,
        seed=secrets.randbits(32) if settings.seed is None else settings.seed,
        steps=steps,
        device=device,
        dtype=dtype,
        plan=plan,
        drawn=plans[0],
        kept_plan=kept_plan,
        files=files,
        routing=routing,
        method=method,
        plain=plain,
        image=image,
        mask_image=mask_image,
        controls=controls,
        swaps=source.swaps,
        lora_hashes=hashes,
        repaints=tuple(map(_kept, source.repaints, kept_before)),
        before=before,
        picture=source.picture if record is not None and len(source.repaints) > len(record.repaints) else None,
        threads=recorded.threads if recorded is not None else None,
        notes=notes,
        command=command,
    )


def check_seeds(job: Job, count: int) -> None:
    """Raises `SettingError` where the last of so many pictures would have too large a seed."""
    if job.seed + count - 1 > LARGEST_SEED:
        raise SettingError(
            f"<seed> {job.seed}: {count} pictures need seeds up to {job.seed + count - 1}, but the largest is"
            f" {LARGEST_SEED}; choose a smaller <seed> or <count>"
        )


def check_drawn_as_planned(job: Job, source: str) -> None:
    """Raises `InputError` for a picture that was repainted, or whose method drew something in its plan's place."""
    if job.repaints:
        raise InputError(
            f"{source}: was repainted, and so drawn by several plans; give the last one (plan.yaml of its folder)"
        )
    if job.method is not None and job.drawn != job.plan:
        if job.given.method is not None:
            raise SettingError(f"<method> {job.method.name}: does not draw the plan's texts as they are; leave it out")
        raise InputError(
            f"{source}: was drawn by the method {job.method.name}, which tells the model its plan otherwise; give the"
            " plan itself (plan.yaml of its folder)"
        )


def read_files(job: Job, source: str) -> list[str | Path | None]:
    """The files that a job of a file is made from, as far as they are named."""
    masks = [job.plan.root / region.mask for region in job.plan.regions if region.mask is not None]
    loras = [path for name in job.lora_hashes if (path := job.plan.root / name).is_file()]
    pictures = (job.given.image, job.given.mask_image, *(job.given.control or ()))
    return [source, job.given.routing, *pictures, *masks, *loras]


def check_canvas(model: ModelSource, plan: ScenePlan, sides: Sequence[str] = ("width", "height")) -> None:
    """Raises `SettingError` for sides that are no multiple of the model's token size, where that is known."""
    token = model.facts.token_size if model.facts is not None else None
    for name in sides:
        side = getattr(plan, name)
        if token is not None and side % token:
            raise SettingError(f"<{name}> {side}: must be a multiple of {token} for model {model.name}")


def _completed(given: DrawSettings, recorded: RunSettings | None) -> DrawSettings:
    """The settings that were given, else those of the record, else None; checked, wherever they come from."""
    known = dict(recorded) if recorded is not None else {}
    known = {name: value for name, value in known.items() if not name.startswith("control_")}  # see `controls_of`
    return read_settings(DrawSettings, {name: known.get(name) if value is None else value for name, value in given})


def _input_picture(field: str, given: DrawSettings, source: Source, files: dict[str, bytes]) -> str | None:
    """Puts an input picture, given or recorded, among the files; returns its name there."""
    path: str | None = getattr(given, field)
    if path is None:
        kept: str | None = getattr(source.record, field, None)
        if kept is not None:
            files[kept] = source.files[kept]
        return kept
    suffix = Path(path).suffix
    name = f"inputs/{field}." + (safe_name(suffix.lower()) if suffix else "png")
    files[name] = read_bytes(path)
    return name


def _check_negative_prompt(plan: ScenePlan, settings: DrawSettings, given: DrawSettings, model: ModelSource) -> None:
    if model.facts is not None and model.facts.negative_scale == "guidance_scale":
        if given.true_cfg is not None:
            raise SettingError(f"<true_cfg> {given.true_cfg:g}: model {model.name} has its weight in <guidance>")
        return
    if model.facts is not None and model.facts.negative_scale is None and plan.negative_prompt is not None:
        raise SettingError(str(plan.error(("negative_prompt",), f"model {model.name} takes no negative prompt")))
    scale = settings.true_cfg
    if plan.negative_prompt is not None and (scale is None or scale <= 1):
        message = "takes effect only with <true_cfg> above 1, for example <true_cfg> 4 (which doubles the time)"
        raise SettingError(str(plan.error(("negative_prompt",), message)))
    if plan.negative_prompt is None and given.true_cfg is not None:
        raise SettingError(f"<true_cfg> {given.true_cfg:g}: needs a negative_prompt in the plan")


def _check_known(model: ModelSource, plan: ScenePlan, strict: bool) -> None:
    """Warns of what the model was not trained for. Raises `SettingError` instead where `strict` asks for that."""
    for complaint in model.knowledge.complaints(plan, model.name) if model.knowledge is not None else ():
        if strict:
            raise SettingError(f"{complaint} (<strict>)")
        logger.warning("%s", complaint)


def _check_repainted(given: DrawSettings, source: Source) -> None:
    """Raises `SettingError` for settings that a picture cannot be repainted with."""
    for name in ("image", "mask_image", "control", "width", "height") if source.repaints else ():
        if (value := getattr(given, name)) is not None:
            raise SettingError(
                f"<{name}> {value}: the picture was repainted from its own noise and in its own size; leave it out, or"
                " draw the plan (plan.yaml of its folder)"
            )


def _kept(repaint: Repaint, before: ScenePlan) -> Repaint:
    """A repaint with its mask file as in the plan before, as the run keeps that."""
    region = next(region for region in before.regions if region.name == repaint.region)
    return repaint if repaint.before is None else repaint.model_copy(update={"before": region})


def _device(given: DrawSettings, recorded: RunSettings | None) -> tuple[str, tuple[str, ...]]:
    """The device asked for, else the recorded one if it is here, else the best there is; and a note on that."""
    if given.device is not None or recorded is None:
        return choose_device(given.device or "auto"), ()
    try:
        return choose_device(recorded.device), ()
    except InputError:
        device = choose_device("auto")
        note = f"the picture was drawn on {recorded.device}, which is not here; on {device} it may differ"
        return device, (note,)


def _other_versions(then: Mapping[str, str]) -> tuple[str, ...]:
    here = versions()
    others = [f"{name} {then[name]} (here {here[name]})" for name in here if name in then and then[name] != here[name]]
    return (f"the picture was drawn with {', '.join(others)}; the new one may differ a little",) if others else ()
