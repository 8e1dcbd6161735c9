"""The search of a routing by measurement; `calibration.py` puts it together, with a report on other scenes.

1. Where: each level in all blocks, in the stretch where the role study found it to act, or in a shallow or deep part;
   how long regions are isolated, how long texts are visible, how much base: successive halving (Jamieson & Talwalkar
   2016, algorithm 1) over candidates drawn at random, the presets' values among them.
2. Balance: with those rules, base ratio and steps anew for plans of 1, 2, 3, 4, 6 and 8 regions, large and small; what
   is no better than the rules' own values beyond its standard error stays as it was.

Every text rides along to the last block in which it is visible, so what a routing costs is known without drawing. Where
a price is set, nothing dearer is tried.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strata.analysis.budget import RATIOS, SEARCHED, Budget, Layout, survivors
from strata.analysis.clip_judge import ClipJudge
from strata.analysis.roles import Curve
from strata.analysis.trials import Journal, Judge, Trial, trials
from strata.injection.description import cost_of
from strata.injection.families import facts_of, family_of
from strata.injection.methods import method_for
from strata.injection.pipeline import RegionalPipeline
from strata.injection.program import compile_program
from strata.layers.routing import Routing

ACTING = 0.8
"""The share of a level's effect that its stretch of blocks holds."""
BACKGROUND = 0.25
"""The background's weight in a score; the objects have the rest."""


@dataclass(frozen=True)
class Candidate:
    """A point of the search; depths and steps as shares from 0 to 1.

    The first is the default preset but for the base prompt: the scenes' only count their regions, and are heard as they
    are, for beside one that says everything no text's own part could be told.
    """

    high: tuple[float, float] = (0.0, 1.0)
    low: tuple[float, float] = (0.0, 1.0)
    isolate: float = 0.2
    until: float = 1.0
    base_ratio: float = 0.15
    anchor: bool = True

    def routing(self, name: str = "candidate") -> Routing:
        """As a routing: isolated at first, open then, plain FLUX from `until` on."""
        spans = [(0.0, min(self.isolate, self.until), True), (min(self.isolate, self.until), self.until, False)]
        rules: list[dict[str, Any]] = []
        for start, stop, isolate in spans:
            if start >= stop:
                continue
            for level, depth in (("high", self.high), ("low", self.low), ("full", (0.0, 1.0))):
                rule: dict[str, Any] = {"level": level}
                if depth != (0.0, 1.0):
                    rule["depth"] = _percent(*depth)
                if (start, stop) != (0.0, 1.0):
                    rule["steps"] = _percent(start, stop)
                rules.append(rule | ({"isolate": True} if isolate else {}))
        blend = {"mode": "shared", "base_ratio": self.base_ratio}
        how = {"blend": blend, "anchor": self.anchor, "background_in_regions": True, "overlap": "split"}
        return Routing.model_validate({"name": name, **how, "rules": rules})


def _percent(start: float, stop: float) -> str:
    return f"{100 * start:g}%-{100 * stop:g}%"


def stretch(curve: Curve, blocks: int, share: float = ACTING) -> tuple[float, float]:
    """The shortest stretch of depth, as shares, that holds `share` of what an `alone` curve rises above its least.

    A block's effect is the mean over the windows that cover it. All of the depth where nothing acts by itself.
    """
    rise = np.zeros(blocks)
    for block in range(blocks):
        over = [p.value for p, (a, b) in zip(curve.points, curve.windows, strict=True) if a <= block <= b]
        rise[block] = max(0.0, float(np.mean(over)) - curve.least.value) if over else 0.0
    if rise.sum() <= 0:
        return 0.0, 1.0
    held = np.concatenate([[0.0], np.cumsum(rise) / rise.sum()])
    ways = [(b - a, a, b) for a, b in itertools.combinations(range(blocks + 1), 2) if held[b] - held[a] >= share]
    _, first, stop = min(ways)
    return round(first / blocks, 4), round(stop / blocks, 4)


