"""Runs of the engine into folders, for the commands that draw: what is written and printed as the events come."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from strata.commands.judging import told, told_at_last
from strata.console import count as counted
from strata.console import duration, note
from strata.contents import COMPARE, CONTACT, FILES, SCHEDULE, picture_name, preview_name
from strata.engine import Engine, Event, Picture, Started, Step
from strata.hierarchy.compare import contact_cell, contact_sheet, side_by_side
from strata.hierarchy.interrupts import uninterrupted
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.hierarchy.typeset import enlarged
from strata.job import Job
from strata.layers.drawing import draw_schedule
from strata.layers.schedule import Schedule
from strata.obeyed import Event as Drawing
from strata.obeyed import Kept, Try, Until, tries
from strata.record import RunSettings, picture_bytes, png_bytes
from strata.run_folder import RunFolder

PREVIEW = 768
"""Pixels of the longer side of a small picture's enlarged copy, about."""


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


class _Files:
    """The files of one run, in a folder or a `part` of it; of a run that goes on, what is there stays.

    Attributes:
        missing: the numbers, from 0, of the pictures that are still to be drawn.
    """

    def __init__(self, job: Job, folder: RunFolder, count: int, part: str = "", until: Until | None = None) -> None:
        begun = folder.begun
        self._until = until
        self._job, self._folder, self._count, self._part = job, folder, count, part
        self._first = begun.record if begun is not None else None
        self._rules = begun.rules if begun is not None else []
        self._renamed = begun.renamed(count) if begun is not None else {}
        self._images = begun.images_of(count) if begun is not None else {}
        self._cells: dict[int, Image.Image] = {}
        self.missing = [index for index in range(count) if index not in self._images]

    def start(self, settings: RunSettings, schedule: Schedule | None, lost: tuple[str, ...]) -> None:
        """Writes what explains the run: its files, plan and routing, and the pictures of both."""
        job = self._job
        if self._first is not None and all(self._folder.find(name).is_file() for name in self._beside()):
            return  # of a run that goes on
        for name, content in job.files.items():
            self._write(name, content)
        plan = ScenePlan.load(self._write("plan.yaml", job.kept_plan.to_yaml()))
        self._write("routing.yaml", job.routing.to_yaml())
        self._write("layout.png", png_bytes(draw_layout(plan)))
        if schedule is not None:
            self._write(SCHEDULE, png_bytes(draw_schedule(schedule)))
        if self._first is None:
            self._rules, self._first = [] if schedule is None else schedule.summary(), job.record(settings, lost)
            if self._until is not None:
                self._first = self._first.model_copy(update={"obeyed": self._until.record(job.seed)})

    def add(self, picture: Picture) -> Path:
        """Writes a picture, what goes with it and the record of all so far; returns where the picture is."""
        job, count, image = self._job, self._count, picture.image
        name = picture_name(picture.index, count)
        content = picture_bytes(image, job.kept_plan, job.routing, picture.record, job.files)
        row: dict[str, Any] = {"file": name, "seed": picture.seed, "seconds": round(picture.seconds, 2)}
        if (obeyed := picture.record.obeyed) is not None:
            row |= obeyed.as_row()
        self._cells[picture.index] = contact_cell(image, count)
        with uninterrupted():
            self._write(name, content)
            if job.model.draws_small:
                preview = row["preview"] = preview_name(picture.index, count)
                self._write(preview, png_bytes(enlarged(image, PREVIEW)))
            self._images[picture.index] = row
            self.settle()
        return self._folder.path / self._part / name

    def settle(self) -> None:
        """Gives what is there its names, writes the record and, with the last picture, the sheet of all."""
        assert self._first is not None
        with uninterrupted():
            self._folder.rename(self._renamed)
            self._renamed = {}
            images = [row for _, row in sorted(self._images.items())]
            if 1 < self._count == len(images):
                cells = [self._cell(index) for index in range(self._count)]
                self._write(CONTACT, png_bytes(contact_sheet(cells, [f"seed {row['seed']}" for row in images])))
            self._folder.write_record(self._first, images, self._rules, self._part)
            self._folder.settle()

    def besides(self) -> list[str]:
        """The names of the files that are no pictures of the run."""
        contact = [CONTACT] if self._count > 1 else []
        previews = [preview_name(0, 1) if self._count == 1 else "preview-*.png"] if self._job.model.draws_small else []
        return [*contact, *previews, *self._beside()]

    def _beside(self) -> list[str]:
        """What explains the run: without the schedule of a routing that has no part in it."""
        return [name for name in FILES if not (self._job.unrouted and name == SCHEDULE)]

    def _cell(self, index: int) -> Image.Image:
        """The picture on the sheet of all; from its file where it was there already."""
        if index not in self._cells:
            with Image.open(self._folder.find(os.path.join(self._part, self._images[index]["file"]))) as image:
                self._cells[index] = contact_cell(image.convert("RGB"), self._count)
        return self._cells[index]

    def _write(self, name: str, content: str | bytes) -> Path:
        return self._folder.write(os.path.join(self._part, name), content)


def is_drawn(job: Job, folder: RunFolder, count: int) -> bool:
    """Whether no picture of a run that goes on is missing; its names, record and contact sheet are then right too."""
    assert folder.begun is not None
    files = _Files(job, folder, count)
    if files.missing:
        return False
    if folder.begun.renamed(count) or not folder.begun.listed or not (count == 1 or folder.find(CONTACT).is_file()):
        files.settle()
    return True


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
    files = _Files(job, folder, count, part, until)
    bar = StepBar(len(files.missing))
    try:
        for event in _events(engine, job, files.missing, until):
            match event:
                case Try() if until is not None:
                    bar.clear()
                    pace.took(job, event.picture.seconds)
                    print(told(event, until.most), flush=True)
                case Kept():
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


def _written(files: _Files, picture: Picture) -> str:
    return f"{files.add(picture)}  seed {picture.seed}  {picture.seconds:.1f} s"


def write_comparison(folder: RunFolder, pairs: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> None:
    """Writes pictures beside those that they were made from, under the titles of the two columns."""
    folder.write(COMPARE, png_bytes(side_by_side(pairs, titles)))
    print(folder.path / COMPARE)
