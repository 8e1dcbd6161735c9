"""What a planner asks of a language model, whichever way it is reached: messages and a JSON schema in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from strata.llm.errors import LlmError

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True)
class Question:
    """One request: a chat whose next turn shall be a JSON document of a schema, or any text."""

    task: str
    """What is asked for: layout, details, whole or caption; also the schema's name."""
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None
    """JSON schema of the answer; None where it is text in a form of the model's own."""
    temperature: float = 0.0
    max_tokens: int = 1024


class Backend(Protocol):
    """A way to a language model."""

    name: str
    """How the user names it: `miniature`, a server's address, `vllm:MODEL`."""
    model: str
    """Which model answers, as the plan's provenance records it."""
    concurrency: int
    """How many questions it takes at once; `ask` is called from that many threads."""
    batched: bool
    """Whether many questions should come in one call of `ask_many` instead of from threads."""
    base: Literal["prompt", "topic"]
    """What the plan's base prompt is: the user's own words, or the topic sentence of the answer (for image models that
    understand only the language of their planner)."""

    def check(self, prompt: str) -> None:
        """Raises `PlanError` where the model is known not to understand a prompt; names what it understands."""

    def ask(self, question: Question) -> str:
        """The answer's text. Raises `LlmError`."""
        answer = self.ask_many([question])[0]
        if isinstance(answer, LlmError):
            raise answer
        return answer

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The answers, in order."""

    def close(self) -> None:
        """Frees memory, of a GPU too. The backend is not used again."""


@runtime_checkable
class ReadsPrompts(Protocol):
    """A backend whose model is given prompts in words of its own."""

    def reads(self, prompt: str) -> tuple[str, list[str]]:
        """What a prompt describes in the words that the model is given, and the words of it that are passed over."""


@runtime_checkable
class Revised(Protocol):
    """A backend that changes while its name stays."""

    revision: str
    """What answers under the name now: plans kept from one revision are not handed out for another."""


def answer_of(backend: Backend, question: Question) -> str | LlmError:
    """The answer's text, or the error that came instead of it."""
    try:
        return backend.ask(question)
    except LlmError as error:
        return error
