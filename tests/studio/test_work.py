"""Turns between sessions: nobody waits for all that another one asked for, and what is cancelled ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from strata.studio import sessions as sessions_module
from strata.studio.sessions import Sessions
from strata.studio.work import Worker


class Turns:
    """Writes its name into a list, turn by turn."""

    def __init__(self, owner: str, name: str, turns: int, done: list[str], gate: threading.Event) -> None:
        self._owner, self.name, self._turns, self._done, self._gate = owner, name, turns, done, gate
        self.stopped = self.abandoned = False
        self.places: list[int] = []

    @property
    def owner(self) -> str:
        return self._owner

    def turns(self) -> Iterator[None]:
        for number in range(self._turns):
            if self.stopped:
                return
            if number:
                yield
            self._gate.wait(5)
            self._done.append(self.name)

    def stop(self) -> None:
        self.stopped = True

    def abandon(self) -> None:
        self.abandoned = True

    def placed(self, place: int) -> None:
        self.places.append(place)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("test")
    yield made
    made.close()


def finish(worker: Worker, *owners: str) -> None:
    for _ in range(500):
        if not any(worker.waiting(owner) for owner in owners):
            return
        threading.Event().wait(0.01)
    raise AssertionError("not done")


def test_sessions_take_turns(worker: Worker) -> None:
    done: list[str] = []
    gate = threading.Event()
    tasks = [Turns("one", "a", 3, done, gate), Turns("one", "b", 1, done, gate), Turns("two", "c", 2, done, gate)]
    for task in tasks:
        worker.put(task)
    gate.set()
    finish(worker, "one", "two")
    assert done == ["a", "c", "a", "c", "a", "b"]
    assert max(tasks[1].places) >= 1


def test_what_waits_is_abandoned_and_what_runs_is_stopped(worker: Worker) -> None:
    done: list[str] = []
    gate = threading.Event()
    running, waiting = Turns("one", "a", 5, done, gate), Turns("one", "b", 1, done, gate)
    worker.put(running)
    worker.put(waiting)
    threading.Event().wait(0.1)  # the first is at it
    worker.cancel(waiting)
    worker.cancel(running)
    gate.set()
    finish(worker, "one")
    assert (waiting.abandoned, running.abandoned, running.stopped) == (True, False, True)
    assert done == ["a"]


def test_a_task_that_fails_does_not_stop_the_others(worker: Worker) -> None:
    done: list[str] = []
    gate = threading.Event()
    gate.set()
    broken = Turns("one", "a", 1, done, gate)
    broken.turns = lambda: iter(())  # type: ignore[method-assign]
    worker.put(broken)
    worker.put(Turns("one", "b", 1, done, gate))
    finish(worker, "one")
    assert done == ["b"]


def test_sessions_are_bounded_and_the_idle_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "MOST_SESSIONS", 3)
    sessions = Sessions()
    try:
        made = [sessions.new() for _ in range(3)]
        assert all(made)
        first, second, third = (session for session in made if session is not None)
        first.masks  # noqa: B018
        end = first.listen(lambda event: None)
        sessions.get(second.key)
        assert sessions.new() is not None
        assert sessions.get(first.key) is first, "a page of it is open"
        assert sessions.get(third.key) is None or sessions.get(second.key) is None
        for session in sessions.all():
            session.listen(lambda event: None)
        assert sessions.new() is None
        end()
        assert sessions.get(None) is None
        assert first.folder.is_dir()
    finally:
        sessions.close()
    assert not sessions.root.exists()
