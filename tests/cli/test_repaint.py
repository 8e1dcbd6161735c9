"""Repainting: what stays is told by a naive definition, on several plans and families; records, chains, refusals."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline
from PIL import Image

from strata.engine import Engine, Picture, Started, Step
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan
from strata.job import Job, prepare
from strata.record import CHUNK_RUN, MOST_REPAINTS, Repaint, picture_bytes
from strata.repaint import repainted
from strata.settings import LARGEST_SEED, DrawSettings
from strata.source import Source, open_source
from tests.cli.conftest import Run
from tests.injection.flux2 import flux2_parts
from tests.injection.flux3 import flux3_pipeline
from tests.injection.modular import modular_klein
from tests.injection.qwen import make_krea2_distilled, make_longcat, make_qwen

TOKEN, STEPS = 4, 2
"""Pixels a side that a token of the tiny models covers, and steps of the drawings here."""
WIDE = """\
width: 64
height: 32
prompt: a red circle and a blue square
overlap: priority
grid: coverage
regions:
  - {name: left, polygon: [[1, 1], [30, 5], [22, 31], [9, 27]], high: a circle, low: red}
  - {name: right, box: [14, 3, 47, 29], high: a square, low: blue, priority: 1}
"""
LONE = """\
width: 32
height: 32
prompt: a dot
low: grey
regions:
  - {name: left, box: [7, 9, 18, 17], full: a red dot}
"""


def pixels(image: Image.Image | Path) -> np.ndarray:
    with io.BytesIO() if isinstance(image, Image.Image) else Image.open(image) as opened:
        return np.asarray((opened if isinstance(opened, Image.Image) else image).convert("RGB"))  # type: ignore[union-attr]


def near(before: ScenePlan, after: ScenePlan, mask: np.ndarray) -> np.ndarray:
    """The pixels with one of the region's, before or after, at most a token away in each direction."""
    ys, xs = np.nonzero(mask)
    rows, cols = np.mgrid[: before.height, : before.width]
    found = np.zeros((before.height, before.width), dtype=bool)
    for y, x in zip(ys, xs, strict=True):
        found |= (abs(rows - y) <= TOKEN) & (abs(cols - x) <= TOKEN)
    return found


def within(plan: ScenePlan, name: str) -> np.ndarray:
    from strata.hierarchy.areas import region_mask

    return region_mask(plan, [region.name for region in plan.regions].index(name))


def draw(engine: Engine, job: Job) -> Picture:
    *_, picture = engine.draw(job)
    assert isinstance(picture, Picture)
    return picture


def saved(picture: Picture, job: Job, path: str) -> str:
    Path(path).write_bytes(picture_bytes(picture.image, job.kept_plan, job.routing, picture.record, job.files))
    return path


def _cases() -> list[Any]:
    """Every plan with every change, some of them every day."""
    everyday = ("mask text", "wide all", "wide noise", "lone place")
    plans, found = {"mask": None, "wide": WIDE, "lone": LONE}, []
    for name in (f"{plan} {change}" for plan in plans for change in CHANGES):
        plan, change = name.split()
        marks = () if name in everyday else pytest.mark.slow
        found.append(pytest.param(plans[plan], change, marks=marks, id=name))
    return found


@pytest.fixture(scope="module")
def engine(tiny_folder: Path) -> Iterator[Engine]:
    """One for all tests here: an engine draws any job of its model."""
    plan = ScenePlan(width=32, height=32, prompt="")
    with Engine.load(prepare(DrawSettings(model=str(tiny_folder)), Source("none", plan))) as opened:
        yield opened


@pytest.fixture
def settings(tiny_folder: Path) -> DrawSettings:
    return DrawSettings(model=str(tiny_folder))


