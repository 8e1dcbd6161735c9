"""`strata probe`: draws a plan or a prompt and records what every block listened to."""

import inspect
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strata.console import note
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.loading import MINIATURE, ModelSource, choose_device, choose_dtype, load_pipeline, locate, place, quiet
from strata.planning import canvas, check_prompt, is_file, slug
from strata.run import (
    Record,
    RunFolder,
    Settings,
    Source,
    check_attachments,
    now,
    open_source,
    picture_bytes,
    png_bytes,
    portable,
    versions,
)

if TYPE_CHECKING:
    from PIL import Image

    from strata.analysis.probe import Probe

MINIATURE_STEPS, STEPS, GUIDANCE = 20, 28, 3.5
FILES = ("probe.safetensors", "probe.json")
PICTURES = ("words", "texts", "words_to_image", "concepts", "layers", "steps")
BESIDE = (*(f"{name}.png" for name in PICTURES), "probe.html", "following.json")
"""What may stand beside `FILES`; which of it depends on what is asked."""


@dataclass(frozen=True)
class ProbeRequest:
    """What the command line asks for; None means: as the picture's record says, else the default."""

    source: str
    command: str
    words: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    blocks: str | None = None
    steps: str | None = None
    """Which are probed."""
    heads: str | None = None
    phases: int = 4
    model: str | None = None
    routing: str | None = None
    seed: int | None = None
    run_steps: int | None = None
    """How many there are."""
    guidance: float | None = None
    true_cfg: float | None = None
    width: int | None = None
    height: int | None = None
    device: str | None = None
    dtype: str | None = None
    offload: bool = False
    out: str | None = None
    force: bool = False
    no_pictures: bool = False
    following: bool = False
    clip: str | None = None


@dataclass(frozen=True)
class _Job:
    """A request whose files have been read and checked; nothing is loaded yet. A prompt's has no plan."""

    request: ProbeRequest
    name: str
    model: ModelSource
    routing: Routing
    prompt: str
    plan: ScenePlan | None
    kept_plan: ScenePlan | None
    files: Mapping[str, bytes]
    size: tuple[int, int]
    recorded: Settings | None

    def option(self, name: str) -> Any:
        """What the command line says, else the picture's record, else None."""
        given = getattr(self.request, "run_steps" if name == "steps" else name)
        return getattr(self.recorded, name) if given is None and self.recorded is not None else given

    @property
    def steps(self) -> int:
        """Of the run."""
        return self.option("steps") or (MINIATURE_STEPS if self.model.kind == "miniature" else STEPS)


