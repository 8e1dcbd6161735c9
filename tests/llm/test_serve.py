"""`strata serve-llm` with a stand-in for vLLM's server; test_vllm.py has the real one."""

import json
import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import pytest

from strata.hierarchy.errors import InputError
from strata.llm import serve
from strata.llm.errors import LlmError
from strata.llm.serve import find_vllm, refuse_taken_port, serve_llm, server_command, server_environment, stop
from tests.llm.hostile import free_port, hostile_server
from tests.rarely import rarely

STAND_IN = '''
"""Acts like vLLM's server as far as `strata serve-llm` sees it."""
import http.server, json, os, subprocess, sys, threading, time

flags = dict(zip(sys.argv[1::1], sys.argv[2::1]))
manner = os.environ.get("STAND_IN", "")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(os.environ["STAND_IN_NOTES"], "w") as notes:
    json.dump({"argv": sys.argv[1:], "pids": [os.getpid(), child.pid], "key": os.environ.get("VLLM_API_KEY")}, notes)
print("(APIServer pid=1) INFO 01-01 00:00:00 [api_server.py:1] starting", flush=True)
if manner == "dies":
    print("(EngineCore pid=2) ERROR 01-01 00:00:00 [core.py:9] ValueError: no such model: " + flags["--model"])
    print("RuntimeError: Engine core initialization failed. See root cause above.", flush=True)
    sys.exit(3)
began = time.monotonic()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.monotonic() - began > 1
        key = "Bearer " + os.environ.get("VLLM_API_KEY", "none")
        allowed = self.path == "/health" or self.headers["Authorization"] == key
        self.send_response(503 if not ready else 200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": flags["--served-model-name"]}]}).encode())
        if manner == "dies later" and ready and self.path != "/health":
            threading.Timer(0.3, os._exit, [7]).start()

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer((flags["--host"], int(flags["--port"])), Handler).serve_forever()
'''


class StandIn:
    """A Python whose vLLM is the stand-in, and `strata serve-llm` on it."""

    def __init__(self, folder: Path) -> None:
        package = folder / "modules" / "vllm" / "entrypoints" / "openai"
        package.mkdir(parents=True)
        for path in (package, package.parent, package.parent.parent):
            (path / "__init__.py").touch()
        (package / "api_server.py").write_text(STAND_IN)
        self.port = free_port()
        self.notes = folder / "notes.json"
        self.log = folder / "cache" / f"serve-llm-{self.port}.log"
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "modules"), str(Path(serve.__file__).parents[1])]),
            "STAND_IN_NOTES": str(self.notes),
            "STRATA_CACHE": str(folder / "cache"),
        }
        for name in ("STRATA_LLM_KEY", "OPENAI_API_KEY", "STRATA_VLLM_PYTHON"):
            self.environment.pop(name, None)

    def start(self, *flags: str, manner: str = "", **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "strata", "serve-llm", "some/model", "--port", str(self.port), *flags]
        about = {**self.environment, "STAND_IN": manner, **environment}
        return subprocess.Popen(command, env=about, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def pids(self) -> list[int]:
        return [int(pid) for pid in self._noted("pids")]

    def argv(self) -> list[str]:
        return [str(word) for word in self._noted("argv")]

    def _noted(self, what: str) -> list[object]:
        noted: list[object] = json.loads(self.notes.read_text())[what]
        return noted


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, *rarely(signal.SIGTERM)])
def test_it_runs_until_it_is_told_to_stop_and_leaves_nothing_behind(stand_in: StandIn, number: signal.Signals) -> None:
    run = stand_in.start("--", "--seed", "7")
    assert run.stdout is not None
    line = run.stdout.readline()
    address = f"http://127.0.0.1:{stand_in.port}/v1"
    assert line == f'ready; in another terminal: strata generate "…" --llm {address}\n'
    assert all(is_alive(pid) for pid in stand_in.pids())
    assert stand_in.argv()[-2:] == ["--seed", "7"]
    run.send_signal(number)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (0, "")
    assert str(stand_in.log) in err
    assert err.endswith("stopped\n")
    assert not any(is_alive(pid) for pid in stand_in.pids())
    assert "starting" in stand_in.log.read_text()