def candidates(
    count: int,
    acting: Mapping[str, tuple[float, float]],
    seed: int = 0,
    affordable: Callable[[Candidate], bool] = lambda candidate: True,
) -> list[Candidate]:
    """Points to start from: the default preset's values, then others at random, none twice.

    Args:
        count: how many, at most.
        acting: the stretches of "high" and "low" by the role study; empty without one.
        seed: of the choice.
        affordable: others are passed over.
    """
    every = (0.0, 1.0)
    depths = [(every, every), ((0.0, 0.33), (0.33, 1.0)), ((0.33, 1.0), (0.0, 0.33)), ((0.0, 0.5), (0.5, 1.0))]
    depths += [((0.5, 1.0), (0.0, 0.5)), ((0.0, 0.5), (0.0, 0.5))]
    if acting:
        high, low = acting["high"], acting["low"]
        early = (0.0, max(high[1], low[1]))
        depths += [(high, low), (high, every), (every, low), (early, early)]
    grid = [
        Candidate(high, low, isolate, until, ratio, anchor)
        for (high, low), isolate, until, ratio, anchor in itertools.product(
            dict.fromkeys(depths), (0.0, 0.3, 0.5, 0.7, 1.0), (0.5, 0.75, 1.0), RATIOS[:4], (False, True)
        )
        if isolate <= until
    ]
    first = Candidate()
    rest = [candidate for candidate in grid if candidate != first]
    random.Random(seed).shuffle(rest)
    return list(itertools.islice(filter(affordable, [first, *rest]), count))


# Scoring --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examiner:
    """Draws scenes and scores them, through a journal.

    Attributes:
        options: of the pipeline's call.
        images: pictures a scene.
        price: what a routing may cost, as `cost` tells it; None: anything.
    """

    pipe: Any
    judge: Judge | ClipJudge
    journal: Journal
    options: Mapping[str, Any]
    images: int = 2
    on_progress: Callable[[int], object] = lambda pictures: None
    price: float | None = None
    _costs: dict[tuple[Candidate, int], float | None] = field(default_factory=dict, repr=False)

    def cost(self, routing: Routing, todo: Sequence[Trial]) -> float | None:
        """The mean computation of scenes' pictures, as a multiple of the plain model's; None if it cannot be known."""
        facts, config = facts_of(self.pipe), self.pipe.transformer.config
        tokenizer = family_of(self.pipe.transformer).tokenizer(self.pipe)

        def count(text: str) -> int:
            return len(tokenizer(text).input_ids)

        found = []
        for trial in todo:
            program = compile_program(trial.plan, routing, facts, self.options["num_inference_steps"])
            base = facts.padded(count(trial.plan.prompt))
            cost = cost_of(program, method_for(routing), count, base)
            if cost is None:
                return None
            plain = base + program.grid.rows * program.grid.cols
            found.append(cost.computation(plain, config.num_attention_heads * config.attention_head_dim))
        return float(np.mean(found))

    def affords(self, candidate: Candidate, scale: int) -> bool:
        """Whether a candidate keeps the price on one scene of each layout that is searched."""
        if self.price is None:
            return True
        if (candidate, scale) not in self._costs:  # every layout's balance asks for the same ones
            todo = [trial for layout in SEARCHED for _, trial in scenes(layout, 1, "search", scale)]
            self._costs[candidate, scale] = self.cost(candidate.routing(), todo)
        cost = self._costs[candidate, scale]
        return cost is not None and cost <= self.price

    def marks(self, routing: Routing, todo: Sequence[tuple[str, Trial]]) -> list[tuple[float, float]]:
        """Shares of objects and of backgrounds that are right in each scene's pictures."""
        regional = RegionalPipeline(self.pipe, routing)
        found = []
        for name, trial in todo:
            key = f"{routing_key(routing)} {name}"
            if key not in self.journal.rows:
                self.journal.add(key, self._marks(regional, trial))
            self.on_progress(self.images)
            found.append(tuple(self.journal.rows[key]))
        return found

    def _marks(self, regional: RegionalPipeline, trial: Trial) -> list[float]:
        options = dict(self.options, num_images_per_prompt=self.images)
        images = regional(trial.plan, seed=trial.seed, **options).images
        objects, grounds = [], []
        for *found, whole in self.judge.verdicts(images, [*trial.boxes, None]):
            objects += [all(v.right(t).values()) for v, t in zip(found, trial.things, strict=True)]
            grounds.append(all(whole.right(trial.backdrop).values()))
        return [round(float(np.mean(objects)), 5), round(float(np.mean(grounds)), 5)]


def routing_key(routing: Routing) -> str:
    """A routing without what has no effect on pictures."""
    return routing.model_copy(update={"name": "-", "about": "", "source": None, "evidence": None}).to_yaml()


def scores(marks: ArrayLike) -> NDArray[np.float64]:
    """Each scene's score: its objects and its background, weighted; takes and returns `[scenes, 2]` and `[scenes]`."""
    table = np.asarray(marks)
    return np.asarray((1 - BACKGROUND) * table[:, 0] + BACKGROUND * table[:, 1])


