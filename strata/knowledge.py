"""What a small model was trained on, as `strata.json` in its folder says: beyond that it draws something else."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from strata.hierarchy.errors import did_you_mean, quote
from strata.hierarchy.file_model import NUMBER, FileModel, StrictModel, Text
from strata.hierarchy.plan import LARGEST_SIDE, ScenePlan
from strata.native import FORMS
from strata.settings import Name, Steps, UsedDtype

FILE = "strata.json"
_WORD = re.compile(r"<\d>|\w[\w'-]*")
OTHER = "other"
"""The group of words that a message does not list."""


def _is_form(name: str) -> str:
    if name not in FORMS:
        raise ValueError(f"{did_you_mean(name, list(FORMS))}must be one of {', '.join(FORMS)}")
    return name


Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE), NUMBER]


class Sizes(StrictModel):
    """Sides of canvases, in pixels."""

    smallest: Side
    largest: Side
    default: Side


class Knowledge(FileModel):
    """What a model knows. Raises `InputError` on loading, with file, line and field."""

    sizes: Sizes
    """That were trained."""
    steps: Annotated[Steps, NUMBER]
    """Where none are asked for."""
    text_tokens: Annotated[int, Field(ge=1), NUMBER]
    """Of a text at most."""
    dtype: UsedDtype | None = None
    """Where none is asked for; None: what suits the device."""
    captions: Annotated[Name, AfterValidator(_is_form)] | None = None
    """The form of the structured captions (`strata.native.FORMS`) that it was trained on as well; None: none."""
    vocabulary: Mapping[str, tuple[Text, ...]]
    """Its words, by groups such as "kinds"; those in "other" are words between them."""

    def complaints(self, plan: ScenePlan, model: str) -> Iterator[str]:
        """What of a plan the model was not trained for, a sentence each: areas, levels, words, and what is known."""
        sizes = self.sizes
        if min(plan.width, plan.height) < sizes.smallest or max(plan.width, plan.height) > sizes.largest:
            trained = f"{sizes.smallest}x{sizes.smallest} to {sizes.largest}x{sizes.largest}"
            yield f"canvas {plan.width}x{plan.height}: model {model} was trained on {trained} pixels only"
        known = {word for words in self.vocabulary.values() for word in words}
        unknown: dict[str, list[str]] = {}
        for place, text in _texts(plan):
            words = _WORD.findall(text.lower())
            for word in dict.fromkeys(words):
                if word not in known:
                    unknown.setdefault(word, []).append(place)
            tokens = len(words) + len(re.findall(r"[,.:;]", text)) + 1
            if tokens > self.text_tokens:
                yield f"{place}: {tokens} tokens; model {model} hears the first {self.text_tokens}"
        if unknown:
            named = "; ".join(f"{quote(word)} ({', '.join(places)})" for word, places in unknown.items())
            groups = "; ".join(f"{name} {', '.join(words)}" for name, words in self.vocabulary.items() if name != OTHER)
            yield f"model {model} does not know {named}. It knows {groups}"


def _texts(plan: ScenePlan) -> Iterator[tuple[str, str]]:
    """Every text that is heard, and where it stands."""
    yield "prompt", plan.prompt
    if plan.negative_prompt is not None:
        yield "negative_prompt", plan.negative_prompt
    for description in plan.descriptions():
        yield f"{description.area} {description.level}", description.text
