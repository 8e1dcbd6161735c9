"""Drawing and judging an evaluation, into a folder that an interrupted one goes on from.

`pictures/SCENE/WAY_SEED.png` are the pictures with their records; `JUDGE/judged.jsonl` has what a judge found, a line a
picture, appended as it comes, from which `strata.analysis.evaluation_report` makes tables, figures and sheets.
"""

import os
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from PIL import Image
from pydantic import Base64Bytes, BaseModel, Field

from strata.analysis.evaluation import Results, Row, packed, results
from strata.analysis.judges import JUDGES, Judge
from strata.analysis.seams import seam_strength
from strata.analysis.trials import Journal
from strata.claims import claimed
from strata.contents import JOURNAL, PICTURES, check_apart
from strata.engine import Engine, Picture, Step
from strata.evaluate import Draw, Evaluation, tags_of
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.files import write_atomic
from strata.readers import split_spec
from strata.record import picture_bytes
from strata.resume import drawn_otherwise
from strata.together import grouped

LAID_OUT = "for-scorer"
"""Of a judge; and the folder of pictures as the benchmark's own scorer wants them."""


@dataclass(frozen=True)
class Ready:
    """Everything is checked; what is missing is drawn and judged.

    Attributes:
        missing: pictures to be drawn.
        there: pictures that are there.
        steps: denoising steps of the calls that draw those that are missing.
    """

    missing: int
    there: int
    steps: int


@dataclass(frozen=True)
class Judged:
    """A picture is there, and judged by all judges.

    Attributes:
        drawn: whether it was drawn now.
        seconds: that it took; None where that is not known any more.
        regions: share of its regions that hold everything asked for, by judge.
    """

    draw: Draw
    path: Path
    drawn: bool
    seconds: float | None
    regions: Mapping[str, float]


Event = Ready | Step | Judged


def evaluate(
    evaluation: Evaluation, judges: Sequence[Judge], out: str | os.PathLike[str], **options: Any
) -> dict[str, Results]:
    """Draws and judges what is missing; returns the results by judge. Takes the options of `events`, raises as it."""
    for _ in events(evaluation, judges, out, **options):
        pass
    return {judge.name: collected(evaluation, judge, Path(out)) for judge in judges}


def events(
    evaluation: Evaluation,
    judges: Sequence[Judge],
    out: str | os.PathLike[str],
    *,
    force: bool = False,
    engine: Engine | None = None,
    together: int | None = None,
) -> Iterator[Event]:
    """Draws and judges what is missing, with one loading of the model.

    Args:
        evaluation: what is drawn.
        judges: at least one.
        out: the folder.
        force: pictures that were drawn otherwise are replaced.
        engine: draws; None: one is loaded, if anything is to be drawn.
        together: pictures of one call at most, where they have size, way and settings in common; None: one on a CPU,
            several elsewhere (`strata.together.most_together`).

    Yields:
        `Ready`; a `Step` after each denoising step of a call, and a `Judged` for each picture, those that are there
        before those that are drawn.

    Raises:
        StrataError: a judge cannot judge a scene, a picture in the folder was drawn otherwise, or a job does not fit
            the model; before the first picture.
    """
    folder = Path(out)
    if not force and not any((folder / name / JOURNAL).exists() for name in JUDGES):
        check_apart(folder, os.fspath(out))
    for judge in judges:
        for draw in _one_a_scene(evaluation.draws):
            try:
                judge.check(draw.job.plan)
            except InputError as error:
                raise InputError(f"{draw.scene.place}: scene {draw.scene.name}: judge {judge.name}: {error}") from error
    with ExitStack() as stack:
        stack.enter_context(claimed(folder, f"<out> {os.fspath(out)}"))
        journals = {judge.name: journal_of(evaluation, judge, folder) for judge in judges}
        judged = {key for journal in journals.values() for key in journal.rows}
        there = {draw.key for draw in evaluation.draws if _is_there(folder, draw, force, judged)}
        missing = [draw for draw in evaluation.draws if draw.key not in there]
        if missing:
            engine = engine or stack.enter_context(Engine.load(missing[0].job))
            for draw in _one_a_way(missing):
                engine.check(draw.job)
        calls = grouped(((draw, draw.job) for draw in missing), together)
        yield Ready(len(missing), len(there), sum(call[0][1].steps for call in calls))
        for draw in evaluation.draws:
            if draw.key in there:
                yield _judged(draw, folder, journals, judges)
        for call in calls:
            assert engine is not None
            drawn = [draw for draw, _ in call]
            for draw, picture in (yield from _drawn(engine, drawn, folder)):
                yield _judged(draw, folder, journals, judges, picture)


def _judged(
    draw: Draw, folder: Path, journals: Mapping[str, Journal], judges: Sequence[Judge], picture: Picture | None = None
) -> Judged:
    """Judges a picture by those who have not yet, or anew where it was drawn now."""
    path, regions = folder / PICTURES / draw.file, dict[str, float]()
    image = None if picture is None else picture.image
    seconds = None if picture is None else picture.seconds
    for judge in judges:
        rows = journals[judge.name].rows
        if picture is not None or draw.key not in rows:
            image = image or _opened(path)
            known = _seconds(journals.values(), draw.key) if seconds is None else seconds
            journals[judge.name].add(draw.key, _row(draw, image, judge, known))
        objects = rows[draw.key]["objects"]
        regions[judge.name] = sum(o["success"] for o in objects) / len(objects)
    return Judged(draw, path, picture is not None, seconds, regions)


