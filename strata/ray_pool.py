"""The pictures of a batch, drawn by the workers of a Ray cluster: each has a model and draws one call at a time.

The process that was started keeps the list of what is missing, and alone writes. A worker gets a call only when it has
handed over the one before, so what a lost worker was drawing is known, and is given to another one: nothing else is
drawn again. (Ray Data's `map_batches` would repeat whole blocks, hand pictures over when a block is full, and bring
pyarrow and pandas.)
"""

import logging
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from strata.batch import BatchRun
from strata.console import quiet
from strata.drawers import Call, Calls, Drawn, Failed, Outcome, Steps, Told
from strata.engine import Engine
from strata.hierarchy.errors import InputError, SettingError, StrataError, first_line
from strata.hierarchy.extras import needs_extra
from strata.hierarchy.interrupts import on_interrupt
from strata.hierarchy.plan import ScenePlan
from strata.job import Job
from strata.loading import choose_device, choose_dtype
from strata.record import plans_before

MOST_TRIES = 3
"""So many workers may be lost over one call, or while they load the model one after the other."""


class RayPool:
    """Draws on the workers of a cluster; a `Drawer`.

    The machines of the cluster need this version of Strata with its extra `ray`, and what settings and plans name by
    path (folders of models, LoRA files) at the same path. Masks and input pictures are sent to them.

    Args:
        address: "local" for a cluster of this process's own on this machine, "auto" for the one that runs here,
            HOST:PORT or ray://HOST:PORT. Where the process is connected already, that connection is used.
        workers: models that draw at a time; None: one for each GPU of the cluster; without GPUs one.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        with needs_extra("ray"):
            import ray
        self._ray: Any = ray
        self._address, self._asked = address, workers
        self._own = False
        self.workers: list[Any] = []

    def __enter__(self) -> Self:
        ray = self._ray
        if not ray.is_initialized():
            self._connect()
            self._own = True
        try:
            self._choose_workers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in list(self.workers):
            self.stop(worker)
        if self._own:
            self._ray.shutdown()

    def placed(self, runs: Sequence[BatchRun]) -> Sequence[BatchRun]:
        """The runs on the device that workers have; starts these."""
        if not runs:
            return runs
        for _ in range(self._count):
            self.start()
        first = runs[0].job
        with _as_ours(), _as_it_came():
            device = self._ray.get(self.workers[0].device.remote(first.settings.device or "auto"))
        placed = []
        for run in runs:
            dtype = choose_dtype(run.job.settings.dtype or run.job.model.default_dtype, device)
            placed.append(replace(run, job=replace(run.job, device=device, dtype=dtype)))
        return placed

    def draw(self, calls: Iterable[Call]) -> Iterator[Outcome]:
        """As of `Drawer`: every call by one worker at a time, again only where its worker was lost."""
        shift, told = _Shift(self, calls), set[str]()
        while shift.pending:
            for outcome in shift.next():
                if isinstance(outcome, Told):
                    if outcome.text in told:
                        continue
                    told.add(outcome.text)
                yield outcome

    def start(self) -> Any:
        """One more worker."""
        worker = self._ray.remote(**self._takes, max_restarts=0, max_task_retries=0)(Worker).remote(os.getcwd())
        self.workers.append(worker)
        return worker

    def stop(self, worker: Any) -> None:
        """Takes a worker away, whether it lives or not."""
        self._ray.kill(worker)
        self.workers.remove(worker)

    def _connect(self) -> None:
        """Connects to the cluster; the signals that end a program stay ours."""
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self._address == "local":
            cpus = max(os.cpu_count() or 1, self._asked or 1)
            options |= {"include_dashboard": False, "num_cpus": cpus}
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        handler = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(address=self._address, **options)
        except Exception as error:  # what it raises for addresses and clusters is of many types
            raise SettingError(f"<ray> {self._address}: {first_line(error)}") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)

    def _choose_workers(self) -> None:
        """How many workers there are, and what of the cluster each of them takes."""
        there = self._ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
        self._count = self._asked or max(1, gpus)
        kind, most = ("GPU", gpus) if gpus else ("CPU", cpus)
        if self._count > most:
            raise SettingError(f"<workers> {self._count}: the cluster has {most} {kind}s")
        self._takes = {"num_gpus": 1, "num_cpus": 1} if gpus else {"num_cpus": cpus // self._count}


class _Shift:
    """Which worker has which call; some are waiting for one, and some calls for a worker.

    Attributes:
        pending: what workers are doing: a call, with the number of the try, or loading the model (None).
    """

    def __init__(self, pool: RayPool, calls: Iterable[Call]) -> None:
        import ray

        self._ray: Any = ray
        self._pool = pool
        self._waiting = deque((call, 1) for call in calls)
        self._job = self._waiting[0][0][0][1].job
        self._idle: list[Any] = []
        self._lost_loading = 0
        self.pending: dict[Any, tuple[Any, tuple[Call, int] | None]] = {}
        for worker in pool.workers[len(self._waiting) :]:
            pool.stop(worker)
        for worker in pool.workers:
            self._load(worker)

    def next(self) -> Iterator[Outcome]:
        """Waits until a worker is done, and gives out calls; tells what came of it."""
        with _as_it_came():
            (done,), _ = self._ray.wait(list(self.pending), num_returns=1)
        worker, task = self.pending.pop(done)
        try:
            with _as_ours():
                outcomes: list[Outcome] = self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            self._pool.stop(worker)
            outcomes = list(self._lost(task, error))
            if self._waiting and not self._idle:
                self._load(self._pool.start())
        else:
            self._idle.append(worker)
            self._lost_loading = 0
        while self._idle and self._waiting:
            worker, following = self._idle.pop(), self._waiting.popleft()
            self.pending[worker.draw.remote(list(following[0]))] = worker, following
        steps = {number: run.job.steps for number, run in task[0]} if task is not None else {}
        for outcome in outcomes:
            if isinstance(outcome, Drawn):
                yield Steps(steps[outcome.number])
            yield outcome

    def _load(self, worker: Any) -> None:
        self.pending[worker.load.remote(self._job)] = worker, None

    def _lost(self, task: tuple[Call, int] | None, error: Exception) -> Iterator[Outcome]:
        """A worker was lost: its call waits for another one, unless too many were lost over it."""
        if task is None:
            self._lost_loading += 1
            if self._lost_loading >= MOST_TRIES:
                raise InputError(f"{MOST_TRIES} workers were lost while they loaded the model: {first_line(error)}")
            return
        call, tries = task
        if tries < MOST_TRIES:
            yield Told(f"a worker was lost, another one draws its pictures: {first_line(error)}")
            self._waiting.appendleft((call, tries + 1))
            return
        why = InputError(f"{MOST_TRIES} workers were lost while they drew it, the last one: {first_line(error)}")
        for number, _ in call:
            yield Failed(number, why)


class Worker:
    """What draws on a machine of the cluster.

    Args:
        folder: paths start from it, where it is there.
    """

    def __init__(self, folder: str) -> None:
        if os.path.isdir(folder):
            os.chdir(folder)
        self._opened = ExitStack()
        self._calls: Calls | None = None

    def device(self, wanted: str) -> str:
        """The device that is asked for, else the best that is here."""
        try:
            return choose_device(wanted)
        except InputError:
            return choose_device("auto")

    def load(self, job: Job) -> list[Outcome]:
        """Loads the model of a job."""
        self._opened.enter_context(quiet())
        self._calls = Calls(self._opened.enter_context(Engine.load(job)))
        return []

    def close(self) -> None:
        """Lets go of the model."""
        self._opened.close()

    def draw(self, call: Call) -> list[Outcome]:
        """Draws a call; returns what there is to tell of it."""
        assert self._calls is not None
        with tempfile.TemporaryDirectory(prefix="strata-") as folder, _warnings() as warned:
            here = [(number, replace(run, job=_unpacked(run.job, Path(folder)))) for number, run in call]
            outcomes = [outcome for outcome in self._calls.draw(here) if not isinstance(outcome, Steps)]
        return [*map(Told, warned), *outcomes]


def _unpacked(job: Job, folder: Path) -> Job:
    """A job whose plan has its mask files in a folder of this machine."""
    own = folder / str(len(list(folder.iterdir())))
    own.mkdir()
    for name, content in job.files.items():
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_bytes(content)
    plan = ScenePlan.from_yaml(job.kept_plan.to_yaml(), f"{job.name} (plan)", own)
    return replace(job, plan=plan, before=plans_before(plan, job.repaints))


@contextmanager
def _as_it_came() -> Iterator[None]:
    """A signal that ends a run raises what it always does: Ray, while it waits, makes a KeyboardInterrupt of any."""

    def interrupt() -> NoReturn:
        raise KeyboardInterrupt

    with on_interrupt(interrupt):
        yield


@contextmanager
def _as_ours() -> Iterator[None]:
    """What a worker raises on purpose is raised here as it was there."""
    import ray

    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, StrataError | OSError):
            raise error.cause from error
        raise RuntimeError(str(error)) from error


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The texts of what Strata's loggers warn of while the context lasts."""
    texts: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("strata")
    log.addHandler(handler)
    try:
        yield texts
    finally:
        log.removeHandler(handler)
