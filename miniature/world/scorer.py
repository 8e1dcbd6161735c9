"""The scorer: a small CNN that looks at a picture, or a part of one, and classifies its object and background.

It judges what the miniature drew. Its truth is the renderer's, and its own accuracy on scenes it never saw, rendered
and passed through the autoencoder, stands beside its weights. `python -m strata.miniature.training.scorer` trains
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import dump_json, write_atomic
from strata.hierarchy.plan import Box
from strata.miniature.world.facts import (
    COLOURS,
    KINDS,
    PATTERNS,
    SETTINGS,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
)
from strata.miniature.world.render import BLOCK, Pixels
from strata.miniature.world.tensors import to_tensor

WEIGHTS = Path(__file__).resolve().parents[1] / "weights_scorer"
SIDE = 128
"""Every view is made square and brought to this many pixels a side."""
LATTICES = (BLOCK, BLOCK // 2)
"""Pixels between the edges of pixel art."""
NONE = "none"
"""What the scorer calls the kind of a view that does not hold one whole object: nothing, pieces, or several."""

HEADS: Mapping[str, tuple[str, ...]] = {
    "kind": (*KINDS, NONE),
    "colour": COLOURS,
    "surface": SURFACES,
    "style": STYLES,
    "pattern": (*PATTERNS, NONE),
    "tone": (*TONES, NONE),
    "setting": (*SETTINGS, NONE),
}
OBJECT_HEADS = ("kind", "colour", "surface", "style")
GROUND_HEADS = ("pattern", "tone", "setting")
ACCURACY = "accuracy_on_reconstructions"
IGNORED = -100
"""Label of a head that a view does not determine."""


@dataclass(frozen=True)
class Verdict:
    """What a view holds, by the scorer: the likeliest value of each attribute, and all their probabilities.

    `kind` is "none" where there is not exactly one whole object. `pattern`, `tone` and `setting` are of the whole
    canvas, None for a part of one; a canvas with a pattern in a tone has the setting "none", and the other way round.
    """

    kind: str
    colour: str
    surface: str
    style: str
    pattern: str | None
    tone: str | None
    setting: str | None
    probabilities: Mapping[str, Mapping[str, float]]

    def right(self, wanted: Thing | Backdrop) -> dict[str, bool]:
        """Whether the attributes that a text names are what was found; attributes it leaves out are not judged."""
        values = {name: getattr(wanted, name, None) for name in HEADS}
        return {name: getattr(self, name) == value for name, value in values.items() if value is not None}


def _block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU(True)
    )


class ScorerNet(nn.Module):
    """Six convolutions over 4×4 pixel patches, mean and maximum over the picture, one linear head per attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _block(48 + len(LATTICES), 64),
            _block(64, 96, 2),
            _block(96, 128),
            _block(128, 128, 2),
            _block(128, 192),
            _block(192, 192),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(384, len(values)) for name, values in HEADS.items()})

    def features(self, views: Tensor) -> Tensor:
        """What the heads see, [N, 384], of views [N, 5, 128, 128] (`view`): mean and maximum over the picture."""
        patches = nn.functional.pixel_unshuffle(views[:, :3], 4), nn.functional.avg_pool2d(views[:, 3:], 4)
        features = self.trunk(torch.cat(patches, dim=1))
        return torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)

    def forward(self, views: Tensor) -> dict[str, Tensor]:
        """Logits per attribute of views [N, 5, 128, 128] (`view`)."""
        pooled = self.features(views)
        return {name: head(pooled) for name, head in self.heads.items()}


def with_lattices(image: Tensor) -> Tensor:
    """An image [3, H, W] with two more channels: which share of the contrast nearby lies on the lattices of pixel art.

    Pixel art differs from a flat drawing in where its edges are, and few of them are in a view.
    """
    step = (
        nn.functional.pad(image.diff(dim=2).abs().mean(0), (1, 0)),
        nn.functional.pad(image.diff(dim=1).abs().mean(0), (0, 0, 1, 0)),
    )
    height, width = image.shape[1:]
    down, across = torch.arange(height), torch.arange(width)
    on = [step[0] * (across % n == 0) + step[1] * (down % n == 0)[:, None] for n in LATTICES]
    near = nn.functional.avg_pool2d(torch.stack([*on, step[0] + step[1]]), 13, 1, 6, count_include_pad=False)
    return torch.cat([image, near[:-1] / (near[-1:] + 0.02)])


