import random

import numpy as np
import pytest

from strata.miniature.world.language import HELD_OUT, SHAPES, SURFACES
from strata.miniature.world.scenes import Scene, halves, quarters, random_scene, token_labels

CANVASES = [(64, 64), (32, 64), (64, 32), (32, 32), (96, 64), (128, 64)]


def scenes(held_out: bool = False) -> list[Scene]:
    rng = random.Random(0)
    made = []
    for width, height in CANVASES:
        most = 4 if min(width, height) >= 64 else 2 if max(width, height) >= 64 else 1
        made += [random_scene(rng, width, height, rng.randint(1, most), held_out) for _ in range(300)]
    return made


@pytest.mark.parametrize("held_out", [False, True], ids=["training", "held out"])
def test_held_out_combinations_are_kept_apart(held_out: bool) -> None:
    drawn = {placed.thing.combination for scene in scenes(held_out) for placed in scene.things}
    assert drawn <= HELD_OUT if held_out else not drawn & HELD_OUT
    assert len(drawn) == (28 if held_out else 252)


def test_objects_lie_on_the_canvas_apart_from_each_other_and_on_the_4_pixel_grid() -> None:
    for scene in scenes():
        for placed in scene.things:
            assert placed.radius <= placed.cx <= scene.width - placed.radius
            assert placed.radius <= placed.cy <= scene.height - placed.radius
            assert placed.cx % 4 == placed.cy % 4 == 0
        for i, a in enumerate(scene.things):
            for b in scene.things[:i]:
                assert max(abs(a.cx - b.cx), abs(a.cy - b.cy)) >= a.radius + b.radius


def test_sides_are_where_the_objects_are() -> None:
    for scene in scenes():
        for placed in scene.things:
            side = str(placed.thing.side)
            assert ("left" in side) <= (placed.cx < scene.width / 2)
            assert ("right" in side) <= (placed.cx > scene.width / 2)
            assert ("top" in side) <= (placed.cy < scene.height / 2)
            assert ("bottom" in side) <= (placed.cy > scene.height / 2)


@pytest.mark.parametrize(("width", "height"), CANVASES)
def test_halves_and_quarters_cover_the_canvas_once(width: int, height: int) -> None:
    for areas in (halves(width, height, False), halves(width, height, True), quarters(width, height)):
        covered = np.zeros((height, width), int)
        for _, (x1, y1, x2, y2) in areas:
            covered[y1:y2, x1:x2] += 1
        assert (covered == 1).all()


def test_painting_and_labels() -> None:
    for scene in scenes()[::40]:
        picture = scene.paint()
        assert picture.shape == (scene.height, scene.width, 3)
        assert picture.dtype == np.uint8
        labels = token_labels(scene)
        assert labels.shape == (scene.height // 8, scene.width // 8, 3)
        for placed in scene.things:
            row, col = min(placed.cy // 8, labels.shape[0] - 1), min(placed.cx // 8, labels.shape[1] - 1)
            assert labels[row, col, 0] == 1 + SHAPES.index(str(placed.thing.shape))
            assert labels[row, col, 2] == 1 + SURFACES.index(str(placed.thing.surface))


def test_same_seed_same_scenes() -> None:
    assert scenes() == scenes()
