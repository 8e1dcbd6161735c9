"""One region told otherwise: its texts, its place, the base prompt, and which pixels and tokens that concerns."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from strata.hierarchy.errors import SettingError
from strata.hierarchy.phrases import old_words, retold_prompt
from strata.hierarchy.plan import Region, ScenePlan
from strata.hierarchy.repaint import (
    changed_region,
    grown,
    repainted_area,
    repainted_tokens,
    with_region,
)

LEFT: dict[str, Any] = {"name": "left", "box": (0, 0, 32, 64)}
RIGHT: dict[str, Any] = {"name": "right", "box": (32, 0, 64, 64)}


def plan(prompt: str = "two", left: Any = None, right: Any = None, **more: Any) -> ScenePlan:
    regions = [LEFT | (left or {"high": "a circle", "low": "red"}), RIGHT | (right or {"full": "a blue square"})]
    return ScenePlan(width=64, height=64, prompt=prompt, regions=regions, **more)


def levels(region: Region) -> dict[str, str]:
    return dict(region.by_level())


def test_a_text_takes_the_place_of_that_of_its_level() -> None:
    told = plan()
    assert levels(changed_region(told, "left", {"low": "blue"})) == {"high": "a circle", "low": "blue"}
    assert levels(changed_region(told, "left", {"high": "a tree"})) == {"high": "a tree", "low": "red"}
    assert levels(changed_region(told, "left", {"full": "a tree"})) == {"full": "a tree"}
    assert levels(changed_region(told, "right", {"full": "a tree"})) == {"full": "a tree"}
    assert levels(changed_region(told, "right", {"high": "a tree", "low": "red"})) == {"high": "a tree", "low": "red"}
    assert changed_region(told, "left", {}) == told.regions[0]
    both = plan(left={"high": "a circle", "full": "a red circle"})
    assert levels(changed_region(both, "left", {"full": "x"})) == {"high": "a circle", "full": "x"}
    assert levels(changed_region(both, "left", {"high": "y", "full": "x"})) == {"high": "y", "full": "x"}


def test_a_new_box_takes_the_place_of_any_shape() -> None:
    for shape in ({"polygon": ((0, 0), (9, 0), (9, 9))}, {"mask": "m.png", "mask_threshold": 0.2}):
        region = Region(name="left", high="a circle", **shape)  # type: ignore[arg-type]
        told = ScenePlan(width=64, height=64, prompt="", regions=[region])
        moved = changed_region(told, "left", {}, (1, 2, 30, 40))
        assert (moved.box, moved.polygon, moved.mask, moved.mask_threshold) == ((1, 2, 30, 40), None, None, 0.5)
        assert levels(moved) == {"high": "a circle"}


@pytest.mark.parametrize(
    ("name", "texts", "box", "message"),
    [
        ("background", {}, None, "'background': is what the regions leave, and is not repainted; change its texts in"),
        ("lef", {}, None, "region 'lef': no such region; did you mean 'left'? regions: left, right"),
        ("left", {"low": "red"}, None, "low 'red': is that already"),
        ("left", {"low": " red "}, None, "is that already"),
        ("left", {"low": "a\x00"}, None, "low 'a"),
        (
            "right",
            {"low": "red"},
            None,
            "low: region 'right' has one undivided text, 'a blue square'; give another one",
        ),
        (
            "left",
            {"high": "x", "full": "y"},
            None,
            "full 'y': is one undivided text in the place of all others, and does",
        ),
        ("right", {"full": "y", "low": "x"}, None, "does not go with low; leave one of them out"),
        ("left", {}, (0, 0, 32, 64), "box 0,0,32,64: is that already"),
        ("left", {}, (0, 0, 65, 64), "box 0,0,65,64: leaves the 64x64 canvas"),
        ("left", {}, (9, 0, 9, 64), "box 9,0,9,64: x2 must be greater than x1"),
        ("left", {}, (-1, 0, 9, 64), "box -1,0,9,64: x1 must not be negative"),
    ],
)
def test_what_a_region_cannot_be(name: str, texts: Any, box: Any, message: str) -> None:
    with pytest.raises(SettingError) as refused:
        changed_region(plan(), name, texts, box)
    assert message in str(refused.value)


def test_a_plan_without_regions_has_none_to_name() -> None:
    with pytest.raises(SettingError, match="the plan has no regions"):
        changed_region(ScenePlan(width=64, height=64, prompt=""), "left", {})


def test_a_region_put_into_a_plan_has_to_fit_it() -> None:
    told = plan()
    changed = with_region(told, Region(name="right", box=(0, 0, 9, 9), low="x"), "other")
    assert (changed.prompt, changed.regions[0], changed.regions[1].low) == ("other", told.regions[0], "x")
    assert with_region(changed, told.regions[1], "two") == told
    with pytest.raises(ValidationError, match="leaves the 64x64 canvas"):
        with_region(told, Region(name="right", box=(0, 0, 99, 9), low="x"))


LEVELS = {"high": "a circle", "low": "red, striped"}


@pytest.mark.parametrize(
    ("prompt", "left", "new", "told"),
    [
        ("a red striped circle, at sea", LEVELS, {"low": "orange, dotted"}, "an orange dotted circle, at sea"),
        ("a red striped circle, at sea", LEVELS, {"low": "gold"}, "a gold circle, at sea"),
        ("a red striped circle", LEVELS, {"low": "gold, dotted, shiny"}, "a gold dotted shiny circle"),
        ("a red striped circle", LEVELS, {"high": "an old lighthouse"}, "a red striped old lighthouse"),
        ("a Circle, striped and red", LEVELS, {"high": "an egg"}, "an egg, striped and red"),
        ("a red striped circle", LEVELS, {"full": "a yellow moon"}, "a yellow moon"),
        ("see a red circle here", {"full": "a red circle"}, {"full": "an egg"}, "see an egg here"),
        ("a red circle at sea", {"full": "a red circle"}, {"high": "an egg", "low": "blue"}, "a blue egg at sea"),
        ("a redwood", LEVELS, {"low": "blue"}, "a redwood"),
        ("two objects", LEVELS, {"low": "blue"}, "two objects"),
        ("a blue circle", {"high": "a circle", "low": "blue"}, {"low": "red"}, "a red circle"),
        ("a man with a hat", {"full": "a boat with a sail"}, {"full": "a car"}, "a man with a hat"),
    ],
)
def test_the_base_prompt_says_the_new_words(prompt: str, left: Any, new: Any, told: str) -> None:
    before = plan(prompt, left)
    assert retold_prompt(before, with_region(before, changed_region(before, "left", new))) == told


def test_old_words_that_are_still_said() -> None:
    before = plan("a blue dotted circle", {"high": "a circle", "low": "blue, dotted"})
    after = with_region(before, changed_region(before, "left", {"low": "red, dotted"}))
    assert old_words(before, after, "left") == ["blue"]
    assert old_words(before, after.model_copy(update={"prompt": "two"}), "left") == []


def test_an_area_grows_by_so_many_pixels_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    for height, width, by in ((13, 17, 2), (4, 30, 5), (9, 9, 1), (3, 3, 8)):
        inside = rng.random((height, width)) > 0.95
        inside[0, 0] = True
        ys, xs = np.nonzero(inside)
        near = np.zeros_like(inside)
        for y in range(height):
            for x in range(width):
                near[y, x] = (np.maximum(abs(ys - y), abs(xs - x)) <= by).any()
        assert (grown(inside, by) == near).all()


@pytest.mark.parametrize("grid", ["nearest", "coverage"])
def test_a_moved_region_frees_both_its_places_whatever_overlaps_it(grid: Any) -> None:
    before = plan(right={"box": (8, 0, 64, 64), "high": "x"}, overlap="priority", grid=grid)
    after = with_region(before, changed_region(before, "left", {}, (32, 32, 50, 50)))
    pixels = repainted_area(before, after, ["left"])
    tokens = repainted_tokens(before, after, ["left"], 4, 4)
    ys, xs = np.mgrid[:64, :64]
    assert (pixels == ((xs < 32) | ((xs >= 32) & (xs < 50) & (ys >= 32) & (ys < 50)))).all()
    assert tokens.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert (repainted_tokens(after, before, ["left"], 4, 4) == tokens).all()
