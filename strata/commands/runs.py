"""Runs of the engine into folders, for the commands that draw: what is written and printed as the events come."""

import os
import sys
import time
from typing import Any

from PIL import Image
from tqdm import tqdm

from strata.console import count as counted
from strata.console import duration, note
from strata.engine import Engine, Picture, Started, Step
from strata.hierarchy.compare import contact_cell, contact_sheet
from strata.hierarchy.interrupts import uninterrupted
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.hierarchy.typeset import enlarged
from strata.job import Job
from strata.layers.drawing import draw_schedule
from strata.record import picture_bytes, png_bytes
from strata.run_folder import CONTACT, FILES, RunFolder, picture_name, preview_name

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
        guided = plan.negative_prompt is not None, settings.image_strength, job.image is None
        return job.steps, plan.width, plan.height, *guided


def announce_run(job: Job, count: int, pace: Pace, place: str = "") -> None:
    """Prints what is going to be drawn: size, routing, steps, model, pictures, and how long where that is known."""
    what = f"{job.plan.width}x{job.plan.height} pixels, routing {job.routing.name}, {counted(job.steps, 'step')}"
    where = f"{job.model.name} on {job.device} in {job.dtype}"
    seconds = pace.of(job)
    expected = "" if seconds is None else f", about {duration(count * seconds)}"
    print(f"{place}{job.name}: {counted(count, 'picture')}, {what}, {where}{expected}", flush=True)


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
        self._bar = tqdm(leave=False, disable=not sys.stderr.isatty(), unit="step")

    def show(self, step: Step) -> None:
        """One more step; after the first one, says how long the run will take where that is long."""
        if self._begin is not None:
            expected = (time.perf_counter() - self._begin) * step.total * self._count
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


def draw_run(engine: Engine, job: Job, folder: RunFolder, count: int, pace: Pace, part: str = "") -> None:
    """Draws a job's pictures into a folder or a `part` of it, with what explains and repeats the run."""
    images: list[dict[str, Any]] = []
    cells: list[Image.Image] = []
    rules: list[str] = []
    first = None
    bar = StepBar(count)
    small = job.model.draws_small
    try:
        for event in engine.draw(job, count):
            match event:
                case Started(settings, schedule):
                    assert schedule is not None
                    for name, content in job.files.items():
                        folder.write(os.path.join(part, name), content)
                    kept = ScenePlan.load(folder.write(os.path.join(part, "plan.yaml"), job.kept_plan.to_yaml()))
                    folder.write(os.path.join(part, "routing.yaml"), job.routing.to_yaml())
                    folder.write(os.path.join(part, "layout.png"), png_bytes(draw_layout(kept)))
                    folder.write(os.path.join(part, "schedule.png"), png_bytes(draw_schedule(schedule)))
                    rules, first = schedule.summary(), job.record(settings)
                    if pace.of(job) is None:
                        bar.begin()
                case Step():
                    bar.show(event)
                case Picture(index, image, seed, seconds, record):
                    assert first is not None
                    bar.clear()
                    content = picture_bytes(image, job.kept_plan, job.routing, record, job.files)
                    name = os.path.join(part, picture_name(index, count))
                    row = {"file": picture_name(index, count), "seed": seed, "seconds": round(seconds, 2)}
                    cells.append(contact_cell(image, count))
                    pace.took(job, seconds)
                    with uninterrupted():
                        folder.write(name, content)
                        if small:
                            preview = preview_name(index, count)
                            folder.write(os.path.join(part, preview), png_bytes(enlarged(image, PREVIEW)))
                            row["preview"] = preview
                        images.append(row)
                        if 1 < count == len(images):
                            sheet = contact_sheet(cells, [f"seed {row['seed']}" for row in images])
                            folder.write(os.path.join(part, CONTACT), png_bytes(sheet))
                        folder.write_record(first, images, rules, part)
                        folder.settle()
                    print(f"{folder.path / name}  seed {seed}  {seconds:.1f} s", flush=True)
    finally:
        bar.close()
    previews = [preview_name(0, 1) if count == 1 else "preview-*.png"] if small else []
    print(f"beside it: {', '.join([*([CONTACT] if count > 1 else []), *previews, *FILES])}")
