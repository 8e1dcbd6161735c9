"""A backend whose answers a test decides; by default it knows the objects that a prompt names between its "and"s."""

import json
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from strata.llm.errors import LlmError
from strata.llm.protocol import Question

Answer = Callable[[Question], str]


def brief_of(question: Question) -> str:
    """The user turn that tells the task."""
    return next(m.content for m in reversed(question.messages) if m.content.startswith("Task: "))


def prompt_of(question: Question) -> str:
    """The prompt that a question is about."""
    prompt: str = json.loads(brief_of(question).split("\nPrompt: ", 1)[1])
    return prompt


def sensible(question: Question) -> str:
    """An answer that fits its question: objects side by side, without any detail."""
    brief, prompt = brief_of(question), prompt_of(question)
    told = re.search(r"^Regions: (\d+)$", brief, re.MULTILINE)
    contents = prompt.split(" and ")
    if question.task == "details":
        contents = re.findall(r"^Region \d+: .*$", brief, re.MULTILINE)
    elif told is not None:
        contents = (contents * int(told[1]))[: int(told[1])]
    step = 1000 // max(len(contents), 1)
    boxes = [[i * step, 100, (i + 1) * step, 900] for i in range(len(contents))]
    detail = dict.fromkeys(("colour", "material", "texture", "other"), "")
    look = dict.fromkeys(("light", "medium", "style"), "")
    if question.task == "details":
        return json.dumps({"objects": [detail for _ in contents], "background": "", **look})
    objects = [{"content": text, "box": box} for text, box in zip(contents, boxes, strict=True)]
    answer: dict[str, object] = {"topic": prompt, "objects": objects, "background": ""}
    if question.task == "whole":
        answer |= {"objects": [o | detail for o in objects], "background_detail": "", **look}
    return json.dumps(answer)


def in_turn(*replies: str | dict[str, Any] | LlmError) -> Answer:
    """One reply after the other, whatever is asked."""
    left = list(replies)

    def answer(question: Question) -> str:
        reply = left.pop(0)
        if isinstance(reply, LlmError):
            raise reply
        return reply if isinstance(reply, str) else json.dumps(reply)

    return answer


def layout(*objects: tuple[str, list[int]], background: str = "", topic: str = "") -> dict[str, Any]:
    """The answer to a layout question."""
    found = [{"content": content, "box": box} for content, box in objects]
    return {"topic": topic, "objects": found, "background": background}


def details(*objects: dict[str, str], background: str = "", **style: str) -> dict[str, Any]:
    """The answer to a details question."""
    none = dict.fromkeys(("colour", "material", "texture", "other"), "")
    look = dict.fromkeys(("light", "medium", "style"), "") | style
    return {"objects": [none | found for found in objects], "background": background, **look}


class ScriptedBackend:
    """Answers what a function says, and counts."""

    def __init__(self, answer: Answer = sensible, *, concurrency: int = 4, batched: bool = False) -> None:
        self.name, self.model = "scripted", "script-1"
        self.concurrency, self.batched = concurrency, batched
        self.base: Literal["prompt", "topic"] = "prompt"
        self.answer = answer
        self.questions: list[Question] = []
        self.asked: list[str] = []
        """The prompt of every question."""
        self.at_once = 0
        """The most questions under way together."""
        self.closed = False
        self._open = 0
        self._lock = threading.Lock()

    def check(self, prompt: str) -> None:
        """Understands everything."""

    def ask(self, question: Question) -> str:
        with self._lock:
            self.questions.append(question)
            self.asked.append(prompt_of(question))
            self._open += 1
            self.at_once = max(self.at_once, self._open)
        try:
            return self.answer(question)
        finally:
            with self._lock:
                self._open -= 1

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        self.at_once = max(self.at_once, len(questions))
        answers: list[str | LlmError] = []
        for question in questions:
            self.questions.append(question)
            self.asked.append(prompt_of(question))
            try:
                answers.append(self.answer(question))
            except LlmError as error:
                answers.append(error)
        return answers

    def close(self) -> None:
        self.closed = True
