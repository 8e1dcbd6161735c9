"""Questions of the planner, answered by the bundled model whichever way it is reached.

The model knows one form of question: what a whole prompt asks for, in the planner's own words (`words.read`), on a
canvas of a form. Every question of the planner is answered from that one answer: the layout and the details alike, and
what is known of regions already, to which the objects found are dealt out by the rule of `answers.settle`.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Box
from strata.llm.answer import MOST_REGIONS, Task, answer_form, json_schema
from strata.llm.backends.bundled.aligning import aligned
from strata.llm.backends.bundled.answers import Truth, caption, deal, right_answer
from strata.llm.backends.bundled.checks import fault, refusal, scene_of
from strata.llm.backends.bundled.composing import composed, parted
from strata.llm.backends.bundled.grammar.scene import Scene, order_of
from strata.llm.backends.bundled.placement import canvas_form
from strata.llm.backends.bundled.reading.vocabulary import (
    ARRANGED,
    CONNECT,
    PLACE_TOKENS,
    RELATIONS,
    VOCABULARY,
)
from strata.llm.backends.bundled.reading.words import read
from strata.llm.backends.bundled.retelling import laid_out, retold
from strata.llm.backends.bundled.world import (
    TONES,
    Backdrop,
    Thing,
    high_text,
    parse_backdrop,
    parse_style,
    parse_thing,
)
from strata.llm.errors import LlmError
from strata.llm.places import place_of
from strata.llm.protocol import Message, Question
from strata.llm.wording import Brief, Known

Ask = Callable[[Sequence[Question]], list[str | LlmError]]
KEPT = 256
"""Answers that are kept, so that the layout and the details of a prompt are one question to the model."""
LONGEST_ANSWER = 320
"""Tokens."""
_PLACED = frozenset((*PLACE_TOKENS, *RELATIONS, *ARRANGED, "on"))
_SCHEMA = json_schema(answer_form("whole"))


def whole_question(text: str, width: int, height: int) -> Question:
    """What the model is asked about a prompt in the planner's words."""
    brief = Brief("whole", text, width, height)
    return Question("whole", (Message("user", brief.text()),), _SCHEMA, max_tokens=LONGEST_ANSWER)


def is_of_the_planner(question: Question) -> bool:
    """Whether a question is of the planner's own form (`Brief.text`)."""
    return any(
        m.role == "user" and m.content.startswith("Task:") and "\nCanvas: " in m.content for m in question.messages
    )


