"""`strata generate`: from a prompt, a plan or a picture that remembers its run, to pictures that remember theirs."""

import inspect
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strata.console import note
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.layers.drawing import draw_schedule
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.llm.planner import Request as PromptRequest
from strata.loading import (
    MINIATURE,
    ModelSource,
    check_offload,
    choose_device,
    choose_dtype,
    load_pipeline,
    locate,
    place,
    quiet,
)
from strata.planning import PlannerOptions, canvas, check_prompt, is_file, plan_one, print_plan, slug
from strata.run import (
    Record,
    RunFolder,
    Settings,
    Source,
    TextSwap,
    check_attachments,
    decode_picture,
    now,
    open_source,
    picture_bytes,
    picture_name,
    png_bytes,
    portable,
    safe_name,
    versions,
)

if TYPE_CHECKING:
    from PIL import Image

    from strata.injection.pipeline import RegionalPipeline
    from strata.injection.streams import TextOverride

MINIATURE_STEPS = 20
STEPS = 28
GUIDANCE = 3.5
FILL_GUIDANCE = 30.0
IMAGE_STRENGTH = 0.6


@dataclass(frozen=True)
class Request:
    """What the command line asks for; None means: as the picture's record says, else the default."""

    source: str
    command: str
    model: str | None = None
    routing: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    true_cfg: float | None = None
    width: int | None = None
    height: int | None = None
    image: str | None = None
    mask_image: str | None = None
    image_strength: float | None = None
    device: str | None = None
    dtype: str | None = None
    offload: bool = False
    out: str | None = None
    count: int = 1
    force: bool = False
    planner: PlannerOptions = field(default_factory=PlannerOptions)
    """For a prompt alone."""


@dataclass(frozen=True)
class Job:
    """A request whose files have been read and checked; nothing is loaded yet."""

    request: Request
    name: str
    plan: ScenePlan
    """For drawing: its errors name the user's file."""
    kept_plan: ScenePlan
    """The same plan as the run keeps it: mask files renamed."""
    files: Mapping[str, bytes]
    """What the run keeps beside the plan: mask files and input pictures, by name."""
    routing: Routing
    recorded: Settings | None
    model: ModelSource
    image: str | None
    mask_image: str | None
    swaps: tuple[TextSwap, ...] = ()

    def option(self, name: str) -> Any:
        """What the command line says, else the picture's record, else None."""
        given = getattr(self.request, name)
        return getattr(self.recorded, name) if given is None and self.recorded is not None else given

    @property
    def steps(self) -> int:
        """Denoising steps."""
        return self.option("steps") or (MINIATURE_STEPS if self.model.kind == "miniature" else STEPS)

    def picture(self, name: str, mode: Any) -> "Image.Image":
        """An input picture by its name among the files."""
        return decode_picture(self.files[name], name, mode)


def generate(request: Request) -> None:
    """Draws what is asked for, writes the run's folder and prints a summary.

    Raises:
        StrataError: anything about the request cannot be used.
    """
    if not is_file(request.source):
        _generate_from_prompt(request)
        return
    if given := request.planner.given():
        raise InputError(f"{', '.join(given)}: for prompts; {request.source} is planned already")
    with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        source = open_source(request.source, Path(scratch))
        job = prepare(request, source)
        if source.record is not None:
            _note_versions(source.record.versions)
        folder = RunFolder.claim(request.out, job.name, request.count, request.force)
        try:
            _draw(job, folder)
        except BaseException:
            folder.abandon()
            raise


def _generate_from_prompt(request: Request) -> None:
    """Plans a prompt and draws the plan. All that can be checked without the plan is checked before."""
    check_prompt(request.source)
    options, name = request.planner, slug(request.source)
    draft, instructions = options.read()
    width, height = canvas(request.model or MINIATURE, draft, request.width, request.height)
    asked = PromptRequest(request.source, width, height, draft, options.regions, options.style)
    negative_prompt = draft.negative_prompt if draft is not None else None
    stand_in = ScenePlan(width=width, height=height, prompt="", negative_prompt=negative_prompt)
    job = prepare(request, Source(name, stand_in), planned=False)
    _check_canvas(job)
    check_offload(request.offload, _device(job))
    folder = RunFolder.claim(request.out, name, request.count, request.force)
    try:
        plan = plan_one(options, instructions, asked)
        print_plan(plan)
        print()
        _draw(prepare(request, Source(name, plan)), folder)
    except BaseException:
        folder.abandon()
        raise


