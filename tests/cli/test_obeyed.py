"""Drawing until it obeys: what is tried, kept, recorded, told and gone on with, by judges with scripted verdicts."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from strata.analysis.judges import Judge, JudgedObject, JudgedPicture
from strata.engine import Engine, Picture, Started, Step
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan
from strata.job import Job, prepare
from strata.obeyed import Event, Kept, Try, Until, tries
from strata.record import Repaint, plans_before
from strata.settings import DrawSettings
from strata.source import Source, open_source
from tests.cli.conftest import Run
from tests.cli.repainting import STEPS, draw, near, pixels, saved, within
from tests.cli.repainting import drawn as drawn
from tests.cli.repainting import engine as engine
from tests.cli.repainting import loaded as loaded
from tests.cli.repainting import original as original
from tests.cli.repainting import settings as settings

THREE = """\
width: 48
height: 32
prompt: a red circle, a blue square, a green tree
regions:
  - {name: left, box: [0, 0, 16, 32], high: a circle, low: red}
  - {name: middle, box: [16, 8, 32, 24], high: a square, low: blue}
  - {name: right, box: [32, 0, 48, 32], full: a green tree}
"""


class Scripted:
    """Finds wrong what its script says, a picture after the other, whatever they show; then nothing."""

    name, error = "scripted", "never wrong"

    def __init__(self, *script: Sequence[str], settings: Mapping[str, Any] | None = None) -> None:
        self.script, self.seen = list(script), list[Image.Image]()
        self.settings: Mapping[str, Any] = settings or {}

    def check(self, plan: ScenePlan) -> None:
        if plan.regions[0].name == "unknown":
            raise InputError("region unknown: cannot be judged")

    def judge(self, picture: Image.Image, plan: ScenePlan) -> JudgedPicture:
        wrong = self.script[len(self.seen)] if len(self.seen) < len(self.script) else ()
        self.seen.append(picture)
        objects = [
            JudgedObject(r.name, {"low": "red"}, {"low": r.name not in wrong}, {"low": "blue"}) for r in plan.regions
        ]
        return JudgedPicture(tuple(objects), background={"tone": "background" not in wrong})

    def reference(self, plan: ScenePlan) -> None:
        return None


@pytest.fixture
def job(settings: DrawSettings, here: Path) -> Job:
    Path("three.yaml").write_text(THREE)
    with open_source("three.yaml") as source:
        return prepare(settings.model_copy(update={"seed": 5, "steps": STEPS}), source)


def run(engine: Engine, job: Job, judge: Judge, most: int, **more: Any) -> tuple[list[Event], list[Try], Kept]:
    events = list(tries(engine, job, Until(most, judge, **more)))
    assert isinstance(events[-1], Kept)
    return events, [event for event in events if isinstance(event, Try)], events[-1]


def test_what_is_wrong_is_repainted_in_the_best_picture(engine: Engine, settings: DrawSettings, job: Job) -> None:
    """The first try is what is drawn without a judge; each takes one picture's steps; the record draws the best."""
    judge = Scripted(["middle"], ["middle", "right"], ["middle"], [])
    events, found, kept = run(engine, job, judge, 6)
    first = draw(engine, job)
    assert (pixels(found[0].picture.image) == pixels(first.image)).all()
    assert [event.number for event in events if isinstance(event, Step)] == [*range(1, STEPS + 1)] * 4
    assert {event.total for event in events if isinstance(event, Step)} == {STEPS}
    assert sum(isinstance(event, Started) for event in events) == 1
    assert [(one.told.regions, one.told.after, one.best) for one in found] == [
        ((), None, True),
        (("middle",), 1, False),
        (("middle",), 1, False),  # as good as the first
        (("middle",), 1, True),
    ]
    assert found[0].told.wrong == ("middle: asked for red, found blue",)
    assert found[-1].then is None
    assert len({one.told.seed for one in found}) == 4
    assert kept.best is not None
    assert kept.best.number == 4
    area = near(job.plan, job.plan, within(job.plan, "middle"))
    changed = (pixels(kept.picture.image) != pixels(first.image)).any(axis=2)
    assert changed.any()
    assert not changed[~area].any()
    obeyed = kept.picture.record.obeyed
    assert obeyed is not None
    assert (obeyed.seed, obeyed.kept, obeyed.tries) == (5, 4, tuple(one.told for one in found))
    with open_source(saved(kept.picture, kept.best.job, "kept.png")) as source:
        assert source.record is not None
        assert source.record.obeyed == obeyed
        assert (pixels(draw(engine, prepare(settings, source)).image) == pixels(kept.picture.image)).all()
    _, again, _ = run(engine, job, Scripted(["middle"], ["middle", "right"], ["middle"], []), 6)
    assert [one.told for one in again] == [one.told for one in found], "seeds follow from the first"


