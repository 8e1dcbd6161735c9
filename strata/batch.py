"""A batch: what many pictures are drawn from, read, planned and checked, each by itself (`batch_run.py` draws them)."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from strata.claims import numbered
from strata.contents import PICTURES, PLANS
from strata.hierarchy.errors import InputError, SettingError, StrataError, quote
from strata.hierarchy.plan import ScenePlan
from strata.job import Job, check_seeds, prepare
from strata.lists import LIST_SUFFIXES, DrawRow, draw_rows
from strata.llm.cache import planner_key
from strata.llm.draft import Draft
from strata.llm.many import plan_many
from strata.llm.planner import Request
from strata.llm.protocol import Backend
from strata.loading import locate_for
from strata.planning import CONCURRENCY, PlannerSettings, canvas, check_prompt, is_file, slug
from strata.settings import DrawSettings
from strata.source import open_source, safe_name
from strata.together import check_one_model

Wrong = StrataError | OSError
"""What may be wrong with one of a batch, while the others go on."""


@dataclass(frozen=True)
class BatchRun:
    """One picture.

    Attributes:
        file: its path below the folder of the batch.
        source: what it is drawn from, as messages and the table of runs have it.
        job: draws it, with the seed of this picture.
    """

    file: str
    source: str
    job: Job


@dataclass(frozen=True)
class Batch:
    """What is drawn.

    Attributes:
        runs: the pictures, in order.
        wrong: sources that nothing is drawn from, and why.
    """

    runs: tuple[BatchRun, ...]
    wrong: tuple[tuple[str, Wrong], ...]


@dataclass(frozen=True)
class BatchAsked:
    """What a batch is made of.

    Attributes:
        sources: plan files, pictures that strata drew, prompts, and lists of them (`lists.py`).
        settings: of all pictures.
        planner: how prompts are planned.
        count: pictures of each source, of seeds SEED, SEED+1, ….
        force: what is there of other batches under these names is replaced.
        command: what the records give as the command of the run.
    """

    sources: Sequence[str]
    settings: DrawSettings = field(default_factory=DrawSettings)
    planner: PlannerSettings = field(default_factory=PlannerSettings)
    count: int = 1
    force: bool = False
    command: str = ""


@dataclass(frozen=True)
class Planning:
    """What is told while prompts are planned.

    Attributes:
        begin: gets the language model, and how many prompts it is asked.
        planned: is called after each of them.
    """

    begin: Callable[[Backend, int], None] = lambda backend, count: None
    planned: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class _Item:
    """A source, or a line of a list."""

    source: str
    row: DrawRow
    name: str


def prepare_batch(asked: BatchAsked, folder: Path, opened: ExitStack, told: Planning = Planning()) -> Batch:
    """Reads, plans and checks everything of a batch; nothing is loaded but the language model, which goes again.

    Args:
        asked: what is drawn.
        folder: of the batch; plans of prompts go to `plans/` in it, and those that are there already stay.
        opened: until it is closed, the files of the sources can be read.
        told: of the planning.

    Raises:
        StrataError: what is wrong for all: a list that cannot be read, two models, a language model that cannot be
            reached, or the same for every source.
    """
    wrong: dict[str, Wrong] = {}
    items = _named(_items(asked.sources, wrong))
    if (given := asked.planner.given()) and all(item.row.prompt is None for item in items):
        raise SettingError(f"{', '.join(f'<{name}>' for name in given)}: for prompts, and there are none")
    plans = _planned(asked, folder / PLANS, items, wrong, told)
    runs: list[BatchRun] = []
    for item in items:
        path = plans.get(item.name) if item.row.plan is None else item.row.plan
        if path is None:
            continue  # its plan could not be made
        try:
            runs += _runs(asked, item, os.fspath(path), opened)
        except (StrataError, OSError) as error:
            wrong[item.source] = error
    errors = list(wrong.values())
    if errors and not runs and all(str(error) == str(errors[0]) for error in errors):
        raise errors[0]
    check_one_model((run.source, run.job) for run in runs)
    return Batch(tuple(runs), tuple(wrong.items()))


def _items(sources: Sequence[str], wrong: dict[str, Wrong]) -> Iterator[tuple[str, DrawRow]]:
    """What is asked, lists line by line; notes what is wrong with one of them."""
    for source in sources:
        if Path(source).suffix.lower() in LIST_SUFFIXES:
            for line, row in draw_rows(Path(source)):
                if isinstance(row, InputError):
                    wrong[f"{source}:{line}"] = row
                else:
                    yield f"{source}:{line}", row
        elif is_file(source):
            yield source, DrawRow(plan=source)
        elif not re.search(r"\s", source.strip()):
            wrong[source] = InputError(f"{quote(source)}: no such file; put a prompt of several words in quotes")
        else:
            yield source, DrawRow(prompt=source)


def _named(found: Iterator[tuple[str, DrawRow]]) -> list[_Item]:
    """Items with names of their own, which stay the same when others are added behind them."""
    taken: set[str] = set()
    items: list[_Item] = []
    for source, row in found:
        stem = row.name or (slug(row.prompt) if row.prompt is not None else safe_name(Path(row.plan or "").stem))
        name = next(path.name for path in numbered(stem) if path.name.casefold() not in taken)
        taken.add(name.casefold())
        items.append(_Item(source, row, name))
    return items


def _runs(asked: BatchAsked, item: _Item, path: str, opened: ExitStack) -> list[BatchRun]:
    source = opened.enter_context(open_source(path))
    seed = asked.settings.seed if item.row.seed is None else item.row.seed
    if seed is None and source.record is None:
        seed = 0
    settings = asked.settings.model_copy(update={"seed": seed})
    job = prepare(settings, replace(source, name=item.name), command=asked.command)
    check_seeds(job, asked.count)
    jobs = [replace(job, seed=job.seed + number) for number in range(asked.count)]
    return [BatchRun(f"{PICTURES}/{item.name}_seed-{job.seed}.png", item.source, job) for job in jobs]


# Prompts --------------------------------------------------------------------------------------------------------------


def _planned(
    asked: BatchAsked, folder: Path, items: Sequence[_Item], wrong: dict[str, Wrong], told: Planning
) -> Mapping[str, Path]:
    """The files of the plans of all prompts, by the items' names; those that are not there are made."""
    prompts: list[tuple[_Item, Request]] = []
    draft, instructions = asked.planner.read()
    for item in items:
        if item.row.prompt is not None:
            try:
                prompts.append((item, _request(asked, item.row, draft)))
            except StrataError as error:
                wrong[item.source] = error
    if not prompts:
        return {}
    files = {item.name: folder / f"{item.name}.yaml" for item, _ in prompts}
    with closing(asked.planner.open(CONCURRENCY)) as backend:
        planner = asked.planner.planner(backend, instructions)
        there = {item.name: _kept_key(files[item.name], asked.force) for item, _ in prompts}
        missing = [(item, request) for item, request in prompts if there[item.name] != planner.key(request)]
        for item, _ in missing:
            if there[item.name] is not None and not asked.force:
                raise SettingError(f"<out>: {files[item.name]}: is of another prompt or planner; {_INSTEAD}")
        if missing:
            told.begin(backend, len(missing))

        def on_plan(index: int, plan: ScenePlan) -> None:
            folder.mkdir(exist_ok=True)
            plan.save(files[missing[index][0].name])
            told.planned()

        def on_failure(index: int, error: StrataError) -> None:
            item = missing[index][0]
            wrong[item.source] = error
            del files[item.name]
            told.planned()

        requests = [request for _, request in missing]
        plan_many(planner, requests, on_plan=on_plan, on_failure=on_failure, cache=asked.planner.cache())
    return files


_INSTEAD = "give another folder, or <force> to replace it"


def _kept_key(path: Path, force: bool) -> str | None:
    """The planner's key of a plan that is there; None where none is, or it is replaced."""
    if force or not os.path.lexists(path):
        return None
    key = planner_key(ScenePlan.load(path))
    if key is None:
        raise SettingError(f"<out>: {path}: was not written by a planner; {_INSTEAD}")
    return key


def _request(asked: BatchAsked, row: DrawRow, draft: Draft | None) -> Request:
    """A prompt with what its row says, else what the settings say, else what suits the model."""
    assert row.prompt is not None
    check_prompt(row.prompt)
    settings, planner = asked.settings, asked.planner
    sides = row.width or settings.width, row.height or settings.height
    width, height = canvas(locate_for(settings.model).default_size, draft, *sides)
    return Request(row.prompt, width, height, draft, row.regions or planner.regions, row.style or planner.style)
