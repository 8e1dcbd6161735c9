"""Judges of pictures in what people ask for: which one is asked, and what is told of what it found."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from strata.console import quiet
from strata.hierarchy.errors import SettingError, count
from strata.hierarchy.extras import needs_extra
from strata.imports import uncollected
from strata.job import Job
from strata.loading import ModelSource
from strata.obeyed import Kept, Try, Until
from strata.record import Tried
from strata.settings import Count, Mend, Name, Settings

if TYPE_CHECKING:
    from strata.analysis.judges import Judge, JudgedPicture

OBEYING = Parameter(group=Group("until it obeys", sort_key=6))


class ObeySettings(Settings):
    """Whether pictures are judged, and what becomes of those that do not obey."""

    until_obeyed: Annotated[Count | None, OBEYING] = None
    """draw until a judge finds that all regions and the background are as told, at most N times a picture; the best
    is kept"""
    judge: Annotated[Name | None, Parameter(metavar="NAME"), OBEYING] = None
    """exact for the miniature; clip:MODEL, detector:MODEL (folders or hub ids), vqa:ADDRESS (default: exact, where it
    can judge)"""
    mend: Annotated[Mend | None, OBEYING] = None
    """what a next try does: repaint the regions that are wrong (where over half of them are, or the background, the
    whole picture is drawn again from another seed); isolate, the same with these regions isolated at all steps; again,
    always the whole picture (default: repaint)"""


class Judges:
    """The judges that are asked, each loaded once.

    Args:
        settings: which one, and what for.
        load: a judge by its name.

    Raises:
        SettingError: what goes with `until_obeyed` is set without.
    """

    def __init__(self, settings: ObeySettings, load: "Callable[[str], Judge] | None" = None) -> None:
        self._settings, self._load, self._loaded = settings, load or load_judge, dict[str, "Judge"]()
        for name in ("judge", "mend"):
            if settings.until_obeyed is None and (value := getattr(settings, name)) is not None:
                raise SettingError(f"<{name}> {value}: goes with <until_obeyed>")

    def until(self, job: Job) -> Until | None:
        """When a job's pictures obey; None where they are not judged. Raises `InputError` where there is no judge."""
        given = self._settings
        if given.until_obeyed is None:
            return None
        (name,) = judges_for(job.model, () if given.judge is None else (given.judge,), "judge")
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return Until(given.until_obeyed, self._loaded[name], given.mend or "repaint")


def load_judge(name: str) -> "Judge":
    """A judge, loaded without a word of its libraries. Raises `InputError` as `judge_named` does."""
    with quiet(), uncollected(), needs_extra("analysis"):
        from strata.analysis.judges import judge_named

        return judge_named(name)


def judges_for(model: ModelSource, names: Sequence[str], field: str) -> Sequence[str]:
    """The judges that are named, else `exact` for the miniature's pictures.

    Args:
        model: draws.
        names: as `judge_named` takes them.
        field: the setting that names them.

    Raises:
        SettingError: none is named for another model, or `exact`.
    """
    if "exact" in names and not model.is_judged_exactly():
        raise SettingError(f"<{field}> exact: judges the miniature's pictures alone, not those of {model.name}")
    if not names and not model.is_judged_exactly():
        raise SettingError(f"<{field}>: model {model.name} needs one: clip:MODEL, detector:MODEL or vqa:ADDRESS")
    return names or ("exact",)


def judged_by(until: Until) -> str:
    """Who judges, how often that is wrong itself, and how many tries there are."""
    tries = "1 try" if until.most == 1 else f"at most {until.most} tries"
    return f"judged by {until.judge.name}, {until.judge.error}; {tries} a picture"


def told(tried: Try, most: int, picture: int | None = None) -> str:
    """A try in a line: what is wrong, and what is tried next; `picture`: its number, where there are several."""
    wrong = "; ".join(tried.told.wrong) or _obeying(tried.judged)
    then = "" if tried.then is None else f" - {_next(tried.then, tried.number)}"
    return f"{'' if picture is None else f'picture {picture}, '}try {tried.number} of {most}: {wrong}{then}"


def told_at_last(kept: Kept) -> str | None:
    """What obeys in the picture that is kept, where that is not all; None where it is."""
    best = kept.best
    if not best.told.wrong:
        return None
    return f"kept try {best.number}: {_obeying(best.judged)}"


def _obeying(judged: "JudgedPicture") -> str:
    total = len(judged.objects)
    right = total - len(judged.disobedient)
    regions = f"all {count(total, 'region')}" if 1 < right == total else f"{right} of {count(total, 'region')}"
    background = (
        ""
        if judged.background is None
        else ", but not the background"
        if judged.background_wrong
        else (" and the background")
    )
    alone = 1 in (right, total) and (judged.background is None or judged.background_wrong)
    return f"{regions}{background} {'obeys' if alone else 'obey'}"


def _next(then: Tried, number: int) -> str:
    if then.regions:
        where = "" if then.after == number else f" of try {then.after}"
        isolated = " isolated" if then.isolated else ""
        return f"repainting {', '.join(then.regions)}{isolated}{where}, seed {then.seed}"
    return f"drawing all again, seed {then.seed}"
