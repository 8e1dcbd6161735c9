"""What a session waits for: runs that draw pictures, and sentences that are planned; each tells how it goes."""

import io
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strata.contents import picture_name, preview_name, run_files
from strata.hierarchy.errors import StrataError, file_error, first_line
from strata.studio.errors import Refused, problem
from strata.studio.sessions import Session

if TYPE_CHECKING:
    from strata.analysis.judges import Judge
    from strata.engine import Engine, Picture, Step
    from strata.job import Job
    from strata.run_files import RunFiles
    from strata.run_folder import RunFolder

logger = logging.getLogger(__name__)
State = Literal["waiting", "loading", "drawing", "planning", "done", "failed", "cancelled"]
PROBE = "probe.html"
LARGEST_PREVIEW = 1024
"""Pixels of the longer side of a preview."""


class Run:
    """A task of a session, as its page sees it."""

    def __init__(self, session: Session, kind: str, title: str) -> None:
        self.id, self.session, self.kind, self.title = secrets.token_hex(8), session, kind, title
        self.state: State = "waiting"
        self.place = 0
        self.problem: dict[str, Any] | None = None
        self.created = datetime.now().astimezone()
        self._stopped = threading.Event()

    @property
    def owner(self) -> str:
        """As of `Task`."""
        return self.session.owner

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "cancelled")

    def stop(self) -> None:
        """As of `Task`."""
        self._stopped.set()

    def abandon(self) -> None:
        """As of `Task`."""
        self.end("cancelled")

    def placed(self, place: int) -> None:
        """As of `Task`."""
        if self.state == "waiting" and place != self.place:
            self.place = place
            self.tell()

    def end(self, state: State, error: BaseException | None = None) -> None:
        """Nothing more will come of it."""
        self.state = state
        if isinstance(error, StrataError):
            self.problem = problem(error)
        elif error is not None:
            text = file_error(error) if isinstance(error, OSError) else first_line(error)
            self.problem = {"message": text, "field": None, "region": None}
        self.tell()

    def tell(self) -> None:
        """Sends what it is now to the session's pages."""
        self.session.tell({"type": "run", "run": self.as_data()})

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "state": self.state,
            "place": self.place,
            "problem": self.problem,
            "created": self.created.isoformat(timespec="seconds"),
        }

    def turns(self) -> Iterator[None]:
        """As of `Task`."""
        try:
            yield from self.work()
        except GeneratorExit:
            self.state = "cancelled"
            raise
        except (StrataError, OSError, MemoryError) as error:
            self.end("failed", error)
        except Exception as error:
            logger.exception("a run failed")
            self.end("failed", error)
        else:
            self.end("cancelled" if self._stopped.is_set() else "done")

    def work(self) -> Iterator[None]:
        """Does it, a turn at a time; returns early where it is stopped."""
        raise NotImplementedError


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

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "judged": self.judged,
            "width": self.width,
            "height": self.height,
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
        self.has_page = False
        self._engine: Engine | None = None

    def stop(self) -> None:
        """As of `Task`: also in the middle of a picture."""
        super().stop()
        if (engine := self._engine) is not None:
            engine.cancel()

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
            "notes": [*job.notes, *self.lost],
            "page": self.has_page,
            "small": job.model.draws_small,
        }

    def work(self) -> Iterator[None]:
        """As of `Run`: a picture a turn."""
        from strata.run_files import RunFiles
        from strata.run_folder import RunFolder

        job, count = self.asked.job, self.asked.count
        writes = (*run_files(count, job.model.draws_small), *((PROBE,) if self.asked.words is not None else ()))
        with self._kept:
            if self._stopped.is_set():
                return
            self.state = "loading"
            self.tell()
            self._engine = self._open(self)
            self._engine.check(job)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with RunFolder.claim(str(self.folder), job.name, writes, False, attached=job.files) as folder:
                files = RunFiles(job, folder, count)
                for index in range(count):
                    if self._stopped.is_set():
                        return
                    if index:
                        yield
                    self._draw(self._engine, index, files, folder)
        self._engine = None

    def _draw(self, engine: "Engine", index: int, files: "RunFiles", folder: "RunFolder") -> None:
        from strata.engine import Picture, Started, Step

        job = self.asked.job
        self.state, self.index, self.step = "drawing", index, 0
        self.tell()
        with ExitStack() as opened:
            recorder = None
            if self.asked.words is not None:
                from strata.analysis.recorder import probing

                recorder = opened.enter_context(probing(engine.target(job), words=self.asked.words))
            events = engine.draw(job, indices=[index])
            if self._stopped.is_set():  # between the last look and the engine's own
                return
            for event in events:
                match event:
                    case Started(settings, schedule, lost):
                        self.lost = lost
                        if index == 0:
                            files.start(settings, schedule, lost)
                    case Step():
                        self._show(event)
                        if self._stopped.is_set():
                            engine.cancel()
                    case Picture():
                        if recorder is not None:
                            self._write_page(recorder.result(model=job.model.name, seed=event.seed), event, folder)
                        files.add(event)
                        self._keep(event)

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

    def _keep(self, picture: "Picture") -> None:
        name = picture_name(picture.index, self.asked.count)
        image = picture.image
        drawn = Drawn(name, picture.seed, picture.seconds, width=image.width, height=image.height)
        self.pictures.append(drawn)
        self.preview = None
        if picture.apart:
            self.lost = (*self.lost, f"drawn again here, the old picture differs by up to {picture.apart} grey levels")
        self.tell()
        if self.asked.job.plan.regions and (judge := self._judge()) is not None:
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


class PlanRun(Run):
    """A sentence that becomes a plan."""

    def __init__(self, session: Session, title: str, plan: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(session, "plan", title)
        self._plan = plan
        self.plan: Mapping[str, Any] | None = None

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return super().as_data() | {"plan": self.plan}

    def work(self) -> Iterator[None]:
        """As of `Run`: in one turn."""
        if self._stopped.is_set():
            return
        self.state = "planning"
        self.tell()
        self.plan = self._plan()
        return
        yield
