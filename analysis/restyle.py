"""Does a change of style leave the content alone? By level against one undivided text, from several steps on.

Each scene is drawn from one noise in three ways: with a high and a low text a region ("high + low"), with the low text
behind the high one ("anchored", see `Routing.anchor`), and with one undivided text ("full", as Regional-Prompting-FLUX,
arXiv 2411.02395, has it). Then the first region is to have another colour and another surface, its shape and all the
rest staying: in the first ways its low text is another one, in the last its undivided text, from the first step or from
a later one. Every picture is compared with the unchanged one of its own way. Objects, before and after, are of
combinations kept out of the miniature's training.

`python -m strata.analysis.restyle --scenes 200` draws, goes on where it was stopped, and prints the table.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2gray
from skimage.filters import sobel
from skimage.measure import label
from skimage.metrics import structural_similarity
from skimage.morphology import convex_hull_image

from strata.analysis.measures import Pixels, pixel_change
from strata.analysis.statistics import Estimate, bootstrap, wilson
from strata.analysis.trials import Journal, Judge, layouts, part
from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.files import dump_json, quote, write_atomic
from strata.hierarchy.plan import Box, ScenePlan
from strata.hierarchy.restyle import restyled
from strata.injection.pipeline import RegionalPipeline
from strata.injection.streams import TextOverride
from strata.layers.ranges import Percent
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.miniature.world.language import HELD_OUT, Thing, full_text, low_text
from strata.miniature.world.scenes import random_backdrop
from strata.miniature.world.truth import scene_plan

Way = Literal["high + low", "anchored", "full"]
WAYS: tuple[Way, ...] = ("high + low", "anchored", "full")
STARTS = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0)
"""Percent of the steps after which the new text is visible."""
SHARES = ("before", "colour", "surface", "shape", "other", "background", "all")
"""What is counted; see `compared`."""
AMOUNTS = ("place", "edges", "other_change")
"""What is averaged."""
GAINS = ("all", "place", "edges")
"""What the ways are compared by on the same scenes."""
_CHROMA = 30
"""Of 255: objects are coloured, backgrounds are grey. Hulls of a rendered object in two styles then overlap to 97 %."""
_SPECK = 6
"""Pixels; smaller patches of colour are the autoencoder's."""


@dataclass(frozen=True)
class RestyleScene:
    """One or two objects, what the first is to become, and the plans of both ways."""

    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    target: Thing
    plans: tuple[ScenePlan, ScenePlan]
    """By level, and undivided."""
    seed: int

    def plan(self, way: Way) -> ScenePlan:
        """The plan of a way, unchanged."""
        return self.plans[way == "full"]

    def changed(self, way: Way) -> ScenePlan:
        """The plan with the first region's new text."""
        area = self.plans[0].regions[0].name
        if way != "full":
            return restyled(self.plans[0], {area: low_text(self.target)})
        plan = self.plans[1]
        region = plan.regions[0].model_copy(update={"full": full_text(self.target)})
        return plan.model_copy(update={"regions": (region, *plan.regions[1:])})

    def kept_until(self, way: Way, early: NDArray[np.bool_]) -> TextOverride:
        """The old text, at the steps `early` [T]."""
        area, thing = self.plans[0].regions[0].name, self.things[0]
        if way != "full":
            return TextOverride(area, "low", low_text(thing), early[:, None])
        return TextOverride(area, "full", full_text(thing), early[:, None])


def scenes(count: int, seed: int = 0) -> list[RestyleScene]:
    """Scenes of one and of two regions in turn, always the same for a seed; the base prompt only counts the objects."""
    rng = random.Random(f"restyle {seed}")
    combinations = sorted(HELD_OUT)
    found = []
    for number in range(count):
        size, areas = layouts(1 + number % 2, rng)
        things = tuple(Thing(*rng.choice(combinations)) for _ in areas)
        same_shape = [c for c in combinations if c[0] == things[0].shape and c != things[0].combination]
        target = Thing(*rng.choice(same_shape))
        backdrop = random_backdrop(rng)
        divided, undivided = (
            scene_plan(areas, things, backdrop, levels, named=False, size=size) for levels in (True, False)
        )
        boxes = tuple(box for _, box in areas)
        found.append(RestyleScene(things, boxes, target, (divided, undivided), rng.getrandbits(31)))
    return found


# What is measured -----------------------------------------------------------------------------------------------------


