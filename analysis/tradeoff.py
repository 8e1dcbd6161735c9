"""Style against content: how far a change takes hold, and how much of the rest stays, by the way it is made.

Each scene is drawn once, and changed from the same noise in many ways: by its low texts in a stretch of the depth and
from a step on, alone or anchored; by its undivided texts; and by image-to-image with another prompt at several
strengths, which is what people do without levels. Either the style of everything changes, or colour and surface of
everything. A way is a point: the share of objects that changed as asked, against the share whose other attributes are
those before. Further up and to the right is better; no single number ranks ways that trade one for the other. The
scorer's own errors count as changes: of perfect pictures it finds the rest as before in about 84 %.

`python -m strata.analysis.tradeoff --scenes 60` draws, goes on where it was stopped, prints the table and draws it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from strata.analysis.measures import edge_similarity, same_place
from strata.analysis.statistics import Estimate, bootstrap, wilson
from strata.analysis.studies import open_study, study_parser
from strata.analysis.trials import ATTRIBUTES, Journal, Judge, layouts, part, random_thing
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Box, ScenePlan
from strata.injection.cut_texts import stock_call
from strata.injection.pipeline import RegionalPipeline
from strata.injection.streams import TextOverride
from strata.layers.ranges import Percent
from strata.layers.routing import Routing
from strata.miniature.world.facts import STYLES, TONES, Backdrop, Thing
from strata.miniature.world.phrases import full_text, low_text
from strata.miniature.world.truth import scene_plan, scene_text

CHANGES: Mapping[str, tuple[str, ...]] = {"style": ("style",), "look": ("colour", "surface")}
"""What is changed of every object; its other attributes are to stay."""
DEPTHS = ((0.0, 100.0), (0.0, 33.0), (0.0, 50.0), (33.0, 66.0), (50.0, 100.0))
"""Percent of the blocks in which new low texts are visible; the old ones are in the others."""
STARTS = (0.0, 5.0, 10.0, 20.0, 35.0)
"""Percent of the steps after which new texts are visible."""
PART_STARTS = (0.0, 10.0)
"""The same, of texts that are new in a part of the depth."""
STRENGTHS = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Of image-to-image."""
SHARES = ("changed", "stays", "both", "kind")
MEASURES = (*SHARES, "place", "edges")


@dataclass(frozen=True)
class Way:
    """One way to make a change.

    Attributes:
        text: "low", "anchored" (low texts behind their content), "full" (undivided), or "img2img".
        depth: percent of the blocks, from and to.
        start: percent of the steps.
        strength: of image-to-image.
    """

    text: str
    depth: tuple[float, float] = (0.0, 100.0)
    start: float = 0.0
    strength: float = 1.0

    @property
    def name(self) -> str:
        """For tables and journals."""
        if self.text == "img2img":
            return f"img2img {self.strength:g}"
        depth = "" if self.depth == (0.0, 100.0) else f", depth {self.depth[0]:g}-{self.depth[1]:g}%"
        return f"{self.text}{depth}, from {self.start:g}%"


def ways() -> list[Way]:
    """All that are compared."""
    return [
        *(Way(text, DEPTHS[0], start) for text in ("anchored", "low", "full") for start in STARTS),
        *(Way("anchored", depth, start) for depth in DEPTHS[1:] for start in PART_STARTS),
        *(Way("img2img", strength=strength) for strength in STRENGTHS),
    ]


@dataclass(frozen=True)
class ChangeScene:
    """Two objects, what they are to become, and the plans by level and undivided."""

    things: tuple[Thing, ...]
    targets: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    plans: tuple[ScenePlan, ScenePlan]
    prompt: str
    """Names everything as it is to be, for image-to-image."""
    before: str
    """Names everything as it is."""
    seed: int


