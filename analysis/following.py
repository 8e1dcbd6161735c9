"""Does each region follow its texts? By where they act, and where they can be judged, by what the picture shows.

Three measures, none of which needs the others:

- attention: where a region's texts, words and concepts act, against the region's area. Where a routing makes a region's
  texts visible in its area alone they cannot leak, whatever the picture shows; words of the base prompt and concepts
  are free to act anywhere.
- exact (`following_exact.py`): what the picture holds, for the miniature's scene language.
- CLIP (`following_clip.py`): whether each region looks more like its own text than like the other regions' texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.analysis.probe import BASE, Probe, Values
from strata.hierarchy.areas import box_around
from strata.hierarchy.errors import InputError
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import Region, ScenePlan

SOURCES = {
    "texts": "share of image tokens' attention that goes to the region's texts, and to its words in the base prompt",
    "words": "where the region's words look, the base prompt's included",
    "concepts": "concept maps of the region's words (ConceptAttention)",
}


@dataclass(frozen=True, eq=False)
class Localization:
    """Where one source's maps act, against a region's area. NaN where nothing acts at all.

    Attributes:
        iou: `[phases, blocks]`, of the area and as many tokens where the map is largest.
        leakage: `[phases, blocks]`, share of the map's mass outside the area.
        score: over all phases and blocks, 0 to 1: the share of the mass inside the area, laid so that an even spread
            over the canvas (or worse) is 0. None where the area is the whole canvas, or nothing acts.
    """

    iou: Values
    leakage: Values
    score: float | None

    @classmethod
    def of(cls, maps: Values, area: NDArray[np.bool_]) -> Localization:
        """Measure maps `[phases, blocks, rows, cols]` against an area `[rows, cols]`."""
        flat = maps.reshape(*maps.shape[:2], -1).astype(np.float64)
        inside, count = area.ravel(), int(area.sum())
        mass, within = flat.sum(-1), flat[..., inside].sum(-1)
        largest = np.argsort(-flat, axis=-1, kind="stable")[..., :count]
        common = inside[largest].sum(-1)
        acts = mass > 0
        iou = np.where(acts, common / (2 * count - common), np.nan).astype(np.float32)
        leakage = np.where(acts, 1 - within / np.where(acts, mass, 1), np.nan).astype(np.float32)
        even = count / inside.size
        score = None
        if acts.any() and even < 1:
            score = float(np.clip((within.sum() / mass.sum() - even) / (1 - even), 0, 1))
        return cls(iou, leakage, score)

    def as_data(self) -> dict[str, Any]:
        """For JSON; what is NaN becomes None."""
        return {"score": _rounded(self.score), "iou": _listed(self.iou), "leakage": _listed(self.leakage)}


@dataclass(frozen=True)
class RegionFollowing:
    """What is known of one region.

    Attributes:
        tokens: of its area.
        box: around its area, x1, y1, x2, y2 in pixels.
        text: its texts, all levels.
        attention: by source (`SOURCES`); those that were probed.
        exact: by attribute the texts name ("kind", …), whether the picture has it; None where not judged.
        clip: probability of its own text among all regions' texts; None where not judged.
    """

    name: str
    tokens: int
    box: tuple[int, int, int, int]
    text: str
    attention: Mapping[str, Localization]
    exact: Mapping[str, bool] | None = None
    clip: float | None = None


@dataclass(frozen=True)
class Following:
    """Whether a picture's regions follow their texts.

    Attributes:
        background: attributes of the background that the texts name, and whether the picture has them.
        accuracy: of the exact scorer on pictures it never saw, by attribute.
        clip_model: which CLIP model judged.
    """

    blocks: tuple[str, ...]
    phases: tuple[tuple[int, int], ...]
    regions: tuple[RegionFollowing, ...]
    background: Mapping[str, bool] | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    clip_model: str | None = None

    def attention(self, source: str) -> float | None:
        """The following score by attention, 0 to 1: mean over regions; None where `source` was not measured."""
        found = [region.attention[source].score for region in self.regions if source in region.attention]
        return _mean([score for score in found if score is not None])

    @property
    def exact(self) -> float | None:
        """Share of regions that hold all that their texts name."""
        return _mean([float(all(region.exact.values())) for region in self.regions if region.exact])

    @property
    def clip(self) -> float | None:
        """Mean probability of the regions' own texts; chance is one over the number of regions."""
        return _mean([region.clip for region in self.regions if region.clip is not None])

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "blocks": list(self.blocks),
            "phases": [list(phase) for phase in self.phases],
            "scores": {
                **{source: _rounded(self.attention(source)) for source in SOURCES},
                "exact": _rounded(self.exact),
                "clip": _rounded(self.clip),
            },
            "regions": [
                {
                    "name": region.name,
                    "tokens": region.tokens,
                    "box": list(region.box),
                    "text": region.text,
                    "attention": {source: acting.as_data() for source, acting in region.attention.items()},
                    "exact": None if region.exact is None else dict(region.exact),
                    "clip": _rounded(region.clip),
                }
                for region in self.regions
            ],
            "background": None if self.background is None else dict(self.background),
            "scorer_accuracy": dict(self.accuracy),
            "clip_model": self.clip_model,
        }

    def table(self) -> str:
        """As text: a region a line, what was not measured left out."""
        sources = [s for s in SOURCES if any(s in region.attention for region in self.regions)]
        wide = max(len("picture"), *(len(region.name) for region in self.regions))
        head = f"{'region':{wide}}  tokens"
        head += "".join(f"{f'{source}: inside':>17}{'IoU':>6}{'leaks':>7}" for source in sources)
        head += "  CLIP" if self.clip is not None else ""
        head += "  seen" if self.exact is not None else ""
        lines = [head]
        for region in self.regions:
            line = f"{region.name:{wide}}  {region.tokens:6}"
            for source in sources:
                acting = region.attention.get(source)
                found = (acting.score, _nanmean(acting.iou), _nanmean(acting.leakage)) if acting else (None,) * 3
                line += "".join(f"{_cell(value):>{width}}" for value, width in zip(found, (17, 6, 7), strict=True))
            line += f"{_cell(region.clip):>6}" if self.clip is not None else ""
            line += f"  {_seen(region.exact)}" if self.exact is not None else ""
            lines.append(line.rstrip())
        line = f"{'picture':{wide}}  {'':6}" + "".join(f"{_cell(self.attention(s)):>17}{'':13}" for s in sources)
        line += f"{_cell(self.clip):>6}" if self.clip is not None else ""
        if self.exact is not None:
            line += f"  {100 * self.exact:.0f} % of regions as told"
            line += f"; background: {_seen(self.background)}" if self.background else ""
        lines.append(line.rstrip())
        lines += [f"{source}: {SOURCES[source]}" for source in sources]
        if sources:
            lines.append("inside: 0 spread evenly over the canvas, 1 all inside; IoU, leaks: mean of blocks and steps")
        if self.exact is None and self.clip is None:
            lines.append(
                "attention alone: where the routing shows a region its own texts only, they act inside by construction;"
                " no picture was judged"
            )
        if self.accuracy:
            right = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.accuracy.items())
            lines.append(f"seen: by the scorer, itself right on unseen scenes in {right}")
        return "\n".join(lines)


