"""Hard scenes: plans in the scene language that tell methods apart, of 1, 2, 3, 4, 6 and 8 objects.

Every scene has tags, by which tables are cut: how its regions lie, what its objects share, what its base prompt says,
and its canvas. The set is published in `scenes/hard.jsonl`, made once by

    python -m strata.miniature.hard_scenes -o hard.jsonl

and always the same for a seed. What a scene asks for can be judged: of each one tried, the exact picture was rendered,
and the scene was kept where the bundled scorer finds everything in it, and in what the bundled autoencoder makes of it,
so that a model without fault would be found without fault. No method had a part in the choice.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from strata.hierarchy.areas import box_around, region_mask
from strata.hierarchy.files import write_atomic
from strata.hierarchy.plan import Box, Region, ScenePlan
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.world.facts import COLOURS, KINDS, STYLES, SURFACES, Backdrop, Thing
from strata.miniature.world.scenes import halves, nine, quarters, random_backdrop, two_rows
from strata.miniature.world.scorer import Scorer
from strata.miniature.world.tensors import to_tensor
from strata.miniature.world.truth import plan_backdrop, region_thing, render, scene_plan, scene_text

OBJECTS = (1, 2, 3, 4, 6, 8)
ABOUT: Mapping[str, str] = {
    "whole": "regions are halves, quarters or cells of a grid",
    "small-large": "small regions beside large ones",
    "off-centre": "regions lie in a corner of their cells",
    "free-form": "regions are irregular polygons",
    "thin": "regions are two image tokens wide",
    "overlap": "neighbouring regions overlap",
    "nested": "a region lies inside another one",
    "mixed": "objects differ in everything",
    "alike": "all objects of one kind, in different colours",
    "swapped": "two kinds, each in each of two looks",
    "surfaces": "all objects of one colour, with different surfaces",
    "two-styles": "two styles in one picture",
    "names": "the base prompt names every object and its place",
    "counts": "the base prompt only counts the objects",
    "contradicts": "the base prompt names other objects than the regions",
    "square": "a square canvas",
    "oblong": "a canvas up to twice as wide as high, or as high as wide",
}
"""What tags mean."""
ARRANGEMENTS = ("whole", "small-large", "off-centre", "free-form", "thin", "overlap", "nested")
CONTENTS = ("mixed", "alike", "swapped", "surfaces", "two-styles")
BASES = ("names", "counts", "contradicts")
EACH = 63
"""Scenes a number of objects: nine of each arrangement."""
SQUARE, WIDE = {6: (256, 256), 8: (256, 256)}, {6: (192, 128), 8: (256, 128)}
LARGEST, SMALL, THIN, CORNERS = 104, 44, 32, 10
"""Pixels a side: of a large region at most, of a small one; across a thin one. Corners of a free-form region."""
TRIES, ROUNDS = 40, 10
_TOKEN = re.compile(r"[\w'-]+|[,.:;]")
Cells = list[tuple[str, Box]]
Cut = Callable[[random.Random, Box, int], "Box | tuple[tuple[int, int], ...]"]


@dataclass(frozen=True)
class Sort:
    """What a scene is like; the tags but the canvas'."""

    objects: int
    arrangement: str
    content: str
    base: str
    oblong: bool

    @property
    def tags(self) -> tuple[str, ...]:
        """In the order of `ABOUT`."""
        return self.arrangement, self.content, self.base, "oblong" if self.oblong else "square"


