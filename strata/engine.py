"""The engine: settings in, events and pictures out. Prints nothing, writes nothing, can be cancelled.

    job = prepare(DrawSettings(seed=1), source)      # everything that can be checked without weights
    with Engine.open(job) as engine:                 # loads the model
        for event in engine.draw(job):               # Started, Step, Step, …, Picture
            ...

Engines share nothing; several can be open in one process. (The number of threads that torch uses on a CPU belongs to
the process: pictures that two engines draw at the same time on a CPU may round differently from their records.)
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from strata.control_nets import ControlNets
from strata.controls import control_options, recorded_controls
from strata.hierarchy.errors import InputError, SettingError
from strata.injection.families import facts_of, family_of
from strata.injection.program import Program
from strata.injection.streams import TextOverride
from strata.job import Job
from strata.layers.routing import Routing
from strata.layers.schedule import Schedule
from strata.loading import load_pipeline
from strata.passes import Drawn, Passes
from strata.pipelines import call_plain, decoded, memory_told, of_the_same_parts, sized_for
from strata.record import Record, RunSettings
from strata.source import decode_picture
from strata.stepwise import stepwise
from strata.together import check_together

if TYPE_CHECKING:
    from PIL import Image

    from strata.injection.calling import PipelineCall
    from strata.injection.pipeline import RegionalPipeline

IMAGE_STRENGTH = 0.6


@dataclass(frozen=True)
class Started:
    """The job fits the model, and drawing begins. `settings` has all defaults filled in and the first seed."""

    settings: RunSettings
    schedule: Schedule | None
    """The routing as it is applied; None where it has no part in the picture."""
    lost: tuple[str, ...]
    """What of the plan the method leaves out or tells otherwise, a line each."""


@dataclass(frozen=True)
class Step:
    """Step `number` of `total` of the picture with this index is done."""

    index: int
    number: int
    total: int
    preview: Callable[[], "Image.Image"]
    """Decodes the latents of this step. Call it before asking for the next event: the run waits meanwhile."""


@dataclass(frozen=True)
class Picture:
    """A finished picture."""

    index: int
    image: "Image.Image"
    seed: int
    seconds: float
    record: Record
    """Draws it again, beside the job's plan, routing and files."""
    apart: int | None = None
    """Grey levels that the picture which was to be repainted differs from itself, drawn again, at most: 0 where it was
    drawn on such a machine with the same versions. None where it was not repainted now."""
    drawn: Drawn | None = None
    """What repaints of it go on from, where that is kept."""


Event = Started | Step | Picture


