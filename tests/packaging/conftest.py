"""Copies of this checkout, with the links of ``strata/`` kept or lost, for the packaging tests to build from."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest

Links = Literal["kept", "missing", "text"]
"""What became of the links: kept, missing, or small text files holding their target (git on Windows)."""

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("analysis", "configs", "hierarchy", "injection", "layers", "llm", "miniature")
METADATA = ("LICENSE", "README.md", "pyproject.toml")


def _files(root: Path) -> list[str]:
    """List what a commit of the tree as it stands would hold, relative to `root`; without git, all but caches."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (root / ".git").exists() and shutil.which("git"):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return sorted({name for name in answer.stdout.split("\0") if name and os.path.lexists(root / name)})
    places = [root / "strata", *(root / folder for folder in FOLDERS)]
    found = [path for place in places for path in place.rglob("*") if path.is_file()]
    names = [path.relative_to(root).as_posix() for path in found]
    links = [f"strata/{folder}" for folder in FOLDERS if (root / "strata" / folder).is_symlink()]
    plain = [n for n in names if not {"__pycache__", "runs"} & set(n.split("/")) and n.split("/")[1] not in FOLDERS]
    return sorted({*plain, *links, *METADATA})


@pytest.fixture(scope="session")
def packaged_files() -> frozenset[str]:
    """The files an installation must hold, as paths below site-packages: ``strata/layers/routing.py`` and so on."""
    files = _files(ROOT)
    own = {name for name in files if name.startswith("strata/") and name.removeprefix("strata/") not in FOLDERS}
    linked = {f"strata/{name}" for name in files if name.split("/")[0] in FOLDERS}
    return frozenset(own | linked)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Links], Path]:
    """Make a fresh copy of what is packaged: ``checkout("text")``."""

    def copy(links: Links) -> Path:
        target = tmp_path_factory.mktemp(f"links-{links}")
        for name in _files(ROOT):
            top, _, rest = name.partition("/")
            if name not in METADATA and top not in (*FOLDERS, "strata"):
                continue
            if top == "strata" and rest in FOLDERS:
                _leave_link(target / name, f"../{rest}", links)
                continue
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
        return target

    return copy


def _leave_link(path: Path, points_to: str, links: Links) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if links == "kept":
        path.symlink_to(points_to, target_is_directory=True)
    elif links == "text":
        path.write_text(points_to, encoding="utf-8")


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., str]:
    """Run Python in an empty folder, seeing only the given paths: ``python(["-m", "pip"], path=[...])`` -> stdout."""
    outside = tmp_path / "outside"
    outside.mkdir()

    def run(arguments: Sequence[str], *, path: Sequence[Path] = (), executable: str = sys.executable) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
        done = subprocess.run(
            [executable, *arguments], cwd=outside, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
