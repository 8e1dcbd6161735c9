"""What the tests of repainting share: plans, pictures drawn on the tiny model, and what of them may change."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.engine import Engine, Picture
from strata.hierarchy.plan import ScenePlan
from strata.job import Job, prepare
from strata.record import picture_bytes
from strata.settings import DrawSettings
from strata.source import Source, open_source

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
