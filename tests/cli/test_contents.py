"""Files of runs and sweeps that other commands leave alone, and folders that do not take what would be mixed up."""

from pathlib import Path

import pytest
from PIL import Image

from strata.contents import check_unowned
from strata.hierarchy.errors import InputError
from tests.cli.conftest import Run


@pytest.fixture
def kept(here: Path) -> Path:
    """A run, a restyled picture, a sweep, a batch and an evaluation, by the names of their files."""
    for name in (
        *("run/run.json", "run/masks/m.png", "run/inputs/image.png", "run/contact.png", "run/preview-2.png"),
        *("restyled/original/run.json", "restyled/restyled/run.json", "restyled/compare.png"),
        *("sweep/runs.csv", "sweep/sheet.png", "sweep/sheet-2.png", "sweep/pictures/scale-0.png"),
        *("batch/runs.jsonl", "evaluation/exact/judged.jsonl"),
        *("interrupted/pictures/scale-0.png", "mine/sheet.png", "mine/compare.png", "mine/masks/m.png"),
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("kept")
    return here


OWNED = {
    "run/contact.png": "run in run,",
    "run/preview-2.png": "run in run,",
    "run/masks/m.png": "run in run,",
    "run/inputs/image.png": "run in run,",
    "restyled/compare.png": "run in restyled,",
    "sweep/sheet.png": "sweep in sweep,",
    "sweep/sheet-2.png": "sweep in sweep,",
    "sweep/pictures/scale-0.png": "sweep in sweep,",
}


def test_no_command_replaces_a_file_of_a_run_or_a_sweep(strata: Run, kept: Path) -> None:
    commands = [("export", "flux3", "plan.yaml", "-o", file) for file in OWNED]
    commands += [("layout", "plan.yaml", "-o", "sweep/sheet.png"), ("layout", "plan.yaml", "-o", "run/contact.png")]
    commands += [("routing", "show", "uniform", "-o", "sweep/pictures/scale-0.png")]
    for command in commands:
        done = strata(*command, "--force")
        assert done.code == 2
        file = command[-1]
        assert f"{file}: belongs to the {OWNED[file]} which stays as it is; name another file" in done.err
        assert Path(file).read_text() == "kept"


def test_any_other_file_is_replaced_where_that_is_asked_for(strata: Run, kept: Path) -> None:
    commands = [("layout", "plan.yaml", "-o", "mine/sheet.png")]
    commands += [("export", "flux3", "plan.yaml", "-o", f"mine/{name}") for name in ("compare.png", "masks/m.png")]
    for command in (*commands, ("routing", "show", "uniform", "-o", "mine/sheet.png")):
        done = strata(*command)
        assert (done.code, done.out) == (2, "")
        assert f"--out {command[-1]}: is there already; --force replaces it" in done.err
        assert Path(command[-1]).read_text() == "kept"
    assert strata(*commands[0], "--force").code == 0
    Image.open("mine/sheet.png").verify()
    assert strata(*commands[0]).code == 0, "it holds that already"
    assert "--force: goes with --out" in strata("routing", "show", "uniform", "--force").err


def test_links_and_the_working_folder(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept / "link.png").symlink_to("sweep/sheet.png")
    with pytest.raises(InputError, match=r"^link.png: belongs to the sweep"):
        check_unowned(Path("link.png"))
    monkeypatch.chdir(kept / "sweep" / "pictures")
    with pytest.raises(InputError, match=r"^scale-0.png: belongs to the sweep in \.\.,"):
        check_unowned(Path("scale-0.png"))
    check_unowned(Path("scale-0.png"), b"kept")
    check_unowned(Path("new.txt"))
    with pytest.raises(InputError, match=r"^new.png: belongs to the sweep in \.\.,"):  # its name is one of theirs
        check_unowned(Path("new.png"))
    check_unowned(kept / "interrupted" / "pictures" / "scale-0.png")


@pytest.mark.parametrize(
    ("folder", "held"),
    [
        ("run", "a run (run.json)"),
        ("restyled", "a restyled picture and its original (compare.png)"),
        ("sweep", "a sweep (runs.csv)"),
        ("batch", "a batch (runs.jsonl)"),
        ("evaluation", "an evaluation (exact/judged.jsonl)"),
    ],
)
def test_plans_are_not_mixed_with_pictures(folder: str, held: str, strata: Run, kept: Path) -> None:
    (kept / "prompts.txt").write_text("a red boat\n")
    (kept / "layout.txt").write_text("Objects: [('a heron', [0, 0, 64, 64])]\nBackground prompt: a lake\n")
    before = sorted(kept.rglob("*"))
    for command in (
        *(("plan", source, "-o", folder) for source in ("a red boat", "prompts.txt")),
        ("plan", "a red boat", "-o", f"{folder}/new.yaml"),
        *(("import", "lmd", "layout.txt", "-o", f"{folder}/{name}") for name in ("", "new.yaml")),
    ):
        done = strata(*command)
        assert done.code == 2
        assert f"--out {folder}: holds {held}; give another folder, or --force to write beside it" in done.err
        assert sorted(kept.rglob("*")) == before


def test_a_new_file_has_no_name_of_theirs(strata: Run, kept: Path) -> None:
    for file in ("run/image-7.png", "run/schedule.png", "sweep/sheet-9.png"):
        assert f"{file}: belongs to the" in strata("export", "flux3", "plan.yaml", "-o", file, "--force").err
        assert not Path(file).exists()
    assert strata("export", "flux3", "plan.yaml", "-o", "run/mine.png").code == 0, "a name that no run looks at"


@pytest.fixture
def plans(here: Path) -> str:
    (here / "plans").mkdir()
    (here / "plans" / "a.yaml").write_text("colours: [red]\n")
    (here / "plans" / "one.yaml").write_text("width: 32\nheight: 48\nprompt: one\n")
    return "plans, such as one.yaml"


def test_what_would_be_mixed_is_refused(
    strata: Run, kept: Path, plans: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strata.engine.load_pipeline", None)
    sweep = "a sweep (runs.csv)"
    restyled = "a restyled picture and its original (compare.png)"
    vary = ("--vary", "base_ratio=0,0.1")
    for command, out, held in (
        (("generate",), "sweep", sweep),
        (("generate",), "restyled", restyled),
        (("generate",), "plans", plans),
        (("restyle", "--low", "left=blue"), "sweep", sweep),
        (("sweep", *vary), "run", "a run (run.json)"),
        (("sweep", *vary), "restyled", restyled),
        (("compare", "--seeds", "1,2"), "plans", plans),
    ):
        before = sorted(kept.rglob("*"))
        model = ("--model", tiny_folder, "--steps", 1)
        done = strata(command[0], "plan.yaml", *command[1:], *model, "-o", out)
        assert done.code == 2
        assert f"--out {out}: holds {held}; give another folder, or --force to write beside it" in done.err
        assert sorted(kept.rglob("*")) == before


def test_what_goes_on_or_is_forced_is_not(strata: Run, here: Path, plans: str, tiny_folder: Path) -> None:
    asked = ("plan.yaml", "--model", tiny_folder, "--steps", 1, "--seed", 1)
    assert strata("generate", *asked, "-o", "plans", "--force").code == 0
    assert (here / "plans" / "one.yaml").exists()
    again = strata("generate", *asked, "-o", "plans", "--resume")
    assert "is there and would come out the same" in again.out