def view(image: Tensor, box: Box | None = None) -> Tensor:
    """A crop of an image [C, H, W], made square by repeating its edges and resized: [C, 128, 128].

    Args:
        image: of `with_lattices`.
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
    """Classifies what pictures hold.

    Example:
        >>> Scorer.load().score(image, box=(0, 0, 64, 128)).right(Thing("boat", "red", "striped"))
        {'kind': True, 'colour': True, 'surface': False}
    """

    def __init__(self, net: ScorerNet, facts: Mapping[str, Any] | None = None) -> None:
        self.net = net.eval().requires_grad_(False)
        self.facts = dict(facts or {})

    @classmethod
    def load(cls, folder: Path = WEIGHTS) -> Self:
        """The scorer in a folder: the bundled one, if none is given.

        Raises:
            InputError: there is no scorer, a file of it is damaged, or it was saved by another version.
        """
        weights, facts = folder / "model.safetensors", folder / "model.json"
        if not (weights.is_file() and facts.is_file()):
            raise InputError(f"{folder}: holds no scorer (model.safetensors, model.json)")
        net = ScorerNet()
        try:
            net.load_state_dict(load_file(weights))
        except SafetensorError as error:
            raise InputError(f"{weights}: damaged: {error}") from error
        except RuntimeError as error:
            raise InputError(f"{weights}: the weights of another scorer than this version's") from error
        try:
            known = json.loads(facts.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{facts}: damaged: {error}") from error
        return cls(net, known)

    @property
    def accuracy(self) -> Mapping[str, float]:
        """Share of right answers by attribute, on scenes that it never saw as the autoencoder returns them.

        Raises:
            InputError: it was not measured.
        """
        found: Mapping[str, float] | None = self.facts.get(ACCURACY)
        if found is None:
            raise InputError(f"scorer: its model.json has no {ACCURACY}: training measures it at its end, with --vae")
        return found

    def save(self, folder: Path) -> None:
        """Half precision weights, and what is known of them as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {n: p.half() if p.is_floating_point() else p for n, p in self.net.state_dict().items()}
        save_file({n: p.contiguous() for n, p in state.items()}, folder / "model.safetensors")
        write_atomic(folder / "model.json", dump_json(self.facts))

    def score(self, image: Image.Image | Pixels, box: Box | None = None) -> Verdict:
        """What one picture holds, or the part of it in `box` (x1, y1, x2, y2 in pixels)."""
        return self.score_batch([image], [box])[0]

    def features(self, image: Image.Image | Pixels) -> NDArray[np.float32]:
        """What the heads see of a whole picture, `[384]`; distances of pictures are taken in it."""
        pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
        with torch.no_grad():
            found: NDArray[np.float32] = self.net.features(view(with_lattices(to_tensor([pixels])[0]))[None])[0].numpy()
        return found

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
            views.append(view(with_lattices(to_tensor([pixels])[0]), box))
        verdicts: list[Verdict] = []
        for start in range(0, len(views), 128):
            with torch.no_grad():
                logits = self.net(torch.stack(views[start : start + 128]))
            odds = {name: x.softmax(-1).tolist() for name, x in logits.items()}
            for row in range(len(odds["kind"])):
                asked = HEADS if boxes[start + row] is None else OBJECT_HEADS
                odds_of = {name: dict(zip(HEADS[name], odds[name][row], strict=True)) for name in asked}
                best: dict[str, Any] = dict.fromkeys(HEADS)
                best |= {name: max(values, key=values.__getitem__) for name, values in odds_of.items()}
                verdicts.append(Verdict(**best, probabilities=odds_of))
        return verdicts
