"""Drawing until it obeys: the share of fully right pictures against seconds, beside drawing several seeds.

Hard scenes of 4, 6 and 8 objects (`strata.evaluate`), each drawn until the exact judge finds nothing wrong, at most
`--tries` times: by repainting what is wrong, by repainting it isolated, and by drawing the whole picture again from
other seeds, which is to draw several and keep the best by the same judge, stopped as soon as one is right. All ways
begin with the same picture. Fully right is a picture in which all regions and the background are right.

What steers must not be what measures: of pictures that a judge chose, it finds too many right by its own errors. So
another scorer steers (`--judge`), of other weights, trained for a shorter time on other scenes, and the bundled one
measures; or the bundled one steers and the other measures (`--measure`):

    python -m strata.miniature.training.scorer --vae miniature/weights/vae --seed 7 --seconds 1800 --threads 1 \\
        --out out/scorer-7 --run out/scorer-7/run
    python -m benchmarks.obeyed --scenes 20 --judge out/scorer-7

Its errors are its own, but for what is hard to tell for any scorer of this kind. How far both agree on first tries,
which nobody chose, is told. Without it the judge measures itself, and all shares but those of first tries are too high.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from strata.analysis.charts import check_matplotlib, legend_below, new_figure, panels, save_figure, share_axis
from strata.analysis.judges.exact import ExactJudge
from strata.analysis.statistics import Estimate, bootstrap
from strata.analysis.studies import open_study, study_parser
from strata.analysis.trials import Journal
from strata.engine import Engine
from strata.evaluate import chosen, open_scenes
from strata.hierarchy.errors import SettingError
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.style import LEVELS, MUTED, hex_of
from strata.job import prepare
from strata.miniature.world.scorer import WEIGHTS
from strata.obeyed import Try, Until, tries
from strata.settings import DrawSettings, Mend
from strata.source import Source, safe_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OBJECTS = (4, 6, 8)
WAYS: tuple[Mend, ...] = get_args(Mend)
BASELINE: Mend = "again"
"""Several seeds, the best kept."""
MEASURES = ("seconds", "pictures", "right", "regions", "judged")
"""Behind so many tries: seconds from the first try's begin, judging among them, and pictures drawn, which no other work
of the machine changes; whether the best so far is fully right, and the share of its regions that are, both as measured;
whether the judge that steers finds it fully right."""
TIMES = ("seconds", "pictures")


@dataclass(frozen=True)
class Hard:
    """A scene, and the seed of its first tries."""

    name: str
    plan: ScenePlan
    seed: int


def scenes(count: int, seed: int = 0) -> list[Hard]:
    """The first `count` hard scenes of each number of objects, in turn."""
    found = chosen(open_scenes("hard")[1], objects=OBJECTS, limit=count)
    made = []
    for scene in found:
        assert scene.plan is not None
        made.append(Hard(scene.name, scene.plan, random.Random(f"obeyed {seed} {scene.name}").getrandbits(31)))
    return made


def key(scene: Hard, way: Mend) -> str:
    """Names a run in the journal."""
    return f"{scene.name} {way}"


def study(
    pipe: Any,
    given: DrawSettings,
    todo: Sequence[Hard],
    most: int,
    journal: Journal,
    judge: ExactJudge,
    measure: ExactJudge,
) -> Iterator[str]:
    """Draw and measure what the journal lacks; yields each run's key when it is kept."""
    engine: Engine | None = None
    for scene in todo:
        job = prepare(given.model_copy(update={"seed": scene.seed}), Source(safe_name(scene.name), scene.plan))
        for way in WAYS:
            if key(scene, way) in journal.rows:
                continue
            if engine is None:
                engine = Engine(pipe, job)
                for _ in engine.draw(job):  # the first picture warms up
                    pass
            journal.add(key(scene, way), _run(engine, Until(most, judge, way), job, measure))
            yield key(scene, way)


def _run(engine: Engine, until: Until, job: Any, measure: ExactJudge) -> list[list[float]]:
    """`MEASURES` behind each try; behind those that were not needed, what was there."""
    found: list[list[float]] = []
    seconds, begin = 0.0, time.perf_counter()
    for event in tries(engine, job, until):
        if not isinstance(event, Try):
            continue
        seconds += time.perf_counter() - begin
        if event.best:
            told = measure.judge(event.picture.image, job.plan)
            regions = 1 - len(told.disobedient) / len(told.objects)
            best = [float(told.faults[0] == 0), round(regions, 5), float(event.judged.faults[0] == 0)]
        found.append([round(seconds, 3), float(event.number), *best])
        begin = time.perf_counter()
    return found + [found[-1]] * (until.most - len(found))


Found = dict[str, dict[str, list[dict[str, Estimate]]]]
"""By number of objects ("all" for all) and way, every measure behind each number of tries."""


