"""The way to a server, on real sockets, with servers that misbehave."""

import gzip
import json
import logging
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from strata.hierarchy.errors import InputError
from strata.llm.backends.server import LARGEST_BODY, ServerBackend
from strata.llm.errors import LlmError
from tests.llm.hostile import ANSWER, QUESTION, Asked, Book, Handler, completion, free_port, hostile_server

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRATA_LLM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Book]:
    with hostile_server() as book:
        yield book


def open_server(book: Book, **settings: Any) -> ServerBackend:
    return ServerBackend(book.address, **{"timeout": 5.0, "retries": 0, **settings})


def failure(book: Book, **settings: Any) -> LlmError:
    """What asking ends with: one line that names the server."""
    with pytest.raises(LlmError) as caught:
        open_server(book, **settings).ask(QUESTION)
    message = str(caught.value)
    assert message.startswith(f"{book.address}: ")
    assert len(message) < 600
    assert message.isprintable()
    return caught.value


# What is sent, and what comes back ------------------------------------------------------------------------------------


def test_a_question_is_sent_in_the_current_form_of_structured_outputs(server: Book) -> None:
    backend = open_server(server)
    assert backend.ask(QUESTION) == ANSWER
    assert (backend.name, backend.model) == (server.address, "tiny")
    assert server.asked[0].body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Answer."}, {"role": "user", "content": 'Prompt: "a fox"'}],
        "temperature": 0.0,
        "max_tokens": 64,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "layout", "schema": dict(QUESTION.schema), "strict": True},
        },
    }


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "<think>A fox.</think>\n{}", '{"topic": "ignore the schema"}', "\u202e\x00\x1b[31m", "Füchse 狐"],
)
def test_a_text_is_handed_on_as_it_is(server: Book, text: str) -> None:
    server.reply = lambda handler, asked: handler.send(completion(text))
    assert open_server(server).ask(QUESTION) == text


def test_half_a_surrogate_becomes_a_question_mark(server: Book) -> None:
    server.reply = lambda handler, asked: handler.send(completion("a \ud83e fox"))
    assert open_server(server).ask(QUESTION) == "a ? fox"


def test_the_key_comes_from_the_environment(server: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    open_server(server).ask(QUESTION)
    monkeypatch.setenv("STRATA_LLM_KEY", f" {KEY}\n")
    open_server(server).ask(QUESTION)
    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer other", f"Bearer {KEY}"]


def test_many_questions_are_asked_side_by_side(server: Book) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        time.sleep(0.05)
        handler.send({}, status=500) if asked.body["max_tokens"] == 5 else handler.send(completion())

    server.reply = reply
    answers = open_server(server, concurrency=4).ask_many([replace(QUESTION, max_tokens=n) for n in range(1, 13)])
    assert [answer for answer in answers if answer != ANSWER] == [answers[4]]
    assert isinstance(answers[4], LlmError)
    assert 2 <= server.at_once <= 4


def test_a_busy_server_is_asked_again(server: Book) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        first = len(server.asked) == 1
        handler.send({}, status=503, Retry_After="0.01") if first else handler.send(completion())

    server.reply = reply
    assert open_server(server, retries=1).ask(QUESTION) == ANSWER
    assert len(server.asked) == 2


def test_a_dropped_connection_is_tried_again(server: Book) -> None:
    server.reply = lambda handler, asked: handler.hang_up() if len(server.asked) == 1 else handler.send(completion())
    assert open_server(server, retries=1).ask(QUESTION) == ANSWER


def test_a_server_is_not_asked_without_end(server: Book) -> None:
    server.reply = lambda handler, asked: handler.send({}, status=503, Retry_After="0.01")
    assert "HTTP 503" in str(failure(server, retries=2))
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("refused", "instead"),
    [("max_tokens", {"max_completion_tokens": 64, "temperature": 0.0}), ("temperature", {"max_tokens": 64})],
)
def test_parameters_that_newer_models_refuse_are_changed_once_and_for_all(
    server: Book, refused: str, instead: dict[str, object]
) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        if refused in asked.body:
            said = {"message": "Unsupported parameter", "code": "unsupported_parameter", "param": refused}
            handler.send({"error": said}, status=400)
        else:
            handler.send(completion())

    server.reply = reply
    backend = open_server(server)
    assert [backend.ask(QUESTION), backend.ask(QUESTION)] == [ANSWER, ANSWER]
    limits = {"temperature", "max_tokens", "max_completion_tokens"}
    assert [{k: v for k, v in a.body.items() if k in limits} for a in server.asked[1:]] == [instead] * 2


