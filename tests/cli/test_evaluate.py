"""`strata evaluate`: what is drawn by which routing, what stays, what is refused, and that a judge's words arrive."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.analysis.judges.exact import ExactJudge
from strata.analysis.judges.protocol import JudgedObject, JudgedPicture
from strata.engine import Engine, Step
from strata.evaluate import Evaluation, chosen, open_scenes, prepare_evaluation, tags_of, ways_of
from strata.evaluate_run import Judged, Ready, evaluate, events, journal_of, lay_out
from strata.hierarchy.errors import InputError, SettingError
from strata.settings import DrawSettings
from tests.analysis.probes import make_clip
from tests.cli.conftest import Run

LINE: dict[str, Any] = {
    "name": "one",
    "tags": ["halves"],
    "plan": {
        "width": 32,
        "height": 32,
        "prompt": "a circle and a square",
        "regions": [
            {"name": "left", "box": [0, 0, 16, 32], "high": "a circle", "low": "red, solid"},
            {"name": "right", "box": [16, 0, 32, 32], "high": "a square", "low": "blue, dotted"},
        ],
        "background": {"full": "plain grey background"},
    },
}


@pytest.fixture
def scenes(here: Path) -> str:
    """Two scenes of two objects, and one of one."""
    two = LINE | {"name": "two", "tags": ["halves", "second"]}
    alone = LINE | {"name": "alone", "plan": LINE["plan"] | {"regions": LINE["plan"]["regions"][:1]}, "tags": []}
    (here / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (LINE, two, alone)))
    return "plans:s.jsonl"


def prepared(scenes: str, folder: Path, methods: list[str], seeds: list[int], **more: Any) -> Evaluation:
    return prepare_evaluation(scenes, methods, (), seeds, DrawSettings(model=str(folder), steps=1), **more)


def test_the_routings_go_to_methods_that_have_none_of_their_own() -> None:
    ways = ways_of(["regional", "plain", "rpg"], ["uniform", "isolate-first"])
    assert [(way.name, way.method, way.routing) for way in ways] == [
        ("regional, uniform", "regional", "uniform"),
        ("regional, isolate-first", "regional", "isolate-first"),
        ("plain", "plain", None),
        ("rpg", "rpg", None),
    ]
    assert [way.slug for way in ways] == ["regional-uniform", "regional-isolate-first", "plain", "rpg"]
    for alone in (ways_of(["regional"], ["isolate-first"]), ways_of(["regional"])):
        assert [(way.name, way.slug) for way in alone] == [("regional", "regional-isolate-first")], "added to later"
    with pytest.raises(SettingError, match="none of the methods heeds them"):
        ways_of(["plain"], ["uniform"])
    with pytest.raises(SettingError, match="is given twice"):
        ways_of(["plain", "plain"])


def test_scenes_are_chosen_by_number_tag_and_limit(scenes: str) -> None:
    all_scenes = open_scenes(scenes)[1]
    assert [scene.name for scene in chosen(all_scenes, objects=[2])] == ["one", "two"]
    assert [scene.name for scene in chosen(all_scenes, limit=1)] == ["one", "alone"]
    assert [scene.name for scene in chosen(all_scenes, tags=["second"])] == ["two"]
    assert tags_of(all_scenes[1]) == ("halves", "second")
    for arguments, message in (
        ({"objects": [3]}, "objects 3: no such scenes; there are 1, 2"),
        ({"tags": ["thrid"]}, "tags thrid: no such tag; tags: halves, second"),
        ({"objects": [1], "tags": ["second"]}, "no scene has all of these"),
    ):
        with pytest.raises(SettingError) as caught:
            chosen(all_scenes, **arguments)  # type: ignore[arg-type]
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hrad",), "scenes 'hrad': must be hard, or FORMAT:PATH with a format of geneval"),
        (("plans:none.jsonl",), "none.jsonl"),
        (("plans:none.jsonl", "--methods", "plain,rgp"), "--methods 'rgp': did you mean 'rpg'?"),
        (("plans:none.jsonl", "--routings", "unifrom"), "'unifrom'"),
        (("plans:s.jsonl", "--seeds", "4-1"), "--seeds: '4-1': runs backwards; write 1-4"),
        (("plans:s.jsonl", "--objects", "two"), "--objects two: must be whole numbers"),
        (("plans:s.jsonl", "--seed", "3"), "--seed: not allowed; give --seeds"),
        (("plans:s.jsonl", "--judges", "exact"), "--judges exact: judges the miniature's pictures alone"),
        (("plans:s.jsonl",), "needs one: clip:MODEL, detector:MODEL or vqa:ADDRESS"),
        (("plans:s.jsonl", "--judges", "clip"), "needs a folder or a hub id"),
        (("plans:bad.jsonl",), "bad.jsonl:2: regions[0].box[3]: missing"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(
    strata: Run, scenes: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    plan = LINE["plan"] | {"regions": [LINE["plan"]["regions"][0] | {"box": [0, 0, 16]}]}
    Path("bad.jsonl").write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | {"name": "b", "plan": plan}) + "\n")
    monkeypatch.setattr(Engine, "load", lambda job: pytest.fail("loaded"))
    done = strata("evaluate", *arguments, "--model", tiny_folder, "--steps", 1)
    assert done.code == 2
    assert message in done.err
    assert not Path("out").exists()


def test_an_evaluation_goes_on_where_it_was_and_grows(here: Path, scenes: str, tiny_folder: Path) -> None:
    judge, two = ExactJudge(), prepared(scenes, tiny_folder, ["regional", "plain"], [1, 2], objects=[2])
    engine = Engine.load(two.draws[0].job)
    begun = events(two, [judge], "out", engine=engine)
    seen = [next(event for event in begun if isinstance(event, Judged)) for _ in range(3)]
    begun.close()  # type: ignore[attr-defined]
    assert [event.draw.key for event in seen] == [
        "one/regional-isolate-first/1",
        "one/regional-isolate-first/2",
        "one/plain/1",
    ]
    journal = here / "out" / "exact" / "judged.jsonl"
    assert len(journal.read_text().splitlines()) == 1 + 3
    stamps = {event.path: event.path.stat().st_mtime_ns for event in seen}
    with Image.open(seen[0].path) as one, Image.open(seen[1].path) as other:
        assert one.tobytes() != other.tobytes(), "other noise"

    # A picture that is cut short is drawn again, and judged again.
    seen[2].path.write_bytes(seen[2].path.read_bytes()[:-100])
    rest = list(events(two, [judge], "out", engine=engine))
    assert rest[0] == Ready(missing=6, there=2, steps=6)
    drawn = [event for event in rest if isinstance(event, Judged)]
    assert [event.drawn for event in drawn] == [False] * 2 + [True] * 6
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items() if path != seen[2].path)
    assert len(journal.read_text().splitlines()) == 1 + 9

    # More scenes and seeds are added; nothing is lost.
    more = prepared(scenes, tiny_folder, ["regional", "plain"], [1, 2, 3])
    assert next(events(more, [judge], "out", engine=engine)) == Ready(missing=10, there=8, steps=10)

    # What would come out otherwise, or be mixed with something else, is refused, whatever it is.
    other_steps = prepare_evaluation(scenes, ["plain"], (), [1], DrawSettings(model=str(tiny_folder), steps=2))
    with pytest.raises(SettingError, match=r"one/plain_1.png was drawn otherwise .*steps 1, not 2"):
        next(events(other_steps, [judge], "out", engine=engine))
    (here / "t.jsonl").write_text(json.dumps(LINE) + "\n")
    with pytest.raises(SettingError, match=r"holds results with scenes 'plans:s\.jsonl', not 'plans:t\.jsonl'"):
        next(events(prepared("plans:t.jsonl", tiny_folder, ["plain"], [1]), [judge], "out", engine=engine))

    # The same file by another path is the same; another of its name has other pictures.
    (here / "d").mkdir()
    lines = (here / "s.jsonl").read_text()
    (here / "d" / "s.jsonl").write_text(lines)
    again = prepared("plans:d/s.jsonl", tiny_folder, ["regional", "plain"], [1, 2, 3])
    assert next(events(again, [judge], "out", engine=engine)) == Ready(missing=10, there=8, steps=10)
    (here / "d" / "s.jsonl").write_text(lines.replace("red", "blue"))
    with pytest.raises(SettingError, match="was drawn otherwise"):
        next(events(prepared("plans:d/s.jsonl", tiny_folder, ["regional"], [1]), [judge], "out", engine=engine))
    (here / "mine.yaml").write_text((here / "plan.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(SettingError, match=r"out \.: holds plans, such as mine\.yaml"):
        next(events(two, [judge], ".", engine=engine))


def test_the_python_function_gives_what_was_judged(here: Path, scenes: str, tiny_folder: Path) -> None:
    evaluation = prepared(scenes, tiny_folder, ["regional", "plain"], [5], limit=1)
    found = evaluate(evaluation, [ExactJudge()], "out")["exact"]
    assert list(found.objects) == ["1", "2", "all"]
    rows = [json.loads(line) for line in (here / "out" / "exact" / "judged.jsonl").read_text().splitlines()[1:]]
    told = {line["key"]: line["value"] for line in rows}
    expected = sum(o["success"] for o in told["one/plain/5"]["objects"]) / 2
    assert found.objects["2"]["plain"]["region"].value == expected
    assert found.objects["2"]["plain"]["frechet"].value != found.objects["2"]["plain"]["frechet"].value  # of one: NaN
    assert {len(value["objects"]) for value in told.values()} == {1, 2}


def test_pictures_of_one_size_and_way_are_drawn_in_one_call(here: Path, scenes: str, tiny_folder: Path) -> None:
    evaluation = prepared(scenes, tiny_folder, ["regional", "plain"], [5, 6], objects=[2])
    engine = Engine.load(evaluation.draws[0].job)
    for out, together, steps in (("alone", 1, 8), ("in calls", 4, 2)):
        ready, *rest = events(evaluation, [ExactJudge()], out, engine=engine, together=together)
        assert ready == Ready(missing=8, there=0, steps=steps)
        assert sum(isinstance(event, Step) for event in rest) == steps
    for draw in evaluation.draws:
        one, other = (np.asarray(Image.open(here / out / "pictures" / draw.file)) for out in ("alone", "in calls"))
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 2, draw.key
    assert next(events(evaluation, [ExactJudge()], "in calls")) == Ready(0, 8, 0)


def test_scenes_whose_names_begin_alike_have_pictures_of_their_own(here: Path, tiny_folder: Path) -> None:
    names = ["a photo of " + "a very " * 8 + end for end in ("red cup", "blue cup")]
    (here / "long.jsonl").write_text("".join(json.dumps(LINE | {"name": name}) + "\n" for name in [*names, "plain"]))
    draws = prepared("plans:long.jsonl", tiny_folder, ["regional"], [1]).draws
    assert len({draw.file for draw in draws}) == 3
    assert draws[2].file == "plain/regional-isolate-first_1.png"
    assert all(len(draw.file) < 80 and " " not in draw.file for draw in draws)


def test_pictures_are_laid_out_for_the_benchmarks_own_scorer(here: Path, tiny_folder: Path) -> None:
    row = {
        "file_name": "7.jpg",
        "width": 100,
        "height": 50,
        "global_caption": "a circle",
        "bbox_list": [[0, 0, 50, 50]],
    }
    row |= {"region_captions": ["a circle"], "detail_region_captions": ["a red circle"]}
    (here / "rows.jsonl").write_text(json.dumps(row) + "\n")
    given = DrawSettings(model=str(tiny_folder), steps=1, width=32, height=32)
    evaluation = prepare_evaluation("layoutsam:rows.jsonl", ["regional", "plain"], (), [3, 4], given)
    evaluate(evaluation, [ExactJudge()], "out")
    assert lay_out(evaluation, here / "out") == [
        here / "out" / "for-scorer" / way for way in ("regional-isolate-first", "plain")
    ]
    found = sorted(path.name for path in (here / "out" / "for-scorer" / "plain").rglob("*.jpg"))
    assert found == ["7.jpg", "7.jpg"], "two samples, each in a folder of its own"


def test_a_judge_refuses_scenes_before_anything_is_drawn(here: Path, tiny_folder: Path) -> None:
    fox = [LINE["plan"]["regions"][0] | {"high": "a fox"}]
    (here / "fox.jsonl").write_text(json.dumps(LINE | {"plan": LINE["plan"] | {"regions": fox}}) + "\n")
    evaluation = prepared("plans:fox.jsonl", tiny_folder, ["plain"], [1])
    with pytest.raises(InputError, match=r"fox.jsonl:1: scene one: judge exact: .*fox"):
        next(events(evaluation, [ExactJudge()], "out"))
    (here / "g.jsonl").write_text('{"tag": "t", "prompt": "a cup", "include": [{"class": "cup", "count": 1}]}\n')
    with pytest.raises(InputError, match=r"g.jsonl:1: scene 00000: has no regions"):
        prepare_evaluation("geneval:g.jsonl", ["plain"])
    bare = {key: value for key, value in LINE["plan"].items() if key != "regions"}
    (here / "bare.jsonl").write_text(f"{json.dumps(LINE)}\n{json.dumps({'name': 'bare', 'plan': bare})}\n")
    with pytest.raises(InputError, match=r"bare.jsonl:2: scene bare: has no regions"):
        prepare_evaluation("plans:bare.jsonl", ["plain"])
    (here / "keys.jsonl").write_text(json.dumps(LINE | {"tgs": ["a"]}) + "\n")
    with pytest.raises(InputError, match=r"keys.jsonl:1: tgs: unknown key: did you mean 'tags'\?"):
        prepare_evaluation("plans:keys.jsonl", ["plain"])


@pytest.mark.parametrize("judges", ["foo", "exact:x", "clip:", "clip:./nowhere"])
def test_judges_that_are_none_are_said_before_the_scenes_are_read(strata: Run, here: Path, judges: str) -> None:
    done = strata("evaluate", "plans:nowhere.jsonl", "--judges", judges)
    assert done.code == 2
    assert f"judge '{judges}'" in done.err


@pytest.mark.parametrize(
    "damage",
    [
        {"objects": []},
        {"objects": "x"},
        {"seconds": "soon"},
        {"features": "x"},
        {"background": 3},
        {"objects": [{"region": "left"}]},
    ],
)
def test_verdicts_of_another_shape_are_told_with_their_line(
    damage: dict[str, Any], here: Path, scenes: str, tiny_folder: Path
) -> None:
    evaluation = prepared(scenes, tiny_folder, ["plain"], [1], objects=[1])
    verdict = JudgedPicture((JudgedObject("left", {"kind": "circle"}, {"kind": True}),), True, {"tone": True}).as_data()
    row = {"key": "k", "value": {"seconds": 1.0, "seam": None, "features": None} | verdict}
    journal = journal_of(evaluation, ExactJudge(), here)
    journal.add(row["key"], row["value"])
    journal.add("last", row["value"])
    assert journal_of(evaluation, ExactJudge(), here).rows.keys() == {"k", "last"}
    lines = journal.path.read_text().splitlines()
    journal.path.write_text("\n".join([lines[0], json.dumps({"key": "k", "value": row["value"] | damage}), lines[2]]))
    with pytest.raises(InputError, match=r"judged.jsonl, line 2: is damaged: .*; remove the line"):
        journal_of(evaluation, ExactJudge(), here)


@pytest.mark.slow
def test_the_command_draws_judges_and_prints_the_table(
    strata: Run, here: Path, scenes: str, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_clip(clip := tmp_path_factory.mktemp("clip"))
    command = ("evaluate", scenes, "--model", tiny_folder, "--steps", 1, "--judges", f"clip:{clip}", "-o", "e")
    done = strata(*command, "--methods", "regional,plain", "--objects", 2)
    assert done.code == 0, done.err
    assert "2 scenes, 2 ways, 1 seed: 4 pictures, 4 steps to go, " in done.out
    assert "regional minus the others" in done.out
    assert "judged by clip, whose own error is not known" in done.out
    assert (here / "e" / "pictures" / "one" / "plain_0.png").is_file()
    assert {path.name for path in (here / "e" / "clip").iterdir()} >= {"table.md", "objects.jsonl", "worst.png"}
    before = (here / "e" / "clip" / "table.md").read_text()
    again = strata(*command, "--methods", "regional,plain", "--objects", 2)
    assert again.code == 0, again.err
    assert "4 pictures (4 there already), 0 steps to go" in again.out
    assert (here / "e" / "clip" / "table.md").read_text() == before
