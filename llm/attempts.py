"""A question is asked until its answer can be used, a few times at most; the model is told what was wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from strata.llm.errors import AnswerError, LlmError, PlanError
from strata.llm.protocol import Message, Question

T = TypeVar("T")


@dataclass
class Record:
    """What one dialogue took: for the plan's provenance."""

    attempts: int = 0
    repairs: list[str] = field(default_factory=list)


def usable(
    prompt: str, question: Question, read: Callable[[str], T], attempts: int, record: Record, form: str = "the JSON"
) -> Generator[Question, str | LlmError, T]:
    """Asks until an answer can be used, and returns what was read of it.

    Args:
        prompt: that is planned, for errors.
        question: as it is asked first.
        read: reads an answer; its `AnswerError` is told to the model.
        attempts: how often it is asked at most.
        record: counts the attempts.
        form: what a model is told to answer with.

    Raises:
        PlanError: no usable answer came.
    """
    asked, last = question, ""
    for attempt in range(attempts):
        record.attempts += 1
        reply = yield asked
        asked = replace(asked, temperature=0.7)
        if isinstance(reply, LlmError):
            if not reply.again or attempt == attempts - 1:
                raise PlanError(prompt, str(reply)) from reply
            continue
        try:
            return read(reply)
        except AnswerError as error:
            last = str(error)
            complaint = f"That answer cannot be used: {last}. Do the task again and answer with {form} alone."
            turns = Message("assistant", reply[:2000]), Message("user", complaint)
            asked = replace(asked, messages=(*question.messages, *turns))
    times = "one attempt" if attempts == 1 else f"{attempts} attempts"
    raise PlanError(prompt, f"no usable answer ({question.task}) in {times}; the last error: {last}")
