"""Drawing from plans and from pictures: what is written, and that a picture repeats its run bit for bit."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strata.commands.runs import StepBar
from strata.engine import Step
from strata.hierarchy.plan import ScenePlan
from strata.layers.routing import Routing
from strata.miniature import WEIGHTS
from tests.cli.conftest import Run
from tests.shows import shows


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def same(first: Path, second: Path) -> bool:
    return bool(np.array_equal(pixels(first), pixels(second)))


@shows("flux", "command line")
def test_writes_a_folder_that_explains_the_run(strata: Run, here: Path, tiny_folder: Path) -> None:
    done = strata(
        "generate", "plan.yaml", "--model", tiny_folder, "--steps", 2, "--seed", 7, "--routing", "coarse-to-fine"
    )
    assert done.code == 0, done.err
    assert done.err == ""
    out = here / "out" / "plan"
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    mask = "masks/half_right.png"
    assert names == {"image.png", "layout.png", "schedule.png", "plan.yaml", "routing.yaml", "run.json", mask}
    assert "seed 7" in done.out
    assert "out/plan/image.png" in done.out
    assert pixels(out / "image.png").shape == (48, 32, 3)

    plan = ScenePlan.load(out / "plan.yaml")
    assert plan.regions[1].mask == mask
    assert plan.model_copy(update={"regions": ()}) == ScenePlan.load("plan.yaml").model_copy(update={"regions": ()})
    assert Routing.load(out / "routing.yaml") == Routing.load("coarse-to-fine")
    run = json.loads((out / "run.json").read_text())
    assert run["settings"] | {"threads": 0} == {
        "model": str(tiny_folder),
        "seed": 7,
        "steps": 2,
        "guidance": 3.5,
        "true_cfg": None,
        "image_strength": None,
        "method": None,
        "lora": [],
        "control_model": [],
        "control_scale": [],
        "control_mode": [],
        "control_steps": [],
        "control_region": [],
        "device": "cpu",
        "dtype": "float32",
        "threads": 0,
    }
    assert [(image["file"], image["seed"]) for image in run["images"]] == [("image.png", 7)]
    assert run["command"].startswith("strata generate plan.yaml --model ")
    assert {"strata", "python", "torch", "diffusers", "transformers"} == run["versions"].keys()


def test_repeats_a_picture_from_itself_alone(strata: Run, here: Path, tiny_folder: Path) -> None:
    """The plan, its mask file and the routing file are gone; the canvas was resized."""
    (here / "own.yaml").write_text(Routing.load("hard-mid").to_yaml())
    first = strata(
        *("generate", "plan.yaml", "--model", tiny_folder, "--steps", 3, "--guidance", 2, "--dtype", "bfloat16"),
        *("--routing", "own.yaml", "--width", 40, "--out", "first"),
    )
    assert first.code == 0, first.err
    moved = (here / "first" / "image.png").rename(here / "kept.png")
    for path in (here / "plan.yaml", here / "own.yaml", here / "masks" / "half right.png"):
        path.unlink()

    again = strata("generate", "kept.png", "--model", tiny_folder, "--out", "again")
    assert again.code == 0, again.err
    assert same(moved, here / "again" / "image.png")
    before, after = (json.loads((here / name / "run.json").read_text()) for name in ("first", "again"))
    assert after["settings"] == before["settings"]
    for name in ("plan.yaml", "routing.yaml", "layout.png", "schedule.png"):
        assert (here / "again" / name).read_bytes() == (here / "first" / name).read_bytes()
    third = strata("generate", "again/image.png", "--model", tiny_folder, "--out", "third")
    assert third.code == 0, third.err
    assert same(moved, here / "third" / "image.png")

    # The run's own plan.yaml repeats it too, its masks being beside it.
    seed = before["settings"]["seed"]
    by_plan = strata(
        *("generate", "first/plan.yaml", "--routing", "first/routing.yaml", "--model", tiny_folder, "--steps", 3),
        *("--guidance", 2, "--dtype", "bfloat16", "--seed", seed, "--out", "by_plan"),
    )
    assert by_plan.code == 0, by_plan.err
    assert same(moved, here / "by_plan" / "image.png")


def test_options_override_the_record(strata: Run, here: Path, tiny_folder: Path) -> None:
    assert strata("generate", "plan.yaml", "--model", tiny_folder, "--steps", 2, "--seed", 1, "-o", "a").code == 0
    changes = ("--seed", 2, "--steps", 1, "--routing", "alternate")
    assert strata("generate", "a/image.png", "--model", tiny_folder, *changes, "-o", "b").code == 0
    a, b = (json.loads((here / name / "run.json").read_text()) for name in "ab")
    assert b["settings"] == a["settings"] | {"seed": 2, "steps": 1}
    assert Routing.load("b/routing.yaml").name == "alternate"
    assert not same(here / "a" / "image.png", here / "b" / "image.png")


def test_count_draws_pictures_that_repeat_each_by_itself(strata: Run, here: Path, tiny_folder: Path) -> None:
    done = strata("generate", "plan.yaml", "--model", tiny_folder, "--steps", 1, "--seed", 5, "--count", 3)
    assert done.code == 0, done.err
    out = here / "out" / "plan"
    run = json.loads((out / "run.json").read_text())
    files = ["image-1.png", "image-2.png", "image-3.png"]
    assert [(image["file"], image["seed"]) for image in run["images"]] == list(zip(files, (5, 6, 7), strict=True))
    assert not same(out / files[0], out / files[1])
    with Image.open(out / "contact.png") as sheet:
        assert sheet.width == 3 * 32 * 5 + 4 * 12, "of three pictures of 32x48 pixels in a row, each 5 times as large"
    assert not list(out.glob("preview*")), "a model that says of no small canvas that it is its own gets none"

    again = strata("generate", out / "image-2.png", "--model", tiny_folder)
    assert again.code == 0, again.err
    assert (here / "out" / "plan-2" / "image.png").exists(), "numbered, as out/plan was taken"
    assert same(out / "image-2.png", here / "out" / "plan-2" / "image.png")
    assert sorted(path.name for path in (here / "out" / "plan-2").glob("image*")) == ["image.png"]


def test_force_replaces_a_run_whole(strata: Run, here: Path, tiny_folder: Path) -> None:
    options = ("--model", tiny_folder, "--steps", 1, "-o", "run")
    assert strata("generate", "plan.yaml", *options, "--count", 2).code == 0
    (here / "run" / "mine.txt").write_text("not of a run")
    refused = strata("generate", "plan.yaml", *options)
    assert refused.code == 2
    assert refused.err == (
        "strata: error: --out run: holds layout.png already; give another folder, or --force to overwrite\n"
    )
    assert strata("generate", "run/image-2.png", *options, "--force").code == 0
    assert (here / "run" / "image-2.png").exists(), "what the run reads stays"
    assert not (here / "run" / "image-1.png").exists()
    assert not (here / "run" / "contact.png").exists(), "it shows pictures that are gone"
    assert [image["file"] for image in json.loads((here / "run" / "run.json").read_text())["images"]] == ["image.png"]
    assert (here / "run" / "mine.txt").exists()


def test_draws_over_a_picture_and_remembers_it(strata: Run, here: Path, tiny_folder: Path) -> None:
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(here / "start.bmp")
    Image.fromarray(np.repeat([[0, 255]], 16, axis=0).astype(np.uint8)).save(here / "where.png")
    common = ("generate", "plan.yaml", "--model", tiny_folder, "--steps", 5, "--seed", 1, "--image", "start.bmp")
    for name, more in (("over", ("--image-strength", 0.5)), ("inside", ("--mask-image", "where.png"))):
        assert strata(*common, *more, "-o", name).code == 0
        again = strata("generate", f"{name}/image.png", "--model", tiny_folder, "-o", f"{name}-again")
        assert again.code == 0, again.err
        assert same(here / name / "image.png", here / f"{name}-again" / "image.png")
    assert (here / "over" / "inputs" / "image.bmp").read_bytes() == (here / "start.bmp").read_bytes()
    assert not same(here / "over" / "image.png", here / "inside" / "image.png")


def test_negative_prompt(strata: Run, here: Path, tiny_folder: Path) -> None:
    plan = (here / "plan.yaml").read_text(encoding="utf-8") + "negative_prompt: a ring\n"
    (here / "plan.yaml").write_text(plan, encoding="utf-8")
    done = strata("generate", "plan.yaml", "--model", tiny_folder, "--steps", 1, "--true-cfg", 3, "-o", "run")
    assert done.code == 0, done.err
    assert strata("generate", "run/image.png", "--model", tiny_folder, "-o", "again").code == 0
    assert same(here / "run" / "image.png", here / "again" / "image.png")


def test_other_versions_and_devices_are_told(strata: Run, here: Path, tiny_folder: Path) -> None:
    import torch
    from PIL.PngImagePlugin import PngInfo

    if torch.cuda.is_available():
        pytest.skip("needs a machine without CUDA")
    assert strata("generate", "plan.yaml", "--model", tiny_folder, "--steps", 1, "-o", "run").code == 0
    with Image.open(here / "run" / "image.png") as image:
        info = PngInfo()
        for key, text in image.text.items():  # type: ignore[attr-defined]
            if key == "strata:run":
                record = json.loads(text)
                record["settings"]["device"] = "cuda"
                record["versions"]["torch"] = "1.0"
                text = json.dumps(record)
            info.add_text(key, text)
        image.save(here / "other.png", pnginfo=info)
    done = strata("generate", "other.png", "--model", tiny_folder, "-o", "again")
    assert done.code == 0, done.err
    assert "drawn with torch 1.0 (here " in done.err
    assert "drawn on cuda, which is not here" in done.err


def test_interrupted_run_leaves_what_is_finished(
    strata: Run, here: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes during the second picture."""
    from diffusers import FluxPipeline

    drawn = []
    original = FluxPipeline.decode_latents if hasattr(FluxPipeline, "decode_latents") else FluxPipeline._unpack_latents

    def stop(*args: object, **kwargs: object) -> object:
        drawn.append(1)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(FluxPipeline, original.__name__, staticmethod(stop))
    done = strata("generate", "plan.yaml", "--model", tiny_folder, "--steps", 1, "--count", 3, "-o", "run")
    assert (done.code, done.err) == (130, "strata: interrupted\n")
    run = json.loads((here / "run" / "run.json").read_text())
    assert [image["file"] for image in run["images"]] == ["image-1.png"]
    assert not list((here / "run").glob(".*")), "no temporary files"


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the miniature's weights are not in this checkout")
def test_miniature_is_the_default(strata: Run, here: Path) -> None:
    """An example plan with a mask file, drawn by the bundled model in its 20 steps, and again from its picture."""
    plan = Path(__file__).parents[2] / "configs" / "plans" / "four_regions.yaml"
    done = strata("generate", plan, "--seed", 0)
    assert (done.code, done.err) == (0, "")
    run = json.loads((here / "out" / "four_regions" / "run.json").read_text())
    settings = run["settings"]
    assert (settings["model"], settings["steps"], settings["dtype"]) == ("miniature", 20, "float32")
    with Image.open(here / "out" / "four_regions" / "preview.png") as preview:
        assert preview.size == (768, 768)
    assert run["images"][0]["preview"] == "preview.png"
    assert strata("generate", "out/four_regions/image.png").code == 0
    assert same(here / "out" / "four_regions" / "image.png", here / "out" / "four_regions-2" / "image.png")


@pytest.mark.parametrize(
    ("stamps", "count", "said"),
    [
        ((0, 9, 10), 1, "1 picture of 20 steps will take about 28 s"),  # 9 to warm up, then 19 of a second
        ((0, 2, 4), 3, "3 pictures of 20 steps will take about 2 min"),
        ((0, 5, 5.1), 1, ""),
    ],
)
def test_a_long_run_says_how_long_by_its_second_step(
    stamps: tuple[float, ...],
    count: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bar = StepBar(count)
    clock = iter(stamps)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    bar.begin()
    for number in range(1, 6):
        bar.show(Step(0, number, 20, lambda: Image.new("RGB", (1, 1))))
    bar.close()
    assert capsys.readouterr().err == (f"strata: note: {said}\n" if said else "")
