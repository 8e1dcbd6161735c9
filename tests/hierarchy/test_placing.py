"""Boxes with texts from elsewhere as regions: sides, names, and boxes at the edges."""

from pathlib import Path

import pytest

from strata.hierarchy.files import Document
from strata.hierarchy.placing import Placed, box_on, placed_plan, rounded_side, short_name, unique_names


@pytest.mark.parametrize(
    ("side", "token", "rounded"),
    [
        (1000, 16, 1008),
        (1000, 24, 1008),
        (7, 16, 16),
        (24, 16, 32),
        (23.9, 16, 16),
        (8192, 24, 8184),
        (20000, 16, 8192),
    ],
)
def test_sides(side: float, token: int, rounded: int) -> None:
    assert rounded_side(side, token) == rounded


@pytest.mark.parametrize(
    ("box", "expected", "faults"),
    [
        ((0, 0, 1, 1), (0, 0, 100, 50), (False, False)),
        ((0.25, 0.5, 0.5, 1), (25, 25, 50, 50), (False, False)),
        ((-0.5, 0, 0.5, 1.5), (0, 0, 50, 50), (False, True)),
        ((-0.009, 0, 1.009, 1), (0, 0, 100, 50), (False, False)),  # less than a pixel
        ((0.5, 0.5, 0.501, 0.501), (50, 25, 51, 26), (False, False)),  # at least a pixel
        ((0.5, 0.5, 0.5, 1), None, (True, False)),
        ((0.5, 0.5, 0.2, 1), None, (True, False)),
        ((1, 0, 2, 1), None, (False, True)),
        ((-2, 0, 0, 1), None, (False, True)),
        ((0, -1, 1, 0), None, (False, True)),
        ((0, 1, 1, 2), None, (False, True)),
    ],
)
def test_boxes(box: tuple[float, ...], expected: tuple[int, ...] | None, faults: tuple[bool, bool]) -> None:
    assert box_on(box, (1, 1), (100, 50)) == (expected, faults)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a red barge.", "a red barge"),
        ("a crane / winch\nof iron", "a crane winch of iron"),
        ("background", "region 1"),
        ("///", "region 1"),
        ("\u202ex\u0007", "x"),
        ("one two three four five six seven eight nine ten", "one two three four five six seven eight"),
        ("a barge that lies at the quay, deep in the water", "a barge that lies at the quay, deep in"),
        ("x" * 90, "x" * 40),
    ],
)
def test_names_of_captions(text: str, name: str) -> None:
    assert short_name(text, "region 1") == name


def test_equal_names_get_numbers() -> None:
    assert unique_names(["a", "a", "a 2", "b", "a"]) == ["a", "a 2", "a 2 2", "b", "a 3"]


def test_a_plan_of_boxes() -> None:
    document = Document({}, "f", Path(), {(): 3, ("boxes", 1): 5})
    items = [
        Placed((0, 0, 5, 5), ("boxes", 0), "base", high="a boat", low="red", more=(("priority", 2),)),
        Placed((9, 9, 12, 5), ("boxes", 1), "a sun", full="a sun"),
    ]
    notes = ["before"]
    plan = placed_plan(document, items, (10, 10), (64, 32), notes, prompt="a sea", low="gouache")
    assert plan.to_yaml() == (
        "width: 64\nheight: 32\nprompt: a sea\nlow: gouache\nregions:\n  - name: region 1\n    box: [0, 0, 32, 16]\n"
        "    high: a boat\n    low: red\n    priority: 2\n"
    )
    assert notes == ["before", "f:5: boxes[1]: [9, 9, 12, 5]: is empty; its region is left out"]