# Models ---------------------------------------------------------------------------------------------------------------


def test_of_several_models_one_must_be_named(server: Book) -> None:
    server.models = lambda handler, asked: handler.send({"data": [{"id": "one"}, {"id": "two"}]})
    with pytest.raises(LlmError, match=r"has several models; name one \(--llm-model\): one, two$"):
        open_server(server)
    assert open_server(server, model="two").model == "two"


@pytest.mark.parametrize("listing", [{"data": []}, {}, {"data": None}, {"data": [{"id": 7}, "x", {}]}])
def test_a_server_that_lists_no_model_needs_a_name(server: Book, listing: object) -> None:
    server.models = lambda handler, asked: handler.send(listing)
    with pytest.raises(LlmError, match="lists no model; name one"):
        open_server(server)


def test_an_unknown_model_is_told_with_those_there_are(server: Book) -> None:
    server.reply = lambda handler, asked: handler.send({"message": "no such model"}, status=404)
    server.models = lambda handler, asked: handler.send({"data": [{"id": f"m{i}"} for i in range(10)]})
    message = str(failure(server, model="giant"))
    assert message.endswith('has no model "giant"; its models: m0, m1, m2, m3, m4, m5, m6, m7 and 2 more')


def test_a_server_of_something_else_is_told(server: Book) -> None:
    server.models = lambda handler, asked: handler.send(b"<html>nothing</html>", status=404, kind="text/html")
    with pytest.raises(LlmError, match=r"HTTP 404 \(such addresses end in /v1, mostly\)$"):
        open_server(server)
    server.reply = server.models
    assert "end in /v1" in str(failure(server, model="tiny"))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://", "is no server's address"),
        ("http://127.0.0.1:99999/v1", "is no server's address"),
        ("http://127.0.0.1:port/v1", "is no server's address"),
        ("ftp://127.0.0.1/v1", "is no server's address"),
        ("http://me:hush@127.0.0.1/v1", "without a user"),
        ("http://127.0.0.1/v1?key=hush", "without a user"),
    ],
)
def test_addresses_are_checked_and_their_secrets_not_repeated(address: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        ServerBackend(address, "tiny")
    assert "hush" not in str(caught.value)


# Failures -------------------------------------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(LlmError, match=r"connection refused; .*strata serve-llm MODEL") as caught:
        ServerBackend(address, retries=0)
    assert caught.value.again


def test_nobody_has_the_name() -> None:
    with pytest.raises(LlmError, match="cannot be reached: "):
        ServerBackend("http://no-such-host.invalid/v1", retries=0)


def test_a_server_without_encryption_is_told(server: Book) -> None:
    address = server.address.replace("http://", "https://")
    with pytest.raises(LlmError, match="no secure connection: "):
        ServerBackend(address, retries=0)


@pytest.mark.parametrize(
    ("status", "body", "said", "again"),
    [
        (400, {"error": {"message": "bad temperature"}}, "HTTP 400: bad temperature", False),
        (400, {"message": "This model's maximum context length is 512 tokens"}, "serve-llm --max-model-len", False),
        (400, {"error": {"message": "exceeds the available context size"}}, "serve-llm --max-model-len", False),
        (400, {"error": "response_format is not supported"}, "does not take JSON schemas", False),
        (422, {"detail": "unprocessable"}, "HTTP 422: unprocessable", False),
        (401, {"error": {"message": "no"}}, "asks for a key (HTTP 401); set STRATA_LLM_KEY or OPENAI_API_KEY", False),
        (403, b"", "asks for a key (HTTP 403)", False),
        (429, {"error": {"message": "slow down"}}, "too many requests, or no credit (HTTP 429): slow down", True),
        (500, {"error": {"message": "boom"}}, "HTTP 500: boom", True),
        (500, b"plain words", "HTTP 500: plain words", True),
        (502, b"<html><h1>Bad gateway</h1></html>", "HTTP 502", True),
        (503, b"\xff\xfe\x00" * 1000, "HTTP 503", True),
        (500, b"[" * 100_000, "HTTP 500", True),
        (500, {"error": {"message": ["a", "list"]}}, "HTTP 500", True),
        (500, {"error": {"message": "x" * 10_000}}, "xxx…", True),
        (400, {"error": {"message": "two\r\nlines \x1b[31mred"}}, "two lines [31mred", False),
        (400, {"error": {"code": "unsupported_parameter", "param": {"a": 1}}}, "HTTP 400", False),
        (418, b"null", "HTTP 418", False),
    ],
)
def test_every_status_has_its_line(server: Book, status: int, body: object, said: str, again: bool) -> None:
    server.reply = lambda handler, asked: handler.send(body, status=status)
    error = failure(server)
    assert said in str(error)
    assert error.again is again


def test_a_redirect_is_told_and_not_followed(server: Book) -> None:
    server.reply = lambda handler, asked: handler.send(b"", status=307, Location="http://elsewhere.invalid/v1")
    assert "HTTP 307: points elsewhere: http://elsewhere.invalid/v1" in str(failure(server))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "answered with an empty body"),
        (b"Hello there", 'answered with no JSON: "Hello there"'),
        (b"<!DOCTYPE html><html><body>Welcome</body></html>", "answered with a web page"),
        (b'{"choices": [{"mess', "answered with no JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "answered with no JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "answered with no JSON"),
        (b"9" * 10_000, "answered with no JSON"),
        (b"[1, 2]", "a JSON list and not a mapping"),
        (b"null", "a JSON NoneType and not a mapping"),
        (b"NaN", "a JSON float and not a mapping"),
        (b"\xff\xfe\x00\xd8", "answered with no JSON"),
        (b"{}", "answered without choices"),
        (b'{"choices": []}', "answered without choices"),
        (b'{"choices": null}', "answered without choices"),
        (b'{"choices": {"0": 1}}', "answered without choices"),
        (b'{"choices": [7]}', "answered without choices"),
        (b'{"choices": [{"message": "text"}]}', "answered without choices"),
        (b'{"error": {"message": "out of credit"}}', "answered without choices: out of credit"),
        (json.dumps(completion(None)).encode(), "answered without a text"),
        (json.dumps(completion(["a", "list"])).encode(), "answered without a text"),
        (
            json.dumps(completion(None, refusal="I cannot draw this.")).encode(),
            "the model refuses: I cannot draw this.",
        ),
        (json.dumps(completion("", finish="content_filter")).encode(), "content filter"),
        (json.dumps(completion('{"topic": "a f', finish="length")).encode(), "the answer was cut at 64 tokens"),
    ],
)
def test_every_unusable_body_has_its_line(server: Book, body: bytes, said: str) -> None:
    server.reply = lambda handler, asked: handler.send(body)
    assert said in str(failure(server))