def test_stopped_before_it_is_ready(stand_in: StandIn) -> None:
    run = stand_in.start()
    while not stand_in.log.exists() or "starting" not in stand_in.log.read_text():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert err.endswith("strata: interrupted\n")
    assert not any(is_alive(pid) for pid in stand_in.pids())


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("dies", "vLLM ended before it answered (exit code 3): ValueError: no such model: some/model (log: "),
        pytest.param("dies later", "vLLM ended by itself (exit code 7): ", marks=pytest.mark.slow),
    ],
)
def test_a_server_that_ends_is_told_in_one_line(stand_in: StandIn, manner: str, said: str) -> None:
    run = stand_in.start(manner=manner)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 2
    assert err.splitlines()[-1].startswith(f"strata: error: {said}")
    assert not any(is_alive(pid) for pid in stand_in.pids())


@pytest.mark.slow
def test_the_key_is_handed_on_and_stays_out_of_the_command(stand_in: StandIn) -> None:
    run = stand_in.start(STRATA_LLM_KEY="sk-1")
    assert run.stdout is not None
    assert run.stdout.readline().startswith("ready")
    run.terminate()
    run.communicate(timeout=60)
    assert "sk-1" not in " ".join(stand_in.argv())
    assert '"key": "sk-1"' in stand_in.notes.read_text()


def test_a_server_that_does_not_listen_to_reason_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PATIENCE", 0.3)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    server = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True)
    assert server.stdout is not None
    server.stdout.readline()
    stop(server)
    assert server.returncode == -signal.SIGKILL
    server.stdout.close()


# Before anything is started -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python without any packages."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return str(folder / "bin" / "python")


def test_a_python_without_vllm_is_told_with_the_remedy(bare_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(LlmError, match=r"has no vLLM; install it there \(pip install vllm, .*STRATA_VLLM_PYTHON"):
        find_vllm(bare_python)
    monkeypatch.setenv("STRATA_VLLM_PYTHON", bare_python)
    with pytest.raises(LlmError, match="has no vLLM"):
        serve_llm("some/model")


@pytest.mark.parametrize("python", ["/no/such/python", "/bin/echo", "/"])
def test_what_is_no_python_is_told(python: str) -> None:
    with pytest.raises(InputError, match=f"^{python}: cannot be used as the Python that has vLLM: "):
        serve_llm("some/model", python=python)


def test_a_taken_port_is_refused() -> None:
    with hostile_server() as book:
        port = int(book.address.split(":")[2].split("/")[0])
        with pytest.raises(InputError, match=f"host 127.0.0.1 port {port}: cannot be listened on: "):
            refuse_taken_port("127.0.0.1", port)
    refuse_taken_port("127.0.0.1", free_port())


def test_flags_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="'fp8': what follows -- must be flags"):
        serve_llm("some/model", extra=["fp8"])


def test_what_the_server_is_started_with() -> None:
    def made(**settings: Any) -> list[str]:
        usual = {"host": "127.0.0.1", "port": 8000, "dtype": "auto", "max_model_len": None, "extra": ["--seed", "1"]}
        return server_command("python", "some/model", **usual | settings)

    command = made(gpu_memory_utilization=0.5, on_cpu=False)
    assert command[:5] == ["python", "-m", "vllm.entrypoints.openai.api_server", "--model", "some/model"]
    text = " ".join(command)
    for flags in ("--enable-prefix-caching", "--max-model-len auto", "--dtype auto", "--gpu-memory-utilization 0.5"):
        assert flags in text
    assert '--structured-outputs-config {"backend": "guidance", "disable_any_whitespace": true}' in text
    assert "--enforce-eager" not in text
    assert command[-2:] == ["--seed", "1"]
    on_cpu = " ".join(made(gpu_memory_utilization=None, on_cpu=True))
    assert "--dtype float32" in on_cpu
    assert "--enforce-eager" in on_cpu


def test_the_servers_environment() -> None:
    made = server_environment({"STRATA_LLM_KEY": " sk-1 ", "HOME": "/root"}, on_cpu=True)
    assert made["VLLM_API_KEY"] == "sk-1"
    assert made["HOME"] == "/root"
    assert made["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert server_environment({"VLLM_CPU_KVCACHE_SPACE": "9"}, on_cpu=True)["VLLM_CPU_KVCACHE_SPACE"] == "9"
    assert "VLLM_API_KEY" not in server_environment({}, on_cpu=False)
