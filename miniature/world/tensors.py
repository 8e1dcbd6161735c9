"""Rendered scenes as tensors."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from strata.miniature.world.render import Pixels
from strata.miniature.world.scenes import random_scene


def to_tensor(images: Sequence[Pixels]) -> Tensor:
    """RGB uint8 [H, W, 3] images → float [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def random_images(rng: random.Random, n: int, size: int = 64) -> Tensor:
    """`n` rendered scenes of one to four objects as float [n, 3, size, size] in [-1, 1]."""
    return to_tensor([random_scene(rng, size, size, rng.choice((1, 1, 2, 3, 4))).paint() for _ in range(n)])
