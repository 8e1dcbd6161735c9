"""What a run writes: its pictures with their records, and what explains and repeats it."""

import os
from pathlib import Path
from typing import Any

from PIL import Image

from strata.contents import CONTACT, FILES, SCHEDULE, picture_name, preview_name
from strata.engine import Picture
from strata.hierarchy.compare import contact_cell, contact_sheet
from strata.hierarchy.interrupts import uninterrupted
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.hierarchy.typeset import enlarged
from strata.job import Job
from strata.layers.drawing import draw_schedule
from strata.layers.schedule import Schedule
from strata.obeyed import Until
from strata.record import RunSettings, picture_bytes, png_bytes
from strata.run_folder import RunFolder

PREVIEW = 768
"""Pixels of the longer side of a small picture's enlarged copy, about."""


class RunFiles:
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
    files = RunFiles(job, folder, count)
    if files.missing:
        return False
    if folder.begun.renamed(count) or not folder.begun.listed or not (count == 1 or folder.find(CONTACT).is_file()):
        files.settle()
    return True
