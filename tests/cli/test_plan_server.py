"""`strata plan` as a process of its own against a server on a socket: Ctrl-C, and a server that is killed."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from strata.llm.protocol import Message, Question
from tests.llm.scripted import sensible

COUNT = 200


class Handler(BaseHTTPRequestHandler):
    """The part of OpenAI's protocol that planning needs; after so many answers, silence, then a closed connection."""

    protocol_version = "HTTP/1.1"
    answers = 10**9
    silence = 60.0
    lock = threading.Lock()

    def do_GET(self) -> None:
        self.reply({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Handler.lock:
            Handler.answers -= 1
            silent = Handler.answers < 0
        if silent:
            time.sleep(Handler.silence)
            self.close_connection = True
            return
        turns = tuple(Message(turn["role"], turn["content"]) for turn in body["messages"])
        text = sensible(Question(body["response_format"]["json_schema"]["name"], turns, {}))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        self.reply({"id": "1", "object": "chat.completion", "created": 0, "model": "scripted", "choices": [choice]})

    def reply(self, data: dict[str, Any]) -> None:
        content = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.answers, Handler.silence = 10**9, 60.0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        running.block_on_close = False
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"a boat number {i} and a cloud\n" for i in range(COUNT)))
    return path


def start(server: ThreadingHTTPServer, *options: str) -> subprocess.Popen[str]:
    address = f"http://127.0.0.1:{server.server_port}/v1"
    command = [sys.executable, "-m", "strata", "plan", "prompts.txt", "-o", "a", "--llm", address, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def plans() -> list[str]:
    return sorted(path.name for path in Path("a").glob("*.yaml"))


def wait_for(count: int) -> None:
    end = time.monotonic() + 120
    while len(plans()) < count:
        assert time.monotonic() < end, "no plans come"
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_while_every_question_waits(server: ThreadingHTTPServer, prompts: Path) -> None:
    Handler.answers = 40
    with start(server, "--concurrency", "4") as process:
        wait_for(16)  # 40 answers make 18 to 20 plans
        time.sleep(1)
        there = plans()
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 30, "it does not wait for answers"
    assert (process.returncode, out) == (130, "")
    assert plans() == there
    note, last = err.splitlines()
    assert f"{len(there)} of {COUNT} plans are in a; --resume plans the rest" in note
    assert last == "strata: interrupted"
    assert not list(Path("a").glob(".*"))


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back(server: ThreadingHTTPServer, prompts: Path) -> None:
    with start(server, "--no-cache") as process:
        wait_for(20)
        server.shutdown()
        server.socket.close()
        Handler.answers, Handler.silence = 0, 0.0  # for connections that are still open
        out, err = process.communicate(timeout=300)
    there = plans()
    assert 20 <= len(there) < COUNT
    assert process.returncode == 2
    assert f"{len(there)} of {COUNT} plans are in a; --resume plans the rest" in err.splitlines()[-1]
    assert out == ""

    Handler.answers = 10**9
    with ThreadingHTTPServer(("127.0.0.1", server.server_port), Handler) as again:
        again.daemon_threads = True
        threading.Thread(target=again.serve_forever, daemon=True).start()
        with start(again, "--no-cache", "--resume") as process:
            out, err = process.communicate(timeout=300)
        again.shutdown()
    assert (process.returncode, err) == (0, "")
    assert out.startswith(f"a: {COUNT} plans ({len(there)} there before)")
    assert len(plans()) == COUNT
