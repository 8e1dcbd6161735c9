"""Many prompts at once: order, bounds, the cache, failures that stay alone, Ctrl-C, and servers that are gone."""

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strata.hierarchy.errors import StrataError
from strata.hierarchy.plan import ScenePlan
from strata.llm.cache import PlanCache, cache_folder, planner_key
from strata.llm.draft import Draft
from strata.llm.errors import LlmError, PlanError
from strata.llm.many import GIVE_UP_AFTER, Tally, plan_many
from strata.llm.planner import Planner, Request
from strata.llm.protocol import Question
from tests.llm.scripted import ScriptedBackend, prompt_of, sensible

THINGS = ("lighthouse", "boat", "castle", "bridge", "tree", "horse", "tower", "mill")
ways = pytest.mark.parametrize("batched", [False, True], ids=["threads", "lockstep"])


@dataclass
class Results:
    plans: dict[int, ScenePlan] = field(default_factory=dict)
    failures: dict[int, StrataError] = field(default_factory=dict)
    tally: Tally | None = None


def requests(count: int) -> list[Request]:
    return [Request(f"a {THINGS[i % 8]} number {i} and a cloud", 512, 512) for i in range(count)]


def run(
    backend: ScriptedBackend, wanted: Sequence[Request], cache: PlanCache | None = None, results: Results | None = None
) -> Results:
    results = Results() if results is None else results
    results.tally = plan_many(
        Planner(backend),
        wanted,
        on_plan=results.plans.__setitem__,
        on_failure=results.failures.__setitem__,
        cache=cache,
    )
    return results


@ways
def test_every_request_gets_its_plan(batched: bool) -> None:
    backend, wanted = ScriptedBackend(batched=batched), requests(11)
    results = run(backend, wanted)
    assert results.tally == Tally(planned=11, cached=0, failed=0)
    assert sorted(results.plans) == list(range(11))
    for index, request in enumerate(wanted):
        assert results.plans[index] == Planner(ScriptedBackend()).plan(request.prompt, 512, 512)
    assert len(backend.asked) == 22, "two questions a prompt"
    assert not backend.closed, "that is the caller's business"


def test_none_at_all() -> None:
    assert run(ScriptedBackend(), []).tally == Tally(0, 0, 0)


def test_threads_are_as_many_as_the_backend_takes() -> None:
    together = threading.Barrier(4, timeout=20)  # passes only when four questions wait at the same time

    def answer(question: Question) -> str:
        together.wait()
        return sensible(question)

    backend = ScriptedBackend(answer, concurrency=4)
    assert len(run(backend, requests(12)).plans) == 12
    assert backend.at_once == 4


def test_batches_are_filled_up_as_dialogues_end() -> None:
    """A prompt that needs three questions does not hold up the others."""
    spoilt = []

    def answer(question: Question) -> str:
        if prompt_of(question).startswith("a lighthouse number 0 ") and not spoilt:
            spoilt.append(question)
            return "no JSON"
        return sensible(question)

    sizes = []

    class Counting(ScriptedBackend):
        def ask_many(self, questions: Sequence[Question]) -> list[str | LlmError]:
            sizes.append(len(questions))
            return super().ask_many(questions)

    assert len(run(Counting(answer, concurrency=3, batched=True), requests(5)).plans) == 5
    assert sum(sizes) == 11
    assert sizes == [3, 3, 3, 2]


@ways
def test_plans_arrive_one_by_one(batched: bool) -> None:
    """The first plan is handed over while others are still open."""
    backend = ScriptedBackend(concurrency=2, batched=batched)
    seen: list[int] = []
    plan_many(
        Planner(backend),
        requests(6),
        on_plan=lambda *_: seen.append(len(backend.asked)),
        on_failure=lambda *_: None,
    )
    assert len(seen) == 6
    assert seen[0] < 12


@ways
def test_requests_that_are_alike_are_asked_once(batched: bool) -> None:
    backend = ScriptedBackend(batched=batched)
    same = Request("a boat and a cloud", 512, 512)
    results = run(backend, [same, *requests(1), same])
    assert sorted(results.plans) == [0, 1, 2]
    assert results.plans[0] == results.plans[2] != results.plans[1]
    assert len(backend.asked) == 4


