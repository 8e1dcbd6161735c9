"""Runs that draw, on a tiny model: tries until it obeys, turns between sessions, and what a stopped one leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strata.engine import Engine
from strata.hierarchy.errors import InputError, SettingError
from strata.job import Job, prepare
from strata.judging import ObeySettings
from strata.obeyed import Until
from strata.settings import DrawSettings, read_settings
from strata.source import open_source
from strata.studio.core import Studio
from strata.studio.draw_run import Asked, DrawRun
from strata.studio.sessions import Session
from tests.cli.conftest import tiny_folder as tiny_folder
from tests.cli.repainting import STEPS
from tests.cli.repainting import engine as engine
from tests.cli.repainting import settings as settings
from tests.cli.test_obeyed import THREE, Scripted

Begin = Callable[..., DrawRun]
Heard = Callable[[dict[str, Any]], None]


@pytest.fixture
def job(settings: DrawSettings, tmp_path: Path) -> Job:
    path = tmp_path / "three.yaml"
    path.write_text(THREE)
    with open_source(str(path)) as source:
        return prepare(settings.model_copy(update={"seed": 5, "steps": STEPS}), source)


@pytest.fixture
def begin(engine: Engine, job: Job, tmp_path: Path) -> Begin:
    """A run of a session of its own, whose page hears its events."""

    def made(
        until: Until | None = None, count: int = 1, heard: Callable[[dict[str, Any]], None] | None = None
    ) -> DrawRun:
        session = Session(tmp_path / "sessions")
        if heard is not None:
            session.listen(heard)
        asked = Asked(job, count, previews=False, until=until)
        judge = None if until is None else until.judge
        return DrawRun(session, "draw", "three", asked, lambda run: engine, lambda: judge, tmp_path / "runs")

    return made


def left(run: DrawRun) -> list[str]:
    return sorted(path.name for path in run.folder.iterdir()) if run.folder.exists() else []


def test_tries_are_told_as_they_come(begin: Begin) -> None:
    events: list[dict[str, Any]] = []
    judge = Scripted(["middle"], ["middle", "right"], [])
    run = begin(Until(5, judge), heard=events.append)
    assert [None for _ in run.turns()] == [None, None], "others have their turns between the tries"
    assert (run.state, run.problem) == ("done", None)
    told = [event["try"] for event in events if event["type"] == "try"]
    assert [(each["number"], each["best"], len(each["wrong"])) for each in told] == [
        (1, True, 1),
        (2, False, 2),
        (3, True, 0),
    ]
    assert told[0]["text"].startswith("try 1 of 5: middle: asked for red, found blue - repainting middle, seed")
    data = run.as_data()
    assert (data["tries"], data["most"]) == (told, 5)
    [picture] = data["pictures"]
    assert (picture["kept"], picture["judged"]["judge"]) == (3, "scripted")
    assert len(judge.seen) == 3, "what is kept is not judged again"
    record = json.loads((run.folder / "run.json").read_text())
    assert (record["obeyed"]["most"], record["images"][0]["kept"]) == (5, 3)


@pytest.mark.parametrize(
    "when", ["between", pytest.param("step", marks=pytest.mark.slow), pytest.param("try", marks=pytest.mark.slow)]
)
def test_stopped_between_tries_nothing_is_left(begin: Begin, when: str) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["type"] == when:
            run.stop()

    judge = Scripted(*[["middle"]] * 9)
    run = begin(Until(9, judge), heard=stop)
    turns = run.turns()
    next(turns, None)
    if when == "between":
        run.stop()
        next(turns, None)
    assert run.state == "cancelled"
    assert len(judge.seen) == (0 if when == "step" else 1)
    assert not run.folder.exists()


@pytest.mark.slow
def test_pictures_that_are_whole_stay(begin: Begin) -> None:
    run = begin(count=3)
    turns = run.turns()
    next(turns)
    run.stop()
    assert next(turns, "ended") == "ended"
    assert run.state == "cancelled"
    assert {"run.json", "plan.yaml", "image-1.png"} <= set(left(run))
    assert [row["file"] for row in json.loads((run.folder / "run.json").read_text())["images"]] == ["image-1.png"]
    assert not [name for name in left(run) if name.startswith(".")]


@pytest.mark.slow
def test_an_end_between_turns_leaves_no_half_run(begin: Begin) -> None:
    """As the server's end closes what waits."""
    run = begin(Until(9, Scripted(*[["middle"]] * 9)))
    turns = run.turns()
    next(turns)
    turns.close()  # type: ignore[attr-defined]
    assert run.state == "cancelled"
    assert not run.folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("tries", [1, 9])
def test_another_runs_end_does_not_stop_a_picture(begin: Begin, tries: int) -> None:
    waiting = begin(Until(9, Scripted(*[["middle"]] * 9))) if tries > 1 else begin(count=2)
    turns = waiting.turns()
    next(turns)
    drawing = begin(heard=lambda event: waiting.stop() if event["type"] == "step" else None)
    list(drawing.turns())
    assert (drawing.state, len(drawing.pictures)) == ("done", 1)
    assert next(turns, "ended") == "ended"
    assert (waiting.state, len(waiting.pictures)) == ("cancelled", 0 if tries > 1 else 1)


def errors_of(studio: Studio, data: dict[str, Any]) -> str:
    with pytest.raises((InputError, SettingError)) as refused:
        studio.draw(studio.sessions.new() or Session(Path("none")), data)
    return str(refused.value)


@pytest.mark.parametrize("most", [0, -1, 1.5, "x"])
def test_a_number_of_tries_that_is_none(studio: Studio, plan: dict[str, Any], most: Any) -> None:
    with pytest.raises(SettingError) as told:
        read_settings(ObeySettings, {"until_obeyed": most})
    assert errors_of(studio, {"plan": plan, "obey": {"until_obeyed": most}}) == str(told.value)


@pytest.mark.parametrize(
    ("obey", "message"),
    [
        ({"until_obeyed": 4, "judge": "clip:some/model"}, "obey: 'judge': is none that a page sets"),
        ({"until_obeyed": 4, "mend": "pray"}, "mend: invalid choice: 'pray'"),
        ({"until_obeyed": 1000}, "until_obeyed 1000: more than 64"),
        ({"mend": "again"}, "mend again: goes with until_obeyed"),
        ([], "obey: must be a mapping"),
    ],
)
def test_what_is_refused(studio: Studio, plan: dict[str, Any], obey: Any, message: str) -> None:
    assert errors_of(studio, {"plan": plan, "obey": obey or [1]}).startswith(message)


@pytest.mark.parametrize(
    ("method", "regions", "message"),
    [
        ("plain", True, "mend isolate: a-sea is drawn by method plain, which heeds no routing"),
        (None, False, "until_obeyed 4: a-sea has no regions to obey; leave it out"),
    ],
)
def test_methods_and_plans_that_cannot(
    studio: Studio, plan: dict[str, Any], method: str | None, regions: bool, message: str
) -> None:
    asked = {
        "plan": plan if regions else {**plan, "regions": []},
        "title": "a sea",
        "settings": {"method": method},
        "obey": {"until_obeyed": 4, "mend": "isolate"},
    }
    assert errors_of(studio, asked) == message
