"""The scorer: a small CNN that looks at a picture, or a part of one, and tells what object and background it holds.

It judges what the miniature drew. Its truth is the renderer's, and its own accuracy on scenes it never saw, rendered
and passed through the autoencoder, stands beside its weights: `python -m strata.miniature.scorer --help` trains it.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from strata.hierarchy.errors import InputError
from strata.miniature.autoencoder import to_tensor
from strata.miniature.language import COLOURS, PATTERNS, SHAPES, SURFACES, TONES, Backdrop, Thing
from strata.miniature.render import Pixels
from strata.miniature.scenes import Box, Placed, Scene, halves, quarters, random_backdrop, random_scene

logger = logging.getLogger(__name__)

WEIGHTS = Path(__file__).resolve().parent / "weights_scorer"
SIDE = 64
"""Every view is made square and brought to this many pixels a side."""
NONE = "none"
"""What the scorer calls the shape of a view that does not hold one whole object: nothing, pieces, or several."""

HEADS: Mapping[str, tuple[str, ...]] = {
    "shape": (*SHAPES, NONE),
    "colour": COLOURS,
    "surface": SURFACES,
    "pattern": PATTERNS,
    "tone": TONES,
}
OBJECT_HEADS = ("shape", "colour", "surface")
IGNORED = -100
"""Label of a head that a view does not teach."""

CANVASES = ((64, 64),) * 5 + ((32, 64), (64, 32), (32, 32), (96, 64), (64, 96), (128, 64))
"""(width, height) in pixels of the scenes taught, squares of 64 more often."""


@dataclass(frozen=True)
class Verdict:
    """What a view holds, by the scorer: the likeliest value of each attribute, and all their probabilities.

    `shape` is "none" where there is not exactly one whole object. `pattern` and `tone` are of the whole canvas, None
    for a part of one.
    """

    shape: str
    colour: str
    surface: str
    pattern: str | None
    tone: str | None
    probabilities: Mapping[str, Mapping[str, float]]

    def right(self, told: Thing | Backdrop) -> dict[str, bool]:
        """Whether the attributes that a text told are what was found; attributes it left out are not asked."""
        values = {name: getattr(told, name, None) for name in HEADS}
        return {name: getattr(self, name) == value for name, value in values.items() if value is not None}


def _block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU(True)
    )


class ScorerNet(nn.Module):
    """Six convolutions over 2×2 pixel patches, mean and maximum over the picture, one linear head per attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.PixelUnshuffle(2),
            _block(12, 24),
            _block(24, 48, 2),
            _block(48, 64),
            _block(64, 96, 2),
            _block(96, 128),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(256, len(values)) for name, values in HEADS.items()})

    def forward(self, views: Tensor) -> dict[str, Tensor]:
        """Logits per attribute of views [N, 3, 64, 64] in [-1, 1]."""
        features = self.trunk(views)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        return {name: head(pooled) for name, head in self.heads.items()}


def view(image: Tensor, box: Box | None = None) -> Tensor:
    """A crop of an image [3, H, W], made square by repeating its edges and resized: [3, 64, 64].

    Args:
        image: values in [-1, 1].
        box: (x1, y1, x2, y2) in pixels; None for the whole.
    """
    x1, y1, x2, y2 = box or (0, 0, image.shape[2], image.shape[1])
    part = image[None, :, y1:y2, x1:x2]
    height, width = part.shape[2:]
    wide, tall = max(height - width, 0), max(width - height, 0)
    padding = (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)
    part = nn.functional.pad(part, padding, mode="replicate")
    if part.shape[2] != SIDE:
        size = (SIDE, SIDE)
        part = nn.functional.interpolate(part, size, mode="bilinear", align_corners=False, antialias=True)
    return part[0]