def test_repainted_regions_add_up_and_where_most_is_wrong_all_is_drawn_again(
    engine: Engine, settings: DrawSettings, job: Job
) -> None:
    judge = Scripted(["left", "right"], ["left"], ["background"], ["left"], [])
    _, found, kept = run(engine, job, judge, 4)
    assert [(one.told.regions, one.told.after) for one in found] == [
        ((), None),  # two of three wrong
        ((), None),
        (("left",), 2),  # as good as the second, for the background counts as a region
        (("left",), 2),
    ]
    assert kept.best.number == 2, "of equals the first"
    assert kept.picture.seed == found[1].told.seed != job.seed
    assert kept.picture.seconds == pytest.approx(sum(one.picture.seconds for one in found))
    assert kept.picture.record.obeyed is not None
    assert kept.picture.record.obeyed.kept == 2
    _, found, _ = run(engine, job, Scripted(["left", "background"]), 4)
    assert [one.told.regions for one in found] == [(), ()]
    four = job.plan.model_copy(
        update={"regions": (*job.plan.regions, job.plan.regions[0].model_copy(update={"name": "x"}))}
    )
    many = prepare(settings.model_copy(update={"seed": 5, "steps": STEPS}), Source("four", four))
    judge = Scripted(["left", "right"], ["right"], ["background", "left", "x"], [])
    _, found, kept = run(engine, many, judge, 9, mend="isolate")
    assert [(one.told.regions, one.told.after) for one in found] == [
        ((), None),
        (("left", "right"), 1),
        (("right",), 2),
        (("right",), 2),
    ]
    assert kept.picture.record.repaints == (
        Repaint(region="left", also=("right",), isolated=True, seed=found[1].told.seed),
        Repaint(region="right", isolated=True, seed=found[3].told.seed),
    )
    with open_source(saved(kept.picture, kept.best.job, "kept.png")) as source:
        assert (pixels(draw(engine, prepare(settings, source)).image) == pixels(kept.picture.image)).all()
    assert engine.target(many).routing == many.routing
    plain = replace(
        kept.best.job, repaints=tuple(r.model_copy(update={"isolated": False}) for r in kept.best.job.repaints)
    )
    assert (pixels(draw(engine, plain).image) != pixels(kept.picture.image)).any(), "isolation has a part in it"


@pytest.mark.parametrize(("method", "mend"), [("plain", "repaint"), (None, "again")])
def test_what_cannot_be_repainted_or_is_not_to_be_is_drawn_again(
    engine: Engine, settings: DrawSettings, job: Job, method: str | None, mend: Any
) -> None:
    given = settings.model_copy(update={"seed": 5, "steps": STEPS, "method": method})
    _, found, kept = run(engine, prepare(given, Source("three", job.plan)), Scripted(["left"], ["left"]), 2, mend=mend)
    assert [one.told.regions for one in found] == [(), ()]
    assert kept.best.number == 1
    assert (pixels(found[1].picture.image) != pixels(found[0].picture.image)).any()


def test_a_cancelled_loop_ends_without_a_picture(engine: Engine, job: Job) -> None:
    seen = []
    for event in tries(engine, job, Until(3, Scripted(["left"], ["left"]))):
        seen.append(event)
        if isinstance(event, Step) and any(isinstance(one, Try) for one in seen):
            engine.cancel()
    assert sum(isinstance(one, Try) for one in seen) == 1
    assert not any(isinstance(one, Kept | Picture) for one in seen)


