"""`strata evaluate`: draws scenes in several ways, judges every picture, and says which way follows better."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter
from tqdm import tqdm

from strata.axes import Axis
from strata.commands.options import Argv
from strata.console import duration, note, quiet
from strata.contents import PICTURES
from strata.engine import Step
from strata.evaluate import Evaluation, prepare_evaluation, ways_of
from strata.hierarchy.errors import SettingError, count
from strata.hierarchy.extras import needs_extra
from strata.job import notes_of
from strata.judging import judges_for
from strata.settings import HOW, MODEL, WHERE_TO, Count, DrawSettings, OutFolder, Settings, Words

if TYPE_CHECKING:
    from strata.analysis.judges import Judge

COMPARED = Parameter(group=Group("what is compared", sort_key=1))

OWN = "plans"
"""The format of scenes that no other scorer knows."""


class EvaluateSettings(Settings):
    """What is compared, by whom it is judged, and where to."""

    methods: Annotated[Words, COMPARED] = ("regional", "plain")
    """such as regional,plain,rpg, see --method; the first is compared with the others (default: regional,plain)"""
    routings: Annotated[Words, COMPARED] = ()
    """presets or files, for the methods that were not published with one (default: isolate-first)"""
    seeds: Annotated[Words, COMPARED] = ("0",)
    """such as 1-4 or 3,7 (default: 0)"""
    objects: Annotated[Words, COMPARED] = ()
    """only scenes of so many regions, such as 2,4"""
    tags: Annotated[Words, COMPARED] = ()
    """only scenes that have all of these"""
    limit: Annotated[Count | None, COMPARED] = None
    """scenes of each number of regions at most"""
    together: Annotated[Count | None, HOW] = None
    """pictures of one size and way that are drawn in one call, at most (default: as many as have 4,096 image tokens, at
    most 8; on a CPU 1)"""
    judges: Annotated[Words, MODEL] = ()
    """exact for the miniature; clip:MODEL, detector:MODEL (folders or hub ids), vqa:ADDRESS (default: exact, where it
    can judge)"""
    out: Annotated[OutFolder, WHERE_TO] = "out/evaluate"
    """folder (default: out/evaluate)"""
    force: Annotated[bool, WHERE_TO] = False
    """replace pictures that were drawn otherwise"""


def evaluate(
    scenes: Annotated[
        str, Parameter(name="SCENES", help="hard, or FORMAT:PATH such as layoutsam:test.parquet, plans:mine.jsonl")
    ],
    /,
    *,
    compared: EvaluateSettings = EvaluateSettings(),
    settings: DrawSettings = DrawSettings(),
    argv: Argv,
) -> None:
    """Draws scenes in several ways, judges every picture, and compares.

    Every way draws the same scenes from the same noise. A method that was
    published with a routing is drawn by that, the others by each of the
    routings. All is checked before the first picture and the model is loaded
    once; pictures that are there stay, so an interrupted evaluation goes on,
    and one of more scenes, ways or seeds draws what is missing. Writes a
    folder:

      pictures/         SCENE/WAY_SEED.png, each with its record
      JUDGE/table.md    the metrics with 95 % intervals over scenes, by number
                        of objects; differences; by tag
      JUDGE/*.json*     the same as numbers, and every object that was judged
      JUDGE/*.png       figures, and the worst and the best pictures
      for-scorer/WAY    the pictures of a benchmark of the field, where its own
                        scorer looks for them

    examples:
      strata evaluate hard --methods regional,plain,rpg --seeds 1-4
      strata evaluate hard --limit 4 --objects 2,4 --methods regional --routings isolate-first,uniform
      strata evaluate layoutsam:test.parquet -m black-forest-labs/FLUX.1-dev
        --methods plain,regional --judges vqa:http://127.0.0.1:8000/v1
    """
    seeds, objects = _seeds(compared.seeds), _numbers(compared.objects)
    ways_of(compared.methods, compared.routings)  # what is wrong in words is told first
    with needs_extra("analysis"):
        from strata.analysis.judges import check_judge, judge_named
        from strata.evaluate_run import lay_out
    for name in compared.judges:
        check_judge(name)
    print("checking every picture", flush=True)
    evaluation = prepare_evaluation(
        scenes,
        compared.methods,
        compared.routings,
        seeds,
        settings,
        objects=objects,
        tags=compared.tags,
        limit=compared.limit,
        command=shlex.join(["strata", *argv]),
    )
    of_scenes = dict.fromkeys(text for draw in evaluation.draws for text in draw.scene.notes)
    for text in (*of_scenes, *notes_of(draw.job for draw in evaluation.draws)):
        note(text)
    with quiet():
        judges = [judge_named(name) for name in _judges(compared.judges, evaluation)]
        _draw(evaluation, judges, compared)
        _report(evaluation, judges, Path(compared.out))
        if evaluation.benchmark.name != OWN:
            print(*lay_out(evaluation, Path(compared.out)), sep="\n")


def _seeds(texts: Words) -> list[int]:
    try:
        axis = Axis.of("seed", [int(text) if text.isdigit() else text for text in texts])
    except SettingError as error:
        raise SettingError(error.template.replace("<vary> seed", "<seeds>", 1)) from error
    if wrong := next((value for value in axis.values if not isinstance(value, int)), None):
        raise SettingError(f"<seeds> {wrong}: must be whole numbers such as 1-4 or 3,7")
    return [*axis.values]


def _numbers(texts: Words) -> list[int]:
    if wrong := next((text for text in texts if not text.isdigit()), None):
        raise SettingError(f"<objects> {wrong}: must be whole numbers such as 2,4")
    return [int(text) for text in texts]


def _judges(names: Words, evaluation: Evaluation) -> Sequence[str]:
    found = judges_for(evaluation.draws[0].job.model, names, "judges")
    if len({name.partition(":")[0] for name in found}) < len(found):
        raise SettingError(f"<judges> {', '.join(found)}: two of one kind; one of them would replace the other")
    return found


def _draw(evaluation: Evaluation, judges: Sequence["Judge"], compared: EvaluateSettings) -> None:
    """Draws and judges what is missing, with one bar; without a terminal, a line each twentieth of the pictures."""
    from strata.evaluate_run import Judged, Ready, events

    total, number, spent, new, missing = len(evaluation.draws), 0, 0.0, 0, 0
    bar = tqdm(leave=False, disable=True)
    try:
        for event in events(evaluation, judges, compared.out, force=compared.force, together=compared.together):
            match event:
                case Ready(missing, there, steps):
                    job = evaluation.draws[0].job
                    print(
                        f"{count(len(evaluation.scenes), 'scene')}, {count(len(evaluation.ways), 'way')},"
                        f" {count(len(evaluation.seeds), 'seed')}: {count(total, 'picture')}"
                        f"{f' ({there} there already)' if there else ''}, {count(steps, 'step')} to go,"
                        f" {job.model.name} on {job.device} in {job.dtype}",
                        flush=True,
                    )
                    bar = tqdm(total=steps, leave=False, disable=not sys.stderr.isatty() or not missing, unit="step")
                case Step():
                    bar.update()
                case Judged(drawn=drawn, seconds=seconds):
                    number += 1
                    if drawn:
                        spent, new = spent + (seconds or 0), new + 1
                    bar.set_postfix_str(event.draw.scene.name, refresh=False)
                    if bar.disable and number * 20 // total > (number - 1) * 20 // total:
                        left = (missing - new) * spent / new if new else 0
                        print(f"{number}/{total}{f', about {duration(left)} left' if left else ''}", flush=True)
    finally:
        bar.close()


def _report(evaluation: Evaluation, judges: Sequence["Judge"], out: Path) -> None:
    from strata.analysis.evaluation_report import write_report
    from strata.analysis.evaluation_tables import table
    from strata.evaluate_run import journal_of, results_of, rows_of

    plans = {draw.scene.name: draw.job.plan for draw in evaluation.draws}
    for judge in judges:
        rows = rows_of(evaluation, journal_of(evaluation, judge, out))
        found = results_of(evaluation, judge, rows)
        paths = write_report(out / judge.name, out / PICTURES, found, rows, plans)
        print(table(found))
        print(*paths, sep="\n")
