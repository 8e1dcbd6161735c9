"""A Studio on the bundled model, without a network; each client is a browser of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from strata.hierarchy.plan import ScenePlan
from strata.planning import PlannerSettings
from strata.settings import ModelSettings
from strata.studio.core import Studio
from strata.studio.draw_run import DrawRun
from strata.studio.settings import BesideSettings

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from strata.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "http://127.0.0.1:7860"


class LateStudio(Studio):
    """Loads its model with the first picture: most tests draw none."""

    def _load(self) -> None:
        pass

    def _open_engine(self, run: DrawRun) -> Engine:
        if self._engine is None:
            super()._load()
        return super()._open_engine(run)


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    made = LateStudio(ModelSettings(), PlannerSettings(), BesideSettings())
    yield made
    made.close()


@pytest.fixture
def browser(studio: Studio) -> Callable[[], TestClient]:
    """Opens the page as another browser."""
    pytest.importorskip("starlette", reason="the Studio's extra is not installed")
    from starlette.testclient import TestClient

    from strata.studio.app import create_app

    app = create_app(studio, port=7860)

    def opened() -> TestClient:
        client = TestClient(app, base_url=LOOPBACK)
        assert client.get("/").status_code == 200
        return client

    return opened


@pytest.fixture
def client(browser: Callable[[], TestClient]) -> TestClient:
    return browser()


@pytest.fixture
def plan() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ScenePlan.load(ROOT / "configs" / "plans" / "three_regions.yaml").to_json())
    return found


def ended(client: TestClient, run: str, seconds: float = 120) -> dict[str, Any]:
    """The run, once nothing more comes of it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = {each["id"]: each for each in client.get("/api/session").json()["runs"]}[run]
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"still {found['state']}")


def until(is_so: Callable[[], Any], seconds: float = 180) -> None:
    """Waits for something to be so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def started(*options: str) -> tuple[subprocess.Popen[str], str]:
    """A server of its own, and its address."""
    command = [sys.executable, "-m", "strata", "studio", "--no-browser", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, (line, process.stderr and process.stderr.read())
    return process, found[0]