@ways
def test_a_failed_prompt_stays_alone(batched: bool) -> None:
    def answer(question: Question) -> str:
        return "{" if " number 3 " in prompt_of(question) else sensible(question)

    results = run(ScriptedBackend(answer, batched=batched), [*requests(6), Request(" ", 512, 512)])
    assert results.tally == Tally(planned=5, cached=0, failed=2)
    assert sorted(results.plans) == [0, 1, 2, 4, 5]
    assert isinstance(results.failures[3], PlanError)
    assert "number 3" in str(results.failures[3])
    assert "is empty" in str(results.failures[6])


# The cache ------------------------------------------------------------------------------------------------------------


@ways
def test_what_was_planned_before_is_not_asked_again(batched: bool, tmp_path: Path) -> None:
    first = run(ScriptedBackend(batched=batched), requests(3), PlanCache(tmp_path))
    backend = ScriptedBackend(batched=batched)
    again = run(backend, requests(5), PlanCache(tmp_path))
    assert again.tally == Tally(planned=5, cached=3, failed=0)
    assert {index: again.plans[index] for index in range(3)} == first.plans
    assert len(backend.asked) == 4
    other = ScriptedBackend()
    other.model = "script-2"
    assert run(other, requests(1), PlanCache(tmp_path)).tally == Tally(1, 0, 0), "another model"


@pytest.mark.parametrize("damage", ["", "width: 1", "\0\0", "{", "foreign", "folder"])
def test_a_damaged_entry_is_ignored_and_replaced(damage: str, tmp_path: Path) -> None:
    cache, (request,) = PlanCache(tmp_path), requests(1)
    first = run(ScriptedBackend(), [request], cache).plans[0]
    key = planner_key(first)
    assert key == Planner(ScriptedBackend()).key(request)
    (entry,) = (tmp_path / "plans").iterdir()
    assert entry.name == f"{key}.yaml"
    if damage == "folder":
        entry.unlink()
        entry.mkdir()
    else:
        text = entry.read_text(encoding="utf-8").replace(str(key), "0" * 64) if damage == "foreign" else damage
        entry.write_text(text, encoding="utf-8")
    backend = ScriptedBackend()
    assert run(backend, [request], cache).plans[0] == first
    assert len(backend.asked) == 2
    if damage != "folder":
        assert cache.get(str(key)) == first
    assert not list((tmp_path / "plans").glob(".*")), "no temporary files"


def test_a_cache_that_cannot_be_written_costs_no_plan(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "plans").write_text("in the way")
    assert len(run(ScriptedBackend(), requests(4), PlanCache(tmp_path)).plans) == 4
    (warning,) = caplog.messages
    assert "STRATA_CACHE" in warning


def test_plans_with_mask_files_are_not_kept(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (8, 8), 255).save(tmp_path / "mask.png")
    draft = Draft.from_yaml("regions: [{mask: mask.png}]", root=tmp_path)
    request = Request("a boat", 64, 64, draft)
    for _ in range(2):
        assert run(ScriptedBackend(), [request], PlanCache(tmp_path)).tally == Tally(planned=1, cached=0, failed=0)


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("STRATA_CACHE")
    assert cache_folder() == Path("/c/strata")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "strata"


# Interruption ---------------------------------------------------------------------------------------------------------


@ways
def test_an_interruption_keeps_what_arrived(batched: bool) -> None:
    backend, results = ScriptedBackend(concurrency=2, batched=batched), Results()

    def on_plan(index: int, plan: ScenePlan) -> None:
        results.plans[index] = plan
        if len(results.plans) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan_many(Planner(backend), requests(40), on_plan=on_plan, on_failure=results.failures.__setitem__)
    assert len(results.plans) == 3
    for thread in threading.enumerate():
        if thread.name.startswith("strata-plan"):
            thread.join(10)
    assert len(backend.asked) < 80