def probe(request: ProbeRequest) -> None:
    """Draws, records, writes the folder and prints a summary.

    Raises:
        StrataError: anything about the request cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        job = _read(request, Path(scratch))
        _check(job)
        folder = RunFolder.claim(request.out, f"{job.name}-probe", 1, request.force)
        taken = [name for name in (*FILES, *BESIDE) if (folder.path / name).exists()]
        if taken and not request.force:
            raise InputError(f"--out {request.out}: holds {taken[0]} already; give another folder, or --force")
        try:
            found, image = _draw(job, folder)
        except BaseException:
            folder.abandon()
            raise
        for name in BESIDE:  # of a probe before this one
            (folder.path / name).unlink(missing_ok=True)
    print("\n".join(shares_table(found)))
    if request.following or request.clip is not None:
        _tell_following(job, found, image, folder)
    if not request.no_pictures:
        _draw_pictures(found, image, folder.path)


def _read(request: ProbeRequest, scratch: Path) -> _Job:
    if is_file(request.source):
        source = open_source(request.source, scratch)
        plan = source.plan
        if request.width is not None or request.height is not None:
            plan = plan.resized(request.width or plan.width, request.height or plan.height)
        return _job(request, source, plan)
    check_prompt(request.source)
    if request.routing is not None:
        raise InputError(f"--routing {request.routing}: is for plans; a prompt is drawn by the plain pipeline")
    if request.true_cfg is not None:
        raise InputError(f"--true-cfg {request.true_cfg:g}: is for plans with a negative_prompt")
    size = canvas(request.model or MINIATURE, None, request.width, request.height)
    model, routing = locate(request.model or MINIATURE), Routing.load(DEFAULT_ROUTING)
    return _Job(request, slug(request.source), model, routing, request.source, None, None, {}, size, None)


def _job(request: ProbeRequest, source: Source, plan: ScenePlan) -> _Job:
    recorded = source.record.settings if source.record is not None else None
    if source.record is not None and source.record.image is not None:
        raise InputError(f"{request.source}: was drawn from another picture; probe that from Python (docs/probes.md)")
    if source.record is not None and source.record.swaps:
        raise InputError(
            f"{request.source}: was restyled from a later step on; probe that from Python (docs/probes.md)"
        )
    kept_plan, files = portable(plan)
    check_attachments(files)
    if request.routing is not None:
        routing = Routing.load(request.routing)
    else:
        routing = source.routing or Routing.load(DEFAULT_ROUTING)
    model = locate(request.model or (recorded.model if recorded is not None else MINIATURE))
    size = (plan.width, plan.height)
    return _Job(request, source.name, model, routing, plan.prompt, plan, kept_plan, files, size, recorded)


def _check(job: _Job) -> None:
    """What can be wrong with the selections, words and canvas, before the model is loaded."""
    from strata.analysis.labels import check_words
    from strata.analysis.selection import chosen_blocks, chosen_steps
    from strata.injection.streams import plan_streams

    request, counts = job.request, job.model.block_counts()
    chosen_steps(request.steps, job.steps)
    texts = {"base": job.prompt}
    if counts is not None:
        chosen_blocks(request.blocks, *counts)
        if job.plan is not None:
            streams = plan_streams(job.plan, job.routing.balanced_for(job.plan).resolve(*counts, job.steps))
            texts |= {f"{stream.area}/{stream.level}": stream.text for stream in streams}
    if job.plan is None or counts is not None:
        check_words(texts, request.words)
    if request.following or request.clip is not None:
        if job.plan is None or not job.plan.regions:
            raise InputError("--following: asks whether regions obeyed; give a plan with regions")
        if request.clip is not None:
            from strata.analysis.following_clip import check

            check(request.clip, len(job.plan.regions))
    token = job.model.token_size()
    for name, side in zip(("width", "height"), job.size, strict=True):
        if token is not None and side % token:
            raise InputError(f"--{name} {side}: must be a multiple of {token} for model {job.model.name}")


def _draw(job: _Job, folder: RunFolder) -> tuple["Probe", "Image.Image"]:
    import torch

    request = job.request
    device = choose_device(request.device or "auto")
    dtype = choose_dtype(job.option("dtype") or ("float32" if job.model.kind == "miniature" else "auto"), device)
    with quiet():
        from strata.analysis.recorder import probing
        from strata.injection.pipeline import RegionalPipeline

        pipe = load_pipeline(job.model, dtype)
        place(pipe, device, request.offload)
        pipe.set_progress_bar_config(disable=not sys.stderr.isatty(), leave=False)
        takes = inspect.signature(pipe.__call__).parameters
        if takes.keys() & {"image", "control_image"}:
            kind = type(pipe).__name__
            raise InputError(f"model {job.model.name}: {kind} draws from a picture; probe it from Python")
        guidance = job.option("guidance")
        guided = bool(pipe.transformer.config.guidance_embeds)
        if not guided and request.guidance is not None:
            message = f"model {job.model.name} has no guidance and would ignore it; leave it out"
            raise InputError(f"--guidance {request.guidance:g}: {message}")
        seed = job.option("seed")
        settings = Settings(
            model=job.model.name,
            seed=secrets.randbits(32) if seed is None else seed,
            steps=job.steps,
            guidance=(GUIDANCE if guidance is None else guidance) if guided else None,
            true_cfg=job.option("true_cfg"),
            device=device,
            dtype=dtype,
            threads=torch.get_num_threads(),
        )
        options: dict[str, Any] = {"num_inference_steps": settings.steps}
        if settings.guidance is not None:
            options["guidance_scale"] = settings.guidance
        if settings.true_cfg is not None:
            options["true_cfg_scale"] = settings.true_cfg
        width, height = job.size
        target = pipe if job.plan is None else RegionalPipeline(pipe, job.routing)
        what = "plain" if job.plan is None else f"routing {job.routing.name}"
        print(f"{job.name}: {width}x{height} pixels, {what}, {settings.steps} steps, {settings.model} on {device}")
        begin = time.perf_counter()
        with probing(
            target,
            words=request.words,
            concepts=request.concepts,
            blocks=request.blocks,
            steps=request.steps,
            heads=request.heads,
            phases=request.phases,
        ) as recorder:
            if job.plan is not None:
                image = target(job.plan, seed=settings.seed, **options).images[0]
            else:
                options["max_sequence_length"] = min(
                    takes["max_sequence_length"].default, pipe.tokenizer_2.model_max_length
                )
                generator = torch.Generator("cpu").manual_seed(settings.seed)
                options |= {"prompt": job.prompt, "width": width, "height": height, "generator": generator}
                image = pipe(**options).images[0]
        seconds = time.perf_counter() - begin
    found = recorder.result(model=settings.model, seed=settings.seed)
    path = folder.write("image.png", _picture(job, settings, image))
    found.save(folder.path / "probe")
    print(f"{path}  seed {settings.seed}  {seconds:.1f} s")
    mib = found.facts.bytes / 2**20
    print(f"{folder.path / FILES[0]}  probing took {found.facts.seconds:.1f} s of these and {mib:.1f} MiB of memory")
    return found, image


def _picture(job: _Job, settings: Settings, image: "Image.Image") -> bytes:
    """A picture of a plan remembers its run; one of a prompt has no plan to remember."""
    if job.kept_plan is None:
        return png_bytes(image)
    record = Record(name=job.name, settings=settings, command=job.request.command, created=now(), versions=versions())
    return picture_bytes(image, job.kept_plan, job.routing, record, job.files)


def _tell_following(job: _Job, found: "Probe", image: "Image.Image", folder: RunFolder) -> None:
    """Whether the regions obeyed; by the exact scorer too, where the miniature drew texts of its language."""
    from strata.analysis.following import following
    from strata.analysis.following_exact import told

    exact = job.model.is_judged_exactly()
    if exact and job.plan is not None:
        try:
            told(job.plan)
        except InputError as error:
            note(f"no exact score: {error}")
            exact = False
    with quiet():
        result = following(found, image, job.plan, exact, job.request.clip)
    print(f"\ndid the regions obey?\n{result.table()}")
    folder.write("following.json", json.dumps(result.as_data(), ensure_ascii=False, indent=1) + "\n")


def shares_table(found: "Probe") -> list[str]:
    """Where each area's attention goes, in percent: mean over the probed steps, by double and single blocks."""
    from strata.analysis.probe import SHARES

    facts = found.facts
    wide = max(len("area"), *(len(area) for area in facts.areas))
    lines = ["attention of image tokens, percent"]
    lines.append(f"{'area':{wide}}  {'blocks':8}" + "".join(f"{name:>8}" for name in SHARES))
    for n, area in enumerate(facts.areas):
        for family in ("double", "single"):
            places = [at for at, block in enumerate(facts.blocks) if block.startswith(family)]
            if places:
                values = 100 * found.shares[:, places, n].mean((0, 1))
                lines.append(f"{area:{wide}}  {family:8}" + "".join(f"{value:8.1f}" for value in values))
    return lines


def _draw_pictures(found: "Probe", image: "Image.Image", folder: Path) -> None:
    """The figures and the page, where matplotlib is installed."""
    from strata.analysis.page import write_page
    from strata.analysis.plots import draw_all

    write_page(found, image, folder / "probe.html")
    paths: Sequence[Path] = [folder / "probe.html"]
    try:
        paths = [*paths, *draw_all(found, image, folder)]
    except InputError as error:
        note(f"no figures: {error}")
    print("beside it: " + ", ".join(path.name for path in paths))
