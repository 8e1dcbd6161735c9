"""Drawing a sweep, into a folder that an interrupted one goes on from: pictures, a table of them, a sheet of all."""

import csv
import io
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from PIL import Image

from strata.claims import check_no_folders, claimed
from strata.contents import PICTURES, SHEET, TABLE, check_apart, is_sheet, picture_name
from strata.engine import Engine, Picture, Step
from strata.hierarchy.compare import Section, table_cell, table_columns, table_pages
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.files import read_text, write_atomic
from strata.hierarchy.interrupts import uninterrupted
from strata.hierarchy.plan import ScenePlan
from strata.imports import uncollected
from strata.record import picture_bytes, png_bytes
from strata.resume import drawn_otherwise
from strata.sweep import At, Sweep, SweepRun

Scores = Mapping[str, float]
Score = Callable[[Image.Image, ScenePlan], Scores]
"""Tells numbers about a picture of a plan, by their names; none where it cannot judge it."""


@dataclass(frozen=True)
class Row:
    """A picture of a sweep.

    Attributes:
        run: what it was drawn with.
        image: the picture.
        path: where it is kept; None without a folder.
        seconds: that it took, the first of a start with warming up; None where that is not known any more.
        scores: what a scorer told.
        drawn: whether it was drawn now.
    """

    run: SweepRun
    image: Image.Image
    path: Path | None
    seconds: float | None
    scores: Scores
    drawn: bool

    @property
    def values(self) -> Mapping[str, str]:
        """What of each axis it was drawn with."""
        return self.run.values


@dataclass(frozen=True)
class Ready:
    """Everything is checked, with the loaded model too where one is needed; drawing begins.

    Attributes:
        missing: pictures that are to be drawn.
        there: pictures that are there already.
        steps: denoising steps of those that are missing.
    """

    missing: int
    there: int
    steps: int


@dataclass(frozen=True)
class Sheets:
    """The sheet of all is written; these are its pages."""

    paths: tuple[Path, ...]


Event = Ready | Step | Row | Sheets


def rows(
    sweep: Sweep, out: str | os.PathLike[str] | None = None, *, force: bool = False, score: Score | None = None
) -> Iterator[Row]:
    """Draws a sweep with one loading of its model; yields a row for each picture. As `events`, without the others."""
    return (event for event in events(sweep, out, force=force, score=score) if isinstance(event, Row))


def events(
    sweep: Sweep,
    out: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    score: Score | None = None,
    engine: Engine | None = None,
) -> Iterator[Event]:
    """Draws a sweep.

    Args:
        sweep: what is drawn.
        out: a folder: pictures go to `pictures/`, each whole and with its record, a line for each to `runs.csv`, and
            all of them to `sheet.png`. Pictures of the sweep that are there stay, and are not drawn again.
        force: what is there of another sweep is replaced.
        score: judges every picture.
        engine: draws; None: one is loaded, if anything is to be drawn.

    Yields:
        `Ready`; a `Step` after each denoising step and a `Row` for each picture, in order; with a folder, `Sheets`.

    Raises:
        StrataError: a job does not fit the model, or the folder holds another sweep; before the first picture.
    """
    with ExitStack() as stack:
        folder = None
        if out is not None:
            stack.enter_context(claimed(Path(out), f"<out> {os.fspath(out)}"))
            folder = _Folder(Path(out), sweep, force)
        there = folder.there if folder is not None else frozenset[str]()
        missing = [run for run in sweep.runs if run.file not in there]
        if missing and engine is None:
            engine = stack.enter_context(Engine.load(missing[0].job))
        for run in missing:
            assert engine is not None
            engine.check(run.job)
        yield Ready(len(missing), len(there), sum(run.job.steps for run in missing))
        cells: dict[str, Image.Image] = {}
        for run in sweep.runs:
            if run.file in there:
                assert folder is not None
                row = folder.kept(run, score)
            else:
                assert engine is not None
                row = yield from _draw(engine, run, folder, score)
            if folder is not None:
                cells[run.file] = table_cell(row.image, _columns(sweep))
                folder.add(row)
            yield row
        if folder is not None:
            yield Sheets(folder.finish(sheets(sweep, cells)))