def test_only_what_repaints_a_picture_goes_on_from_it(engine: Engine, job: Job) -> None:
    *_, picture = engine.draw(job, keep=True)
    assert isinstance(picture, Picture)
    assert picture.drawn is not None
    with pytest.raises(InputError, match="does not repaint the picture"):
        list(engine.draw(job, after=picture.drawn))
    one, two = (Repaint(region="left", seed=seed) for seed in (1, 2))
    for more, repaints in ({"seed": 6}, ()), ({}, (two,)):
        other = replace(job, repaints=(one, two), before=(job.plan, job.plan), **more)
        with pytest.raises(InputError, match="does not repaint the picture"):
            list(engine.draw(other, after=replace(picture.drawn, repaints=repaints)))


def test_what_can_be_wrong_of_a_plan_is_said_first(job: Job, settings: DrawSettings) -> None:
    with pytest.raises(SettingError, match="until_obeyed 0: must be"):
        Until(0, Scripted()).check(job)
    for regions, message in (
        ((), "has no regions to obey"),
        (({"name": "unknown", "box": (0, 0, 9, 9), "full": "a"},), "cannot be judged"),
    ):
        plan = ScenePlan(width=32, height=32, prompt="a", regions=regions)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=message):
            Until(2, Scripted()).check(prepare(settings, Source("it", plan)))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """What every judge's name stands for."""

    def make(*script: Sequence[str], **more: Any) -> Scripted:
        judge = Scripted(*script, **more)
        monkeypatch.setattr("strata.analysis.judges.judge_named", lambda name: judge)
        return judge

    return make


