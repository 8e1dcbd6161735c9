"""What Strata takes and returns is known to type checkers, from any folder, as `make` installs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from pathlib import Path

from strata import Planner, Region, RegionalPipeline, Routing, ScenePlan, Schedule
from strata.analysis.probe import Probe
from strata.analysis.recorder import probing
from strata.layers.routing import Blend, Rule
from strata.llm.backends import open_backend
from strata.miniature import load

plan = ScenePlan(
    width=128,
    height=128,
    prompt="a boat and a sun",
    regions=[
        Region(name="left", box=[0, 0, 64, 128], high="a boat", low="red, striped"),
        {"name": "right", "polygon": [(64, 0), (128, 0), (128, 128)], "full": "a yellow sun"},
    ],
    background={"full": "the sea"},
)
mine = Routing(
    name="mine",
    blend=Blend(base_ratio={"from": 0.3, "to": 0.1}),
    rules=[
        Rule(level="low", depth="0%-33%", steps="0%-50%"),
        Rule(level="full", double=[0, 1], single="all", steps=10, regions=["left"]),
        {"level": "high", "steps": "0-9", "strength": {"from": 1, "to": 0.5}},
    ],
)
schedule: Schedule = mine.resolve(19, 38, 20)
regional = RegionalPipeline(load(), mine)
with probing(regional, words=["red"]) as recorder:
    regional(plan, seed=1, num_inference_steps=4)
probe: Probe = recorder.result()
planned: ScenePlan = Planner(open_backend("bundled")).plan("a red boat", 128, 128)
names: list[str] = [region.name for region in planned.regions]
kept: Path | None = Path("plan.yaml")
"""
WRONG = {
    'Rule(level="low", steps="0%-50%")': 'Rule(level="medium")',
    'Routing(name="mine", rules=[{"level": "low"}])': 'Routing(name="mine", rules="low")',
}
CHECKERS = {
    "mypy": ["-m", "mypy", "--strict"],
    "pyright": ["-m", "basedpyright", "--pythonpath", sys.executable],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all scripts: what a checker has read of torch and diffusers is read once."""
    return tmp_path_factory.mktemp("elsewhere")


def checked(checker: str, folder: Path, text: str) -> tuple[int, str]:
    """What a checker says of a script in a folder that is not the repository's."""
    (folder / "script.py").write_text(text)
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard"}))
    command = [sys.executable, *CHECKERS[checker], "script.py"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return answer.returncode, answer.stdout + answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_script_elsewhere_is_checked(checker: str, folder: Path) -> None:
    code, said = checked(checker, folder, SCRIPT)
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_wrong_arguments_are_found(checker: str, folder: Path) -> None:
    head = "from strata import Routing\nfrom strata.layers.routing import Rule\n"
    for right, wrong in WRONG.items():
        assert checked(checker, folder, f"{head}print({right})\nprint(Rule, Routing)\n")[0] == 0
        code, said = checked(checker, folder, f"{head}print({wrong})\nprint(Rule, Routing)\n")
        assert code == 1, said
