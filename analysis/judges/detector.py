"""An open-vocabulary detector of transformers (OWL-ViT, OWLv2, Grounding DINO): is what a region asks for found in it?

As layout benchmarks do it, each region's content is looked for in the whole picture; its detection that overlaps the
region most counts, and is right where at least half of its box lies in the region.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from strata.analysis.judges.protocol import Features, JudgedObject, JudgedPicture, areas_of, content_of
from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.plan import Box, ScenePlan
from strata.miniature.world.drawn import box_iou

KINDS = ("owlvit", "owlv2", "grounding-dino", "mm-grounding-dino")
"""Types of models, by their configurations."""
THRESHOLD = 0.2
"""Score of a detection at least."""
SAME = 0.5
"""IoU from which two detections of one phrase are one object."""
INSIDE = 0.5
"""Share of a detection's box that lies in the region at least."""
Detection = tuple[float, Box]


class DetectorJudge:
    """As right as the detector is. It tells contents and places, no looks beyond what a content's words say.

    Args:
        model: a folder, or a name on the Hugging Face hub, of a zero-shot detector with its processor.
        threshold: score of a detection at least.

    Raises:
        InputError: it cannot be loaded, or is no such model.
    """

    name = "detector"
    error = "whose own error is not known"

    def __init__(self, model: str, threshold: float = THRESHOLD) -> None:
        from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoProcessor

        try:
            self._kind = str(AutoConfig.from_pretrained(model).model_type)
            if self._kind not in KINDS:
                raise ValueError(f"its model_type is {quote(self._kind)}; must be one of {', '.join(KINDS)}")
            self.net = AutoModelForZeroShotObjectDetection.from_pretrained(model).eval()
            self.processor = AutoProcessor.from_pretrained(model)
        except (OSError, ValueError) as error:
            raise InputError(
                f"detector: {quote(model)}: holds no open-vocabulary detector with its processor: {error}"
            ) from error
        self.threshold = threshold
        self.settings: Mapping[str, Any] = {"detector": model, "threshold": threshold}

    def check(self, plan: ScenePlan) -> None:
        """As of `Judge.check`."""
        areas_of(plan)

    def judge(self, picture: Image.Image, plan: ScenePlan) -> JudgedPicture:
        """As of `Judge.judge`; the count is right where every content is found as often as regions ask for it."""
        boxes, phrases = areas_of(plan, picture.size), [content_of(region) for region in plan.regions]
        found = {phrase: self.detections(picture, phrase) for phrase in dict.fromkeys(phrases)}
        objects = []
        for region, box, phrase in zip(plan.regions, boxes, phrases, strict=True):
            best = max(found[phrase], key=lambda one: (_common(one[1], box), one[0]), default=None)
            there = best is not None and _common(best[1], box) >= INSIDE
            objects.append(
                JudgedObject(
                    region.name,
                    {"object": phrase},
                    {"object": there},
                    {"object": phrase if there else None},
                    {"object": best[0] if best and there else 0.0},
                    None,
                    best[1] if best else None,
                    box_iou(best[1], box) if best else 0.0,
                    best is not None and _holds(box, best[1]),
                )
            )
        count = all(len(found[phrase]) == phrases.count(phrase) for phrase in found)
        return JudgedPicture(tuple(objects), count)

    def reference(self, plan: ScenePlan) -> Features | None:
        """None: a detector has no features of whole pictures."""
        return None

    def detections(self, picture: Image.Image, phrase: str) -> list[Detection]:
        """Scores and boxes in pixels of what a phrase names, the likeliest first, each object once."""
        dino = self._kind.endswith("grounding-dino")
        text: Any = f"{phrase.lower().rstrip('.')}." if dino else [[phrase]]
        inputs = self.processor(text=text, images=picture.convert("RGB"), return_tensors="pt")
        with torch.no_grad():
            outputs = self.net(**inputs)
        size = [(picture.height, picture.width)]
        more = {"input_ids": inputs.input_ids, "text_threshold": self.threshold} if dino else {}
        after = self.processor.post_process_grounded_object_detection
        (seen,) = after(outputs, threshold=self.threshold, target_sizes=size, **more)
        scored = sorted(zip(seen["scores"].tolist(), seen["boxes"].tolist(), strict=True), reverse=True)
        return _apart([(score, _within(box, picture)) for score, box in scored])


def _within(box: Sequence[float], picture: Image.Image) -> Box:
    """On whole pixels, at least one, of the picture."""
    x1, y1, x2, y2 = (round(value) for value in box)
    left, top = min(max(x1, 0), picture.width - 1), min(max(y1, 0), picture.height - 1)
    return left, top, min(max(x2, left + 1), picture.width), min(max(y2, top + 1), picture.height)


def _apart(found: Sequence[Detection]) -> list[Detection]:
    """Without those that are a likelier one's again (non-maximum suppression)."""
    kept: list[Detection] = []
    for one in found:
        if all(box_iou(one[1], other) < SAME for _, other in kept):
            kept.append(one)
    return kept


def _common(found: Box, area: Box) -> float:
    """The share of a detection's box that lies in an area's."""
    width = min(found[2], area[2]) - max(found[0], area[0])
    height = min(found[3], area[3]) - max(found[1], area[1])
    return max(width, 0) * max(height, 0) / ((found[2] - found[0]) * (found[3] - found[1]))


def _holds(area: Box, found: Box) -> bool:
    x, y = (found[0] + found[2]) / 2, (found[1] + found[3]) / 2
    return area[0] <= x < area[2] and area[1] <= y < area[3]
