"""The bundled planner with a model that says what a test tells it: everything around the model is the real thing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from strata.llm.backends.bundled.answers import ScenePrompt, Truth, right_answer, settle
from strata.llm.backends.bundled.asking import Asking, answer_text
from strata.llm.backends.bundled.backend import BundledBackend
from strata.llm.backends.bundled.reading.words import read
from strata.llm.errors import LlmError
from strata.llm.protocol import Question


class ToldBackend(BundledBackend):
    """Knows the answers to some prompts; its model is never loaded."""

    def __init__(self) -> None:
        super().__init__()
        self._asking = Asking(self._write)
        self.told: dict[tuple[str, str], str] = {}
        self.asked: list[Question] = []

    def tell(self, prompt: str, truth: Truth, width: int = 128, height: int = 128) -> None:
        """The answer to a prompt on a canvas."""
        self.told[read(prompt).text, f"{width}x{height}"] = answer_text(right_answer("whole", truth))

    def tell_scene(self, scene: ScenePrompt, width: int = 128, height: int = 128) -> None:
        """The right answer to a prompt of `random_prompt`."""
        self.tell(scene.prompt, settle(scene, width, height), width, height)

    def _write(self, questions: Sequence[Question]) -> list[str | LlmError]:
        self.asked += questions
        answers: list[str | LlmError] = []
        for question in questions:
            lines = question.messages[-1].content.splitlines()
            key = json.loads(lines[-1].removeprefix("Prompt: ")), lines[1].removeprefix("Canvas: ")
            answers.append(self.told[key])
        return answers
