"""A tiny FLUX pipeline with random weights, saved as a folder, and a way to run commands in this process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from diffusers import FluxPipeline
from PIL import Image

from strata.cli import main
from strata.planning import PlannerSettings
from tests.injection.conftest import tiny_parts
from tests.llm.scripted import ScriptedBackend

MASK_PLAN = """\
width: 32
height: 48
prompt: a red circle and a blue square — Ünïcode “quotes”
regions:
  - {name: left, box: [0, 0, 16, 48], high: a circle, low: red}
  - {name: right, mask: masks/half right.png, high: a square, low: blue}
background: {full: plain}
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLUX with 2 double and 3 single blocks; one image token covers 4×4 pixels."""
    parts = tiny_parts()
    parts["tokenizer_2"].model_max_length = 64  # room for the plan below, which has letters outside the vocabulary
    pipe = FluxPipeline(**parts)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of plans that is the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STRATA_CACHE", str(folder))
    return folder


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> ScriptedBackend:
    """The language model of every command, whatever --llm says."""
    backend = ScriptedBackend(concurrency=2)
    monkeypatch.setattr(PlannerSettings, "open", lambda settings, concurrency=1: backend)
    return backend


@pytest.fixture
def strata(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as the working folder, with a plan that has a mask file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (8, 8))
    mask.paste(255, (4, 0, 8, 8))
    mask.save(tmp_path / "masks" / "half right.png")
    (tmp_path / "plan.yaml").write_text(MASK_PLAN, encoding="utf-8")
    return tmp_path
