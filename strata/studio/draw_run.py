"""Runs that draw: pictures of a job into a folder, a turn of one session and then of another."""

import io
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strata.contents import picture_name, preview_name, run_files
from strata.hierarchy.errors import StrataError
from strata.judging import told as told_try
from strata.studio.errors import Refused
from strata.studio.sessions import Session
from strata.studio.tasks import Run

if TYPE_CHECKING:
    from collections.abc import Generator

    from strata.analysis.judges import Judge, JudgedPicture
    from strata.engine import Engine, Picture, Step
    from strata.job import Job
    from strata.obeyed import Event, Try, Until
    from strata.run_files import RunFiles
    from strata.run_folder import RunFolder

PROBE = "probe.html"
LARGEST_PREVIEW = 1024
"""Pixels of the longer side of a preview."""


class _Stopped(Exception):
    """A run was stopped before all of its pictures were there."""


@dataclass
class Drawn:
    """A picture of a run."""

    name: str
    seed: int
    seconds: float
    judged: dict[str, Any] | None = None
    """What the judge found; `refused` where it cannot tell."""
    width: int = 0
    height: int = 0
    kept: int | None = None
    """The number of the try that it is, where there were several; else None."""

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "judged": self.judged,
            "width": self.width,
            "height": self.height,
            "kept": self.kept,
        }


