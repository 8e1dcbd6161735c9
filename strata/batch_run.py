"""Drawing a batch into a folder that an interrupted one goes on from: pictures, and a line of JSON for each.

for row in rows(BatchAsked(["plan.yaml", "prompts.txt"], DrawSettings(seed=1)), "out/batch"):
    print(row.path, row.seconds, row.error)
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strata.batch import Batch, BatchAsked, BatchRun, Planning, Wrong, prepare_batch
from strata.claims import check_no_folders, claimed
from strata.contents import LINES, PICTURES, check_apart
from strata.drawers import Drawer, Drawn, Failed, Local, Steps, Told
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.files import read_text, write_atomic
from strata.hierarchy.interrupts import uninterrupted
from strata.job import Job, notes_of
from strata.record import Record
from strata.resume import drawn_otherwise, record_of
from strata.together import grouped

Line = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A picture of a batch, or a source that none could be drawn from.

    Attributes:
        source: what it was drawn from, as it was given; FILE:LINE of a list.
        job: what draws it; None where nothing could be made of the source.
        path: the picture; None where there is none.
        seconds: that it took, its share of a call of several; None where that is not known any more.
        together: pictures of the call that drew it; None where that is not known any more.
        record: what draws it again; None where there is no picture.
        error: why there is none.
        drawn: whether it was drawn now.
    """

    source: str
    job: Job | None = None
    path: Path | None = None
    seconds: float | None = None
    together: int | None = None
    record: Record | None = None
    error: Wrong | None = None
    drawn: bool = False

    @property
    def seed(self) -> int | None:
        """Of the noise."""
        return None if self.job is None else self.job.seed


@dataclass(frozen=True)
class Ready:
    """Everything is read, planned and checked; drawing begins.

    Attributes:
        missing: pictures that are to be drawn.
        there: pictures that are there already.
        wrong: sources that nothing can be drawn from.
        steps: denoising steps of those that are missing.
        where: the model, device and data type, in words; empty where nothing is drawn.
    """

    missing: int
    there: int
    wrong: int
    steps: int
    where: str


Event = Ready | Steps | Row | Told


def rows(
    asked: BatchAsked, out: str | os.PathLike[str], *, together: int | None = None, drawer: Drawer | None = None
) -> Iterator[Row]:
    """Draws a batch; yields a row for each picture and each failure. As `events`, without the others."""
    return (event for event in events(asked, out, together=together, drawer=drawer) if isinstance(event, Row))


def events(
    asked: BatchAsked,
    out: str | os.PathLike[str],
    *,
    together: int | None = None,
    drawer: Drawer | None = None,
    told: Planning | None = None,
    notes: Callable[[str], None] = lambda text: None,
) -> Iterator[Event]:
    """Draws a batch with one loading of its model.

    Args:
        asked: what is drawn.
        out: a folder: pictures go to `pictures/`, each whole and with its record, plans of prompts to `plans/`, and a
            line for each picture and each failure to `runs.jsonl`. Pictures that are there and would come out the same
            stay, and are not drawn again; those of other batches stay too.
        together: pictures of one call at most, where they are of one size and drawn alike; None: as
            `strata.together.most_together` says.
        drawer: who draws; None: a model in this process.
        told: of the planning of prompts.
        notes: gets what the user should know of the sources, before anything is drawn.

    Yields:
        `Ready`; a `Row` for each failure that is known by then and each picture that is there; then `Steps` as
        they are done and a `Row` for each picture, as they are drawn; and whatever is `Told`.

    Raises:
        StrataError: what is wrong for all, or the folder holds other pictures of these names; before the first one.
    """
    path = Path(out)
    with ExitStack() as stack:
        stack.enter_context(claimed(path, f"<out> {os.fspath(out)}"))
        if not asked.force:
            check_apart(path, os.fspath(out), ("batch",))
        drawer = stack.enter_context(drawer or Local())
        batch = prepare_batch(asked, path, stack, told or Planning())
        for text in notes_of(run.job for run in batch.runs):
            notes(text)
        runs = drawer.placed(batch.runs)
        folder = _Folder(path, Batch(tuple(runs), batch.wrong), asked.force)
        missing = [(number, run) for number, run in enumerate(runs) if run.file not in folder.there]
        steps = sum(run.job.steps for _, run in missing)
        yield Ready(len(missing), len(folder.there), len(batch.wrong), steps, _where(missing))
        for source, error in batch.wrong:
            yield folder.add(Row(source, error=error))
        for run in runs:
            if run.file in folder.there:
                yield folder.kept(run)
        for event in drawer.draw(_calls(missing, together)) if missing else ():
            match event:
                case Drawn():
                    yield folder.write(runs[event.number], event)
                case Failed(number, error):
                    yield folder.add(Row(runs[number].source, runs[number].job, error=error))
                case _:
                    yield event