def hull(pixels: Pixels) -> NDArray[np.bool_]:
    """The convex hull of what is coloured, bool `[height, width]`."""
    coloured = np.ptp(pixels.astype(np.int16), axis=2) > _CHROMA
    patches = label(coloured, connectivity=2)
    sizes = np.bincount(patches.ravel())
    large = coloured & (sizes >= _SPECK)[patches]
    whole: NDArray[np.bool_] = convex_hull_image(large) if large.any() else large
    return whole


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Intersection over union; None where both are empty."""
    union = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / union) if union else None


def edge_similarity(one: Pixels, other: Pixels) -> float:
    """SSIM (Wang et al. 2004, eq. 13) of the luminances' Sobel edges; 1 is the same."""
    edges = [sobel(rgb2gray(pixels)) for pixels in (one, other)]
    return float(structural_similarity(*edges, data_range=1.0))


def compared(
    before: Sequence[Image.Image], after: Sequence[Image.Image], scene: RestyleScene, judge: Judge
) -> list[dict[str, float | None]]:
    """For every picture what is right (0 or 1), and how much is the same.

    `before`: the unchanged picture holds the object it should; `colour` and `surface` are those asked for; `shape` is
    the one before; `other`: shape, colour and surface of the other object are those before; `background`: so are
    pattern and tone; `all`: colour, surface, shape and other.
    `place`: intersection over union of the object's convex hulls; `edges`: `edge_similarity` in its region;
    `other_change`: mean absolute difference in the other's region. None: there is no other object.
    """
    boxes = [*scene.boxes, None]
    rows = []
    for old, new, was, now in zip(
        before, after, judge.verdicts(before, boxes), judge.verdicts(after, boxes), strict=True
    ):
        right = now[0].right(scene.target)
        pixels = [part(image, scene.boxes[0]) for image in (old, new)]
        row: dict[str, float | None] = {"before": float(all(was[0].right(scene.things[0]).values()))}
        row |= {name: float(right[name]) for name in ("colour", "surface")}
        row["shape"] = float(now[0].shape == was[0].shape)
        row["other"] = row["other_change"] = None
        if len(scene.boxes) > 1:
            row["other"] = float(all(getattr(now[1], n) == getattr(was[1], n) for n in ("shape", "colour", "surface")))
            row["other_change"] = pixel_change(*(part(image, scene.boxes[1]) for image in (old, new)))
        row["background"] = float((now[-1].pattern, now[-1].tone) == (was[-1].pattern, was[-1].tone))
        row["all"] = float(all(row[name] in (1.0, None) for name in ("colour", "surface", "shape", "other")))
        row["place"] = overlap(*(hull(p) for p in pixels))
        row["edges"] = edge_similarity(*pixels)
        rows.append({name: value if value is None else round(value, 5) for name, value in row.items()})
    return rows


# The study ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RestyleSetup:
    """What decides the results beside scenes and routing."""

    images: int = 1
    steps: int = 20
    starts: tuple[float, ...] = STARTS

    def early(self, start: float) -> NDArray[np.bool_]:
        """The steps before a start, bool `[T]`.

        Raises:
            InputError: no step is left.
        """
        early = Percent(0, start).select(self.steps) if start > 0 else np.zeros(self.steps, dtype=bool)
        if not 0 <= start < 100 or early.all():
            raise InputError(f"--starts {start:g}: must be from 0 and leave one of {self.steps} steps")
        return early


def key(number: int, way: Way, start: float) -> str:
    """Names a run in the journal."""
    return f"{number} {way} {start:g}%"


def study(
    pipe: Any, routing: Routing, todo: Sequence[RestyleScene], setup: RestyleSetup, journal: Journal, judge: Judge
) -> Iterator[str]:
    """Draw and measure what the journal lacks; yields each run's key when it is kept."""
    pipelines = {way: RegionalPipeline(pipe, routing.model_copy(update={"anchor": way == "anchored"})) for way in WAYS}
    options: dict[str, Any] = {"num_inference_steps": setup.steps, "num_images_per_prompt": setup.images}
    for number, scene in enumerate(todo):
        for way in WAYS:
            regional, plan = pipelines[way], scene.plan(way)
            missing = [start for start in setup.starts if key(number, way, start) not in journal.rows]
            if not missing:
                continue
            before = regional(plan, seed=scene.seed, **options).images
            changed = scene.changed(way)
            for start in missing:
                early = setup.early(start)
                swaps = [scene.kept_until(way, early)] if early.any() else []
                after = regional(changed, seed=scene.seed, overrides=swaps, **options).images
                journal.add(key(number, way, start), compared(before, after, scene, judge))
                yield key(number, way, start)


@dataclass(frozen=True)
class RestyleScore:
    """One way from one start on; shares with Wilson intervals on the number of scenes, amounts by bootstrap."""

    way: Way
    start: float
    values: dict[str, Estimate]


