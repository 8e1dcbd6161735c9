"""The ways to a language model, by the names that users give them."""

from __future__ import annotations

from strata.hierarchy.errors import InputError
from strata.hierarchy.extras import needs_extra
from strata.llm.backends.bundled import MINIATURE
from strata.llm.protocol import Backend

__all__ = ["MINIATURE", "open_backend"]

VLLM = "vllm:"


def open_backend(
    spec: str = MINIATURE, *, model: str | None = None, timeout: float = 120.0, concurrency: int = 16
) -> Backend:
    """The way to a language model.

    Args:
        spec: `miniature`, the bundled planner; `http://HOST:PORT/v1` or https, an OpenAI-compatible server, whose key
            is read from `STRATA_LLM_KEY` or `OPENAI_API_KEY`; `vllm:MODEL`, vLLM in this process.
        model: which of a server's models; None takes its only one.
        timeout: seconds to wait for a server's answer.
        concurrency: questions that a server is asked at the same time.

    Raises:
        InputError: `spec` is none of these, `model` is given where it does not belong, or a library is not installed.
        LlmError: the model cannot be had.
    """
    if spec.startswith(("http://", "https://")):
        with needs_extra("llm"):
            from strata.llm.backends.server import ServerBackend

        return ServerBackend(spec, model, timeout=timeout, concurrency=concurrency)
    if model is not None:
        raise InputError(f"model {model!r}: only servers have several; {spec!r} is one by itself")
    if spec == MINIATURE:
        from strata.llm.backends.bundled.backend import BundledBackend

        return BundledBackend()
    if spec.startswith(VLLM) and len(spec) > len(VLLM):
        from strata.llm.backends.vllm import VllmBackend

        return VllmBackend(spec.removeprefix(VLLM))
    raise InputError(
        f"{spec!r}: is no way to a language model; must be miniature, an address such as http://127.0.0.1:8000/v1,"
        " or vllm:MODEL"
    )
