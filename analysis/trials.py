"""Scenes to try an intervention on, what they should hold, and a journal of results that a stopped study goes on from.

The scenes are of the miniature's language, so what a picture should hold is known exactly. Any FLUX model can draw
them; the exact scorer judges the miniature's pictures alone.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from strata.analysis.measures import Pixels
from strata.hierarchy.errors import InputError, SettingError, quote
from strata.hierarchy.files import first_difference
from strata.hierarchy.plan import Box, ScenePlan
from strata.miniature.world.facts import COLOURS, KINDS, STYLES, SURFACES, Backdrop, Thing
from strata.miniature.world.scenes import grid, halves, quarters, random_backdrop
from strata.miniature.world.scorer import Scorer, Verdict
from strata.miniature.world.truth import scene_plan

CELL = 64
"""Pixels a side of a region in grids of more than four; canvases are two of them high."""
CONTENT: Mapping[str, tuple[str, ...]] = {"kind": KINDS}
"""What high texts say of an object."""
DETAIL: Mapping[str, tuple[str, ...]] = {"colour": COLOURS, "surface": SURFACES, "style": STYLES}
"""What low texts say of an object."""
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {**CONTENT, **DETAIL}
"""What is judged of an object, with its values."""


@dataclass(frozen=True)
class Trial:
    """A plan in the scene language, its truth, and what its first object could be instead.

    Attributes:
        other: differs from the first object in everything that texts say of it.
        seed: of the noise.
    """

    plan: ScenePlan
    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    backdrop: Backdrop
    other: Thing
    seed: int


def layouts(regions: int, rng: random.Random, large: bool = True) -> tuple[tuple[int, int], list[tuple[str, Box]]]:
    """Canvas size and regions: halves (`large`) or quarters of 128×128 pixels up to four regions, then a grid of cells.

    Raises:
        InputError: no layout has so many regions.
    """
    side = 2 * CELL
    if regions <= 2 and large:
        return (side, side), halves(side, side, rng.random() < 0.5)[:regions]
    if regions <= 4:
        return (side, side), sorted(rng.sample(quarters(side, side), regions))
    if regions in (6, 8):
        columns = regions // 2
        boxes = grid(columns * CELL, side, columns, 2)
        names = [f"row {row}, column {column}" for row in (1, 2) for column in range(1, columns + 1)]
        return (columns * CELL, side), list(zip(names, boxes, strict=True))
    raise InputError(f"regions: {regions}: there are scenes of 1, 2, 3, 4, 6 or 8 regions")


def random_thing(rng: random.Random, unlike: Thing | None = None) -> Thing:
    """An object with all that texts can say of it; `unlike` another one in everything."""
    return Thing(
        **{
            name: rng.choice([value for value in values if unlike is None or value != getattr(unlike, name)])
            for name, values in ATTRIBUTES.items()
        }
    )


def trials(
    count: int, regions: int = 2, large: bool = True, seed: int | str = 0, scale: int = 1, levels: bool = True
) -> list[Trial]:
    """Scenes with a high and a low text a region and a base prompt that does not name the objects.

    What is drawn of an object can so come from its region's texts alone: each has a style of its own, too. The same
    for the same arguments, always.

    Args:
        count: how many.
        regions: of each: 1, 2, 3, 4, 6 or 8.
        large: of one or two regions: halves of the canvas instead of quarters.
        seed: of the choice.
        scale: canvases are so many times 128 pixels high; 1 for the miniature, 8 for FLUX.1.
        levels: False: one `full` text a region.
    """
    rng = random.Random(f"trials {regions} {large} {seed}")
    found = []
    for _ in range(count):
        size, areas = layouts(regions, rng, large)
        things = [random_thing(rng) for _ in areas]
        other = random_thing(rng, unlike=things[0])
        backdrop = random_backdrop(rng)
        plan = scene_plan(areas, things, backdrop, levels=levels, named=False, size=size)
        plan = plan.resized(scale * size[0], scale * size[1])
        boxes = tuple((x1 * scale, y1 * scale, x2 * scale, y2 * scale) for _, (x1, y1, x2, y2) in areas)
        found.append(Trial(plan, tuple(things), boxes, backdrop, other, rng.getrandbits(31)))
    return found


def part(image: Image.Image, box: Box) -> Pixels:
    """What of a picture lies in a box."""
    x1, y1, x2, y2 = box
    return np.asarray(image.convert("RGB"))[y1:y2, x1:x2]


def seconds_per_scene(regional: Callable[..., object], trial: Trial, options: Mapping[str, Any]) -> float:
    """What drawing a scene takes here, from doing it once; a first step warms up and does not count.

    Args:
        regional: a `RegionalPipeline`.
        trial: the scene.
        options: of the call.
    """
    regional(trial.plan, seed=trial.seed, **{**options, "num_inference_steps": 1})
    begin = time.perf_counter()
    regional(trial.plan, seed=trial.seed, **options)
    return time.perf_counter() - begin


class Judge:
    """The exact scorer, for pictures of the miniature's size; loaded on first use."""

    @cached_property
    def scorer(self) -> Scorer:
        """The bundled scorer."""
        return Scorer.load()

    def verdicts(self, images: Sequence[Image.Image], boxes: Sequence[Box | None]) -> list[list[Verdict]]:
        """What each picture holds in each box: `[image][box]`."""
        flat = self.scorer.score_batch([i for i in images for _ in boxes], list(boxes) * len(images))
        return [flat[n : n + len(boxes)] for n in range(0, len(flat), len(boxes))]


class Journal:
    """Results, one JSON line each under a key, appended as they come; reading forgives a line cut short.

    Args:
        path: of the `.jsonl` file.
        settings: what decides the results; a journal of other settings is refused.
        check: raises `ValueError` for what is no result.

    Raises:
        InputError: the file holds results of other settings, is no journal, or holds what is no result.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], check: Callable[[Any], object] = lambda _: None
    ) -> None:
        self.path, self.rows = path, dict[str, Any]()
        lines = path.read_bytes().splitlines() if path.exists() else []
        if lines:
            self._read(lines, settings, check)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = [{"settings": dict(settings)}, *({"key": key, "value": value} for key, value in self.rows.items())]
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in whole), encoding="utf-8")
        temporary.replace(path)

    def _read(self, lines: Sequence[bytes], settings: Mapping[str, Any], check: Callable[[Any], object]) -> None:
        try:
            kept = dict(json.loads(lines[0])["settings"])
        except (ValueError, LookupError, TypeError) as error:
            raise SettingError(f"{self.path}: is no journal of a study; give another <out>, or remove it") from error
        if (other := first_difference(kept, settings)) is not None:
            name, found, given = other
            raise SettingError(
                f"{self.path}: holds results with {name} {found!r}, not {given!r}; give another <out>, or remove it"
            )
        for number, line in enumerate(lines[1:], start=2):
            try:
                row = json.loads(line)
                check(row["value"])
                self.rows[row["key"]] = row["value"]
            except (ValueError, LookupError, TypeError) as error:
                if number < len(lines):
                    what = (
                        f"{quote(line[:60].decode(errors='replace'))}; remove the line, and what it held is made again"
                    )
                    raise InputError(f"{self.path}, line {number}: is damaged: {what}") from error

    def add(self, key: str, value: Any) -> None:
        """Keep a result, on disk before it returns."""
        self.rows[key] = value
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")
            file.flush()
            os.fsync(file.fileno())
