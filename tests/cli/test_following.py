"""`strata probe --following`."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from strata.analysis.following import following
from strata.analysis.probe import Probe
from tests.analysis.probes import make_clip
from tests.cli.conftest import Run


def assert_near(one: Any, other: Any) -> None:
    """The same but for the last of four digits: what is saved of a probe is rounded."""
    if isinstance(one, float):
        assert one == pytest.approx(other, abs=2e-4)
    elif isinstance(one, dict | list):
        assert len(one) == len(other)
        for key in one if isinstance(one, dict) else range(len(one)):
            assert_near(one[key], other[key])
    else:
        assert one == other


def test_the_command_tells(strata: Run, here: Path, tiny_folder: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    make_clip(clip)
    options = ("-m", str(tiny_folder), "--seed", "3", "--words", "red,circle", "--run-steps", "1", "--no-pictures")
    done = strata("probe", "plan.yaml", *options, "--following", "--clip", str(clip), "--out", "probed")
    assert (done.code, done.err) == (0, "")
    assert "did the regions obey?" in done.out
    data = json.loads(Path("probed/following.json").read_text())
    assert [region["name"] for region in data["regions"]] == ["left", "right"]
    with Image.open("probed/image.png") as image:
        expected = following(Probe.load("probed"), image.convert("RGB"), clip=str(clip)).as_data()
    assert_near(data, json.loads(json.dumps(expected)))
    of_regions = [region["attention"]["texts"]["score"] for region in data["regions"]]
    assert data["scores"]["texts"] == pytest.approx(sum(of_regions) / 2, abs=1e-3)
    assert of_regions[0] != of_regions[1]
    for source, more, message in (
        ("a red circle", (), "--following: asks whether regions obeyed; give a plan with regions"),
        ("plan.yaml", ("--clip", "no/such folder"), "clip: 'no/such folder': holds no CLIP model"),
        ("plan.yaml", ("--clip", str(tiny_folder / "transformer")), "holds no CLIP model"),
    ):
        done = strata("probe", source, *options, "--following", *more)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
