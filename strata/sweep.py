"""A sweep: every combination of what is varied, compiled before anything is drawn.

    sweep = prepare_sweep([source], [Axis.parse("base_ratio=0,0.1,0.2")], DrawSettings(seed=1))
    for row in rows(sweep, out="out/sweep"):         # loads the model once (strata/sweep_run.py)
        print(row.values, row.seconds, row.scores)

To compare methods, routings or seeds is to sweep over them; several plans are an axis, too.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from strata.axes import Axis, varied
from strata.hierarchy.errors import InputError, SettingError, shortened
from strata.job import Job, prepare
from strata.methods import named_method, routing_for
from strata.settings import MOST_PICTURES, DrawSettings, read_settings
from strata.source import Source
from strata.together import check_one_model

if TYPE_CHECKING:
    from strata.injection.methods import Method

_LONGEST_LABEL, _LONGEST_NAME = 80, 100
"""Characters of a value in messages, and of a picture's file name without its suffix."""
At = tuple[int, ...]
"""Which value of each axis."""


@dataclass(frozen=True)
class SweepRun:
    """One picture.

    Attributes:
        file: its name.
        values: what of each axis it was drawn with, by the axis' name; without those that its method does not heed.
        job: draws it.
    """

    file: str
    values: Mapping[str, str]
    job: Job


@dataclass(frozen=True)
class Sweep:
    """What is drawn: every run compiles.

    Attributes:
        axes: what is varied, the outermost first.
        runs: the pictures in the order in which they are drawn.
        cells: the run of each combination; combinations that differ in nothing that is heeded share one.
    """

    axes: tuple[Axis, ...]
    runs: tuple[SweepRun, ...]
    cells: Mapping[At, SweepRun]

    @property
    def several(self) -> list[int]:
        """Which axes have more than one value."""
        return [n for n, axis in enumerate(self.axes) if len(axis.values) > 1]

    def title(self, axis: int, value: int) -> str:
        """What a value is called in titles: "base_ratio 0.1"; of plans, methods and routings the value alone."""
        return axis_title(self.axes[axis], value)


def axis_title(axis: Axis, value: int) -> str:
    """See `Sweep.title`."""
    return axis.labels[value] if axis.kind == "source" else f"{axis.name} {axis.labels[value]}"


def prepare_sweep(sources: Sequence[Source], axes: Sequence[Axis], given: DrawSettings, *, command: str = "") -> Sweep:
    """Completes and checks every combination of what is varied, without loading anything.

    Pictures of one plan share the seed: the given one, that of the source picture, or 0.

    Args:
        sources: plans, or pictures with their records; files of theirs have to be readable until all is drawn.
        axes: what is varied, the outermost first.
        given: the settings of all pictures.
        command: what the records give as the command of the run.

    Raises:
        StrataError: as `prepare` does, with the combination that is wrong; or an axis that nothing heeds, two of one
            field, or too many pictures.
    """
    for source in sources:
        if source.repaints:
            raise InputError(
                f"{source.name}: was repainted, and so drawn by several plans; give the last one (plan.yaml)"
            )
    all_axes = _with_plans(sources, axes)
    cells: dict[At, SweepRun] = {}
    runs: dict[tuple[tuple[str, str], ...], SweepRun] = {}
    taken: set[str] = set()
    heeded: set[str] = set()
    for at in product(*(range(len(axis.values)) for axis in all_axes)):
        chosen = [(axis, axis.values[n]) for axis, n in zip(all_axes, at, strict=True)]
        with _told(all_axes, at):
            settings, source = _settings(chosen, given), _source(chosen, sources)
            method = _method(settings, source)
            free = method is not None and method.unrouted
            values = {
                axis.name: axis.labels[n]
                for axis, n in zip(all_axes, at, strict=True)
                if not (free and _is_of_routing(axis))
            }
            heeded.update(values)
            key = tuple(values.items())
            if key not in runs:
                job = _job(chosen, settings, source, method, command)
                runs[key] = SweepRun(_file_name(all_axes, values, taken), values, job)
            cells[at] = runs[key]
    for axis in all_axes:
        if axis.name not in heeded:
            raise SettingError(f"<vary> {axis.name}: changes nothing, as the method heeds no routing; leave it out")
    found = tuple(runs.values())
    check_one_model((run.job.name, run.job) for run in found)
    return Sweep(all_axes, found, cells)


