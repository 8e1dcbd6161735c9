"""From a prompt to a plan: what a language model is asked, coarse to fine, and what is made of its answers."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import LARGEST_SIDE, LEVELS, RESERVED_NAMES, ScenePlan, Texts
from strata.llm import upsampling
from strata.llm.answer import MOST_REGIONS, answer_form, json_schema
from strata.llm.attempts import Record, usable
from strata.llm.draft import Draft, DraftRegion
from strata.llm.errors import AnswerError, LlmError, PlanError
from strata.llm.grounding import content_words, lacking
from strata.llm.instructions import Instructions
from strata.llm.places import to_pixels
from strata.llm.protocol import Backend, Question, ReadsPrompts, Revised, answer_of
from strata.llm.reading import Answer, Found, read_answer
from strata.llm.wording import Brief, Known

LONGEST_PROMPT = 4000
"""Characters."""
FORMS = ("flux3",)
Dialogue = Generator[Question, "str | LlmError", ScenePlan]
"""Yields questions, is sent the text of each answer or the error there was instead, returns the plan."""
_SETTLED = Draft()


@dataclass(frozen=True)
class Request:
    """One prompt to be planned.

    Raises:
        InputError: a canvas, a number of regions or a draft that cannot be.
    """

    prompt: str
    width: int
    """Pixels."""
    height: int
    draft: Draft | None = None
    """What is known already."""
    regions: int | None = None
    """Exactly so many; None leaves it to the model, or to the draft."""
    style: str | None = None
    """Of the whole image, known already."""

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            side = getattr(self, name)
            if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
                raise InputError(f"{name}: {side!r}: must be a whole number from 1 to {LARGEST_SIDE}")
        if self.regions is not None and not 1 <= self.regions <= MOST_REGIONS:
            raise InputError(f"regions: {self.regions}: must be from 1 to {MOST_REGIONS}")
        if self.draft is not None:
            if self.regions is not None and self.regions < len(self.draft.regions):
                raise InputError(f"regions: {self.regions}: the draft alone has {len(self.draft.regions)}")
            if self.style and self.draft.style:
                raise InputError("style: told by the draft already; leave one of them out")
            self.draft.known(self.width, self.height)

    @property
    def count(self) -> int | None:
        """The number of regions, where it is settled."""
        return self.regions or (len(self.draft.regions) if self.draft and self.draft.regions else None)

    def as_data(self) -> dict[str, Any]:
        """Everything that decides the plan."""
        draft = self.draft.as_data() if self.draft else None
        return {
            "prompt": self.prompt,
            "canvas": [self.width, self.height],
            "draft": draft,
            "regions": self.regions,
            "style": self.style,
        }


class Planner:
    """Plans scenes with a language model.

    Two questions a prompt, coarse to fine: first the high level (topic, objects, where each stands, background), then
    the low level (each object's colour, material and texture; the light, medium and style of the whole), each grounded
    in the prompt; or one question for both.

    Args:
        backend: the way to the model; `strata.llm.backends.open_backend` makes one from a name.
        instructions: system texts and worked examples; the bundled ones where nothing is given.
        one_call: ask for both levels at once.
        attempts: how often a question is asked before the prompt is given up.
        form: "flux3" for FLUX.3's prompt upsampler, which is asked and answers in a form of its own
            (`upsampling.py`); None for any other model.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        instructions: Instructions | None = None,
        one_call: bool = False,
        attempts: int = 3,
        form: str | None = None,
    ) -> None:
        if attempts < 1:
            raise InputError(f"attempts: {attempts}: must be at least 1")
        if form not in (None, *FORMS):
            raise InputError(f"form: {form!r}: must be {' or '.join(FORMS)}, or None")
        self.backend, self.one_call, self.attempts, self.form = backend, one_call, attempts, form
        self.instructions = instructions or Instructions.load()

    def plan(
        self,
        prompt: str,
        width: int,
        height: int,
        *,
        draft: Draft | None = None,
        regions: int | None = None,
        style: str | None = None,
    ) -> ScenePlan:
        """The plan of one prompt on a canvas of `width` × `height` pixels.

        Its `provenance` holds the prompt, the model, the instructions, the repairs made, the words that descriptions
        invent (`invented`), the words of the prompt that no description carries (`missing`), and those that the model
        was not given, as they mean nothing to it (`ignored`).

        Raises:
            InputError: a canvas, a number of regions or a draft that cannot be.
            PlanError: no usable answer; names the prompt and the last error.
        """
        dialogue = self.dialogue(Request(prompt, width, height, draft, regions, style))
        try:
            question = next(dialogue)
            while True:
                question = dialogue.send(answer_of(self.backend, question))
        except StopIteration as end:
            plan: ScenePlan = end.value
            return plan

    def key(self, request: Request) -> str:
        """What the plan of a request depends on, as a SHA-256 in hexadecimal: equal keys, equally good plans."""
        revision = [self.backend.revision] if isinstance(self.backend, Revised) else []
        about = {
            "request": request.as_data(),
            "model": [self.backend.name, self.backend.model, *revision],
            "instructions": self.instructions.sha256,
            "one_call": self.one_call,
            "format": 2,
        }
        if self.form is not None:
            about |= {"form": self.form, "instructions": upsampling.instructions()["sha256"]}
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def dialogue(self, request: Request) -> Dialogue:
        """The questions of one prompt, for whoever asks many at once (see `Dialogue`).

        Raises:
            PlanError: the prompt cannot be planned, or no usable answer came.
        """
        prompt = _prompt(request.prompt)
        self.backend.check(prompt)
        if self.form is not None:
            return (yield from self._upsampled(prompt, request))
        draft = request.draft or _SETTLED
        known = draft.known(request.width, request.height)
        known += [Known()] * ((request.count or 0) - len(known))
        record = Record()
        style = request.style or draft.style
        ground = draft.background
        background = (ground.high or ground.full) if ground else None
        brief = Brief("layout", prompt, request.width, request.height, request.count, (), style, background)
        given = known if any(k.box or k.content for k in known) else []

        if self.one_call:
            brief = replace(brief, task="whole", regions=given)
            answer = yield from self._ask(brief, known, record)
            details = answer.objects
            ground_detail, look = answer.background_detail, answer.style
        else:
            answer = yield from self._ask(replace(brief, regions=given), known, record)
            seen = _settled(answer, known)
            details, ground_detail, look = (), "", {}
            if seen or answer.background or background:
                behind = background or answer.background or None
                finer = replace(brief, task="details", count=None, regions=seen, background=behind)
                fine = yield from self._ask(finer, seen, record)
                details, ground_detail, look = fine.objects, fine.background, fine.style
        base = " ".join(prompt.split()) if self.backend.base == "prompt" or not answer.topic else answer.topic
        contents = _regions(answer, details, draft, request)
        plan: dict[str, Any] = {
            "width": request.width,
            "height": request.height,
            "prompt": base,
            "negative_prompt": draft.negative_prompt,
            "high": draft.high,
            "low": style or ", ".join(filter(None, look.values())) or None,
            "regions": contents,
            "overlap": draft.overlap,
            "grid": draft.grid,
        }
        texts: dict[str, Any] = dict(ground.by_level()) if ground else {}
        if "full" not in texts:
            texts.setdefault("high", answer.background)
            texts.setdefault("low", ground_detail)
        if texts := {level: text for level, text in texts.items() if text}:
            plan["background"] = texts
        plan["provenance"] = self._provenance(request, plan, answer.topic, look, record)
        return _made(plan, prompt, draft)

    def _upsampled(self, prompt: str, request: Request) -> Dialogue:
        """The dialogue with FLUX.3's prompt upsampler."""
        record = Record()
        read = yield from upsampling.upsampled(prompt, request, self.attempts, record)
        plan = upsampling.with_draft(read, request)
        provenance = self._provenance(request, plan, "", {}, record)
        said = content_words(" ".join([read.prompt, *(description.text for description in read.descriptions())]))
        provenance["planner"] |= {
            "instructions": upsampling.instructions(),
            "calls": "one",
            "form": self.form,
            "invented": [],  # which is what it is for
            "missing": lacking(content_words(prompt), said),
        }
        return _made(plan | {"provenance": provenance}, prompt, request.draft or _SETTLED)

    def _ask(self, brief: Brief, known: list[Known], record: Record) -> Generator[Question, str | LlmError, Answer]:
        """Asks until an answer can be used."""
        count = len(known) if brief.task == "details" else brief.count
        box = not known or any(k.box is None for k in known)
        content = not known or any(k.content is None for k in known)
        schema = json_schema(answer_form(brief.task, count=count, box=box, content=content))

        def read(reply: str) -> Answer:
            answer = read_answer(reply, brief.task, prompt=brief.prompt, count=count, box=box, content=content)
            _refuse_unrelated(answer, brief, self._reads(brief.prompt)[0])
            return answer

        question = Question(brief.task, self.instructions.messages(brief), schema)
        answer = yield from usable(brief.prompt, question, read, self.attempts, record)
        record.repairs += answer.repairs
        return answer

    def _reads(self, prompt: str) -> tuple[str, list[str]]:
        """A prompt as the model is given it, and the words of it that are passed over."""
        return self.backend.reads(prompt) if isinstance(self.backend, ReadsPrompts) else (prompt, [])

    def _provenance(
        self, request: Request, plan: dict[str, Any], topic: str, look: dict[str, str], record: Record
    ) -> dict[str, Any]:
        draft = request.draft or _SETTLED
        prompt = _prompt(request.prompt)
        read, ignored = self._reads(prompt)
        own = [request.prompt, read, request.style, draft.style, _texts(draft.background), *map(_texts, draft.regions)]
        given = content_words(" ".join(" ".join(part) if isinstance(part, list) else part or "" for part in own))
        areas = [(region["name"], region) for region in plan["regions"]]
        areas += [("background", plan.get("background", {})), ("global", {"low": plan["low"]})]
        described = [name for name, text in look.items() if text]
        invented = []
        for name, texts in areas:
            words = content_words(" ".join(str(texts.get(level) or "") for level in LEVELS))
            described += words
            if strange := lacking(words, given):
                invented.append({"area": name, "words": strange})
        return {
            "planner": {
                "prompt": request.prompt,
                "llm": self.backend.name,
                "model": self.backend.model,
                "instructions": self.instructions.as_data(),
                "calls": "one" if self.one_call else "two",
                "attempts": record.attempts,
                "topic": topic,
                "repairs": record.repairs,
                "invented": invented,
                "missing": lacking(content_words(read), described),
                "ignored": ignored,
            },
            "key": self.key(request),
        }


