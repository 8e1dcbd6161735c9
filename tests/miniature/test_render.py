from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import strata.configs
from strata.hierarchy.areas import pixel_mask
from strata.hierarchy.plan import Region, ScenePlan, Texts
from strata.miniature.world.language import COLOURS, PATTERNS, SHAPES, SURFACES, TONES, Backdrop, Thing
from strata.miniature.world.render import PERIOD, RGB, TONE, Pixels, paint_backdrop, paint_thing, place_in_box
from strata.miniature.world.truth import plan_backdrop, region_thing, render

PLANS = sorted((Path(strata.configs.__path__[0]) / "plans").glob("*.yaml"))


def drawn(thing: Thing) -> Pixels:
    canvas = paint_backdrop(64, 64, Backdrop("plain", "white"))
    paint_thing(canvas, thing, 32, 32, 22)
    return canvas


def difference(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(float) - b).mean())


@pytest.mark.parametrize(("attribute", "values"), [("shape", SHAPES), ("colour", COLOURS), ("surface", SURFACES)])
def test_values_of_an_attribute_look_different(attribute: str, values: tuple[str, ...]) -> None:
    base = {"shape": "circle", "colour": "red", "surface": "solid"}
    pictures = [drawn(Thing(**{**base, attribute: value})) for value in values]
    assert min(difference(a, b) for a, b in combinations(pictures, 2)) > 3


def test_backdrops_look_different() -> None:
    pictures = [paint_backdrop(64, 64, Backdrop(p, t)) for p in PATTERNS for t in TONES]
    assert min(difference(a, b) for a, b in combinations(pictures, 2)) > 10


@pytest.mark.parametrize("tone", TONES)
def test_backdrop_patterns(tone: str) -> None:
    def grey(pattern: str) -> Pixels:
        canvas = paint_backdrop(64, 48, Backdrop(pattern, tone))
        assert canvas.shape == (48, 64, 3)
        assert (canvas == canvas[..., :1]).all()
        return canvas[..., 0]

    assert (grey("plain") == TONE[tone]).all()
    down = np.diff(grey("gradient").astype(int), axis=0)
    assert (np.sign(down.sum(0)) == (1 if TONE[tone] < 100 else -1)).all()
    striped, checkered = grey("striped"), grey("checkered")
    assert (striped == striped[:, :1]).all()
    assert (striped[PERIOD:] != striped[:-PERIOD]).all()
    assert (checkered[PERIOD:] != checkered[:-PERIOD]).all()
    assert (checkered[:, PERIOD:] != checkered[:, :-PERIOD]).all()


def test_objects_keep_inside_their_radius_and_the_canvas() -> None:
    for shape in SHAPES:
        canvas = drawn(Thing(shape, "red", "solid"))
        touched = np.argwhere((canvas != 245).any(-1))
        assert touched.min() >= 32 - 24
        assert touched.max() <= 32 + 24
    canvas = paint_backdrop(32, 32, Backdrop("plain", "white"))
    paint_thing(canvas, Thing("square", "blue", "solid"), 0, 0, 10)
    assert tuple(canvas[0, 0]) == RGB["blue"]
    before = canvas.copy()
    paint_thing(canvas, Thing("square", "red", "solid"), -40, 90, 10)
    assert (canvas == before).all()


def test_painting_is_deterministic() -> None:
    for shape in SHAPES:
        for surface in SURFACES:
            thing = Thing(shape, "purple", surface)
            assert (drawn(thing) == drawn(thing)).all()


def test_fit_stays_inside() -> None:
    for box in [(0, 0, 32, 64), (32, 0, 64, 32), (8, 0, 56, 33), (5, 7, 29, 31)]:
        cx, cy, radius = place_in_box(*box)
        assert cx % 4 == cy % 4 == 0
        assert box[0] <= cx - radius
        assert cx + radius <= box[2]
        assert box[1] <= cy - radius
        assert cy + radius <= box[3]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_example_plans_are_drawn_as_they_say(path: Path) -> None:
    plan = ScenePlan.load(path)
    picture = np.asarray(render(plan))
    assert picture.shape == (plan.height, plan.width, 3)
    backdrop = plan_backdrop(plan)
    assert backdrop.pattern == "plain"
    for region in plan.regions:
        mask = pixel_mask(region, plan.width, plan.height, plan.root)
        colour = np.array(RGB[str(region_thing(region).colour)])
        near = np.abs(picture.astype(int) - colour).max(-1) <= 2
        assert near[mask].mean() > 0.05, f"{region.name} has its colour"
        outside = picture[~np.logical_or.reduce([pixel_mask(r, 64, 64, plan.root) for r in plan.regions])]
        assert (outside == TONE[str(backdrop.tone)]).mean() > 0.9
    assert (picture == np.asarray(render(plan))).all()


def test_levels_together_say_what_a_full_text_says() -> None:
    split = Region(name="a", box=(0, 0, 32, 32), high="a circle", low="red, striped")
    full = Region(name="a", box=(0, 0, 32, 32), full="a red striped circle")
    assert region_thing(split) == region_thing(full) == Thing("circle", "red", "striped")
    ground = Texts(high="checkered background", low="black")
    plan = ScenePlan(width=64, height=64, prompt="a circle, plain white background", regions=(full,), background=ground)
    assert plan_backdrop(plan) == Backdrop("checkered", "black")
