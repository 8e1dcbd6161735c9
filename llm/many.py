"""Many prompts: their dialogues side by side, each plan handed over as soon as it is there.

A backend that takes one question at a time is asked from threads; one that takes batches gets a question of every
dialogue under way in each call. Either way no more than `backend.concurrency` dialogues are under way.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from strata.hierarchy.errors import StrataError
from strata.hierarchy.interrupts import on_interrupt
from strata.hierarchy.plan import ScenePlan
from strata.llm.cache import PlanCache
from strata.llm.errors import LlmError
from strata.llm.planner import Dialogue, Planner, Request
from strata.llm.protocol import Backend, Question, answer_of

GIVE_UP_AFTER = 5
"""So many prompts in a row whose questions got no answer, and the model is taken for gone."""


@dataclass(frozen=True)
class Tally:
    """What became of many prompts."""

    planned: int
    """Plans handed over, those of the cache among them."""
    cached: int
    failed: int


@dataclass
class _Job:
    """One dialogue, and what it came to."""

    key: str
    indices: list[int]
    """The requests that it answers: those that are alike share one."""
    request: Request
    silence: LlmError | None = None
    """What came instead of the last answer, if none came."""
    answered: bool = False
    """Whether any question got an answer."""
    moment: float = 0.0
    """When the last answer came, or failed to."""
    plan: ScenePlan | None = None
    error: StrataError | None = None
    crash: BaseException | None = None


@dataclass
class _Results:
    """Hands results over, and notices when the model is gone."""

    on_plan: Callable[[int, ScenePlan], None]
    on_failure: Callable[[int, StrataError], None]
    cache: PlanCache | None
    give_up_after: int
    planned: int = 0
    failed: int = 0
    answered: bool = False
    unanswered: list[_Job] = field(default_factory=list)
    """The latest jobs, in a row, that failed because no answer came."""

    def take(self, job: _Job) -> None:
        """Takes a finished job. Raises `LlmError` when the model is taken for gone."""
        if job.crash is not None:
            raise job.crash
        self.answered |= job.answered
        if job.error is not None and job.silence is not None:
            self.unanswered.append(job)
            nobody_there = job.silence.again and not self.answered
            if nobody_there or len(self.unanswered) >= self.give_up_after:
                raise job.silence
            return
        self.fail_unanswered(before=job.moment)
        if job.plan is not None:
            if self.cache is not None:
                self.cache.put(job.key, job.plan)
            for index in job.indices:
                self.hand_over(index, job.plan)
        else:
            self._fail(job)

    def hand_over(self, index: int, plan: ScenePlan) -> None:
        self.planned += 1
        self.on_plan(index, plan)

    def fail_unanswered(self, before: float = math.inf) -> None:
        """The model still answered at that moment: what got no answer earlier failed on its own account."""
        for job in self.unanswered:
            if job.moment < before:
                self._fail(job)
        self.unanswered = [job for job in self.unanswered if job.moment >= before]

    def _fail(self, job: _Job) -> None:
        assert job.error is not None
        for index in job.indices:
            self.failed += 1
            self.on_failure(index, job.error)


def plan_many(
    planner: Planner,
    requests: Sequence[Request],
    *,
    on_plan: Callable[[int, ScenePlan], None],
    on_failure: Callable[[int, StrataError], None],
    cache: PlanCache | None = None,
    give_up_after: int = GIVE_UP_AFTER,
) -> Tally:
    """Plans every request; requests that are alike are asked once.

    Both callbacks get the request's index and are called in the calling thread, as results arrive. Ctrl-C, SIGTERM and
    SIGHUP end the run once what has arrived is handed over; it does not wait for answers. An exception of a callback
    ends it at once.

    Args:
        planner: its backend is asked, and not closed.
        requests: any number.
        on_plan: takes a plan.
        on_failure: takes what went wrong with a prompt; the others go on.
        cache: where plans are looked up first, and kept.
        give_up_after: this many prompts in a row without an answer end the run.

    Raises:
        LlmError: the model cannot be reached from the start, or is gone. What was handed over stays so; the requests
            without a result are those not planned.
    """
    results = _Results(on_plan, on_failure, cache, give_up_after)
    jobs: dict[str, _Job] = {}
    for index, request in enumerate(requests):
        key = planner.key(request)
        if key in jobs:
            jobs[key].indices.append(index)
        elif cache is not None and (plan := cache.get(key)) is not None:
            results.hand_over(index, plan)
        else:
            jobs[key] = _Job(key, [index], request)
    cached = results.planned
    backend = planner.backend
    drive = _in_lockstep if backend.batched else _in_threads
    with closing(drive(planner, backend, jobs.values())) as finished:
        for job in finished:
            results.take(job)
    results.fail_unanswered()
    return Tally(results.planned, cached, results.failed)


def _in_threads(planner: Planner, backend: Backend, jobs: Iterable[_Job]) -> Generator[_Job, None, None]:
    """Finished jobs as they come. Threads that still wait for an answer when the caller leaves are left behind."""
    waiting = deque(jobs)
    count, threads = len(waiting), min(backend.concurrency, len(waiting))
    finished: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
    room = threading.Semaphore(threads)  # nobody runs ahead of what the caller has taken
    stopped = threading.Event()

    def work() -> None:
        while room.acquire() and not stopped.is_set():
            try:
                job = waiting.popleft()
            except IndexError:
                return
            try:
                dialogue = planner.dialogue(job.request)
                question = _advance(job, dialogue, None)
                while question is not None and not stopped.is_set():
                    question = _advance(job, dialogue, answer_of(backend, question))
            except BaseException as error:
                job.crash = error
            finished.put(job)

    with on_interrupt(lambda: finished.put(None)):
        for number in range(threads):
            threading.Thread(target=work, name=f"strata-plan-{number}", daemon=True).start()
        try:
            for _ in range(count):
                job = finished.get()
                if job is None:
                    raise KeyboardInterrupt
                yield job
                room.release()
        finally:
            stopped.set()
            room.release(threads or 1)


def _in_lockstep(planner: Planner, backend: Backend, jobs: Iterable[_Job]) -> Generator[_Job, None, None]:
    """Finished jobs, batch by batch; a dialogue that ends makes room for the next one."""
    waiting = deque(jobs)
    under_way: list[tuple[_Job, Dialogue, Question]] = []
    asking = interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        if asking:
            raise KeyboardInterrupt

    def advance(job: _Job, dialogue: Dialogue, answer: str | LlmError | None) -> Iterator[_Job]:
        """Yields the job if it is finished, else puts it among those under way."""
        question = _advance(job, dialogue, answer)
        if question is None:
            yield job
        else:
            under_way.append((job, dialogue, question))

    with on_interrupt(interrupt):
        while waiting or under_way:
            while waiting and len(under_way) < backend.concurrency:
                job = waiting.popleft()
                yield from advance(job, planner.dialogue(job.request), None)
            if interrupted:
                raise KeyboardInterrupt
            asked, under_way = under_way, []
            asking = True
            answers = backend.ask_many([question for _, _, question in asked]) if asked else []
            asking = False
            for (job, dialogue, _), answer in zip(asked, answers, strict=True):
                yield from advance(job, dialogue, answer)


def _advance(job: _Job, dialogue: Dialogue, answer: str | LlmError | None) -> Question | None:
    """Brings an answer (None at the start) into a dialogue; returns its next question, or None when it is over."""
    unanswered = isinstance(answer, LlmError) and not answer.answered
    job.silence = answer if isinstance(answer, LlmError) and unanswered else None
    job.answered |= answer is not None and not unanswered
    job.moment = time.monotonic()
    try:
        return next(dialogue) if answer is None else dialogue.send(answer)
    except StopIteration as stop:
        job.plan = stop.value
    except StrataError as error:
        job.error = error
    return None
