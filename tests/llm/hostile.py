"""An HTTP server on a real socket that behaves as a test says: well, badly, or not at all."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from strata.llm.protocol import Message, Question

QUESTION = Question(
    "layout",
    (Message("system", "Answer."), Message("user", 'Prompt: "a fox"')),
    {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]},
    max_tokens=64,
)
ANSWER = '{"topic": "a fox"}'


def completion(content: object = ANSWER, *, finish: str = "stop", **message: object) -> dict[str, Any]:
    """The body of a chat completion."""
    told = {"role": "assistant", "content": content, **message}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny",
        "choices": [{"index": 0, "finish_reason": finish, "message": told}],
    }


@dataclass
class Asked:
    """One request that came in."""

    path: str
    headers: Headers
    body: dict[str, Any]


Reply = Callable[["Handler", Asked], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "HostileServer"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        asked = Asked(self.path, self.headers, body)
        if self.path.endswith("/models"):
            self.server.book.models(self, asked)
            return
        self.server.book.asked.append(asked)
        with self.server.lock:
            self.server.book.open += 1
            self.server.book.at_once = max(self.server.book.at_once, self.server.book.open)
        try:
            self.server.book.reply(self, asked)
        finally:
            with self.server.lock:
                self.server.book.open -= 1

    def send(self, body: object, *, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        """Sends a whole answer; anything but bytes as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def hang_up(self) -> None:
        """Ends the connection with a reset."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Keeps quiet."""


class HostileServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, book: "Book") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.book, self.lock = book, threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def _well(handler: Handler, asked: Asked) -> None:
    handler.send(completion())


def _one_model(handler: Handler, asked: Asked) -> None:
    handler.send({"object": "list", "data": [{"id": "tiny", "object": "model"}]})


@dataclass
class Book:
    """What the server does, and what it saw."""

    address: str = ""
    reply: Reply = _well
    """To chat completions."""
    models: Reply = _one_model
    """To /models."""
    asked: list[Asked] = field(default_factory=list)
    """Chat completions asked for."""
    open: int = 0
    at_once: int = 0


@contextmanager
def hostile_server() -> Iterator[Book]:
    """A server that runs while the context lasts."""
    book = Book()
    server = HostileServer(book)
    book.address = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield book
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
