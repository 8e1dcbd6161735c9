"""Rendered scenes as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from strata.miniature.world.render import Pixels


def to_tensor(images: Sequence[Pixels]) -> Tensor:
    """RGB uint8 [H, W, 3] images → float [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
