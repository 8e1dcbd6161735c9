"""Language models behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, a hosted one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import openai

from strata.hierarchy.errors import InputError, shortened
from strata.llm.backends.bounds import BoundedBody, Watch
from strata.llm.backends.bundled import MINIATURE
from strata.llm.backends.bundled.asking import Asking, is_of_the_planner
from strata.llm.backends.bundled.checks import check_prompt
from strata.llm.backends.bundled.reading.words import read
from strata.llm.errors import LlmError
from strata.llm.protocol import Question, answer_of

KEY_VARIABLES = ("STRATA_LLM_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first that is set counts."""
LARGEST_BODY = 4 * 2**20
"""Bytes of one answer; whatever is longer is not read."""
RETRIES = 2
"""Of one question, by the library, after dropped connections, time-outs, 408, 409, 429 and 5xx."""
_LONGEST_REASON = 300
_MOST_NAMES = 8


class ServerBackend:
    """A model of an OpenAI-compatible server. Thread-safe.

    Args:
        address: of the API, such as `http://127.0.0.1:8000/v1`.
        model: which of the server's models; None takes its only one.
        key: None takes the first of `KEY_VARIABLES` that the environment has, else none is sent.
        timeout: seconds for a request and its whole answer, each of the 1 + `RETRIES` times that a question is sent;
            what the server asks to wait between them (`Retry-After`) counts too.
        concurrency: questions under way at the same time.
        retries: how often a question is sent again.

    Raises:
        InputError: `address` is none.
        LlmError: no model is given, and the server does not have exactly one.
    """

    batched = False

    def __init__(
        self,
        address: str,
        model: str | None = None,
        *,
        key: str | None = None,
        timeout: float = 120.0,
        concurrency: int = 16,
        retries: int = RETRIES,
    ) -> None:
        self.name = _address(address)
        self.concurrency = concurrency
        self._timeout, self._tries = timeout, 1 + retries
        self._key_variable, self._key = (None, key) if key else _key_of_environment()
        self._unsupported: dict[str, str | None] = {}
        """Parameters that the server refused by name, and what takes their place."""
        self._client = openai.OpenAI(
            base_url=self.name,
            api_key=self._key or "none",
            max_retries=retries,
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultHttpxClient(
                timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
                limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=0),  # see `Watch`
                follow_redirects=False,
                event_hooks={"request": [partial(Watch, seconds=timeout)], "response": [self._bound]},
            ),
        )
        try:
            self.model = model or self._only_model()
        except BaseException:
            self.close()
            raise
        self.base: Literal["prompt", "topic"] = "topic" if self.model == MINIATURE else "prompt"
        self._asking = Asking(self._answers) if self.model == MINIATURE else None

    def check(self, prompt: str) -> None:
        """Takes every prompt; where the model is the bundled planner, those that it understands."""
        if self.model == MINIATURE:
            check_prompt(prompt)

    def reads(self, prompt: str) -> tuple[str, list[str]]:
        """The prompt as it is; where the model is the bundled planner, in that one's words."""
        if self._asking is None:
            return prompt, []
        reading = read(prompt)
        return reading.content, list(reading.ignored)

    def ask(self, question: Question) -> str:
        """The answer's text, as it came; the bundled planner's in the form that is asked for. Raises `LlmError`."""
        if self._asking is None or not is_of_the_planner(question):
            return self._answer(question)
        answer = self._asking.ask_many([question])[0]
        if isinstance(answer, LlmError):
            raise answer
        return answer

    def _answers(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """To several questions, one after the other; or why there is none."""
        answers: list[str | LlmError] = []
        for question in questions:
            try:
                answers.append(self._answer(question))
            except LlmError as error:
                answers.append(error)
        return answers

    def _answer(self, question: Question) -> str:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in question.messages],
            "temperature": question.temperature,
            "max_tokens": question.max_tokens,
        }
        if question.schema is not None:
            schema = {"name": question.task, "schema": dict(question.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        else:  # as diffusers asks the prompt upsampler of FLUX.3
            body["extra_body"] = {"chat_template_kwargs": {"enable_thinking": False}}
        return self._text(self.completion(body), question)

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """A chat completion as the server sends it, whatever its messages hold, such as pictures.

        Args:
            body: of the request, as OpenAI documents it; `model` is one of the server's.

        Raises:
            LlmError: the server cannot be asked, or refuses.
        """
        create = self._client.chat.completions.with_raw_response.create
        try:
            reply = self._call(lambda: create(**self._accepted(body)).http_response)
        except openai.BadRequestError as error:
            if not self._learn(error, body):
                raise self._error(error) from None
            try:
                reply = self._call(lambda: create(**self._accepted(body)).http_response)
            except openai.APIStatusError as again:
                raise self._error(again) from None
        except openai.APIStatusError as error:
            raise self._error(error) from None
        return self._json(reply)

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The answers, in order; `concurrency` questions are under way at a time."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(partial(answer_of, self), questions))

    def models(self) -> list[str]:
        """The names of the server's models. Raises `LlmError`."""
        list_models = self._client.models.with_raw_response.list
        try:
            listing = self._json(self._call(lambda: list_models().http_response))
        except openai.APIStatusError as error:
            raise self._error(error, listing=True) from None
        entries = listing.get("data")
        names = [entry.get("id") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        return [name for name in names if isinstance(name, str) and name]

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _only_model(self) -> str:
        names = self.models()
        if len(names) == 1:
            return names[0]
        if not names:
            raise self._problem("lists no model; name one (--llm-model)")
        raise self._problem(f"has several models; name one (--llm-model): {_some(names)}")

    def _accepted(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body without the parameters that the server refused, or under the names it takes."""
        names = {key: self._unsupported.get(key, key) for key in body}
        return {name: body[key] for key, name in names.items() if name is not None}

    def _learn(self, error: openai.BadRequestError, body: dict[str, Any]) -> bool:
        """Whether a refused parameter can be done without: newer hosted models take some under other names, or not."""
        instead = {"max_tokens": "max_completion_tokens", "temperature": None}
        name = str(error.param)
        if error.code not in ("unsupported_parameter", "unsupported_value") or name not in instead:
            return False
        if name not in self._accepted(body):
            return False
        self._unsupported[name] = instead[name]
        return True

    def _bound(self, response: httpx2.Response) -> None:
        """Before a body is read: bounds its length and the time it takes, and leaves compressed ones packed."""
        response.headers.pop("Content-Encoding", None)
        Watch.of(response.request).bound_retry(response.headers)
        response.stream = BoundedBody(response, LARGEST_BODY)

    def _call(self, send: Callable[[], httpx2.Response]) -> httpx2.Response:
        """Sends. Raises `LlmError`, and `openai.APIStatusError` as it comes."""
        try:
            return send()
        except openai.APIStatusError:
            raise
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise self._problem("cannot be reached: no connection in time", again=True) from None
            if isinstance(error, openai.APITimeoutError) or Watch.of(error.request).expired:
                times = f"{self._tries} times in a row " if self._tries > 1 else ""
                hint = "a longer --llm-timeout or fewer questions at a time may help"
                raise self._problem(f"did not answer within {self._timeout:g} s {times}({hint})") from None
            raise self._unreachable(error) from None
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError) as error:
            raise self._problem(f"cannot be asked: {self._clean(error) or type(error).__name__}") from None

    def _unreachable(self, error: openai.APIConnectionError) -> LlmError:
        cause = error.__cause__
        text = self._clean(cause or error)
        if isinstance(cause, httpx2.ReadError | httpx2.WriteError | httpx2.RemoteProtocolError):
            return self._problem(f"broke the connection off before the answer was complete ({text})", again=True)
        if "refused" in text.lower():
            return self._problem(
                "connection refused; is a server running there? (strata serve-llm MODEL starts one)", again=True
            )
        if "ssl" in text.lower():
            return self._problem(f"no secure connection: {text} (is the server one for http:// addresses?)")
        return self._problem(f"cannot be reached: {text}", again=True)

    def _error(self, error: openai.APIStatusError, *, listing: bool = False) -> LlmError:
        """What a status other than 200 means."""
        status, reason = error.status_code, self._server_reason(error)
        because = f": {reason}" if reason else ""
        if status in (401, 403):
            if self._key is None:
                return self._problem(f"asks for a key (HTTP {status}); set {' or '.join(KEY_VARIABLES)}")
            which = f" of {self._key_variable}" if self._key_variable else ""
            return self._problem(f"refuses the key{which} (HTTP {status}){because}")
        if status < 400:
            return self._problem(
                f"HTTP {status}: points elsewhere: {self._clean(error.response.headers.get('Location'))}"
            )
        if status == 404:
            return self._not_found(because, listing)
        if status == 429:
            return self._problem(f"too many requests, or no credit (HTTP 429){because}", again=True)
        if status >= 500:
            return self._problem(f"HTTP {status}{because}", again=True)
        low = reason.lower()
        hint = ""
        if "context" in low and ("length" in low or "size" in low or "token" in low):
            longer = "serve the model with a longer context: strata serve-llm --max-model-len"
            return self._problem(f"HTTP {status}{because} ({longer})", answered=True)
        if any(word in low for word in ("response_format", "json_schema", "grammar", "structured output")):
            hint = " (the server or the model does not take JSON schemas)"
        return self._problem(f"HTTP {status}{because}{hint}")

    def _not_found(self, because: str, listing: bool) -> LlmError:
        address = f"HTTP 404{because} (such addresses end in /v1, mostly)"
        if listing:
            return self._problem(address)
        try:
            names = self.models()
        except LlmError:
            return self._problem(address)
        if self.model in names:
            return self._problem(f"HTTP 404{because}")
        return self._problem(f'has no model "{self.model}"; its models: {_some(names) or "none"}')

    def _json(self, response: httpx2.Response) -> dict[str, Any]:
        """The body as a mapping. Raises `LlmError`."""
        raw = response.content
        if len(raw) > LARGEST_BODY:
            raise self._problem(f"the answer is larger than {LARGEST_BODY // 2**20} MiB")
        try:
            data = json.loads(raw)
        except (ValueError, RecursionError):
            start = self._clean(raw[:2000].decode(errors="replace"))[:60]
            page = start.lower().startswith(("<!doctype", "<html"))
            what = "a web page" if page else f'no JSON: "{start}"' if start else "an empty body"
            hint = " (is the address right? such addresses end in /v1, mostly)" if page else ""
            raise self._problem(f"answered with {what}{hint}", again=not page) from None
        if not isinstance(data, dict):
            raise self._problem(f"answered with a JSON {type(data).__name__} and not a mapping", again=True)
        return data

    def _text(self, data: dict[str, Any], question: Question) -> str:
        """The text of a chat completion. Raises `LlmError`."""
        choices = data.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or not isinstance(message := choice.get("message"), dict):
            given = self._message(data)
            raise self._problem(f"answered without choices{f': {given}' if given else ''}", again=True)
        if refusal := message.get("refusal"):
            raise self._problem(f"the model refuses: {self._clean(refusal)}", answered=True)
        reason = choice.get("finish_reason")
        if reason == "content_filter":
            raise self._problem("the answer was held back by the server's content filter", answered=True)
        if reason == "length":
            raise self._problem(f"the answer was cut at {question.max_tokens} tokens", again=True, answered=True)
        text = message.get("content")
        if not isinstance(text, str):
            raise self._problem("answered without a text", again=True, answered=True)
        return text.encode(errors="replace").decode()  # a lone surrogate, which JSON can spell, becomes "?"

    def _server_reason(self, error: openai.APIStatusError) -> str:
        """The reason that a server gives for a status: {"error": {"message": …}}, {"message": …} or plain text."""
        try:
            data = json.loads(error.response.content)
        except (ValueError, RecursionError):
            data = error.response.content[:2000].decode(errors="replace")
        if isinstance(data, str):
            text = self._clean(data)
            return "" if text.startswith("<") else text
        return self._message(data) if isinstance(data, dict) else ""

    def _message(self, data: dict[str, Any]) -> str:
        inner = data.get("error", data)
        reason = inner.get("message", inner.get("detail")) if isinstance(inner, dict) else inner
        return self._clean(reason) if isinstance(reason, str) else ""

    def _clean(self, text: object) -> str:
        """Somebody else's words on one line, short, printable, and never with the key in them."""
        words = str(text)
        if self._key:
            words = words.replace(self._key, "***")
        words = "".join(character if character.isprintable() else " " for character in words[:4000])
        words = " ".join(words.split())
        return shortened(words, _LONGEST_REASON)

    def _problem(self, message: str, *, again: bool = False, answered: bool = False) -> LlmError:
        return LlmError(f"{self.name}: {message}", again=again, answered=answered)


def _address(address: str) -> str:
    """A server's address, checked. Raises `InputError`."""
    try:
        parts = urlsplit(address)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        port_is_right = False
    if not port_is_right or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{address}: is no server's address; must be such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        bare = f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}{parts.path}"
        keys = " or ".join(KEY_VARIABLES)
        raise InputError(f"{bare}: must be given without a user, a password and a ?query; a key is read from {keys}")
    return address.rstrip("/")


def _key_of_environment() -> tuple[str | None, str | None]:
    """The variable that holds a key, and the key. Raises `LlmError`."""
    for variable in KEY_VARIABLES:
        if key := os.environ.get(variable, "").strip():
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise LlmError(f"{variable}: is no key; must be ASCII without spaces")
            return variable, key
    return None, None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(" ".join(name.split())[:100] for name in names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown
