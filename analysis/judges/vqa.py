"""A vision-language model behind an OpenAI-compatible server: yes or no, by the probabilities of its first token.

As VQAScore (Lin et al. 2024, eq. 1) asks about whole pictures, each region's crop is asked about what the region's
texts ask for; P(yes) / (P(yes) + P(no)) of at least one half is right.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from strata.analysis.judges.protocol import Features, JudgedObject, JudgedPicture, areas_of, asked_of
from strata.hierarchy.plan import Box, ScenePlan
from strata.hierarchy.typeset import resized
from strata.llm.backends.server import ServerBackend
from strata.llm.errors import LlmError

QUESTIONS: Mapping[str, str] = {
    "kind": "Does this picture show a {}?",
    "colour": "Is the main object in this picture {}?",
    "surface": "Does the main object in this picture have a {} surface?",
    "style": "Is this picture drawn in {} style?",
    "high": "Does this picture show {}?",
    "full": "Does this picture show {}?",
    "low": 'Does this describe what the picture shows: "{}"?',
}
"""By attribute, or by level of a text."""
ONLY = " Answer with yes or no only."
TOKENS = 20
"""Of which the server is asked for probabilities: the most that OpenAI's interface allows."""
LEAST_SIDE = 224
"""Pixels of a crop's longer side at least; smaller ones are enlarged."""


class VqaJudge:
    """As right as the model behind the server is.

    Args:
        address: of the server, such as `http://127.0.0.1:8000/v1`; `#MODEL` behind it names one of several models.

    Raises:
        InputError: `address` is none.
        LlmError: no model is named, and the server does not have exactly one.
    """

    name = "vqa"
    error = "whose own error is not known"

    def __init__(self, address: str, **options: Any) -> None:
        server, _, model = address.partition("#")
        self.backend = ServerBackend(server, model or None, **options)
        self.settings: Mapping[str, Any] = {"vqa": self.backend.model}

    def check(self, plan: ScenePlan) -> None:
        """As of `Judge.check`."""
        areas_of(plan)

    def judge(self, picture: Image.Image, plan: ScenePlan) -> JudgedPicture:
        """As of `Judge.judge`; what is wrong is also asked for as the other regions have it."""
        boxes, asked = areas_of(plan, picture.size), asked_of(plan)
        crops = [_encoded(picture, box) for box in boxes]
        sure = self._answers([(crop, own) for crop, own in zip(crops, asked, strict=True)])
        right = [{name: value >= 0.5 for name, value in odds.items()} for odds in sure]
        objects = []
        for n, region in enumerate(plan.regions):
            leak = self._leak(crops[n], asked, n, right[n]) if len(asked) > 1 else None
            found = {name: value if right[n][name] else None for name, value in asked[n].items()}
            objects.append(JudgedObject(region.name, asked[n], right[n], found, sure[n], leak))
        return JudgedPicture(tuple(objects))

    def reference(self, plan: ScenePlan) -> Features | None:
        """None: the server gives no features."""
        return None

    def probability(self, crop: str, question: str) -> float:
        """Of yes among yes and no.

        Args:
            crop: a picture as a data URL.
            question: about it.

        Raises:
            LlmError: the server cannot be asked, gives no probabilities of tokens, or neither yes nor no is likely.
        """
        content = [
            {"type": "image_url", "image_url": {"url": crop}},
            {"type": "text", "text": question + ONLY},
        ]
        body = {
            "model": self.backend.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0.0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": TOKENS,
        }
        yes, no = self._first(self.backend.completion(body))
        if yes + no <= 0:
            raise LlmError(f"{self.backend.name}: neither yes nor no is among the likeliest answers to: {question}")
        return yes / (yes + no)

    def _first(self, data: Mapping[str, Any]) -> tuple[float, float]:
        """The probabilities of yes and of no as the first token, in any spelling."""
        try:
            likely = data["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            odds = [(str(one["token"]).strip().lower(), math.exp(float(one["logprob"]))) for one in likely]
        except (LookupError, TypeError, ValueError, OverflowError):
            message = "gives no probabilities of tokens (logprobs), by which answers are judged"
            raise LlmError(f"{self.backend.name}: {message}") from None
        return sum(p for token, p in odds if token == "yes"), sum(p for token, p in odds if token == "no")

    def _answers(self, asked: Sequence[tuple[str, Mapping[str, str]]]) -> list[dict[str, float]]:
        """The probability of every attribute of every crop; several questions are under way at a time."""
        flat = [(n, crop, name, value) for n, (crop, own) in enumerate(asked) for name, value in own.items()]
        with ThreadPoolExecutor(self.backend.concurrency) as pool:
            odds = pool.map(lambda one: self.probability(one[1], QUESTIONS[one[2]].format(one[3])), flat)
            found: list[dict[str, float]] = [{} for _ in asked]
            for (n, _, name, _), value in zip(flat, odds, strict=True):
                found[n][name] = value
        return found

    def _leak(self, crop: str, asked: Sequence[Mapping[str, str]], number: int, right: Mapping[str, bool]) -> bool:
        """Whether what is wrong is as another region has it."""
        own = asked[number]
        others = [
            (crop, {name: value})
            for name in (name for name, ok in right.items() if not ok)
            for value in dict.fromkeys(other[name] for other in asked if name in other and other[name] != own[name])
        ]
        return any(value >= 0.5 for odds in self._answers(others) for value in odds.values())


def _encoded(picture: Image.Image, box: Box) -> str:
    """A crop as a data URL of a PNG."""
    crop = picture.convert("RGB").crop(box)
    if (side := max(crop.size)) < LEAST_SIDE:
        crop = resized(crop, *(max(1, round(LEAST_SIDE * length / side)) for length in crop.size))
    data = io.BytesIO()
    crop.save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
