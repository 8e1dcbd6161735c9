"""Work in turns: one thread does what several sessions ask for, a turn of one and then a turn of another."""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Protocol

logger = logging.getLogger(__name__)


class Task(Protocol):
    """Something that a session waits for."""

    @property
    def owner(self) -> str:
        """The session's folder name; tasks of one owner are done in order."""

    def turns(self) -> Iterator[None]:
        """Does it, and yields where another session may have its turn. Tells its own errors."""

    def stop(self) -> None:
        """Ends it soon, from any thread: `turns` returns then."""

    def abandon(self) -> None:
        """It ends before its first turn."""

    def placed(self, place: int) -> None:
        """So many turns come before its first one."""


class Worker:
    """A thread that does tasks.

    Args:
        name: of the thread.
        begin: done first, in the thread.
    """

    def __init__(self, name: str, begin: Callable[[], None] = lambda: None) -> None:
        self._begin = begin
        self._waiting: OrderedDict[str, deque[tuple[Task, Iterator[None]]]] = OrderedDict()
        self._begun: set[Task] = set()
        self._change = threading.Condition()
        self._closed = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, task: Task) -> None:
        """Queues a task behind those of its owner."""
        with self._change:
            self._waiting.setdefault(task.owner, deque()).append((task, task.turns()))
            self._change.notify()
        self._place()

    def cancel(self, task: Task) -> None:
        """Ends a task: at once where it waits, else after what it is at."""
        with self._change:
            queue = self._waiting.get(task.owner, deque())
            entry = next((entry for entry in queue if entry[0] is task), None)
            if entry is not None and task not in self._begun:
                queue.remove(entry)
            else:
                entry = None
        task.stop()
        if entry is not None:
            task.abandon()
            self._place()

    def waiting(self, owner: str) -> int:
        """How many tasks of an owner are not done."""
        with self._change:
            return len(self._waiting.get(owner, ()))

    def end(self) -> None:
        """Ends everything soon, and waits for nothing; from any thread."""
        with self._change:
            self._closed = True
            tasks = [task for queue in self._waiting.values() for task, _ in queue]
            self._change.notify()
        for task in tasks:
            task.stop()

    def close(self, seconds: float | None = 10) -> bool:
        """Ends everything; waits so long for what is being done (None: until it is), but not for its beginning.

        Returns:
            Whether all has ended.
        """
        self.end()
        self._thread.join(seconds if self._ready.is_set() else 0.2)
        return not self._thread.is_alive() or not self._ready.is_set()

    def _place(self) -> None:
        """Tells every task that has not begun how many turns come first."""
        with self._change:
            queues = [list(queue) for queue in self._waiting.values()]
            begun = set(self._begun)
        place = 0
        for row in range(max(map(len, queues), default=0)):
            for queue in queues:
                if row < len(queue):
                    if queue[row][0] not in begun:
                        queue[row][0].placed(place)
                    place += 1

    def _next(self) -> tuple[Task, Iterator[None]] | None:
        with self._change:
            while not self._closed:
                for owner, queue in list(self._waiting.items()):
                    if queue:
                        self._waiting.move_to_end(owner)
                        self._begun.add(queue[0][0])
                        return queue[0]
                    del self._waiting[owner]
                self._change.wait()
        return None

    def _run(self) -> None:
        try:
            self._begin()
        except Exception:
            logger.exception("the %s thread could not begin", self._thread.name)
        self._ready.set()
        while (entry := self._next()) is not None:
            task, turns = entry
            try:
                next(turns)
            except StopIteration:
                self._done(task)
            except BaseException:
                logger.exception("a task ended unexpectedly")
                self._done(task)
        with self._change:
            entries = [entry for queue in self._waiting.values() for entry in queue]
        for _, turns in entries:  # files half written are put right
            turns.close()  # type: ignore[attr-defined]

    def _done(self, task: Task) -> None:
        with self._change:
            queue = self._waiting.get(task.owner, deque())
            if queue and queue[0][0] is task:
                queue.popleft()
            self._begun.discard(task)
        self._place()
