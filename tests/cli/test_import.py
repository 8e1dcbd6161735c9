"""`strata import` of other programs' and benchmarks' files: plans printed, in a file, in a folder; what is refused."""

from pathlib import Path

import pytest

from strata.hierarchy.plan import ScenePlan
from tests.cli.conftest import Run
from tests.importers.files import FILES
from tests.readers.rows import written


@pytest.fixture
def files(here: Path) -> None:
    for form, text in FILES.items():
        Path(f"{form}.txt").write_text(text, encoding="utf-8")


def test_printed_and_written(strata: Run, files: None) -> None:
    shown = strata("import", "comfyui", "comfyui.txt")
    assert shown.code == 0
    assert shown.err.count("strata: note: ") == shown.err.count("\n") == 3
    assert "strata: note: comfyui.txt:86: 8: FluxGuidance: does what no plan holds; it is passed through\n" in shown.err
    done = strata("import", "comfyui", "comfyui.txt", "-o", "new/beach.yaml")
    assert (done.code, done.out, done.err) == (0, "new/beach.yaml\n", shown.err)
    assert Path("new/beach.yaml").read_text(encoding="utf-8") == shown.out
    done = strata("import", "rpg", "rpg.txt", "--width", 64, "--height", 32, "-o", "plans/")
    assert (done.code, done.out) == (0, "plans/rpg.yaml\n")
    assert ScenePlan.load("plans/rpg.yaml").width == 64
    assert strata("validate", "new/beach.yaml", "plans/rpg.yaml").code == 0


def test_several_plans_go_into_a_folder(strata: Run, files: None) -> None:
    done = strata("import", "lmd", "lmd.txt", "-o", "plans")
    assert (done.code, done.out) == (0, "plans: 2 plans\n")
    assert sorted(path.name for path in Path("plans").iterdir()) == ["0000.yaml", "0001.yaml"]
    before = Path("plans/0001.yaml").read_bytes()
    Path("plans/0000.yaml").unlink()
    refused = strata("import", "lmd", "lmd.txt", "-o", "plans")
    assert (refused.code, refused.out) == (2, "")
    assert "--out plans/0001.yaml: is there already; --force replaces it" in refused.err
    assert [path.name for path in Path("plans").iterdir()] == ["0001.yaml"]
    assert strata("import", "lmd", "lmd.txt", "-o", "plans", "--force").code == 0
    assert Path("plans/0001.yaml").read_bytes() == before
    path = written(Path(), "layoutsam")
    done = strata("import", "layoutsam", str(path), "--width", 64, "--height", 64, "-o", "sam/")
    assert (done.code, done.out) == (0, "sam/: 2 plans\n")
    assert ScenePlan.load("sam/sa_8.yaml").regions[1].box == (32, 0, 64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lmd", "lmd.txt"), "--out: must be a folder: lmd.txt holds 2 plans"),
        (("lmd", "lmd.txt", "-o", "x.yaml"), "--out x.yaml: must be a folder: lmd.txt holds 2 plans"),
        (("omost", "omost.txt"), "--width, --height: missing: this file of format omost does not tell the canvas"),
        (("omost", "omost.txt", "--width", 8), "--height: missing: this file of format omost does not tell the canvas"),
        (("omots", "omost.txt"), "format 'omots': did you mean 'omost'?"),
        (("comfyui", "comfyui.txt", "-o", "x.txt"), "--out x.txt: suffix '.txt': must be one of .yaml, .yml, .json"),
        (("comfyui", "gone.json", "-o", "x/"), "gone.json: cannot be read"),
        (("comfyui", "comfyui.txt", "--force"), "--force: goes with --out"),
    ],
)
def test_what_is_refused(strata: Run, files: None, arguments: tuple[object, ...], message: str) -> None:
    before = sorted(Path().rglob("*"))
    done = strata("import", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert sorted(Path().rglob("*")) == before