@dataclass(frozen=True)
class Result:
    """The table, and what the ways by level have over the undivided text on the same scenes, by way, start, name."""

    rows: tuple[RestyleScore, ...]
    gains: Mapping[tuple[str, float, str], Estimate]

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rows": [
                {"way": row.way, "start": row.start, **{n: e.as_data() for n, e in row.values.items()}}
                for row in self.rows
            ],
            "gains": [
                {"way": way, "start": start, "of": name, **gain.as_data()}
                for (way, start, name), gain in self.gains.items()
            ],
        }

    def table(self) -> str:
        """For the terminal: percent with 95 % intervals."""
        names = (*SHARES, *AMOUNTS)
        lines = [f"{'text':<11}{'from':>5}  " + "".join(f"{name:<16}" for name in names)]
        for row in self.rows:
            cells = "".join(f"{row.values[name].text(digits=int(name == 'other_change')):<16}" for name in names)
            lines.append(f"{row.way:<11}{f'{row.start:g}%':>5}  {cells}")
        lines += ["", f"{'less full':<11}{'':>5}  " + "".join(f"{name:<16}" for name in GAINS)]
        for way, start in dict.fromkeys((way, start) for way, start, _ in self.gains):
            cells = "".join(f"{self.gains[way, start, name].text():<16}" for name in GAINS)
            lines.append(f"{way:<11}{f'{start:g}%':>5}  {cells}")
        return "\n".join(lines)


def result(journal: Journal, count: int, setup: RestyleSetup) -> Result:
    """What the journal's first `count` scenes show."""

    def marks(way: Way, start: float, name: str) -> NDArray[np.float64]:
        rows = [journal.rows[key(number, way, start)] for number in range(count)]
        values = [[np.nan if row[name] is None else row[name] for row in scene] for scene in rows]
        return np.array([np.nan if np.isnan(scene).all() else np.nanmean(scene) for scene in values])

    def estimate(way: Way, start: float, name: str) -> Estimate:
        found = marks(way, start, name)
        found = found[~np.isnan(found)]
        if not len(found):
            return Estimate(np.nan, np.nan, np.nan)
        return wilson(float(found.mean()), len(found)) if name in SHARES else bootstrap(found)[0]

    rows = tuple(
        RestyleScore(way, start, {name: estimate(way, start, name) for name in (*SHARES, *AMOUNTS)})
        for start in setup.starts
        for way in WAYS
    )
    gains: dict[tuple[str, float, str], Estimate] = {
        (way, start, name): bootstrap(marks(way, start, name) - marks("full", start, name))[0]
        for start in setup.starts
        for way in WAYS
        if way != "full"
        for name in GAINS
    }
    return Result(rows, gains)


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the table and writes it as restyle.json beside the journal."""
    from tqdm import tqdm

    from strata.miniature import load

    parser = argparse.ArgumentParser(description="Style changed by level against one undivided text, measured.")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--images", type=int, default=1, help="pictures a scene, drawn together")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--starts", type=float, nargs="+", default=STARTS, help="percent of the steps")
    parser.add_argument("--routing", default=DEFAULT_ROUTING, help="a preset or a file")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    parser.add_argument("--out", type=Path, default=Path("out/restyle-study"))
    args = parser.parse_args(argv)
    try:
        if args.scenes < 2 or args.images < 1 or args.steps < 1:
            raise InputError("--scenes must be at least 2, --images and --steps at least 1")
        routing = Routing.load(args.routing)
        if "low" not in (rule.level for rule in routing.rules):
            raise InputError(f"routing {quote(routing.name)}: hears no low texts; choose another")
        setup = RestyleSetup(args.images, args.steps, tuple(dict.fromkeys(args.starts)))
        for start in setup.starts:
            setup.early(start)
        settings = {"routing": routing.to_yaml(), "images": args.images, "steps": args.steps, "seed": args.seed}
        journal = Journal(args.out / "journal.jsonl", settings)
        pipe = load()
        pipe.set_progress_bar_config(disable=True)
        todo = scenes(args.scenes, args.seed)
        runs = [key(n, way, start) for n in range(len(todo)) for way in WAYS for start in setup.starts]
        done = sum(run in journal.rows for run in runs)
        with tqdm(total=len(runs), initial=done, desc="restyle", disable=None, unit="run") as progress:
            for _ in study(pipe, routing, todo, setup, journal, Judge()):
                progress.update()
        found = result(journal, args.scenes, setup)
        print(found.table())
        report = settings | {"scenes": args.scenes, **found.as_data()}
        write_atomic(args.out / "restyle.json", dump_json(report))
    except StrataError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
