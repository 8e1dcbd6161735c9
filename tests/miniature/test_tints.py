"""Styles that no miniature knows are told exactly: none is seen in the world's own, each in its own."""

import random

import numpy as np
import pytest
import torch

from strata.miniature import WEIGHTS
from strata.miniature.world.render import Pixels
from strata.miniature.world.scenes import random_scene
from strata.miniature.world.tensors import to_tensor
from strata.miniature.world.tints import TINTS, tint_of


def scenes(count: int, seed: int = 3) -> list[Pixels]:
    rng = random.Random(seed)
    return [random_scene(rng, 128, 128, rng.choice((1, 2, 3, 4))).paint() for _ in range(count)]


def views(picture: Pixels) -> list[Pixels]:
    return [picture, picture[:, :64], picture[64:]]


def test_none_in_the_worlds_own_styles_and_each_in_its_own() -> None:
    for picture in scenes(15):
        assert [tint_of(view) for view in views(picture)] == [None] * 3
        for name, tint in TINTS.items():
            assert [tint_of(view) for view in views(tint.paint(picture))] == [name] * 3


@pytest.mark.slow
def test_also_behind_the_autoencoder() -> None:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(WEIGHTS / "vae", torch_dtype=torch.float32).eval()
    for name, tint in TINTS.items():
        right = []
        for start in range(0, 100, 20):
            painted = to_tensor([tint.paint(p) for p in scenes(20, start)])
            with torch.no_grad():
                decoded = vae.decode(vae.encode(painted).latent_dist.mean).sample.clamp(-1, 1)
            pixels = ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
            right += [tint_of(view) == name for picture in pixels for view in views(picture)]
        assert np.mean(right) >= 0.98


def test_in_a_mask() -> None:
    picture = scenes(1)[0]
    mixed = np.where(np.arange(128)[:, None, None] < 64, TINTS["rose"].paint(picture), picture)
    mask = np.zeros((128, 128), dtype=bool)
    mask[:64] = True
    assert (tint_of(mixed, mask), tint_of(mixed, ~mask), tint_of(mixed)) == ("rose", None, None)
