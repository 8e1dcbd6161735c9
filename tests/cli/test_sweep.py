"""`strata sweep` and `compare`: what a field means, what is checked first, what is drawn once, kept and refused."""

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from strata.axes import Axis
from strata.commands.sweeps import _scorer
from strata.engine import Engine
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import Region, ScenePlan
from strata.record import Repaint
from strata.settings import DrawSettings
from strata.source import Source, open_source
from strata.sweep import Sweep, prepare_sweep
from strata.sweep_run import Ready, Row, events, rows
from tests.cli.conftest import Run


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def swept(folder: Path, *axes: str, **settings: Any) -> Sweep:
    with open_source("plan.yaml") as source:
        given = DrawSettings(**{"model": str(folder), "steps": 1, "seed": 1} | settings)
        return prepare_sweep([source], [Axis.parse(text) for text in axes], given)


@pytest.fixture
def engine(here: Path, tiny_folder: Path) -> Engine:
    return Engine.load(swept(tiny_folder, "seed=1").runs[0].job)


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("base_ratio=0,0.1", "routing.blend.base_ratio", (0, 0.1)),
        ("steps=0%-30%,0%-60%", "routing.rules.steps", ("0%-30%", "0%-60%")),
        ("lora=a.safetensors:0.5,b.safetensors,null", "settings.lora", ("a.safetensors:0.5", "b.safetensors", None)),
        ("loras.steps=0%-30%,0%-60%", "routing.loras.steps", ("0%-30%", "0%-60%")),
        ("rules.low.depth=0%-50%", "routing.rules.low.depth", ("0%-50%",)),
        ("rules[0].double=[0, 2],all", "routing.rules.0.double", ([0, 2], "all")),
        ("plan.regions.left.high=a cup,null", "plan.regions.left.high", ("a cup", None)),
        ('regions.left.low="red, wet",blue', "plan.regions.left.low", ("red, wet", "blue")),
        ("settings.steps=4", "settings.steps", (4,)),
        ("seed=3,7-9", "settings.seed", (3, 7, 8, 9)),
        ("blend={mode: split}", "routing.blend", ({"mode": "split"},)),
    ],
)
def test_what_a_field_and_its_values_mean(text: str, field: str, values: tuple[Any, ...]) -> None:
    axis = Axis.parse(text)
    assert (".".join([axis.kind, *axis.path]), axis.values) == (field, values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base_rato=1", "base_rato: no such field of plan, routing or settings; near: routing.blend.base_ratio"),
        ("steps=4,8", "steps: may be any of routing.rules.steps, settings.steps; name one of them"),
        ("settings.model=a", "settings.model: does not vary: one model is loaded for all"),
        ("plan.width=64", "plan.width: does not vary: settings.width resizes the plan"),
        ("routing.balance=[]", "is applied to the plan before anything is varied"),
        ("settings.steps.a=3", "no such field"),
        ("seed=4-1", "'4-1': runs backwards; write 1-4"),
        ("seed=1-1000000000000", "1000000000000 values; at most 1000"),
        ("seed=1,1", "'1' is given twice"),
        ("base_ratio=", "needs a value at least"),
        ("base_ratio=[", "values are separated by commas"),
        ("base_ratio", "must be FIELD=VALUE,VALUE,…"),
    ],
)
def test_fields_and_values_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Axis.parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--vary", "base_ratio=0,1.5"), "strata: error: --vary base_ratio: 1.5: must be from"),
        (
            ("--vary", "seed=1,2", "--vary", "refresh=1,0"),
            "strata: error: --vary refresh: 0: must be greater than or equal to 1",
        ),
        (("--vary", "rules.low.single=2,3"), "error: rules.low.single 3: rules[1].single: '3': index 3"),
        (("--vary", "regions.lft.high=a,b"), "regions.lft.high a: regions.lft.high: 'lft': did you mean 'left'?"),
        (("--vary", "regions.left.box=[0, 0, 16, 99],[0, 0, 8, 8]"), "--vary regions.left.box: [0, 0, 16, 99]: leaves"),
        (("--vary", "regions.lft.high=a", "--vary", "method=plain,rgp"), "--vary method 'rgp': did you mean 'rpg'?"),
        (("--vary", "regions.lft.high=a", "--vary", "settings.routing=unifrom"), "routing 'unifrom': did you mean"),
        (("--vary", "settings.steps=3,0"), "settings.steps 0: --steps: 0: must be a whole number from 1 to 1000"),
        (("--vary", "base_ratio=0,1", "--method", "plain"), "base_ratio: changes nothing, as the method heeds no"),
        (("--vary", "seed=1,2", "--vary", "settings.seed=3"), "settings.seed: is varied twice"),
        ((), "--vary: nothing is varied"),
    ],
)
def test_every_combination_is_checked_before_anything_is_loaded(
    strata: Run, here: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    monkeypatch.setattr(Engine, "load", lambda job: pytest.fail("loaded"))
    done = strata("sweep", "plan.yaml", "--model", tiny_folder, *arguments)
    assert done.code == 2
    assert not (here / "out").exists()
    assert message in done.err


def test_a_sweep_is_what_it_says_and_goes_on(strata: Run, here: Path, tiny_folder: Path) -> None:
    command = ("sweep", "plan.yaml", "--model", tiny_folder, "--steps", 2, "-o", "swept")
    varied = ("--vary", "base_ratio=0,0.4", "--vary", "steps=0%-50%,0%-100%")
    done = strata(*command, *varied)
    assert done.code == 0, done.err
    assert "4 pictures, 8 steps to go, " in done.out
    found = table(here / "swept")
    assert [(line["base_ratio"], line["steps"]) for line in found] == [
        ("0", "0%-50%"),
        ("0", "0%-100%"),
        ("0.4", "0%-50%"),
        ("0.4", "0%-100%"),
    ]
    assert {line["seed"] for line in found} == {"0"}
    for line in found:
        with open_source(str(here / "swept" / "pictures" / line["file"])) as source:
            assert source.routing is not None
            assert source.routing.blend.base_ratio == float(line["base_ratio"])
            assert {str(rule.steps) for rule in source.routing.rules} == {line["steps"]}
    with Image.open(here / "swept" / "sheet.png") as sheet:
        assert min(sheet.size) > 300

    # What is there stays; what is damaged, and another value, is drawn.
    (damaged, *whole) = [here / "swept" / "pictures" / line["file"] for line in found]
    before = [path.stat().st_mtime_ns for path in whole]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-200])
    more = strata(*command, "--vary", "base_ratio=0,0.4,1", "--vary", "steps=0%-50%,0%-100%")
    assert more.code == 0, more.err
    assert "6 pictures (3 there already), 6 steps to go, " in more.out
    assert [path.stat().st_mtime_ns for path in whole] == before
    with Image.open(damaged) as one, Image.open(shutil.copy(damaged, here / "a.png")) as two:
        assert one.tobytes() == two.tobytes()
    again = table(here / "swept")
    assert [line["seconds"] for line in again[1:4]] == [line["seconds"] for line in found[1:]]

    # Anything that would come out otherwise, or be lost, is refused.
    for arguments, message in (
        (("--vary", "base_ratio=0,0.4,1", "--vary", "steps=0%-50%,0%-100%", "--seed", 9), "of another sweep (<seed> 0"),
        (varied, "2 picture(s) that this sweep does not have"),
    ):
        refused = strata(*command, *arguments)
        assert refused.code == 2
        assert message.replace("<seed>", "--seed") in refused.err
    assert strata(*command, *varied, "--force").code == 0
    assert len(list((here / "swept" / "pictures").iterdir())) == 4


