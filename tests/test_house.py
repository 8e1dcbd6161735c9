"""docs/house.py measures who imports whom, and tells where packages import each other in a circle."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def house() -> Any:
    spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["house"]


GOOD = {
    "strata/__init__.py": '"""The public API: few names. And more."""\n__version__ = "1"\n',
    "strata/cli.py": "def main():\n    from strata.commands import draw\n",
    "strata/engine.py": "from strata.attention.program import run\n",
    "strata/commands/draw.py": "from strata.engine import run\nfrom strata import __version__\n",
    "attention/__init__.py": '"""Attention."""\n',
    "strata/run.py": "from strata.attention import program\n",
    "attention/program.py": "from strata.plan import Plan\nfrom strata.attention.families.flux import facts\n",
    "attention/families/flux.py": "from strata.plan import Plan\nfrom strata import __version__\n",
    "plan/__init__.py": "Plan = 1\n",
    "tests/test_plan.py": "from strata.plan import Plan\n",
}


def made(root: Path, **changes: str) -> Path:
    for name, text in (GOOD | {name.replace("__", "/") + ".py": text for name, text in changes.items()}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "strata" / "plan").symlink_to("../plan")
    return root


def test_what_is_measured(house: Any, tmp_path: Path) -> None:
    found = house.measure_house(made(tmp_path))
    assert set(found.packages) == {"strata", "strata/commands", "attention", "attention/families", "plan"}
    assert found.packages["strata"] == 6
    assert found.meanings["strata"] == "The public API: few names"
    assert set(found.between()) == {("strata", "attention"), ("attention", "plan"), ("attention/families", "plan")}
    assert found.circles() == []
    graph = house._graph(house._folders(found))
    names = ["attention", "plan", "strata"]
    assert house._layers(names, graph, house._circles(names, graph)) == [["strata"], ["attention"], ["plan"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"plan__areas": "from strata.attention import program\n"}, "plan/areas.py:1: plan imports strata.attention"),
        ({"plan__areas": "def late():\n    import strata.engine\n"}, "plan/areas.py:2: plan imports strata.engine"),
        ({"attention__families__flux": "from strata.attention.program import run\n"}, "in a circle of"),
        (
            {"attention__families__flux": "from strata.attention.facts import n\n", "attention__facts": "n = 1\n"},
            "",
        ),
        (
            {"attention__families__flux": "from strata.commands import draw\n"},
            "attention/families/flux.py:1: attention/families imports strata.commands.draw",
        ),
        ({"attention__families__flux": "if TYPE_CHECKING:\n    from strata.attention import program\n"}, ""),
        ({"strata__engine": "from strata.commands.draw import run\n"}, "in a circle of"),
    ],
)
def test_circles_are_named(
    house: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str
) -> None:
    code = house.main(["--check", "--root", str(made(tmp_path, **changes))])
    assert code == bool(message)
    told = capsys.readouterr().err
    assert message in told
    assert bool(told) == bool(message)


def test_layers_and_arrows_of_the_picture(house: Any) -> None:
    """Each folder above what it imports; no arrow where a longer way leads; most arrows are upright."""
    pairs = [("a", "x"), ("b", "y"), ("a", "z"), ("x", "z"), ("c", "x"), ("c", "y"), ("y", "z")]
    names, graph = ["a", "b", "c", "x", "y", "z"], house._graph(pairs)
    layers = house._layers(names, graph, house._circles(names, graph))
    assert layers == [["a", "b", "c"], ["x", "y"], ["z"]]
    shown = [pair for pair in pairs if house._direct(pair, graph)]
    assert ("a", "z") not in shown
    assert len(shown) == 6
    upper, lower, _ = house._untangled(layers, shown)
    assert upper[1] == "c", "over both"
    assert (upper[0] == "a") == (lower[0] == "x")


def test_the_picture_shows_a_circle_in_red(house: Any, tmp_path: Path) -> None:
    root = made(tmp_path, plan__areas="from strata.attention import program\n")
    good, bad = house.measure_house(made(tmp_path / "good")), house.measure_house(root)
    reds = [bool((np.asarray(house.draw_house(one)) == house.WRONG).all(axis=2).any()) for one in (good, bad)]
    assert reds == [False, True]
    assert house.main(["-o", str(tmp_path / "house.png"), "--root", str(root)]) == 1
    assert (tmp_path / "house.png").stat().st_size > 5000
