"""`strata generate`: from prompts, plans or pictures with their records to pictures with theirs."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strata.claims import numbered
from strata.commands.options import BAD_INPUT, FAILED, Argv, PicturesOutput
from strata.commands.runs import Pace, announce_run, draw_run
from strata.console import note, quiet, say, tell
from strata.contents import run_files
from strata.engine import Engine
from strata.hierarchy.errors import InputError, SettingError, StrataError, count, quote
from strata.hierarchy.plan import ScenePlan
from strata.job import Job, check_canvas, check_seeds, prepare, read_files
from strata.judging import Judges, ObeySettings, judged_by
from strata.llm.draft import Draft
from strata.llm.instructions import Instructions
from strata.llm.planner import Request
from strata.loading import locate_for
from strata.obeyed import Until
from strata.plan_table import announce, print_plan
from strata.planning import PlannerSettings, canvas, check_prompt, is_file, plan_prompts, slug
from strata.resume import begun_run, continued
from strata.run_files import is_drawn
from strata.run_folder import Begun, RunFolder
from strata.settings import WHERE_TO, DrawSettings
from strata.source import Source, open_source
from strata.together import check_one_model


class GenerateOutput(PicturesOutput):
    """And what becomes of runs that are there."""

    resume: Annotated[bool, WHERE_TO] = False
    """keep the pictures that are there and would come out the same; draw the rest. A folder with another run is
    refused; with --force too it is replaced"""


def generate(
    sources: Annotated[
        tuple[str, ...],
        Parameter(
            name="PROMPT|PLAN|IMAGE.png",
            help="a prompt in quotes, a plan file, or a picture that strata drew; or several of them",
        ),
    ],
    /,
    *,
    settings: DrawSettings = DrawSettings(),
    planner: PlannerSettings = PlannerSettings(),
    obey: ObeySettings = ObeySettings(),
    output: GenerateOutput = GenerateOutput(),
    argv: Argv,
) -> int:
    """Draws a plan, or plans a prompt with a language model and draws that.

    Writes a folder that explains and repeats the run:

      image.png     the picture, which holds plan, masks, routing, seed, model
                    and versions (image-1.png, image-2.png, … with --count)
      preview.png   the same enlarged, of small models
      contact.png   all pictures with their seeds, with --count
      layout.png    the regions of the plan
      schedule.png  which level acts in which block at which step
      plan.yaml, routing.yaml, run.json

    Given a picture that strata drew, it draws that picture again, bit for bit
    on the same machine; options change what they name and leave the rest as it
    was.

    Several sources are all checked before the model is loaded, once. Each gets
    a folder of its own below --out, named after it: NAME, NAME-2, …. One that
    cannot be drawn does not stop the others; the exit code is 1 then.

    With --resume, a run of the same plan and settings goes on: pictures that
    are there stay, and those that are missing are drawn; more of them, too, if
    --count is larger than it was.

    With --until-obeyed N, a judge looks at every region of a picture, and what
    is wrong is drawn again: the first try is the picture without a judge, and
    the best of at most N is kept. The record has all tries.

    examples:
      strata generate plan.yaml --until-obeyed 4
      strata generate plans/*.yaml -o drawn --seed 1
      strata generate plans/*.yaml -o drawn --seed 1 --resume
                                     go on after an interruption
    """
    many = len(sources) > 1
    failed: list[str] = []
    with ExitStack() as opened:
        asked = _Asked(settings, planner, Judges(obey), shlex.join(["strata", *argv]), opened)
        tasks = _checked(sources, asked, output)
        if tasks is None:
            return BAD_INPUT
        for task in tasks:
            for text in task.job.notes:
                note(f"{task.source}: {text}" if many else text)
        if (until := tasks[0].until) is not None:
            print(judged_by(until), flush=True)
        failed += _draw(list(_planned(tasks, asked, failed)), output, many)
    if failed:
        say(f"error: {len(failed)} of {count(len(sources), 'source')} not drawn: {', '.join(failed)}")
    return FAILED if failed else 0


@dataclass(frozen=True)
class _Task:
    """A source and what is drawn of it."""

    source: str
    job: Job
    """Of a prompt until it is planned: its canvas, without regions."""
    reads: Sequence[str | Path | None]
    """Files that are read."""
    request: Request | None = None
    """What the planner is asked; None where there was a plan."""
    planned: bool = True
    """Whether the job has its plan."""
    out: str | None = None
    """Where the run goes; None: to a new folder, named by the job."""
    until: Until | None = None
    """When a picture obeys; None: it is not judged."""

    def claim(self, output: GenerateOutput) -> AbstractContextManager[RunFolder]:
        """The folder of the run, which with --resume may hold some of it: whether it does, a planned job can tell."""

        def begun(folder: Path) -> Begun | None:
            if not output.resume or not self.planned:
                return None
            try:
                return begun_run(folder, self.job, output.count, str(self.out), self.until)
            except SettingError:
                if not output.force:
                    raise
                return None

        job, force = self.job, output.force or (output.resume and not self.planned)
        writes = run_files(output.count, job.model.draws_small)
        return RunFolder.claim(self.out, job.name, writes, force, attached=job.files, reads=self.reads, begun=begun)


@dataclass
class _Asked:
    """What the command line asks of every source, and how a source is read."""

    settings: DrawSettings
    planner: PlannerSettings
    judges: Judges
    command: str
    opened: ExitStack
    """Until it is closed, the files of the sources can be read."""

    @cached_property
    def for_planner(self) -> tuple[Draft | None, Instructions]:
        """The files that the planner's settings name."""
        return self.planner.read()

    def task(self, source: str) -> _Task:
        """A source, checked as far as that can be without weights and without the plan of a prompt."""
        if not is_file(source):
            return self._prompt(source)
        job = self.job(self.opened.enter_context(open_source(source)))
        return _Task(source, job, read_files(job, source), until=self.judges.until(job))

    def job(self, source: Source) -> Job:
        """What draws a source, which can be judged where that is asked for."""
        job = prepare(self.settings, source, command=self.command)
        if (until := self.judges.until(job)) is not None:
            until.check(job)
        return job

    def _prompt(self, prompt: str) -> _Task:
        check_prompt(prompt)
        settings, planner = self.settings, self.planner
        draft, _ = self.for_planner
        width, height = canvas(locate_for(settings.model).default_size, draft, settings.width, settings.height)
        request = Request(prompt, width, height, draft, planner.regions, planner.style)
        negative_prompt = draft.negative_prompt if draft is not None else None
        stand_in = ScenePlan(width=width, height=height, prompt="", negative_prompt=negative_prompt)
        job = prepare(settings, Source(slug(prompt), stand_in), command=self.command, planned=False)
        check_canvas(job.model, stand_in)
        reads = [planner.draft, settings.routing, settings.image, settings.mask_image]
        return _Task(prompt, job, reads, request, planned=False, until=self.judges.until(job))


def _checked(sources: Sequence[str], asked: _Asked, output: GenerateOutput) -> list[_Task] | None:
    """All sources, with everything checked that can be; None where several are given and some of them are wrong."""
    many = len(sources) > 1
    if all(map(is_file, sources)) and (given := asked.planner.given()):
        raise SettingError(f"{', '.join(f'<{name}>' for name in given)}: for prompts; {sources[0]} is planned already")
    tasks: list[_Task] = []
    for source in sources:
        try:
            if many and not is_file(source) and not re.search(r"\s", source.strip()):
                raise InputError(f"{quote(source)}: no such file; put a prompt of several words in quotes")
            if output.resume:
                _refuse_run(Path(source))
            task = asked.task(source)
            check_seeds(task.job, output.count)
            tasks.append(task)
        except StrataError as error:
            if not many:
                raise
            tell(source, error)
    if len(tasks) < len(sources):
        say(f"error: {len(sources) - len(tasks)} of {count(len(sources), 'source')} are wrong, so none is drawn")
        return None
    check_one_model((task.source, task.job) for task in tasks)
    tasks = list(_with_folders(tasks, output))
    for task in tasks:
        with task.claim(output):
            pass  # it can be written; nothing is by now
    return tasks


def _refuse_run(source: Path) -> None:
    """Raises `InputError` for the folder of the run that is to go on: it is where that goes, not what is drawn."""
    if (source / "run.json").is_file():
        goes_on = f"`strata generate {source / 'plan.yaml'} -o {source} --resume` goes on with it"
        raise InputError(f"{source}: is the folder of a run; {goes_on}")


def _with_folders(tasks: Sequence[_Task], output: GenerateOutput) -> Iterator[_Task]:
    """The tasks with their folders: the given one of a single task; below it of several, numbered if named alike."""
    if output.out is None and not output.resume:  # new folders, which get their numbers as they are made
        yield from tasks
        return
    if len(tasks) == 1 and output.out is not None:
        yield replace(tasks[0], out=output.out)
        return
    taken: set[str] = set()
    for task in tasks:
        name = next(path.name for path in numbered(task.job.name) if path.name.casefold() not in taken)
        taken.add(name.casefold())
        yield replace(task, out=str(Path(output.out or "out", name)))


def _planned(tasks: Sequence[_Task], asked: _Asked, failed: list[str]) -> Iterator[_Task]:
    """The tasks with their prompts planned; adds to `failed` those of several that cannot be, and tells why."""
    requests = [task.request for task in tasks if task.request is not None]
    plans = iter(plan_prompts(asked.planner, asked.for_planner[1], requests, announce) if requests else ())
    for task in tasks:
        if task.request is None:
            yield task
            continue
        plan = next(plans)
        try:
            if isinstance(plan, StrataError):
                raise plan
            job = asked.job(Source(task.job.name, plan))
        except StrataError as error:
            if len(tasks) == 1:
                raise
            tell(task.source, error)
            failed.append(task.source)
        else:
            yield replace(task, job=job, planned=True)


def _draw(tasks: Sequence[_Task], output: GenerateOutput, many: bool) -> list[str]:
    """Draws tasks with one loaded model; returns the sources that could not be drawn, each of which is told."""
    failed: list[str] = []
    pace = Pace()
    with ExitStack() as stack:
        engine: Engine | None = None
        for number, task in enumerate(tasks, start=1):
            place = f"[{number}/{len(tasks)}] {task.source}: " if many else ""
            loading = False
            try:
                with task.claim(output) as folder:
                    job, begun = task.job, folder.begun
                    if begun is not None:
                        job = continued(job, begun.record)
                        if is_drawn(job, folder, output.count):
                            print(f"{task.out}: is there and would come out the same")
                            continue
                    if task.request is not None:
                        print_plan(job.plan)
                        print()
                    for text in job.composed:
                        note(f"{place}{text}")
                    announce_run(job, output.count, pace, place, there=0 if begun is None else len(begun.images))
                    if engine is None:
                        loading = True  # what goes wrong now would for all
                        stack.enter_context(quiet())
                        engine = stack.enter_context(Engine.load(job))
                        loading = False
                    draw_run(engine, job, folder, output.count, pace, until=task.until)
            except (StrataError, OSError) as error:
                if loading or not many:
                    raise
                tell(task.source, error)
                failed.append(task.source)
    return failed