def following(
    probe: Probe,
    image: Image.Image | None = None,
    plan: ScenePlan | None = None,
    exact: bool = False,
    clip: str | None = None,
) -> Following:
    """Whether the regions of a probed picture follow their texts.

    Args:
        probe: of a run with a plan, or with `plan` of any run, such as the plain prompt's for comparison.
        image: the picture; needed by `exact` and `clip`.
        plan: whose regions and texts count; None: the probe's own.
        exact: judge the picture by the miniature's scorer; regions' texts must be of its language.
        clip: judge it by the CLIP model in this folder or of this name on the Hugging Face hub.

    Raises:
        InputError: no plan, no regions, no image to judge, texts outside the scene language, or no such CLIP model.
    """
    if plan is None:
        if probe.facts.plan is None:
            message = "the probe is of a plain prompt, without regions; give the plan to compare with"
            raise InputError(f"following: {message}")
        plan = ScenePlan.model_validate(probe.facts.plan)
    if not plan.regions:
        raise InputError("following: the plan has no regions; regions: needs at least one")
    if image is None and (exact or clip is not None):
        raise InputError("following: exact and clip judge the picture; give image")
    regions = _regions(probe, plan)
    background: Mapping[str, bool] | None = None
    accuracy: Mapping[str, float] = {}
    if image is not None and exact:
        from strata.analysis.following_exact import judge

        regions, background, accuracy = judge(image, regions, plan)
    if image is not None and clip is not None:
        from strata.analysis.following_clip import compare

        regions = compare(image, regions, clip)
    return Following(probe.facts.blocks, probe.facts.phases, tuple(regions), background, accuracy, clip)