def scenes(count: int, change: str, seed: int = 0) -> list[ChangeScene]:
    """Scenes of two regions, always the same for a seed; all objects of a scene have one style.

    The base prompt of plans says the content alone ("a boat on the left and a sun on the right"), which no change
    touches. Their grounds are grey, so that an object's place can be measured by its colour.
    """
    rng = random.Random(f"tradeoff {change} {seed}")
    found = []
    for _ in range(count):
        size, areas = layouts(2, rng)
        style = rng.choice(STYLES)
        things = tuple(replace(random_thing(rng), style=style) for _ in areas)
        other = rng.choice([s for s in STYLES if s != style])
        targets = []
        for thing in things:
            new = replace(random_thing(rng, unlike=thing), style=other)
            targets.append(replace(thing, **{name: getattr(new, name) for name in CHANGES[change]}))
        backdrop = Backdrop("plain", rng.choice(TONES))
        divided, undivided = (
            scene_plan(areas, things, backdrop, levels=levels, size=size).model_copy(
                update={"prompt": scene_text(areas, [Thing(thing.kind) for thing in things], backdrop)}
            )
            for levels in (True, False)
        )
        unstyled = [[replace(t, style=None) for t in group] for group in (things, targets)]
        before = scene_text(areas, unstyled[0], backdrop, style)
        prompt = scene_text(areas, unstyled[1], backdrop, targets[0].style)
        boxes = tuple(box for _, box in areas)
        seed_of = rng.getrandbits(31)
        found.append(ChangeScene(things, tuple(targets), boxes, (divided, undivided), prompt, before, seed_of))
    return found


def overrides(scene: ChangeScene, way: Way, steps: int, blocks: int) -> list[TextOverride]:
    """The new texts of every region, where and when the way has them visible.

    Raises:
        InputError: no step or no block is left.
    """
    when = ~Percent(0, way.start).select(steps) if way.start > 0 else np.ones(steps, dtype=bool)
    where = Percent(*way.depth).select(blocks)
    if not when.any() or not where.any():
        raise InputError(f"{way.name}: leaves none of {steps} steps or {blocks} blocks")
    mask = when[:, None] & where[None]
    write, level = (full_text, "full") if way.text == "full" else (low_text, "low")
    regions = scene.plans[way.text == "full"].regions
    return [
        TextOverride(region.name, level, write(target), mask)  # type: ignore[arg-type]
        for region, target in zip(regions, scene.targets, strict=True)
    ]


def measured(
    before: Image.Image, after: Image.Image, scene: ChangeScene, change: str, judge: Judge
) -> dict[str, float]:
    """Means over a scene's objects.

    `changed`: what was to change is as asked; `stays`: the rest is as it was before; `both`; `kind`: that alone stays;
    `place`: `same_place`, `edges`: `edge_similarity`, in the regions.
    """
    boxes = list(scene.boxes)
    was, now = judge.verdicts([before, after], boxes)
    rows = []
    for box, target, old, new in zip(boxes, scene.targets, was, now, strict=True):
        changed = all(getattr(new, name) == getattr(target, name) for name in CHANGES[change])
        stays = all(getattr(new, name) == getattr(old, name) for name in ATTRIBUTES if name not in CHANGES[change])
        pair = part(before, box), part(after, box)
        marks = (changed, stays, changed and stays, new.kind == old.kind)
        rows.append((*marks, same_place(*pair), edge_similarity(*pair)))
    return dict(zip(MEASURES, (round(float(x), 5) for x in np.mean(rows, axis=0)), strict=True))


class Painter:
    """Draws scenes before and after a change.

    Args:
        pipe: a stock FluxPipeline.
        routing: of plans.
        steps: sampling steps.
        options: of every call.
    """

    def __init__(self, pipe: Any, routing: Routing, steps: int, options: Mapping[str, Any]) -> None:
        from diffusers import FluxImg2ImgPipeline

        self.steps, self.pipe, self.options = steps, pipe, dict(options)
        self.regional = {
            anchor: RegionalPipeline(pipe, routing.model_copy(update={"anchor": anchor})) for anchor in (False, True)
        }
        self.again = FluxImg2ImgPipeline(**pipe.components)
        self.again.set_progress_bar_config(disable=True)

    def _plain(self, pipe: Any, prompt: str, scene: ChangeScene, **more: Any) -> Image.Image:
        import torch

        plan = scene.plans[0]
        size = {"width": plan.width, "height": plan.height, "num_inference_steps": self.steps}
        generator = torch.Generator().manual_seed(scene.seed)
        with stock_call(pipe, [prompt]):
            image: Image.Image = pipe(prompt, generator=generator, **size, **self.options, **more).images[0]
        return image

    def _planned(self, scene: ChangeScene, way: Way, changes: Sequence[TextOverride] = ()) -> Image.Image:
        regional = self.regional[way.text == "anchored"]
        image: Image.Image = regional(
            scene.plans[way.text == "full"], seed=scene.seed, overrides=changes, num_inference_steps=self.steps
        ).images[0]
        return image

    def before(self, scene: ChangeScene, way: Way) -> Image.Image:
        """The picture that a way changes: image-to-image starts from the one that its old prompt drew."""
        if way.text == "img2img":
            return self._plain(self.pipe, scene.before, scene)
        return self._planned(scene, way)

    def after(self, scene: ChangeScene, way: Way, before: Image.Image) -> Image.Image:
        """The changed picture."""
        if way.text == "img2img":
            return self._plain(self.again, scene.prompt, scene, image=before, strength=way.strength)
        blocks = sum(self.regional[True].facts.block_counts)
        return self._planned(scene, way, overrides(scene, way, self.steps, blocks))


