"""`strata repaint`: what it writes, refuses and leaves when interrupted; records that cannot be; other commands."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diffusers import AutoencoderKL
from PIL import Image

from strata.engine import Engine
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan
from strata.job import prepare
from strata.record import CHUNK_RUN, MOST_REPAINTS, Repaint
from strata.repaint import repainted
from strata.settings import LARGEST_SEED, DrawSettings
from strata.source import Source, open_source
from tests.cli.conftest import Run
from tests.cli.repainting import draw, saved
from tests.cli.repainting import drawn as drawn
from tests.cli.repainting import engine as engine
from tests.cli.repainting import loaded as loaded
from tests.cli.repainting import original as original
from tests.cli.repainting import settings as settings


@pytest.mark.usefixtures("loaded")
def test_the_command_writes_a_run_and_a_comparison(
    strata: Run, here: Path, original: Callable[..., str], tiny_folder: Path
) -> None:
    model = ("--model", tiny_folder)
    done = strata("repaint", original(), *model, "--region", "right", "--low", "green")
    assert done.code == 0, done.err
    assert "new noise" not in done.out
    assert done.err.startswith(
        "strata: note: the base prompt is now 'a red circle and a green square — Ünïcode “quotes”' ("
    )
    out = here / "out" / "plan-repainted"
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    explained = ["layout.png", "masks/half_right.png", "plan.yaml", "routing.yaml", "run.json", "schedule.png"]
    assert files == sorted(["compare.png", "image.png", *explained])
    assert ScenePlan.load(out / "plan.yaml").regions[1].low == "green"
    record = json.loads((out / "run.json").read_text())
    assert [repaint["region"] for repaint in record["repaints"]] == ["right"]
    assert record["settings"]["seed"] == 5
    resumed = strata("generate", out / "image.png", *model, "-o", out, "--resume")
    assert "is there and would come out the same" in resumed.out
    moved = strata(
        "repaint", out / "image.png", *model, "--region", "left", "--box", "0, 8, 16,40", "--force", "-o", out
    )
    assert moved.code == 0, moved.err
    assert len(json.loads((out / "run.json").read_text())["repaints"]) == 2
    again = strata("repaint", out / "image.png", *model, "--region", "left", "--force", "-o", out)
    seed = json.loads((out / "run.json").read_text())["repaints"][-1]["seed"]
    assert f"new noise in left: seed {seed}\n" in again.out
    plain = strata("generate", "plan.yaml", *model, "--steps", 2, "-o", out, "--force")
    assert plain.code == 0, plain.err
    assert not (out / "compare.png").exists(), "of the run that is gone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--region: which one is to be drawn anew? regions: left, right"),
        (("--region", "lef"), "--region 'lef': no such region; did you mean 'left'? regions: left, right"),
        (("--region", "left", "--low", "red"), "--low 'red': is that already"),
        (("--region", "left", "--low", ""), "--low: '': must not be empty"),
        (("--region", "left", "--box", "0,0,16"), "--box '0,0,16': must be four whole numbers, X1,Y1,X2,Y2"),
        (("--region", "left", "--box", "0,0,33,8"), "--box 0,0,33,8: leaves the 32x48 canvas"),
        (("--region", "left", "--box", "0,0,1,1"), "region 'left' holds no image token"),
        (("--region", "left", "--prompt", "x", "--keep-prompt"), "--keep-prompt: and --prompt say different things"),
        (("--region", "left", "--seed", "-1"), "--seed: '-1': must be a whole number from 0"),
    ],
)
def test_bad_input_is_told_before_anything_is_loaded(
    strata: Run,
    original: Callable[..., str],
    settings: DrawSettings,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = original()
    monkeypatch.setattr("strata.engine.load_pipeline", lambda *_: pytest.fail("loaded"))
    done = strata("repaint", path, "--model", settings.model, *arguments)
    assert done.code == 2
    assert message in done.err
    assert not Path("out").exists()


def test_texts_that_no_block_would_hear_are_refused(
    strata: Run, original: Callable[..., str], settings: DrawSettings
) -> None:
    path = original(routing="regional-prompting-flux")
    done = strata("repaint", path, "--model", settings.model, "--region", "left", "--low", "green")
    assert "routing 'regional-prompting-flux': hears no low texts (full only)" in done.err


@pytest.mark.parametrize("level", ["high", "low"])
def test_a_full_text_stands_in_for_high_and_low_where_the_routing_knows_only_those(here: Path, level: str) -> None:
    routing = here / "divided.yaml"
    rules = f"[{{level: high}}, {{level: {level}, steps: 0%-50%}}]"
    routing.write_text(f"name: divided\nrules: {rules}\n", encoding="utf-8")
    regions: list[Any] = [{"name": "left", "box": (0, 0, 16, 48), "full": "a tree"}]
    regions.append({"name": "both", "box": (16, 0, 32, 48), "high": "a house", "full": "a red house"})
    plan = ScenePlan(width=32, height=48, prompt="two", regions=regions)
    job = prepare(DrawSettings(routing=str(routing)), Source("two", plan))
    assert job.heard("full", "left").all()
    with pytest.raises(SettingError, match="hears no full texts"):
        job.heard("full", "both")


def test_what_is_no_picture_to_repaint_says_why(
    strata: Run, here: Path, original: Callable[..., str], engine: Engine, settings: DrawSettings
) -> None:
    path = original()
    plan = strata("repaint", "plan.yaml", "--region", "left")
    assert "plan.yaml: is a plan, not a picture; draw it first (`strata generate PLAN`), and repaint its" in plan.err
    Image.new("RGB", (32, 48)).save("bare.png")
    bare = strata("repaint", "bare.png", "--region", "left")
    assert "holds no record of a run" in bare.err
    assert "draw a plan first (`strata generate PLAN`), and repaint its image.png" in bare.err
    with open_source(path) as source:
        record = source.record
        assert record is not None

        def refused(**changes: Any) -> str:
            with pytest.raises(InputError) as error:
                repainted(replace(source, **changes), "left", seed=1)
            return str(error.value)

        over = record.model_copy(update={"settings": record.settings.model_copy(update={"image_strength": 0.5})})
        assert "was drawn over another picture (image), and not from noise of its own" in refused(record=over)
        plain = record.model_copy(update={"settings": record.settings.model_copy(update={"method": "plain"})})
        assert "was drawn by the method plain, which leaves regions out" in refused(record=plain)
        assert "is 16x48 pixels, but its plan 32x48" in refused(picture=Image.new("RGB", (16, 48)))
        often = (Repaint(region="left", seed=1),) * MOST_REPAINTS
        assert f"was repainted {MOST_REPAINTS} times" in refused(repaints=often)
        assert "seed 9223372036854775808: must be" in _refusal(source, seed=LARGEST_SEED + 1)
        assert "prompt: " in _refusal(source, prompt="a\x00")


def _refusal(source: Source, **changes: Any) -> str:
    with pytest.raises(SettingError) as error:
        repainted(source, "left", **changes)
    return str(error.value)


def test_other_commands_refuse_what_a_repainted_picture_does_not_take(
    strata: Run, engine: Engine, original: Callable[..., str], settings: DrawSettings
) -> None:
    with open_source(original()) as source:
        job = prepare(settings, repainted(source, "left", seed=1))
        path = saved(draw(engine, job), job, "repainted.png")
    for command in (("restyle", path, "--low", "left=green"), ("probe", path)):
        assert "was repainted, and so drawn by several plans" in strata(*command, "--model", settings.model).err
    for option in (("--width", 64), ("--image", "original.png")):
        done = strata("generate", path, "--model", settings.model, *option)
        assert f"{option[0]} {option[1]}: the picture was repainted from its own noise" in done.err
    plain = strata("generate", path, "--model", settings.model, "--method", "plain")
    assert "--method plain: leaves regions out, but the picture was repainted where one of them is" in plain.err


@pytest.mark.parametrize(
    ("repaint", "message"),
    [
        ({"region": "middle"}, "repaints[0]: 'middle': is not the name of one region of the plan"),
        ({"region": "left", "before": {"name": "right", "box": [0, 0, 9, 9], "low": "x"}}, "is not the name of one"),
        (
            {"region": "left", "before": {"name": "left", "box": [0, 0, 99, 9], "low": "x"}},
            "repaints[0].before: leaves",
        ),
        (
            {"region": "left", "before": {"name": "left", "mask": "../x.png", "low": "x"}},
            "file '../x.png': is not inside",
        ),
        ({"region": "left", "seed": -1}, "repaints[0].seed"),
        ({"region": "left", "colour": 1}, "repaints[0].colour: unknown key"),
    ],
)
def test_a_record_of_what_cannot_have_been_is_refused(
    here: Path, original: Callable[..., str], repaint: Any, message: str
) -> None:
    from PIL import PngImagePlugin

    with Image.open(original()) as image:
        info = PngImagePlugin.PngInfo()
        for key, text in image.text.items():  # type: ignore[attr-defined]
            record = json.loads(text) | {"repaints": [repaint]} if key == CHUNK_RUN else None
            info.add_itxt(key, text if record is None else json.dumps(record))
        image.save("forged.png", pnginfo=info)
    with pytest.raises(InputError) as refused, open_source("forged.png"):
        pass
    assert message in str(refused.value)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    "moment", [pytest.param("in the second pass", marks=pytest.mark.slow), "before the comparison"]
)
def test_an_interrupted_run_leaves_whole_files_only(
    strata: Run,
    here: Path,
    original: Callable[..., str],
    tiny_folder: Path,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Path(original()).read_bytes()
    Path("one").mkdir()
    Path("one/image.png").write_bytes(before)
    with monkeypatch.context() as patch:
        if moment == "in the second pass":
            decode, calls = AutoencoderKL.decode, []

            def stopped(*args: Any, **kwargs: Any) -> Any:
                calls.append(1)
                if len(calls) == 2:
                    raise KeyboardInterrupt
                return decode(*args, **kwargs)

            patch.setattr(AutoencoderKL, "decode", stopped)
        else:

            def interrupted(*args: Any) -> None:
                raise KeyboardInterrupt

            patch.setattr("strata.commands.repaint.write_comparison", interrupted)
        options = ("--model", tiny_folder, "--region", "left", "--low", "green")
        assert strata("repaint", "one/image.png", *options, "-o", "two").code == 130
        if moment == "before the comparison":
            assert strata("repaint", "one/image.png", *options, "-o", "one", "--force").code == 130
    pictures = {str(path.relative_to(here)) for path in here.rglob("*.png") if "masks" not in path.parts}
    if moment == "in the second pass":
        assert not (here / "two").exists()
    else:
        assert (here / "one" / "image.png").read_bytes() == before, "until the new run is whole"
        assert {"two/image.png", "one/interrupted/image.png"} <= pictures
        assert not {"two/compare.png", "one/compare.png"} & pictures
    for path in here.rglob("*.png"):
        with Image.open(path) as image:
            image.load()
    assert not list(here.rglob(".strata-run-*"))