class Scorer:
    """Tells what pictures hold.

    Example:
        >>> Scorer.load().score(image, box=(0, 0, 32, 64)).right(Thing("circle", "red", "striped"))
        {'shape': True, 'colour': True, 'surface': False}
    """

    def __init__(self, net: ScorerNet, facts: Mapping[str, Any] | None = None) -> None:
        self.net = net.eval().requires_grad_(False)
        self.facts = dict(facts or {})

    @classmethod
    def load(cls, folder: Path = WEIGHTS) -> Self:
        """The scorer in a folder: the bundled one, if none is given.

        Raises:
            InputError: there is no scorer, or it was saved by another version.
        """
        weights = folder / "model.safetensors"
        if not weights.is_file():
            raise InputError(f"{folder}: holds no scorer (model.safetensors, model.json)")
        net = ScorerNet()
        try:
            net.load_state_dict(load_file(weights))
        except RuntimeError as error:
            raise InputError(f"{weights}: {error}") from error
        return cls(net, json.loads((folder / "model.json").read_text(encoding="utf-8")))

    def save(self, folder: Path) -> None:
        """Half precision weights, and what is known of them as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {n: p.half() if p.is_floating_point() else p for n, p in self.net.state_dict().items()}
        save_file({n: p.contiguous() for n, p in state.items()}, folder / "model.safetensors")
        text = json.dumps(self.facts, indent=1, ensure_ascii=False) + "\n"
        (folder / "model.json").write_text(text, encoding="utf-8")

    def score(self, image: Image.Image | Pixels, box: Box | None = None) -> Verdict:
        """What one picture holds, or the part of it in `box` (x1, y1, x2, y2 in pixels)."""
        return self.score_batch([image], [box])[0]

    def score_batch(
        self, images: Sequence[Image.Image | Pixels], boxes: Sequence[Box | None] | None = None
    ) -> list[Verdict]:
        """One verdict for each pair of image and box.

        Raises:
            InputError: a box is empty or leaves its image.
            ValueError: not as many boxes as images.
        """
        boxes = [None] * len(images) if boxes is None else boxes
        views = []
        for image, box in zip(images, boxes, strict=True):
            pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
            height, width = pixels.shape[:2]
            if box and not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
                raise InputError(f"box {list(box)}: must be [x1, y1, x2, y2] inside the image of {width}×{height}")
            views.append(view(to_tensor([pixels])[0], box))
        verdicts: list[Verdict] = []
        for start in range(0, len(views), 128):
            with torch.no_grad():
                logits = self.net(torch.stack(views[start : start + 128]))
            odds = {name: x.softmax(-1).tolist() for name, x in logits.items()}
            for row in range(len(odds["shape"])):
                asked = HEADS if boxes[start + row] is None else OBJECT_HEADS
                told = {name: dict(zip(HEADS[name], odds[name][row], strict=True)) for name in asked}
                best: dict[str, Any] = dict.fromkeys(HEADS)
                best |= {name: max(values, key=values.__getitem__) for name, values in told.items()}
                verdicts.append(Verdict(**best, probabilities=told))
        return verdicts


# --- teaching --------------------------------------------------------------------------------------------------


def _seen(placed: Placed, box: Box) -> float:
    """The share of an object's square that lies in a box."""
    r = placed.radius
    width = min(placed.cx + r, box[2]) - max(placed.cx - r, box[0])
    height = min(placed.cy + r, box[3]) - max(placed.cy - r, box[1])
    return max(width, 0) * max(height, 0) / (2 * r) ** 2