def test_methods_that_heed_no_routing_are_drawn_once(strata: Run, here: Path, tiny_folder: Path) -> None:
    done = strata(
        *("compare", "plan.yaml", "--model", tiny_folder, "--steps", 1, "--seeds", "4-5", "-o", "compared"),
        *("--methods", "plain,regional", "--routings", "uniform,isolate-first"),
    )
    assert done.code == 0, done.err
    assert "heard in its place" not in done.err
    found = [(line["seed"], line["method"], line["routing"]) for line in table(here / "compared")]
    of_one = [("plain", ""), ("regional", "uniform"), ("regional", "isolate-first")]
    assert found == [(seed, *rest) for seed in ("4", "5") for rest in of_one]
    assert sorted(path.name for path in (here / "compared").iterdir()) == ["pictures", "runs.csv", "sheet.png"]
    text = (here / "plan.yaml").read_text(encoding="utf-8")
    (here / "silent.yaml").write_text(re.sub("(?m)^prompt: .*$", "prompt: two things", text), encoding="utf-8")
    silent = strata("compare", "silent.yaml", "--model", tiny_folder, "--steps", 1, "--seeds", "4-5", "-o", "silent")
    assert silent.err.count("heard in its place") == 1
    for arguments, message in (((), "nothing to compare"), (("--seeds", "1-2", "--seed", 3), "not allowed with")):
        assert message in strata("compare", "plan.yaml", "--model", tiny_folder, *arguments).err