def sorts(objects: int) -> list[Sort]:
    """The sorts of the scenes with so many objects: every arrangement, content, base prompt and canvas in turn."""
    several = objects > 1
    arrangements = ARRANGEMENTS if several else ARRANGEMENTS[:5]
    contents = CONTENTS if objects > 2 else ("mixed", "alike", "surfaces", "two-styles") if several else ("mixed",)
    found = []
    for n in range(EACH):
        turn, which = divmod(n, len(arrangements))
        content = contents[(turn + which) % len(contents)]
        base = BASES[(turn + 2 * which) % len(BASES)]
        found.append(Sort(objects, arrangements[which], content, base, bool((turn + which // 2) % 2)))
    return found


# Where ----------------------------------------------------------------------------------------------------------------


def cells(rng: random.Random, objects: int, oblong: bool) -> tuple[tuple[int, int], Cells]:
    """A canvas and one cell an object, with the places that prompts have for them."""
    if objects > 4:
        width, height = (WIDE if oblong else SQUARE)[objects]
        if oblong:
            return (width, height), two_rows(width, height, objects)
        return (width, height), [nine(width, height)[n] for n in sorted(rng.sample(range(9), objects))]
    long = rng.choice((192, 256)) if oblong else 128
    size = (long, 128) if not oblong or rng.random() < 0.5 else (128, long)
    if objects == 1:
        return size, [("center", (0, 0, *size))]
    if objects == 2:
        return size, halves(*size, size[1] > size[0] or (not oblong and rng.random() < 0.5))
    return size, sorted(rng.sample(quarters(*size), objects))


def _centred(box: Box, side: int) -> Box:
    x1, y1, x2, y2 = box
    width, height = min(side, x2 - x1), min(side, y2 - y1)
    left, top = x1 + (x2 - x1 - width) // 2, y1 + (y2 - y1 - height) // 2
    return left, top, left + width, top + height


def _cornered(rng: random.Random, box: Box, number: int) -> Box:
    """In a corner of its cell, 60 to 75 % of it."""
    x1, y1, x2, y2 = box
    share = rng.uniform(0.6, 0.75)
    width, height = (max(SMALL, round(share * min(side, 128))) for side in (x2 - x1, y2 - y1))
    left, top = rng.choice((x1, x2 - width)), rng.choice((y1, y2 - height))
    return left, top, left + width, top + height


def _blob(rng: random.Random, box: Box, number: int) -> tuple[tuple[int, int], ...]:
    """An irregular polygon around the middle of a cell."""
    x1, y1, x2, y2 = _centred(box, 128)
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    corners = []
    for n in range(CORNERS):
        angle = 2 * math.pi * (n + rng.uniform(-0.3, 0.3)) / CORNERS
        share = rng.uniform(0.72, 1.0)
        corners.append(
            (round(cx + share * (x2 - x1) / 2 * math.cos(angle)), round(cy + share * (y2 - y1) / 2 * math.sin(angle)))
        )
    return tuple(corners)


def _strip(rng: random.Random, box: Box, number: int) -> Box:
    """As long as its cell, up to 96 pixels, and two tokens wide; anywhere in it."""
    x1, y1, x2, y2 = box
    upright = y2 - y1 >= x2 - x1 if abs((y2 - y1) - (x2 - x1)) > 16 else rng.random() < 0.5
    width, height = (THIN, min(96, y2 - y1)) if upright else (min(96, x2 - x1), THIN)
    left, top = rng.randint(x1, x2 - width), rng.randint(y1, y2 - height)
    return left, top, left + width, top + height


def _small_or_large(rng: random.Random, box: Box, number: int) -> Box:
    """Every other one small, anywhere in its cell."""
    if number % 2 == 0:
        return _centred(box, LARGEST)
    x1, y1, x2, y2 = box
    left, top = rng.randint(x1, x2 - SMALL), rng.randint(y1, y2 - SMALL)
    return left, top, left + SMALL, top + SMALL


CUTS: Mapping[str, Cut] = {
    "small-large": _small_or_large,
    "off-centre": _cornered,
    "free-form": _blob,
    "thin": _strip,
}
"""The region in a cell."""


def _grown(box: Box, size: tuple[int, int], by: int = 10) -> Box:
    x1, y1, x2, y2 = box
    return max(0, x1 - by), max(0, y1 - by), min(size[0], x2 + by), min(size[1], y2 + by)


def _nested(rng: random.Random, found: Cells, size: tuple[int, int]) -> Cells:
    """The last object's region in a corner of the largest other cell."""
    outer = max(range(len(found) - 1), key=lambda n: _room(found[n][1]))
    x1, y1, x2, y2 = found[outer][1]
    side = max(32, min(SMALL, round(0.4 * min(x2 - x1, y2 - y1))))
    left, top = rng.choice((x1 + 2, x2 - side - 2)), rng.choice((y1 + 2, y2 - side - 2))
    return [*found[:-1], (found[-1][0], (left, top, left + side, top + side))]


def _room(box: Box) -> int:
    return min(box[2] - box[0], box[3] - box[1])


# What -----------------------------------------------------------------------------------------------------------------


def contents(rng: random.Random, sort: Sort, style: str | None) -> list[Thing]:
    """The objects of a scene; `style` is that of all, None where it is not said or each has its own."""
    n, content = sort.objects, sort.content
    things = [Thing(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SURFACES), style) for _ in range(n)]
    if content == "alike":
        kind, colours = rng.choice(KINDS), rng.sample(COLOURS, n)
        things = [replace(thing, kind=kind, colour=colour) for thing, colour in zip(things, colours, strict=True)]
    elif content == "surfaces":
        colour, surfaces = rng.choice(COLOURS), rng.sample(SURFACES, len(SURFACES))
        things = [replace(t, colour=colour, surface=surfaces[i % len(surfaces)]) for i, t in enumerate(things)]
    elif content == "swapped":
        kinds = rng.sample(KINDS, 2)
        looks = [(colour, rng.choice(SURFACES), style) for colour in rng.sample(COLOURS, -(-n // 2))]
        things = [Thing(kind, *look) for look in looks for kind in kinds][:n]
        rng.shuffle(things)
    elif content == "two-styles":
        styles = rng.sample(STYLES, 2)
        things = [replace(thing, style=styles[i % 2]) for i, thing in enumerate(things)]
    return things


FREE: Mapping[str, tuple[str, ...]] = {
    "mixed": ("kind", "colour", "surface"),
    "alike": ("surface",),
    "surfaces": ("kind",),
    "two-styles": ("kind", "colour", "surface"),
}
"""What of one object may change while the content stays what it is."""


def other(rng: random.Random, sort: Sort, thing: Thing) -> Thing:
    """Another object in a thing's place."""
    drawn = Thing(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SURFACES))
    return replace(thing, **{name: getattr(drawn, name) for name in FREE[sort.content]})


def contradicting(rng: random.Random, things: Sequence[Thing]) -> list[Thing]:
    """Objects for the base prompt alone: the scene's own in other places, or else ones that differ in everything."""
    turned = [*things[1:], things[0]]
    if all(one.combination != other.combination for one, other in zip(things, turned, strict=True)):
        return turned
    values = (KINDS, COLOURS, SURFACES)
    return [
        Thing(*(rng.choice([v for v in of if v != old]) for of, old in zip(values, thing.combination, strict=True)))
        for thing in things
    ]


@dataclass(frozen=True)
class Frame:
    """What of a scene is settled before its objects are: canvas, places for words, areas, style."""

    size: tuple[int, int]
    places: Cells
    areas: tuple[Any, ...]
    style: str | None


def frame(rng: random.Random, sort: Sort) -> Frame:
    """A frame of a sort."""
    size, places = cells(rng, sort.objects, sort.oblong)
    style = None if sort.content == "two-styles" or rng.random() < 0.5 else rng.choice(STYLES)
    if sort.arrangement == "nested":
        if sort.objects == 2:  # one in the whole canvas, the other in its corner
            places = [("center", (0, 0, *size)), ("bottom right", (0, 0, *size))]
        places = _nested(rng, places, size)
    areas: list[Any] = [box for _, box in places]
    if sort.arrangement == "overlap":
        areas = [_grown(box, size) for box in areas]
    elif cut := CUTS.get(sort.arrangement):
        areas = [cut(rng, box, n) for n, box in enumerate(areas)]
    return Frame(size, places, tuple(areas), style)


def made(rng: random.Random, sort: Sort, within: Frame, things: Sequence[Thing], backdrop: Backdrop) -> ScenePlan:
    """A plan of a sort, with a high and a low text a region."""
    size, style = within.size, within.style
    plan = scene_plan(within.places, things, backdrop, style=style, levels=True, named=False, size=size)
    if sort.base != "counts":
        named = list(things) if sort.base == "names" else contradicting(rng, things)
        if style is not None:  # said once, behind everything
            named = [replace(thing, style=None) for thing in named]
        plan = plan.model_copy(update={"prompt": scene_text(within.places, named, backdrop, style)})
    regions = tuple(_in_area(region, area) for region, area in zip(plan.regions, within.areas, strict=True))
    plan = plan.model_copy(update={"regions": regions})
    return ScenePlan.model_validate(plan.model_dump(mode="json", exclude_defaults=True))


def _in_area(region: Region, area: Any) -> Region:
    shape = {"box": area} if isinstance(area[0], int) else {"box": None, "polygon": area}
    return region.model_copy(update=shape)


# The set --------------------------------------------------------------------------------------------------------------


def decoded(picture: Image.Image, vae: Any) -> Image.Image:
    """A picture as an autoencoder returns it: what a model that makes no mistake would show of it."""
    with torch.no_grad():
        latents = vae.encode(to_tensor([np.asarray(picture)]).to(vae.device)).latent_dist.mean
        pixels = vae.decode(latents).sample[0].float().clamp(-1, 1).cpu().permute(1, 2, 0).numpy()
    return Image.fromarray(((pixels + 1) * 127.5 + 0.5).astype(np.uint8))


def wrong(plan: ScenePlan, scorer: Scorer, vae: Any) -> tuple[list[int], bool]:
    """The regions of which the scorer does not find all, and whether the background is: in the exact picture of a
    plan, or where all is right there, in that picture as the autoencoder returns it."""
    picture = render(plan)
    failed, ground = _unseen(picture, plan, scorer)
    return (failed, ground) if failed or ground else _unseen(decoded(picture, vae), plan, scorer)


def _unseen(picture: Image.Image, plan: ScenePlan, scorer: Scorer) -> tuple[list[int], bool]:
    boxes = [box_around(region_mask(plan, n)) for n in range(len(plan.regions))]
    *found, whole = scorer.score_batch([picture] * (len(boxes) + 1), [*boxes, None])
    right = [verdict.right(region_thing(region)) for verdict, region in zip(found, plan.regions, strict=True)]
    ground = whole.right(plan_backdrop(plan))
    return [n for n, one in enumerate(right) if not all(one.values())], not all(ground.values())


def hard_scene(rng: random.Random, sort: Sort, scorer: Scorer, vae: Any) -> ScenePlan:
    """A plan of a sort that can be judged: objects that cannot are exchanged, and after some rounds everything.

    Raises:
        RuntimeError: none was found.
    """
    for _ in range(TRIES):
        within, backdrop = frame(rng, sort), random_backdrop(rng)
        things = contents(rng, sort, within.style)
        for _ in range(ROUNDS):
            plan = made(rng, sort, within, things, backdrop)
            if len(_TOKEN.findall(plan.prompt)) >= MAX_LENGTH:  # the model would not hear its end
                break
            failed, ground = wrong(plan, scorer, vae)
            if not failed and not ground:
                return plan
            if ground:
                backdrop = random_backdrop(rng)
            if failed and sort.content not in FREE:
                things = contents(rng, sort, within.style)
            elif failed:
                things = [other(rng, sort, thing) if n in failed else thing for n, thing in enumerate(things)]
    raise RuntimeError(f"no scene of {sort} can be judged")


def hard_scenes(seed: int = 0, each: int = EACH, numbers: Sequence[int] = OBJECTS) -> list[dict[str, Any]]:
    """The scenes as lines of the file: name, objects, tags and plan; the same for the same arguments, always."""
    scorer, vae, rows = Scorer.load(), load_pipeline().vae, []
    for objects in numbers:
        for number, sort in enumerate(sorts(objects)[:each]):
            rng = random.Random(f"hard scenes {seed} {objects} {number}")
            plan = hard_scene(rng, sort, scorer, vae)
            name = f"{objects}-{number + 1:02}-{sort.arrangement}-{sort.content}-{sort.base}"
            data = plan.model_dump(mode="json", exclude_defaults=True)
            rows.append({"name": name, "objects": objects, "tags": list(sort.tags), "plan": data})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the set, a scene a line."""
    parser = argparse.ArgumentParser(prog="python -m strata.miniature.hard_scenes", description="Make the hard scenes")
    parser.add_argument("-o", "--out", type=Path, default=Path("hard.jsonl"), help="file (default: hard.jsonl)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rows = hard_scenes(args.seed)
    write_atomic(args.out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()
