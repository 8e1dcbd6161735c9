"""`strata serve-llm`: a vLLM server with what planning needs."""

from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from strata.commands.options import Argv
from strata.llm import serve
from strata.settings import Count, File, Settings, Share


class ServeSettings(Settings):
    """What the server is started with."""

    host: Annotated[str, Parameter(metavar="ADDRESS")] = "127.0.0.1"
    """default: 127.0.0.1, this machine alone"""
    port: Annotated[int, Field(ge=1, le=65535), Parameter(metavar="N")] = 8000
    """default: 8000"""
    max_model_len: Count | None = None
    """tokens of context (default: what memory holds)"""
    dtype: Annotated[str, Parameter(metavar="NAME")] = "auto"
    """of the weights (default: auto)"""
    gpu_memory_utilization: Share | None = None
    """share of the GPU's memory that vLLM may take"""
    python: File | None = None
    """of the environment that has vLLM (default: STRATA_VLLM_PYTHON, else the one that runs strata)"""


def serve_llm(
    model: Annotated[str, Parameter(name="MODEL", help="hub id, folder, or miniature (the bundled planner)")],
    /,
    *,
    settings: ServeSettings = ServeSettings(),
    argv: Argv,
) -> None:
    """Starts a vLLM server for `--llm`, and runs until Ctrl-C.

    It has what planning needs (structured outputs, prefix caching). vLLM has to
    be installed, here or in another environment (--python). Where
    STRATA_LLM_KEY is set, the server asks for it. What follows `--` goes to
    `vllm serve` as it is.

    examples:
      strata serve-llm Qwen/Qwen3-8B
      strata serve-llm Qwen/Qwen3-14B --port 8001 -- --quantization fp8
    """
    extra = argv[argv.index("--") + 1 :] if "--" in argv else []
    serve.serve_llm(model=model, **dict(settings), extra=extra)
