"""The library alone draws plans; what only a part needs is in an extra, and its absence is one clear line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = ("openai", "llguidance", "scipy", "skimage", "matplotlib", "vllm", "ray")

BLOCK = f"""
import sys

for name in {EXTRAS!r}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
sys.path.insert(0, {str(ROOT)!r})
"""

DRAW = """
from tests.injection.conftest import PLAN, make_chroma, make_text_to_image
from strata import RegionalPipeline, Routing, ScenePlan

for make in (make_text_to_image, make_chroma):
    pipe, _ = make()
    regional = RegionalPipeline(pipe, Routing.load("isolate-first"))
    options = {"num_inference_steps": 2, "max_sequence_length": 24, "output_type": "pt"}
    assert regional(ScenePlan.from_yaml(PLAN), seed=0, **options).images.isfinite().all()
print("drawn")
"""

COMMANDS = """
from strata.cli import main

assert main(["validate", "configs/plans/two_regions.yaml"]) == 0
assert main(["routing", "show", "uniform"]) == 0
assert main(["layout", "configs/plans/two_regions.yaml", "-o", OUT]) == 0
assert main(["plan", "a red circle"]) == 2
"""


def run(code: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "-c", BLOCK + code], os.environ | {"STRATA_CACHE": str(cache)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_plans_are_drawn_without_any_extra(tmp_path: Path) -> None:
    done = run(DRAW, tmp_path)
    assert done.stdout.strip() == "drawn", done.stderr


def test_commands_without_any_extra(tmp_path: Path) -> None:
    done = run(f"OUT = {str(tmp_path / 'layout.png')!r}\n{COMMANDS}", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "strata-prompting[miniature]" in done.stderr
