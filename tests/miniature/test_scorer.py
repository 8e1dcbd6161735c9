import random

import numpy as np
import pytest
import torch
from PIL import Image

from strata.hierarchy.errors import InputError
from strata.miniature.training.scorer import train_scorer
from strata.miniature.world.language import Backdrop, Thing
from strata.miniature.world.render import paint_backdrop, paint_thing
from strata.miniature.world.scenes import Placed, Scene, halves, quarters, random_scene
from strata.miniature.world.scorer import HEADS, IGNORED, SIDE, WEIGHTS, Scorer, view
from strata.miniature.world.tensors import to_tensor
from strata.miniature.world.views import accuracy, view_labels


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load()


def test_bundled_scorer_is_small_and_says_how_good_it_is(scorer: Scorer) -> None:
    assert sum(p.numel() for p in scorer.net.parameters()) <= 350_000
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= 1_000_000
    for name in ("accuracy_on_renders", "accuracy_on_reconstructions"):
        assert set(scorer.facts[name]) == set(HEADS)


def test_it_is_right_on_fresh_renders(scorer: Scorer) -> None:
    rng = random.Random(12_345)
    right: dict[str, list[bool]] = {name: [] for name in HEADS}
    for i in range(150):
        scene = random_scene(rng, 64, 64, 1, held_out=bool(i % 2))
        verdict = scorer.score(scene.paint())
        for name, ok in (verdict.right(scene.things[0].thing) | verdict.right(scene.backdrop)).items():
            right[name].append(ok)
    for _ in range(75):
        count = rng.choice((2, 4))
        scene = random_scene(rng, 64, 64, count, held_out=True)
        vertical = count == 2 and scene.things[0].thing.side == "top"
        areas = dict(halves(64, 64, vertical) if count == 2 else quarters(64, 64))
        for placed in scene.things[:2]:
            verdict = scorer.score(Image.fromarray(scene.paint()), areas[str(placed.thing.side)])
            for name, ok in verdict.right(placed.thing).items():
                right[name].append(ok)
    assert len(right["shape"]) == 300
    assert {name: sum(oks) / len(oks) >= 0.97 for name, oks in right.items()} == dict.fromkeys(HEADS, True)


def test_batches_agree_with_single_scores(scorer: Scorer) -> None:
    rng = random.Random(1)
    pictures = [random_scene(rng, 64, 64, 2).paint() for _ in range(6)]
    boxes = [None, (0, 0, 32, 64), (32, 0, 64, 64), None, (0, 32, 64, 64), (5, 6, 40, 30)]
    together = scorer.score_batch(pictures, boxes)
    for picture, box, verdict in zip(pictures, boxes, together, strict=True):
        alone = scorer.score(picture, box)
        assert (alone.shape, alone.tone) == (verdict.shape, verdict.tone)
        for name, odds in verdict.probabilities.items():
            assert odds == pytest.approx(alone.probabilities[name], abs=1e-4)
            assert sum(odds.values()) == pytest.approx(1, abs=1e-4)
        assert (verdict.pattern is None) == (box is not None)
    assert scorer.score_batch([]) == []


def test_only_what_was_told_is_asked(scorer: Scorer) -> None:
    canvas = paint_backdrop(64, 64, Backdrop("striped", "black"))
    paint_thing(canvas, Thing("star", "yellow", "solid"), 32, 32, 22)
    verdict = scorer.score(canvas)
    assert verdict.right(Thing("star")) == {"shape": True}
    assert verdict.right(Thing("star", "red", "solid")) == {"shape": True, "colour": False, "surface": True}
    assert verdict.right(Backdrop("striped", "black")) == {"pattern": True, "tone": True}


def test_nothing_pieces_and_several_are_no_object(scorer: Scorer) -> None:
    empty = paint_backdrop(64, 64, Backdrop("plain", "grey"))
    assert scorer.score(empty).shape == "none"
    several = empty.copy()
    for cx in (16, 48):
        paint_thing(several, Thing("circle", "red", "solid"), cx, 32, 13)
    assert scorer.score(several).shape == "none"
    assert scorer.score(several, (0, 0, 32, 64)).shape == "circle"
    cut = empty.copy()
    paint_thing(cut, Thing("heart", "blue", "dotted"), 32, 32, 20)
    assert scorer.score(cut, (0, 0, 32, 64)).shape == "none"
    assert scorer.score(cut).shape == "heart"


@pytest.mark.parametrize("box", [(0, 0, 65, 64), (-1, 0, 5, 5), (10, 0, 10, 5), (9, 0, 5, 5)])
def test_boxes_outside_the_image_are_refused(scorer: Scorer, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match=r"inside the image of 64×64"):
        scorer.score(np.zeros((64, 64, 3), np.uint8), box)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (32, 64), (96, 64), (17, 5), (200, 128)])
def test_views_are_square_and_keep_proportions(width: int, height: int) -> None:
    image = to_tensor([np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)])[0]
    seen = view(image)
    assert seen.shape == (3, SIDE, SIDE)
    if width == height == SIDE:
        assert torch.equal(seen, image)
    if (width, height) == (32, 64):
        assert torch.equal(seen[:, :, 16:48], image)
        assert torch.equal(seen[:, :, 0], image[:, :, 0])


def test_labels_of_views() -> None:
    thing = Thing("ring", "cyan", "dotted")
    scene = Scene(64, 64, (Placed(thing, 32, 32, 16),), Backdrop("plain", "white"))
    ring = [HEADS["shape"].index("ring"), HEADS["colour"].index("cyan"), HEADS["surface"].index("dotted")]
    assert view_labels(scene, None) == [*ring, 0, 0]
    assert view_labels(scene, (16, 16, 48, 48)) == [*ring, IGNORED, IGNORED]
    assert view_labels(scene, (0, 0, 32, 64))[0] == HEADS["shape"].index("none")
    assert view_labels(scene, (0, 0, 40, 64)) == [IGNORED] * 5, "three quarters of it is neither"


def test_teaching_saving_and_loading(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("scorer")
    taught = train_scorer(folder / "run", seconds=1.0, seed=3)
    assert taught.facts["taught"][0]["views"] > 0
    taught.save(folder)
    loaded = Scorer.load(folder)
    assert loaded.facts == taught.facts
    assert set(accuracy(loaded, views=64)) == set(HEADS)
    with pytest.raises(InputError, match="holds no scorer"):
        Scorer.load(folder / "nothing")
