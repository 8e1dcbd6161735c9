"""Repainting on the bundled miniature: is the region as told, is all else as it was, and what does it cost?

Scenes of two and four objects with a high and a low text a region and a base prompt that names them all. Of each
picture one region is repainted, once to another kind of object and once to another colour, and beside it the changed
plan is drawn from the same seed. Judged by the exact scorer, but for the pixels: those further than a token from the
region are compared bit for bit.

`python -m benchmarks.repainting --scenes 100` draws, goes on where it was stopped, and prints the table.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from strata.analysis.statistics import Estimate, bootstrap
from strata.analysis.studies import open_study, study_parser
from strata.analysis.trials import Journal, Judge, layouts
from strata.engine import Engine, Picture
from strata.hierarchy.plan import Box, ScenePlan
from strata.hierarchy.repaint import grown, repainted_area
from strata.job import Job, prepare
from strata.miniature.world.facts import COLOURS, KINDS, SURFACES, Thing
from strata.miniature.world.phrases import high_text, low_text
from strata.miniature.world.scenes import random_backdrop
from strata.miniature.world.scorer import Verdict
from strata.miniature.world.truth import scene_plan
from strata.repaint import repainted
from strata.settings import DrawSettings
from strata.source import Source

REGIONS = (2, 4)
CHANGES = ("kind", "colour")
WAYS = ("repainted", "drawn again")
"""What is compared: the region repainted; the changed plan drawn from the same seed."""
MEASURES = ("right", "others", "outside", "cost")
"""Of a change: whether the region's kind, colour and surface are as told; the share of the other regions whose kind,
colour and surface are for the scorer what they were; the share of pixels further than a token from the region that are
what they were; and seconds, as a multiple of those of the picture that was changed."""
JUDGED = ("kind", "colour", "surface")


@dataclass(frozen=True)
class Scene:
    """A picture to be, and which region of it changes."""

    plan: ScenePlan
    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    changed: int
    others: tuple[str, str]
    """Another kind and another colour for it, which no object of the scene has."""
    seed: int

    def told(self, change: str) -> Thing:
        """The changed object."""
        return replace(self.things[self.changed], **{change: self.others[CHANGES.index(change)]})


def scenes(count: int, seed: int = 0) -> list[Scene]:
    """Always the same for a seed."""
    rng = random.Random(f"repainting {seed}")
    found = []
    for number in range(count):
        size, areas = layouts(REGIONS[number % len(REGIONS)], rng)
        kinds, colours = rng.sample(KINDS, len(areas) + 1), rng.sample(COLOURS, len(areas) + 1)
        things = [Thing(k, c, rng.choice(SURFACES)) for k, c in zip(kinds[1:], colours[1:], strict=True)]
        plan = scene_plan(areas, things, random_backdrop(rng), levels=True, size=size)
        boxes = tuple(box for _, box in areas)
        others, changed = (kinds[0], colours[0]), rng.randrange(len(areas))
        found.append(Scene(plan, tuple(things), boxes, changed, others, rng.getrandbits(31)))
    return found


def study(pipe: Any, given: DrawSettings, todo: Sequence[Scene], journal: Journal, judge: Judge) -> Iterator[str]:
    """Draw and measure what the journal lacks; yields each scene's key when it is kept."""
    engine: Engine | None = None
    for number, scene in enumerate(todo):
        if (name := str(number)) in journal.rows:
            continue
        settings = given.model_copy(update={"seed": scene.seed})
        job = prepare(settings, Source("scene", scene.plan))
        if engine is None:
            engine = Engine(pipe, job)
            _draw(engine, job)  # the first picture warms up
        original = _draw(engine, job)
        before = judge.verdicts([original.image], list(scene.boxes))[0]
        row: dict[str, Any] = {"before": all(before[scene.changed].right(scene.things[scene.changed]).values())}
        source = Source("scene", scene.plan, job.routing, original.record, picture=original.image)
        region = scene.plan.regions[scene.changed].name
        for change in CHANGES:
            thing = scene.told(change)
            text = {"high": high_text(thing)} if change == "kind" else {"low": low_text(thing)}
            changed = repainted(source, region, **text)
            for way, todraw in zip(WAYS, (changed, Source("scene", changed.plan)), strict=True):
                picture = _draw(engine, prepare(settings, todraw))
                found = judge.verdicts([picture.image], list(scene.boxes))[0]
                cost = picture.seconds / original.seconds
                row[f"{change} {way}"] = [*_judged(scene, thing, before, found, original, picture, job), cost]
        journal.add(name, row)
        yield name


def _draw(engine: Engine, job: Job) -> Picture:
    *_, picture = engine.draw(job)
    assert isinstance(picture, Picture)
    return picture


def _judged(
    scene: Scene,
    thing: Thing,
    before: Sequence[Verdict],
    found: Sequence[Verdict],
    original: Picture,
    picture: Picture,
    job: Job,
) -> list[float]:
    """`MEASURES`, without the cost."""
    others = [number for number in range(len(found)) if number != scene.changed]
    same = [all(getattr(before[i], name) == getattr(found[i], name) for name in JUDGED) for i in others]
    area = repainted_area(scene.plan, scene.plan, [scene.plan.regions[scene.changed].name])
    outside = ~grown(area, job.model.facts_or_flux.token_size)
    one, other = (np.asarray(each.image.convert("RGB"))[outside] for each in (original, picture))
    unchanged = float((one == other).all(axis=1).mean()) if outside.any() else float("nan")
    return [float(all(found[scene.changed].right(thing).values())), float(np.mean(same)), unchanged]


Found = dict[str, dict[str, Estimate]]


def result(journal: Journal, count: int) -> Found:
    """Means with bootstrap intervals over scenes, of each change drawn in each way."""
    rows = [journal.rows[str(number)] for number in range(count)]
    found: Found = {"before": {"right": bootstrap([[float(row["before"])] for row in rows])[0]}}
    for name in (f"{change} {way}" for change in CHANGES for way in WAYS):
        found[name] = dict(zip(MEASURES, bootstrap([row[name] for row in rows]), strict=True))
    return found


def table(found: Found) -> str:
    """For the terminal: percent with 95 % intervals; costs as multiples."""
    lines = [f"{'':<22}" + "".join(f"{name:<22}" for name in MEASURES)]
    for name, values in found.items():
        cells = {m: e.text(1, 2) if m == "cost" else e.text(digits=1) for m, e in values.items()}
        lines.append(f"{name:<22}" + "".join(f"{cells.get(m, ''):<22}" for m in MEASURES))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the table and writes repainting.json beside the journal."""
    parser = study_parser("Repainting one region: is it as told, is all else as it was?", "repainting", 100)
    parser.prog = "python -m benchmarks.repainting"
    with open_study(parser, argv) as opened:
        args = opened.args
        given = DrawSettings(steps=args.steps, routing=args.routing)
        keys = [str(number) for number in range(args.scenes)]
        runs = study(opened.pipe, given, scenes(args.scenes, args.seed), opened.journal, Judge())
        opened.draw("repainting", keys, runs)
        found = result(opened.journal, args.scenes)
        print(table(found))
        opened.write(repainting={name: {m: e.as_data() for m, e in row.items()} for name, row in found.items()})


if __name__ == "__main__":
    main()
