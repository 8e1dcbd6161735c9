"""Who draws the pictures of a batch: a model in this process (workers of a cluster: `ray_pool.py`)."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from strata.batch import BatchRun, Wrong
from strata.engine import Engine, Picture, Step
from strata.hierarchy.errors import InputError, StrataError
from strata.injection.errors import UnsupportedError
from strata.pipelines import MemoryShort
from strata.record import Record, picture_bytes

Call = Sequence[tuple[int, BatchRun]]
"""Pictures that are drawn in one call, with their numbers."""


@dataclass(frozen=True)
class Drawn:
    """A picture is drawn.

    Attributes:
        number: of the picture.
        content: the PNG file, with its record.
        record: the same.
        seconds: that it took; its share of a call.
        together: pictures of that call.
    """

    number: int
    content: bytes
    record: Record
    seconds: float
    together: int


@dataclass(frozen=True)
class Failed:
    """A picture cannot be drawn."""

    number: int
    error: Wrong


@dataclass(frozen=True)
class Steps:
    """So many denoising steps are done, those of all pictures of a call."""

    count: int


@dataclass(frozen=True)
class Told:
    """Something that the user should know."""

    text: str


Outcome = Drawn | Failed | Steps | Told


class Drawer(Protocol):
    """Draws calls, as a context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def placed(self, runs: Sequence[BatchRun]) -> Sequence[BatchRun]:
        """The runs as they are drawn here: on which device, in which type."""

    def draw(self, calls: Iterable[Call]) -> Iterator[Outcome]:
        """Draws; tells of every picture once, in any order. Raises `StrataError` where the model cannot be loaded."""


class Calls:
    """Draws with one engine; in smaller calls where several pictures are refused or are too large together."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._most: int | None = None
        """Pictures of one call, as far as experience limits them."""

    def draw(self, call: Call) -> Iterator[Outcome]:
        """Tells of every picture of a call once."""
        waiting = deque(call)
        while waiting:
            size = min(len(waiting), self._most or len(waiting))
            part = [waiting.popleft() for _ in range(size)]
            try:
                yield from self._draw(part)
            except (StrataError, OSError) as error:
                if size == 1:
                    yield Failed(part[0][0], error)
                elif isinstance(error, MemoryShort | UnsupportedError):
                    self._most = size // 2 if isinstance(error, MemoryShort) else 1
                    why = str(error).partition(":")[0] if isinstance(error, MemoryShort) else str(error)
                    yield Told(f"drawn {'one' if self._most == 1 else self._most} at a time: {why}")
                    waiting.extendleft(reversed(part))
                else:  # one of them is wrong, and has to be told from the others
                    for one in part:
                        yield from self.draw([one])

    def _draw(self, part: Call) -> Iterator[Steps | Drawn]:
        jobs = [run.job for _, run in part]
        drawn: list[Drawn] = []
        for event in self._engine.draw(jobs[0]) if len(jobs) == 1 else self._engine.draw_together(jobs):
            match event:
                case Step():
                    yield Steps(len(jobs))
                case Picture():
                    number, job = part[event.index][0], jobs[event.index]
                    content = picture_bytes(event.image, job.kept_plan, job.routing, event.record, job.files)
                    drawn.append(Drawn(number, content, event.record, event.seconds, len(jobs)))
        if not drawn:
            raise InputError(f"job {jobs[0].name}: was cancelled")
        yield from drawn


class Local:
    """Draws with a model in this process, which is loaded when the first picture is drawn."""

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def placed(self, runs: Sequence[BatchRun]) -> Sequence[BatchRun]:
        """They are for this machine already."""
        return runs

    def draw(self, calls: Iterable[Call]) -> Iterator[Outcome]:
        """As of `Drawer`."""
        own: Calls | None = None
        for call in calls:
            if own is None:
                engine = self._engine or self._opened.enter_context(Engine.load(call[0][1].job))
                own = Calls(engine)
            yield from own.draw(call)