@pytest.fixture
def loaded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the model loaded."""
    monkeypatch.setattr("strata.engine.load_pipeline", lambda *_: engine.pipe)


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    """Pictures that were drawn already."""
    return {}


@pytest.fixture
def original(engine: Engine, settings: DrawSettings, here: Path, drawn: dict[str, bytes]) -> Callable[..., str]:
    """The picture of a plan."""

    def make(text: str | None = None, **more: Any) -> str:
        if text is not None:
            Path("plan.yaml").write_text(text, encoding="utf-8")
        key = f"{text} {more}"
        if key not in drawn:
            with open_source("plan.yaml") as source:
                job = prepare(settings.model_copy(update={"seed": 5, "steps": STEPS, **more}), source)
                drawn[key] = Path(saved(draw(engine, job), job, "original.png")).read_bytes()
        Path("original.png").write_bytes(drawn[key])
        return "original.png"

    return make


CHANGES: dict[str, dict[str, Any]] = {
    "text": {"full": "a green tree"},
    "noise": {"seed": 11},
    "place": {"box": (17, 14, 30, 30)},
    "all": {"full": "a tree", "box": (0, 13, 12, 23), "seed": 3, "prompt": "one"},
}


@pytest.mark.parametrize(("text", "change"), _cases())
def test_all_else_stays_bit_for_bit_and_the_record_repeats_it(
    engine: Engine, settings: DrawSettings, original: Callable[..., str], text: str | None, change: str
) -> None:
    """A free-form mask, a polygon under another region, a box off the grid; oblong canvases."""
    path = original(text)
    name = "right" if text is None else "left"
    with open_source(path) as source:
        told = repainted(source, name, **CHANGES[change])
        job = prepare(settings, told)
        picture = draw(engine, job)
        area = near(source.plan, told.plan, within(source.plan, name) | within(told.plan, name))
        assert picture.apart == 0
    changed = (pixels(picture.image) != pixels(Path(path))).any(axis=2)
    assert not changed[~area].any()
    assert changed[area].mean() > 0.2
    assert not area.all()
    with open_source(saved(picture, job, "repainted.png")) as source:
        assert source.plan == told.plan.model_copy(update={"regions": source.plan.regions})
        again = draw(engine, prepare(settings, source))
        assert again.apart is None
        assert (pixels(again.image) == pixels(picture.image)).all()
        assert again.record.repaints == picture.record.repaints == source.repaints


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rpg", "densediffusion", "stitch", "regional-prompting-flux"])
def test_whatever_the_method_all_else_stays(
    engine: Engine, settings: DrawSettings, original: Callable[..., str], method: str
) -> None:
    path = original(method=method)
    with open_source(path) as source:
        job = prepare(settings, repainted(source, "left", high="a tree", seed=3))
        picture = draw(engine, job)
        area = near(source.plan, source.plan, within(source.plan, "left"))
    changed = (pixels(picture.image) != pixels(Path(path))).any(axis=2)
    assert not changed[~area].any()
    assert changed[area].any()
    with open_source(saved(picture, job, "repainted.png")) as source:
        assert (pixels(draw(engine, prepare(settings, source)).image) == pixels(picture.image)).all()


def test_a_repainted_picture_is_repainted_again(
    engine: Engine, settings: DrawSettings, original: Callable[..., str]
) -> None:
    """Another region, then the first one again; each picture repeats from its record alone."""
    paths, jobs = [original()], []
    for number, (name, change) in enumerate(
        [("left", {"low": "green"}), ("right", {"box": (16, 8, 32, 40)}), ("left", {"seed": 8})]
    ):
        with open_source(paths[-1]) as source:
            told = repainted(source, name, **change)  # type: ignore[arg-type]
            jobs.append(prepare(settings, told))
            picture = draw(engine, jobs[-1])
            area = near(source.plan, told.plan, within(source.plan, name) | within(told.plan, name))
        changed = (pixels(picture.image) != pixels(Path(paths[-1]))).any(axis=2)
        assert not changed[~area].any()
        assert changed[area].any()
        assert picture.apart == 0
        paths.append(saved(picture, jobs[-1], f"{number}.png"))
    assert [repaint.region for repaint in jobs[-1].repaints] == ["left", "right", "left"]
    assert jobs[-1].name == "plan-repainted"
    assert list(jobs[-1].files) == ["masks/half_right.png"], "of a region that was a mask once"
    with open_source(paths[-1]) as source:
        job = prepare(settings, source)
        assert [plan.regions[1].mask is None for plan in (*job.before, job.plan)] == [False, False, True, True]
        events = list(engine.draw(job))
    steps = [(event.number, event.total) for event in events if isinstance(event, Step)]
    assert steps == [(number, 4 * STEPS) for number in range(1, 4 * STEPS + 1)]
    assert isinstance(events[0], Started)
    assert (pixels(events[-1].image) == pixels(Path(paths[-1]))).all()  # type: ignore[union-attr]


def test_an_edited_picture_keeps_its_pixels(
    engine: Engine, settings: DrawSettings, original: Callable[..., str]
) -> None:
    """What is there stays, whatever is drawn again beside it; how far that is off is told."""
    with open_source(original()) as source:
        assert source.picture is not None
        edited = pixels(source.picture).copy()
        edited[0, 0] ^= 1
        edited[40, 3] ^= 64
        told = repainted(replace(source, picture=Image.fromarray(edited)), "right", seed=1)
        picture = draw(engine, prepare(settings, told))
        area = near(source.plan, source.plan, within(source.plan, "right"))
    assert picture.apart == 64
    assert (pixels(picture.image)[~area] == edited[~area]).all()


def test_a_seed_of_its_own_and_the_noise_that_there_was(original: Callable[..., str]) -> None:
    with open_source(original()) as source:
        fresh = [repainted(source, "left").repaints[0].seed for _ in range(2)]
        assert None not in fresh
        assert fresh[0] != fresh[1]
        assert repainted(source, "left", seed=7).repaints == (Repaint(region="left", seed=7),)
        kept = repainted(source, "left", low="green").repaints[0]
        assert (kept.seed, kept.before) == (None, source.plan.regions[0])
        assert repainted(source, "left", prompt="other").repaints == (
            Repaint(region="left", prompt=source.plan.prompt),
        )
        assert repainted(source, "left", low="green", keep_prompt=True).plan.prompt == source.plan.prompt


def test_masks_of_regions_as_they_were_are_named_as_the_run_keeps_them(
    original: Callable[..., str], settings: DrawSettings
) -> None:
    """Of a plan in memory, whose mask files have names of their own."""
    with open_source(original()) as drawn, open_source("plan.yaml") as source:
        made = replace(source, record=drawn.record, picture=drawn.picture)
        job = prepare(settings, repainted(made, "right", box=(16, 0, 32, 48)))
    assert [region.mask for region in (job.before[0].regions[1], job.plan.regions[1])] == ["masks/half right.png", None]
    assert job.repaints[0].before is not None
    assert job.repaints[0].before.mask == "masks/half_right.png"
    assert list(job.files) == ["masks/half_right.png"]


def _klein() -> Any:
    return Flux2KleinPipeline(**flux2_parts(), is_distilled=True)


FAMILIES: dict[str, Callable[[], Any]] = {
    "flux2": _klein,
    "flux2 of blocks": modular_klein,
    "flux3": flux3_pipeline,
    "qwen": lambda: make_qwen()[0],
    "longcat": lambda: make_longcat()[0],
    "krea2": lambda: make_krea2_distilled()[0],
}


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of a family, as it is saved."""
    if request.param == "flux":
        found: Path = request.getfixturevalue("tiny_folder")
        return found
    path, pipe = tmp_path_factory.mktemp("models") / "model", FAMILIES[request.param]()
    index = {"overwrite_modular_index": True} if "Modular" in type(pipe).__name__ else {}
    pipe.save_pretrained(str(path), **index)
    return path


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name != "flux2"]


