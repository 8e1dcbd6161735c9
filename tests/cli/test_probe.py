"""`strata probe`."""

from pathlib import Path

import numpy as np
from PIL import Image

from strata.analysis.probe import Probe
from tests.cli.conftest import Run


def test_a_plan_is_probed(strata: Run, here: Path, tiny_folder: Path) -> None:
    common = ("plan.yaml", "-m", str(tiny_folder), "--seed", "3")
    done = strata("probe", *common, "--words", "red, circle, left/low", "--run-steps", "2", "--out", "probed")
    assert (done.code, done.err) == (0, "")
    assert "left   double" in done.out
    found = Probe.load("probed/probe")
    assert found.facts.areas == ("left", "right")
    assert found.facts.asked == ("red", "circle", "left/low")
    assert found.map("left/low").shape == (found.facts.rows, found.facts.cols)
    assert (found.facts.seed, found.facts.total_steps, found.facts.model) == (3, 2, str(tiny_folder))
    names = {path.name for path in Path("probed").iterdir()}
    assert {"image.png", "probe.json", "probe.safetensors", "probe.html", "layers.png"} <= names
    assert strata("generate", *common, "--steps", "2", "--out", "drawn").code == 0
    with Image.open("probed/image.png") as one, Image.open("drawn/image.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other)), "probing changes no pixel"
    again = strata("probe", *common, "--words", "red", "--out", "probed")
    assert (again.code, again.out) == (2, "")
    assert "--out probed: holds" in again.err
    again_of = ("-m", str(tiny_folder), "--out", "again")
    picture = strata("probe", "probed/image.png", "--words", "blue", "--steps", "1", *again_of, "--no-pictures")
    one = "strata: note: --steps 1: of 2 steps that one is recorded; --run-steps says how many there are\n"
    assert (picture.code, picture.err) == (0, one)
    assert sorted(path.name for path in Path("again").iterdir()) == ["image.png", "probe.json", "probe.safetensors"]
    assert Probe.load("again/probe").facts.steps == (1,)


def test_a_prompt_is_drawn_plain(strata: Run, here: Path, tiny_folder: Path) -> None:
    options = ("--run-steps", "1", "--width", "32", "--height", "48", "--concepts", "circle,square", "--out", "new")
    done = strata("probe", "a red circle", "-m", str(tiny_folder), "--words", "red", *options, "--no-pictures")
    assert (done.code, done.err) == (0, "")
    found = Probe.load("new/probe.json")
    assert (found.facts.areas, found.facts.plan, found.facts.prompt) == (("canvas",), None, "a red circle")
    assert found.concepts.shape == (2, 1, 5, 12, 8)


def test_mistakes_are_told_before_anything_is_loaded(strata: Run, here: Path, tiny_folder: Path) -> None:
    for arguments, message in (
        (
            ("plan.yaml", "--words", "green"),
            "words: 'green': is in no text that is heard, nor the name of one; these are: base",
        ),
        (("plan.yaml", "--words", "top/low"), "'top/low': is in no text that is heard, nor the name of one; these are"),
        (("plan.yaml", "--words", "red,"), "argument --words: '': must not be empty"),
        (("plan.yaml", "--blocks", "double 7"), "'double 7': index 7 is out of range (valid: 0-1)"),
        (("plan.yaml", "--steps", "50-60"), "--steps '50-60': index 60 is out of range (valid: 0-27); "),
        (("plan.yaml", "--steps", "30"), "these are the steps that are recorded, --run-steps sets how many there are"),
        (("a red circle", "--routing", "isolate-first"), "--routing isolate-first: is for plans"),
        (("a red circle", "--width", "33"), "--width 33: must be a multiple of 4"),
        (("missing.yaml",), "missing.yaml: cannot be read"),
    ):
        done = strata("probe", *arguments, "-m", str(tiny_folder))
        assert (done.code, done.out) == (2, "")
        assert message in done.err
        assert not Path("out").exists()