def region_text(region: Region) -> str:
    """All texts of a region, by level."""
    return ", ".join(text for _, text in region.by_level())


def _regions(probe: Probe, plan: ScenePlan) -> list[RegionFollowing]:
    facts = probe.facts
    areas = _areas(probe, plan)
    texts = {region.name: region_text(region) for region in plan.regions}
    found = []
    for name, area in areas.items():
        others = [text for other, text in texts.items() if other != name]

        def own_word(word: str | None, own: str = texts[name], others: Sequence[str] = tuple(others)) -> bool:
            """Whether this region's texts have the word, and no other region's."""
            return word is not None and _has(own, word) and not any(_has(text, word) for text in others)

        attention: dict[str, Localization] = {}
        texts_of = [
            n
            for n, label in enumerate(facts.labels)
            if (label.kind == "text" and label.area == name)
            or (label.kind == "word" and label.text == BASE and own_word(label.word))
        ]
        words_of = [
            n
            for n, label in enumerate(facts.labels[index] for index in facts.words)
            if label.area == name or (label.text == BASE and own_word(label.word))
        ]
        concepts_of = [n for n, concept in enumerate(facts.concepts) if own_word(concept)]
        for source, maps, chosen in (
            ("texts", probe.maps, texts_of),
            ("words", probe.words_to_image, words_of),
            ("concepts", probe.concepts, concepts_of),
        ):
            if chosen:
                attention[source] = Localization.of(maps[chosen].sum(0), area)
        found.append(RegionFollowing(name, int(area.sum()), _box(probe, area), texts[name], attention))
    return found


def _areas(probe: Probe, plan: ScenePlan) -> dict[str, NDArray[np.bool_]]:
    facts = probe.facts
    known = {region.name: region.tokens for region in facts.regions}
    if known.keys() != {region.name for region in plan.regions}:
        grid = token_grid(plan, facts.rows, facts.cols)
        return dict(zip(grid.names, grid.masks, strict=True))
    return {name: facts.mask(tokens) for name, tokens in known.items()}


def _box(probe: Probe, area: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    facts, box = probe.facts, box_around(area)
    assert box is not None, "a region has a token"
    wide, tall = facts.width / facts.cols, facts.height / facts.rows
    x1, y1, x2, y2 = box
    return round(x1 * wide), round(y1 * tall), round(x2 * wide), round(y2 * tall)


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _nanmean(values: Values) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _seen(found: Mapping[str, bool] | None) -> str:
    return ", ".join(f"{name} {'right' if right else 'WRONG'}" for name, right in found.items()) if found else "–"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _listed(values: Values) -> list[list[float | None]]:
    return [[None if np.isnan(x) else round(float(x), 4) for x in row] for row in values]
