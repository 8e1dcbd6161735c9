"""`strata export` and `strata import`: there and back, what is told to be lost, and what is refused."""

from pathlib import Path

import pytest

from strata.hierarchy.plan import ScenePlan
from tests.cli.conftest import Run

SIZE = ("--width", 32, "--height", 48)


def test_there_and_back(strata: Run, here: Path) -> None:
    done = strata("export", "flux3", "plan.yaml", "-o", "new/caption.txt")
    assert (done.code, done.out) == (0, "new/caption.txt\n")
    assert done.err == "strata: note: 'right': its mask becomes the box around it, [16, 0, 32, 48]\n"
    printed = strata("export", "flux3", "plan.yaml")
    assert printed.out == Path("new/caption.txt").read_text(encoding="utf-8")
    assert printed.out.count("\n") == 1
    done = strata("import", "flux3", "new/caption.txt", *SIZE, "-o", "back.yaml")
    assert (done.code, done.out, done.err) == (0, "back.yaml\n", "")
    plan, back = ScenePlan.load("plan.yaml"), ScenePlan.load("back.yaml")
    assert back.regions[1].box == (16, 0, 32, 48)
    assert back.model_copy(update={"regions": plan.regions}) == plan
    assert back.regions[0] == plan.regions[0]
    shown = strata("import", "flux3", "new/caption.txt", *SIZE)
    assert shown.out == Path("back.yaml").read_text(encoding="utf-8")
    assert strata("import", "flux3", "new/caption.txt", *SIZE, "-o", "back.json").code == 0
    assert ScenePlan.load("back.json") == back
    assert strata("validate", "back.yaml", "back.json").code == 0


def test_notes_of_reading_and_other_sizes(strata: Run, here: Path) -> None:
    caption = '{"compositional_deconstruction": {"background": "", "elements": [{"type": "obj", "desc": "a cat"}]}}'
    Path("c.json").write_text(caption, encoding="utf-8")
    done = strata("import", "ideogram", "c.json", "--width", 64, "--height", 16)
    assert (done.code, done.out) == (0, "width: 64\nheight: 16\nprompt: a cat\n")
    assert done.err == "strata: note: elements[0] has no bbox: it joins the base prompt\n"


IMPORT = ("import", "flux3", "bad.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "flux", "plan.yaml"), "form 'flux': did you mean 'flux3'? must be one of flux3, ideogram, min"),
        (("export", "flux3", "gone.yaml"), "gone.yaml: cannot be read"),
        (("export", "flux3", "plan.yaml", "-o", "plan.yaml"), "--out plan.yaml: is there already; --force replaces"),
        (("export", "flux3", "plan.yaml", "--force"), "--force: goes with --out"),
        (("import", "flux3", "gone.txt", *SIZE), "gone.txt: cannot be read"),
        ((*IMPORT, *SIZE), "bad.txt:2: table[0].bbox: [9, 0, 2, 9]: y_max must be greater than y_min"),
        ((*IMPORT, "--width", 32), "--height: missing: this file of format flux3 does not tell the canvas"),
        (IMPORT, "--width, --height: missing: this file of format flux3 does not tell the canvas"),
        ((*IMPORT, "--width", 0, "--height", 1), "argument --width: '0': must be a whole number from 1 to 8192"),
        ((*IMPORT, *SIZE, "-o", "plan.txt"), "--out plan.txt: suffix '.txt': must be one of .yaml"),
        ((*IMPORT, *SIZE, "-o", "plan.yaml"), "--out plan.yaml: is there already; --force replaces it"),
        (("import", "flux3", "large.txt", *SIZE), "large.txt: is larger than 2 MiB"),
    ],
)
def test_what_is_refused(strata: Run, here: Path, arguments: tuple[object, ...], message: str) -> None:
    Path("bad.txt").write_text('a boat <b_1>\n[{"id": "b_1", "bbox": [9, 0, 2, 9], "desc": "x"}]', encoding="utf-8")
    Path("large.txt").write_text("x" * (2 * 2**20 + 1), encoding="utf-8")
    before = Path("plan.yaml").read_bytes()
    done = strata(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert Path("plan.yaml").read_bytes() == before


def test_force_replaces(strata: Run, here: Path) -> None:
    Path("c.txt").write_text("mine", encoding="utf-8")
    assert strata("export", "ideogram", "plan.yaml", "-o", "c.txt", "--force").code == 0
    assert Path("c.txt").read_text(encoding="utf-8").startswith('{"high_level_description":')
