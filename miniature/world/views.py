"""Views of fresh scenes with their truth: what the scorer is trained on, and how its accuracy is measured."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.plan import Box
from strata.miniature.world.scenes import Placed, Scene, halves, quarters, random_backdrop, random_scene
from strata.miniature.world.scorer import HEADS, IGNORED, NONE, OBJECT_HEADS, Scorer, view
from strata.miniature.world.tensors import to_tensor

VIEWED_CANVASES = ((64, 64),) * 5 + ((32, 64), (64, 32), (32, 32), (96, 64), (64, 96), (128, 64))
"""(width, height) in pixels of the scenes, squares of 64 more often."""


def _seen(placed: Placed, box: Box) -> float:
    """The share of an object's square that lies in a box."""
    r = placed.radius
    width = min(placed.cx + r, box[2]) - max(placed.cx - r, box[0])
    height = min(placed.cy + r, box[3]) - max(placed.cy - r, box[1])
    return max(width, 0) * max(height, 0) / (2 * r) ** 2


def view_labels(scene: Scene, box: Box | None) -> list[int]:
    """The truth of a view, one class per head.

    One object at least 88 % in view, of the others at most 35 %: that object. No object more than 55 % in view, or
    several whole ones: "none". In between objects have no label. Backgrounds have labels on whole canvases alone.
    """
    shares = sorted(((_seen(p, box) if box else 1.0, i) for i, p in enumerate(scene.things)), reverse=True)
    whole = [i for share, i in shares if share >= 0.88]
    most_of_rest = max((share for share, _ in shares[len(whole) :]), default=0.0)
    labels = [IGNORED] * len(HEADS)
    if len(whole) == 1 and most_of_rest <= 0.35:
        thing = scene.things[whole[0]].thing
        labels[:3] = [HEADS[name].index(str(getattr(thing, name))) for name in OBJECT_HEADS]
    elif len(whole) > 1 or most_of_rest <= 0.55:
        labels[0] = HEADS["shape"].index(NONE)
    if box is None:
        labels[3:] = [HEADS[name].index(str(getattr(scene.backdrop, name))) for name in ("pattern", "tone")]
    return labels


def _random_box(rng: random.Random, scene: Scene) -> Box:
    """A half, a quarter, or the surroundings of an object, moved by up to 3 pixels, at least 12 pixels a side."""
    width, height = scene.width, scene.height
    kind = rng.random()
    if kind < 0.35 and scene.things:
        p = rng.choice(scene.things)
        x1, y1 = (c - p.radius - rng.randint(0, 12) for c in (p.cx, p.cy))
        x2, y2 = (c + p.radius + rng.randint(0, 12) for c in (p.cx, p.cy))
    elif kind < 0.7 and min(width, height) >= 64:
        x1, y1, x2, y2 = rng.choice(quarters(width, height))[1]
    else:
        vertical = height > width or (height == width and rng.random() < 0.5)
        x1, y1, x2, y2 = rng.choice(halves(width, height, vertical))[1]
    dx, dy = rng.randint(-3, 3), rng.randint(-3, 3)
    x1, y1 = min(max(x1 + dx, 0), width - 12), min(max(y1 + dy, 0), height - 12)
    return x1, y1, max(min(x2 + dx, width), x1 + 12), max(min(y2 + dy, height), y1 + 12)


def _random_scene(rng: random.Random, width: int, height: int) -> Scene:
    """Any scene, held-out combinations included; one in fourteen is empty."""
    if rng.random() < 0.07:
        return Scene(width, height, (), random_backdrop(rng))
    shorter, longer = sorted((width, height))
    most = 4 if shorter >= 64 else 2 if longer >= 64 else 1
    things = rng.choice((1, 1, *range(1, most + 1)))
    return random_scene(rng, width, height, things, held_out=rng.random() < 0.1)


def _reconstruct(vae: Any, images: Tensor) -> Tensor:
    """Images [N, 3, H, W] as the autoencoder returns them."""
    with torch.no_grad():
        images = images.to(vae.device, memory_format=torch.channels_last)
        with torch.autocast(vae.device.type, torch.bfloat16):
            decoded: Tensor = vae.decode(vae.encode(images).latent_dist.mean).sample
        return decoded.float().clamp(-1, 1).cpu()


def random_views(rng: random.Random, scenes: int, crops: int, vae: Any = None) -> tuple[Tensor, Tensor]:
    """Views [N, 3, 64, 64] of fresh scenes of one canvas size and labels [N, heads]; N = scenes × (1 + crops)."""
    width, height = rng.choice(VIEWED_CANVASES)
    drawn = [_random_scene(rng, width, height) for _ in range(scenes)]
    images = to_tensor([scene.paint() for scene in drawn])
    if vae is not None:
        images = _reconstruct(vae, images)
    views, labels = [], []
    for image, scene in zip(images, drawn, strict=True):
        for box in (None, *(_random_box(rng, scene) for _ in range(crops))):
            views.append(view(image, box))
            labels.append(view_labels(scene, box))
    return torch.stack(views), torch.tensor(labels)


def accuracy(scorer: Scorer, vae: Any = None, views: int = 4000, seed: int = 99) -> dict[str, float]:
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
