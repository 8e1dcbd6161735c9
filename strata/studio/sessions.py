"""Sessions: what one browser sees, and nobody else. Bounded, and forgotten after a while."""

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strata.studio.tasks import Run

MOST_SESSIONS = 64
MOST_RUNS = 200
"""Of a session that are kept; the oldest go first."""
IDLE = 24 * 3600
"""Seconds after which a session that nobody looks at is forgotten."""
Listener = Callable[[dict[str, Any]], None]


class Session:
    """One browser's work.

    Attributes:
        key: what the browser's cookie holds; it cannot be guessed.
        owner: names the session where that may be seen.
        folder: private, for masks and what is uploaded.
        state: the plan, routing and settings that the page shows, as it sent them last; None: none yet.
        runs: its runs by their ids, the oldest first.
        underlay: the file name, in its folder, of the picture below the canvas; None: there is none.
        changing: held while a file of it takes another one's place.
    """

    def __init__(self, root: Path) -> None:
        self.key, self.owner = secrets.token_urlsafe(32), secrets.token_hex(6)
        self.folder = root / self.owner
        self.state: dict[str, Any] | None = None
        self.runs: dict[str, Run] = {}
        self.underlay: str | None = None
        self.changing = threading.Lock()
        self.seen = time.monotonic()
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()

    @property
    def masks(self) -> Path:
        """The folder of its masks."""
        folder = self.folder / "masks"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def busy(self) -> bool:
        """Whether something of it waits or is done, or a page is open."""
        return bool(self._listeners) or any(not run.ended for run in self.runs.values())

    def add(self, run: "Run") -> list["Run"]:
        """Keeps a run; returns those that are let go for it."""
        with self._lock:
            self.runs[run.id] = run
            ended = [old for old in self.runs.values() if old.ended]
            gone = ended[: max(0, len(self.runs) - MOST_RUNS)]
            for old in gone:
                del self.runs[old.id]
        return gone

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event, from any thread, until what is returned is called."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)
            self.seen = time.monotonic()

        return end

    def tell(self, event: dict[str, Any]) -> None:
        """Sends an event to the open pages."""
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)


class Sessions:
    """All sessions of a server, below one private folder that goes with them."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="strata-studio-"))
        self._found: dict[str, Session] = {}
        self._lock = threading.Lock()

    def get(self, key: str | None) -> Session | None:
        """The session of a cookie; None where there is none."""
        with self._lock:
            session = self._found.get(key or "")
            if session is not None:
                session.seen = time.monotonic()
            return session

    def new(self) -> Session | None:
        """A new session; None where as many as there may be are all at work."""
        now = time.monotonic()
        with self._lock:
            idle = sorted((s for s in self._found.values() if not s.busy), key=lambda s: s.seen)
            over = max(0, len(self._found) + 1 - MOST_SESSIONS)
            gone = [s for n, s in enumerate(idle) if n < over or now - s.seen > IDLE]
            for session in gone:
                del self._found[session.key]
            if len(self._found) >= MOST_SESSIONS:
                return None
            session = Session(self.root)
            self._found[session.key] = session
        for old in gone:
            shutil.rmtree(old.folder, ignore_errors=True)
        return session

    def all(self) -> list[Session]:
        """Those there are."""
        with self._lock:
            return list(self._found.values())

    def close(self) -> None:
        """Removes their folder."""
        shutil.rmtree(self.root, ignore_errors=True)