def result(journal: Journal, todo: Sequence[Hard]) -> tuple[Found, dict[str, dict[str, Estimate]], Estimate]:
    """Means with bootstrap intervals over scenes; differences from the baseline; how far first tries are judged alike.

    Returns:
        All measures; by number of objects and way, behind all tries, what it has more than the baseline of `right`, and
        of what it takes; the share of first tries that the two judges agree on.
    """
    found: Found = {}
    more: dict[str, dict[str, Estimate]] = {}
    for objects in (*map(str, OBJECTS), "all"):
        own = [scene for scene in todo if objects in (str(len(scene.plan.regions)), "all")]
        values = np.array([[journal.rows[key(scene, way)] for way in WAYS] for scene in own])
        estimates = iter(bootstrap(values))
        found[objects] = {way: [{m: next(estimates) for m in MEASURES} for _ in values[0, 0]] for way in WAYS}
        more[objects] = {}
        base = values[:, WAYS.index(BASELINE), -1]
        for n, way in enumerate(WAYS):
            if way != BASELINE:
                difference = dict(zip(MEASURES, bootstrap(values[:, n, -1] - base), strict=True))
                more[objects] |= {f"{way} - {BASELINE}, {name}": difference[name] for name in ("right", *TIMES)}
    first: NDArray[Any] = np.array([journal.rows[key(scene, BASELINE)][0] for scene in todo])
    agree = bootstrap(first[:, MEASURES.index("right")] == first[:, MEASURES.index("judged")])[0]
    return found, more, agree


def table(found: Found, more: Mapping[str, Mapping[str, Estimate]]) -> str:
    """For the terminal: percent with 95 % intervals; seconds."""
    lines = [f"{'objects':<9}{'way':<10}{'tries':<7}" + "".join(f"{name:<18}" for name in MEASURES)]
    for objects, ways in found.items():
        for way, rows in ways.items():
            for number, values in enumerate(rows, start=1):
                cells = [values[m].text(1, 1) if m in TIMES else values[m].text() for m in MEASURES]
                lines.append(f"{objects:<9}{way:<10}{number:<7}" + "".join(f"{cell:<18}" for cell in cells))
        for name, difference in more[objects].items():
            cell = difference.text(1, 1) if name.endswith(TIMES) else difference.text()
            lines.append(f"{objects:<9}{name}: {cell}")
    return "\n".join(lines)


def draw(found: Found, title: str) -> Figure:
    """A panel for each number of objects; a line for each way, a point for each number of tries; 95 % intervals."""
    looks = {"repaint": ("o-", LEVELS["high"]), "isolate": ("s-", LEVELS["low"]), "again": ("^--", MUTED)}
    names = {"repaint": "regions repainted", "isolate": "repainted, isolated", "again": "other seeds, best kept"}
    figure = new_figure(3.6 * len(found), 4.4, title)
    for panel, (objects, ways) in zip(panels(figure, 1, len(found))[0], found.items(), strict=True):
        for way, rows in ways.items():
            mark, colour = looks[way]
            x, y = ([row[name].value for row in rows] for name in ("seconds", "right"))
            panel.plot(x, y, mark, color=hex_of(colour), label=names[way], markersize=5, linewidth=1.5)
            panel.vlines(
                x, [r["right"].low for r in rows], [r["right"].high for r in rows], color=hex_of(colour), alpha=0.3
            )
        panel.set_title("all" if objects == "all" else f"{objects} objects", fontsize=10)
        panel.set_xlabel("seconds a picture", fontsize=9)
        share_axis(panel, "share fully right" if objects == str(OBJECTS[0]) else "")
    legend_below(figure)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Draws on the bundled miniature, prints the table, writes obeyed.json and obeyed.png beside the journal."""
    parser = study_parser("Drawing until it obeys, beside drawing several seeds.", "obeyed", 20)
    parser.prog = "python -m benchmarks.obeyed"
    parser.description += " --scenes are of each number of objects."
    parser.add_argument("--tries", type=int, default=4, help="of each picture at most (default: 4)")
    parser.add_argument("--judge", default=None, help="folder of the scorer that steers (default: the bundled one)")
    parser.add_argument("--measure", default=None, help="and of the one that measures (default: the bundled one)")
    with open_study(parser, argv, ("tries", "judge", "measure")) as opened:
        args = opened.args
        check_matplotlib()
        if args.tries < 1:
            raise SettingError(f"<tries> {args.tries}: must be at least 1")
        judge, measure = (ExactJudge(WEIGHTS if f is None else Path(f)) for f in (args.judge, args.measure))
        print(f"steered by a judge that is {judge.error}")
        same = args.judge == args.measure
        print("measured by the same: too high" if same else f"measured by one that is {measure.error}")
        todo = scenes(args.scenes, args.seed)
        given = DrawSettings(steps=args.steps, routing=args.routing)
        runs = study(opened.pipe, given, todo, args.tries, opened.journal, judge, measure)
        opened.draw("obeyed", [key(scene, way) for scene in todo for way in WAYS], runs)
        found, more, agree = result(opened.journal, todo)
        print(table(found, more))
        print(f"of first tries both judges say the same: {agree.text()} %")
        opened.write(
            agree=agree.as_data(),
            obeyed={
                objects: {
                    way: [{name: e.as_data() for name, e in row.items()} for row in rows] for way, rows in ways.items()
                }
                for objects, ways in found.items()
            },
            differences={objects: {name: e.as_data() for name, e in row.items()} for objects, row in more.items()},
        )
        title = f"miniature: {len(todo)} hard scenes, at most {args.tries} tries, {opened.routing.name}"
        print(save_figure(draw(found, title), args.out / "obeyed.png"))


if __name__ == "__main__":
    main()
