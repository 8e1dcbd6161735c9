"""A dial: how evenly a style comes in as the low level is turned up, and whether the content holds.

The base prompt and every region's high text say all of its object but the style ("a red striped boat"), its low text
the style alone.
Each scene is drawn from one noise at several settings of a dial from 0 (the low texts are visible nowhere) to 1
(everywhere): their strength, the share of the steps from the end on in which they are visible, or the share of the
blocks from the first on.

A good dial is monotone (rank correlation of the style's probability with the setting, Spearman), smooth (no two
neighbouring settings differ by much more than an even share of the whole way) and leaves the content alone.

`python -m strata.analysis.dial --scenes 40` draws, goes on where it was stopped, and prints the table.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from strata.analysis.measures import pixel_change
from strata.analysis.statistics import Estimate, bootstrap
from strata.analysis.studies import open_study, study_parser
from strata.analysis.trials import Journal, Judge, layouts, random_thing
from strata.hierarchy.plan import Box, Region, ScenePlan
from strata.injection.pipeline import RegionalPipeline
from strata.injection.streams import TextOverride
from strata.layers.routing import Routing
from strata.miniature.world.facts import STYLES, Backdrop, Thing
from strata.miniature.world.phrases import full_text, style_text
from strata.miniature.world.truth import scene_plan

DIALS = ("strength", "steps", "depth")
SETTINGS = tuple(round(0.1 * i, 1) for i in range(11))
KEPT = ("kind", "colour", "surface")
MEASURES = ("style at 1", "content at 1", "content least", "monotone", "largest step")


@dataclass(frozen=True)
class DialScene:
    """Objects that are to take on a style."""

    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    style: str
    plan: ScenePlan
    seed: int


def scenes(count: int, seed: int = 0) -> list[DialScene]:
    """Scenes of one and two regions in turn; the style is none that the model draws by itself where none is said."""
    rng = random.Random(f"dial {seed}")
    found = []
    for number in range(count):
        size, areas = layouts(1 + number % 2, rng)
        things = tuple(replace(random_thing(rng), style=None) for _ in areas)
        style = rng.choice([s for s in STYLES if s != "flat"])
        ground = Backdrop("plain", rng.choice(("white", "grey")))
        whole = scene_plan(areas, things, ground, size=size)
        regions = tuple(
            Region(name=region.name, box=box, high=full_text(thing), low=style_text(style))
            for region, (_, box), thing in zip(whole.regions, areas, things, strict=True)
        )
        plan = whole.model_copy(update={"regions": regions})
        found.append(DialScene(things, tuple(box for _, box in areas), style, plan, rng.getrandbits(31)))
    return found


def turned(
    dial: str, setting: float, routing: Routing, plan: ScenePlan, steps: int, blocks: int
) -> tuple[Routing, list[TextOverride]]:
    """The routing and the overrides with the dial at a setting from 0 to 1."""
    hidden = np.ones((steps, blocks), dtype=bool)
    if dial == "strength" and setting > 0:
        rules = tuple(
            rule.model_copy(update={"strength": setting}) if rule.level == "low" else rule for rule in routing.rules
        )
        routing, hidden = routing.model_copy(update={"rules": rules}), np.zeros((steps, blocks), dtype=bool)
    elif dial == "steps":
        hidden[steps - round(setting * steps) :] = False
    elif dial == "depth":
        hidden[:, : round(setting * blocks)] = False
    if not hidden.any():
        return routing, []
    return routing, [TextOverride(region.name, "low", None, hidden) for region in plan.regions]


def key(dial: str, number: int) -> str:
    """Names a run in the journal."""
    return f"{dial} {number}"


def study(
    pipe: Any, routing: Routing, todo: Sequence[DialScene], steps: int, journal: Journal, judge: Judge
) -> Iterator[str]:
    """Draw and measure what the journal lacks; yields each run's key when it is kept."""
    blocks = sum(RegionalPipeline(pipe, routing).facts.block_counts)
    for number, scene in enumerate(todo):
        for dial in DIALS:
            if key(dial, number) in journal.rows:
                continue
            images = []
            for setting in SETTINGS:
                way, overrides = turned(dial, setting, routing, scene.plan, steps, blocks)
                regional = RegionalPipeline(pipe, way)
                out = regional(scene.plan, seed=scene.seed, overrides=overrides, num_inference_steps=steps)
                images.append(out.images[0])
            verdicts = judge.verdicts(images, list(scene.boxes))
            pixels = [np.asarray(image) for image in images]
            journal.add(
                key(dial, number),
                {
                    "style": [
                        round(float(np.mean([v.probabilities["style"][scene.style] for v in row])), 4)
                        for row in verdicts
                    ],
                    "kept": [
                        float(
                            np.mean(
                                [
                                    all(getattr(v, name) == getattr(first, name) for name in KEPT)
                                    for v, first in zip(row, verdicts[0], strict=True)
                                ]
                            )
                        )
                        for row in verdicts
                    ],
                    "moved": [round(pixel_change(a, b), 4) for a, b in pairwise(pixels)],
                },
            )
            yield key(dial, number)


def measured(row: Mapping[str, Sequence[float]]) -> list[float]:
    """The measures of one scene and dial; NaN where nothing moved."""
    style, kept, moved = row["style"], row["kept"], np.array(row["moved"])
    monotone = float(spearmanr(SETTINGS, style).statistic) if np.ptp(style) > 0 else np.nan
    largest = float(moved.max() / moved.sum()) if moved.sum() > 0 else np.nan
    return [style[-1], kept[-1], min(kept), monotone, largest]


def result(journal: Journal, count: int) -> dict[str, dict[str, Estimate]]:
    """Every dial's measures, by bootstrap over scenes."""
    found = {}
    for dial in DIALS:
        values = np.array([measured(journal.rows[key(dial, number)]) for number in range(count)])
        found[dial] = dict(zip(MEASURES, bootstrap(values), strict=True))
    return found


def table(found: Mapping[str, Mapping[str, Estimate]]) -> str:
    """For the terminal: percent with 95 % intervals; an even dial's largest step is 10."""
    lines = [f"{'dial':<10}" + "".join(f"{name:<18}" for name in MEASURES)]
    lines += [f"{dial:<10}" + "".join(f"{values[m].text():<18}" for m in MEASURES) for dial, values in found.items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the table and writes dial.json beside the journal."""
    with open_study(study_parser("How evenly a style comes in as a dial is turned.", "dial", 40), argv) as opened:
        count, steps = opened.args.scenes, opened.args.steps
        todo = scenes(count, opened.args.seed)
        keys = [key(dial, number) for number in range(count) for dial in DIALS]
        opened.draw("dial", keys, study(opened.pipe, opened.routing, todo, steps, opened.journal, Judge()))
        found = result(opened.journal, count)
        print(table(found))
        opened.write(dials={dial: {m: e.as_data() for m, e in values.items()} for dial, values in found.items()})


if __name__ == "__main__":
    main()
