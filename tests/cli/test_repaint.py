"""Repainting: what stays is told by a naive definition, on several plans and families; records, chains, refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline
from PIL import Image

from strata.engine import Engine, Started, Step
from strata.job import prepare
from strata.record import Repaint
from strata.repaint import repainted
from strata.settings import DrawSettings
from strata.source import open_source
from tests.cli.repainting import LONE, STEPS, TOKEN, WIDE, draw, near, pixels, saved, within
from tests.cli.repainting import drawn as drawn
from tests.cli.repainting import engine as engine
from tests.cli.repainting import original as original
from tests.cli.repainting import settings as settings
from tests.injection.flux2 import flux2_parts
from tests.injection.flux3 import flux3_pipeline
from tests.injection.modular import modular_klein
from tests.injection.qwen import make_krea2_distilled, make_longcat, make_qwen


def _cases() -> list[Any]:
    """Every plan with every change, some of them every day."""
    everyday = ("mask text", "wide all", "wide noise", "lone place")
    plans, found = {"mask": None, "wide": WIDE, "lone": LONE}, []
    for name in (f"{plan} {change}" for plan in plans for change in CHANGES):
        plan, change = name.split()
        marks = () if name in everyday else pytest.mark.slow
        found.append(pytest.param(plans[plan], change, marks=marks, id=name))
    return found


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
