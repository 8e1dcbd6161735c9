"""The layout's picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_canvas, draw_layout, draw_legend
from strata.hierarchy.typeset import Rect, Sheet

MARGIN = 24


def plan_of(width: int, height: int, overlap: str = "union") -> ScenePlan:
    long_text = "a very long description " * 40 + "x" * 400
    regions = [
        {"name": "first", "box": (0, 0, width, height), "high": long_text, "low": "red", "strength": 0.5},
        {"name": "a name of some length " * 3, "box": (0, 0, max(1, width // 2), height), "full": "x", "priority": -1},
    ]
    return ScenePlan.model_validate(
        {"width": width, "height": height, "prompt": long_text, "overlap": overlap, "regions": regions}
    )


@pytest.mark.parametrize("size", [(64, 64), (1280, 768), (300, 900), (4096, 64), (1, 8192), (1, 1)])
def test_any_canvas_gives_a_picture_of_sensible_size(size: tuple[int, int]) -> None:
    picture = draw_layout(plan_of(*size))
    assert picture.mode == "RGB"
    assert 300 <= picture.width <= 1800
    assert picture.height <= 1800


def corner_colours(plan: ScenePlan, image: Image.Image | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours inside the left and the right half of a square canvas, near the bottom."""
    drawn = np.asarray(draw_layout(plan, image), dtype=float)
    rows = slice(MARGIN + 520, MARGIN + 600)
    return drawn[rows, MARGIN + 40 : MARGIN + 240].mean(axis=(0, 1)), drawn[rows, MARGIN + 400 : MARGIN + 600].mean(
        axis=(0, 1)
    )


def test_overlaps_are_visible_by_union_and_decided_by_priority() -> None:
    left, right = corner_colours(plan_of(64, 64, "union"))
    assert np.abs(left - right).max() > 20
    left, right = corner_colours(plan_of(64, 64, "priority"))  # the first region wins everywhere
    assert np.abs(left - right).max() < 2


def test_an_image_shows_through() -> None:
    plan = ScenePlan(width=64, height=64, prompt="x")
    image = Image.new("RGB", (16, 16), (10, 200, 30))
    left, right = corner_colours(plan, image)
    assert left.tolist() == right.tolist() == [10, 200, 30]


def test_canvas_and_legend_stand_alone() -> None:
    plan = plan_of(64, 32)
    assert draw_canvas(plan, 300).size == (300, 150)
    one, two = draw_legend(plan, 270), draw_legend(plan, 564, columns=2)
    assert (one.width, two.width) == (270, 564)
    assert two.height < one.height


def test_labels_lie_apart_and_on_the_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[Rect] = []
    draw = Sheet.label

    def kept(self: Sheet, area: Rect, *rest: Any) -> None:
        boxes.append(area)
        draw(self, area, *rest)

    monkeypatch.setattr(Sheet, "label", kept)
    regions = [{"name": f"a name of some length {n}", "box": (10, 10, 200, 200), "full": "x"} for n in range(8)]
    draw_canvas(ScenePlan.model_validate({"width": 256, "height": 256, "prompt": "x", "regions": regions}), 640)
    assert len(boxes) == 8
    for n, (x, y, wide, tall) in enumerate(boxes):
        assert 0 <= x <= 640 - wide
        assert 0 <= y <= 640 - tall
        assert all(x + wide <= a or a + c <= x or y + tall <= b or b + d <= y for a, b, c, d in boxes[:n])


def test_a_missing_mask_is_named() -> None:
    plan = ScenePlan.from_yaml(
        "{width: 8, height: 8, prompt: x, regions: [{name: a, mask: no.png, full: x}]}", name="p"
    )
    with pytest.raises(InputError, match=r"p:1: regions\[0\]\.mask: mask file 'no\.png': not found"):
        draw_layout(plan)


@pytest.mark.parametrize("name", ["two", "three", "four"])
def test_example_plans(name: str) -> None:
    plan = ScenePlan.load(Path(__file__).parents[2] / "configs" / "plans" / f"{name}_regions.yaml")
    first, second = draw_layout(plan), draw_layout(plan)
    assert first.tobytes() == second.tobytes()
