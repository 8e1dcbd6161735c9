"""A judge for pictures of any model: zero-shot classification by CLIP (Radford et al. 2021), attribute by attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from strata.analysis.following_clip import load_clip
from strata.hierarchy.plan import Box
from strata.miniature.world.facts import COLOURS, KINDS, PATTERNS, SETTINGS, STYLES, SURFACES, TONES
from strata.miniature.world.scorer import GROUND_HEADS, Verdict
from strata.miniature.world.words import STYLE_WORDS

ASKED = {
    "kind": {kind: f"a {kind}" for kind in KINDS},
    "colour": {colour: f"a {colour} object" for colour in COLOURS},
    "surface": {surface: f"an object with a {surface} surface" for surface in SURFACES},
    "style": {style: f"a picture in {STYLE_WORDS[style][-1]} style" for style in STYLES},
    "pattern": {pattern: f"a {pattern} background" for pattern in PATTERNS},
    "tone": {tone: f"a {tone} background" for tone in TONES},
    "setting": {setting: f"a {setting} in the background" for setting in SETTINGS},
}
"""Values and what CLIP is asked for them."""


class ClipJudge:
    """Stands in for the exact scorer where a picture is no miniature's; as right as the CLIP model is.

    Args:
        model: a folder, or a name on the Hugging Face hub, of a `CLIPModel` with its processor.

    Raises:
        InputError: it cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        self.net, self.processor = load_clip(model)

    def verdicts(self, images: Sequence[Image.Image], boxes: Sequence[Box | None]) -> list[list[Verdict]]:
        """What each picture holds in each box: `[image][box]`; the background of whole pictures alone."""
        return [[self._verdict(image, box) for box in boxes] for image in images]

    def _verdict(self, image: Image.Image, box: Box | None) -> Verdict:
        crop = image.convert("RGB").crop(box) if box else image.convert("RGB")
        texts = [text for asked in ASKED.values() for text in asked.values()]
        inputs = self.processor(text=texts, images=[crop], return_tensors="pt", padding=True, truncation=True)
        with torch.no_grad():
            logits = self.net(**inputs).logits_per_image[0]
        odds: dict[str, dict[str, float]] = {}
        for name, asked in ASKED.items():
            part, logits = logits[: len(asked)], logits[len(asked) :]
            odds[name] = dict(zip(asked, part.softmax(-1).tolist(), strict=True))
        best: dict[str, Any] = {name: max(values, key=values.__getitem__) for name, values in odds.items()}
        if box is not None:
            best |= dict.fromkeys(GROUND_HEADS)
        return Verdict(**best, probabilities=odds)
