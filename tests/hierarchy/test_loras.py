"""LoRAs in plan files: read, named in errors, written back, moved with the plan."""

from pathlib import Path

import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.loras import Lora, ScaleRamp
from strata.hierarchy.plan import ScenePlan

TEXT = """
width: 48
height: 32
prompt: x
regions:
  - name: boat
    box: [0, 0, 20, 20]
    high: a boat
    loras: [{file: loras/style.safetensors, scale: {from: 1.0, to: 0.25}}]
background: {full: the sea, loras: [{file: owner/name}]}
loras: [{file: all.safetensors, scale: -0.5}, {file: C.v2.safetensors}]
"""


def test_where_they_are_and_how_they_are_called() -> None:
    plan = ScenePlan.from_yaml(TEXT)
    found = [(p.area, p.lora.name, p.lora.scale, ".".join(map(str, p.path))) for p in plan.placed_loras()]
    assert found == [
        ("global", "all", -0.5, "loras.0.file"),
        ("global", "C.v2", 1.0, "loras.1.file"),
        ("boat", "style", ScaleRamp(start=1.0, end=0.25), "regions.0.loras.0.file"),
        ("background", "name", 1.0, "background.loras.0.file"),
    ]
    assert ScenePlan.from_yaml(plan.to_yaml()) == plan
    assert Lora(file="a", scale={"from": 1, "to": 0.25}).scale == ScaleRamp(start=1.0, end=0.25)


def test_saved_elsewhere_it_names_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "style.safetensors").touch()
    (tmp_path / "all.safetensors").touch()
    (tmp_path / "sub").mkdir()
    ScenePlan.from_yaml(TEXT, root=tmp_path).save(tmp_path / "sub" / "plan.yaml")
    files = [placed.lora.file for placed in ScenePlan.load(tmp_path / "sub" / "plan.yaml").placed_loras()]
    assert files == ["../all.safetensors", "C.v2.safetensors", "../loras/style.safetensors", "owner/name"]


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ("{file: a, scale: x}", r"p.yaml:4: loras\[0\].scale: .*expected a number, or a ramp"),
        ("{file: a, scale: true}", "expected a number, or a ramp"),
        ("{file: a, scale: 11}", "must be from -10 to 10"),
        ("{file: a, scale: {from: 1}}", "a ramp needs both keys: from, to"),
        ("{file: a, scale: {from: 1, to: 2, via: 3}}", "unknown key 'via'; valid keys: from, to"),
        ("{file: a, scale: {from: 1, to: .inf}}", "to: .*is not a number from -10 to 10"),
        ("{scale: 1}", r"loras\[0\].file"),
        ("{file: ''}", "must not be empty"),
        ("{file: a, depth: 0%-50%}", "unknown key"),
    ],
)
def test_a_wrong_one_is_refused(lora: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ScenePlan.from_yaml(f"width: 16\nheight: 16\nprompt: x\nloras: [{lora}]\n", "p.yaml")