def _made(plan: dict[str, Any], prompt: str, draft: Draft) -> ScenePlan:
    try:
        made = ScenePlan.model_validate(plan)
    except ValidationError as error:  # what the reading lets through is a plan; a draft may still contradict it
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise PlanError(prompt, f"no plan can be made of the answer: {place}: {first['msg']}") from error
    made._root = draft.root
    return made


def _texts(part: Texts | DraftRegion | None) -> list[str]:
    return [text for level in LEVELS if (text := getattr(part, level, None))]


_ITEM = re.compile(r"\s*(?:[-*•+]\s|\d+[.)]\s|[\w.\[\]\"' -]{1,40}[:=](?!/))")
"""How a line begins that is an item of a list or a field of a form."""


def _prompt(prompt: str) -> str:
    """The prompt without control characters, on one line but for the items of a list and the fields of a form."""
    lines = prompt.splitlines()
    apart = sum(bool(_ITEM.match(line)) for line in lines) > 1
    text = ""
    for line in lines:
        kept = "".join(c if unicodedata.category(c)[0] != "C" or c in "\u200c\u200d" else " " for c in line)
        if said := " ".join(kept.split()):
            text += f"{chr(10) if apart and _ITEM.match(line) else ' '}{said}" if text else said
    if not text:
        raise PlanError(prompt, "is empty; say what to draw")
    if len(text) > LONGEST_PROMPT:
        raise PlanError(text, f"has {len(text)} characters; at most {LONGEST_PROMPT} are planned")
    return text


