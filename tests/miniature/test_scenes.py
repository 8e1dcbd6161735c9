import random

import numpy as np
import pytest

from strata.hierarchy.plan import Box
from strata.miniature.world.facts import HELD_OUT, TONES, is_held_out
from strata.miniature.world.labels import TAGS, TOKEN, token_labels
from strata.miniature.world.scenes import Scene, grid, halves, nine, quarters, random_scene

CANVASES = [(128, 128), (64, 128), (128, 64), (64, 64), (192, 128), (256, 128)]


def scenes(held_out: bool = False, each: int = 300) -> list[Scene]:
    rng = random.Random(0)
    made = []
    for width, height in CANVASES:
        most = 8 if min(width, height) >= 128 else 2 if max(width, height) >= 128 else 1
        made += [random_scene(rng, width, height, rng.randint(1, most), held_out) for _ in range(each)]
    return made


@pytest.mark.parametrize("held_out", [False, True], ids=["training", "held out"])
def test_held_out_combinations_are_kept_apart(held_out: bool) -> None:
    things = {placed.thing for scene in scenes(held_out, 600) for placed in scene.things}
    assert {is_held_out(thing) for thing in things} == {held_out}
    drawn = {thing.combination for thing in things}
    assert drawn >= HELD_OUT if held_out else len(drawn) == 17 * 8 * 5 - 68


def test_objects_lie_on_the_canvas_apart_from_each_other_and_on_the_8_pixel_grid() -> None:
    for scene in scenes():
        for placed in scene.things:
            assert placed.radius <= placed.cx <= scene.width - placed.radius
            assert placed.radius <= placed.cy <= scene.height - placed.radius
        if scene.layout == "overlap":
            continue
        for placed in scene.things:
            assert placed.cx % 8 == placed.cy % 8 == 0
        for i, a in enumerate(scene.things):
            for b in scene.things[:i]:
                assert max(abs(a.cx - b.cx), abs(a.cy - b.cy)) >= a.radius + b.radius


def test_places_are_where_the_objects_are() -> None:
    for scene in scenes():
        for placed in scene.things:
            assert ("left" in placed.place) <= (placed.cx < scene.width / 2)
            assert ("right" in placed.place) <= (placed.cx > scene.width / 2)
            assert ("top" in placed.place) <= (placed.cy < scene.height / 2)
            assert ("bottom" in placed.place) <= (placed.cy > scene.height / 2)


@pytest.mark.parametrize(("width", "height"), CANVASES)
def test_halves_quarters_and_grids_cover_the_canvas_once(width: int, height: int) -> None:
    placed = (halves(width, height, False), halves(width, height, True), quarters(width, height), nine(width, height))
    areas: list[list[Box]] = [[box for _, box in boxes] for boxes in placed]
    for boxes in (*areas, grid(width, height, 4, 2)):
        covered = np.zeros((height, width), int)
        for x1, y1, x2, y2 in boxes:
            covered[y1:y2, x1:x2] += 1
        assert (covered == 1).all()


def test_painting_and_labels() -> None:
    for scene in scenes()[::40]:
        picture = scene.paint()
        assert picture.shape == (scene.height, scene.width, 3)
        assert picture.dtype == np.uint8
        labels = token_labels(scene)
        assert labels.shape == (scene.height // TOKEN, scene.width // TOKEN, len(TAGS))
        for placed in scene.things if scene.layout != "overlap" else ():
            r = placed.radius
            around = labels[
                max(placed.cy - r, 0) // TOKEN : -(-(placed.cy + r) // TOKEN),
                max(placed.cx - r, 0) // TOKEN : -(-(placed.cx + r) // TOKEN),
            ]
            own = [1 + values.index(str(getattr(placed.thing, name))) for name, values in TAGS]
            assert (around == own).all(-1).any()


def test_same_seed_same_scenes() -> None:
    assert scenes(each=50) == scenes(each=50)


def test_a_background_is_a_setting_or_a_pattern_in_a_tone() -> None:
    for scene in scenes():
        ground = scene.backdrop
        assert (ground.setting is None) == (ground.pattern is not None) == (ground.tone in TONES)
