"""A backend of scripted answers: the planner's own protocol, not a library's mock."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from strata.llm.errors import LlmError
from strata.llm.protocol import Question

Reply = str | dict[str, Any] | LlmError


class Scripted:
    """Answers questions from a list, or with a function of the question; keeps what it was asked."""

    name, model, batched = "scripted", "none", False
    base: Literal["prompt", "topic"] = "prompt"

    def __init__(self, *replies: Reply, by: Callable[[Question], Reply] | None = None, concurrency: int = 1) -> None:
        self.replies, self.by, self.concurrency = list(replies), by, concurrency
        self.asked: list[Question] = []
        self.closed = False
        self._lock = threading.Lock()

    def check(self, prompt: str) -> None:
        pass

    def ask(self, question: Question) -> str:
        with self._lock:
            self.asked.append(question)
            reply = self.by(question) if self.by else self.replies.pop(0)
        if isinstance(reply, LlmError):
            raise reply
        return reply if isinstance(reply, str) else json.dumps(reply)

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        answers: list[str | LlmError] = []
        for question in questions:
            try:
                answers.append(self.ask(question))
            except LlmError as error:
                answers.append(error)
        return answers

    def close(self) -> None:
        self.closed = True


def layout(*objects: tuple[str, list[int]], background: str = "", topic: str = "") -> dict[str, Any]:
    """The answer to a layout question."""
    found = [{"content": content, "box": box} for content, box in objects]
    return {"topic": topic, "objects": found, "background": background}


def details(*objects: dict[str, str], background: str = "", **style: str) -> dict[str, Any]:
    """The answer to a details question."""
    none = dict.fromkeys(("colour", "material", "texture", "other"), "")
    look = dict.fromkeys(("light", "medium", "style"), "") | style
    return {"objects": [none | found for found in objects], "background": background, **look}