def _settled(answer: Answer, known: list[Known]) -> list[Known]:
    """The regions after the layout: what was known first, then what the answer adds."""
    given = known or [Known()] * len(answer.objects)
    return [
        Known(k.box or found.box, k.content or found.content) for k, found in zip(given, answer.objects, strict=True)
    ]


def _refuse_unrelated(answer: Answer, brief: Brief, read: str) -> None:
    """Refuses an answer that shares no word with its prompt, nor with what is `read` in it, where all is English."""
    if not re.search(r"\b(?:a|an|the|of|with|and|on|in)\b", brief.prompt.lower()) or brief.task == "details":
        return
    asked = content_words(f"{brief.prompt} {read}")
    answered = content_words(" ".join([answer.topic, answer.background, *(o.content or "" for o in answer.objects)]))
    if len(asked) > 1 and len(answered) > 1 and len(lacking(answered, asked)) == len(set(answered)):
        raise AnswerError("the answer has nothing to do with the prompt")


def _regions(answer: Answer, details: tuple[Found, ...], draft: Draft, request: Request) -> list[dict[str, Any]]:
    """The plan's regions: the draft's values where it has any, else the answer's."""
    given = [*draft.regions, *[DraftRegion()] * (len(answer.objects) - len(draft.regions))]
    placed = {region.name: region for region in draft.canvas(request.width, request.height).regions}
    regions: list[dict[str, Any]] = []
    for i, (region, found) in enumerate(zip(given, answer.objects, strict=True)):
        keys = {"strength", "priority", "mask_threshold"} & region.model_fields_set
        made: dict[str, Any] = {key: getattr(region, key) for key in keys}
        if (area := placed.get(str(i + 1))) is not None:
            made |= area.model_dump(include={"box", "polygon", "mask"}, exclude_none=True)
        else:
            assert found.box is not None
            made["box"] = to_pixels(found.box, request.width, request.height)
        texts = {level: getattr(region, level) for level in LEVELS}
        if texts["full"] is None:
            texts["high"] = texts["high"] or found.content
            if texts["low"] is None and i < len(details):
                texts["low"] = ", ".join(dict.fromkeys(filter(None, details[i].detail.values()))) or None
        made |= {level: text for level, text in texts.items() if text}
        made["name"] = region.name or ""
        regions.append(made)
    taken = {region["name"] for region in regions}
    for made in regions:
        if not made["name"]:
            made["name"] = _name(made.get("high") or made["full"], taken)
            taken.add(made["name"])
    return regions


def _name(content: str, taken: set[str]) -> str:
    """A short name for a region: the content without its article, numbered where it is taken."""
    words = re.findall(r"[\w'-]+", content.lower())
    words = words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words
    short = ""
    for word in words:
        if len(short) + len(word) > 24:
            break
        short = f"{short} {word}".strip()
    short = short or "region"
    name, number = short, 1
    while name in taken or name in RESERVED_NAMES:
        number += 1
        name = f"{short} {number}"
    return name