# Before the model is loaded -------------------------------------------------------------------------------------------


def prepare(request: Request, source: Source, planned: bool = True) -> Job:
    """Reads and checks everything that the request names; `planned` is False while the plan has no regions yet."""
    recorded = source.record.settings if source.record is not None else None
    plan = source.plan
    if request.width is not None or request.height is not None:
        plan = plan.resized(request.width or plan.width, request.height or plan.height)
    kept_plan, files = portable(plan)
    if request.routing is not None:
        routing = Routing.load(request.routing)
    elif source.routing is not None:
        routing = source.routing
    else:
        routing = Routing.load(DEFAULT_ROUTING)
    image = _input(request.image, source, source.record.image if source.record else None, "inputs/image", files)
    mask_image = _input(
        *(request.mask_image, source, source.record.mask_image if source.record else None, "inputs/mask_image", files)
    )
    if mask_image is not None and image is None:
        raise InputError(f"--mask-image {request.mask_image}: needs --image too")
    model = locate(request.model or (recorded.model if recorded else MINIATURE))
    swaps = source.record.swaps if source.record is not None else ()
    job = Job(request, source.name, plan, kept_plan, files, routing, recorded, model, image, mask_image, swaps)
    for name, mode in ((image, "RGB"), (mask_image, "L")):
        if name is not None:
            job.picture(name, mode)
    check_attachments(files)
    check_swaps(job)
    _check_negative_prompt(job)
    if image is None and (counts := model.block_counts()) is not None:
        schedule = (routing.balanced_for(plan) if planned else routing).resolve(*counts, job.steps)
        if planned:
            schedule.check_areas(region.name for region in plan.regions)
    return job


def _check_canvas(job: Job) -> None:
    token = job.model.token_size()
    for name in ("width", "height"):
        side = getattr(job.plan, name)
        if token is not None and side % token:
            raise InputError(f"--{name} {side}: must be a multiple of {token} for model {job.model.name}")


def _input(path: str | None, source: Source, kept: str | None, name: str, files: dict[str, bytes]) -> str | None:
    """Puts an input picture, given or remembered, among the files; returns its name there."""
    if path is None:
        if kept is not None:
            files[kept] = source.files[kept]
        return kept
    name += "." + (safe_name(Path(path).suffix.lower()) if Path(path).suffix else "png")
    try:
        files[name] = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path}: cannot be read: {reason}") from error
    return name


def _check_negative_prompt(job: Job) -> None:
    scale = job.option("true_cfg")
    if job.plan.negative_prompt is not None and (scale is None or scale <= 1):
        message = "is heard only with --true-cfg above 1, for example --true-cfg 4 (which doubles the time)"
        raise job.plan.error(("negative_prompt",), message)
    if job.plan.negative_prompt is None and job.request.true_cfg is not None:
        raise InputError(f"--true-cfg {job.request.true_cfg:g}: needs a negative_prompt in the plan")


def check_swaps(job: Job) -> None:
    """Raises `InputError` where texts change in the course of a run that starts in the middle."""
    if job.swaps and job.image is not None:
        raise InputError(f"{job.image}: texts that change at a step (--from-step) do not go with an input picture")


def _note_versions(then: Mapping[str, str]) -> None:
    here = versions()
    others = [f"{name} {then[name]} (here {here[name]})" for name in here if name in then and then[name] != here[name]]
    if others:
        note(f"the picture was drawn with {', '.join(others)}; the new one may differ a little")


# Drawing --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """A loaded pipeline, and what it is called with."""

    regional: "RegionalPipeline"
    settings: Settings
    options: Mapping[str, Any]

    def swaps(self, job: Job) -> "list[TextOverride]":
        """The job's changes of texts, at the steps of this run."""
        from strata.injection.streams import TextOverride

        return [TextOverride(s.area, s.level, s.text, s.steps.select(self.settings.steps)[:, None]) for s in job.swaps]

    def check(self, job: Job) -> None:
        """Raises `StrataError` for what can be known only of a loaded pipeline."""
        self.regional.check(job.plan, overrides=self.swaps(job), **self.options)


