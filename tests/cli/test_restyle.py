"""`strata restyle`: what is written, that it repeats, and what is refused before anything is loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strata.hierarchy.plan import ScenePlan
from tests.cli.conftest import Run
from tests.injection.conftest import tiny_transformer
from tests.injection.loras import make_weights, save_weights

QUICK = ("--steps", 2, "--seed", 7)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_two_runs_and_a_comparison(strata: Run, here: Path, tiny_folder: Path) -> None:
    done = strata("restyle", "plan.yaml", "--model", tiny_folder, *QUICK, "--low", "left=green, striped")
    assert done.code == 0, done.err
    said = "a green striped circle and a blue square — Ünïcode “quotes”"
    assert done.err == f"strata: note: the restyled picture's base prompt is now '{said}' (--keep-prompt leaves it)\n"
    out = here / "out" / "plan-restyled"
    assert sorted(path.name for path in out.iterdir()) == ["compare.png", "original", "restyled"]
    assert ScenePlan.load(out / "restyled" / "plan.yaml").regions[0].low == "green, striped"
    before, after = (ScenePlan.load(out / part / "plan.yaml") for part in ("original", "restyled"))
    assert before.regions[0].low == "red"
    assert after.prompt == said
    assert not np.array_equal(pixels(out / "original" / "image.png"), pixels(out / "restyled" / "image.png"))
    plain = strata("generate", "plan.yaml", "--model", tiny_folder, *QUICK, "--out", "plain")
    assert plain.code == 0, plain.err
    assert np.array_equal(pixels(out / "original" / "image.png"), pixels(here / "plain" / "image.png"))
    again = strata("restyle", "plan.yaml", "--model", tiny_folder, *QUICK, "--low", "left=x", "-o", out)
    assert "already; give another folder, or --force to overwrite" in again.err


@pytest.mark.parametrize("option", [("--keep-prompt",), ("--from-step", "50%")])
def test_the_base_prompt_can_stay(strata: Run, here: Path, tiny_folder: Path, option: tuple[str, ...]) -> None:
    done = strata("restyle", "plan.yaml", "--model", tiny_folder, *QUICK, "--low", "left=green", *option)
    assert done.code == 0, done.err
    assert "strata: note: left: the base prompt says 'red' too, and is heard beside the regions' texts\n" in done.err
    out = here / "out" / "plan-restyled"
    before, after = (ScenePlan.load(out / part / "plan.yaml") for part in ("original", "restyled"))
    assert after.prompt == before.prompt


def test_it_does_not_stand_beside_a_run_of_another_command(strata: Run, here: Path, tiny_folder: Path) -> None:
    assert strata("generate", "plan.yaml", "--model", tiny_folder, *QUICK, "--count", 2, "--out", "run").code == 0
    (here / "run" / "mine.txt").write_text("mine", encoding="utf-8")
    restyle = ("restyle", "plan.yaml", "--model", tiny_folder, *QUICK, "--low", "left=green", "--out", "run")
    assert "run: holds run.json already; give another folder, or --force" in strata(*restyle).err
    done = strata(*restyle, "--force")
    assert done.code == 0, done.err
    left = sorted(path.name for path in (here / "run").iterdir() if path.name != "masks")
    assert left == ["compare.png", "mine.txt", "original", "restyled"]


@pytest.mark.slow
def test_a_later_step_is_kept_inside_the_picture(strata: Run, here: Path, tiny_folder: Path) -> None:
    Path("style.yaml").write_text(Path("plan.yaml").read_text().replace("low: blue", "low: gold"), encoding="utf-8")
    drawn = strata("generate", "plan.yaml", "--model", tiny_folder, *QUICK, "--out", "plain")
    assert drawn.code == 0, drawn.err
    picture = here / "plain" / "image.png"
    common = ("restyle", picture, "--model", tiny_folder, "--style-from", "style.yaml")
    early = strata(*common, "-o", "early")
    late = strata(*common, "--from-step", "50%", "-o", "late")
    assert (early.code, late.code) == (0, 0), late.err
    assert np.array_equal(pixels(here / "late" / "original" / "image.png"), pixels(picture))
    restyled = here / "late" / "restyled" / "image.png"
    assert not np.array_equal(pixels(restyled), pixels(here / "early" / "restyled" / "image.png"))
    swaps = json.loads((restyled.parent / "run.json").read_text())["swaps"]
    assert swaps == [{"area": "right", "level": "low", "text": "blue", "steps": "0%-50%"}]
    again = strata("generate", restyled, "--model", tiny_folder, "--out", "again")
    assert again.code == 0, again.err
    assert np.array_equal(pixels(here / "again" / "image.png"), pixels(restyled))
    assert "was restyled from a later step on" in strata("restyle", restyled, "--low", "left=x").err


ISOLATED = "--routing", "early.yaml"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), '--low: nothing changes; give --low AREA="TEXT" or --style-from PLAN_B'),
        (("--low", "blue"), "--low 'blue': must be AREA=TEXT; areas: left, right, background, global"),
        (("--low", "lef=blue"), "did you mean 'left'?"),
        (("--low", "left=blue", "--low", "left=x"), "left is given twice"),
        (("--low", "left=red"), "low text of 'left': 'red': is that already"),
        (("--low", "background=blue"), "background.full: has one undivided text, 'plain'"),
        (("--low", "left=blue", "--routing", "regional-prompting-flux"), "hears no low texts (full only)"),
        (("--low", "left=blue", "--from-step", "60%", *ISOLATED), "is heard in steps 0-9 of 20 only"),
        (("--low", "left=blue", "--from-step", "30"), "must be a share of the steps from 0% to below 100%"),
        (("--low", "left=blue", "--method", "plain"), "--method plain: does not draw the plan's texts as they are"),
        (("--low", "left=blue", "--lora", "gone.safetensors"), "--lora gone.safetensors: no such file"),
        (("--low", "left=blue", "--control", "gone.png"), "gone.png: cannot be read"),
        (("--style-from", "plan.yaml"), "its low texts are those of plan.yaml"),
        (("--style-from", "gone.yaml"), "--style-from gone.yaml: gone.yaml: cannot be read"),
    ],
)
def test_bad_input_is_told_before_anything_is_loaded(
    strata: Run, here: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strata.engine.load_pipeline", lambda *_: pytest.fail("loaded"))
    rules = "[{level: high}, {level: low, steps: 0%-50%}]"
    Path("early.yaml").write_text(f"name: early\nrules: {rules}\n", encoding="utf-8")
    done = strata("restyle", "plan.yaml", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not (here / "out").exists()


def test_it_draws_with_what_generate_draws_with(strata: Run, here: Path, tiny_folder: Path) -> None:
    save_weights(here / "style.safetensors", make_weights(tiny_transformer(), 1))
    more = ("--lora", "style.safetensors:0.5", "--width", 48)
    done = strata("restyle", "plan.yaml", "--model", tiny_folder, *QUICK, *more, "--low", "left=green", "-o", "out")
    assert done.code == 0, done.err
    for part in ("original", "restyled"):
        settings = json.loads((here / "out" / part / "run.json").read_text())["settings"]
        assert settings["lora"] == [f"{here}/style.safetensors:0.5"]
        assert pixels(here / "out" / part / "image.png").shape == (48, 48, 3)