def view_labels(scene: Scene, box: Box | None) -> list[int]:
    """The truth of a view, one class per head.

    One object at least 88 % in view, of the others at most 35 %: that object. No object more than 55 % in view, or
    several whole ones: "none". In between nothing is taught of objects. Backgrounds are taught on whole canvases.
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
        images = images.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            decoded: Tensor = vae.decode(vae.encode(images).latent_dist.mean).sample
        return decoded.float().clamp(-1, 1)


def _views(rng: random.Random, scenes: int, crops: int, vae: Any = None) -> tuple[Tensor, Tensor]:
    """Views [N, 3, 64, 64] of fresh scenes of one canvas size and labels [N, heads]; N = scenes × (1 + crops)."""
    width, height = rng.choice(CANVASES)
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


def _augment(views: Tensor) -> Tensor:
    """Slight noise, blur and colour changes, of another strength for each view."""
    n = len(views)
    blurred = nn.functional.avg_pool2d(nn.functional.pad(views, (1, 1, 1, 1), mode="replicate"), 3, 1)
    views = views.lerp(blurred, torch.rand(n, 1, 1, 1).square() * 0.8)
    views = views * (1 + 0.06 * torch.randn(n, 1, 1, 1)) + 0.05 * torch.randn(n, 3, 1, 1)
    return (views + 0.08 * torch.rand(n, 1, 1, 1).square() * torch.randn_like(views)).clamp(-1, 1)


def _loss(logits: dict[str, Tensor], labels: Tensor) -> Tensor:
    total = torch.zeros(())
    for column, x in enumerate(logits.values()):
        taught = labels[:, column] != IGNORED
        if taught.any():
            total = total + nn.functional.cross_entropy(x[taught], labels[taught, column])
    return total


def accuracy(scorer: Scorer, vae: Any = None, views: int = 4000, seed: int = 99) -> dict[str, float]:
    """The share of fresh views told right, per attribute; with `vae`, of views of its reconstructions."""
    rng = random.Random(seed)
    hits, asked = torch.zeros(len(HEADS)), torch.zeros(len(HEADS))
    for _ in range(max(1, views // 64)):
        seen, labels = _views(rng, 16, 3, vae)
        with torch.no_grad():
            told = torch.stack([x.argmax(-1) for x in scorer.net(seen).values()], dim=1)
        hits += ((told == labels) & (labels != IGNORED)).sum(0)
        asked += (labels != IGNORED).sum(0)
    return {name: round(float(h / a), 4) for name, h, a in zip(HEADS, hits, asked, strict=True)}


def teach_scorer(
    seconds: float, seed: int = 0, vae: Any = None, lr: float = 3e-3, start_from: Scorer | None = None
) -> Scorer:
    """Train a scorer on scenes rendered on the fly, a third of the batches seen through `vae` (if one is given)."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    net = start_from.net.requires_grad_(True) if start_from else ScorerNet()
    net = net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.02)
    start, step, seen = time.monotonic(), 0, 0
    while (spent := time.monotonic() - start) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 50) * max(0.01, 1 - spent / seconds)
        views, labels = _views(rng, 24, 3, vae if step % 3 == 2 else None)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(_augment(views).to(memory_format=torch.channels_last))
        loss = _loss({name: x.float() for name, x in logits.items()}, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += len(views)
        if step % 100 == 0:
            logger.info("scorer %4.0f s step %d loss %.4f", spent, step, float(loss.detach()))
        step += 1
    before = start_from.facts.get("taught", []) if start_from else []
    facts = {"taught": [*before, {"views": seen, "steps": step, "seconds": round(seconds), "seed": seed, "lr": lr}]}
    return Scorer(net.to(memory_format=torch.contiguous_format), facts)


def main(argv: list[str] | None = None) -> None:
    """Train the scorer and state its accuracy."""
    from diffusers import AutoencoderKL

    parser = argparse.ArgumentParser(description="Train the scorer of the miniature.")
    parser.add_argument("--vae", type=Path, help="folder of the autoencoder whose reconstructions are judged too")
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--go-on", action="store_true", help="start from the scorer in OUT, with another seed")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    vae = AutoencoderKL.from_pretrained(args.vae).eval().requires_grad_(False) if args.vae else None
    scorer = teach_scorer(args.seconds, args.seed, vae, args.lr, Scorer.load(args.out) if args.go_on else None)
    scorer.save(args.out)  # in half precision, as which it is then measured
    scorer = Scorer.load(args.out)
    scorer.facts["parameters"] = sum(p.numel() for p in scorer.net.parameters())
    scorer.facts["accuracy_on_renders"] = accuracy(scorer)
    if vae is not None:
        scorer.facts["accuracy_on_reconstructions"] = accuracy(scorer, vae)
    scorer.save(args.out)
    logger.info("scorer: %s", json.dumps(scorer.facts))


if __name__ == "__main__":
    main()