def _draw(engine: Engine, run: SweepRun, folder: "_Folder | None", score: Score | None) -> Generator[Step, None, Row]:
    """Draws one; returns its row."""
    for event in engine.draw(run.job):
        match event:
            case Step():
                yield event
            case Picture():
                path = None if folder is None else folder.write(run, event)
                scores = score(event.image, run.job.plan) if score is not None else {}
                return Row(run, event.image, path, event.seconds, scores, True)
    raise InputError(f"job {run.job.name}: was cancelled")


class _Folder:
    """The folder of a sweep."""

    def __init__(self, path: Path, sweep: Sweep, force: bool) -> None:
        self.path, self._sweep = path, sweep
        check_no_folders([path / TABLE, *(path / PICTURES / run.file for run in sweep.runs)])
        if os.path.lexists(path / PICTURES) and not (path / PICTURES).is_dir():
            raise SettingError(f"<out> {path}: {PICTURES} is no folder, where one has to go; give another folder")
        if not force and not os.path.lexists(path / TABLE):
            check_apart(path, str(path))
        self._before = self._read(force)
        self._rows: dict[str, Row] = {}
        files = {run.file for run in sweep.runs}
        self._others = [name for name in self._before if name not in files and (path / PICTURES / name).is_file()]
        if self._others and not force:
            what = f"{len(self._others)} picture(s) that this sweep does not have, such as {self._others[0]}"
            raise _refused(path, f"holds another sweep, with {what}")
        self.there = frozenset(run.file for run in sweep.runs if self._is_there(run, force))

    def _read(self, force: bool) -> dict[str, dict[str, str]]:
        """The lines of the table that is there, by their pictures."""
        path = self.path / TABLE
        if not os.path.lexists(path):
            if not force and (sheet := next(iter(self._sheets()), None)) is not None:
                raise _refused(self.path, f"holds {sheet.name} already, of no sweep")
            return {}
        lines = list(csv.DictReader(io.StringIO(read_text(path))))
        if all(_is_file_name(line.get("file")) for line in lines):
            return {line["file"]: line for line in lines}
        if force:
            return {}
        raise _refused(self.path, f"holds a {TABLE} of no sweep")

    def _is_there(self, run: SweepRun, force: bool) -> bool:
        path = self.path / PICTURES / run.file
        others = drawn_otherwise(path, run.job)
        if others and not force:
            raise _refused(self.path, f"holds {run.file} of another sweep ({', '.join(others)})")
        if others is None and path.exists() and run.file not in self._before and not force:
            raise _refused(self.path, f"holds {PICTURES}/{run.file} already, which is no whole picture of a sweep")
        return others == []

    def kept(self, run: SweepRun, score: Score | None) -> Row:
        """The row of a picture that is there."""
        path = self.path / PICTURES / run.file
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        try:
            seconds: float | None = float(self._before[run.file]["seconds"])
        except (LookupError, ValueError, TypeError):
            seconds = None
        return Row(run, image, path, seconds, score(image, run.job.plan) if score is not None else {}, False)

    def write(self, run: SweepRun, picture: Picture) -> Path:
        """Writes a picture, whole or not at all."""
        path, job = self.path / PICTURES / run.file, run.job
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, picture_bytes(picture.image, job.kept_plan, job.routing, picture.record, job.files))
        return path

    def add(self, row: Row) -> None:
        """Adds a line to the table; while pictures are missing, lines of those that follow stay in it."""
        self._rows[row.run.file] = row
        with uninterrupted():
            write_atomic(self.path / TABLE, table(self._sweep, list(self._rows.values()), list(self._before.values())))

    def finish(self, pages: Sequence[Image.Image]) -> tuple[Path, ...]:
        """Writes the sheet, and removes what was of another sweep."""
        paths = tuple(self.path / picture_name(n, len(pages), SHEET) for n in range(len(pages)))
        with uninterrupted():
            for path, page in zip(paths, pages, strict=True):
                write_atomic(path, png_bytes(page))
            for path in [*(self.path / PICTURES / name for name in self._others), *self._sheets()]:
                if path not in paths:
                    path.unlink(missing_ok=True)
            write_atomic(self.path / TABLE, table(self._sweep, list(self._rows.values())))
        return paths

    def _sheets(self) -> list[Path]:
        return sorted(path for path in self.path.glob(f"{SHEET}*.png") if is_sheet(path.name))


