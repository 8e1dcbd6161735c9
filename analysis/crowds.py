"""Crowds: many regions of like kinds with different looks. Which texts keep each look where it belongs?

Scenes of six and of eight regions: all of one kind in different colours and surfaces ("alike"), or two kinds whose
colours are swapped between them ("swapped": a red boat and a blue car, a blue boat and a red car). They are drawn with
undivided texts, once and twice, by level, by level with detail confined in depth, and from one prompt that names
everything. The plans' base prompt only counts the objects, so that all comes from the regions, or names them all, as a
planner writes it, or is the structured prompt itself, layout and all (`--base`). Judged is every region: whether it is
right, and whether what is wrong is another region's (a leak).

`python -m strata.analysis.crowds --scenes 24` draws, goes on where it was stopped, and prints the table.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from strata.analysis.statistics import Estimate, bootstrap
from strata.analysis.studies import open_study, study_parser
from strata.analysis.trials import Journal, Judge, layouts
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import Box, Region, ScenePlan
from strata.injection.cut_texts import stock_call
from strata.injection.pipeline import RegionalPipeline
from strata.layers.ranges import Percent
from strata.layers.routing import Routing
from strata.miniature.world.facts import COLOURS, KINDS, SURFACES, Thing
from strata.miniature.world.scenes import random_backdrop
from strata.miniature.world.scorer import Verdict
from strata.miniature.world.truth import scene_plan, structured_text

CROWDS = (("alike", 6), ("alike", 8), ("swapped", 6), ("swapped", 8))
WAYS = ("one prompt", "undivided", "undivided twice", "by level", "detail narrow")
"""What is compared: a structured prompt without regions; one full text a region; the same text in two streams, as two
levels have; a high and a low text a region (anchored); the same with the low texts in the blocks of `--depth` alone."""
COMPARED = (("by level", "undivided"), ("undivided twice", "undivided"), ("by level", "undivided twice"))
BASES = ("counts", "names", "layout")
"""What the base prompt of the plans says: how many objects there are, all of them, or the structured prompt."""
LOOK = ("colour", "surface")
MEASURES = ("right", "kind", "look", "leak")


@dataclass(frozen=True)
class Crowd:
    """A scene, by level and undivided."""

    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    divided: ScenePlan
    undivided: ScenePlan
    prompt: str
    seed: int


def scenes(kind: str, regions: int, count: int, seed: int = 0, base: str = "counts") -> list[Crowd]:
    """Scenes of one sort, always the same for a seed; `base`, one of `BASES`, is what the plans' base prompt says."""
    rng = random.Random(f"crowds {kind} {regions} {seed}")
    found = []
    for _ in range(count):
        size, cells = layouts(regions, rng)
        rows = [("bottom" if box[1] else "top", box) for _, box in cells]
        areas = rows if regions > 4 else cells  # as captions say it
        if kind == "alike":
            one = rng.choice(KINDS)
            looks = [(colour, rng.choice(SURFACES)) for colour in rng.sample(COLOURS, regions)]
            things = [Thing(one, *look) for look in looks]
        else:
            one, other = rng.sample(KINDS, 2)
            looks = [(colour, rng.choice(SURFACES)) for colour in rng.sample(COLOURS, regions // 2)]
            things = [Thing(one, *look) for look in looks] + [Thing(other, *look) for look in looks]
            rng.shuffle(things)
        backdrop = random_backdrop(rng)
        divided, undivided = (
            scene_plan(areas, things, backdrop, levels=levels, named=base == "names", size=size)
            for levels in (True, False)
        )
        boxes = tuple(box for _, box in areas)
        prompt = structured_text(areas, things, backdrop, size)
        if base == "layout":
            divided, undivided = (plan.model_copy(update={"prompt": prompt}) for plan in (divided, undivided))
        found.append(Crowd(tuple(things), boxes, divided, undivided, prompt, rng.getrandbits(31)))
    return found


def doubled(plan: ScenePlan) -> ScenePlan:
    """A plan of full texts with each region's text in two streams."""
    regions = [Region(name=r.name, box=r.box, high=r.full, low=r.full) for r in plan.regions]
    return plan.model_copy(update={"regions": tuple(regions)})


def routed(way: str, routing: Routing, depth: tuple[float, float]) -> Routing:
    """The routing of a way, anchored but where a text is in two streams already."""
    rules = []
    for rule in routing.rules:
        if way == "detail narrow" and rule.level == "low":
            rule = rule.model_copy(update={"depth": Percent(*depth), "double": None, "single": None})
        rules.append(rule)
    return routing.model_copy(update={"anchor": way != "undivided twice", "rules": tuple(rules)})


def judged(found: Sequence[Verdict], things: Sequence[Thing]) -> list[float]:
    """Means over a picture's regions of `MEASURES`.

    `right`: kind, colour and surface; `kind`; `look`: colour and surface; `leak`: a colour or a surface is wrong and
    some other region's.
    """
    rows = []
    for i, (verdict, thing) in enumerate(zip(found, things, strict=True)):
        right = verdict.right(thing)
        others = [other for j, other in enumerate(things) if j != i]
        leak = any(
            not right[name] and any(getattr(verdict, name) == getattr(other, name) for other in others) for name in LOOK
        )
        rows.append((all(right.values()), right["kind"], all(right[name] for name in LOOK), leak))
    return [round(float(x), 5) for x in np.mean(rows, axis=0)]


def key(kind: str, regions: int, number: int, way: str) -> str:
    """Names a run in the journal."""
    return f"{kind} {regions} {number} {way}"


def study(
    pipe: Any,
    routing: Routing,
    depth: tuple[float, float],
    todo: Mapping[tuple[str, int], Sequence[Crowd]],
    steps: int,
    journal: Journal,
    judge: Judge,
) -> Iterator[str]:
    """Draw and measure what the journal lacks; yields each run's key when it is kept."""
    import torch

    from strata.miniature.model.text import MAX_LENGTH

    regional = {way: RegionalPipeline(pipe, routed(way, routing, depth)) for way in WAYS[1:]}
    for (kind, regions), crowd in todo.items():
        for number, scene in enumerate(crowd):
            plans = dict.fromkeys(WAYS, scene.divided) | {
                "undivided": scene.undivided,
                "undivided twice": doubled(scene.undivided),
            }
            for way in WAYS:
                name = key(kind, regions, number, way)
                if name in journal.rows:
                    continue
                plan = plans[way]
                image: Image.Image
                if way == "one prompt":
                    with stock_call(pipe, [scene.prompt]):
                        image = pipe(
                            scene.prompt,
                            width=plan.width,
                            height=plan.height,
                            num_inference_steps=steps,
                            max_sequence_length=MAX_LENGTH,
                            generator=torch.Generator().manual_seed(scene.seed),
                        ).images[0]
                else:
                    image = regional[way](plan, seed=scene.seed, num_inference_steps=steps).images[0]
                journal.add(name, judged(judge.verdicts([image], list(scene.boxes))[0], scene.things))
                yield name


Found = dict[str, dict[str, dict[str, Estimate]]]
"""By crowd and way, every measure."""


def result(journal: Journal, count: int) -> Found:
    """Means with bootstrap intervals over scenes, of each crowd and of all; the ways' differences on all scenes."""
    found: Found = {}
    everything: dict[str, list[Any]] = {way: [] for way in WAYS}
    for kind, regions in CROWDS:
        values = {way: [journal.rows[key(kind, regions, number, way)] for number in range(count)] for way in WAYS}
        found[f"{kind} {regions}"] = {way: _measured(values[way]) for way in WAYS}
        for way in WAYS:
            everything[way] += values[way]
    found["all"] = {way: _measured(everything[way]) for way in WAYS}
    found["difference"] = {
        f"{one} - {other}": _measured(np.array(everything[one]) - np.array(everything[other]))
        for one, other in COMPARED
    }
    return found


def _measured(values: ArrayLike) -> dict[str, Estimate]:
    return dict(zip(MEASURES, bootstrap(values), strict=True))


def table(found: Found) -> str:
    """For the terminal: percent with 95 % intervals."""
    lines = [f"{'crowd':<12}{'texts':<28}" + "".join(f"{name:<16}" for name in MEASURES)]
    for crowd, rows in found.items():
        for way, values in rows.items():
            lines.append(f"{crowd:<12}{way:<28}" + "".join(f"{values[m].text():<16}" for m in MEASURES))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the table and writes crowds.json beside the journal."""
    parser = study_parser("Many regions of like kinds: which texts keep each look where it belongs?", "crowds", 24)
    parser.add_argument("--depth", default="0%-50%", help='of "detail narrow": percent of the blocks')
    parser.add_argument("--base", choices=BASES, default=BASES[0], help="what the plans' base prompt says")
    with open_study(parser, argv, ("depth", "base")) as opened:
        args = opened.args
        try:
            first, last = (float(part.strip().removesuffix("%")) for part in args.depth.split("-"))
            depth = (first, last)
            Percent(*depth)
        except (ValueError, InputError) as error:
            raise SettingError(f'<depth> {args.depth}: must be a range such as "0%-50%"') from error
        todo = {sort: scenes(*sort, args.scenes, args.seed, args.base) for sort in CROWDS}
        keys = [key(*sort, number, way) for sort in CROWDS for number in range(args.scenes) for way in WAYS]
        runs = study(opened.pipe, opened.routing, depth, todo, args.steps, opened.journal, Judge())
        opened.draw("crowds", keys, runs)
        found = result(opened.journal, args.scenes)
        print(table(found))
        opened.write(
            crowds={
                crowd: {way: {m: e.as_data() for m, e in values.items()} for way, values in rows.items()}
                for crowd, rows in found.items()
            }
        )


if __name__ == "__main__":
    main()
