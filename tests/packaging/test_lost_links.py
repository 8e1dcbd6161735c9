"""A checkout whose links were lost (git on Windows, exports without links) imports and runs all the same."""

import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]
Checkout = Callable[[str], Path]

FIND_ALL = """
import importlib, importlib.resources, pathlib
for name in ("hierarchy", "layers", "injection", "llm", "analysis", "miniature"):
    print(pathlib.Path(importlib.import_module("strata." + name).__file__).resolve())
print(pathlib.Path(str(importlib.resources.files("strata.configs").joinpath("routings").joinpath("uniform.yaml"))).resolve())
"""


def expected(root: Path) -> list[Path]:
    folders = ("hierarchy", "layers", "injection", "llm", "analysis", "miniature")
    return [*(root / folder / "__init__.py" for folder in folders), root / "configs" / "routings" / "uniform.yaml"]


def found(answer: str) -> list[Path]:
    return [Path(line) for line in answer.splitlines()]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment that sees the packages installed here, but no editable installation of this checkout."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    (site_packages,) = home.rglob("site-packages")
    # Folders named in a .pth file are searched, but their own .pth files (editable installations) are not run.
    (site_packages / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home / ("Scripts" if sys.platform == "win32" else "bin")


@pytest.mark.slow
@pytest.mark.parametrize("links", ["missing", "text"])
def test_editable_installation(links: str, checkout: Checkout, python: Run, environment: Path) -> None:
    root = checkout(links)
    interpreter = str(environment / "python")
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    python(["-m", "pip", "install", *flags, "--editable", str(root)], executable=interpreter)
    assert found(python(["-c", FIND_ALL], executable=interpreter)) == expected(root)
    assert "generate" in python(["-m", "strata", "--help"], executable=interpreter)
    assert "coarse-to-fine" in python(["-m", "strata", "routing", "list"], executable=interpreter)


@pytest.mark.parametrize("links", ["kept", "missing", "text"])
def test_without_installation(links: str, checkout: Checkout, python: Run) -> None:
    root = checkout(links)
    assert found(python(["-c", FIND_ALL], path=[root])) == expected(root)
    search = python(["-c", "import strata; print(*strata.__path__, sep='\\n')"], path=[root]).splitlines()
    assert search == [str(root / "strata")] + ([] if links == "kept" else [str(root)])
