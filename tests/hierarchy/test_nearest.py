"""What a path that leads nowhere may have meant."""

from pathlib import Path

import pytest

from strata.hierarchy.errors import closest
from strata.hierarchy.nearest import nearest_path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = ("configs/plans/two regions.yaml", "configs/other.yaml", "plan.yaml", "plans/a.json", "image.txt")
    for name in (*files, "scene.zip", "scene.jpg", "scene.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("cofnigs/plans/two regions.yaml", "configs/plans/two regions.yaml"),
        ("cofnigs/plnas/two region.yml", "configs/plans/two regions.yaml"),
        ("configs/plans/two_regions.yaml", "configs/plans/two regions.yaml"),
        ("cofnigs/", "configs/"),
        ("cofnigs/gone.yaml", "configs/"),
        ("cofnigs/nowhere/plan.yaml", "configs/"),
        ("nowhere/plan.yaml", None),
        ("configs/plnas", "configs/plans/"),
        ("plan.yml", "plan.yaml"),
        ("./plan.yml", "plan.yaml"),
        ("plan", "plan.yaml"),
        ("image.png", "image.txt"),
        ("scene.yaml", "scene.jpg"),
        ("plan.yaml/more", None),
        ("configs/gone.yaml", None),
        ("elsewhere/plan.yaml", None),
        ("quite another name", None),
        ("", None),
    ],
)
def test_the_nearest(given: str, meant: str | None) -> None:
    assert nearest_path(given) == meant


def test_what_is_asked_for_is_not_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert nearest_path(f"{tmp_path}/link") is None


def test_an_absolute_path_stays_absolute(tmp_path: Path) -> None:
    assert nearest_path(f"{tmp_path}/cofnigs/other.yaml") == f"{tmp_path}/configs/other.yaml"


def test_how_much_alike() -> None:
    assert closest("stpes", ["depth", "steps"]) == "steps"
    assert closest("stpes", ["depth", "steps"], 0.9) is None
    assert closest("x" * 10_000, ["steps"]) is None
