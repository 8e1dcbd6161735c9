"""LoRA files of random weights for tiny transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Weights = dict[str, tuple[Tensor, Tensor]]
"""By layer, A `[r, in]` and B `[out, r]`."""


def token_wise(name: str) -> bool:
    """Whether a layer of FLUX.1, Chroma or FLUX.2 stands in a block and sees token by token."""
    return "transformer_blocks." in name and "norm" not in name


def make_weights(
    transformer: Any, seed: int = 0, rank: int = 2, layers: Callable[[str], bool] = token_wise, size: float = 0.3
) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, module in transformer.named_modules():
        if isinstance(module, nn.Linear) and layers(name):
            down = torch.randn(rank, module.in_features, generator=generator) * size
            found[name] = down, torch.randn(module.out_features, rank, generator=generator) * size
    assert found
    return found


def save_weights(path: Path, weights: Weights, prefix: str = "transformer.", more: Any = None) -> Path:
    state = dict(more or {})
    for name, (down, up) in weights.items():
        state |= {f"{prefix}{name}.lora_A.weight": down, f"{prefix}{name}.lora_B.weight": up}
    save_file(state, path)
    return path
