"""A whole calibration: the search of `calibrate.py`, a report against every preset, a routing with its evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from strata.analysis.budget import LAYOUTS, Budget, Layout
from strata.analysis.calibrate import (
    Candidate,
    Examiner,
    LayoutBalance,
    calibrated,
    candidates,
    scenes,
    scores,
    search_balance,
    stretch,
    successive_halving,
)
from strata.analysis.roles import Curve
from strata.analysis.statistics import Estimate, bootstrap
from strata.hierarchy.errors import InputError, SettingError
from strata.layers.routing import Routing, presets


@dataclass(frozen=True)
class RoutingScore:
    """What one routing scores on the report's scenes."""

    routing: str
    score: Estimate
    objects: Estimate
    background: Estimate
    by_regions: Mapping[str, Estimate]
    """Objects right, by number (and size) of regions."""
    behind: Estimate
    """Score less the calibrated routing's on the same scenes."""
    cost: float | None = None
    """Computation of a picture, as a multiple of the plain model's; None where it cannot be known."""

    def as_data(self) -> dict[str, Any]:
        """For JSON and the evidence in a routing file."""
        named = {name: getattr(self, name).as_data() for name in ("score", "objects", "background", "behind")}
        by_regions = {name: estimate.as_data() for name, estimate in self.by_regions.items()}
        cost = None if self.cost is None else round(self.cost, 4)
        return {"routing": self.routing, **named, "cost": cost, "by_regions": by_regions}


def report(
    examiner: Examiner,
    calibrated: Routing,
    others: Sequence[Routing],
    count: int,
    scale: int,
    layouts: Sequence[Layout] = LAYOUTS,
) -> list[RoutingScore]:
    """The calibrated routing and others on `count` scenes of each layout, none of them seen before; best first."""
    groups = {f"{n}{'' if large else ' small'}": scenes((n, large), count, "report", scale) for n, large in layouts}
    tables = {
        routing.name: {name: np.array(examiner.marks(routing, todo)) for name, todo in groups.items()}
        for routing in (calibrated, *others)
    }

    tables_of_all = {name: np.concatenate(list(by_layout.values())) for name, by_layout in tables.items()}
    drawn = [trial for todo in groups.values() for _, trial in todo]
    costs = {routing.name: examiner.cost(routing, drawn) for routing in (calibrated, *others)}
    rows = []
    for name, by_layout in tables.items():
        every = tables_of_all[name]
        rows.append(
            RoutingScore(
                name,
                bootstrap(scores(every))[0],
                bootstrap(every[:, 0])[0],
                bootstrap(every[:, 1])[0],
                {layout: bootstrap(table[:, 0])[0] for layout, table in by_layout.items()},
                bootstrap(scores(every) - scores(tables_of_all[calibrated.name]))[0],
                costs[name],
            )
        )
    return sorted(rows, key=lambda row: -row.score.value)


def evidence_of(
    best: Candidate, balances: Sequence[LayoutBalance], rows: Sequence[RoutingScore], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What goes into the routing file beside the rules."""
    return {
        **facts,
        "chosen": asdict(best),
        "balance": [asdict(balance) for balance in balances],
        "report": [row.as_data() for row in rows],
    }


def acting(curves: Sequence[Curve], blocks: int) -> dict[str, tuple[float, float]]:
    """The stretches of blocks in which high and low texts act by themselves, from a study of roles.

    Raises:
        InputError: the study has no exact scores of texts alone.
    """
    found: dict[str, tuple[float, float]] = {}
    for level, name in (("high", "kind as told"), ("low", "surface as told")):
        for curve in curves:
            if (curve.kind, curve.level, curve.axis, curve.name) == ("alone", level, "blocks", name):
                found[level] = stretch(curve, blocks)
    if len(found) < 2:
        raise InputError("has no exact scores of texts alone; run `strata roles` without --kinds")
    return found


def calibrate(
    examiner: Examiner,
    name: str,
    model: str,
    budget: Budget,
    acting: Mapping[str, tuple[float, float]],
    *,
    seed: int,
    scale: int,
    report_scenes: int,
    facts: Mapping[str, Any],
) -> tuple[Routing, list[RoutingScore]]:
    """Searches, balances and reports.

    Args:
        examiner: draws and judges, and keeps what it found.
        name: of the routing.
        model: what its description calls the model.
        budget: of the search.
        acting: as the function of that name returns it; empty: unknown.
        seed: of the candidates.
        scale: canvases are so many times 128 pixels high.
        report_scenes: of the report, for each of its layouts.
        facts: what else goes into the evidence.

    Returns:
        The routing with its evidence, and its row and those of all presets, best first.

    Raises:
        InputError: nothing that could be tried is within the examiner's price.
    """
    field = candidates(budget.candidates, acting, seed, lambda candidate: examiner.affords(candidate, scale))
    if not field:
        raise SettingError(f"<price> {examiner.price:g}: no routing costs so little; the plain model's cost is 1")
    ranked = successive_halving(examiner, field, budget.rungs, budget.searched, scale)
    best = ranked[0][0]
    balances = [search_balance(examiner, best, layout, budget, scale) for layout in budget.layouts]
    routing = calibrated(name, best, balances, model)
    others = [Routing.load(preset) for preset in presets()]
    rows = report(examiner, routing, others, report_scenes, scale, budget.layouts)
    searched = [{"candidate": asdict(candidate), "score": round(score, 4)} for candidate, score in ranked]
    found = {"roles": acting, "searched": searched, "report_scenes": report_scenes * len(budget.layouts)}
    evidence = json.loads(json.dumps(evidence_of(best, balances, rows, {**facts, **found})))
    return routing.model_copy(update={"evidence": evidence}), rows


def report_table(rows: Sequence[RoutingScore]) -> str:
    """The rows as text: score, objects, background, objects by number of regions."""
    names = list(rows[0].by_regions)
    width = max(len(row.routing) for row in rows) + 2
    head = f"{'routing':{width}}{'cost':>6}{'score':>14}{'behind':>16}{'objects':>14}{'background':>14}"
    lines = [head + "".join(f"{name:>9}" for name in names)]
    for row in rows:
        cost = "–" if row.cost is None else f"{row.cost:.2f}"
        line = f"{row.routing:{width}}{cost:>6}{row.score.text():>14}{row.behind.text():>16}"
        line += f"{row.objects.text():>14}{row.background.text():>14}"
        lines.append(line + "".join(f"{100 * row.by_regions[name].value:9.0f}" for name in names))
    return "\n".join(
        [
            *lines,
            "",
            "% right on scenes that took no part in the search, 95 % intervals; right: by regions;"
            " cost: computation of a picture, × plain",
        ]
    )
