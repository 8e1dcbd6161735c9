"""`strata generate --method` with published methods: their own routing, what is recorded, drawn again and refused."""

import json
from pathlib import Path

import pytest

from strata.engine import Engine
from strata.layers.routing import Routing
from strata.source import open_source
from tests.cli.conftest import Run
from tests.cli.test_generate import same

QUICK = ("--steps", 2, "--seed", 3)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("rpg", "densediffusion")]


@pytest.mark.parametrize("method", ["stitch", *SLOW])
def test_a_method_is_drawn_recorded_and_drawn_again(strata: Run, here: Path, tiny_folder: Path, method: str) -> None:
    model = ("--model", tiny_folder)
    done = strata("generate", "plan.yaml", *model, *QUICK, "--method", method, "-o", "own")
    assert done.code == 0, done.err
    assert f"32x48 pixels, routing {method}, method {method}, 2 steps" in done.out
    run = json.loads((here / "own" / "run.json").read_text())
    assert run["settings"]["method"] == method
    with open_source(str(here / "own" / "image.png")) as source:
        assert source.routing is not None
        assert source.routing.name == method
        assert source.plan.regions[0].high == "a circle", "the plan is kept as it was given"
    again = strata("generate", here / "own" / "image.png", *model, "-o", "again")
    assert again.code == 0, again.err
    assert same(here / "own" / "image.png", here / "again" / "image.png")
    program = strata("layout", here / "own" / "image.png", "--program", *model)
    assert program.code == 0, program.err
    assert f"routing {method}, method {method}" in program.out
    assert "left/full" in program.out
    assert "cost of the run" not in program.out, "that is counted for the methods of one pass"


@pytest.mark.slow
def test_a_routing_of_ones_own(strata: Run, here: Path, tiny_folder: Path) -> None:
    Routing(name="mine", blend={"base_ratio": 0.1}, rules=[{"level": "full", "steps": "0-0"}]).save("mine.yaml")
    done = strata("generate", "plan.yaml", "--model", tiny_folder, *QUICK, "--method", "rpg", "--routing", "mine.yaml")
    assert done.code == 0, done.err
    assert "routing mine, method rpg, 2 steps" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--method", "rpg", "--routing", "alternate"),
            "method 'rpg': routing 'alternate': 'left' is not visible in all",
        ),
        (
            ("--method", "stitch", "--routing", "vital-blocks"),
            "method 'stitch': routing 'vital-blocks': 'left' is not visible",
        ),
        (("--method", "stich"), "did you mean 'stitch'? must be one of densediffusion, native, "),
    ],
)
def test_what_is_refused_before_anything_is_loaded(
    strata: Run,
    here: Path,
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setattr(Engine, "load", lambda job: pytest.fail("loaded"))
    done = strata("generate", "plan.yaml", "--model", tiny_folder, *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