class Engine:
    """A loaded model that draws jobs, one at a time.

    Args:
        pipe: a loaded pipeline of a known family, on the job's device.
        job: names its model, device and data type.
    """

    def __init__(self, pipe: Any, job: Job) -> None:
        self.pipe = pipe
        self._loaded, self._family = type(pipe).__name__, family_of(pipe.transformer)
        self._model, self._device, self._dtype, self._offload = job.model, job.device, job.dtype, job.given.offload
        self._regional: tuple[tuple[Routing, str | None], RegionalPipeline] | None = None
        self._controlnets = ControlNets(self._family, job.dtype, job.device)
        self._cancel = threading.Event()
        self._drawing = False

    @classmethod
    def load(cls, job: Job) -> Self:
        """Loads the model of a job, which may serve others too; whether the job fits it is left to `check` and `draw`.

        Raises:
            StrataError: the model cannot be had or read, or there is too little memory.
        """
        with memory_told():
            return cls(load_pipeline(job.model, job.dtype, job.device, job.given.offload), job)

    @classmethod
    def open(cls, job: Job) -> Self:
        """Loads the model of a job and checks the job with it. Raises `StrataError` as `load` and `check` do."""
        engine = cls.load(job)
        engine.check(job)
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends what is being drawn after the current step, and lets go of the model."""
        self._cancel.set()
        self.pipe = self._regional = None
        self._controlnets.release()

    def cancel(self) -> None:
        """Ends what is being drawn after the current step, from any thread; `draw` then ends without a picture."""
        self._cancel.set()

    def check(self, job: Job) -> None:
        """Raises `StrataError` for what can be known about a job only of the loaded pipeline."""
        self._ready(job)

    def settings(self, job: Job) -> RunSettings:
        """What a job uses on this model, defaults filled in."""
        import torch

        self._choose_pipeline(job)
        kind, takes = type(self.pipe).__name__, self._takes(job)
        given, settings = job.given, job.settings
        guidance, strength = settings.guidance, settings.image_strength
        default = facts_of(self.pipe).guidance
        guided = default is not None and "guidance_scale" in takes
        if not guided and given.guidance is not None:
            message = f"model {job.model.name} has no guidance and would ignore it; leave it out"
            raise SettingError(f"<guidance> {given.guidance:g}: {message}")
        if guided and guidance is None:
            guidance = default
        if "strength" in takes:
            strength = IMAGE_STRENGTH if strength is None else strength
            if int(job.steps * strength) < 1:
                raise SettingError(
                    f"<image_strength> {strength:g}: leaves none of {job.steps} steps; raise one of them"
                )
        elif given.image_strength is not None:
            raise SettingError(f"<image_strength> {given.image_strength:g}: {kind} takes none; leave it out")
        true_cfg = settings.true_cfg if job.plan.negative_prompt is not None else None
        if true_cfg is not None and "true_cfg_scale" not in takes:
            raise job.plan.error(("negative_prompt",), f"{kind} takes no negative prompt")
        threads = job.threads or 0
        return RunSettings(
            model=job.model.name,
            seed=job.seed,
            steps=job.steps,
            guidance=guidance if guided else None,
            true_cfg=true_cfg,
            image_strength=strength if "strength" in takes else None,
            method=settings.method,
            lora=settings.lora or (),
            **recorded_controls(job.controls),
            device=self._device,
            dtype=self._dtype,
            threads=threads if 1 <= threads <= (os.cpu_count() or 1) else torch.get_num_threads(),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the pipeline's call takes without a picture, with defaults."""
        return self._call.defaults({})

    @property
    def _call(self) -> "PipelineCall":
        from strata.injection.calling import call_of

        return call_of(self.pipe)

    def _takes(self, job: Job) -> Mapping[str, Any]:
        """What it takes with the job's pictures."""
        pictures = {"image": job.image, "mask_image": job.mask_image}
        return self._call.defaults({name: value for name, value in pictures.items() if value is not None})

    def target(self, job: Job) -> Any:
        """What draws the job: a `RegionalPipeline`, or for a plain job the stock pipeline. Observers attach to it."""
        from strata.injection.pipeline import RegionalPipeline

        self._choose_pipeline(job)
        if job.plain:
            return self.pipe
        if self._regional is None or self._regional[0] != job.drawn_as or self._regional[1].pipe is not self.pipe:
            self._regional = job.drawn_as, RegionalPipeline(self.pipe, *job.drawn_as, job.model.form)
        return self._regional[1]

    def draw(
        self,
        job: Job,
        count: int = 1,
        *,
        indices: Sequence[int] | None = None,
        keep: bool = False,
        after: Drawn | None = None,
    ) -> Iterator[Event]:
        """Draws `count` pictures of a job, of the seeds SEED, SEED+1, …; where `indices` are given, only these of them.

        With `keep`, pictures are `drawn` so that repaints go on from them: `after` that, these alone are drawn. The run
        has a thread of its own, and goes on only while the caller waits for the next event. A caller that stops
        iterating ends it after the current step, as `cancel` does.

        Yields:
            `Started`, then for every picture a `Step` after each denoising step and the `Picture`.

        Raises:
            StrataError: the job does not fit the model, or there is too little memory.
        """
        self._check_free(job)
        self._cancel.clear()
        return self._draw(job, range(count) if indices is None else indices, keep, after)

    def draw_together(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Draws a picture of each of several jobs in one call of the pipeline.

        Each is what it is alone, but for rounding (a grey level or two), and its record draws it alone.

        Args:
            jobs: at least one, all of which `strata.together.shared` tells the same of, and not None.

        Yields:
            A `Step` after each denoising step, of all (its preview is the first job's), then a `Picture` for each job,
            with its place among them as index. The seconds of the call are divided among them.

        Raises:
            StrataError: a job does not fit the model, they cannot be drawn together, or there is too little memory.
        """
        self._check_free(jobs[0])
        self._cancel.clear()
        return self._draw_together(jobs)

    def _draw_together(self, jobs: Sequence[Job]) -> Iterator[Event]:
        first = jobs[0]
        self._check_free(first)
        check_together(jobs)
        ready = [self._ready(job) for job in jobs]
        self._drawing = True
        try:
            begin, (settings, _, call) = time.perf_counter(), ready[0]
            passes = Passes(first, self._family, facts_of(self.pipe).token_size)
            plans, seeds = [job.plans[-1] for job in jobs], [job.seed for job in jobs]
            with memory_told():
                images = yield from self._steps(partial(call, plans, seed=seeds), 0, settings, passes)
            seconds = (time.perf_counter() - begin) / len(jobs)
            for index, (job, (own, *_), image) in enumerate(zip(jobs, ready, images, strict=bool(images))):
                record = job.record(own, self.target(job).lost(job.plan))
                yield Picture(index, image, own.seed, seconds, record)
        finally:
            self._drawing = False

    def _check_free(self, job: Job) -> None:
        if self._drawing:
            raise InputError(f"job {job.name}: the engine is drawing another one; let that end, or open another engine")

    def _draw(self, job: Job, indices: Sequence[int], keep: bool, after: Drawn | None) -> Iterator[Event]:
        self._check_free(job)
        settings, program, call = self._ready(job)
        self._drawing = True
        try:
            lost = () if program is None else self.target(job).lost(job.plan)
            loras = nullcontext() if program is None else self.target(job).keeping_loras()
            yield Started(settings, None if program is None or job.unrouted else program.schedule, lost)
            with loras:
                for index in indices:
                    if self._cancel.is_set():
                        return
                    own = settings.model_copy(update={"seed": settings.seed + index})
                    begin = time.perf_counter()
                    passes = Passes(job, self._family, facts_of(self.pipe).token_size, own.seed, after=after, keep=keep)
                    with memory_told():
                        image = yield from self._passes(call, index, own, passes)
                    if image is None:
                        return
                    told = own.seed, time.perf_counter() - begin, job.record(own, lost), passes.apart, passes.drawn
                    yield Picture(index, image, *told)
        finally:
            self._drawing = False

    def _ready(self, job: Job) -> tuple[RunSettings, Program | None, Callable[..., Any]]:
        """A job's settings, its program, and the call that draws a plan of its, with a seed; all of them checked."""
        if self.pipe is None:
            raise InputError(f"job {job.name}: the engine is closed; open another")
        if (job.model, job.device, job.dtype) != (self._model, self._device, self._dtype):
            where = f"model {job.model.name} on {job.device} in {job.dtype}"
            raise InputError(f"job {job.name}: is for {where}, not for what is loaded")
        settings, target = self.settings(job), self.target(job)
        options = self._options(job, settings)
        if job.plain:
            return settings, None, partial(call_plain, target, **options)
        overrides = [TextOverride(s.area, s.level, s.text, s.steps.select(job.steps)[:, None]) for s in job.swaps]
        *_, program = [target.compile(plan, overrides=overrides, **options) for plan in job.plans]
        return settings, program, partial(target, overrides=overrides, **options)

    def _passes(
        self, call: Callable[..., Any], index: int, settings: RunSettings, passes: Passes
    ) -> Generator[Step, None, Any]:
        """Draws a picture, pass by pass; returns it, or None where cancelled."""
        image = None
        for plan in passes.plans:
            drawing = partial(call, plan, seed=settings.seed, **passes.begin())
            with passes.routed(self.target(passes.job)):
                images = yield from self._steps(drawing, index, settings, passes)
            if not images:
                return None
            image = passes.end(images[0])
        return image

    def _steps(
        self, call: Callable[..., Any], index: int, settings: RunSettings, passes: Passes
    ) -> Generator[Step, None, list[Any]]:
        """Calls the pipeline; returns its pictures, none where cancelled."""

        def after(number: int, total: int, latents: Any) -> tuple[Step, Any]:
            latents = passes.step(latents)
            preview = partial(decoded, self.pipe, self._family, latents, *passes.size)
            return Step(index, *passes.place(number, total), preview), latents if passes.watched else None

        noise = passes.noise if passes.watched else None
        return (yield from stepwise(self._call, call, settings, self._cancel, after, noise))

    def _choose_pipeline(self, job: Job) -> None:
        """Makes `pipe` the pipeline that takes the job's input pictures, of the same parts.

        Raises:
            SettingError: the pipeline takes no such picture, or needs one that is not given.
        """
        by_text, by_image, inpainting = self._family.with_picture
        parts = self._controlnets.components(job.controls, self._loaded, self.pipe.transformer)
        if self._loaded == by_text:
            wanted = self._family.with_control[0] if job.controls else by_text
            if job.image is not None:
                wanted = by_image if job.mask_image is None else inpainting
            held = getattr(self.pipe, "controlnet", None)
            if type(self.pipe).__name__ != wanted or held is not parts.get("controlnet"):
                if self._offload:
                    self.pipe.remove_all_hooks()
                self.pipe = of_the_same_parts(self.pipe, wanted, parts)
                self.pipe.set_progress_bar_config(disable=True)
                if self._offload:
                    self.pipe.enable_model_cpu_offload(device=self._device)
            return
        kind, takes = self._loaded, self._takes(job)
        if "image" in takes and "control_image" in takes:
            raise InputError(f"model {job.model.name}: {kind} takes two input pictures; use it from Python")
        needs = {"image": "image" in takes or "control_image" in takes, "mask_image": "mask_image" in takes}
        for field, name in (("image", job.image), ("mask_image", job.mask_image)):
            if needs[field] and name is None and not (field == "image" and kind in self._family.optional_picture):
                raise SettingError(f"model {job.model.name}: {kind} draws from a picture; give one with <{field}>")
            if name is not None and not needs[field]:
                raise SettingError(f"<{field}>: {kind} of model {job.model.name} takes no such picture; leave it out")

    def _options(self, job: Job, settings: RunSettings) -> dict[str, Any]:
        """The settings as the pipeline's own call names them."""
        takes = self._takes(job)
        options: dict[str, Any] = {"num_inference_steps": settings.steps}
        if settings.guidance is not None:
            options["guidance_scale"] = settings.guidance
        elif "guidance_scale" in takes and takes["guidance_scale"] is not None:
            options["guidance_scale"] = facts_of(self.pipe).unguided  # of more, pipelines warn that they ignore it
        if settings.true_cfg is not None:
            options["true_cfg_scale"] = settings.true_cfg
        if settings.image_strength is not None:
            options["strength"] = settings.image_strength
        if job.image is not None:
            name = "image" if "image" in takes else "control_image"
            picture = decode_picture(job.files[job.image], job.image, "RGB")
            options[name] = sized_for(self.pipe, self._family, picture, job.plan)
        if job.mask_image is not None:
            options["mask_image"] = decode_picture(job.files[job.mask_image], job.mask_image, "L")
        options |= control_options(job.controls, job.files, job.steps, job.plain)
        if "max_area" in takes:  # else Kontext picks a size of its own
            options["max_area"] = job.plan.width * job.plan.height
        return options
