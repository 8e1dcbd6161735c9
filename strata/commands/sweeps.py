"""What `compare` and `sweep` share: settings of all pictures, drawing with a bar, and what is printed."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from strata.axes import Axis
from strata.console import duration, note, quiet
from strata.contents import TABLE
from strata.engine import Step
from strata.hierarchy.errors import InputError, SettingError, count
from strata.job import notes_of
from strata.methods import check_methods, check_routings
from strata.settings import DrawSettings
from strata.source import Source, open_source
from strata.sweep import Sweep, prepare_sweep
from strata.sweep_run import Ready, Row, Score, Sheets, events


def draw_sweep(
    paths: Sequence[str], axes: Sequence[Axis], settings: DrawSettings, out: str, force: bool, command: str
) -> None:
    """Reads and checks everything, names first, then draws what is missing and prints what comes of it."""
    check_methods([settings.method])
    check_routings([settings.routing])
    for axis in axes:
        if axis.field == ("settings", ("method",)):
            check_methods(axis.values, f"<vary> {axis.name}")
        if axis.field == ("settings", ("routing",)):
            check_routings(axis.values)
    with ExitStack() as opened:
        sources = [opened.enter_context(open_source(path)) for path in paths]
        _check_out(paths, out)
        sweep = prepare_sweep(sources, axes, settings, command=command)
        for text in notes_of(run.job for run in sweep.runs):
            note(text)
        score = _scorer(sweep, sources)
        opened.enter_context(quiet())
        _draw(sweep, out, force, score)


def _check_out(paths: Sequence[str], out: str) -> None:
    """A folder that pictures of the sweep are read from would change while it is drawn."""
    for path in paths:
        if Path(out).resolve() == Path(path).resolve().parent.parent and Path(path).suffix == ".png":
            raise SettingError(f"<out> {out}: {path} is read from there; give another folder")


def _scorer(sweep: Sweep, sources: Sequence[Source]) -> Score | None:
    """The exact scorer, where the model's pictures can be judged by it."""
    if not sweep.runs[0].job.model.is_judged_exactly():
        return None
    from strata.analysis.following_exact import named_things, picture_scores

    unscored: dict[str, str] = {}
    for source in sources:
        try:
            named_things(source.plan)
        except InputError as error:
            unscored[source.name] = str(error).partition("; it knows: ")[0]
    if unscored:
        name, why = next(iter(unscored.items()))
        others = f" and {count(len(unscored) - 1, 'other plan')}" if len(unscored) > 1 else ""
        note(f"{name}{others}: no score: {why}")
    return picture_scores


def _draw(sweep: Sweep, out: str, force: bool, score: Score | None) -> None:
    total, number, seconds = len(sweep.runs), 0, 0.0
    steps_left = done = 0
    bar = tqdm(leave=False, disable=True)
    try:
        for event in events(sweep, out, force=force, score=score):
            match event:
                case Ready(missing, there, steps):
                    model = sweep.runs[0].job
                    known = f" ({there} there already)" if there else ""
                    print(
                        f"{count(total, 'picture')}{known}, {count(steps, 'step')} to go,"
                        f" {model.model.name} on {model.device} in {model.dtype}",
                        flush=True,
                    )
                    steps_left = steps
                    bar = tqdm(total=steps, leave=False, disable=not sys.stderr.isatty() or not missing, unit="step")
                case Step():
                    bar.update()
                case Row():
                    number += 1
                    if event.drawn:
                        steps = event.run.job.steps
                        seconds, done, steps_left = seconds + (event.seconds or 0), done + steps, steps_left - steps
                        bar.clear()
                        left = f", about {duration(steps_left * seconds / done)} left" if steps_left else ""
                        print(f"{_told(event)}  [{number}/{total}{left}]", flush=True)
                case Sheets(paths):
                    bar.clear()
                    print(*paths, Path(out) / TABLE, sep="\n")
    finally:
        bar.close()


def _told(row: Row) -> str:
    found = "".join(f"  {name} {100 * value:.0f} %" for name, value in row.scores.items())
    return f"{row.path}  {row.seconds:.1f} s{found}"
