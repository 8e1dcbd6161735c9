"""Models that regions cannot be drawn with, and why: their transformers' classes, for messages."""

from __future__ import annotations

from collections.abc import Mapping

REFUSED: Mapping[str, str] = {
    name: f"{title} cannot be drawn in regions: {reason}"
    for name, title, reason in (
        (
            "QwenImage21Transformer2DModel",
            "Qwen-Image 2.1",
            "its text tokens attend to those before them and never to the picture, and are computed once for all steps;"
            " a region's texts attend to their part of the picture as it comes to be",
        ),
        (
            "ZImageTransformer2DModel",
            "Z-Image",
            "its transformer cuts the picture into tokens, pads captions with tokens of its own and counts the"
            " picture's positions from the caption's end, all behind a call that knows one caption a picture",
        ),
        (
            "SD3Transformer2DModel",
            "Stable Diffusion 3",
            "its transformer cuts the picture into tokens itself, and one call draws both with the prompt and without",
        ),
    )
}