def lay_out(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Puts the pictures of each way where the benchmark's own scorer looks for them; returns the ways' folders.

    Raises:
        InputError: a file cannot be written.
    """
    benchmark, first = evaluation.benchmark, evaluation.seeds[0]
    made = []
    for way in evaluation.ways:
        own = folder / LAID_OUT / way.slug
        draws = [draw for draw in evaluation.draws if draw.way == way]
        for _, group in groupby(draws, key=lambda draw: draw.scene.name):
            of_scene = list(group)
            pictures = [_opened(folder / PICTURES / draw.file) for draw in of_scene]
            benchmark.save(own, of_scene[0].scene, pictures, first)
        benchmark.finish(own, evaluation.scenes, len(evaluation.seeds), first)
        made.append(own)
    return made


def _drawn(engine: Engine, draws: Sequence[Draw], folder: Path) -> Generator[Step, None, list[tuple[Draw, Picture]]]:
    """Draws pictures in one call and writes them, each whole or not at all; returns them."""
    jobs = [draw.job for draw in draws]
    found: list[tuple[Draw, Picture]] = []
    for event in engine.draw_together(jobs) if len(jobs) > 1 else engine.draw(jobs[0]):
        match event:
            case Step():
                yield event
            case Picture():
                draw = draws[len(found)]
                job, path = draw.job, folder / PICTURES / draw.file
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, picture_bytes(event.image, job.kept_plan, job.routing, event.record, job.files))
                found.append((draw, event))
    if len(found) < len(draws):
        raise InputError(f"job {jobs[0].name}: was cancelled")
    return found


class _Object(BaseModel):
    """A region, as `JudgedPicture.as_data` writes it."""

    region: str
    asked: dict[str, str]
    right: dict[str, bool]
    found: dict[str, str | None]
    sure: dict[str, float]
    leak: bool | None
    box: tuple[float, float, float, float] | None
    iou: float | None
    placed: bool | None
    success: bool


class _Judgement(BaseModel):
    """A picture in a journal; `_row` writes it."""

    seconds: float | None
    seam: float | None
    objects: Annotated[list[_Object], Field(min_length=1)]
    count: bool | None
    background: dict[str, bool] | None
    features: Base64Bytes | None


def _row(draw: Draw, image: Image.Image, judge: Judge, seconds: float | None) -> dict[str, Any]:
    """What is known of a picture, for a journal."""
    plan = draw.job.plan
    seam = seam_strength(image, plan, draw.job.model.facts_or_flux.token_size)
    judged = judge.judge(image, plan)
    return {
        "seconds": None if seconds is None else round(seconds, 3),
        "seam": None if seam != seam else round(seam, 4),
        **judged.as_data(),
        "features": None if judged.features is None else packed(judged.features),
    }


def journal_of(evaluation: Evaluation, judge: Judge, folder: Path) -> Journal:
    """What a judge found in a folder. Raises `SettingError` where that is of other scenes, another model or judge."""
    model = evaluation.draws[0].job.model.name
    scenes = split_spec(evaluation.spec)  # the same file from another folder is the same: its pictures are compared
    spec = evaluation.spec if scenes is None else f"{scenes[0]}:{Path(scenes[1]).name}"
    settings = {"scenes": spec, "model": model, "judge": judge.name, **judge.settings}
    return Journal(folder / judge.name / JOURNAL, settings, _Judgement.model_validate)


def rows_of(evaluation: Evaluation, journal: Journal) -> list[Row]:
    """The rows of an evaluation's pictures, with what they were drawn with."""
    return [
        {
            "scene": draw.scene.name,
            "regions": len(draw.job.plan.regions),
            "tags": tags_of(draw.scene),
            "way": draw.way.name,
            "method": draw.way.method,
            "routing": None if draw.job.unrouted else draw.job.routing.name,
            "seed": draw.seed,
            "file": draw.file,
            **journal.rows[draw.key],
        }
        for draw in evaluation.draws
        if draw.key in journal.rows
    ]


def collected(evaluation: Evaluation, judge: Judge, folder: Path) -> Results:
    """The results of what a judge found in a folder."""
    return results_of(evaluation, judge, rows_of(evaluation, journal_of(evaluation, judge, folder)))


def results_of(evaluation: Evaluation, judge: Judge, rows: Sequence[Row]) -> Results:
    """The results of rows."""
    wanted = {}
    for draw in _one_a_scene(evaluation.draws):
        if (features := judge.reference(draw.job.plan)) is not None:
            wanted[draw.scene.name] = features
    return results(rows, [way.name for way in evaluation.ways], judge.name, judge.error, wanted)


def _one_a_scene(draws: Sequence[Draw]) -> Iterator[Draw]:
    """The first picture of each scene: all of them have its plan."""
    return (next(group) for _, group in groupby(draws, key=lambda draw: draw.scene.name))


def _one_a_way(draws: Sequence[Draw]) -> Iterator[Draw]:
    """One picture of each scene in each way: others have another seed alone."""
    seen: set[tuple[str, str]] = set()
    for draw in draws:
        if (place := (draw.scene.name, draw.way.slug)) not in seen:
            seen.add(place)
            yield draw


def _is_there(folder: Path, draw: Draw, force: bool, known: Collection[str]) -> bool:
    """Whether a picture is there that would come out the same; one that is damaged, but known, is drawn again."""
    path = folder / PICTURES / draw.file
    others = drawn_otherwise(path, draw.job)
    if force or others == []:
        return others == []
    what = f"was drawn otherwise ({', '.join(others)})" if others else "is no whole picture of an evaluation"
    if others or (path.exists() and draw.key not in known):
        raise SettingError(f"<out> {folder}: {PICTURES}/{draw.file} {what}; give another folder, or <force> to replace")
    return False


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB")


def _seconds(journals: Any, key: str) -> float | None:
    """What another judge's journal says a picture took."""
    known: list[float] = [j.rows[key]["seconds"] for j in journals if key in j.rows and j.rows[key]["seconds"]]
    return known[0] if known else None