def _draw(job: Job, folder: RunFolder) -> None:
    with ready(job) as drawer:
        draw_all(job, folder, drawer)


@contextmanager
def ready(job: Job) -> Iterator[Ready]:
    """Loads the model and checks the job with it; draws within, with the recorded number of threads."""
    import torch

    device = _device(job)
    dtype = choose_dtype(job.option("dtype") or ("float32" if job.model.kind == "miniature" else "auto"), device)
    with quiet():
        from strata.injection.pipeline import RegionalPipeline

        pipe = _with_input(load_pipeline(job.model, dtype), job)
        place(pipe, device, job.request.offload)
        pipe.set_progress_bar_config(disable=not sys.stderr.isatty(), leave=False)
        regional = RegionalPipeline(pipe, job.routing)
        settings = _settings(job, pipe, device, dtype)
        options = _options(job, pipe, settings)
        drawer = Ready(regional, settings, options)
        drawer.check(job)
        with _threads(settings), _out_of_memory(torch):
            yield drawer


def _device(job: Job) -> str:
    """The device asked for, else the recorded one if it is here, else the best there is."""
    if job.request.device is None and job.recorded is not None:
        try:
            return choose_device(job.recorded.device)
        except InputError:
            device = choose_device("auto")
            note(f"the picture was drawn on {job.recorded.device}, which is not here; on {device} it may differ")
            return device
    return choose_device(job.request.device or "auto")


def _with_input(pipe: Any, job: Job) -> Any:
    """The pipeline that takes the input pictures given, made of the same parts.

    Raises:
        InputError: the pipeline takes no such picture, or needs one that is not given.
    """
    kind = type(pipe).__name__
    if kind == "FluxPipeline" and job.image is not None:
        from diffusers import FluxImg2ImgPipeline, FluxInpaintPipeline

        return (FluxImg2ImgPipeline if job.mask_image is None else FluxInpaintPipeline)(**pipe.components)
    takes = _parameters(pipe)
    if "image" in takes and "control_image" in takes:
        raise InputError(f"model {job.model.name}: {kind} takes two input pictures; use it from Python")
    needs = {"--image": "image" in takes or "control_image" in takes, "--mask-image": "mask_image" in takes}
    for flag, name in (("--image", job.image), ("--mask-image", job.mask_image)):
        if needs[flag] and name is None and not (kind == "FluxKontextPipeline" and flag == "--image"):
            raise InputError(f"model {job.model.name}: {kind} draws from a picture; give one with {flag}")
        if name is not None and not needs[flag]:
            raise InputError(f"{flag}: {kind} of model {job.model.name} takes no such picture; leave it out")
    return pipe


