"""Files of the field's benchmarks as scenes: what is read, what becomes of boxes, and what is refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from strata.hierarchy.errors import LONGEST_MESSAGE, InputError
from strata.hierarchy.plan import Region, ScenePlan
from strata.readers import BENCHMARKS, Scene, benchmark_named, read_scenes, split_spec

from .rows import DENSE, FILES, GENEVAL, GENEVAL2, LAYOUTSAM, OVERLAY, lines, written


def scenes(folder: Path, form: str, token: int = 16) -> list[Scene]:
    benchmark, found = read_scenes(f"{form}:{written(folder, form)}", token)
    assert benchmark is benchmark_named(form)
    assert benchmark.name == form
    assert benchmark.boxes == any(scene.plan is not None for scene in found)
    assert [scene.index for scene in found] == list(range(len(found)))
    return found


def plan_of(scene: Scene) -> ScenePlan:
    assert scene.plan is not None
    assert ScenePlan.from_yaml(scene.plan.to_yaml()) == scene.plan
    return scene.plan


def test_geneval(tmp_path: Path) -> None:
    first, second = scenes(tmp_path, "geneval")
    assert (first.prompt, first.group, first.plan, first.name) == ("three kettles", "counting", None, "00000")
    assert second.row == GENEVAL[1]
    assert second.place.endswith("evaluation_metadata.jsonl:2")


def test_geneval2(tmp_path: Path) -> None:
    found = scenes(tmp_path, "geneval2")
    assert [(scene.prompt, scene.group) for scene in found] == [
        ("two glass pears under a loom", "4 atoms"),
        ("a felt ladder", "2 atoms"),
    ]
    assert found[0].row == GENEVAL2[0]


def test_t2i_compbench(tmp_path: Path) -> None:
    first, second = scenes(tmp_path, "t2i-compbench")
    assert (first.prompt, first.group, first.notes) == ("a red book and a yellow vase", "color", ())
    assert second.prompt == "a blue_ish cup"
    assert second.row == {"prompt": "a blue_ish cup", "columns": ["color"]}
    (note,) = second.notes
    assert note.endswith(
        "color_val.txt:3: prompt: 'a blue_ish cup': the scorer takes what stands before the first '_' for the prompt"
    )


def test_dpg(tmp_path: Path) -> None:
    path = written(tmp_path, "dpg")
    path.with_name("a9.txt").write_text("\ufeffA prompt.", encoding="utf-8")
    path.with_name("README.md").write_text("no prompt", encoding="utf-8")
    _, found = read_scenes(f"dpg:{path.parent}")
    assert [(scene.name, scene.prompt) for scene in found] == [
        ("a9", "A prompt."),
        ("partiprompts3", "A long prompt\nof two lines."),
    ]


def test_coco_mig(tmp_path: Path) -> None:
    first, second = scenes(tmp_path, "coco-mig")
    plan = plan_of(first)
    assert (plan.width, plan.height, plan.prompt) == (512, 512, "a photo of a red kettle and a blue kettle")
    assert plan.regions == (
        Region(name="a blue kettle", box=(256, 128, 512, 384), full="a blue kettle"),
        Region(name="a red kettle", box=(0, 0, 128, 256), full="a red kettle"),
        Region(name="a red kettle 2", box=(0, 256, 128, 512), full="a red kettle"),
    )
    assert (first.group, first.size) == ("L3", (512, 512))
    (note,) = first.notes
    assert note.endswith(
        "mig_bench_anno.yaml:7: phrases.a red kettle[1]: [-0.5, 0.5, 0.25, 1]: leaves the 1x1 picture; it is cut off"
        " at its edges"
    )
    assert (second.group, second.row["coco_id"], second.notes) == ("L1", 5, ())
    assert plan_of(scenes(tmp_path, "coco-mig", token=24)[0]).width == 504


def test_layoutsam(tmp_path: Path) -> None:
    first, second = scenes(tmp_path, "layoutsam")
    plan = plan_of(first)
    assert (plan.width, plan.height, plan.prompt) == (1024, 1024, "A kiln beside a dinghy.")
    assert plan.regions == (
        Region(name="a kiln", box=(0, 0, 512, 512), high="a kiln", low="a brick kiln, sooty"),
        Region(name="a dinghy", box=(641, 256, 1024, 768), high="a dinghy", low="a dinghy's hull"),
    )
    cut, empty = first.notes
    assert cut.endswith(
        "test.jsonl:1: bbox_list[1]: [500.5, 100, 900, 300]: leaves the 800x400 picture; it is cut off at its edges"
    )
    assert empty.endswith("test.jsonl:1: bbox_list[2]: [20, 30, 20, 90]: is empty; its region is left out")
    assert (first.name, first.size, first.row["image_id"]) == ("sa_7", (1024, 1024), 7)
    assert [(region.name, region.high, region.low) for region in plan_of(second).regions] == [
        ("a crate", "a crate", None),
        ("a crate 2", "a crate", None),
    ]


def test_denselayout(tmp_path: Path) -> None:
    (scene,) = scenes(tmp_path, "denselayout")
    plan = plan_of(scene)
    assert (plan.width, plan.height, scene.size) == (1008, 608, (1000, 600))
    assert plan.regions == (
        Region(name="vice", box=(0, 0, 504, 304), high="vice", low="a blue vice, chipped"),
        Region(name="vice 2", box=(504, 304, 1008, 608), high="vice"),
    )
    (note,) = scene.notes
    assert "annos[2].bbox: [1000, 0, 1200, 50]: lies outside the 1000x600 picture; its region is left out" in note
    assert (scene.name, scene.row) == ("41", DENSE[0])


def test_overlaybench(tmp_path: Path) -> None:
    (scene,) = scenes(tmp_path, "overlaybench")
    assert plan_of(scene).regions == (
        Region(name="goat_1", box=(100, 200, 600, 900), high="goat", low="a shaggy white goat"),
        Region(name="cart", box=(300, 100, 1000, 800), high="cart", low="a cart, of oak"),
    )
    assert (scene.group, scene.name, scene.prompt) == (
        "simple",
        "simple-00012",
        "A goat stands in front of a cart.",
    )
    assert scene.row["annotation"]["relations"] == {"(goat_1, cart)": "in front of"}


def test_a_list_of_json_and_a_folder_of_files_read_as_json_lines_do(tmp_path: Path) -> None:
    path = written(tmp_path, "layoutsam")
    listed = tmp_path / "listed.json"
    listed.write_text(json.dumps(LAYOUTSAM, indent=1), encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, row in enumerate(LAYOUTSAM):
        (folder / f"{number}.jsonl").write_text(lines([row]), encoding="utf-8")
    expected = read_scenes(f"layoutsam:{path}")[1]
    for other in (listed, folder):
        found = read_scenes(f"layoutsam:{other}")[1]
        assert [(s.name, s.index, s.plan, s.row) for s in found] == [(s.name, s.index, s.plan, s.row) for s in expected]
    assert read_scenes(f"layoutsam:{listed}")[1][1].place == f"{listed}:12"


@pytest.mark.parametrize(
    ("form", "rows"), [("layoutsam", LAYOUTSAM), ("denselayout", DENSE), ("overlaybench", OVERLAY)]
)
def test_parquet(tmp_path: Path, form: str, rows: list[dict[str, Any]]) -> None:
    arrow = pytest.importorskip("pyarrow", reason="parquet needs the extra `benchmarks`")
    from pyarrow import parquet

    path = written(tmp_path, form).with_suffix(".parquet")
    parquet.write_table(arrow.Table.from_pylist([{**row, "image": b"no picture"} for row in rows]), path)
    told = read_scenes(f"{form}:{path}")[1]
    expected = scenes(tmp_path, form)
    assert [(s.name, s.plan) for s in told] == [(s.name, s.plan) for s in expected]
    assert told[0].place == f"{path}, row 0"
    assert "image" not in told[0].row
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=f"{path.name}: not a readable parquet file"):
        read_scenes(f"{form}:{path}")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    path = tmp_path / "test.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(
        InputError, match=r'test.parquet: parquet files need pyarrow: pip install "strata-prompting\[ben'
    ):
        read_scenes(f"layoutsam:{path}")


@pytest.mark.parametrize(
    ("form", "old", "new", "message"),
    [
        ("geneval", '"tag": "counting", ', "", "metadata.jsonl:1: tag: missing"),
        ("geneval", '"count": 3', '"count": 0', "1: include[0].count: 0: must be greater than or equal to 1"),
        ("geneval", '"class": "kettle"', '"clas": "kettle"', "1: include[0].class: missing"),
        (
            "geneval",
            '["left of", 0]',
            '["left of", 1]',
            "2: include[1].position[1]: 1: must be the number of an object",
        ),
        ("geneval", '"three kettles"', '"three', "1: not valid JSON"),
        (
            "geneval2",
            '["count", "object"]',
            '["count"]',
            "1: skills: has 1 entries, vqa_list has 2: must be one a quest",
        ),
        ("geneval2", "a felt ladder", "two glass pears under a loom", "2: prompt: 'two glass pears under a loom': alr"),
        (
            "t2i-compbench",
            "a red book",
            "a red/book",
            "1: prompt: 'a red/book and a yellow vase': becomes a file's name",
        ),
        ("t2i-compbench", "a red book", "a red" * 60, "1: prompt: 'a reda red"),
        ("coco-mig", "  coco_id: 5\n", "", "11: coco_id: missing"),
        ("coco-mig", "'31'", "'3/1'", "mig_bench_anno.yaml:10: coco_id: '3/1': becomes a file's name"),
        (
            "coco-mig",
            "0.0, 0.0, 0.25",
            "40, 0.0, 0.25",
            "7: phrases.a red kettle[0]: [40.0, 0.0, 0.25, 0.5]: must be frac",
        ),
        ("coco-mig", "[0.0, 0.0, 0.25, 0.5]", "[0.0, x, 0.25, 0.5]", "phrases.a red kettle[0][1]: 'x': must be a num"),
        ("coco-mig", "a green loom: [[0.1, 0.1, 0.9, 0.9]]\n", "\n", "phrases: holds no box: must be a mapping"),
        ("layoutsam", "'s hull", '\\"s hull', "1: detail_region_captions: '["),
        (
            "layoutsam",
            "'a thread']",
            "]",
            "1: region_captions: has 2 captions, bbox_list has 3 boxes: must be one a box",
        ),
        ("layoutsam", "500.5", "'500'", "1: bbox_list[1][0]: '500': must be a number"),
        ("layoutsam", "500.5", "1e400", "1: bbox_list[1][0]: Infinity: must be"),
        ("layoutsam", "[[0, 0, 400", "[[0, 400", "1: bbox_list[0][3]: missing"),
        ("layoutsam", "[[0, 0, 400, 200]", "__import__('os')", "1: bbox_list: '__import__('os'), [500.5, 100"),
        ("layoutsam", "sa_8.png", "SA_7.JPG", "2: file_name: 'SA_7.JPG': already that of "),
        (
            "layoutsam",
            "sa_8.png",
            "a/../8.png",
            "2: file_name: 'a/../8.png': becomes a file's name, so it must not hold",
        ),
        (
            "layoutsam",
            "sa_8.png",
            ".png",
            "2: file_name: '.png': becomes a file's name, so it must not begin with a dot",
        ),
        ("layoutsam", "sa_8.png", "sa_8.gif", "2: file_name: 'sa_8.gif': must end in one of .jpg, .jpeg, .png"),
        ("layoutsam", '"width": 640', '"width": 0', "2: width: 0: must be greater than or equal to 1"),
        ("denselayout", '"id": 41', '"id": 4.1', "1: id: 4.1: must be a valid string"),
        ("denselayout", "a blue vice", "\\u0007", "1: annos[0].caption: '\\x07, chipped': must not hold the control"),
        ("overlaybench", "'bbox': [100", "'bbox': [None", "1: annotation.annotations.goat_1.bbox[0]: null: must be a"),
        ("overlaybench", "'caption'", "'captions'", "1: annotation.caption: missing"),
        ("overlaybench", "{'caption'", "'caption'", "1: annotation: '"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, form: str, old: str, new: str, message: str) -> None:
    path = written(tmp_path, form)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_scenes(f"{form}:{path}")
    assert str(caught.value).startswith(f"{path.parent}/")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("genval:x", "format 'genval': did you mean 'geneval'? must be one of geneval, geneval2, t2i-compbench, dpg"),
        ("geneval:", "'geneval:': must be FORMAT:PATH; the path is missing"),
        ("x.jsonl", "'x.jsonl': must be FORMAT:PATH; formats: geneval,"),
        ("geneval:gone.jsonl", "gone.jsonl: cannot be read"),
        ("geneval:{}/empty.jsonl", "empty.jsonl: holds no rows"),
        ("geneval:{}/rows.csv", "rows.csv: suffix '.csv': must be one of .jsonl, .json, .parquet"),
        ("geneval:{}", "no file in this folder ends in .jsonl, .json, .parquet"),
        ("t2i-compbench:{}", "is a folder; name a category's file in it, such as color_val.txt"),
        ("t2i-compbench:{}/empty.txt", "empty.txt: holds no prompts"),
        ("coco-mig:{}/list.yaml", "list.yaml:1: must be a mapping"),
        ("coco-mig:{}/flat.yaml", "flat.yaml:1: a cup: 3: must be a mapping of phrases to boxes, and coco_id"),
        ("coco-mig:{}/none.json", "none.json: holds no prompts"),
        ("dpg:{}/empty.txt", "empty.txt: prompt: '': must not be empty"),
        ("dpg:{}/a.b.txt", "id: 'a.b': the scorer takes what stands before the first '.' for the id"),
        ("overlaybench:{}/easy.jsonl", "name 'easy.jsonl': must begin with its split, one of simple, medium, hard"),
        ("denselayout:{}/list.json", "list.json:2: must be a JSON mapping, not 7"),
    ],
)
def test_what_is_no_file_of_a_format(tmp_path: Path, spec: str, message: str) -> None:
    folder = tmp_path / "files" if spec.endswith("{}") else tmp_path
    folder.mkdir(exist_ok=True)
    contents = {"empty.txt": " \n", "a.b.txt": "x", "list.yaml": "- 1", "flat.yaml": "a cup: 3", "none.json": "{}"}
    contents |= {"rows.csv": "", "easy.jsonl": lines(OVERLAY), "list.json": "[\n7]"}
    contents |= {"empty.jsonl": "\n\n"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_scenes(spec.format(folder))
    assert message in str(caught.value)


def test_a_path_is_no_spec() -> None:
    assert split_spec("scenes/hard.jsonl") is None
    assert split_spec(r"C:\scenes.jsonl") is None
    assert split_spec("hard") is None
    assert split_spec("geneval:C:\\x.jsonl") == ("geneval", "C:\\x.jsonl")


def test_more_boxes_than_a_plan_has_regions_are_told(tmp_path: Path) -> None:
    row = {**DENSE[0], "annos": [{"bbox": [n, 0, n + 9, 9], "category_name": "nail"} for n in range(102)]}
    path = tmp_path / "x.jsonl"
    path.write_text(lines([row]), encoding="utf-8")
    (scene,) = read_scenes(f"denselayout:{path}")[1]
    assert len(plan_of(scene).regions) == 100
    assert len(scene.notes) == 2
    assert scene.notes[1].endswith(
        "annos[101].bbox: is one of more than 100 regions, the most of a plan; its region is left out"
    )


BITS = [
    "",
    '"',
    "'",
    "[",
    "]",
    "{",
    "}",
    ",",
    "0",
    "-",
    "null",
    "NaN",
    "1e999",
    "\x1b",
    "\ud83d",
    "\n",
    "é",
    "x" * 300,
    ": ",
]


@pytest.mark.parametrize("form", [form for form in FILES if form != "dpg"])
def test_whatever_stands_in_a_file_it_is_read_or_refused_in_a_line(tmp_path: Path, form: str) -> None:
    rng = random.Random(form)
    path = written(tmp_path, form)
    text = path.read_text(encoding="utf-8")
    said = []
    for _ in range(25):
        damaged = text
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(damaged) + 1)
            end = min(len(damaged), start + rng.choice([0, 0, 1, 4, 30]))
            damaged = damaged[:start] + rng.choice(BITS) + damaged[end:]
        path.write_text(damaged, encoding="utf-8", errors="surrogatepass")
        try:
            for scene in read_scenes(f"{form}:{path}")[1]:
                assert scene.plan is None or ScenePlan.from_yaml(scene.plan.to_yaml()) == scene.plan
        except InputError as error:
            said.append(str(error))
    assert 0 < len(said) < 25
    assert all(str(path) in line and line.isprintable() and len(line) <= LONGEST_MESSAGE for line in said)


def test_every_format_is_tested() -> None:
    assert set(FILES) == set(BENCHMARKS)
