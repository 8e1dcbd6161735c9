"""`strata batch`: what is drawn together is what it is alone, what is wrong with one stops none, and it goes on."""

import io
import json
import pickle
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.batch import BatchAsked, BatchRun
from strata.batch_run import events, rows
from strata.drawers import Calls, Drawn, Local, Told
from strata.engine import Engine, Event
from strata.hierarchy.errors import InputError, SettingError
from strata.job import Job, prepare
from strata.lists import draw_rows
from strata.pipelines import MemoryShort
from strata.ray_pool import Worker
from strata.settings import DrawSettings
from strata.source import open_source
from strata.together import check_together, grouped, most_together, shared
from tests.cli.conftest import MASK_PLAN, Result, Run
from tests.llm.scripted import ScriptedBackend

ROUNDING = 2
"""Grey levels that a picture drawn with others may differ from the same drawn alone."""


def table(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture
def plans(here: Path) -> Path:
    """Three plans of one size, one of another, and one that is wrong."""
    for name, old, new in (
        ("two", "a circle", "a ring"),
        ("three", "[0, 0, 16, 48]", "[0, 0, 16, 24]"),
        ("tall", "height: 48", "height: 52"),
        ("bad", "height", "hieght"),
    ):
        (here / f"{name}.yaml").write_text(MASK_PLAN.replace(old, new), encoding="utf-8")
    return here


@pytest.fixture
def batch(strata: Run, tiny_folder: Path) -> Run:
    def run(*arguments: object) -> Result:
        return strata("batch", *arguments, "--model", tiny_folder, "--steps", 2, "-o", "all")

    return run


def test_a_batch_is_drawn_together_told_line_by_line_and_goes_on(
    strata: Run, batch: Run, plans: Path, llm: ScriptedBackend
) -> None:
    (plans / "list.jsonl").write_text(
        '{"plan": "three.yaml", "seed": 7, "name": "third"}\n'
        '{"prompt": "a cup and a ball", "width": 32, "height": 48}\n'
        '{"plan": "two.yaml", "width": 3}\n'
    )
    sources = ("plan.yaml", "two.yaml", "bad.yaml", "tall.yaml", "list.jsonl")
    done = batch(*sources, "--together", 3)
    assert done.code == 1
    assert "5 pictures, 10 steps to go, " in done.out
    assert re.search(r"\[2/5, about 1 s left\]", done.out)
    for part in (
        "bad.yaml:2: hieght",
        "list.jsonl:3: width: for prompts",
        "error: 2 not drawn: list.jsonl:3, bad.yaml; ",
    ):
        assert part in done.err
    found = table(plans / "all")
    drawn = {line["file"]: line for line in found if line["error"] is None}
    assert {name: (line["source"], line["seed"], line["together"]) for name, line in drawn.items()} == {
        "pictures/plan_seed-0.png": ("plan.yaml", 0, 3),
        "pictures/two_seed-0.png": ("two.yaml", 0, 3),
        "pictures/third_seed-7.png": ("list.jsonl:1", 7, 3),
        "pictures/a-cup-and-a-ball_seed-0.png": ("list.jsonl:2", 0, 1),
        "pictures/tall_seed-0.png": ("tall.yaml", 0, 1),
    }
    assert [(line["source"], line["file"]) for line in found if line["error"]] == [
        ("list.jsonl:3", None),
        ("bad.yaml", None),
    ]
    assert {(line["settings"]["steps"], line["routing"]) for line in drawn.values()} == {(2, "isolate-first")}

    # Each is what it is alone, and draws itself again.
    picture, model = plans / "all/pictures/third_seed-7.png", found[2]["settings"]["model"]
    again = strata("generate", picture, "--model", model, "-o", "third")
    assert again.code == 0, again.err
    assert np.abs(pixels(plans / "third/image.png") - pixels(picture)).max() <= ROUNDING
    assert np.abs(pixels(plans / "all/pictures/plan_seed-0.png") - pixels(picture)).max() > 10

    # It goes on: what is there stays, what is damaged or has no line is put right; nothing is planned again.
    asked = len(llm.questions)
    one, two, third = (plans / "all/pictures" / f"{name}.png" for name in ("plan_seed-0", "two_seed-0", "third_seed-7"))
    one.write_bytes(one.read_bytes()[:-200])
    before = two.stat().st_mtime_ns, third.stat().st_mtime_ns
    lines = (plans / "all/runs.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "third_" not in line]
    (plans / "all/runs.jsonl").write_text("".join(kept) + lines[-1][:40])
    (plans / "bad.yaml").write_text(MASK_PLAN, encoding="utf-8")
    more = batch(*sources, "--count", 2)
    assert more.code == 1, more.err
    assert "12 pictures (4 there already), 16 steps to go, " in more.out
    assert (two.stat().st_mtime_ns, third.stat().st_mtime_ns) == before
    assert len(llm.questions) == asked
    found = table(plans / "all")
    assert len(found) == 13
    assert len({line["file"] for line in found}) == 13
    times = {line["file"]: (line["seconds"], line["together"]) for line in found}
    assert times["pictures/two_seed-0.png"] == (drawn["pictures/two_seed-0.png"]["seconds"], 3)
    assert times["pictures/third_seed-7.png"] == (None, None)

    # What would come out otherwise is refused, and of another batch nothing is lost.
    (plans / "two.yaml").write_text(MASK_PLAN.replace("a circle", "a star"), encoding="utf-8")
    refused = batch("two.yaml")
    assert refused.code == 2
    assert "--out all: holds pictures/two_seed-0.png, drawn otherwise (of another plan); give another" in refused.err
    assert batch("two.yaml", "--force").code == 0
    assert two.stat().st_mtime_ns != before[0]
    assert {line["file"] for line in table(plans / "all")} == {line["file"] for line in found}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan.yaml", "--routing", "isolate-frist"), "did you mean 'isolate-first'"),
        (("plan.yaml", "--llm", "http://localhost:1/v1"), "--llm: for prompts, and there are none"),
        (("boat",), "'boat': no such file; put a prompt of several words in quotes"),
        (("plan.yaml", "--workers", 2), "--workers 2: is for --ray"),
        (("plan.yaml", "--ray", "local"), "ray is not installed; pip install 'strata-prompting[ray]'"),
        (("gone.txt",), "gone.txt: cannot be read: No such file"),
        (("plan.yaml", "--seed", 2**63 - 1, "--count", 2), "need seeds up to"),
    ],
)
def test_what_is_wrong_for_all_is_told_once(
    batch: Run, here: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    monkeypatch.setattr(Engine, "load", lambda job: pytest.fail("loaded"))
    monkeypatch.setitem(sys.modules, "ray", None)
    done = batch(*arguments)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not (here / "all").exists()


@pytest.mark.parametrize("name", ["notes.jsonl", "pictures/plan_seed-0.png"])
def test_files_of_nobody_are_left_alone(batch: Run, here: Path, name: str) -> None:
    path = here / "all" / name.replace("notes", "runs")
    path.parent.mkdir(parents=True)
    path.write_text('{"a": 1}\n')
    done = batch("plan.yaml")
    assert done.code == 2
    assert "of no batch (line 1)" in done.err or "is no whole picture of a batch" in done.err
    assert path.read_text() == '{"a": 1}\n'


def test_a_batch_and_a_sweep_do_not_mix(strata: Run, batch: Run, here: Path, tiny_folder: Path) -> None:
    assert batch("plan.yaml").code == 0
    model = ("--model", tiny_folder, "--steps", 1)
    mixed = strata("sweep", "plan.yaml", *model, "--vary", "seed=1,2", "-o", "all")
    assert "--out all: holds a batch (runs.jsonl); give another folder" in mixed.err
    assert "belongs to the batch in all" in strata("layout", "plan.yaml", "-o", "all/pictures/plan_seed-0.png").err
    (here / "all/runs.jsonl").rename(here / "all/runs.csv")
    assert "holds a sweep (runs.csv)" in batch("plan.yaml").err


def test_plans_of_prompts_are_not_replaced_unasked(batch: Run, here: Path, llm: ScriptedBackend) -> None:
    """Of another prompt or a person's; one that a person edited stays and is drawn."""
    size = ("--width", 32, "--height", 48)
    plan, list_ = here / "all/plans/mine.yaml", here / "list.jsonl"
    list_.write_text('{"prompt": "a cup and a ball", "name": "mine"}')
    assert batch("list.jsonl", *size).code == 0
    edited = plan.read_text().replace("high: a cup", "high: a mug")
    plan.write_text(edited)
    refused = batch("list.jsonl", *size)
    assert "mine_seed-0.png, drawn otherwise (of another plan)" in refused.err
    assert batch("list.jsonl", *size, "--seed", 1).code == 0
    assert plan.read_text() == edited
    list_.write_text('{"prompt": "a cup and a bell", "name": "mine"}')
    other = batch("list.jsonl", *size)
    assert f"{plan.relative_to(here)}: is of another prompt or planner; give another folder, or --force" in other.err
    plan.write_text(MASK_PLAN, encoding="utf-8")
    assert "was not written by a planner" in batch("list.jsonl", *size).err
    assert (plan.read_text(encoding="utf-8"), len(table(here / "all"))) == (MASK_PLAN, 2)


def test_lines_of_lists(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# none\n\na red boat\nplans/a b.yaml\nx.png\nsun\n")
    (tmp_path / "b.jsonl").write_text('{"prompt": "a", "plan": "b"}\n{}\n{"plan": "a", "sed": 1}\n{"prompt": "sun"}\n')
    read = [
        (line, row.prompt, row.plan) for line, row in draw_rows(tmp_path / "a.txt") if not isinstance(row, InputError)
    ]
    assert read == [
        (3, "a red boat", None),
        (4, None, f"{tmp_path}/plans/a b.yaml"),
        (5, None, f"{tmp_path}/x.png"),
        (6, "sun", None),
    ]
    one, two, three, four = (row for _, row in draw_rows(tmp_path / "b.jsonl"))
    for row, text in ((one, "either prompt or plan"), (two, "either prompt or plan"), (three, "sed: no such key")):
        assert isinstance(row, InputError)
        assert text in str(row) or "did you mean 'seed'" in str(row)
    assert not isinstance(four, InputError)


def job_of(path: str, folder: Path, **settings: Any) -> Job:
    with open_source(path) as source:
        return prepare(DrawSettings(**{"model": str(folder), "steps": 1, "seed": 1} | settings), source)


def test_what_is_drawn_together(plans: Path, tiny_folder: Path) -> None:
    """Not plans of other sizes, nor what is sampled otherwise; nor what is drawn alone for a reason of its own."""
    one, two, tall = (job_of(f"{name}.yaml", tiny_folder) for name in ("plan", "two", "tall"))
    Image.new("RGB", (32, 48)).save("in.png")
    alone = [job_of("plan.yaml", tiny_folder, **given) for given in ({"image": "in.png"}, {"method": "plain"})]
    others = [tall, *(job_of("plan.yaml", tiny_folder, **g) for g in ({"steps": 2}, {"routing": "uniform"}))]
    jobs = list(enumerate([one, alone[0], tall, two, *others[1:], one]))
    assert [[number for number, _ in call] for call in grouped(jobs, 2)] == [[0, 3], [1], [2], [4], [5], [6]]
    assert [len(call) for call in grouped(jobs)] == [1] * 7, "on a CPU"
    assert shared(one) == shared(two)
    assert shared(alone[0]) is None
    with pytest.raises(InputError, match="cannot be drawn together"):
        check_together([one, tall])
    elsewhere = [replace(one, device="cuda", plan=one.plan.resized(side, side)) for side in (32, 128, 512)]
    assert [most_together(job) for job in elsewhere] == [8, 4, 1]


class Small(Engine):
    """An engine with memory for two pictures at a time."""

    def draw_together(self, jobs: Any) -> Iterator[Event]:
        if len(jobs) > 2:
            raise MemoryShort("out of memory: try <offload>")
        return super().draw_together(jobs)


def outcomes(kind: type[Engine], folder: Path, settings: Any) -> Iterator[object]:

    runs = [
        BatchRun(f"{seed}.png", "plan.yaml", job_of("plan.yaml", folder, seed=seed, **settings)) for seed in range(4)
    ]
    yield from Calls(kind.load(runs[0].job)).draw(list(enumerate(runs)))


@pytest.mark.parametrize(
    ("kind", "settings", "sizes", "told"),
    [
        (Engine, {"method": "rpg"}, [1] * 4, "drawn one at a time: method 'rpg': several plans: "),
        (Small, {}, [2, 2], "drawn 2 at a time: out of memory"),
    ],
)
def test_calls_become_smaller_where_several_are_refused(
    plans: Path, tiny_folder: Path, kind: type[Engine], settings: Any, sizes: list[int], told: str
) -> None:
    found = list(outcomes(kind, tiny_folder, settings))
    assert [row.together for row in found if isinstance(row, Drawn)] == [n for n in sizes for _ in range(n)]
    assert [row.text[: len(told)] for row in found if isinstance(row, Told)] == [told]
    assert sorted(row.number for row in found if isinstance(row, Drawn)) == list(range(4))


def test_one_that_fails_while_drawing_does_not_stop_the_others(
    plans: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told from those that it was to be drawn with, which are drawn; and tried again the next time."""
    check = Engine._ready

    def fails(self: Engine, job: Job) -> Any:
        if job.name == "two":
            raise InputError("two.yaml: cannot be drawn")
        return check(self, job)

    asked = BatchAsked(["plan.yaml", "two.yaml", "three.yaml"], DrawSettings(model=str(tiny_folder), steps=1))
    with monkeypatch.context() as patched:
        patched.setattr(Engine, "_ready", fails)
        found = list(rows(asked, "all", together=3))
    assert [(row.source, row.error is None, row.together) for row in found] == [
        ("plan.yaml", True, 1),
        ("two.yaml", False, None),
        ("three.yaml", True, 1),
    ]
    assert [line["error"] for line in table(plans / "all")] == [None, "two.yaml: cannot be drawn", None]
    again = list(rows(asked, "all"))
    assert [(row.source, row.drawn) for row in again] == [
        ("plan.yaml", False),
        ("three.yaml", False),
        ("two.yaml", True),
    ]
    assert len(table(plans / "all")) == 3


def test_an_interrupted_batch_goes_on(plans: Path, tiny_folder: Path) -> None:
    """Python's rows, of an engine that is there; the caller leaves after the first."""
    asked = BatchAsked(["plan.yaml", "two.yaml"], DrawSettings(model=str(tiny_folder), steps=1), count=2)
    engine = Engine.load(job_of("plan.yaml", tiny_folder))
    for row in rows(asked, "all", drawer=Local(engine)):
        assert row.path is not None
        break
    assert len(table(plans / "all")) == 1
    assert not list((plans / "all").rglob(".*"))
    found = list(rows(asked, "all", drawer=Local(engine)))
    assert [(row.source, row.seed, row.drawn) for row in found] == [
        ("plan.yaml", 0, False),
        ("plan.yaml", 1, True),
        ("two.yaml", 0, True),
        ("two.yaml", 1, True),
    ]
    assert all(row.record is not None and row.record.settings.seed == row.seed for row in found)
    with pytest.raises(SettingError, match="drawn otherwise"):
        list(events(BatchAsked(["plan.yaml"], DrawSettings(model=str(tiny_folder), steps=2)), "all"))


def test_a_worker_elsewhere_gets_all_that_it_needs(
    plans: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cluster: the mask's file is gone by the time it draws; and what its loggers warn of is told."""
    long = MASK_PLAN.replace("a circle", "a circle " * 40)
    (plans / "plan.yaml").write_text(long, encoding="utf-8")
    job = job_of("plan.yaml", tiny_folder)
    with Engine.load(job) as engine:
        *_, here = Calls(engine).draw([(0, BatchRun("a.png", "plan.yaml", job))])
    sent = pickle.loads(pickle.dumps(BatchRun("a.png", "plan.yaml", job)))
    shutil.rmtree(plans / "masks")
    worker = Worker("gone")
    assert worker.load(sent.job) == []
    *told, there = worker.draw([(5, sent)])
    worker.close()
    assert any(isinstance(each, Told) and "a circle a circle" in each.text for each in told)
    assert isinstance(there, Drawn)
    assert isinstance(here, Drawn)
    assert there.number == 5
    one, two = (Image.open(io.BytesIO(drawn.content)) for drawn in (here, there))
    assert one.tobytes() == two.tobytes()
    assert one.text["strata:plan"] == two.text["strata:plan"]
    assert not list(Path(tempfile.gettempdir()).glob("strata-*/0/masks"))
