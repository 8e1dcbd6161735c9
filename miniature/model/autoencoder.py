"""The miniature's autoencoder: diffusers' AutoencoderKL at small size, 4 pixels a latent, 8 latent channels."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor


def new_autoencoder() -> AutoencoderKL:
    """An untrained autoencoder; the encoder starts nearly deterministic (log-variance about -6)."""
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    with torch.no_grad():
        assert model.encoder.conv_out.bias is not None
        model.encoder.conv_out.bias[8:] -= 6.0
    return model.to(memory_format=torch.channels_last)


def psnr(model: AutoencoderKL, images: Tensor) -> float:
    """Mean over images of the reconstruction's peak signal-to-noise ratio, in dB, on 8-bit pixels."""
    with torch.no_grad():
        out = model.decode(model.encode(images).latent_dist.mean).sample.clamp(-1, 1)
    error = ((out - images) * 127.5).round().square().flatten(1).mean(1)
    return float((10 * torch.log10(255**2 / error.clamp_min(1e-3))).mean())
