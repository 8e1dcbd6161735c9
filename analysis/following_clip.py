"""Whether each region looks more like its own text than like the others', by a CLIP model (Radford et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from strata.analysis.following import RegionFollowing
from strata.hierarchy.errors import InputError, quote


def check(model: str, regions: int) -> None:
    """Whether `compare` could be asked, by the model's configuration alone. Raises `InputError` as it does."""
    from transformers import CLIPConfig

    if regions < 2:
        raise InputError("clip: compares each region's text with the other regions'; needs at least two regions")
    try:
        config = CLIPConfig.get_config_dict(model)[0]
    except (OSError, ValueError) as error:
        raise _no_model(model, error) from error
    if config.get("model_type") != "clip":
        raise _no_model(model, f"its model_type is {quote(config.get('model_type', 'missing'))}")


def _no_model(model: str, why: object) -> InputError:
    return InputError(f"clip: {quote(model)}: holds no CLIP model with its processor: {why}")


def load_clip(model: str) -> tuple[Any, Any]:
    """A CLIP model and its processor. Raises `InputError`."""
    from transformers import CLIPModel, CLIPProcessor

    try:
        return CLIPModel.from_pretrained(model).eval(), CLIPProcessor.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise _no_model(model, error) from error


def compare(image: Image.Image, regions: Sequence[RegionFollowing], model: str) -> list[RegionFollowing]:
    """The regions with `clip`: the probability of the own text among all regions' texts, for the region's crop.

    That is CLIP's zero-shot classification: the softmax over the texts of cosine similarity times the model's
    temperature. Chance is one over the number of regions; texts that say the same share the probability.

    Args:
        image: the picture.
        regions: with their boxes and texts.
        model: a folder, or a name on the Hugging Face hub, of a `CLIPModel` with its processor.

    Raises:
        InputError: fewer than two regions, or the model cannot be loaded.
    """
    check(model, len(regions))
    net, processor = load_clip(model)
    crops = [image.convert("RGB").crop(region.box) for region in regions]
    texts = [region.text for region in regions]
    inputs = processor(text=texts, images=crops, return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        odds = net(**inputs).logits_per_image.softmax(-1)
    return [replace(region, clip=float(odds[n, n])) for n, region in enumerate(regions)]
