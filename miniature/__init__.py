"""The miniature: a small FLUX, trained from scratch by this project on drawn scenes, bundled in the stock format.

`load()` is the stock `FluxPipeline`; `world/captions.py` says what it understands, `weights/README.md` how well it
draws it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

WEIGHTS = Path(__file__).resolve().parent / "weights"
"""A `save_pretrained` folder of a FluxPipeline."""
LORAS = WEIGHTS.parent / "loras"
"""Style LoRAs of it, a file each."""
CONTROL = WEIGHTS.parent / "weights_control"
"""A `save_pretrained` folder of a FluxControlNetModel for it, whose control pictures are outlines."""


def load(dtype: torch.dtype | None = None) -> Any:
    """The bundled model as a stock diffusers `FluxPipeline`, on the CPU.

    Its pictures are 128×128 pixels, 64 image tokens as FLUX.1 counts them, or anything up to 256×256.

    Args:
        dtype: of the weights; float32 by default (they are stored in half precision).

    Note:
        Its prompts have at most 96 T5 tokens: the stock call wants `max_sequence_length=96`
        (`RegionalPipeline` sees that by itself).
    """
    import torch

    from strata.injection.weights import load_folder

    return load_folder(WEIGHTS, dtype or torch.float32)
