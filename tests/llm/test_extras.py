"""Without the libraries of an extra: what needs none works, what needs one says in a line which extra to install."""

import pkgutil
import subprocess
import sys

import pytest

from strata.miniature import world as package

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Blocked())
from strata.hierarchy.errors import StrataError
try:
    exec({code!r})
except StrataError as error:
    print(error)
"""
HEAVY = {"openai", "httpx2", "llguidance", "transformers", "torch", "scipy", "vllm", "diffusers"}
PLAN = "from strata.llm.planner import Planner; Planner(open_backend()).plan('a red circle', 64, 64)"


def run(code: str, *blocked: str) -> str:
    script = BLOCK.format(blocked=set(blocked), code=code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_planner_is_imported_without_any_of_them() -> None:
    modules = ("planner", "many", "cache", "draft", "instructions", "protocol", "answer", "serve", "backends", "errors")
    imports = "; ".join(f"import strata.llm.{name}" for name in modules)
    assert run(f"{imports}; from strata.llm.backends.bundled import checks; print('imported')", *HEAVY) == "imported"


def test_a_server_needs_the_extra_llm() -> None:
    code = "from strata.llm.backends import open_backend; open_backend('http://127.0.0.1:9/v1')"
    for library in ("openai", "httpx2"):
        assert run(code, library) == f"{library} is not installed; pip install 'strata-prompting[llm]'"
    serve = "from strata.llm.serve import serve_llm; serve_llm('miniature', port=1)"
    assert run(serve, "openai") == "openai is not installed; pip install 'strata-prompting[llm]'"


@pytest.mark.parametrize("library", ["llguidance", "transformers"])
def test_the_bundled_planner_needs_the_extra_miniature(library: str) -> None:
    code = f"from strata.llm.backends import open_backend; {PLAN}"
    assert run(code, library) == f"{library} is not installed; pip install 'strata-prompting[miniature]'"


def test_rendering_needs_the_extra_miniature() -> None:
    code = "import random; from strata.miniature.world import scenes; scenes.random_scene(random.Random(0), 64, 64, 1)"
    assert run(f"{code}.paint()", "scipy") == "scipy is not installed; pip install 'strata-prompting[miniature]'"


@pytest.mark.slow
def test_the_world_is_a_leaf() -> None:
    """What it imports of Strata is hierarchy and itself, and the miniature imports nothing of llm."""
    world = "strata.miniature.world"
    below = f"('strata.hierarchy', '{world}')"
    other = f"sorted(m for m in sys.modules if m.startswith('strata.') and not m.startswith({below}))"
    modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
    imports = "; ".join(f"import {world}.{name}" for name in modules)
    assert run(f"import sys; {imports}; print({other})") == "['strata.miniature']"
    training = "import sys, strata.miniature.train, strata.miniature.training.scorer"
    assert run(f"{training}; print([m for m in sys.modules if m.startswith('strata.llm')])") == "[]"
