"""The server's end while it draws: soon, and without half a run."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import started, until

pytest.importorskip("starlette", reason="the Studio's extra is not installed")
pytestmark = pytest.mark.slow
Asking = Callable[..., Any]


def page_of(address: str) -> Asking:
    """Asks as a page would."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.open(address).read()

    def ask(path: str, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        with opener.open(urllib.request.Request(f"{address}api/{path}", body)) as answer:
            return json.load(answer)

    return ask


@pytest.mark.parametrize(
    ("asked", "after", "pictures"),
    [
        ({"settings": {"steps": 500}}, lambda run: run["step"] > 2, 0),
        ({"settings": {"steps": 1}, "obey": {"until_obeyed": 60, "mend": "again"}}, lambda run: run["tries"], 0),
        ({"settings": {"steps": 2}, "count": 60}, lambda run: len(run["pictures"]) > 1, 2),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_while_it_draws(
    plan: dict[str, Any], tmp_path: Path, asked: Any, after: Any, pictures: int, number: signal.Signals
) -> None:
    process, address = started("--out", str(tmp_path / "runs"))
    try:
        ask = page_of(address)
        ask("draw", {"plan": {**plan, "regions": plan["regions"]}, **asked})
        until(lambda: after(ask("session")["runs"][0]))
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(60) == (0 if number == signal.SIGINT else 128 + number)
        assert time.monotonic() - begin < 15, "about a step; the rest is the machine's load"
    finally:
        process.kill()
    print(time.monotonic() - begin)
    folders = list((tmp_path / "runs").glob("*"))
    if not pictures:
        assert folders == []
        return
    [folder] = folders
    listed = [row["file"] for row in json.loads((folder / "run.json").read_text())["images"]]
    assert len(listed) >= pictures
    there = sorted(path.name for path in folder.glob("image*.png"))
    assert there == sorted(listed)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
