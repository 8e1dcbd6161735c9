"""Views of fresh scenes with their truth: what the scorer is trained on, and how its accuracy is measured."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.plan import Box
from strata.miniature.world.scenes import Placed, Scene, grid, halves, random_scene
from strata.miniature.world.scorer import (
    GROUND_HEADS,
    HEADS,
    IGNORED,
    NONE,
    OBJECT_HEADS,
    SIDE,
    Scorer,
    view,
    with_lattices,
)
from strata.miniature.world.tensors import to_tensor

VIEWED_CANVASES = ((128, 128),) * 5 + ((64, 128), (128, 64), (64, 64), (192, 128), (128, 192), (256, 128), (256, 256))
"""(width, height) in pixels of the scenes, squares of 128 more often."""
Size = tuple[int, int]
LEAST_SEEN = 28
"""Pixels of a view."""


def _seen(placed: Placed, box: Box) -> float:
    """The share of an object's square that lies in a box."""
    r = placed.radius
    width = min(placed.cx + r, box[2]) - max(placed.cx - r, box[0])
    height = min(placed.cy + r, box[3]) - max(placed.cy - r, box[1])
    return max(width, 0) * max(height, 0) / (2 * r) ** 2


def view_labels(scene: Scene, box: Box | None) -> list[int]:
    """The truth of a view, one class per head.

    One object at least 88 % in view, of the others at most 35 %: that object. No object more than 55 % in view, or
    several whole ones: "none". In between, and where the object has less than `LEAST_SEEN` pixels of the view, objects
    have no label. Backgrounds have labels on whole canvases alone.
    """
    shares = sorted(((_seen(p, box) if box else 1.0, i) for i, p in enumerate(scene.things)), reverse=True)
    whole = [i for share, i in shares if share >= 0.88]
    most_of_rest = max((share for share, _ in shares[len(whole) :]), default=0.0)
    labels = [IGNORED] * len(HEADS)
    if len(whole) == 1 and most_of_rest <= 0.35:
        placed = scene.things[whole[0]]
        x1, y1, x2, y2 = box or (0, 0, scene.width, scene.height)
        if 2 * placed.radius * SIDE >= LEAST_SEEN * max(x2 - x1, y2 - y1):
            labels[:4] = [HEADS[name].index(str(getattr(placed.thing, name))) for name in OBJECT_HEADS]
    elif len(whole) > 1 or most_of_rest <= 0.55:
        labels[0] = HEADS["kind"].index(NONE)
    if box is None:
        styles = {p.thing.style for p in scene.things}
        if len(styles) == 1:
            labels[3] = HEADS["style"].index(str(styles.pop()))
        labels[4:] = [HEADS[name].index(str(getattr(scene.backdrop, name) or NONE)) for name in GROUND_HEADS]
    return labels


def _random_box(rng: random.Random, scene: Scene) -> Box:
    """A half, a cell of a grid, or what surrounds an object, moved by up to 6 pixels; at least 24 pixels a side."""
    width, height = scene.width, scene.height
    kind = rng.random()
    if kind < 0.5 and scene.things:
        p = rng.choice(scene.things)
        room = max(4, p.radius)
        x1, y1 = (c - p.radius - rng.randint(0, room) for c in (p.cx, p.cy))
        x2, y2 = (c + p.radius + rng.randint(0, room) for c in (p.cx, p.cy))
    elif kind < 0.8 and min(width, height) >= 96:
        x1, y1, x2, y2 = rng.choice(grid(width, height, rng.choice((2, 3)), rng.choice((2, 3))))
    else:
        vertical = height > width or (height == width and rng.random() < 0.5)
        x1, y1, x2, y2 = rng.choice(halves(width, height, vertical))[1]
    dx, dy = rng.randint(-6, 6), rng.randint(-6, 6)
    x1, y1 = min(max(x1 + dx, 0), width - 24), min(max(y1 + dy, 0), height - 24)
    return x1, y1, max(min(x2 + dx, width), x1 + 24), max(min(y2 + dy, height), y1 + 24)


def _random_scene(rng: random.Random, width: int, height: int) -> Scene:
    """Any scene, held-out combinations included; one in fourteen is empty."""
    if rng.random() < 0.07:
        return random_scene(rng, width, height, 0)
    shorter, longer = sorted((width, height))
    most = 8 if shorter >= 128 else 2 if longer >= 128 else 1
    things = rng.choice((1, 1, 2, *range(1, most + 1)))
    return random_scene(rng, width, height, min(things, most), held_out=None)


