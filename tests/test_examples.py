"""The examples run and leave what they say."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from strata.layers.routing import Routing
from strata.miniature import WEIGHTS
from tests.rarely import rarely

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FEW: dict[str, dict[str, Any]] = {
    "draw": {},
    "own_schedule": {"steps": 4},
    "attention_maps": {"steps": 4},
    "sweep": {"steps": 4, "isolated": (0, 50), "ratios": (0.2, 0.4)},
    "own_blocks": {"steps": 4},
    "another_model": {"model": str(WEIGHTS), "size": 128},
}
RARE = ("attention_maps", "sweep")


@pytest.mark.parametrize("name", [*(name for name in FEW if name not in RARE), *rarely(*RARE)])
def test_an_example_draws(name: str, tmp_path: Path) -> None:
    path = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](out=tmp_path, **FEW[name])
    with Image.open(path) as image:
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 200, "a picture, not one colour"
    if name == "own_schedule":
        schedule = Routing.load(tmp_path / "own_schedule.yaml").resolve(4, 8, 4)
        assert schedule.strength("low", "x")[:, 6:].min() > 0
        assert schedule.strength("low", "x")[:, :6].max() == 0
        assert schedule.isolate.sum(axis=1).tolist() == [12, 0, 0, 0]


def test_prompts_are_scored() -> None:
    example = runpy.run_path(str(EXAMPLES / "score_prompts.py"))
    prompts = dict(list(example["ASKED"].items())[:2])
    found = example["main"](prompts, seeds=2, steps=4)
    assert [(prompt, share.asked) for prompt, share in found.items()] == [(prompt, 2) for prompt in prompts]


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*FEW, "score_prompts"}