def _with_plans(sources: Sequence[Source], axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The axes, the plans before them; checked against each other."""
    for n, axis in enumerate(axes):
        if any(axis.field == other.field for other in axes[:n]):
            raise SettingError(f"<vary> {axis.name}: is varied twice")
    names = [source.name for source in sources]
    labels = [name if names.count(name) == 1 else f"{name} ({n + 1})" for n, name in enumerate(names)]
    plans = Axis("plan", "source", (), tuple(range(len(sources))), tuple(labels))
    count = 1
    for axis in (plans, *axes):
        count *= len(axis.values)
    if count > MOST_PICTURES:
        raise SettingError(f"<vary>: {count} pictures; at most {MOST_PICTURES}")
    return (plans, *axes)


def _is_of_routing(axis: Axis) -> bool:
    return axis.kind == "routing" or (axis.kind, axis.path) == ("settings", ("routing",))


@contextmanager
def _told(axes: Sequence[Axis], at: At) -> Iterator[None]:
    """Says in errors which combination is wrong."""
    named = [(axis, n) for axis, n in zip(axes, at, strict=True) if axis.kind != "source" or len(axis.values) > 1]
    where = ", ".join(shortened(axis_title(axis, n), _LONGEST_LABEL) for axis, n in named)
    try:
        yield
    except SettingError as error:
        named_itself = error.template.startswith("<vary>")
        raise SettingError(f"{where}: {error.template}" if where and not named_itself else error.template) from error
    except InputError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from error


Chosen = Sequence[tuple[Axis, Any]]


def _settings(chosen: Chosen, given: DrawSettings) -> DrawSettings:
    changes = {axis.path[0]: value for axis, value in chosen if axis.kind == "settings"}
    return read_settings(DrawSettings, dict(given) | changes) if changes else given


def _source(chosen: Chosen, sources: Sequence[Source]) -> Source:
    return next(sources[value] for axis, value in chosen if axis.kind == "source")


def _method(settings: DrawSettings, source: Source) -> "Method | None":
    """The method of a combination; None: as its routing asks for."""
    name = settings.method or (source.record.settings.method if source.record is not None else None)
    return None if name is None else named_method(name)


def _job(chosen: Chosen, settings: DrawSettings, source: Source, method: "Method | None", command: str) -> Job:
    changes: dict[str, Any] = {}
    if settings.seed is None and source.record is None:
        changes["seed"] = 0
    plan = varied(source.plan, [(axis, value) for axis, value in chosen if axis.kind == "plan"])
    routing = source.routing
    if method is not None and method.unrouted:
        if any((axis.kind, axis.path) == ("settings", ("method",)) or _is_of_routing(axis) for axis, _ in chosen):
            changes["routing"] = None  # it is for the methods beside it
    elif of_routing := [(axis, value) for axis, value in chosen if axis.kind == "routing"]:
        routing = varied(routing_for(settings, source, method).balanced_for(plan), of_routing)
        changes["routing"] = None
    settings = settings.model_copy(update=changes)
    return prepare(settings, replace(source, plan=plan, routing=routing), command=command)


# Files ----------------------------------------------------------------------------------------------------------------


def _file_name(axes: Sequence[Axis], values: Mapping[str, str], taken: set[str]) -> str:
    """Of the values alone, so that a sweep of more values knows the pictures of one of fewer."""
    parts, lossless = [], True
    for axis in axes:
        if axis.name in values:
            text = values[axis.name].replace("%", "p")
            slug = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")
            lossless &= slug == text
            parts.append(
                slug if axis.kind == "source" or axis.name in ("method", "routing") else f"{_last(axis)}-{slug}"
            )
    name = "_".join(parts)
    if not lossless or len(name) > _LONGEST_NAME or name.casefold() in taken:
        digest = hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:8]
        name = f"{name[:_LONGEST_NAME].rstrip('-._')}_{digest}"
    taken.add(name.casefold())
    return f"{name}.png"


def _last(axis: Axis) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", axis.path[-1])
