import math
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from strata.hierarchy.errors import InputError
from strata.miniature.training.scorer import train_scorer
from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.render import Pixels, paint_backdrop, paint_thing, to_pixels
from strata.miniature.world.scenes import Placed, Scene, halves, quarters, random_scene
from strata.miniature.world.scorer import HEADS, IGNORED, SIDE, WEIGHTS, Scorer, view, with_lattices
from strata.miniature.world.tensors import to_tensor
from strata.miniature.world.views import accuracy, view_labels


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load()


def test_bundled_scorer_is_small_and_says_how_good_it_is(scorer: Scorer) -> None:
    assert sum(p.numel() for p in scorer.net.parameters()) <= 920_000
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= 2_000_000
    for name, least in (("accuracy_on_renders", 0.97), ("accuracy_on_reconstructions", 0.95)):
        assert set(scorer.facts[name]) == set(HEADS)
        assert min(scorer.facts[name].values()) >= least


@pytest.mark.slow
def test_it_is_right_on_fresh_renders(scorer: Scorer) -> None:
    rng = random.Random(12_345)
    right: dict[str, list[bool]] = {name: [] for name in HEADS}
    for i in range(80):
        scene = random_scene(rng, 128, 128, 1, held_out=bool(i % 2))
        verdict = scorer.score(scene.paint())
        for name, ok in (verdict.right(scene.things[0].thing) | verdict.right(scene.backdrop)).items():
            right[name].append(ok)
    while len(right["kind"]) < 160:
        scene = random_scene(rng, 128, 128, rng.choice((2, 4)), held_out=True)
        if scene.layout not in ("halves", "quarters"):
            continue
        vertical = scene.things[0].place == "top"
        areas = dict(halves(128, 128, vertical) if scene.layout == "halves" else quarters(128, 128))
        for placed in scene.things[:2]:
            verdict = scorer.score(Image.fromarray(scene.paint()), areas[placed.place])
            for name, ok in verdict.right(placed.thing).items():
                right[name].append(ok)
    for name, oks in right.items():
        told = scorer.facts["accuracy_on_renders"][name]
        chance = 3 * math.sqrt(told * (1 - told) / len(oks))
        assert sum(oks) / len(oks) >= told - chance, f"{name}: not as good as it says"


def test_batches_agree_with_single_scores(scorer: Scorer) -> None:
    rng = random.Random(1)
    pictures = [random_scene(rng, 128, 128, 2).paint() for _ in range(6)]
    boxes = [None, (0, 0, 64, 128), (64, 0, 128, 128), None, (0, 64, 128, 128), (10, 12, 80, 60)]
    together = scorer.score_batch(pictures, boxes)
    for picture, box, verdict in zip(pictures, boxes, together, strict=True):
        alone = scorer.score(picture, box)
        assert (alone.kind, alone.tone) == (verdict.kind, verdict.tone)
        for name, odds in verdict.probabilities.items():
            assert odds == pytest.approx(alone.probabilities[name], abs=1e-4)
            assert sum(odds.values()) == pytest.approx(1, abs=1e-4)
        assert (verdict.pattern is None) == (verdict.setting is None) == (box is not None)
    assert scorer.score_batch([]) == []


def painted(*placed: tuple[Thing, int, int, int], backdrop: Backdrop | None = None) -> Pixels:
    canvas = paint_backdrop(128, 128, backdrop or Backdrop("plain", "grey"))
    for thing, cx, cy, radius in placed:
        paint_thing(canvas, thing, cx, cy, radius)
    return to_pixels(canvas)


def test_only_what_was_told_is_asked(scorer: Scorer) -> None:
    star = Thing("star", "yellow", "solid", "flat")
    verdict = scorer.score(painted((star, 64, 64, 44), backdrop=Backdrop("striped", "black")))
    assert verdict.right(Thing("star")) == {"kind": True}
    assert verdict.right(Thing("star", "red", "solid")) == {"kind": True, "colour": False, "surface": True}
    assert verdict.right(Thing("star", style="flat", size="large")) == {"kind": True, "style": True}
    assert verdict.right(Backdrop("striped", "black")) == {"pattern": True, "tone": True}
    assert verdict.right(Backdrop(setting="sea")) == {"setting": False}


