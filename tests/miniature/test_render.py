from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import strata.configs
from strata.hierarchy.areas import pixel_mask
from strata.hierarchy.plan import Region, ScenePlan, Texts
from strata.miniature.world.facts import KINDS, STYLES, SURFACES, TONES, Backdrop, Thing
from strata.miniature.world.render import PERIOD, RGB, TONE, Image, paint_backdrop, paint_thing, to_pixels
from strata.miniature.world.scenes import place_in_box
from strata.miniature.world.truth import plan_backdrop, plan_style, region_thing, render

PLANS = sorted((Path(strata.configs.__path__[0]) / "plans").glob("*.yaml"))


def drawn(thing: Thing) -> Image:
    canvas = paint_backdrop(128, 128, Backdrop("plain", "white"))
    paint_thing(canvas, thing, 64, 64, 44)
    return canvas


@pytest.mark.parametrize("tone", TONES)
def test_backdrop_patterns(tone: str) -> None:
    def painted(pattern: str) -> Image:
        canvas = paint_backdrop(128, 96, Backdrop(pattern, tone))
        assert canvas.shape == (96, 128, 3)
        assert np.ptp(canvas, axis=2).max() < 0.04, "grey"
        return canvas

    assert (painted("plain") == TONE[tone]).all()
    down = np.diff(painted("gradient").mean(-1), axis=0)
    assert (np.sign(down.sum(0)) == (1 if tone == "black" else -1)).all()
    striped, checkered = (painted(pattern)[..., 0] for pattern in ("striped", "checkered"))
    assert (striped == striped[:, :1]).all()
    assert (striped[PERIOD:] != striped[:-PERIOD]).all()
    assert (checkered[PERIOD:] != checkered[:-PERIOD]).all()
    assert (checkered[:, PERIOD:] != checkered[:, :-PERIOD]).all()


def test_objects_are_clipped_at_the_canvas() -> None:
    for style in STYLES:
        canvas = paint_backdrop(64, 64, Backdrop("plain", "white"), style)
        paint_thing(canvas, Thing("square", "blue", "solid", style), 0, 0, 20)
        if style == "flat":
            assert to_pixels(canvas)[0, 0].tolist() == to_pixels(RGB["blue"]).tolist()
        before = canvas.copy()
        paint_thing(canvas, Thing("square", "red", "solid", style), -80, 180, 20)
        assert (canvas == before).all()


def test_painting_is_deterministic() -> None:
    for kind in KINDS:
        for surface, style in zip((*SURFACES, "solid"), STYLES, strict=True):
            thing = Thing(kind, "purple", surface, style)
            assert (drawn(thing) == drawn(thing)).all()


def test_fit_stays_inside() -> None:
    for box in [(0, 0, 64, 128), (64, 0, 128, 64), (16, 0, 112, 65), (10, 14, 58, 62)]:
        cx, cy, radius = place_in_box(*box)
        assert cx % 8 == cy % 8 == 0
        assert box[0] <= cx - radius
        assert cx + radius <= box[2]
        assert box[1] <= cy - radius
        assert cy + radius <= box[3]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_example_plans_are_drawn_as_they_say(path: Path) -> None:
    plan = ScenePlan.load(path)
    picture = np.asarray(render(plan))
    assert picture.shape == (plan.height, plan.width, 3)
    assert plan_backdrop(plan).setting is not None
    masks = [pixel_mask(region, plan.width, plan.height, plan.root) for region in plan.regions]
    flat = np.asarray(render(_flat(plan)))
    for region, mask in zip(plan.regions, masks, strict=True):
        thing = region_thing(region)
        assert thing == replace(thing, style=plan_style(plan), size=None)
        assert None not in thing.combination
        near = np.abs(flat / 255 - RGB[str(thing.colour)]).max(-1) <= 2 / 255
        assert near[mask].mean() > 0.05, f"{region.name} has its colour"
    bare = np.asarray(render(plan.model_copy(update={"regions": ()})))
    outside = ~np.logical_or.reduce(masks)
    assert (flat[outside] == bare[outside]).mean() > 0.9
    assert (picture == np.asarray(render(plan))).all()


def _flat(plan: ScenePlan) -> ScenePlan:
    """The plan with flat objects, whose colours can be told exactly and that neither glow nor cast a shadow."""
    style = plan_style(plan)
    regions = []
    for region in plan.regions:
        words = {"papercut": "paper cut-out"}.get(style, style)
        assert region.low is not None
        regions.append(region.model_copy(update={"low": region.low.replace(words, "flat")}))
    return plan.model_copy(update={"regions": tuple(regions)})


def test_levels_together_say_what_a_full_text_says() -> None:
    split = Region(name="a", box=(0, 0, 64, 64), high="a circle", low="red, striped, neon")
    full = Region(name="a", box=(0, 0, 64, 64), full="a red striped circle in neon")
    assert region_thing(split) == region_thing(full) == Thing("circle", "red", "striped", "neon")
    ground = Texts(high="checkered background", low="black")
    prompt = "a circle, plain white background"
    plan = ScenePlan(width=128, height=128, prompt=prompt, regions=(full,), background=ground)
    assert plan_backdrop(plan) == Backdrop("checkered", "black")
    sea = plan.model_copy(update={"background": Texts(high="sea background", low="pencil")})
    assert plan_backdrop(sea) == Backdrop(setting="sea")
