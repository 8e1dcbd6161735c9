"""The wheel and the sdist hold all of ``strata`` and nothing else, whatever became of the checkout's links."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]
Checkout = Callable[[str], Path]

SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def build_wheel(python: Run, source: Path, into: Path) -> Path:
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    python(["-m", "pip", "wheel", *flags, "--wheel-dir", str(into), str(source)])
    (wheel,) = into.glob("*.whl")
    return wheel


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.mark.parametrize("links", ["kept", pytest.param("text", marks=pytest.mark.slow)])
def test_wheel_holds_strata_and_nothing_else(
    links: str, checkout: Checkout, python: Run, tmp_path: Path, packaged_files: frozenset[str]
) -> None:
    source = checkout(links)
    leftover = source / "miniature" / "runs" / "today" / "model.safetensors"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    wheel = build_wheel(python, source, tmp_path / "wheels")
    names = contents(wheel)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"strata", "strata_prompting-0.1.0.dist-info"}
    code = {name for name in names if name.startswith("strata/")}
    assert not packaged_files - code, "in the repository, but not in the wheel: see package-data in pyproject.toml"
    assert not code - packaged_files, "in the wheel, but not in the repository"
    assert "strata_prompting-0.1.0.dist-info/licenses/LICENSE" in names


@pytest.mark.slow
def test_wheel_of_the_sdist_is_the_same(
    checkout: Checkout, python: Run, tmp_path: Path, packaged_files: frozenset[str]
) -> None:
    source = checkout("kept")
    build = tmp_path / "build.py"
    build.write_text(f"import os; os.chdir({str(source)!r}); {SDIST}", encoding="utf-8")
    python([str(build), str(tmp_path)])
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    wheel = build_wheel(python, tmp_path / "sdist" / sdist.name.removesuffix(".tar.gz"), tmp_path / "wheels")
    assert {name for name in contents(wheel) if name.startswith("strata/")} == packaged_files


@pytest.mark.slow
def test_wheel_runs(checkout: Checkout, python: Run, tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    with zipfile.ZipFile(build_wheel(python, checkout("kept"), tmp_path / "wheels")) as archive:
        archive.extractall(installed)
    where = python(["-c", "import strata.layers; print(strata.layers.__file__)"], path=[installed]).strip()
    assert Path(where) == installed / "strata" / "layers" / "__init__.py"
    assert "coarse-to-fine" in python(["-m", "strata", "routing", "list"], path=[installed])