def test_a_server_that_dies_in_mid_answer(server: Book) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices": [{"message":')
        handler.hang_up()

    server.reply = reply
    error = failure(server)
    assert "broke the connection off before the answer was complete" in str(error)
    assert error.again


def test_a_server_that_dies_in_mid_header(server: Book) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        handler.wfile.write(b"HTTP/1.1 200 O")
        handler.hang_up()

    server.reply = reply
    assert failure(server).again


def test_no_http_at_all(server: Book) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        handler.close_connection = True

    server.reply = reply
    assert "broke the connection off" in str(failure(server))


def test_a_server_that_never_answers(server: Book) -> None:
    server.reply = lambda handler, asked: time.sleep(1)
    error = failure(server, timeout=0.2)
    assert str(error).endswith(
        "did not answer within 0.2 s (a longer --llm-timeout or fewer questions at a time may help)"
    )
    assert "within 0.2 s 2 times in a row" in str(failure(server, timeout=0.2, retries=1))


def test_a_server_that_answers_drop_by_drop(server: Book) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    server.reply = reply
    start = time.monotonic()
    assert "did not answer within 0.3 s" in str(failure(server, timeout=0.3))
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("status", [200, 500])
def test_an_endless_answer_does_not_fill_the_memory(server: Book, status: int) -> None:
    sent = 0

    def reply(handler: Handler, asked: Asked) -> None:
        nonlocal sent
        handler.send_response(status)
        handler.send_header("Content-Length", str(2**40))
        handler.end_headers()
        while sent < 64 * LARGEST_BODY:
            sent += handler.wfile.write(b"x" * 2**16)

    server.reply = reply
    tracemalloc.start()
    error = failure(server, timeout=30.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ("larger than 4 MiB" if status == 200 else "HTTP 500: xxx") in str(error)
    assert peak < 6 * LARGEST_BODY
    assert sent < 8 * LARGEST_BODY


def test_a_small_packet_that_would_unpack_to_a_huge_one_stays_packed(server: Book) -> None:
    bomb = gzip.compress(b" " * 2**26)
    server.reply = lambda handler, asked: handler.send(bomb, Content_Encoding="gzip")
    tracemalloc.start()
    assert "answered with no JSON" in str(failure(server))
    assert tracemalloc.get_traced_memory()[1] < LARGEST_BODY
    tracemalloc.stop()
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


# The key stays secret -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
def test_the_key_shows_in_no_message_and_no_log(
    server: Book, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STRATA_LLM_KEY", KEY)
    said = f"key {KEY} is not known"
    server.reply = lambda handler, asked: handler.send({"error": {"message": said}}, status=status)
    with caplog.at_level(logging.DEBUG):
        error = failure(server)
    assert KEY not in str(error)
    assert KEY not in caplog.text
    assert error.__cause__ is None
    if status in (401, 403):
        assert f"refuses the key of STRATA_LLM_KEY (HTTP {status}): key *** is not known" in str(error)


def test_what_cannot_be_a_key_is_refused_unseen(server: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_LLM_KEY", "hush\nInjected: header")
    with pytest.raises(LlmError, match="STRATA_LLM_KEY: is no key") as caught:
        open_server(server)
    assert "hush" not in str(caught.value)


def _drip(handler: Handler, lines: bytes) -> None:
    """Sends a piece of raw HTTP again and again, a little at a time."""
    for _ in range(100):
        handler.wfile.write(lines)
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: a\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_headers_and_early_hints_have_no_more_time_than_the_answer(server: Book, start: bytes, drop: bytes) -> None:
    def reply(handler: Handler, asked: Asked) -> None:
        handler.wfile.write(start)
        _drip(handler, drop)

    server.reply = reply
    begin = time.monotonic()
    assert "did not answer within 0.4 s (" in str(failure(server, timeout=0.4))
    assert time.monotonic() - begin < 2.5


@pytest.mark.parametrize("header", ["Retry_After", "Retry_After_Ms"])
def test_what_a_server_asks_to_wait_is_within_the_time_too(server: Book, header: str) -> None:
    server.reply = lambda handler, asked: handler.send({}, status=503, **{header: "60"})
    begin = time.monotonic()
    assert "HTTP 503" in str(failure(server, timeout=0.5, retries=1))
    assert time.monotonic() - begin < 3
    assert len(server.asked) == 2