def test_nothing_pieces_and_several_are_no_object(scorer: Scorer) -> None:
    assert scorer.score(painted()).kind == "none"
    circle = Thing("circle", "red", "solid", "flat")
    several = painted(*((circle, cx, 64, 26) for cx in (32, 96)))
    assert scorer.score(several).kind == "none"
    assert scorer.score(several, (0, 0, 64, 128)).kind == "circle"
    cut = painted((Thing("heart", "blue", "dotted", "flat"), 64, 64, 40))
    assert scorer.score(cut, (0, 0, 64, 128)).kind == "none"
    assert scorer.score(cut).kind == "heart"


@pytest.mark.parametrize("box", [(0, 0, 129, 128), (-1, 0, 5, 5), (10, 0, 10, 5), (9, 0, 5, 5)])
def test_boxes_outside_the_image_are_refused(scorer: Scorer, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match=r"inside the image of 128×128"):
        scorer.score(np.zeros((128, 128, 3), np.uint8), box)


@pytest.mark.parametrize(("width", "height"), [(128, 128), (64, 128), (192, 128), (17, 5), (300, 192)])
def test_views_are_square_and_keep_proportions(width: int, height: int) -> None:
    image = to_tensor([np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)])[0]
    seen = view(image)
    assert seen.shape == (3, SIDE, SIDE)
    if width == height:
        assert torch.equal(seen, image)
    if (width, height) == (64, 128):
        assert torch.equal(seen[:, :, 32:96], image)
        assert torch.equal(seen[:, :, 0], image[:, :, 0])


@pytest.mark.parametrize(("radius", "lattice"), [(44, 0), (16, 1)])
def test_lattices_tell_pixel_art(radius: int, lattice: int) -> None:
    """All edges of pixel art are on one, a quarter or half of a drawing's are; where nothing is drawn, none."""
    flat, pixel = (
        with_lattices(to_tensor([painted((Thing("heart", "red", "solid", style), 64, 64, radius))])[0])
        for style in ("flat", "pixel")
    )
    assert flat.shape == (5, 128, 128)
    assert torch.equal(flat[:3], to_tensor([painted((Thing("heart", "red", "solid", "flat"), 64, 64, radius))])[0])
    edges = pixel[3 + lattice] > 0.5
    assert edges.sum() > 300, "the outline of the heart"
    moved = with_lattices(pixel[:3].roll(1, 2).roll(1, 1))  # the lattice is the canvas's
    on, off, beside = (float(x[3 + lattice][edges].mean()) for x in (pixel, flat, moved))
    assert on > 0.7
    assert off < on - 0.25
    assert beside < 0.05
    assert flat[3:, :8].abs().max() < 0.01


def test_labels_of_views() -> None:
    thing = Thing("ring", "cyan", "dotted", "pencil")
    scene = Scene(128, 128, (Placed(thing, 64, 64, 32, "center"),), Backdrop("plain", "white"), "pencil")
    ring = [HEADS[name].index(str(getattr(thing, name))) for name in ("kind", "colour", "surface", "style")]
    none = HEADS["setting"].index("none")
    assert view_labels(scene, None) == [*ring, 0, 0, none]
    assert view_labels(scene, (32, 32, 96, 96)) == [*ring, IGNORED, IGNORED, IGNORED]
    assert view_labels(scene, (0, 0, 64, 128))[0] == HEADS["kind"].index("none")
    assert view_labels(scene, (0, 0, 80, 128)) == [IGNORED] * 7, "three quarters of it is neither"
    far = Scene(256, 256, (Placed(thing, 64, 64, 16, "center"),), Backdrop("plain", "white"), "pencil")
    assert view_labels(far, None)[:3] == [IGNORED] * 3, "16 pixels of the view"
    assert view_labels(far, (32, 32, 96, 96))[:4] == ring
    sea = Scene(128, 128, scene.things, Backdrop(setting="sea"), "pencil")
    grounds = [HEADS[name].index(value) for name, value in (("pattern", "none"), ("tone", "none"), ("setting", "sea"))]
    assert view_labels(sea, None) == [*ring, *grounds]


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


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", None, "holds no scorer"),
        ("model.json", None, "holds no scorer"),
        ("model.safetensors", b"", "model.safetensors: damaged"),
        ("model.json", b'{"taught": [', "model.json: damaged"),
        ("model.json", b'{"taught": []}', "model.json has no accuracy_on_reconstructions"),
    ],
)
def test_damaged_and_half_made_ones_are_refused(name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    for file in WEIGHTS.iterdir():
        shutil.copy(file, tmp_path)
    assert Scorer.load(tmp_path).accuracy["kind"] > 0.9
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        _ = Scorer.load(tmp_path).accuracy
