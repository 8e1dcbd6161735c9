"""The bundled planner: a small causal language model in the process, held to the question's JSON schema as it writes.

It knows the miniature's scene language and nothing else, and refuses what lies outside: a prompt with other words
before it is asked, an answer that leaves out or invents a shape, a colour or a surface after it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strata.llm.errors import LlmError, PlanError
from strata.llm.protocol import Question
from strata.miniature.planning_language import UNDERSTOOD, counted, difference, lost, refusal, unknown

if TYPE_CHECKING:
    from llguidance import LLMatcher

WEIGHTS = Path(__file__).resolve().parents[1] / "miniature" / "weights_planner"
"""A `save_pretrained` folder of a LlamaForCausalLM and its tokenizer; vLLM serves it as it is."""
CONNECT = "for other prompts connect a real LLM: --llm http://host:port/v1 (strata serve-llm MODEL starts one)"


@dataclass(frozen=True)
class _Asked:
    """What a question's user turn tells."""

    text: str
    prompt: str
    count: int | None
    contents: tuple[str | None, ...]
    """Of the known regions."""


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    grammar: Any
    """The tokenizer as llguidance wants it."""


class BundledBackend:
    """Answers with the bundled planner, on the CPU. Always greedy, so the same question has the same answer.

    Args:
        folder: where the model is; it is read when the first question comes.
    """

    def __init__(self, folder: Path = WEIGHTS) -> None:
        self.name, self.model = "miniature", "strata-miniature-planner"
        self.concurrency, self.batched = 16, True
        self.base: Literal["prompt", "topic"] = "topic"
        self.folder = folder
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()

    def check(self, prompt: str) -> None:
        """Raises `PlanError` for a prompt outside the language; says what it does not know and what it does."""
        if reason := refusal(prompt):
            raise PlanError(prompt, f"{reason}; it understands {UNDERSTOOD}; {CONNECT}")

    def ask(self, question: Question) -> str:
        """The answer's text. Raises `LlmError`."""
        answer = self.ask_many([question])[0]
        if isinstance(answer, LlmError):
            raise answer
        return answer

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The answers, in order, written side by side."""
        asked = [_read(question) for question in questions]
        answers: list[str | LlmError] = [a if isinstance(a, LlmError) else "" for a in asked]
        todo = [i for i, a in enumerate(asked) if not isinstance(a, LlmError)]
        if todo:
            with self._lock:
                written = self._write([questions[i] for i in todo])
            for i, answer in zip(todo, written, strict=True):
                about = asked[i]
                assert isinstance(about, _Asked)
                answers[i] = answer if isinstance(answer, LlmError) else _checked(questions[i], about, answer)
        return answers

    def close(self) -> None:
        """Frees memory."""
        self._loaded = None

    def load(self) -> None:
        """Reads the model, if it is not read yet. Raises `LlmError`."""
        if self._loaded is not None:
            return
        if not (self.folder / "config.json").is_file():
            raise LlmError(f"{self.folder}: the planner's weights are missing; reinstall strata, or {CONNECT}")
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
        """Greedy decoding of all questions at once, each under its own grammar."""
        import numpy as np
        import torch
        from llguidance.numpy import (
            allocate_token_bitmask,
            apply_token_bitmask_inplace,
            fill_next_token_bitmask,
        )

        self.load()
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


_REGION = re.compile(r"Region \d+(?:: [a-z ]+ \[[\d, ]+\])?(?:: (.*))?")


def _read(question: Question) -> _Asked | LlmError:
    """What is asked, or why it cannot be answered."""
    turns = [m.content for m in question.messages if m.role == "user" and m.content.startswith("Task:")]
    lines = turns[-1].splitlines() if turns else []
    told = [line for line in lines if line.startswith("Prompt: ")]
    try:
        prompt = json.loads(told[-1].removeprefix("Prompt: "))
    except (IndexError, ValueError):
        return _refused("the bundled planner answers questions of the planner's own form only")
    counts = [int(line.split()[1]) for line in lines if re.fullmatch(r"Regions: \d+", line)]
    contents = tuple(m[1] for line in lines if (m := _REGION.fullmatch(line)))
    count = counts[0] if counts else len(contents) or None
    if reason := refusal(prompt):
        return _refused(f"{reason}; it understands {UNDERSTOOD}; {CONNECT}")
    for content in filter(None, contents):
        if words := unknown(content):
            return _refused(f'the region "{content}": the bundled planner does not know "{words[0]}"; {CONNECT}')
    things = counted(prompt).things
    if count is not None and count != things:
        return _refused(f"{count} regions are asked for, but the prompt names {things} objects; {CONNECT}")
    return _Asked(turns[-1], prompt, count, contents)


def _checked(question: Question, asked: _Asked, text: str) -> str | LlmError:
    """The answer, or why it is not to be trusted."""
    data = json.loads(text)
    objects, words = data["objects"], counted(asked.prompt)
    known = asked.contents or (None,) * len(objects)
    fault = None
    if len(objects) != words.things or len(known) != len(objects):
        fault = f"tells {len(objects)} objects of {words.things}"
    elif "topic" in data:
        fault = difference(words.words, counted(data["topic"]).words)
    if not fault:
        contents = [item.get("content") or content or "" for item, content in zip(objects, known, strict=True)]
        looks = [(item.get("colour"), item.get("texture")) for item in objects]
        fault = lost(asked.prompt, contents, looks if "light" in data else None)
    if not fault and "light" in data:
        tone = counted(data.get("background_detail", data["background"]))
        fault = difference(words.of("tone"), tone.of("tone"))
    if fault:
        return _refused(
            f"the bundled planner did not get this prompt right: its answer {fault}; say it more plainly, or {CONNECT}"
        )
    return text


def _refused(message: str) -> LlmError:
    """The model is there, only not for this question."""
    return LlmError(message, answered=True)