def _parameters(pipe: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(pipe.__call__).parameters


def _settings(job: Job, pipe: Any, device: str, dtype: str) -> Settings:
    """What the run uses, defaults filled in."""
    import torch

    kind, takes = type(pipe).__name__, _parameters(pipe)
    guided = bool(pipe.transformer.config.guidance_embeds) and "guidance_scale" in takes
    guidance = job.option("guidance")
    if not guided and job.request.guidance is not None:
        message = f"model {job.model.name} has no guidance and would ignore it; leave it out"
        raise InputError(f"--guidance {job.request.guidance:g}: {message}")
    if guided and guidance is None:
        guidance = FILL_GUIDANCE if kind == "FluxFillPipeline" else GUIDANCE
    strength = job.option("image_strength")
    if "strength" in takes:
        strength = IMAGE_STRENGTH if strength is None else strength
        if int(job.steps * strength) < 1:
            raise InputError(f"--image-strength {strength:g}: leaves none of {job.steps} steps; raise one of them")
    elif job.request.image_strength is not None:
        message = "needs --image too" if kind == "FluxPipeline" else f"{kind} takes none; leave it out"
        raise InputError(f"--image-strength {job.request.image_strength:g}: {message}")
    true_cfg = job.option("true_cfg") if job.plan.negative_prompt is not None else None
    if true_cfg is not None and "true_cfg_scale" not in takes:
        raise job.plan.error(("negative_prompt",), f"{kind} takes no negative prompt")
    seed = job.option("seed")
    threads = job.recorded.threads if job.recorded is not None else torch.get_num_threads()
    return Settings(
        model=job.model.name,
        seed=secrets.randbits(32) if seed is None else seed,
        steps=job.steps,
        guidance=guidance if guided else None,
        true_cfg=true_cfg,
        image_strength=strength if "strength" in takes else None,
        device=device,
        dtype=dtype,
        threads=threads if 1 <= threads <= (os.cpu_count() or 1) else torch.get_num_threads(),
    )


def _options(job: Job, pipe: Any, settings: Settings) -> dict[str, Any]:
    """The settings as the pipeline's own call names them."""
    takes = _parameters(pipe)
    options: dict[str, Any] = {"num_inference_steps": settings.steps}
    if settings.guidance is not None:
        options["guidance_scale"] = settings.guidance
    if settings.true_cfg is not None:
        options["true_cfg_scale"] = settings.true_cfg
    if settings.image_strength is not None:
        options["strength"] = settings.image_strength
    if job.image is not None:
        options["image" if "image" in takes else "control_image"] = job.picture(job.image, "RGB")
    if job.mask_image is not None:
        options["mask_image"] = job.picture(job.mask_image, "L")
    if "max_area" in takes:  # else Kontext picks a size of its own
        options["max_area"] = job.plan.width * job.plan.height
    return options


def draw_all(job: Job, folder: RunFolder, drawer: Ready) -> None:
    """Draws the pictures one by one, each from its own seed, and writes each as soon as it is there."""
    regional, settings, swaps = drawer.regional, drawer.settings, drawer.swaps(job)
    schedule = regional.schedule(_steps_run(settings), job.plan)
    images: list[dict[str, Any]] = []

    def record(seed: int) -> Record:
        return Record(
            name=job.name,
            settings=settings.model_copy(update={"seed": seed}),
            image=job.image,
            mask_image=job.mask_image,
            swaps=job.swaps,
            command=job.request.command,
            created=now(),
            versions=versions(),
        )

    folder.drop_old_pictures()
    for name, content in job.files.items():
        folder.write(name, content)
    kept = ScenePlan.load(folder.write("plan.yaml", job.kept_plan.to_yaml()))
    folder.write("routing.yaml", job.routing.to_yaml())
    folder.write("layout.png", png_bytes(draw_layout(kept)))
    folder.write("schedule.png", png_bytes(draw_schedule(schedule)))
    folder.write_record(record(settings.seed), images, schedule.summary())
    what = f"{job.plan.width}x{job.plan.height} pixels, routing {job.routing.name}, {settings.steps} steps"
    print(f"{job.name}: {what}, {settings.model} on {settings.device} in {settings.dtype}", flush=True)
    for index in range(job.request.count):
        seed = settings.seed + index
        begin = time.perf_counter()
        image = regional(job.plan, seed=seed, overrides=swaps, **drawer.options).images[0]
        seconds = time.perf_counter() - begin
        content = picture_bytes(image, job.kept_plan, job.routing, record(seed), job.files)
        path = folder.write(picture_name(index), content)
        images.append({"file": path.name, "seed": seed, "seconds": round(seconds, 2)})
        folder.write_record(record(settings.seed), images, schedule.summary())
        print(f"{path}  seed {seed}  {seconds:.1f} s", flush=True)
    print(f"beside it: {', '.join(folder.FILES)}")


def _steps_run(settings: Settings) -> int:
    """The steps that image to image leaves of `steps`, counted as diffusers' `get_timesteps` does."""
    if settings.image_strength is None:
        return settings.steps
    return settings.steps - int(max(settings.steps - min(settings.steps * settings.image_strength, settings.steps), 0))


@contextmanager
def _threads(settings: Settings) -> Iterator[None]:
    """While the context lasts, torch uses the recorded number of threads: another may round differently."""
    import torch

    before = torch.get_num_threads()
    with ExitStack() as undo:
        if settings.device == "cpu" and settings.threads != before:
            torch.set_num_threads(settings.threads)
            undo.callback(torch.set_num_threads, before)
        yield


@contextmanager
def _out_of_memory(torch: Any) -> Iterator[None]:
    """Turns running out of memory into an `InputError` that says what to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise InputError(
                "out of memory: try --offload, --dtype bfloat16, a smaller --width and --height, or --device cpu"
            ) from error
        raise
