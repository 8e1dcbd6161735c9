"""Seconds a plan: the bundled planner, and a server through the planner against the same requests sent straight to it.

    python benchmarks/planner.py                                      the bundled planner alone
    strata serve-llm miniature --python .venv-vllm/bin/python         in one terminal, then in another
    python benchmarks/planner.py --llm http://127.0.0.1:8000/v1

Held-out prompts of the miniature's language, no cache of plans. Every server's way is gone once before anything is
timed, so that all ways find the same warm server; then they take turns. Nothing else should run beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from strata.hierarchy.errors import StrataError
from strata.llm.backends import open_backend
from strata.llm.backends.bundled.teaching.lessons import exercises
from strata.llm.backends.server import ServerBackend
from strata.llm.errors import PlanError
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request
from strata.llm.protocol import Backend, Question


def planned(bundled: Backend, count: int) -> list[Request]:
    """Prompts that the bundled planner plans at the first attempt, so that every way has the same questions."""
    found: list[Request] = []
    for exercise in exercises("any", 4 * count, seed=9):
        request = Request(exercise.prompt, exercise.width, exercise.height)
        try:
            plan = Planner(bundled, attempts=1).plan(request.prompt, request.width, request.height)
        except PlanError:
            continue
        if plan.regions:
            found.append(request)
    return found[:count]


class Recording(ServerBackend):
    """Keeps the questions of each prompt."""

    def __init__(self, address: str, model: str | None) -> None:
        super().__init__(address, model)
        self.asked: list[Question] = []

    def ask(self, question: Question) -> str:
        """The answer's text. Raises `LlmError`."""
        self.asked.append(question)
        return super().ask(question)


def plan_each(backend: Backend, requests: Sequence[Request], concurrency: int) -> None:
    """Plans all, so many at a time."""

    def fail(index: int, error: StrataError) -> None:
        raise error

    backend.concurrency = concurrency
    plan_many(Planner(backend), requests, on_plan=lambda *_: None, on_failure=fail)


def straight(client: httpx2.Client, model: str, questions: Sequence[Question]) -> None:
    """The requests of one prompt, one after the other, with nothing around them."""
    for question in questions:
        answer = client.post(
            "chat/completions",
            json={
                "model": model,
                "messages": [{"role": message.role, "content": message.content} for message in question.messages],
                "temperature": question.temperature,
                "max_tokens": question.max_tokens,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": question.task, "schema": dict(question.schema), "strict": True},
                },
            },
        )
        answer.raise_for_status().json()["choices"][0]["message"]["content"]


def ways_of_server(args: argparse.Namespace, requests: Sequence[Request]) -> dict[str, Callable[[], Any]]:
    """What is timed on a server."""
    recording = Recording(args.llm, args.llm_model)
    dialogues: list[list[Question]] = []
    for request in requests:
        recording.asked = []
        Planner(recording).plan(request.prompt, request.width, request.height)
        dialogues.append(recording.asked)
    backend = ServerBackend(args.llm, recording.model, concurrency=args.concurrency)
    client = httpx2.Client(base_url=f"{backend.name}/", timeout=600)

    def send(concurrency: int) -> None:
        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(lambda questions: straight(client, backend.model, questions), dialogues))

    print(f"{args.llm}: {backend.model}, {sum(map(len, dialogues)) / len(dialogues):.1f} requests a plan")
    ways: dict[str, Callable[[], Any]] = {}
    for concurrency in (1, args.concurrency):
        at = "one at a time" if concurrency == 1 else f"{concurrency} at a time"
        ways[f"server, straight, {at}"] = lambda c=concurrency: send(c)
        ways[f"server, planner, {at}"] = lambda c=concurrency: plan_each(backend, requests, c)
    return ways


def median_seconds(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round; the ways take turns."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print the table; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", metavar="URL", help="a server, such as http://127.0.0.1:8000/v1")
    parser.add_argument("--llm-model", metavar="NAME")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    bundled = open_backend()
    start = time.perf_counter()
    Planner(bundled).plan("a red striped circle on the left and a blue dotted square on the right", 128, 128)
    print(f"bundled: the first plan after {time.perf_counter() - start:.2f} s, loading the model included")
    requests = planned(bundled, args.prompts)
    ways: dict[str, Callable[[], Any]] = {
        "bundled, one at a time": lambda: plan_each(bundled, requests, 1),
        f"bundled, {args.concurrency} at a time": lambda: plan_each(bundled, requests, args.concurrency),
    }
    if args.llm:
        ways |= ways_of_server(args, requests)
        for way in ways.values():
            way()
    seconds = median_seconds(ways, args.rounds)

    print(f"{args.prompts} held-out prompts, {args.rounds} rounds, medians")
    print(f"{'way':36} {'seconds a plan':>14} {'plans a second':>15}  × straight")
    for name, each in seconds.items():
        plan = statistics.median(each) / args.prompts
        plain = seconds.get(name.replace("planner", "straight"))
        pairs = zip(each, plain, strict=True) if plain and "server" in name else ()
        ratio = statistics.median(one / other for one, other in pairs) if plain and "server" in name else None
        shown = f"{ratio:10.2f}" if ratio else ""
        print(f"{name:36} {plan:14.3f} {1 / plan:15.1f}  {shown}")
    bundled.close()


if __name__ == "__main__":
    main()
