"""``import strata`` is light, and every public name is found."""

import subprocess
import sys

import pytest

import strata


def test_import_loads_nothing_heavy() -> None:
    code = "import strata, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"diffusers", "numpy", "PIL", "pydantic", "torch", "yaml"} & set(done.stdout.split())


@pytest.mark.parametrize("name", strata.__all__)
def test_public_name(name: str) -> None:
    value = getattr(strata, name)
    assert name in dir(strata)
    assert name == "__version__" or value.__name__ == name


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'strata' has no attribute 'Scene'"):
        strata.Scene  # noqa: B018
