"""Methods side by side: what each draws right of a plan, with how many regions, and what a picture of it costs.

The scenes are crowds (`crowds.py`): objects of one kind in different looks, and two kinds whose looks are swapped, half
of each. The plans have a high and a low text a region, and a base prompt that names every object and its place, as a
planner writes it; `plain` draws that prompt alone, `native` the caption that the model was trained on. Every method
draws the same scenes from the same seeds, by the routing of the study or, if it was published with one, by that.

`python -m strata.analysis.methods --scenes 32` draws, goes on where it was stopped, and prints the table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from strata.analysis.crowds import MEASURES, Crowd, judged, scenes
from strata.analysis.statistics import Estimate, bootstrap
from strata.analysis.studies import open_study, study_parser
from strata.analysis.trials import Journal, Judge
from strata.hierarchy.errors import SettingError
from strata.injection.methods import method_named
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from strata.miniature.world.native import FORM

METHODS = "plain,regional,native,native+regional"
REGIONS = "2,4,6,8"
KINDS = ("alike", "swapped")
COST = "cost"
"""Seconds of the processor that a picture takes, as a multiple of the first method's on the same scene: the geometric
mean."""


def key(kind: str, regions: int, number: int, method: str) -> str:
    """Names a run in the journal."""
    return f"{kind} {regions} {number} {method}"


def pipelines(pipe: Any, routing: Routing, methods: Sequence[str]) -> dict[str, RegionalPipeline]:
    """The miniature by each method; the routing goes to those that neither ignore it nor have one of their own."""
    found = {}
    for name in methods:
        method = method_named(name)
        own = method.unrouted or method.routing is not None
        found[name] = RegionalPipeline(pipe, None if own else routing, name, form=FORM)
    return found


def study(
    drawn_by: Mapping[str, RegionalPipeline],
    todo: Mapping[tuple[str, int], Sequence[Crowd]],
    steps: int,
    journal: Journal,
    judge: Judge,
) -> Iterator[str]:
    """Draw and measure what the journal lacks, all methods on one scene after the other; yields each run's key."""
    for number in range(max(map(len, todo.values()))):
        for (kind, regions), crowd in todo.items():
            scene = crowd[number]
            for name, regional in drawn_by.items():
                run = key(kind, regions, number, name)
                if run in journal.rows:
                    continue
                begin = time.process_time()  # of this process alone, whatever else the machine does
                image = regional(scene.divided, seed=scene.seed, num_inference_steps=steps).images[0]
                seconds = time.process_time() - begin
                found = judged(judge.verdicts([image], list(scene.boxes))[0], scene.things)
                journal.add(run, [*found, round(seconds, 3)])
                yield run


Found = dict[str, dict[str, dict[str, Estimate]]]
"""By number of regions, and by method or pair of them ("native - regional"), every measure."""


def result(journal: Journal, methods: Sequence[str], regions: Sequence[int], count: int) -> Found:
    """Means with bootstrap intervals over scenes by number of regions, and the methods' differences on them."""
    found: Found = {}
    for many in regions:
        rows = {
            name: np.array([journal.rows[key(kind, many, n, name)] for kind in KINDS for n in range(count)])
            for name in methods
        }
        first = rows[methods[0]]
        cell = found[str(many)] = {}
        for name, values in rows.items():
            costs = bootstrap(np.log(values[:, -1] / first[:, -1])[:, None], np.exp)
            cell[name] = _measured(values[:, :-1]) | {COST: costs[0]}
        for other, one in combinations(methods, 2):
            cell[f"{one} - {other}"] = _measured(rows[one][:, :-1] - rows[other][:, :-1])
    return found


def _measured(values: Any) -> dict[str, Estimate]:
    return dict(zip(MEASURES, bootstrap(values), strict=True))


def as_data(found: Found) -> dict[str, Any]:
    """For JSON."""
    return {
        many: {name: {m: e.as_data() for m, e in values.items()} for name, values in rows.items()}
        for many, rows in found.items()
    }


def table(found: Found) -> str:
    """For the terminal: percent with 95 % intervals, and costs as multiples."""
    wide = 2 + max(len(name) for rows in found.values() for name in rows)
    lines = [f"{'regions':<9}{'method':<{wide}}" + "".join(f"{name:<16}" for name in MEASURES) + COST]
    for regions, rows in found.items():
        for name, values in rows.items():
            cost = values[COST].text(1, 2) if COST in values else ""
            cells = "".join(f"{values[m].text():<16}" for m in MEASURES)
            lines.append(f"{regions:<9}{name:<{wide}}{cells}{cost}".rstrip())
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the table and writes methods.json beside the journal."""
    parser = study_parser("Methods side by side: what each draws right, and what it costs", "methods", 32)
    parser.add_argument("--methods", default=METHODS, help=f"costs are multiples of the first's (default: {METHODS})")
    parser.add_argument("--regions", default=REGIONS, help=f"of the scenes: 2, 4, 6 or 8 (default: {REGIONS})")
    with open_study(parser, argv) as opened:
        args = opened.args
        methods, regions = [name.strip() for name in args.methods.split(",")], _numbers(args.regions)
        if len({*methods}) < len(methods):
            raise SettingError(f"<methods> {args.methods}: names one twice")
        drawn_by = pipelines(opened.pipe, opened.routing, methods)
        todo = {(kind, many): scenes(kind, many, args.scenes, args.seed, "names") for many in regions for kind in KINDS}
        keys = [key(*sort, n, name) for n in range(args.scenes) for sort in todo for name in methods]
        opened.draw("methods", keys, study(drawn_by, todo, args.steps, opened.journal, Judge()))
        found = result(opened.journal, methods, regions, args.scenes)
        print(table(found))
        opened.write(methods=as_data(found))


def _numbers(text: str) -> list[int]:
    """Numbers of regions. Raises `SettingError`."""
    valid = {"2", "4", "6", "8"}
    parts = [part.strip() for part in text.split(",")]
    if not {*parts} <= valid or len({*parts}) < len(parts):
        raise SettingError(f"<regions> {text}: must be some of {', '.join(sorted(valid))}, separated by commas")
    return [int(part) for part in parts]


if __name__ == "__main__":
    main()
