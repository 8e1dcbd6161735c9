"""The bundled planner: a small causal language model in the process, held to the question's JSON schema as it writes.

It knows the miniature's scene language and nothing else, and refuses what lies outside: a prompt that names what cannot
be drawn before it is asked, an answer that disagrees with its prompt after it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from strata.hierarchy.extras import needs_extra
from strata.llm.backends.bundled import MINIATURE, WEIGHTS
from strata.llm.backends.bundled.asking import Asking, refused
from strata.llm.backends.bundled.checks import check_prompt
from strata.llm.backends.bundled.reading.vocabulary import CONNECT
from strata.llm.backends.bundled.reading.words import read
from strata.llm.errors import LlmError
from strata.llm.protocol import Backend, Question

if TYPE_CHECKING:
    from llguidance import LLMatcher

FORKS = 6
"""How many other answers are written where the first one disagrees with its prompt: each leaves it at one of the
tokens that the model was least sure of, for the next best, and is greedy from there."""


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    grammar: Any
    """The tokenizer as llguidance wants it."""


@dataclass
class _Written:
    """An answer on its way: its tokens, and for each of them by how much it beat the next best, and which that was."""

    tokens: list[int]
    gaps: list[tuple[float, int]]


@cache
def _revision(folder: Path) -> str:
    """A hash of the weights and of the code that reads prompts and answers: both decide what is planned."""
    digest = hashlib.sha256()
    for path in sorted((*Path(__file__).parent.rglob("*.py"), *folder.glob("*.safetensors"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
        self.revision = _revision(folder)
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()
        self._asking = Asking(self._write, self._next)

    def check(self, prompt: str) -> None:
        """Raises `PlanError` for a prompt outside the language; names what it does not know and what it does."""
        check_prompt(prompt)

    def reads(self, prompt: str) -> tuple[str, list[str]]:
        """What the prompt describes, in the planner's words, and the words that it passes over."""
        reading = read(prompt)
        return reading.content, list(reading.ignored)

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The answers, in order, written side by side."""
        if any(question.schema is None for question in questions):
            no_schema = LlmError("the bundled planner answers the planner's own questions alone", answered=True)
            return [no_schema] * len(questions)
        return self._asking.ask_many(questions)

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
            return [text for text, _ in self._decode(questions)] if questions else []

    def _next(self, question: Question) -> list[str]:
        """The answers that come next to the first, by the tokens that the model was least sure of."""
        with self._lock:
            _, first = self._decode([question])[0]
            order = sorted(range(len(first.gaps)), key=lambda at: first.gaps[at][0])[:FORKS]
            forks = [[*first.tokens[:at], first.gaps[at][1]] for at in order if np.isfinite(first.gaps[at][0])]
            if not forks:
                return []
            written = self._decode([question] * len(forks), forks)
        return [text for text, _ in written if isinstance(text, str)]

    def _decode(
        self, questions: Sequence[Question], begun: Sequence[Sequence[int]] | None = None
    ) -> list[tuple[str | LlmError, _Written]]:
        """Greedy decoding of all questions at once, each under its own grammar, after what of it is `begun`."""
        self.load()
        import torch
        from llguidance.numpy import allocate_token_bitmask, apply_token_bitmask_inplace, fill_next_token_bitmask

        assert self._loaded is not None
        model, tokenizer = self._loaded.model, self._loaded.tokenizer
        matchers = [self._matcher(question) for question in questions]
        chats = [[{"role": m.role, "content": m.content} for m in q.messages] for q in questions]
        texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        asked: list[list[int]] = tokenizer(texts, add_special_tokens=False).input_ids
        written = [_Written([], []) for _ in questions]
        for row, tokens in enumerate(begun or ()):
            asked[row] = [*asked[row], *tokens]
            written[row] = _Written(list(tokens), [(np.inf, 0)] * len(tokens))
            for token in tokens:
                matchers[row].consume_token(token)
        length = max(map(len, asked))
        ids = torch.tensor([[tokenizer.pad_token_id] * (length - len(tokens)) + tokens for tokens in asked])
        mask = torch.tensor([[0] * (length - len(tokens)) + [1] * len(tokens) for tokens in asked])
        allowed = allocate_token_bitmask(len(questions), model.config.vocab_size)
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
            order = np.argpartition(logits, -2, axis=1)[:, -2:]
            best = np.full(len(questions), tokenizer.pad_token_id)
            for row in sorted(open_rows):
                token = int(logits[row].argmax())
                other = int(order[row][0] if order[row][1] == token else order[row][1])
                best[row] = token
                if token == tokenizer.eos_token_id or not matchers[row].consume_token(token):
                    open_rows.discard(row)
                    continue
                written[row].tokens.append(token)
                written[row].gaps.append((float(logits[row, token] - logits[row, other]), other))
                if len(written[row].tokens) >= questions[row].max_tokens:
                    open_rows.discard(row)
            if not open_rows:
                break
            ids = torch.from_numpy(best)[:, None]
            mask = torch.cat([mask, torch.ones(len(questions), 1, dtype=mask.dtype)], dim=1)
        texts = tokenizer.batch_decode([w.tokens for w in written], clean_up_tokenization_spaces=False)
        return [
            (
                text
                if matcher.is_accepting()
                else refused(f"the bundled planner did not end its answer: {matcher.get_error() or 'it is too long'}"),
                answer,
            )
            for text, matcher, answer in zip(texts, matchers, written, strict=True)
        ]

    def _matcher(self, question: Question) -> LLMatcher:
        from llguidance import LLMatcher

        assert self._loaded is not None
        assert question.schema is not None
        grammar = LLMatcher.grammar_from_json_schema(dict(question.schema), defaults={"whitespace_flexible": False})
        return LLMatcher(self._loaded.grammar, grammar)