def test_an_interrupted_sweep_leaves_whole_files_and_goes_on(here: Path, tiny_folder: Path, engine: Engine) -> None:
    sweep = swept(tiny_folder, "seed=1-3", "base_ratio=0,0.2")
    begun = events(sweep, "out", engine=engine)
    seen = [next(event for event in begun if isinstance(event, Row)) for _ in range(2)]
    begun.close()  # type: ignore[attr-defined]
    assert sorted(path.name for path in (here / "out" / "pictures").iterdir()) == sorted(row.run.file for row in seen)
    assert len(table(here / "out")) == 2
    assert sorted(path.name for path in (here / "out").iterdir()) == ["pictures", "runs.csv"]
    rest = list(events(sweep, "out", engine=engine))
    assert rest[0] == Ready(missing=4, there=2, steps=4)
    drawn = [row for row in rest if isinstance(row, Row)]
    assert [row.drawn for row in drawn] == [False, False, True, True, True, True]
    assert drawn[0].image.tobytes() == seen[0].image.convert("RGB").tobytes()
    assert [row.values["seed"] for row in drawn] == ["1", "1", "2", "2", "3", "3"]


def test_rows_without_a_folder_are_scored(here: Path, tiny_folder: Path) -> None:
    sweep = swept(tiny_folder, "regions.left.high=a cup,a moon")
    found = list(rows(sweep, score=lambda image, plan: {"letters": float(len(plan.regions[0].high or ""))}))
    assert [row.scores for row in found] == [{"letters": 5.0}, {"letters": 6.0}]
    assert all(row.path is None and row.drawn for row in found)
    assert found[0].image.tobytes() != found[1].image.tobytes()


def test_a_balance_is_applied_before_what_it_sets_is_varied(here: Path, tiny_folder: Path) -> None:
    balanced = Path("balanced.yaml")
    balanced.write_text("name: b\nrules: [{level: high}]\nbalance: [{base_ratio: 0.9, steps: 0%-50%}]\n")
    sweep = swept(tiny_folder, "base_ratio=0,0.5", routing=str(balanced))
    assert [run.job.routing.blend.base_ratio for run in sweep.runs] == [0, 0.5]
    assert all(str(run.job.routing.rules[0].steps) == "0%-50%" for run in sweep.runs)


def test_a_repainted_picture_is_refused(here: Path) -> None:
    repaints = (Repaint(region="left", seed=1, prompt=None),)
    with pytest.raises(InputError, match="was repainted, and so drawn by several plans"):
        prepare_sweep([Source("one", ScenePlan.load("plan.yaml"), repaints=repaints)], [], DrawSettings())


def test_files_that_are_no_sweeps_are_not_touched(here: Path, tiny_folder: Path, engine: Engine) -> None:
    sweep = swept(tiny_folder, "seed=1-2")
    for name, content in (("sheet.png", b"mine"), ("runs.csv", b"a,b\n1,2\n"), ("pictures", b"a file")):
        folder = here / f"of-{name}"
        folder.mkdir()
        (folder / name).write_bytes(content)
        with pytest.raises(SettingError, match=name):
            list(events(sweep, folder, engine=engine))
        assert (folder / name).read_bytes() == content
        assert len(list(folder.iterdir())) == 1