def key(change: str, number: int, way: Way) -> str:
    """Names a run in the journal."""
    return f"{change} {number} {way.name}"


def study(
    painter: Painter, change: str, todo: Sequence[ChangeScene], compared: Sequence[Way], journal: Journal, judge: Judge
) -> Iterator[str]:
    """Draw and measure what the journal lacks; yields each run's key when it is kept."""
    for number, scene in enumerate(todo):
        drawn: dict[str, Image.Image] = {}
        for way in compared:
            if key(change, number, way) in journal.rows:
                continue
            if way.text not in drawn:
                drawn[way.text] = painter.before(scene, way)
            before = drawn[way.text]
            after = painter.after(scene, way, before)
            journal.add(key(change, number, way), measured(before, after, scene, change, judge))
            yield key(change, number, way)


def result(journal: Journal, change: str, count: int, compared: Sequence[Way]) -> dict[str, dict[str, Estimate]]:
    """Every way's measures; shares with Wilson intervals on the number of scenes, place and edges by bootstrap."""
    found = {}
    for way in compared:
        rows = [journal.rows[key(change, number, way)] for number in range(count)]
        values = {name: np.array([row[name] for row in rows]) for name in MEASURES}
        found[way.name] = {
            name: wilson(float(x.mean()), len(x)) if name in SHARES else bootstrap(x)[0] for name, x in values.items()
        }
    return found


def table(change: str, found: Mapping[str, Mapping[str, Estimate]]) -> str:
    """For the terminal: percent with 95 % intervals, best of `both` first."""
    width = max(map(len, found)) + 2
    head = f"{change + ' changed by':{width}}" + "".join(f"{name:<16}" for name in MEASURES)
    ranked = sorted(found.items(), key=lambda pair: -pair[1]["both"].value)
    lines = [f"{name:{width}}" + "".join(f"{values[m].text():<16}" for m in MEASURES) for name, values in ranked]
    return "\n".join([head, *lines])


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the tables, writes tradeoff.json and .png beside the journal."""
    from strata.analysis.charts import check_matplotlib, save_figure
    from strata.analysis.tradeoff_plots import draw_tradeoff
    from strata.miniature.model.text import MAX_LENGTH

    parser = study_parser("Style against content, by the way a change is made.", "tradeoff", 60)
    parser.add_argument("--changes", nargs="+", choices=tuple(CHANGES), default=tuple(CHANGES))
    with open_study(parser, argv) as opened:
        check_matplotlib()
        compared, judge, count = ways(), Judge(), opened.args.scenes
        painter = Painter(opened.pipe, opened.routing, opened.args.steps, {"max_sequence_length": MAX_LENGTH})
        studies = {}
        for change in opened.args.changes:
            todo = scenes(count, change, opened.args.seed)
            keys = [key(change, number, way) for number in range(count) for way in compared]
            opened.draw(change, keys, study(painter, change, todo, compared, opened.journal, judge))
            found = result(opened.journal, change, count, compared)
            print(table(change, found) + "\n")
            studies[change] = found
        opened.write(
            **{
                change: {name: {m: e.as_data() for m, e in values.items()} for name, values in found.items()}
                for change, found in studies.items()
            }
        )
        title = f"miniature: {count} scenes, {opened.args.steps} steps, {opened.routing.name}"
        print(save_figure(draw_tradeoff(studies, title), opened.args.out / "tradeoff.png"))


if __name__ == "__main__":
    main()
