"""The miniature's autoencoder: diffusers' AutoencoderKL, small, with FLUX.1's 8 pixels a latent and 16 channels."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

CHANNELS = 16


def new_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder; the encoder starts nearly deterministic (log-variance about -5)."""
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 128),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=4,
        sample_size=128,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    with torch.no_grad():
        assert model.encoder.conv_out.bias is not None
        model.encoder.conv_out.bias[CHANNELS:] -= 5.0
    return model


def psnr(model: AutoencoderKL, images: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image's reconstruction, in dB, on 8-bit pixels."""
    with torch.no_grad():
        out = model.decode(model.encode(images).latent_dist.mean).sample.clamp(-1, 1)
    error = ((out - images) * 127.5).round().square().flatten(1).mean(1)
    return 10 * torch.log10(255**2 / error.clamp_min(1e-3))
