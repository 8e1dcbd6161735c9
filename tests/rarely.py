"""Parameters of which a few are looked at every day, the others by the slow suite."""

from typing import Any

import pytest


def rarely(*values: Any) -> list[Any]:
    """Values of one parameter, each a slow test."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