def test_ctrl_c_does_not_wait_for_answers() -> None:
    """The signal comes while every thread waits for an answer that never comes."""
    forever, waiting = threading.Event(), threading.Semaphore(0)

    def answer(question: Question) -> str:
        if prompt_of(question).startswith("a boat number 1 "):
            return sensible(question)
        waiting.release()
        forever.wait(60)
        raise LlmError("too late")

    def interrupt() -> None:
        for _ in range(3):
            waiting.acquire()
        os.kill(os.getpid(), signal.SIGINT)

    results = Results()
    killer = threading.Thread(target=interrupt)
    killer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(ScriptedBackend(answer, concurrency=3), requests(9), results=results)
    finally:
        forever.set()
        killer.join()
    assert list(results.plans) == [1]
    assert not results.failures


def test_an_error_of_the_program_is_not_swallowed() -> None:
    def answer(question: Question) -> str:
        raise ZeroDivisionError

    for batched in (False, True):
        with pytest.raises(ZeroDivisionError):
            run(ScriptedBackend(answer, batched=batched), requests(3))


# Servers that are gone ------------------------------------------------------------------------------------------------


@ways
def test_a_server_that_was_never_there_is_told_once(batched: bool) -> None:
    def answer(question: Question) -> str:
        raise LlmError("http://nowhere: connection refused", again=True)

    backend, results = ScriptedBackend(answer, concurrency=4, batched=batched), Results()
    with pytest.raises(LlmError, match="connection refused"):
        run(backend, requests(200), results=results)
    assert not results.plans
    assert not results.failures
    assert len(backend.asked) <= 4 * 3 + 4


@pytest.mark.slow
@ways
def test_a_server_that_dies_in_the_middle(batched: bool, tmp_path: Path) -> None:
    """What arrived is kept; prompts that got no answer are neither planned nor failed; a second run does the rest."""
    left = 61

    def answer(question: Question) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            raise LlmError("http://gone: connection refused", again=True)
        return sensible(question)

    backend, results = ScriptedBackend(answer, concurrency=8, batched=batched), Results()
    with pytest.raises(LlmError, match="connection refused"):
        run(backend, requests(200), PlanCache(tmp_path), results)
    assert 20 <= len(results.plans) <= 30
    assert not results.failures
    assert len(backend.asked) < 61 + (GIVE_UP_AFTER + 2 * 8) * 3

    rest = run(ScriptedBackend(batched=batched), requests(200), PlanCache(tmp_path))
    assert rest.tally == Tally(planned=200, cached=len(results.plans), failed=0)


@ways
def test_one_prompt_without_an_answer_is_its_own_failure(batched: bool) -> None:
    def answer(question: Question) -> str:
        if " number 2 " in prompt_of(question):
            raise LlmError("http://here: no answer in 120 s", again=True)
        return sensible(question)

    results = run(ScriptedBackend(answer, concurrency=1, batched=batched), requests(5))
    assert sorted(results.plans) == [0, 1, 3, 4]
    assert "number 2" in str(results.failures[2])
    assert "no answer in 120 s" in str(results.failures[2])


@ways
def test_answers_that_are_of_no_use_do_not_end_the_run(batched: bool) -> None:
    def answer(question: Question) -> str:
        raise LlmError("http://here: the answer was cut at 1024 tokens", again=True, answered=True)

    results = run(ScriptedBackend(answer, batched=batched), requests(3 * GIVE_UP_AFTER))
    assert len(results.failures) == 3 * GIVE_UP_AFTER


@ways
def test_refusals_are_failures_until_there_are_too_many(batched: bool) -> None:
    def answer(question: Question) -> str:
        raise LlmError("http://here: 401: wrong key")

    backend = ScriptedBackend(answer, concurrency=1, batched=batched)
    results = run(backend, requests(GIVE_UP_AFTER - 1))
    assert len(results.failures) == GIVE_UP_AFTER - 1
    with pytest.raises(LlmError, match="wrong key"):
        run(backend, requests(200))
    assert len(backend.asked) <= 2 * GIVE_UP_AFTER
