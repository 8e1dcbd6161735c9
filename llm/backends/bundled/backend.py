"""The bundled planner: a small causal language model in the process, held to the question's JSON schema as it writes.

It knows the miniature's scene language and nothing else, and refuses what lies outside: a prompt with other words
before it is asked, an answer that leaves out or invents a shape, a colour or a surface after it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from strata.hierarchy.extras import needs_extra
from strata.llm.answer import Task, answer_form, json_schema
from strata.llm.backends.bundled import MINIATURE, WEIGHTS
from strata.llm.backends.bundled.answers import right_answer, settle
from strata.llm.backends.bundled.checks import (
    CONNECT,
    UNDERSTOOD,
    check_prompt,
    counted,
    difference,
    lost,
    named_shapes,
    names_places,
    refusal,
    unknown,
)
from strata.llm.backends.bundled.phrasing import ScenePrompt
from strata.llm.errors import LlmError
from strata.llm.places import place_of
from strata.llm.protocol import Backend, Message, Question
from strata.llm.wording import Brief, Known
from strata.miniature.world.language import Backdrop, parse_backdrop, parse_thing

if TYPE_CHECKING:
    from llguidance import LLMatcher


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    grammar: Any
    """The tokenizer as llguidance wants it."""


class BundledBackend(Backend):
    """Answers with the bundled planner, on the CPU. Always greedy, so the same question has the same answer.

    Args:
        folder: where the model is; it is read when the first question comes.
    """

    def __init__(self, folder: Path = WEIGHTS) -> None:
        self.name, self.model = MINIATURE, "strata-miniature-planner"
        self.concurrency, self.batched = 16, True
        self.base: Literal["prompt", "topic"] = "topic"
        self.folder = folder
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()

    def check(self, prompt: str) -> None:
        """Raises `PlanError` for a prompt outside the language; names what it does not know and what it does."""
        check_prompt(prompt)

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The answers, in order, written side by side."""
        briefs = [_read(question) for question in questions]
        known = {i: brief for i, brief in enumerate(briefs) if isinstance(brief, Brief) and _in_another_order(brief)}
        direct = [i for i, brief in enumerate(briefs) if isinstance(brief, Brief) and i not in known]
        answers = dict(zip(direct, self._write([questions[i] for i in direct]), strict=True))
        answers |= zip(known, self._match(list(known.values())), strict=True)
        return [brief if isinstance(brief, LlmError) else _checked(brief, answers[i]) for i, brief in enumerate(briefs)]

    def _match(self, briefs: Sequence[Brief]) -> list[str | LlmError]:
        """Answers about regions that are known already.

        The model reads the prompt as if nothing were known, and what it finds is dealt out to the regions by the rule
        of `answers.settle`: by shape, colour, surface and side.
        """
        layouts = self._ask_anew([Brief("layout", b.prompt, b.width, b.height) for b in briefs])
        finer = []
        for brief, layout in zip(briefs, layouts, strict=True):
            objects = [] if isinstance(layout, LlmError) else layout["objects"]
            regions = [Known(tuple(item["box"]), item["content"]) for item in objects]
            finer.append(replace(brief, task="details", count=None, regions=regions))
        looks = self._ask_anew([brief for brief in finer if brief.regions])
        answers: list[str | LlmError] = []
        for brief, layout in zip(briefs, layouts, strict=True):
            found = layout if isinstance(layout, LlmError) else looks.pop(0)
            answers.append(found if isinstance(found, LlmError) else _dealt(brief, _scene(brief.prompt, layout, found)))
        return answers

    def _ask_anew(self, briefs: Sequence[Brief]) -> list[Any]:
        """The checked answers to questions of the planner's own making, as data; or why there is none."""
        questions = [
            Question(
                brief.task,
                (Message("user", brief.text()),),
                json_schema(answer_form(brief.task, count=len(brief.regions) or None)),
            )
            for brief in briefs
        ]
        texts = map(_checked, briefs, self._write(questions))
        return [text if isinstance(text, LlmError) else json.loads(text) for text in texts]

    def close(self) -> None:
        """Frees memory."""
        self._loaded = None

    def load(self) -> None:
        """Reads the model, if it is not read yet. Raises `LlmError`, and `InputError` where a library is missing."""
        if self._loaded is not None:
            return
        if not (self.folder / "config.json").is_file():
            raise LlmError(f"{self.folder}: the planner's weights are missing; reinstall strata, or {CONNECT}")
        with needs_extra("miniature"):
            import llguidance.hf
            import torch
            from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
            from transformers.utils import logging

        tokenizer = PreTrainedTokenizerFast.from_pretrained(self.folder)
        progress = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # this takes milliseconds
        try:
            model = LlamaForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        finally:
            if progress:
                logging.enable_progress_bar()
        grammar = llguidance.hf.from_tokenizer(tokenizer, n_vocab=model.config.vocab_size)
        self._loaded = _Loaded(model, tokenizer, grammar)

    def _write(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The model's answers, one caller at a time."""
        with self._lock:
            return self._decode(questions) if questions else []

    def _decode(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """Greedy decoding of all questions at once, each under its own grammar."""
        self.load()
        import torch
        from llguidance.numpy import (
            allocate_token_bitmask,
            apply_token_bitmask_inplace,
            fill_next_token_bitmask,
        )

        assert self._loaded is not None
        model, tokenizer = self._loaded.model, self._loaded.tokenizer
        matchers = [self._matcher(question) for question in questions]
        chats = [[{"role": m.role, "content": m.content} for m in q.messages] for q in questions]
        texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        tokens = tokenizer(texts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt")
        ids, mask = tokens.input_ids, tokens.attention_mask
        allowed = allocate_token_bitmask(len(questions), model.config.vocab_size)
        written: list[list[int]] = [[] for _ in questions]
        open_rows = set(range(len(questions)))
        cache = None
        for _ in range(max(question.max_tokens for question in questions)):
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            with torch.inference_mode():
                out = model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            cache = out.past_key_values
            logits = out.logits[:, -1].numpy()
            for row in open_rows:
                fill_next_token_bitmask(matchers[row], allowed, row)
            apply_token_bitmask_inplace(logits, allowed)
            best = np.where(
                [row in open_rows for row in range(len(questions))], logits.argmax(1), tokenizer.pad_token_id
            )
            for row in sorted(open_rows):
                token = int(best[row])
                if token == tokenizer.eos_token_id or not matchers[row].consume_token(token):
                    open_rows.discard(row)
                    continue
                written[row].append(token)
                if len(written[row]) >= questions[row].max_tokens:
                    open_rows.discard(row)
            if not open_rows:
                break
            ids = torch.from_numpy(best)[:, None]
            mask = torch.cat([mask, torch.ones(len(questions), 1, dtype=mask.dtype)], dim=1)
        texts = tokenizer.batch_decode(written, clean_up_tokenization_spaces=False)
        return [
            text
            if matcher.is_accepting()
            else _refused(f"the bundled planner did not end its answer: {matcher.get_error() or 'it is too long'}")
            for text, matcher in zip(texts, matchers, strict=True)
        ]

    def _matcher(self, question: Question) -> LLMatcher:
        from llguidance import LLMatcher

        assert self._loaded is not None
        grammar = LLMatcher.grammar_from_json_schema(dict(question.schema), defaults={"whitespace_flexible": False})
        return LLMatcher(self._loaded.grammar, grammar)


def _in_another_order(brief: Brief) -> bool:
    """Whether regions are known that may stand in another order than the prompt's objects.

    The details of regions that the model itself laid out are asked for in the prompt's order.
    """
    shapes = [named_shapes(region.content or "") for region in brief.regions]
    own = named_shapes(brief.prompt)
    in_order = len(set(own)) == len(own) and shapes == [[shape] for shape in own]
    return bool(brief.regions) and not (brief.task == "details" and in_order)


_REGION = re.compile(r"Region \d+(?:: [a-z ]+ \[([\d, ]+)\])?(?:: (.*))?")


def _scene(prompt: str, layout: Any, looks: Any) -> ScenePrompt:
    """What a prompt asks for, by the model's answers."""
    sided = names_places(prompt)
    things = []
    for item, look in zip(layout["objects"], looks["objects"], strict=True):
        thing = parse_thing(f"{item['content']}, {look['colour']}, {look['texture']}")
        side = place_of(tuple(item["box"])) if sided else None
        things.append(replace(thing, side=None if side == "everywhere" else side))
    pattern = parse_backdrop(layout["background"]).pattern
    return ScenePrompt(prompt, tuple(things), Backdrop(pattern, looks["background"] or None))


def _dealt(brief: Brief, scene: ScenePrompt) -> str:
    """The answer to a question with known regions, of what its prompt asks for."""
    truth = settle(scene, brief.width, brief.height, brief.regions)
    box, content = (any(getattr(k, name) is None for k in brief.regions) for name in ("box", "content"))
    data = right_answer(brief.task, truth, box=box, content=content)
    return json.dumps(data, separators=(",", ":"))


def _read(question: Question) -> Brief | LlmError:
    """What is asked, or why it cannot be answered."""
    turns = [m.content for m in question.messages if m.role == "user" and m.content.startswith("Task:")]
    lines = turns[-1].splitlines() if turns else []
    prompts = [line for line in lines if line.startswith("Prompt: ")]
    try:
        prompt = json.loads(prompts[-1].removeprefix("Prompt: "))
    except (IndexError, ValueError):
        return _refused("the bundled planner answers questions of the planner's own form only")
    counts = [int(line.split()[1]) for line in lines if re.fullmatch(r"Regions: \d+", line)]
    known = tuple(_known(match) for line in lines if (match := _REGION.fullmatch(line)))
    width, height = lines[1].removeprefix("Canvas: ").split("x")
    count = counts[0] if counts else len(known) or None
    if reason := refusal(prompt):
        return _refused(f"{reason}; it understands {UNDERSTOOD}; {CONNECT}")
    styles = [line.removeprefix("Style: ") for line in lines if line.startswith("Style: ")]
    if words := [word for style in styles for word in unknown(style)]:
        return _refused(f'the style: the bundled planner does not know "{words[0]}"; {CONNECT}')
    for region in known:
        if region.content and (words := unknown(region.content)):
            return _refused(f'the region "{region.content}": the bundled planner does not know "{words[0]}"; {CONNECT}')
    things = counted(prompt).things
    if count is not None and count != things:
        return _refused(f"{count} regions are asked for, but the prompt names {things} objects; {CONNECT}")
    task = cast(Task, lines[0].removeprefix("Task: "))
    return Brief(task, prompt, int(width), int(height), count, known)


def _known(match: re.Match[str]) -> Known:
    corners = [int(number) for number in match[1].split(",")] if match[1] else None
    return Known((corners[0], corners[1], corners[2], corners[3]) if corners else None, match[2])


def _checked(brief: Brief, text: str | LlmError) -> str | LlmError:
    """The answer, or why it is not to be trusted."""
    if isinstance(text, LlmError):
        return text
    data = json.loads(text)
    objects, words = data["objects"], counted(brief.prompt)
    known = [region.content for region in brief.regions] or [None] * len(objects)
    fault = None
    if len(objects) != words.things or len(known) != len(objects):
        fault = f"tells {len(objects)} objects of {words.things}"
    elif "topic" in data:
        fault = difference(words.words, counted(data["topic"]).words)
    if not fault:
        contents = [item.get("content") or content or "" for item, content in zip(objects, known, strict=True)]
        looks = [(item.get("colour"), item.get("texture")) for item in objects]
        fault = lost(brief.prompt, contents, looks if "light" in data else None)
    if not fault and "light" in data:
        tone = counted(data.get("background_detail", data["background"]))
        fault = difference(words.of("tone"), tone.of("tone"))
    boxes = [tuple(item["box"]) for item in objects if "box" in item]
    if not fault and len(set(boxes)) < len(boxes):
        fault = "puts two objects in one place"
    if fault:
        return _refused(
            f"the bundled planner did not get this prompt right: its answer {fault}; name every object by itself, with"
            f' its side ("a blue star on the left and a blue star on the right"), or {CONNECT}'
        )
    return text


def _refused(message: str) -> LlmError:
    """The model is there, only not for this question."""
    return LlmError(message, answered=True)
