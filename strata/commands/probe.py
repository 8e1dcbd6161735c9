"""`strata probe`: draws a plan or a prompt and records what every block attends to."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from strata.commands.options import Argv, RunOutput
from strata.commands.runs import StepBar
from strata.console import note, quiet
from strata.contents import BESIDE_PROBE, PROBE_FILES
from strata.engine import Engine, Picture, Started, Step
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.files import dump_json
from strata.hierarchy.plan import ScenePlan
from strata.injection.program import compile_program
from strata.job import Job, check_canvas, check_drawn_as_planned, prepare, read_files
from strata.loading import locate_for
from strata.planning import canvas, check_prompt, is_file, slug
from strata.record import picture_bytes, png_bytes
from strata.run_folder import RunFolder
from strata.settings import (
    HOW,
    WHERE_TO,
    CanvasSettings,
    ClipName,
    Count,
    DrawSettings,
    Name,
    RecordedControls,
    Settings,
    Steps,
    Words,
)
from strata.source import Source, open_source

if TYPE_CHECKING:
    from strata.analysis.probe import Probe

RECORDED = Parameter(group=Group("what is recorded", sort_key=1))
FOLLOWING = Parameter(group=Group("did the regions obey?", sort_key=10))


class RecordedSettings(Settings):
    """What of a run is recorded; fields as the arguments of `strata.analysis.recorder.probing`."""

    words: Annotated[Words, RECORDED] = ()
    """words or phrases of the texts, or names of whole texts (base, left/low)"""
    concepts: Annotated[Words, RECORDED] = ()
    """free words, found by ConceptAttention"""
    blocks: Annotated[Name | None, Parameter(metavar="BLOCKS"), RECORDED] = None
    """such as "double 0-3, single all" or 0%-50% of depth (default: all)"""
    probed_steps: Annotated[Name | None, Parameter(name="--steps", metavar="STEPS"), RECORDED] = None
    """of the run's steps those that are recorded, such as 0-9, 0,5,10 or 50%-100% (default: all); how many the run has,
    --run-steps says"""
    heads: Annotated[Name | None, Parameter(metavar="HEADS"), RECORDED] = None
    """such as 0-3; maps are means over them (default: all)"""
    phases: Annotated[Count, RECORDED] = 4
    """equal parts of the steps to average over (default: 4)"""


class ProbeSettings(CanvasSettings, RecordedControls):
    """The settings of the run; `--steps` are the probed ones here."""

    steps: Annotated[Steps | None, Parameter(name="--run-steps"), HOW] = None
    """denoising steps of the run (default: 28; 20 for the miniature)"""


class FollowingSettings(Settings):
    """Whether and how it is judged if the regions obeyed."""

    following: Annotated[bool, FOLLOWING] = False
    """print and write (following.json) where each region's texts act against its area; on the miniature also what the
    picture shows, by its scorer"""
    clip: Annotated[ClipName | None, FOLLOWING] = None
    """--following, also by a CLIP model: a folder or a name on the Hugging Face hub"""

    @property
    def asked(self) -> bool:
        """Whether it is."""
        return self.following or self.clip is not None


class ProbeOutput(RunOutput):
    """Where the probe goes, and what of it is drawn."""

    no_pictures: Annotated[bool, WHERE_TO] = False
    """write no figures and no page"""


def probe(
    source: Annotated[
        str, Parameter(name="PLAN|PROMPT", help="a plan, a picture that strata drew, or a prompt in quotes")
    ],
    /,
    *,
    recorded: RecordedSettings = RecordedSettings(),
    settings: ProbeSettings = ProbeSettings(),
    output: ProbeOutput = ProbeOutput(),
    following: FollowingSettings = FollowingSettings(),
    argv: Argv,
) -> None:
    """Draws a plan, or a prompt with the plain pipeline, and records attention.

    Where texts and words act, what each region attends to, by block and step.
    The picture is the one that would be drawn without. Writes image.png,
    probe.safetensors, probe.json, figures and a page to browse them
    (probe.html).

    examples:
      strata probe plan.yaml --words "red,circle"
      strata probe "a red circle and a blue square" --words red,circle
      strata probe "a red circle" --concepts circle,background
      strata probe plan.yaml --words "red,circle" --following
      strata probe plan.yaml --words red --blocks "double 0-3" --steps 0%-50%
    """
    with _prepared(source, settings, shlex.join(["strata", *argv])) as job:
        _check(job, recorded, following)
        for text in job.notes:
            note(text)
        if settings.steps is None and re.fullmatch(r"\s*[0-9]+\s*", recorded.probed_steps or ""):
            one = f"--steps {recorded.probed_steps}: of {job.steps} steps that one is recorded"
            note(f"{one}; --run-steps says how many there are")
        figures = not output.no_pictures and _figures_are_possible()
        writes = ("image.png", *PROBE_FILES, *BESIDE_PROBE)
        with RunFolder.claim(
            output.out, f"{job.name}-probe", writes, output.force, reads=read_files(job, source)
        ) as folder:
            found, picture = _draw(job, recorded, folder)
            print("\n".join(shares_table(found)))
            if following.asked:
                _judge_following(job, found, picture, following.clip, folder)
            if not output.no_pictures:
                _draw_figures(found, picture, folder.place, figures)


@contextmanager
def _prepared(source: str, settings: ProbeSettings, command: str) -> Iterator[Job]:
    """The job of a plan or a picture, or a plain one of a prompt."""
    drawn = DrawSettings.of(settings)
    if is_file(source):
        with open_source(source) as opened:
            if opened.record is not None and opened.record.image is not None:
                raise InputError(f"{source}: was drawn from another picture; probe that from Python (docs/probes.md)")
            if opened.swaps:
                raise InputError(
                    f"{source}: was restyled from a later step on; probe that from Python (docs/probes.md)"
                )
            job = prepare(drawn, opened, command=command)
            check_drawn_as_planned(job, source)
            yield job
        return
    check_prompt(source)
    if settings.routing is not None:
        raise SettingError(f"<routing> {settings.routing}: is for plans; a prompt is drawn by the plain pipeline")
    if settings.true_cfg is not None:
        raise SettingError(f"<true_cfg> {settings.true_cfg:g}: is for plans with a negative_prompt")
    width, height = canvas(locate_for(settings.model).default_size, None, settings.width, settings.height)
    plan = ScenePlan(width=width, height=height, prompt=source)
    yield prepare(drawn, Source(slug(source), plan), command=command, plain=True)


def _check(job: Job, recorded: RecordedSettings, following: FollowingSettings) -> None:
    """What can be wrong with the selections, words and canvas, before the model is loaded."""
    from strata.analysis.labels import check_words
    from strata.analysis.selection import chosen_blocks, chosen_steps

    facts = job.model.facts
    try:
        chosen_steps(recorded.probed_steps, job.steps)
    except InputError as error:
        reason = str(error).removeprefix("steps: ")
        raise SettingError(
            f"<probed_steps> {reason}; these are the steps that are recorded, <steps> sets how many there are"
        ) from error
    texts = {"base": job.plan.prompt}
    if facts is not None:
        chosen_blocks(recorded.blocks, *facts.block_counts)
        if not job.plain:
            program = compile_program(job.plan, job.routing, facts, job.steps)
            texts |= dict(zip(program.stream_names, (stream.text for stream in program.streams), strict=True))
    if job.plain or facts is not None:
        check_words(texts, recorded.words)
    if following.asked:
        if job.plain or not job.plan.regions:
            raise SettingError("<following>: asks whether regions obeyed; give a plan with regions")
        if following.clip is not None:
            from strata.analysis.following_clip import check

            check(following.clip, len(job.plan.regions))
    check_canvas(job.model, job.plan)


def _draw(job: Job, recorded: RecordedSettings, folder: RunFolder) -> tuple["Probe", Picture]:
    with quiet(), _open(job) as engine:
        from strata.analysis.recorder import probing

        bar, pictures = StepBar(), []
        with probing(
            engine.target(job),
            words=recorded.words,
            concepts=recorded.concepts,
            blocks=recorded.blocks,
            steps=recorded.probed_steps,
            heads=recorded.heads,
            phases=recorded.phases,
            prompt=job.plan.prompt if job.plain else None,
        ) as recorder:
            for event in engine.draw(job):
                match event:
                    case Started(used):
                        what = "plain" if job.plain else f"routing {job.routing.name}"
                        size = f"{job.plan.width}x{job.plan.height} pixels"
                        print(
                            f"{job.name}: {size}, {what}, {used.steps} steps, {used.model} on {used.device}", flush=True
                        )
                        bar.begin()
                    case Step():
                        bar.show(event)
                    case Picture():
                        pictures.append(event)
        bar.close()
        [picture] = pictures
        found = recorder.result(model=job.model.name, seed=picture.seed)
    if job.plain:  # there is no plan to keep
        content = png_bytes(picture.image)
    else:
        content = picture_bytes(picture.image, job.kept_plan, job.routing, picture.record, job.files)
    folder.write("image.png", content)
    found.save(folder.place / "probe")
    print(f"{folder.path / 'image.png'}  seed {picture.seed}  {picture.seconds:.1f} s")
    mib = found.facts.bytes / 2**20
    print(
        f"{folder.path / PROBE_FILES[0]}  probing took {found.facts.seconds:.1f} s of these and {mib:.1f} MiB of memory"
    )
    return found, picture


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


def _open(job: Job) -> Engine:
    """The engine of a model that draws from text alone."""
    refusal = InputError(f"model {job.model.name}: draws from a picture; probe it from Python (docs/probes.md)")
    try:
        engine = Engine.open(job)
    except SettingError as error:
        if "<image>" in error.template:
            raise refusal from error
        raise
    if engine.parameters.keys() & {"image", "control_image"}:
        raise refusal
    return engine


def _judge_following(job: Job, found: "Probe", picture: Picture, clip: str | None, folder: RunFolder) -> None:
    """Whether the regions obeyed; by the exact scorer too, where the miniature drew texts of its language."""
    from strata.analysis.following import following
    from strata.analysis.following_exact import named_things

    exact = job.model.is_judged_exactly()
    if exact:
        try:
            named_things(job.plan)
        except InputError as error:
            note(f"no exact score: {error}")
            exact = False
    with quiet():
        result = following(found, picture.image, job.plan, exact, clip)
    print(f"\ndid the regions obey?\n{result.table()}")
    folder.write("following.json", dump_json(result.as_data()))


def _figures_are_possible() -> bool:
    """Whether matplotlib is installed; notes it if not, as the figures come after all the work."""
    from strata.analysis.charts import check_matplotlib

    try:
        check_matplotlib()
    except InputError as error:
        note(f"no figures: {error}")
        return False
    return True


def _draw_figures(found: "Probe", picture: Picture, folder: Path, figures: bool) -> None:
    """The page, and the figures where they are possible."""
    from strata.analysis.page import write_page
    from strata.analysis.plots import draw_all

    write_page(found, picture.image, folder / "probe.html")
    paths = [folder / "probe.html"]
    if figures:
        paths += draw_all(found, picture.image, folder)
    print("beside it: " + ", ".join(path.name for path in paths))