class Asking:
    """Answers the planner's questions through the bundled model.

    Args:
        ask: puts whole questions (`whole_question`) to the model, many at once.
        again: puts one to it once more, for the answers that come next to its first; None where there is no way.
    """

    def __init__(self, ask: Ask, again: Callable[[Question], list[str]] | None = None) -> None:
        self._ask, self._again = ask, again
        self._kept: OrderedDict[str, Truth] = OrderedDict()
        self._lock = threading.Lock()

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The answers, in order."""
        briefs = [_read(question) for question in questions]
        wholes = {_whole(brief).key: _whole(brief) for brief in briefs if isinstance(brief, Brief)}
        with self._lock:
            found: dict[str, Truth | LlmError] = {key: self._kept[key] for key in wholes if key in self._kept}
        asked = {key: whole for key, whole in wholes.items() if key not in found}
        answers = self._ask([whole.question for whole in asked.values()]) if asked else []
        for (key, whole), text in zip(asked.items(), answers, strict=True):
            found[key] = text if isinstance(text, LlmError) else self._understood(whole, text)
        with self._lock:
            self._kept |= {key: truth for key, truth in found.items() if isinstance(truth, Truth)}
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [
            brief if isinstance(brief, LlmError) else self._answer(brief, found[_whole(brief).key]) for brief in briefs
        ]

    def _understood(self, whole: _Whole, text: str) -> Truth | LlmError:
        """The plan that an answer tells, or the first that agrees with the prompt: of the answers to the same scene in
        other words, then of the answers that come next to the first."""
        found = _checked(whole.text, text)
        if isinstance(found, str) and self._again is not None:
            found = next(self._others(whole), found)
        if isinstance(found, Truth):
            scene = scene_of(whole.text)[1]
            return found if isinstance(scene, str) else aligned(scene, found)
        return refused(
            f"the bundled planner did not get this prompt right: its answer {found}; name every object by itself, with"
            f' its place ("a blue star on the left and a blue star on the right"), or {CONNECT}'
        )

    def _others(self, whole: _Whole) -> Iterator[Truth]:
        """The plans that agree with the prompt: of further answers, then the one that is laid out by rule."""
        ground, scene = scene_of(whole.text)
        if isinstance(scene, str):
            return
        for text in self._retold(whole, scene):
            if isinstance(found := _checked(whole.text, text), Truth):
                yield found
        free, parts = parted(scene) or (scene, [(i,) for i in range(len(scene.things))])
        if free is not scene:
            for text in self._retold(whole, free):
                truth = truth_of(text)
                order = None if isinstance(truth, str) else order_of(free, truth)
                if isinstance(truth, Truth) and order is not None and truth.backdrop == ground:
                    yield from composed(scene, parts, [truth.boxes[i] for i in order], ground)
        for other in self._again(whole.question) if self._again is not None else ():
            if isinstance(found := _checked(whole.text, other), Truth):
                yield found
        if boxes := laid_out(free, canvas_form(whole.width, whole.height)):
            yield from composed(scene, parts, boxes, ground)

    def _retold(self, whole: _Whole, scene: Scene) -> list[str]:
        """The answers to a scene in other words."""
        ending = "".join(re.findall(r" \. background [^.]*[^. ]", f" {whole.text}"))
        if scene.style:
            ending += f" . style {scene.style}"
        texts = retold(scene, canvas_form(whole.width, whole.height))
        answers = self._ask([whole_question(text + ending, whole.width, whole.height) for text in texts])
        return [answer for answer in answers if isinstance(answer, str)]

    @staticmethod
    def _answer(brief: Brief, truth: Truth | LlmError) -> str | LlmError:
        if isinstance(truth, LlmError):
            return truth
        known = brief.regions
        count = brief.count if brief.count is not None else len(known) or None
        if count is not None and count != len(truth.things):
            return refused(
                f"{count} regions are asked for, but the prompt names {len(truth.things)} objects; {CONNECT}"
            )
        box, content = (not known or any(getattr(k, name) is None for k in known) for name in ("box", "content"))
        if known and not _own(known, truth):
            truth = deal(truth, _places(brief.prompt, truth), known, canvas_form(brief.width, brief.height))
        return answer_text(right_answer(brief.task, truth, box=box, content=content))


def answer_text(answer: dict[str, Any]) -> str:
    """An answer as it is written: JSON without spaces."""
    return json.dumps(answer, separators=(",", ":"))


def refused(message: str) -> LlmError:
    """The model is there, only not for this question."""
    return LlmError(message, answered=True)


@dataclass(frozen=True)
class _Whole:
    """All of a prompt, as the model is asked it."""

    text: str
    """In the planner's words."""
    width: int
    height: int

    @property
    def question(self) -> Question:
        return whole_question(self.text, self.width, self.height)

    @property
    def key(self) -> str:
        return self.question.messages[-1].content


def _whole(brief: Brief) -> _Whole:
    """The whole of a brief, with the style that is known beside the prompt."""
    text = read(brief.prompt).text
    if brief.style and (style := parse_style(read_style(brief.style))):
        text = re.sub(r" \. style \w+$", "", text) + f" . style {style}"
    return _Whole(text, brief.width, brief.height)


def read_style(style: str) -> str:
    """A style that is given beside a prompt, in the planner's words; "" where it has none."""
    text = read(f"a circle. style: {style}").text
    return text.rsplit("style ", 1)[1] if "style " in text else " ".join(w for w in text.split() if parse_style(w))


_REGION = re.compile(r"Region \d+(?:: [a-z ]+ \[([\d, ]+)\])?(?:: (.*))?")