@pytest.mark.parametrize("folder", ["flux", "flux2", *SLOW], indirect=True)
def test_latents_outside_are_those_of_the_pass_before(
    folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step, from the noise on; that is the region's own where a seed is given."""
    seen: list[torch.Tensor] = []
    step = FlowMatchEulerDiscreteScheduler.step

    def noted(self: Any, prediction: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(sample.clone())
        return step(self, prediction, timestep, sample, *args, **kwargs)

    monkeypatch.setattr(FlowMatchEulerDiscreteScheduler, "step", noted)
    settings = DrawSettings(model=str(folder))
    with open_source("plan.yaml") as source:
        job = prepare(settings.model_copy(update={"seed": 5, "steps": STEPS}), source)
        with Engine.open(job) as engine:
            path = saved(draw(engine, job), job, "original.png")
            alone = list(seen)
            with open_source(path) as drawn:
                area = near(drawn.plan, drawn.plan, within(drawn.plan, "left"))
                tokens = torch.from_numpy(within(drawn.plan, "left")[2::TOKEN, 2::TOKEN].copy()).reshape(1, -1, 1)
                for seed in (None, 9):
                    seen.clear()
                    told = repainted(drawn, "left", low="green", seed=seed)
                    picture = draw(engine, prepare(settings, told))
                    assert picture.apart == 0
                    assert len(seen) == 2 * STEPS
                    for number, (then, now) in enumerate(zip(seen[:STEPS], seen[STEPS:], strict=True)):
                        assert then.equal(alone[number])
                        assert torch.where(tokens, 0, now).equal(torch.where(tokens, 0, then))
                        same = torch.where(tokens, now, 0).equal(torch.where(tokens, then, 0))
                        assert same == (number == 0 and seed is None)
                    changed = (pixels(picture.image) != pixels(Path(path))).any(axis=2)
                    assert not changed[~area].any()
                    assert changed[area].any()
            assert "step" not in vars(engine.pipe.scheduler)


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