def _reconstruct(vae: Any, images: Tensor) -> Tensor:
    """Images [N, 3, H, W] as the autoencoder returns them."""
    with torch.no_grad():
        images = images.to(vae.device)
        decoded: Tensor = vae.decode(vae.encode(images).latent_dist.mean).sample
        return decoded.float().clamp(-1, 1).cpu()


def _paint(rng: random.Random, scenes: int, size: Size, vae: Any) -> list[tuple[Scene, Tensor]]:
    drawn = [_random_scene(rng, *size) for _ in range(scenes)]
    images = to_tensor([scene.paint() for scene in drawn])
    if vae is not None:
        images = _reconstruct(vae, images)
    return [(scene, with_lattices(image)) for scene, image in zip(drawn, images, strict=True)]


def _look(rng: random.Random, painted: Sequence[tuple[Scene, Tensor]], crops: int) -> tuple[Tensor, Tensor]:
    views, labels = [], []
    for scene, image in painted:
        for box in (None, *(_random_box(rng, scene) for _ in range(crops))):
            views.append(view(image, box))
            labels.append(view_labels(scene, box))
    return torch.stack(views), torch.tensor(labels)


def random_views(rng: random.Random, scenes: int, crops: int, vae: Any = None) -> tuple[Tensor, Tensor]:
    """Views [N, 5, 128, 128] of fresh scenes of one canvas size and labels [N, heads]; N = scenes × (1 + crops)."""
    return _look(rng, _paint(rng, scenes, rng.choice(VIEWED_CANVASES), vae), crops)


class Stock:
    """Painted scenes, looked at several times before new ones take their place: painting costs more than learning.

    A scene is known by its seed: a checkpoint holds seeds, and what a resumed run looks at again it paints again.

    Args:
        vae: the scenes are kept as its reconstructions; None: as they were painted.
    """

    KEPT = 600
    """Of each canvas size."""

    def __init__(self, vae: Any = None) -> None:
        self.vae = vae
        self.kept: dict[Size, list[int]] = {size: [] for size in VIEWED_CANVASES}
        """Seeds, the oldest first."""
        self.painted: dict[Size, dict[int, tuple[Scene, Tensor]]] = {size: {} for size in VIEWED_CANVASES}

    def views(self, rng: random.Random, scenes: int, crops: int, fresh: int) -> tuple[Tensor, Tensor]:
        """As `random_views`, of scenes of which at least `fresh` were not seen before."""
        size = rng.choice(VIEWED_CANVASES)
        kept, painted = self.kept[size], self.painted[size]
        new = [rng.getrandbits(62) for _ in range(max(fresh, scenes - len(kept)))]
        shown = [*new, *rng.sample(kept, scenes - len(new))]
        for seed in shown:
            if seed not in painted:  # one by one: in batches, rounding would depend on what else is there
                painted[seed] = _paint(random.Random(seed), 1, size, self.vae)[0]
        seen = _look(rng, [painted[seed] for seed in shown], crops)
        kept += new
        if len(kept) > self.KEPT:
            for seed in kept[: len(new)]:
                painted.pop(seed, None)
            kept[: len(new)] = []
        return seen

    def state_dict(self) -> dict[str, Any]:
        """The seeds of what is kept."""
        return {"kept": {size: list(seeds) for size, seeds in self.kept.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep these scenes, to be painted when they are looked at."""
        self.kept = {size: list(seeds) for size, seeds in state["kept"].items()}
        self.painted = {size: {} for size in self.kept}


def accuracy(scorer: Scorer, vae: Any = None, views: int = 6000, seed: int = 99) -> dict[str, float]:
    """The share of fresh views judged right, per attribute; with `vae`, of views of its reconstructions."""
    rng = random.Random(seed)
    hits, asked = torch.zeros(len(HEADS)), torch.zeros(len(HEADS))
    for _ in range(max(1, views // 64)):
        seen, labels = random_views(rng, 16, 3, vae)
        with torch.no_grad():
            found = torch.stack([x.argmax(-1) for x in scorer.net(seen).values()], dim=1)
        hits += ((found == labels) & (labels != IGNORED)).sum(0)
        asked += (labels != IGNORED).sum(0)
    return {name: round(float(h / a), 4) for name, h, a in zip(HEADS, hits, asked, strict=True)}