def _read(question: Question) -> Brief | LlmError:
    """What is asked, or why it cannot be answered."""
    turns = [m.content for m in question.messages if m.role == "user" and m.content.startswith("Task:")]
    lines = turns[-1].splitlines() if is_of_the_planner(question) else []
    prompts = [line for line in lines if line.startswith("Prompt: ")]
    try:
        prompt = json.loads(prompts[-1].removeprefix("Prompt: "))
    except (IndexError, ValueError):
        return refused("the bundled planner answers questions of the planner's own form only")
    if reason := refusal(prompt):
        return refused(f"{reason}; {CONNECT}")
    styles = [line.removeprefix("Style: ") for line in lines if line.startswith("Style: ")]
    for style in styles:
        if not parse_style(read_style(style)):
            reason = read(f"a circle. style: {style}").refusal or f'the bundled planner does not know "{style}"'
            return refused(f"the style: {reason}; {CONNECT}")
    known = tuple(_known(match) for line in lines if (match := _REGION.fullmatch(line)))
    for region in known:
        if region.content and (reason := read(region.content).refusal):
            return refused(f'the region "{region.content}": {reason}; {CONNECT}')
    counts = [int(line.split()[1]) for line in lines if re.fullmatch(r"Regions: \d+", line)]
    width, height = lines[1].removeprefix("Canvas: ").split("x")
    task = cast(Task, lines[0].removeprefix("Task: "))
    return Brief(
        task, prompt, int(width), int(height), counts[0] if counts else None, known, styles[0] if styles else None
    )


def _known(match: re.Match[str]) -> Known:
    corners = [int(number) for number in match[1].split(",")] if match[1] else None
    return Known((corners[0], corners[1], corners[2], corners[3]) if corners else None, match[2])


def _checked(prompt: str, text: str) -> Truth | str:
    """The plan that an answer tells, or why it is not to be trusted."""
    truth = truth_of(text)
    if isinstance(truth, str):
        return truth
    return fault(prompt, truth) or truth


def truth_of(text: str) -> Truth | str:
    """The plan that a whole answer tells; in words where it tells none."""
    try:
        data = json.loads(text)
        objects = data["objects"]
        if not 0 < len(objects) <= MOST_REGIONS:
            return f"tells {len(objects)} objects"
        style = parse_style(data["style"]) if data["style"] else None
        things, boxes = [], []
        for item in objects:
            told = ", ".join(w for w in (item["content"], item["colour"], item["texture"], item["other"]) if w)
            thing = parse_thing(told)
            things.append(
                Thing(
                    thing.kind, thing.colour, thing.surface, None if thing.style == style else thing.style, thing.size
                )
            )
            x1, y1, x2, y2 = item["box"]
            box: Box = (x1, y1, x2, y2)
            if not (x1 < x2 and y1 < y2):
                return f"has an empty box: {list(box)}"
            boxes.append(box)
        behind = parse_backdrop(data["background"])
        tone = next((w for w in re.findall(r"[a-z]+", data["background_detail"]) if w in TONES), None)
    except (InputError, ValueError, KeyError, TypeError) as error:
        return f"cannot be read: {error}"
    truth = Truth(tuple(things), tuple(boxes), Backdrop(behind.pattern, tone, behind.setting), style)
    topic = caption(truth)
    lost = Counter(_telling(topic)) - Counter(_telling(data["topic"]))
    more = Counter(_telling(data["topic"])) - Counter(_telling(topic))
    if lost or more:
        return f"tells two scenes: {' '.join([*lost, *more])} is in one of them only"
    return Truth(truth.things, truth.boxes, truth.backdrop, style, topic)


def _telling(text: str) -> list[str]:
    """The words of a caption that describe what is seen."""
    words = re.findall(r"[a-z]+", text.lower())
    return [
        w
        for w in words
        if w in VOCABULARY
        and w
        not in (
            "a",
            "and",
            "in",
            "on",
            "at",
            "the",
            "is",
            "top",
            "left",
            "right",
            "bottom",
            "center",
            "corner",
            "behind",
            "front",
        )
    ]


def _own(known: Sequence[Known], truth: Truth) -> bool:
    """Whether what is known is the plan itself: the regions of the layout, in their order."""
    told = [(box, high_text(thing)) for box, thing in zip(truth.boxes, truth.things, strict=True)]
    return [(k.box, k.content) for k in known] == told


def _places(prompt: str, truth: Truth) -> list[str | None]:
    """Where things stand, by the model's answer, where the prompt says anything about it."""
    if not _PLACED & set(read(prompt).tokens):
        return [None] * len(truth.boxes)
    places = [place_of(box) for box in truth.boxes]
    return [None if place == "everywhere" else place for place in places]
