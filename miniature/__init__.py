"""The miniature: a small FLUX, trained from scratch by this project on drawn scenes, bundled in the stock format.

`load()` is the stock `FluxPipeline`; `language.py` says what it understands, `weights/README.md` how well it draws it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

WEIGHTS = Path(__file__).resolve().parent / "weights"
"""A `save_pretrained` folder of a FluxPipeline."""


def load(dtype: torch.dtype | None = None) -> Any:
    """The bundled model as a stock diffusers `FluxPipeline`, on the CPU.

    Args:
        dtype: of the weights; float32 by default (they are stored in half precision).

    Note:
        Its prompts have at most 48 T5 tokens: the stock call wants `max_sequence_length=48`
        (`RegionalPipeline` sees that by itself).
    """
    import torch
    from diffusers import FluxPipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `torch_dtype` is deprecated, but `dtype` is too new
        return FluxPipeline.from_pretrained(str(WEIGHTS), torch_dtype=dtype or torch.float32)
