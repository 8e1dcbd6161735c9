"""The layout's picture."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_canvas, draw_layout, draw_legend
from strata.hierarchy.typeset import Rect, Sheet, pixel_edges

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


def test_a_split_overlap_has_one_colour_a_place() -> None:
    """Two boxes that share their middle third: the colours of layout.png meet in the middle of it."""
    texts = [{"name": "a", "box": (0, 0, 40, 64), "high": "x"}, {"name": "b", "box": (24, 0, 64, 64), "high": "y"}]
    drawn = {}
    for overlap in ("union", "split"):
        plan = ScenePlan.model_validate(
            {"width": 64, "height": 64, "prompt": "x", "overlap": overlap, "regions": texts}
        )
        image = np.asarray(draw_canvas(plan, 640), dtype=float)
        drawn[overlap] = [image[400:500, x : x + 30].mean(axis=(0, 1)) for x in (100, 280, 330, 500)]
    a, one, other, b = drawn["split"]
    assert np.abs(a - one).max() < 3
    assert np.abs(b - other).max() < 3
    assert np.abs(a - b).max() > 20
    assert min(np.abs(drawn["union"][1] - colour).max() for colour in (a, b)) > 5


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


def test_the_legend_tells_loras(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    draw = Sheet.paragraph

    def kept(self: Sheet, x: float, y: float, text: str, *rest: Any) -> float:
        notes.append(text)
        return draw(self, x, y, text, *rest)

    monkeypatch.setattr(Sheet, "paragraph", kept)
    film = {"file": "a/film.safetensors"}
    draw_legend(
        ScenePlan(
            width=64,
            height=32,
            prompt="x",
            loras=[{**film, "scale": -0.5}],
            regions=[
                {"name": "r", "box": (0, 0, 32, 32), "full": "y", "loras": [film, {"file": "me/oil", "scale": 2}]}
            ],
            background={"full": "z", "loras": [{**film, "scale": {"from": 1, "to": 0.25}}]},
        ),
        300,
    )
    assert "64 x 32 px, LoRA film × -0.5" in notes
    assert "box 32 x 32 at 0, 0, LoRA film, LoRA oil × 2" in notes
    assert "LoRA film × 1 to 0.25" in notes


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[Rect]:
    """Where labels are drawn, as they are."""
    boxes: list[Rect] = []
    draw = Sheet.label

    def kept(self: Sheet, area: Rect, *rest: Any) -> None:
        boxes.append(area)
        draw(self, area, *rest)

    monkeypatch.setattr(Sheet, "label", kept)
    return boxes


def canvas_of(side: int, *regions: tuple[str, tuple[int, int, int, int]]) -> None:
    named = [{"name": name, "box": box, "full": "x"} for name, box in regions]
    draw_canvas(ScenePlan.model_validate({"width": 256, "height": 256, "prompt": "x", "regions": named}), side)


def test_labels_lie_apart_and_on_the_canvas(labels: list[Rect]) -> None:
    canvas_of(640, *((f"a name of some length {n}", (10, 10, 200, 200)) for n in range(8)))
    assert len(labels) == 8
    for n, (x, y, wide, tall) in enumerate(labels):
        assert 0 <= x <= 640 - wide
        assert 0 <= y <= 640 - tall
        assert all(x + wide <= a or a + c <= x or y + tall <= b or b + d <= y for a, b, c, d in labels[:n])
    moved = [(y - labels[0][1]) / tall for _, y, _, tall in labels]
    assert np.sign(moved).tolist() == [0, 1, -1, 1, -1, 1, -1, 1], "below and above in turn"
    assert np.diff(sorted(moved)).max() < 1.6, "no farther than earlier ones ask"


def test_labels_are_two_pixels_apart_wherever_their_boxes_are_rounded(labels: list[Rect]) -> None:
    for offset in range(8, 32):
        labels.clear()
        canvas_of(256, ("one", (10, 40, 200, 90)), ("two", (10, 40 + offset, 200, 90 + offset)))
        (_, top, _, bottom), (_, other_top, _, other_bottom) = map(pixel_edges, labels)
        assert max(top, other_top) - min(bottom, other_bottom) >= 2, offset
    canvas_of(256, *((f"a name of some length {n}", (10, 10, 200, 200)) for n in range(8)))
    edges = sorted((y, y2) for _, y, _, y2 in map(pixel_edges, labels[-8:]))
    assert min(y - y2 for (_, y2), (y, _) in pairwise(edges)) >= 2


def test_a_label_is_no_wider_than_its_region_and_at_the_edge_where_that_is(labels: list[Rect]) -> None:
    canvas_of(640, ("a " * 80, (40, 60, 160, 200)), ("top", (100, 0, 256, 4)), ("bottom", (100, 252, 256, 256)))
    (x, _, wide, _), (_, top, _, _), (_, bottom, _, tall) = labels
    assert x >= 100
    assert x + wide <= 400
    assert (top, bottom) == (0, 640 - tall)


@pytest.mark.parametrize(("count", "columns"), [(4, 1), (14, 2)])
def test_a_legend_much_higher_than_the_canvas_has_two_columns(count: int, columns: int) -> None:
    regions = [{"name": str(n), "box": (n, 0, n + 4, 64), "full": "x"} for n in range(count)]
    drawn = draw_layout(ScenePlan.model_validate({"width": 64, "height": 64, "prompt": "x", "regions": regions}))
    assert drawn.width == 640 + 2 * MARGIN + columns * (360 + MARGIN)
    assert drawn.height <= 1.4 * 640 + 2 * MARGIN


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