def test_plans_of_one_name_and_values_alike_have_files_of_their_own(here: Path, tiny_folder: Path) -> None:
    plan = ScenePlan.load("plan.yaml")
    sources = [Source("one", plan), Source("one", plan)]
    given = DrawSettings(model=str(tiny_folder), steps=1)
    texts = ["a/b", "a b", "A b", "x" * 300, "ab", "AB"]
    sweep = prepare_sweep(sources, [Axis.of("regions.left.low", texts)], given)
    assert len({run.file.casefold() for run in sweep.runs}) == 12
    assert max(len(run.file) for run in sweep.runs) < 130


def test_plans_that_have_no_score_are_told_once_and_briefly(capsys: pytest.CaptureFixture[str]) -> None:
    sources = [
        Source(
            name,
            ScenePlan(width=128, height=128, prompt="x", regions=[Region(name="a", box=(0, 0, 64, 64), high=text)]),
        )
        for name, text in (("one", "a wooden boat"), ("two", "a red circle"), ("three", "a tin can"))
    ]
    sweep = prepare_sweep(sources, [Axis.of("seed", [1, 2])], DrawSettings(width=128, height=128))
    assert _scorer(sweep, sources) is not None
    why = "'a wooden boat': 'wooden' is not in the miniature's language"
    notes = [line for line in capsys.readouterr().err.splitlines() if ": note: " in line]
    assert notes == [f"strata: note: one and 1 other plan: no score: {why}"]


def test_a_value_has_the_same_file_whatever_is_beside_it(here: Path, tiny_folder: Path) -> None:
    alone, among = (
        {run.values["regions.left.low"]: run.file for run in swept(tiny_folder, f"regions.left.low={texts}").runs}
        for texts in ("a b", "a/b,a b,ab,red")
    )
    assert alone["a b"] == among["a b"]
    assert among["red"] == "plan_low-red.png"
    cases = {run.file.casefold() for run in swept(tiny_folder, "regions.left.low=red,RED").runs}
    assert len(cases) == 2, "on any file system"
    assert Axis.of("routing", ["a/x.yaml", "y.yaml", "uniform"]).labels == ("x", "y", "uniform")
    assert Axis.of("routing", ["a/x.yaml", "b/x.yaml"]).labels == ("a/x.yaml", "b/x.yaml")


def test_what_is_there_is_kept_only_where_it_would_come_out_the_same(
    here: Path, tiny_folder: Path, engine: Engine
) -> None:
    axes = ("seed=1-3",)
    assert len(list(rows(swept(tiny_folder, *axes), "out"))) == 3
    plan, mask = Path("plan.yaml"), Path("masks/half right.png")
    before = {path: path.read_bytes() for path in (plan, mask)}

    def refused(**settings: Any) -> str:
        with pytest.raises(SettingError) as caught:
            list(events(swept(tiny_folder, *axes, **settings), "out", engine=engine))
        for path, content in before.items():
            path.write_bytes(content)
        return str(caught.value)

    assert "plan_seed-1.png of another sweep (by another routing)" in refused(routing="uniform")
    assert "(steps 1, not 2)" in refused(steps=2)
    plan.write_bytes(before[plan].replace(b"low: red", b"low: green"))
    assert "(of another plan)" in refused()
    Image.new("L", (8, 8), 255).save(mask)
    assert "(another masks/half_right.png)" in refused()

    # A picture that is drawn again leaves the lines of those that follow.
    (here / "out" / "pictures" / "plan_seed-1.png").write_bytes(b"")
    again = events(swept(tiny_folder, *axes), "out", engine=engine)
    next(event for event in again if isinstance(event, Row))
    again.close()  # type: ignore[attr-defined]
    assert [line["seed"] for line in table(here / "out")] == ["1", "2", "3"]


def test_what_only_the_loaded_model_can_tell_is_told_first(here: Path, tiny_folder: Path, engine: Engine) -> None:
    Image.new("RGB", (32, 48)).save("start.png")
    sweep = swept(tiny_folder, "image_strength=0.9,0.1", image="start.png", steps=2)
    with pytest.raises(SettingError, match="leaves none of 2 steps"):
        list(events(sweep, "out", engine=engine))
    assert not (here / "out").exists()
