"""What a session waits for: runs that draw pictures, and sentences that are planned; each tells how it goes."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from strata.hierarchy.errors import StrataError, file_error, first_line
from strata.studio.errors import problem
from strata.studio.sessions import Session

logger = logging.getLogger(__name__)
State = Literal["waiting", "loading", "drawing", "planning", "done", "failed", "cancelled"]


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
