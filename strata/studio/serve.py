"""Serves the Studio until it is told to end."""

import atexit
import gc
import socket
import sys
import threading
import webbrowser
from contextlib import closing
from types import FrameType

import uvicorn

from strata.hierarchy.errors import SettingError, reason_of
from strata.hierarchy.interrupts import Terminated
from strata.planning import PlannerSettings
from strata.settings import ModelSettings
from strata.studio.addresses import reached_at, url
from strata.studio.app import create_app
from strata.studio.core import Studio
from strata.studio.settings import BesideSettings, ServingSettings


def serve(serving: ServingSettings, model: ModelSettings, planner: PlannerSettings, beside: BesideSettings) -> None:
    """Serves a Studio; returns when it is interrupted.

    Raises:
        StrataError: an address or a setting that cannot be used.
    """
    atexit.register(gc.freeze)  # else Python looks through all that a model has made, for seconds, before it ends
    with closing(_bound(serving)) as bound, closing(Studio(model, planner, beside)) as studio:
        port = bound.getsockname()[1]
        app = create_app(studio, serving.host, serving.password, port, lambda: server.should_exit)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3, lifespan="off")
        server = _Server(config, studio)
        print(f"Strata Studio: {_address(serving, port)}", flush=True)
        if not serving.on_loopback:
            others = " or ".join(url(host, port) for host in reached_at(serving.host))
            print(f"others can reach it at {others}, with the password", file=sys.stderr, flush=True)
        if serving.on_loopback and not serving.no_browser and sys.stdout.isatty():
            webbrowser.open(_address(serving, port))
        try:
            server.run(sockets=[bound])
        except Terminated:
            raise
        except KeyboardInterrupt:  # how a page is ended
            pass
    print("ended", flush=True)


class _Server(uvicorn.Server):
    """What is being drawn ends with the signal, and not only when the last page has been let go."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As of uvicorn, in a signal's handler: what may wait for a lock is done in another thread."""
        super().handle_exit(sig, frame)
        threading.Thread(target=self._studio.end, daemon=True).start()


def _address(serving: ServingSettings, port: int) -> str:
    """The page's, on this machine."""
    return url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(serving.host, serving.host), port)


def _bound(serving: ServingSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((serving.host, serving.port))
        bound.listen(64)
    except OSError as error:
        bound.close()
        name = "host" if isinstance(error, socket.gaierror) else "port"
        raise SettingError(
            f"<{name}> {getattr(serving, name)}: cannot be listened on at {serving.host}: {reason_of(error)}; choose"
            " another <port> (0: any that is free)"
        ) from error
    return bound