@dataclass
class Asked:
    """What a run draws."""

    job: "Job"
    count: int = 1
    previews: bool = True
    words: tuple[str, ...] | None = None
    """Of a probe, those that are looked for; None: it is no probe."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """As the page shows it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the page asked for: to be shown with the run."""
    beside: str | None = None
    """The picture that it is to be compared with, as RUN/NAME."""
    until: "Until | None" = None
    """When a picture obeys, and how often it is tried; None: it is drawn once."""


class DrawRun(Run):
    """Pictures of a job, into a folder as `strata generate` writes it.

    Args:
        session: whose it is.
        kind: draw, restyle, repaint or probe.
        title: for people.
        asked: what is drawn.
        open_engine: the engine, once it is loaded; asked in the thread that draws.
        judge: what tells whether regions obeyed, or None; asked in the thread that draws.
        folder: where runs go.
        kept: holds the files that the job is drawn from, until it is.
    """

    def __init__(
        self,
        session: Session,
        kind: str,
        title: str,
        asked: Asked,
        open_engine: Callable[["DrawRun"], "Engine"],
        judge: "Callable[[], Judge | None]",
        folder: Path,
        kept: AbstractContextManager[Any] | None = None,
    ) -> None:
        super().__init__(session, kind, title)
        self.asked, self._open, self._judge = asked, open_engine, judge
        self._kept = kept or ExitStack()
        stamp = f"{self.created:%Y%m%d-%H%M%S}"
        self.folder = folder / f"{stamp}-{asked.job.name}-{self.id[:4]}"
        self.pictures: list[Drawn] = []
        self.step, self.total, self.index = 0, asked.job.steps, 0
        self.preview: bytes | None = None
        self.lost: tuple[str, ...] = ()
        model = asked.job.model
        self._doubts = () if model.knowledge is None else (*model.knowledge.complaints(asked.job.plan, model.name),)
        self.has_page = False
        self.tries: list[dict[str, Any]] = []
        """Of all pictures: what is told of each try, and of which picture it is."""
        self._engine: Engine | None = None  # while it is this run's turn
        self._turn = threading.Lock()

    def stop(self) -> None:
        """As of `Task`: also in the middle of a picture."""
        super().stop()
        with self._turn:
            if self._engine is not None:
                self._engine.cancel()

    def abandon(self) -> None:
        """As of `Task`."""
        self._kept.__exit__(None, None, None)
        super().abandon()

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        job = self.asked.job
        return super().as_data() | {
            "count": self.asked.count,
            "index": self.index,
            "step": self.step,
            "total": self.total,
            "preview": self.preview is not None and not self.ended,
            "pictures": [drawn.as_data() for drawn in self.pictures],
            "plan": self.asked.plan,
            "width": job.plan.width,
            "height": job.plan.height,
            "seed": job.seed,
            "drawn_by": job.drawn_by,
            "routing": job.routing.name,
            "method": job.method.name if job.method is not None else None,
            "settings": self.asked.settings,
            "beside": self.asked.beside,
            "most": None if self.asked.until is None else self.asked.until.most,
            "tries": list(self.tries),
            "notes": [*self._doubts, *job.notes, *job.composed, *self.lost],
            "page": self.has_page,
            "small": job.model.draws_small,
        }

    def work(self) -> Iterator[None]:
        """As of `Run`: a picture a turn, or a try at one. Stopped, it leaves its whole pictures, or no folder."""
        from strata.run_files import RunFiles
        from strata.run_folder import RunFolder

        job, count = self.asked.job, self.asked.count
        writes = (*run_files(count, job.model.draws_small), *((PROBE,) if self.asked.words is not None else ()))
        with self._kept:
            if self._stopped.is_set():
                return
            self.state = "loading"
            self.tell()
            engine = self._open(self)
            engine.check(job)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                with RunFolder.claim(str(self.folder), job.name, writes, False, attached=job.files) as folder:
                    files = RunFiles(job, folder, count, until=self.asked.until)
                    for index in range(count):
                        if index:
                            yield
                        yield from self._draw(engine, index, files, folder)
            except _Stopped:
                return

    def _draw(self, engine: "Engine", index: int, files: "RunFiles", folder: "RunFolder") -> Iterator[None]:
        from strata.engine import Picture, Started, Step
        from strata.obeyed import Kept, Try

        job = self.asked.job
        self.state, self.index, self.step = "drawing", index, 0
        self.tell()
        with ExitStack() as opened:
            opened.callback(self._at, None)
            self._at(engine)
            recorder = None
            if self.asked.words is not None:
                from strata.analysis.recorder import probing

                recorder = opened.enter_context(probing(engine.target(job), words=self.asked.words))
            for event in opened.enter_context(closing(self._events(engine, index))):
                match event:
                    case Started(settings, schedule, lost):
                        self.lost = lost
                        if index == 0:
                            files.start(settings, schedule, lost)
                    case Step():
                        self._show(event)
                        if self._stopped.is_set():
                            engine.cancel()
                    case Try():
                        self._tell_try(event)
                        if event.then is not None:
                            yield from self._pause(engine)
                    case Kept(best, picture):
                        files.add(picture)
                        self._keep(picture, best.judged, best.number)
                        return
                    case Picture():
                        if recorder is not None:
                            self._write_page(recorder.result(model=job.model.name, seed=event.seed), event, folder)
                        files.add(event)
                        self._keep(event)
                        return
        raise _Stopped

    def _events(self, engine: "Engine", index: int) -> "Generator[Event | Picture]":
        from strata.obeyed import tries

        if self.asked.until is not None:
            yield from tries(engine, self.asked.job, self.asked.until, index)
        else:
            yield from engine.draw(self.asked.job, indices=[index])

    def _pause(self, engine: "Engine") -> Iterator[None]:
        """Another session has its turn, unless this run is to end."""
        if not self._stopped.is_set():
            self._at(None)
            yield
        self._at(engine)

    def _at(self, engine: "Engine | None") -> None:
        """The engine draws this run now, or another one. Raises `_Stopped` where it is not to go on."""
        with self._turn:
            self._engine = engine
        if engine is not None and self._stopped.is_set():
            raise _Stopped

    def _tell_try(self, tried: "Try") -> None:
        assert self.asked.until is not None
        told = {
            "picture": self.index,
            "number": tried.number,
            "text": told_try(tried, self.asked.until.most),
            "wrong": list(tried.told.wrong),
            "best": tried.best,
        }
        self.tries.append(told)
        self.step = 0
        self.session.tell({"type": "try", "id": self.id, "try": told})

    def _show(self, step: "Step") -> None:
        self.step, self.total = step.number, step.total
        if self.asked.previews:
            image = step.preview()
            image.thumbnail((LARGEST_PREVIEW, LARGEST_PREVIEW))
            out = io.BytesIO()
            image.convert("RGB").save(out, "PNG" if max(image.size) <= 256 else "JPEG", quality=85)
            self.preview = out.getvalue()
        self.session.tell(
            {
                "type": "step",
                "id": self.id,
                "index": self.index,
                "step": self.step,
                "total": self.total,
                "preview": self.asked.previews,
            }
        )

    def _keep(self, picture: "Picture", judged: "JudgedPicture | None" = None, kept: int | None = None) -> None:
        name = picture_name(picture.index, self.asked.count)
        image = picture.image
        drawn = Drawn(name, picture.seed, picture.seconds, width=image.width, height=image.height, kept=kept)
        if judged is not None and self.asked.until is not None:
            drawn.judged = judged.as_data() | {"judge": self.asked.until.judge.name}
        self.pictures.append(drawn)
        self.preview = None
        if picture.apart:
            self.lost = (*self.lost, f"drawn again here, the old picture differs by up to {picture.apart} grey levels")
        self.tell()
        if drawn.judged is None and self.asked.job.plan.regions and (judge := self._judge()) is not None:
            drawn.judged = self._verdict(judge, image)
            self.tell()

    def _verdict(self, judge: "Judge", image: Any) -> dict[str, Any]:
        plan = self.asked.job.plan
        try:
            judge.check(plan)
            found = judge.judge(image, plan).as_data()
        except StrataError as error:
            return {"refused": str(error)}
        return found | {"judge": judge.name}

    def _write_page(self, probe: Any, picture: "Picture", folder: "RunFolder") -> None:
        from strata.analysis.page import page

        folder.write(PROBE, page(probe, picture.image))
        self.has_page = True

    def clear(self) -> None:
        """What a picture that was not finished has left goes: of a run without any, the folder."""
        if self.ended and self.pictures:
            return
        if not self.pictures:
            shutil.rmtree(self.folder, ignore_errors=True)
        for left in self.folder.glob(".strata-run-*"):
            shutil.rmtree(left, ignore_errors=True)

    def names(self) -> list[str]:
        """The names of its files."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self.folder).parts)
        )

    def file(self, name: str) -> Path:
        """One of its files. Raises `Refused` where there is none of this name."""
        if name not in self.names():
            raise Refused(f"{self.title}: has no file {name[:60]!r}", 404)
        return self.folder / name

    def picture(self, name: str) -> Drawn:
        """One of its pictures, by its name. Raises `Refused` where there is none."""
        for drawn in self.pictures:
            if name == drawn.name:
                return drawn
        raise Refused(f"{self.title}: has no picture {name[:60]!r}", 404)

    def large(self, name: str) -> str:
        """The enlarged copy of a small picture, where there is one, else its own name."""
        index = [drawn.name for drawn in self.pictures].index(name)
        other = preview_name(index, self.asked.count)
        return other if (self.folder / other).is_file() else name