def _where(missing: Sequence[tuple[int, BatchRun]]) -> str:
    if not missing:
        return ""
    job = missing[0][1].job
    return f"{job.model.name} on {job.device} in {job.dtype}"


def _calls(missing: Sequence[tuple[int, BatchRun]], together: int | None) -> list[list[tuple[int, BatchRun]]]:
    calls = grouped(((item, item[1].job) for item in missing), together)
    return [[item for item, _ in call] for call in calls]


class _Folder:
    """The folder of a batch.

    Attributes:
        there: the files of the pictures that stay.
    """

    def __init__(self, path: Path, batch: Batch, force: bool) -> None:
        self.path = path
        check_no_folders([path / LINES, *(path / run.file for run in batch.runs)])
        if os.path.lexists(path / PICTURES) and not (path / PICTURES).is_dir():
            raise SettingError(f"<out> {path}: {PICTURES} is no folder, where one has to go; give another folder")
        before = self._read(force)
        self._before: dict[str, Line] = {line["file"]: line for line in before if line["file"] is not None}
        self.there = frozenset(run.file for run in batch.runs if self._is_there(run, force))
        self._begin(batch, before)

    def _read(self, force: bool) -> list[Line]:
        """The lines that are there; without a last one that was cut off."""
        path = self.path / LINES
        if not os.path.lexists(path):
            return []
        texts = read_text(path).split("\n")
        lines = [_line(text) for text in texts[:-1]]
        if None in lines and not force:
            raise _refused(self.path, f"holds a {LINES} of no batch (line {lines.index(None) + 1})")
        return [line for line in lines if line is not None]

    def _is_there(self, run: BatchRun, force: bool) -> bool:
        path = self.path / run.file
        others = drawn_otherwise(path, run.job)
        if others and not force:
            raise _refused(self.path, f"holds {run.file}, drawn otherwise ({', '.join(others)})")
        if others is None and path.exists() and run.file not in self._before and not force:
            raise _refused(self.path, f"holds {run.file} already, which is no whole picture of a batch")
        return others == []

    def _begin(self, batch: Batch, before: Sequence[Line]) -> None:
        """The table without what is drawn or tried anew, and with pictures that a killed batch left without a line."""
        tried = {source for source, _ in batch.wrong} | {run.source for run in batch.runs}
        asked = {run.file for run in batch.runs}
        kept = [
            line
            for line in before
            if (line["file"] in self.there or line["file"] not in asked)
            and (line["file"] is not None or line["source"] not in tried)
        ]
        kept += [self._line(self.kept(run)) for run in batch.runs if run.file in self.there - self._before.keys()]
        if kept or (self.path / LINES).exists():
            write_atomic(self.path / LINES, "".join(map(_text, kept)))

    def kept(self, run: BatchRun) -> Row:
        """The row of a picture that is there."""
        path, line = self.path / run.file, self._before.get(run.file, {})
        seconds, together = line.get("seconds"), line.get("together")
        return Row(run.source, run.job, path, seconds, together, record_of(path))

    def write(self, run: BatchRun, drawn: Drawn) -> Row:
        """Writes a picture, whole or not at all, and then its line."""
        path = self.path / run.file
        path.parent.mkdir(exist_ok=True)
        row = Row(run.source, run.job, path, drawn.seconds, drawn.together, drawn.record, drawn=True)
        with uninterrupted():
            write_atomic(path, drawn.content)
            return self.add(row)

    def add(self, row: Row) -> Row:
        """Adds a line to the table."""
        try:
            with uninterrupted(), (self.path / LINES).open("a", encoding="utf-8", newline="") as file:
                file.write(_text(self._line(row)))
        except OSError as error:
            raise InputError(f"{self.path / LINES}: cannot be written: {error.strerror}") from error
        return row

    def _line(self, row: Row) -> Line:
        """What the table says of a picture."""
        settings: Mapping[str, Any] = {}
        if row.record is not None:
            settings = row.record.settings.model_dump(mode="json", exclude_defaults=True)
        return {
            "file": None if row.path is None else row.path.relative_to(self.path).as_posix(),
            "source": row.source,
            "seed": row.seed,
            "seconds": None if row.seconds is None else round(row.seconds, 3),
            "together": row.together,
            "routing": None if row.job is None or row.job.unrouted else row.job.routing.name,
            "settings": settings,
            "error": None if row.error is None else str(row.error),
        }


def _text(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _line(text: str) -> Line | None:
    """A line of a table; None where it is none."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    known = isinstance(line, dict) and "file" in line and isinstance(line.get("source"), str)
    return line if known and isinstance(line["file"], str | None) else None


def _refused(path: Path, why: str) -> SettingError:
    return SettingError(f"<out> {path}: {why}; give another folder, or <force> to replace it")
