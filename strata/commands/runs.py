"""Runs of the engine into folders, for the commands that draw: what is written and printed as the events come."""

import sys
import time
from collections.abc import Iterator, Sequence

from PIL import Image
from tqdm import tqdm

from strata.console import duration, note
from strata.contents import COMPARE
from strata.engine import Engine, Event, Picture, Started, Step
from strata.hierarchy.compare import side_by_side
from strata.hierarchy.errors import count as counted
from strata.job import Job
from strata.judging import told, told_at_last
from strata.obeyed import Event as Drawing
from strata.obeyed import Kept, Try, Until, tries
from strata.record import png_bytes
from strata.run_files import RunFiles
from strata.run_folder import RunFolder


class Pace:
    """How long pictures take on one model, as far as those of a start have shown."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[object, ...], float] = {}

    def took(self, job: Job, seconds: float) -> None:
        """A picture of the job took so long. (The last one counts: the first has to warm up.)"""
        self._seconds[self._kind(job)] = seconds

    def of(self, job: Job) -> float | None:
        """Seconds that a picture of the job will take, about; None where none like it was drawn."""
        return self._seconds.get(self._kind(job))

    @staticmethod
    def _kind(job: Job) -> tuple[object, ...]:
        settings, plan = job.settings, job.plan
        guided = plan.negative_prompt is not None, settings.image_strength, job.image is None, len(job.controls)
        return job.steps, plan.width, plan.height, *guided, settings.method


def announce_run(job: Job, count: int, pace: Pace, place: str = "", there: int = 0) -> None:
    """Prints what is going to be drawn: size, routing, steps, model, pictures, and how long where that is known.

    Args:
        place: of the job among others.
        there: how many of the pictures are there already.
    """
    what = f"{job.plan.width}x{job.plan.height} pixels, {job.drawn_by}, {counted(job.steps, 'step')}"
    where = f"{job.model.name} on {job.device} in {job.dtype}"
    seconds = pace.of(job)
    expected = "" if seconds is None else f", about {duration((count - there) * seconds)}"
    known = f" ({there} there already)" if there else ""
    print(f"{place}{job.name}: {counted(count, 'picture')}{known}, {what}, {where}{expected}", flush=True)


class StepBar:
    """A progress bar of denoising steps, on a terminal alone.

    Args:
        count: pictures of the run.
    """

    SILENT = 20
    """Seconds that a run may take without a word on how long it will."""

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._begin: float | None = None
        self._warm: float | None = None
        self._bar = tqdm(leave=False, disable=not sys.stderr.isatty(), unit="step")

    def show(self, step: Step) -> None:
        """One more step. The second shows the pace, as the first warms up; then a long run says how long it takes."""
        if self._begin is not None and self._warm is None:
            self._warm = time.perf_counter()
        elif self._begin is not None and self._warm is not None:
            pace = time.perf_counter() - self._warm
            expected = self._warm - self._begin + pace * (step.total * self._count - 1)
            self._begin = None
            if expected > self.SILENT:
                self._bar.clear()
                what = f"{counted(self._count, 'picture')} of {counted(step.total, 'step')}"
                note(f"{what} will take about {duration(expected)}")
        self._bar.total, self._bar.n = step.total, step.number
        self._bar.refresh()

    def begin(self) -> None:
        """The first picture begins now."""
        self._begin = time.perf_counter()

    def clear(self) -> None:
        """Takes the bar away until the next step."""
        self._bar.clear()

    def close(self) -> None:
        """Takes the bar away for good."""
        self._bar.close()


def draw_run(
    engine: Engine,
    job: Job,
    folder: RunFolder,
    count: int,
    pace: Pace,
    part: str = "",
    *,
    until: Until | None = None,
) -> None:
    """Draws a job's pictures into a folder or a `part` of it, with what explains and repeats the run.

    Of a run that goes on only those that are missing. Where they are drawn until they obey, all tries are told.
    """
    files = RunFiles(job, folder, count, part, until)
    waiting = list(files.missing)
    bar = StepBar(len(waiting))
    try:
        for event in _events(engine, job, files.missing, until):
            match event:
                case Try() if until is not None:
                    bar.clear()
                    pace.took(job, event.picture.seconds)
                    print(told(event, until.most, waiting[0] + 1 if count > 1 else None), flush=True)
                case Kept():
                    waiting.pop(0)
                    if (at_last := told_at_last(event)) is not None:
                        print(at_last)
                    print(_written(files, event.picture), flush=True)
                case Started(settings, schedule, lost):
                    files.start(settings, schedule, lost)
                    if pace.of(job) is None:
                        bar.begin()
                case Step():
                    bar.show(event)
                case Picture():
                    bar.clear()
                    if event.apart:
                        note(
                            f"drawn again here, the old picture differs by up to {event.apart} of 255 grey levels; its"
                            " pixels stay, but whoever draws the new one again gets those drawn here"
                        )
                    pace.took(job, event.seconds)
                    print(_written(files, event), flush=True)
    finally:
        bar.close()
    print(f"beside it: {', '.join(files.besides())}")


def _events(engine: Engine, job: Job, indices: Sequence[int], until: Until | None) -> Iterator[Event | Drawing]:
    if until is None:
        yield from engine.draw(job, indices=indices)
        return
    for index in indices:
        yield from tries(engine, job, until, index)


def _written(files: RunFiles, picture: Picture) -> str:
    return f"{files.add(picture)}  seed {picture.seed}  {picture.seconds:.1f} s"


def write_comparison(folder: RunFolder, pairs: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> None:
    """Writes pictures beside those that they were made from, under the titles of the two columns."""
    folder.write(COMPARE, png_bytes(side_by_side(pairs, titles)))
    print(folder.path / COMPARE)