@pytest.mark.usefixtures("loaded")
def test_the_command_tells_every_try_and_goes_on_with_what_is_missing(
    strata: Run, job: Job, tiny_folder: Path, scripted: Callable[..., Scripted]
) -> None:
    command = ("generate", "three.yaml", "--model", tiny_folder, "--steps", STEPS, "--seed", 5, "-o", "out")
    obey = ("--until-obeyed", 3, "--judge", "clip:x", "--count", 2)
    script = ([], ["left", "middle"], ["middle"], ["left"])
    scripted(*script)
    done = strata(*command, *obey)
    assert done.code == 0, done.err
    assert "judged by scripted, never wrong; at most 3 tries a picture\n" in done.out
    told = [re.sub(r"  \d+\.\d s$", "", line) for line in done.out.splitlines() if line[:3] in ("pic", "kep", "out")]
    data = json.loads(Path("out/run.json").read_text())
    one, two = data["images"]
    wrong = [f"{name}: asked for red, found blue" for name in ("left", "middle")]
    assert told == [
        "picture 1, try 1 of 3: all 3 regions and the background obey",
        "out/image-1.png  seed 5",
        f"picture 2, try 1 of 3: {'; '.join(wrong)} - drawing all again, seed {two['tries'][1]['seed']}",
        f"picture 2, try 2 of 3: {wrong[1]} - repainting middle, seed {two['tries'][2]['seed']}",
        f"picture 2, try 3 of 3: {wrong[0]}",
        "kept try 2: 2 of 3 regions and the background obey",
        f"out/image-2.png  seed {two['seed']}",
    ]
    assert (two["first_seed"], two["kept"], two["seed"]) == (6, 2, two["tries"][1]["seed"])
    assert (data["obeyed"]["most"], data["obeyed"]["seed"], data["obeyed"]["tries"]) == (3, 5, [])
    kept = Path("out/image-2.png").read_bytes()
    again = strata("generate", "out/image-2.png", "--model", tiny_folder, "-o", "again")
    assert again.code == 0, again.err
    assert (pixels(Path("again/image.png")) == pixels(Path("out/image-2.png"))).all()

    assert "would come out the same" in strata(*command, *obey, "--resume").out
    for other, message in (
        (("--until-obeyed", 4, *obey[2:]), "--until-obeyed 3, not 4"),
        ((*obey, "--mend", "again"), "--mend repaint, not again"),
        (("--count", 2), "drawn until it obeyed"),
    ):
        refused = strata(*command, *other, "--resume")
        assert refused.code == 2
        assert message in refused.err, refused.err

    # A picture is taken for whole where run.json does not list it, and drawn where it is not there.
    data["images"] = [one]
    Path("out/run.json").write_text(json.dumps(data))
    assert "would come out the same" in strata(*command, *obey, "--resume").out
    assert json.loads(Path("out/run.json").read_text())["images"][1]["tries"] == two["tries"]
    Path("out/image-2.png").unlink()
    judge = scripted(*script[1:])
    assert strata(*command, *obey, "--resume").code == 0
    assert len(judge.seen) == 3
    assert (pixels(Path("out/image-2.png")) == pixels(Path("again/image.png"))).all()
    assert len(Path("out/image-2.png").read_bytes()) == pytest.approx(len(kept), abs=20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--until-obeyed", 0), "--until-obeyed: '0': must be a whole number of at least 1"),
        (("--until-obeyed", 2), "--judge: model"),
        (("--until-obeyed", 2, "--judge", "exact"), "--judge exact: judges the miniature's pictures alone"),
        (("--until-obeyed", 2, "--judge", "eaxct"), "did you mean 'exact'?"),
        (("--judge", "exact"), "--judge exact: goes with --until-obeyed"),
        (("--mend", "again"), "--mend again: goes with --until-obeyed"),
        (("--until-obeyed", 2, "--mend", "agian"), "--mend: invalid choice: 'agian' (choose from 'repaint', 'again'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(
    strata: Run, job: Job, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    monkeypatch.setattr(Engine, "load", lambda job: pytest.fail("loaded"))
    done = strata("generate", "three.yaml", "--model", tiny_folder, *arguments)
    assert done.code == 2
    assert message in done.err
    Path("none.yaml").write_text("width: 32\nheight: 32\nprompt: a dot\n")
    monkeypatch.setattr("strata.analysis.judges.judge_named", lambda name: Scripted())
    done = strata("generate", "none.yaml", "--model", tiny_folder, "--until-obeyed", 2, "--judge", "clip:x")
    assert done.code == 2
    assert "--until-obeyed 2: none has no regions to obey; leave it out" in done.err
    assert not Path("out").exists()


def test_all_regions_of_a_repaint_are_the_plans(job: Job) -> None:
    told = Repaint(region="left", also=("right",), seed=1)
    assert plans_before(job.plan, [told]) == (job.plan,)
    with pytest.raises(InputError, match=r"repaints\[0\].also: 'top': is not the name of a region"):
        plans_before(job.plan, [told.model_copy(update={"also": ("right", "top")})])


def test_complaints_of_judges() -> None:
    one = JudgedObject("sun", {"kind": "sun", "colour": "red"}, {"kind": False, "colour": False}, {"kind": "none"})
    two = JudgedObject("sea", {"high": "the sea"}, {"high": False})
    picture = JudgedPicture((one, two), background={"tone": False, "pattern": False})
    assert picture.complaints == (
        "sun: asked for sun, red, found no whole object",
        "sea: asked for the sea, which was not found",
        "background: its tone and pattern are wrong",
    )
    assert picture.faults == (3, 5)
    assert JudgedPicture((replace(two, right={"high": True}),)).faults == (0, 0)


@pytest.mark.slow
def test_the_miniature_mends_a_picture_by_its_own_judge(strata: Run, here: Path) -> None:
    from strata.evaluate import open_scenes

    scene = next(one for one in open_scenes("hard")[1] if one.name == "2-05-thin-mixed-contradicts")
    assert scene.plan is not None
    Path("scene.yaml").write_text(scene.plan.to_yaml())
    done = strata("generate", "scene.yaml", "--seed", 1, "--until-obeyed", 4, "-o", "out")
    assert done.code == 0, done.err
    assert re.search(r"try 1 of 4: .*asked for \w+, found ", done.out), done.out
    assert "try 4 of 4: " in done.out
    assert strata("generate", "out/image.png", "-o", "again").code == 0
    assert (pixels(Path("again/image.png")) == pixels(Path("out/image.png"))).all()