def scenes(layout: Layout, count: int, purpose: str, scale: int) -> list[tuple[str, Trial]]:
    """Scenes of a layout for a purpose ("search", "report"); no scene serves two."""
    regions, large = layout
    name = f"{regions}{'' if large else ' small'}"
    found = trials(count, regions, large, purpose, scale)
    return [(f"{purpose} {name} {number}", trial) for number, trial in enumerate(found)]


def successive_halving(
    examiner: Examiner,
    field: Sequence[Candidate],
    rungs: Sequence[int],
    layouts: Sequence[Layout],
    scale: int,
) -> list[tuple[Candidate, float]]:
    """Successive halving: each rung draws so many scenes a layout and keeps the better third; best first."""
    left = list(field)
    ranked: list[tuple[Candidate, float]] = []
    for rung, count in enumerate(rungs):
        todo = [scene for layout in layouts for scene in scenes(layout, count, "search", scale)]
        ranked = [(c, float(scores(examiner.marks(c.routing(), todo)).mean())) for c in left]
        ranked.sort(key=lambda pair: -pair[1])
        if rung + 1 < len(rungs):
            left = [c for c, _ in ranked[: survivors(len(left))]]
    return ranked


# Balance --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayoutBalance:
    """What suits plans of one layout: base ratio, the part of the steps in which texts are visible, and the score."""

    regions: int
    area: float
    base_ratio: float
    span: float
    score: float
    score_as_written: float


def search_balance(examiner: Examiner, best: Candidate, layout: Layout, budget: Budget, scale: int) -> LayoutBalance:
    """The balance of a layout; the candidate's own values unless others beat them by more than a standard error."""
    grid = [
        replace(best, base_ratio=ratio, until=span * best.until, isolate=span * best.isolate)
        for ratio in budget.ratios
        for span in budget.spans
    ]
    left = list(dict.fromkeys([best, *(point for point in grid if examiner.affords(point, scale))]))
    tables: dict[Candidate, NDArray[np.float64]] = {}
    for rung, count in enumerate(budget.weighing):
        todo = scenes(layout, count, "balance", scale)
        for candidate in left:
            tables[candidate] = scores(examiner.marks(candidate.routing(), todo))
        left.sort(key=lambda c: -float(tables[c].mean()))
        if rung + 1 < len(budget.weighing):
            kept = left[: survivors(len(left))]
            left = kept if best in kept else [*kept, best]
    winner = left[0]
    gain = tables[winner] - tables[best]
    if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain)):
        winner = best
    trial = scenes(layout, 1, "balance", scale)[0][1]
    boxes = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in trial.boxes]
    area = float(np.mean(boxes)) / (trial.plan.width * trial.plan.height)
    return LayoutBalance(
        layout[0],
        area,
        winner.base_ratio,
        winner.until / best.until,
        float(tables[winner].mean()),
        float(tables[best].mean()),
    )


def balance_entries(balances: Sequence[LayoutBalance]) -> list[dict[str, Any]]:
    """The balances as entries of a routing file; neighbours in number that agree are one, sizes apart if they differ.

    Plans with a number of regions that was not measured go by the next smaller one measured.
    """
    rows: list[tuple[int, list[dict[str, Any]]]] = []
    ordered = sorted(balances, key=lambda b: (b.regions, b.area))
    for count, group in itertools.groupby(ordered, key=lambda b: b.regions):
        found, entries = list(group), list[dict[str, Any]]()
        for balance, larger in itertools.zip_longest(found, found[1:]):
            entry: dict[str, Any] = {"base_ratio": balance.base_ratio, "steps": _percent(0.0, round(balance.span, 4))}
            if entries and all(entries[-1][key] == value for key, value in entry.items()):
                entries.pop()
            if larger is not None:
                entry["area"] = _percent(0.0, round((balance.area + larger.area) / 2, 4))
            entries.append(entry)
        rows.append((count, entries))
    alike = [list(group) for _, group in itertools.groupby(rows, key=lambda row: row[1])]
    merged: list[dict[str, Any]] = []
    for same, following in itertools.zip_longest(alike, alike[1:]):
        first, entries = same[0]
        last = following[0][0] - 1 if following else None
        regions = f"{first}+" if last is None else str(first) if last == first else f"{first}-{last}"
        merged += [{"regions": regions, **entry} for entry in entries]
    return merged


def calibrated(name: str, best: Candidate, balances: Sequence[LayoutBalance], model: str) -> Routing:
    """The routing file without its evidence."""
    about = (
        f"Measured on {model} (strata calibrate): where each level is visible, for how many steps and beside how much"
        " base, by the number and size of a plan's regions."
    )
    data = best.routing(name).model_dump(mode="json", exclude_defaults=True)
    return Routing.model_validate({**data, "about": about, "balance": balance_entries(balances)})
