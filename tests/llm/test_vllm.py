"""A real vLLM with the bundled planner's weights: schema, concurrency, kill and restart, and vLLM in the process.

Runs where `make vllm` has made .venv-vllm, or where STRATA_VLLM_PYTHON names a Python that has vLLM.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from strata.hierarchy.errors import StrataError
from strata.hierarchy.plan import ScenePlan
from strata.llm.answer import MOST_REGIONS, Form, Task, answer_form, json_schema
from strata.llm.backends.bundled.answers import truth_matches
from strata.llm.backends.bundled.teaching.lessons import Exercise, exercises
from strata.llm.backends.server import ServerBackend
from strata.llm.errors import LlmError, PlanError
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request
from strata.llm.protocol import Message, Question
from strata.llm.upsampling import system_text
from tests.llm.hostile import free_port

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("STRATA_VLLM_PYTHON") or ROOT / ".venv-vllm" / "bin" / "python")
START = 300.0
"""Seconds that a server may take to start."""
COUNT, CONCURRENCY = 200, 16
MOST_REFUSED = 0.08
"""Share of plans that may be refused as not showing what the prompt says: 3-5 % of answers are."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason=f"{PYTHON} is missing; `make vllm` installs vLLM for CPUs there"),
]


class Server:
    """`strata serve-llm MODEL -- FLAGS` as a process of its own."""

    def __init__(
        self, folder: Path, port: int, model: str = "miniature", flags: Sequence[str] = (), **environment: str
    ) -> None:
        self.address, self.log = f"http://127.0.0.1:{port}/v1", folder / f"serve-llm-{port}.log"
        command = [
            sys.executable,
            "-m",
            "strata",
            "serve-llm",
            model,
            "--port",
            str(port),
            "--python",
            str(PYTHON),
            *(["--", *flags] if flags else []),
        ]
        self._errors = (folder / "stderr.txt").open("w")
        self._run = subprocess.Popen(
            command,
            env={**os.environ, "STRATA_CACHE": str(folder), **environment},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._run.stdout is not None
        waiting = threading.Timer(START, self._run.kill)
        waiting.start()
        line = self._run.stdout.readline()
        waiting.cancel()
        log = self.log.read_text()[-3000:] if self.log.exists() else "none"
        assert line.startswith("ready; "), f"{(folder / 'stderr.txt').read_text()}\n{log}"

    def kill(self) -> None:
        """Ends vLLM, all of it, without a word."""
        pid = self._run.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            os.killpg(int(child), signal.SIGKILL)

    def stop(self) -> int:
        """The exit code of `strata serve-llm`."""
        if self._run.poll() is None:
            self._run.terminate()
        code = self._run.wait(timeout=120)
        assert self._run.stdout is not None
        self._run.stdout.close()
        self._errors.close()
        return code


@contextmanager
def serving(folder: Path, port: int, *model: Any, **environment: str) -> Iterator[Server]:
    server = Server(folder, port, *model, **environment)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), free_port()) as running:
        yield running


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_CACHE", str(tmp_path / "cache"))
    for name in ("STRATA_LLM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


class Listening(ServerBackend):
    """A way to a server that keeps what was asked and answered."""

    def __init__(self, address: str) -> None:
        super().__init__(address, concurrency=CONCURRENCY)
        self.heard: list[tuple[Question, str]] = []

    def ask(self, question: Question) -> str:
        answer = super().ask(question)
        self.heard.append((question, answer))
        return answer


def form_of(question: Question) -> type[Form]:
    """The form whose schema a question sends along."""
    tasks: tuple[Task, ...] = ("layout", "details", "whole")
    for task, count, box, content in product(tasks, [None, *range(MOST_REGIONS + 1)], (True, False), (True, False)):
        if task == question.task:
            form = answer_form(task, count=count, box=box, content=content)
            if json_schema(form) == question.schema:
                return form
    raise AssertionError(question)


def plan_all(
    backend: ServerBackend, todo: Sequence[Exercise], **settings: Any
) -> tuple[dict[int, ScenePlan], list[StrataError]]:
    plans: dict[int, ScenePlan] = {}
    failures: list[StrataError] = []
    plan_many(
        Planner(backend, **settings),
        [Request(e.prompt, e.width, e.height, e.draft, e.regions) for e in todo],
        on_plan=plans.__setitem__,
        on_failure=lambda _, error: failures.append(error),
    )
    return plans, failures


@pytest.mark.parametrize("state", ["cold", "warm", "warm, one call"])
def test_every_answer_obeys_the_schema(server: Server, state: str) -> None:
    """200 held-out prompts at concurrency 16, on the server as it was started and once more."""
    todo = exercises("any", COUNT, seed=6)
    backend = Listening(server.address)
    assert backend.model == "miniature"
    plans, failures = plan_all(backend, todo, one_call=state == "warm, one call")
    backend.close()
    assert len(plans) + len(failures) == COUNT
    assert len(failures) <= MOST_REFUSED * COUNT
    assert len(backend.heard) >= len(plans), "what the reading refuses is not asked"
    for question, answer in backend.heard:
        form_of(question).model_validate_json(answer, strict=True)
    right = sum(i in plans and not truth_matches(plans[i], exercise.truth) for i, exercise in enumerate(todo))
    print(f"vLLM, {state}: {right} of {COUNT} plans exactly right, {len(backend.heard)} answers, all of their schema")
    assert right >= 0.92 * COUNT, "97 % are exact, by the report"


def test_a_schema_that_the_model_never_saw_is_obeyed(server: Server) -> None:
    """So it is the server that holds the model to it, and not its training."""
    schema = {
        "type": "object",
        "properties": {"zebras": {"enum": [5, 6]}, "stripes": {"enum": ["many", "few"]}},
        "required": ["zebras", "stripes"],
        "additionalProperties": False,
    }
    backend = ServerBackend(server.address)
    answer = json.loads(backend.ask(Question("layout", (Message("user", "a red circle"),), schema, max_tokens=64)))
    backend.close()
    assert set(answer) == {"zebras", "stripes"}
    assert answer["zebras"] in (5, 6)
    assert answer["stripes"] in ("many", "few")


def test_a_question_without_a_schema_is_answered_in_any_words(server: Server) -> None:
    """So FLUX.3's prompt upsampler can be asked; what a model that is none says is no plan, and nothing worse."""
    backend = ServerBackend(server.address)
    text = backend.ask(Question("caption", (Message("user", "a red circle"),), None, max_tokens=400))
    assert text
    backend.close()
    listening = Listening(server.address)
    with pytest.raises((PlanError, LlmError)) as refused:
        Planner(listening, form="flux3", attempts=2).plan("a red circle and a blue boat", 128, 128)
    listening.close()
    print(f"asked as an upsampler, the bundled planner says: {refused.value}")
    for question, _ in listening.heard:
        assert question.schema is None
        assert question.messages[0].content == system_text()


def test_what_the_real_server_says_to_impossible_questions(server: Server) -> None:
    words = Message("user", f'Task: layout\nPrompt: "{"red circle " * 20_000}"')
    backend = ServerBackend(server.address, retries=0)
    with pytest.raises(
        LlmError, match=r"HTTP 400: .*\(serve the model with a longer context: strata serve-llm"
    ) as long:
        backend.ask(Question("layout", (words,), {"type": "object"}))
    assert long.value.answered
    with pytest.raises(LlmError, match=r"the answer was cut at 3 tokens"):
        backend.ask(
            Question("layout", (Message("user", "a red circle"),), {"type": "string", "minLength": 50}, max_tokens=3)
        )
    backend.close()
    other = ServerBackend(server.address, "giant", retries=0)
    with pytest.raises(LlmError, match=r'has no model "giant"; its models: miniature$'):
        other.ask(Question("layout", (Message("user", "a red circle"),), {"type": "object"}))
    other.close()


def test_a_server_killed_in_the_middle_loses_nothing_that_arrived(tmp_path: Path) -> None:
    """And after a restart, this time with a key, `--resume` plans the rest."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"{exercise.prompt}\n" for exercise in exercises("any", COUNT, seed=7)))
    out, port = tmp_path / "plans", free_port()
    command = [sys.executable, "-m", "strata", "plan", str(prompts), "-o", str(out), "--no-cache", "--width", "64"]
    command += ["--height", "64", "--llm", f"http://127.0.0.1:{port}/v1"]

    def plans() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in out.glob("*.yaml")}

    with serving(tmp_path, port) as server:
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while len(plans()) < COUNT // 4:
            assert run.poll() is None, run.communicate()
            time.sleep(0.02)
        server.kill()
        killed = len(plans())
        _, err = run.communicate(timeout=120)
        assert server.stop() == 2
        assert "vLLM ended by itself (exit code -9)" in (tmp_path / "stderr.txt").read_text()
    assert run.returncode == 2
    assert f"http://127.0.0.1:{port}/v1: " in err
    arrived = plans()
    assert COUNT // 4 <= killed <= len(arrived) < COUNT
    for path in arrived:
        assert ScenePlan.load(path).regions

    with serving(tmp_path, port, STRATA_LLM_KEY="sk-1"):
        without = subprocess.run([*command, "--resume"], capture_output=True, text=True)
        assert without.returncode == 2
        assert "asks for a key (HTTP 401); set STRATA_LLM_KEY or OPENAI_API_KEY" in without.stderr
        again = subprocess.run(
            [*command, "--resume"], capture_output=True, text=True, env={**os.environ, "STRATA_LLM_KEY": "sk-1"}
        )
    failed = [line for line in again.stderr.splitlines() if "prompts.txt:" in line]
    assert all("the bundled planner did not get this prompt right" in line for line in failed), again.stderr
    complete = plans()
    assert len(complete) + len(failed) == COUNT
    assert len(failed) <= MOST_REFUSED * COUNT
    assert again.returncode == (2 if failed else 0)
    assert {path: complete[path] for path in arrived} == arrived
    print(
        f"killed after {killed} of {COUNT} plans: {len(arrived)} kept, {COUNT - len(arrived)} planned after the restart"
    )


IN_PROCESS = '''
import json, os, sys
from pathlib import Path
from strata.llm.backends import open_backend
from strata.llm.errors import LlmError, PlanError
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request
from strata.llm.protocol import Message, Question

def engines():
    """Processes that this one started and that run vLLM."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = path.read_text().rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if "VLLM" in name and parent == str(os.getpid()) and state != "Z":
            found.append(path.parent.name)
    return found

def main():
    backend = open_backend("vllm:miniature")
    started = engines()
    plans, failures = {}, []
    requests = [Request(*row) for row in json.loads(sys.argv[1])]
    plan_many(Planner(backend), requests, on_plan=plans.__setitem__, on_failure=lambda i, e: failures.append(str(e)))
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    fine = Question("layout", (Message("user", "a red circle"),), closed, max_tokens=9)
    words = 'Task: layout\\nPrompt: "' + "red " * 50000 + '"'
    long = Question("layout", (Message("user", words),), {"type": "object"})
    mixed = [type(answer).__name__ for answer in backend.ask_many([fine, long, fine])]
    backend.close()
    heavy = sorted({"diffusers", "skimage"} & set(sys.modules))
    print("RESULT" + json.dumps({
        "plans": [plans[i].model_dump(mode="json") for i in sorted(plans)], "failures": failures, "mixed": mixed,
        "started": len(started), "left": engines(), "heavy": heavy,
    }))

if __name__ == "__main__":
    main()
'''


def test_vllm_in_the_process_plans_a_batch_and_goes(tmp_path: Path) -> None:
    todo = exercises("any", 48, seed=8)
    rows = json.dumps([[e.prompt, e.width, e.height] for e in todo])
    script = tmp_path / "plan.py"
    script.write_text(IN_PROCESS)
    run = subprocess.run(
        [str(PYTHON), str(script), rows],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=START,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    told = json.loads(run.stdout.split("RESULT")[1])
    assert told["failures"] == []
    plans = [ScenePlan.model_validate(plan) for plan in told["plans"]]
    right = sum(not truth_matches(plan, exercise.truth) for plan, exercise in zip(plans, todo, strict=True))
    print(f"vLLM in the process: {right} of {len(todo)} plans exactly right")
    assert right >= 0.93 * len(todo) - 1
    assert told["mixed"] == ["str", "LlmError", "str"]
    assert told["started"] == 1
    assert told["left"] == []
    assert told["heavy"] == []
