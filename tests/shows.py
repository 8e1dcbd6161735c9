"""What tests show of each model family, for the table in `docs/models.md`.

A test that shows something is marked with it (`@shows("flux2", "LoRA")`, or its parameters are: `shown`). A cell of the
table stands for at least one such test. `python -m pytest -m shows --write-models` runs them all, the slow ones too,
and writes the table from those that pass (of a part of the tests, that part of it); `tests/test_models.py` holds the
committed one against what is marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

DOC = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- made by the tests: begin -->\n", "<!-- made by the tests: end -->\n"
FAMILIES = {
    "flux": "FLUX.1",
    "chroma": "Chroma",
    "flux2": "FLUX.2",
    "flux3": "FLUX.3",
    "longcat": "LongCat-Image",
    "qwen": "Qwen-Image",
    "krea2": "Krea 2",
}
THINGS = (
    "regions by depth",
    "several plans a call",
    "compiled blocks",
    "image to image",
    "inpainting",
    "ControlNet",
    "LoRA",
    "LoRA by region",
    "reference pictures",
    "probes",
    "negative prompt",
    "native captions",
    "command line",
)
Shown = dict[tuple[str, str], list[str]]
MARKED = pytest.StashKey[Shown]()
"""In the configuration's stash: what the tests that were collected are marked with, whichever of them run."""


def shows(family: str, *things: str) -> pytest.MarkDecorator:
    """The mark of a test that shows these things of a family. Raises `ValueError` for names that are not known."""
    if family not in FAMILIES or not set(things) <= set(THINGS) or not things:
        raise ValueError(f"shows: {family!r}, {things!r}: must be of {', '.join(FAMILIES)} and {', '.join(THINGS)}")
    mark: pytest.MarkDecorator = pytest.mark.shows(family, *things)
    return mark


def shown(families: Iterable[str], *things: str) -> list[Any]:
    """Families as a test's parameters, each with the mark that the test shows these things of it."""
    return [pytest.param(family, marks=shows(family, *things), id=family) for family in families]


def of_items(items: Iterable[pytest.Item]) -> Shown:
    """Which tests are marked, by family and thing."""
    found: Shown = {}
    for item in items:
        for mark in item.iter_markers("shows"):
            family, *things = mark.args
            for thing in things:
                found.setdefault((family, thing), []).append(item.nodeid.rsplit("@", 1)[0])
    return found


def table(cells: Shown) -> str:
    """The table, and one test for each of its cells."""
    rows = ["| | " + " | ".join(THINGS) + " |", "|---|" + "---|" * len(THINGS)]
    tests = []
    for family, title in FAMILIES.items():
        rows.append(f"| {title} | " + " | ".join("✓" if (family, thing) in cells else "" for thing in THINGS) + " |")
        tests += [f"- {title}, {t}: `{min(cells[family, t])}`" for t in THINGS if (family, t) in cells]
    return "\n".join([*rows, "", "The test that each ✓ stands for:", "", *tests, ""])


def claimed(text: str) -> Shown:
    """The cells of the table in a document, and the test that each names."""
    names = {title: family for family, title in FAMILIES.items()}
    lines = (re.fullmatch(r"- (.+?), (.+?): `(.+)`", line) for line in written(text).splitlines())
    return {(names[line[1]], line[2]): [line[3]] for line in lines if line}


def written(text: str) -> str:
    """The part of a document between the two marks. Raises `ValueError` where they are missing."""
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
