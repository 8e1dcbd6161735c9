"""What all tiny pipelines share."""

from typing import Any

AUTOENCODER: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (4, 8),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 2,
}
"""Halves the sides; four channels."""
