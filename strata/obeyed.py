"""Pictures drawn until they obey: a judge looks at every region, and what is wrong is drawn again.

    job = prepare(DrawSettings(seed=1), source)
    with Engine.open(job) as engine:
        for event in tries(engine, job, Until(4, judge_named("exact"))):
            ...                                     # Started, Step, Step, …, Try, Step, …, Try, Kept

The first try is what the engine draws without a judge. Where at most half of the regions are wrong, the next one draws
these anew in the best picture so far (`strata.repaint`): new noise there, everything else as it is, in one pass. Where
more are wrong, or the background, or the method cannot repaint, it draws the whole picture from another seed. All seeds
follow from the first, so that the same tries come out again. `benchmarks/obeyed.py` measures the ways to go on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from strata.engine import Engine, Picture, Started, Step
from strata.hierarchy.errors import InputError, SettingError
from strata.injection.program import compile_program
from strata.record import Obeyed, Tried
from strata.repaint import check_drawn_repaintable, with_new_noise
from strata.settings import Mend

if TYPE_CHECKING:
    from strata.analysis.judges import Judge, JudgedPicture
    from strata.job import Job

SEED_BITS = 32


@dataclass(frozen=True)
class Until:
    """When to stop, and how to go on until then.

    Attributes:
        most: tries of a picture at most, the first one among them.
        judge: says which regions obey.
        mend: what a next try does: "repaint", the wrong regions anew as told above; "again", always the whole picture;
            "isolate", as "repaint", with the wrong regions isolated at all steps.
    """

    most: int
    judge: Judge
    mend: Mend = "repaint"

    def check(self, job: Job) -> None:
        """Whether a job's pictures can be judged.

        Raises:
            SettingError: `most` is below 1, the plan has no regions, or the method no isolation.
            InputError: the plan is none that the judge can judge.
        """
        if self.most < 1:
            raise SettingError(f"<until_obeyed> {self.most}: must be a whole number of at least 1")
        if not job.plan.regions:
            raise SettingError(f"<until_obeyed> {self.most}: {job.name} has no regions to obey; leave it out")
        try:
            self.judge.check(job.plan)
        except InputError as error:
            raise InputError(f"{job.name}: judge {self.judge.name}: {error}") from error
        if self.mend == "isolate":
            _check_isolation(job)

    def record(self, seed: int, tries: tuple[Tried, ...] = (), kept: int | None = None) -> Obeyed:
        """What a record says of it; `seed` is the first try's."""
        judge = {"judge": self.judge.name, "judge_settings": dict(self.judge.settings)}
        return Obeyed(most=self.most, mend=self.mend, **judge, seed=seed, tries=tries, kept=kept)


@dataclass(frozen=True, eq=False)
class Try:
    """A picture was drawn and judged.

    Attributes:
        number: from 1.
        told: how it was drawn, and what is wrong, as the record has it.
        job: draws it.
        picture: with what repainting it goes on from.
        judged: what the judge found.
        best: whether it is better than all before; of equals the first one is.
        then: how the next one is drawn, which nothing is known to be wrong of yet; None: this is the last.
    """

    number: int
    told: Tried
    job: Job
    picture: Picture
    judged: JudgedPicture
    best: bool
    then: Tried | None


@dataclass(frozen=True, eq=False)
class Kept:
    """The tries have ended.

    Attributes:
        best: the first of the best of them.
        picture: its picture; the record has all tries, and the seconds are of all.
    """

    best: Try
    picture: Picture


Event = Started | Step | Try | Kept


def tries(engine: Engine, job: Job, until: Until, index: int = 0) -> Iterator[Event]:
    """Draws a picture until a judge finds that its regions and its background obey the plan.

    A try that repaints goes on from the picture that it changes, which is not drawn again: it takes as long as one
    picture. What is kept is drawn again, bit for bit, from its record alone.

    Args:
        engine: of the job's model.
        job: what is drawn.
        until: how often at most, by which judge.
        index: of the picture: its first seed is the job's and so much more.

    Yields:
        `Started`, then for every try a `Step` after each denoising step and a `Try`; at last `Kept`. Nothing more where
        the engine was cancelled.

    Raises:
        StrataError: as `Until.check` and the engine's `draw`; the judge cannot be asked.
    """
    until.check(job)
    first, todo, place = job.seed + index, job, index
    now, best = Tried(seed=first), None
    told: list[Tried] = []
    seconds = 0.0
    for number in range(1, until.most + 1):
        picture = None
        after = best.picture.drawn if best is not None and now.regions else None
        for event in engine.draw(todo, indices=[place], keep=True, after=after):
            match event:
                case Picture():
                    picture = event
                case Step():
                    yield replace(event, index=index)
                case Started() if number == 1:
                    yield event
        if picture is None:
            return
        seconds += picture.seconds
        judged = until.judge.judge(picture.image, job.plan)
        told.append(now.model_copy(update={"wrong": judged.complaints}))
        is_best = best is None or judged.faults < best.judged.faults
        done = Try(number, told[-1], todo, picture, judged, is_best, None)
        best = done if is_best or best is None else best
        then = None
        if judged.faults[0] and number < until.most:
            then = _next(best, until.mend, _another(first, number))
        yield replace(done, then=then)
        if then is None:
            break
        now = then
        if then.regions:
            todo = with_new_noise(best.job, then.regions, then.seed, then.isolated)
            place = best.picture.seed - todo.seed
        else:
            todo, place = _seeded(job, then.seed), 0
    assert best is not None
    record = best.picture.record.model_copy(update={"obeyed": until.record(first, tuple(told), best.number)})
    yield Kept(best, replace(best.picture, index=index, seconds=seconds, record=record))


def _next(best: Try, mend: Mend, seed: int) -> Tried:
    """What is tried next, where the best so far does not obey."""
    wrong, judged = best.judged.disobedient, best.judged
    whole = mend == "again" or judged.background_wrong or 2 * len(wrong) > len(judged.objects)
    if whole or not _is_repaintable(best.picture):
        return Tried(seed=seed)
    return Tried(seed=seed, regions=wrong, after=best.number, isolated=mend == "isolate")


def _is_repaintable(picture: Picture) -> bool:
    try:
        check_drawn_repaintable(picture.record, "")
    except InputError:
        return False
    return True


def _seeded(job: Job, seed: int) -> Job:
    settings = job.settings.model_copy(update={"seed": seed})
    return replace(job, seed=seed, settings=settings, picture=None)


def _check_isolation(job: Job) -> None:
    """Raises `SettingError` where isolating regions has no part in the picture, or is none that the method draws."""
    if job.unrouted:
        raise SettingError(f"<mend> isolate: {job.name} is drawn by {job.drawn_by}, which heeds no routing")
    if job.method is not None and job.model.facts is not None:
        routing = job.routing.isolating([region.name for region in job.plan.regions])
        try:
            job.method.check_program(compile_program(job.drawn, routing, job.model.facts, job.steps))
        except InputError as error:
            raise SettingError(f"<mend> isolate: {error}") from error


def _another(first: int, number: int) -> int:
    """The seed behind the try with this number."""
    return random.Random(f"{first} {number}").getrandbits(SEED_BITS)
