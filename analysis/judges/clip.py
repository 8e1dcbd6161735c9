"""CLIP (Radford et al. 2021) on the regions' crops: zero-shot classification, for pictures of any model.

Where all texts speak the miniature's language, each attribute is classified among all its values; else a crop is
compared, level by level, with the texts of all regions: it is right where its own text is the likeliest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from strata.analysis.clip_judge import ClipJudge
from strata.analysis.judges.protocol import Features, JudgedObject, JudgedPicture, areas_of, asked_of, leaks
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import LEVELS, Box, ScenePlan
from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.truth import plan_backdrop

UNKNOWN = "whose own error is not known"
LEVELS_ASKED = frozenset(LEVELS)
"""What is asked for in words of their own."""


class ClipTextJudge:
    """As right as the CLIP model is, which tells contents better than which of them has which look.

    Args:
        model: a folder, or a name on the Hugging Face hub, of a `CLIPModel` with its processor.

    Raises:
        InputError: it cannot be loaded.
    """

    name = "clip"
    error = UNKNOWN

    def __init__(self, model: str) -> None:
        self.settings: Mapping[str, Any] = {"clip": model}
        self._clip = ClipJudge(model)

    def check(self, plan: ScenePlan) -> None:
        """As of `Judge.check`: texts in words of their own are compared, so there must be two regions."""
        areas_of(plan)
        if len(plan.regions) < 2 and LEVELS_ASKED & asked_of(plan)[0].keys():
            raise InputError("compares each region's text with the other regions'; needs at least two regions")

    def judge(self, picture: Image.Image, plan: ScenePlan) -> JudgedPicture:
        """As of `Judge.judge`."""
        boxes, asked = areas_of(plan, picture.size), asked_of(plan)
        if not LEVELS_ASKED & asked[0].keys():
            return self._classified(picture, plan, boxes, asked)
        found, sure = [dict[str, str | None]() for _ in asked], [dict[str, float]() for _ in asked]
        for level in LEVELS:
            holders = [n for n, texts in enumerate(asked) if level in texts]
            texts = list(dict.fromkeys(asked[n][level] for n in holders))
            if not texts:
                continue
            odds = self._odds(picture, [boxes[n] for n in holders], texts)
            for row, n in zip(odds, holders, strict=True):
                found[n][level] = texts[int(row.argmax())]
                sure[n][level] = float(row[texts.index(asked[n][level])])
        objects = [
            JudgedObject(
                region.name,
                asked[n],
                {level: found[n][level] == text for level, text in asked[n].items()},
                found[n],
                sure[n],
                any(found[n][level] != text for level, text in asked[n].items()),  # what is likelier is another's
            )
            for n, region in enumerate(plan.regions)
        ]
        return JudgedPicture(tuple(objects), features=self._features(picture))

    def reference(self, plan: ScenePlan) -> Features | None:
        """None: what a picture should look like is not known."""
        return None

    def _classified(
        self, picture: Image.Image, plan: ScenePlan, boxes: Sequence[Box], asked: Sequence[Mapping[str, str]]
    ) -> JudgedPicture:
        *found, whole = self._clip.verdicts([picture], [*boxes, None])[0]
        values: list[dict[str, str | None]] = [
            {name: getattr(verdict, name) for name in own} for verdict, own in zip(found, asked, strict=True)
        ]
        leaking = leaks(values, asked, ("colour", "surface", "style")) if len(boxes) > 1 else [None] * len(boxes)
        objects = [
            JudgedObject(
                region.name,
                asked[n],
                verdict.right(Thing(**asked[n])),
                values[n],
                {name: verdict.probabilities[name][value] for name, value in asked[n].items()},
                leaking[n],
            )
            for n, (region, verdict) in enumerate(zip(plan.regions, found, strict=True))
        ]
        backdrop: Backdrop = plan_backdrop(plan)
        return JudgedPicture(tuple(objects), None, whole.right(backdrop) or None, self._features(picture))

    def _odds(self, picture: Image.Image, boxes: Sequence[Box], texts: Sequence[str]) -> torch.Tensor:
        """Softmax over texts of each box's crop: `[boxes, texts]`."""
        crops = [picture.convert("RGB").crop(box) for box in boxes]
        odds: torch.Tensor = self._seen(crops, texts).logits_per_image.softmax(-1)
        return odds

    def _features(self, picture: Image.Image) -> Features:
        """CLIP's embedding of the whole picture."""
        found: Features = self._seen([picture.convert("RGB")], ["a picture"]).image_embeds[0].numpy().astype(np.float32)
        return found

    def _seen(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Any:
        inputs = self._clip.processor(
            text=list(texts), images=list(images), return_tensors="pt", padding=True, truncation=True
        )
        with torch.no_grad():
            return self._clip.net(**inputs)
