"""The published demonstrations of Regional-Prompting-FLUX: the files hold their settings, compile and draw."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.hierarchy.plan import ScenePlan
from strata.injection.families import FLUX_DEV
from strata.injection.methods import method_for
from strata.injection.pipeline import RegionalPipeline
from strata.injection.program import compile_program
from strata.layers.routing import Routing
from tests.injection.conftest import make_text_to_image
from tests.injection.loras import make_weights, save_weights

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "configs" / "examples"
PUBLISHED: dict[str, tuple[tuple[int, int], int, bool, int, float]] = {
    # size, regions, whether some of the canvas is background, every so many single blocks, base ratio
    "custom-0": ((1280, 768), 2, True, 2, 0.1),
    "custom-1": ((1280, 1280), 2, True, 2, 0.1),
    "custom-2": ((1280, 768), 4, False, 1, 0.2),
    "custom-3": ((1280, 768), 1, True, 1, 0.3),
    "lora-0": ((1280, 1280), 2, False, 1, 0.1),
    "lora-2": ((1280, 1280), 1, True, 2, 0.2),
    "controlnet-0": ((1280, 960), 3, False, 2, 0.2),
    "controlnet-1": ((1280, 960), 2, False, 2, 0.2),
}


LORAS = {
    "lora-0": ("Shakker-Labs/FLUX.1-dev-LoRA-Children-Simple-Sketch", 1.5),
    "lora-2": ("Shakker-Labs/FLUX.1-dev-LoRA-Vector-Journey", 1.0),
}


def files(name: str) -> tuple[ScenePlan, Routing]:
    _, _, _, every, ratio = PUBLISHED[name]
    routing = f"every-{'2nd-' if every == 2 else ''}base-{ratio}"
    commands = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"{name}.yaml --routing configs/examples/routings/{routing}.yaml " in commands
    return ScenePlan.load(EXAMPLES / f"{name}.yaml"), Routing.load(EXAMPLES / "routings" / f"{routing}.yaml")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_demonstration_is_the_published_one(name: str) -> None:
    size, regions, background, every, ratio = PUBLISHED[name]
    plan, routing = files(name)
    program = compile_program(plan, routing, FLUX_DEV, 24)
    assert (plan.width, plan.height) == size
    assert len(program.grid.names) == regions
    assert program.grid.background.any() == background
    loras = [(placed.area, placed.lora.file, placed.lora.scale) for placed in plan.placed_loras()]
    assert loras == ([("global", *LORAS[name])] if name in LORAS else [])
    schedule = program.schedule
    assert schedule.routed_steps.tolist() == [True] * 10 + [False] * 14
    assert np.flatnonzero(schedule.routed[0]).tolist() == [*range(19), *range(19, 57, every)]
    assert (schedule.isolate == schedule.routed).all()
    assert schedule.base_ratio[:10].tolist() == pytest.approx([ratio] * 10)
    assert method_for(routing).name == "regional-prompting-flux"
    assert {stream.level for stream in program.streams} == {"full"}


@pytest.fixture(scope="module")
def pipe() -> Any:
    return make_text_to_image()[0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_demonstration_draws(name: str, pipe: Any, tmp_path: Path) -> None:
    """With a LoRA of the tiny model's shapes in place of the hub's."""
    plan, routing = files(name)
    lora = save_weights(tmp_path / "tiny.safetensors", make_weights(pipe.transformer))
    plan = plan.with_loras(lambda file: str(lora))
    regional = RegionalPipeline(pipe, routing)
    small = plan.resized(plan.width // 16, plan.height // 16)
    image = regional(small, seed=124, num_inference_steps=2, guidance_scale=3.5).images[0]
    assert image.size == (small.width, small.height)
    assert np.asarray(image).std() > 1


def test_the_masks_are_what_their_script_draws(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "example_masks.py"))
    script["main"](tmp_path)
    for name in script["MASKS"]:
        with Image.open(tmp_path / name) as made, Image.open(EXAMPLES / name) as kept:
            assert made.tobytes() == kept.tobytes(), "python docs/example_masks.py"
            assert 0.05 < np.asarray(kept).mean() < 0.5


def test_the_control_pictures_are_what_their_script_draws(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "example_controls.py"))
    script["main"](tmp_path)
    commands = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in script["CONTROLS"]:
        with Image.open(tmp_path / name) as made, Image.open(EXAMPLES / name) as kept:
            assert made.tobytes() == kept.tobytes(), "python docs/example_controls.py"
            assert np.asarray(kept).std() > 10
        assert f"--control configs/examples/{name}" in commands
