"""`strata batch`: many pictures of many plans and prompts, with one loading of the model or on a cluster."""

import shlex
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Self

from cyclopts import Group, Parameter
from tqdm import tqdm

from strata.batch import BatchAsked, Planning
from strata.batch_run import Ready, Row, events
from strata.commands.options import BAD_INPUT, FAILED, Argv
from strata.console import duration, note, quiet, say, tell
from strata.contents import LINES
from strata.drawers import Drawer, Steps, Told
from strata.hierarchy.errors import SettingError, count
from strata.llm.protocol import Backend
from strata.plan_table import announce
from strata.planning import PlannerSettings
from strata.settings import HOW, WHERE_TO, Count, DrawSettings, Name, OutFolder, PictureCount, Settings

WORKERS = Parameter(group=Group("who draws", sort_key=6))


class BatchSettings(Settings):
    """How many pictures are drawn, by whom, and where to."""

    count: Annotated[PictureCount, HOW] = 1
    """pictures of each source, of seeds SEED, SEED+1, … (default: 1)"""
    together: Annotated[Count | None, HOW] = None
    """pictures of one size that are drawn in one call, at most (default: as many as have 4,096 image tokens, at most 8;
    on a CPU 1)"""
    ray: Annotated[Name | None, Parameter(metavar="ADDRESS"), WORKERS] = None
    """draw on the workers of a Ray cluster: local starts one on this machine, auto takes the one that runs here,
    HOST:PORT or ray://HOST:PORT another"""
    workers: Annotated[Count | None, WORKERS] = None
    """models that draw at a time, with --ray (default: one for each GPU of the cluster; without GPUs 1)"""
    out: Annotated[OutFolder, WHERE_TO] = "out/batch"
    """folder (default: out/batch)"""
    force: Annotated[bool, WHERE_TO] = False
    """replace what is there under the same names and would come out otherwise"""


def batch(
    sources: Annotated[
        tuple[str, ...],
        Parameter(
            name="PLAN|PROMPT|IMAGE.png|LIST",
            help="plan files, prompts in quotes, pictures that strata drew, and .txt or .jsonl lists of them",
        ),
    ],
    /,
    *,
    batched: BatchSettings = BatchSettings(),
    settings: DrawSettings = DrawSettings(),
    planner: PlannerSettings = PlannerSettings(),
    argv: Argv,
) -> int:
    """Draws many pictures with one loading of the model.

    Sources are plans, prompts, pictures that strata drew, or lists of them:

      LIST.txt    a prompt or the path of a plan a line; empty lines and lines
                  that begin with # are skipped
      LIST.jsonl  a JSON mapping a line: {"plan": PATH} or {"prompt": TEXT} and,
                  where wanted, "name" and "seed"; with a prompt also "width",
                  "height", "regions", "style"

    Paths in a list start from its folder. Without --seed, the seed is 0.
    Writes a folder:

      pictures/    NAME_seed-SEED.png, each with its record, for
                   `strata generate` to draw again
      plans/       what was planned of prompts
      runs.jsonl   a line for each picture: file, source, seed, seconds,
                   settings, error; written as it is drawn

    What is wrong with one source does not stop the others: it is told, noted in
    runs.jsonl, and the exit code is 1. The same command goes on after an
    interruption, draws what is missing and tries again what failed.

    Pictures that are drawn together differ from those drawn alone by rounding,
    a grey level or two.

    examples:
      strata batch plans/*.yaml -o drawn
      strata batch prompts.txt --llm http://localhost:8000/v1 --count 4 -o drawn
      strata batch plans.jsonl --model black-forest-labs/FLUX.1-dev --ray auto
    """
    asked = BatchAsked(sources, settings, planner, batched.count, batched.force, shlex.join(["strata", *argv]))
    out = Path(batched.out)
    with ExitStack() as stack:
        progress = stack.enter_context(_Progress())
        drawer = _drawer(batched)
        stack.enter_context(quiet())
        for event in events(asked, out, together=batched.together, drawer=drawer, told=progress.planning, notes=note):
            progress.show(event)
    print(out / LINES)
    if not progress.failed:
        return 0
    some = ", ".join(progress.failed[:5]) + (", …" if len(progress.failed) > 5 else "")
    say(f"error: {len(progress.failed)} not drawn: {some}; {out / LINES} lists them")
    return FAILED if progress.there else BAD_INPUT


def _drawer(batched: BatchSettings) -> Drawer | None:
    if batched.ray is None:
        if batched.workers is not None:
            raise SettingError(f"<workers> {batched.workers}: is for <ray>")
        return None
    from strata.ray_pool import RayPool

    return RayPool(batched.ray, batched.workers)


class _Progress:
    """Prints what comes, and on a terminal shows a bar of what is planned and then of steps."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.there = 0
        """Pictures that are there by now."""
        self.planning = Planning(self._plan, lambda: self._forward(1))
        self._bar = tqdm(disable=True)
        self._pictures = self._number = self._left = 0
        """Pictures to be drawn, those that are done, and steps that are left."""
        self._since: tuple[float, int] | None = None
        """When the first steps were done, and how many were left then."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def show(self, event: Ready | Steps | Row | Told) -> None:
        """Takes one event."""
        match event:
            case Ready():
                self._begin(event)
            case Steps(steps):
                self._left -= steps
                self._forward(steps)
                self._since = self._since or (time.perf_counter(), self._left)
            case Told(text):
                self._bar.clear()
                note(text)
            case Row():
                self._row(event)

    def _plan(self, backend: Backend, prompts: int) -> None:
        announce(backend)
        self._new_bar(prompts, "plan")

    def _new_bar(self, total: int, unit: str) -> None:
        self._bar.close()
        self._bar = tqdm(total=total, leave=False, disable=not sys.stderr.isatty() or not total, unit=unit)

    def _forward(self, done: int) -> None:
        self._bar.update(min(done, (self._bar.total or done) - self._bar.n))

    def _begin(self, ready: Ready) -> None:
        self._pictures, self._left, self.there = ready.missing, ready.steps, ready.there
        known = f" ({ready.there} there already)" if ready.there else ""
        where = f", {ready.where}" if ready.where else ""
        all_of_them = count(ready.missing + ready.there, "picture")
        print(f"{all_of_them}{known}, {count(ready.steps, 'step')} to go{where}", flush=True)
        self._new_bar(ready.steps, "step")

    def _row(self, row: Row) -> None:
        if row.error is None and not row.drawn:
            return
        self._bar.clear()
        if row.error is not None:
            self._number += row.job is not None
            self.failed.append(row.source)
            tell(row.source, row.error)
            return
        self._number, self.there = self._number + 1, self.there + 1
        print(f"{row.path}  {row.seconds:.1f} s  [{self._number}/{self._pictures}{self._time_left()}]", flush=True)

    def _time_left(self) -> str:
        if self._since is None or self._left <= 0 or self._left >= self._since[1]:
            return ""
        pace = (time.perf_counter() - self._since[0]) / (self._since[1] - self._left)
        return f", about {duration(self._left * pace)} left"
