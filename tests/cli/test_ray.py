"""Batches on a cluster of two workers on this machine, with the bundled model."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.batch import BatchAsked
from strata.batch_run import Row, events
from strata.drawers import Call, Outcome, Told
from strata.hierarchy.errors import InputError, SettingError
from strata.ray_pool import MOST_TRIES, RayPool, Worker
from strata.settings import DrawSettings

ray = pytest.importorskip("ray", reason="needs the extra ray")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PLANS = [str(ROOT / "configs/plans" / f"{name}_regions.yaml") for name in ("two", "three")]
LOG = "STRATA_TEST_LOG"
NICENESS = "RAY_worker_niceness"
"""By itself Ray's workers stand back behind everything else that runs."""


class Logged(Worker):
    """Notes which call it begins and ends, and in which process; dies of calls that it is told to die of."""

    def draw(self, call: Call) -> list[Outcome]:
        numbers = [number for number, _ in call]
        self._note("begin", numbers)
        if str(numbers[0]) == os.environ.get("STRATA_TEST_DEADLY"):
            os.kill(os.getpid(), signal.SIGKILL)
        outcomes = super().draw(call)
        self._note("end", numbers)
        return outcomes

    def _note(self, what: str, numbers: list[int]) -> None:
        with open(os.environ[LOG], "a") as file:
            file.write(json.dumps([what, numbers, os.getpid()]) + "\n")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the workers noted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(NICENESS, "0")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # Ray gives each worker its share
    monkeypatch.setattr("strata.ray_pool.Worker", Logged)
    module = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(module)
    yield tmp_path / "log"
    ray.cloudpickle.unregister_pickle_by_value(module)


def noted(log: Path) -> list[tuple[str, tuple[int, ...], int]]:
    lines = map(json.loads, log.read_text().splitlines())
    return [(what, tuple(numbers), pid) for what, numbers, pid in lines]


def under_way(log: Path) -> dict[tuple[int, ...], int]:
    """The process of each call that has begun and not ended."""
    ended = [call for what, call, _ in noted(log) if what == "end"]
    return {call: pid for what, call, pid in noted(log) if what == "begin" and call not in ended}


def kill_one(log: Path) -> tuple[int, ...]:
    """Kills a worker in the middle of a call, which is returned."""
    while True:
        for call, pid in under_way(log).items():
            os.kill(pid, signal.SIGSTOP)
            if under_way(log).get(call) == pid:
                os.kill(pid, signal.SIGKILL)
                return call
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_a_worker_killed_in_the_middle_loses_nothing_and_nothing_is_drawn_twice(log: Path) -> None:
    asked = BatchAsked(PLANS, DrawSettings(steps=8, seed=1), count=4)
    drawn: list[Row] = []
    told: list[str] = []
    killed = None
    for event in events(asked, "all", together=2, drawer=RayPool("local", 2)):
        if isinstance(event, Told):
            told.append(event.text)
        elif isinstance(event, Row):
            drawn.append(event)
            killed = killed or kill_one(log)
    assert [text.partition(":")[0] for text in told] == ["a worker was lost, another one draws its pictures"]
    assert not ray.is_initialized()

    # Each picture is there once, and its call was begun and ended once; that of the lost worker was begun twice.
    assert len(drawn) == 8
    assert all(row.error is None and row.drawn for row in drawn)
    lines = [json.loads(line) for line in Path("all/runs.jsonl").read_text().splitlines()]
    files = sorted(f"pictures/{Path(plan).stem}_seed-{seed}.png" for plan in PLANS for seed in range(1, 5))
    assert sorted(line["file"] for line in lines) == files
    calls = {(0, 1), (2, 3), (4, 5), (6, 7)}
    begun = Counter(call for what, call, _ in noted(log) if what == "begin")
    assert begun == Counter({call: 2 if call == killed else 1 for call in calls})
    assert Counter(call for what, call, _ in noted(log) if what == "end") == Counter(calls)
    assert len({pid for what, call, pid in noted(log) if what == "begin" and call == killed}) == 2, "by another one"

    # The pictures are those of one process.
    for event in events(BatchAsked(PLANS, asked.settings), "one"):
        if isinstance(event, Row):
            assert event.path is not None
            assert np.abs(pixels(event.path) - pixels(Path("all/pictures") / event.path.name)).max() <= 2


def test_a_call_that_kills_its_workers_fails_and_the_others_are_drawn(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_TEST_DEADLY", "1")
    asked = BatchAsked(PLANS[:1], DrawSettings(steps=1, seed=1), count=4)
    found = [event for event in events(asked, "all", drawer=RayPool("local", 2)) if isinstance(event, Row)]
    assert sorted((row.seed, row.error is None) for row in found) == [(1, True), (2, False), (3, True), (4, True)]
    [error] = [row.error for row in found if row.error is not None]
    assert f"{MOST_TRIES} workers were lost while they drew it" in str(error)
    assert Counter(call for what, call, _ in noted(log) if what == "begin")[1,] == MOST_TRIES


def test_what_cannot_be_is_told(log: Path) -> None:
    """An address where no cluster is, more workers than it has, a model that cannot be loaded."""
    asked = BatchAsked(PLANS[:1], DrawSettings(steps=1))
    with pytest.raises(SettingError, match=r"ray auto: .*[Cc]ould not find any running Ray"):
        list(events(asked, "all", drawer=RayPool("auto")))
    Path("empty").mkdir()
    Path("empty/model_index.json").write_text('{"_class_name": "FluxPipeline", "transformer": ["diffusers", "x"]}')
    try:
        ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
        with pytest.raises(SettingError, match="workers 2: the cluster has 1 CPUs"):
            list(events(asked, "all", drawer=RayPool("auto", 2)))
        with pytest.raises(InputError, match="model 'empty'"):
            list(events(BatchAsked(PLANS[:1], DrawSettings(model="empty", steps=1)), "all", drawer=RayPool("auto")))
        assert ray.is_initialized(), "a connection of the caller's own stays"
    finally:
        ray.shutdown()
    assert not Path("all").exists()


def test_the_command_is_ended_and_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "strata", "batch", *PLANS, "--count", "3", "--steps", "8", "-o", "all"]
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    options: dict[str, Any] = {
        "cwd": tmp_path,
        "env": environment | {"PYTHONPATH": str(ROOT), NICENESS: "0"},
        "text": True,
    }
    begun = subprocess.Popen(
        [*command, "--ray", "local", "--workers", "2"], **options, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert begun.stdout is not None
    assert begun.stdout.readline().startswith("6 pictures, 48 steps to go, miniature on cpu")
    assert "[1/6" in begun.stdout.readline()
    time.sleep(1)  # by then Ray waits for the next picture, and turns what a signal raises into a KeyboardInterrupt
    begun.terminate()
    _, told = begun.communicate(timeout=120)
    assert begun.returncode == 128 + signal.SIGTERM, told
    assert told.strip().endswith("strata: ended by SIGTERM")
    there = len((tmp_path / "all/runs.jsonl").read_text().splitlines())
    assert 1 <= there < 6
    done = subprocess.run(command, **options, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"6 pictures ({there} there already)" in done.stdout
    assert len((tmp_path / "all/runs.jsonl").read_text().splitlines()) == 6
