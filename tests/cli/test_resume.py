"""What `--resume` takes for the same run: every fact of a folder that could make its pictures others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from strata.engine import IMAGE_STRENGTH
from strata.job import Job, prepare
from strata.layers.routing import Routing
from strata.record import RunSettings
from strata.resume import is_drawn
from strata.settings import DrawSettings
from strata.source import open_source


@pytest.fixture
def job(here: Path, tiny_folder: Path) -> Job:
    Image.new("RGB", (8, 8)).save(here / "start.png")
    with open_source("plan.yaml") as source:
        return prepare(DrawSettings(model=str(tiny_folder), steps=2, seed=5, image="start.png"), source)


@pytest.fixture
def folder(job: Job, here: Path) -> Path:
    """As a run of two pictures leaves it, but for what the pictures show."""
    out = here / "run"
    settings = RunSettings(
        model=job.model.name,
        seed=5,
        steps=2,
        guidance=3.5,
        image_strength=IMAGE_STRENGTH,
        device=job.device,
        dtype=job.dtype,
        threads=1,
    )
    images = [{"file": f"image-{n}.png", "seed": 4 + n} for n in (1, 2)]
    record = job.record(settings).model_dump(mode="json") | {"images": images, "rules": []}
    texts = {
        "run.json": json.dumps(record),
        "plan.yaml": job.kept_plan.to_yaml(),
        "routing.yaml": job.routing.to_yaml(),
    }
    files = {name: text.encode() for name, text in texts.items()} | dict(job.files)
    for name, content in (files | {"image-1.png": b"", "image-2.png": b""}).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return out


def edited(**changes: Any) -> Callable[[Path], object]:
    """Changes run.json: its settings, else itself."""

    def edit(folder: Path) -> None:
        data = json.loads((folder / "run.json").read_text())
        for name, value in changes.items():
            (data["settings"] if name in data["settings"] else data)[name] = value
        (folder / "run.json").write_text(json.dumps(data))

    return edit


def test_the_same_run_is_there(folder: Path, job: Job) -> None:
    assert is_drawn(folder, job, 2)
    assert not is_drawn(folder, job, 1)
    assert not is_drawn(folder, job, 3)
    edited(threads=7)(folder)
    assert is_drawn(folder, job, 2), "which a plan does not ask for"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "image-2.png").unlink(),
        lambda folder: (folder / "plan.yaml").write_text("width: 32"),
        lambda folder: (folder / "routing.yaml").write_text(Routing.load("uniform").to_yaml()),
        lambda folder: (folder / "masks/half_right.png").write_bytes(b"another"),
        lambda folder: (folder / "inputs/image.png").unlink(),
        lambda folder: (folder / "run.json").write_text("[]"),
        edited(seed=6),
        edited(images=[{"file": "image-1.png", "seed": 5}, {"file": "image-2.png", "seed": 5}]),
        edited(image=None),
        edited(mask_image="inputs/image.png"),
        edited(swaps=[{"area": "left", "level": "low", "text": None, "steps": "0%-50%"}]),
        edited(guidance=2.0),
        edited(true_cfg=4.0),
        edited(image_strength=0.5),
        edited(steps=3),
        edited(dtype="bfloat16"),
        edited(device="mps"),
        edited(model="other"),
        edited(format=2),
    ],
)
def test_another_run_is_not(folder: Path, job: Job, change: Callable[[Path], object]) -> None:
    change(folder)
    assert not is_drawn(folder, job, 2)