def _refused(path: Path, why: str) -> SettingError:
    return SettingError(f"<out> {path}: {why}; give another folder, or <force> to replace it")


def _is_file_name(name: str | None) -> bool:
    return name is not None and name.endswith(".png") and Path(name).name == name


# The table ------------------------------------------------------------------------------------------------------------


def table(sweep: Sweep, found: Sequence[Row], before: Sequence[Mapping[str, str]] = ()) -> str:
    """As CSV: a line for each picture, with what it was drawn with, its seconds and its scores.

    Args:
        sweep: of the pictures.
        found: the pictures.
        before: lines of a table before, which stay for pictures that are not among `found`.
    """
    with uncollected():
        from strata.injection.methods import method_for
    names = [axis.name for axis in sweep.axes]
    scores = list(dict.fromkeys(name for row in found for name in row.scores))
    columns = ["file", *dict.fromkeys(["plan", "method", "routing", "seed", *names]), "seconds", *scores]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in found:
        job = row.run.job
        facts = {
            "file": row.run.file,
            "plan": job.name,
            "method": (job.method or method_for(job.routing)).name,
            "routing": "" if job.unrouted else job.routing.name,
            "seed": job.seed,
            "seconds": "" if row.seconds is None else round(row.seconds, 2),
        }
        rounded = {name: round(value, 4) for name, value in row.scores.items()}
        writer.writerow({**facts, **row.values, **rounded})
    done = {row.run.file for row in found}
    writer.writerows(line for line in before if line["file"] not in done)
    return out.getvalue()


# The sheet ------------------------------------------------------------------------------------------------------------


def _shape(sweep: Sweep) -> tuple[list[int], int | None, int | None]:
    """Which axes are sections, rows and columns: of those with several values the last ones are columns and rows."""
    several = sweep.several
    return several[:-2], several[-2] if len(several) > 1 else None, several[-1] if several else None


def _columns(sweep: Sweep) -> int:
    _, row, column = _shape(sweep)
    counts = [1 if axis is None else len(sweep.axes[axis].values) for axis in (column, row)]
    return table_columns(*counts)


def sheets(sweep: Sweep, cells: Mapping[str, Image.Image]) -> list[Image.Image]:
    """The pages of the sheet of all: rows and columns with their titles, a table for each value of further axes.

    Args:
        sweep: what was drawn.
        cells: the pictures by their files, as `table_cell` makes them.
    """
    outer, row, column = _shape(sweep)
    across: list[int | None] = [None] if column is None else list(range(len(sweep.axes[column].values)))
    down: list[int | None] = [None] if row is None else list(range(len(sweep.axes[row].values)))
    most = _columns(sweep)

    def at(chosen: Mapping[int | None, int | None]) -> At:
        return tuple(chosen.get(axis) or 0 for axis in range(len(sweep.axes)))

    def title(axis: int | None, value: int | None) -> str:
        return "" if axis is None or value is None else sweep.title(axis, value)

    sections = []
    for values in product(*(range(len(sweep.axes[axis].values)) for axis in outer)):
        of: dict[int | None, int | None] = dict(zip(outer, values, strict=True))
        heading = ", ".join(title(axis, value) for axis, value in of.items())
        for start in range(0, len(across), most):
            part = across[start : start + most]
            lines = [
                (title(row, r), [cells[sweep.cells[at({**of, row: r, column: c})].file] for c in part]) for r in down
            ]
            sections.append(Section(heading, [title(column, c) for c in part], lines))
    return table_pages(_heading(sweep), sections)


def _heading(sweep: Sweep) -> str:
    """What all pictures have in common."""
    fixed = [sweep.title(n, 0) for n, axis in enumerate(sweep.axes) if len(axis.values) == 1]
    jobs = [run.job for run in sweep.runs]
    shared = [
        {job.drawn_by for job in jobs},
        {f"seed {job.seed}" for job in jobs},
        {f"{job.steps} steps" for job in jobs},
        {job.model.name for job in jobs},
    ]
    return " · ".join(dict.fromkeys([*fixed, *(next(iter(one)) for one in shared if len(one) == 1)]))
