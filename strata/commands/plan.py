"""`strata plan`: prompts, one or a file of them, to plan files."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from tqdm import tqdm

from strata.claims import Claim, check_no_folders, claimed, file_claim, numbered
from strata.commands.options import BAD_INPUT
from strata.console import note
from strata.contents import check_apart, check_unowned
from strata.hierarchy.errors import InputError, SettingError, StrataError, count, quote
from strata.hierarchy.files import write_atomic
from strata.hierarchy.plan import ScenePlan
from strata.lists import PromptRow, check_list, prompt_rows
from strata.llm.backends import MINIATURE as BUNDLED
from strata.llm.cache import PlanCache, planner_key
from strata.llm.draft import Draft
from strata.llm.errors import LlmError
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request
from strata.loading import CANVAS, MINIATURE, locate
from strata.plan_table import Remark, announce, planner_remarks, print_plan
from strata.planning import CONCURRENCY, PlannerSettings, canvas, check_prompt, is_file, slug
from strata.settings import PLANNING, WHERE_TO, Count, OutFolder

OUT = Path("out", "plans")
FAILED = "failed.jsonl"


class PlanSettings(PlannerSettings):
    """The planner's settings, the canvas, and where the plans go."""

    width: Annotated[Count | None, PLANNING] = None
    """pixels (default: 1024; 128 for --llm miniature)"""
    height: Annotated[Count | None, PLANNING] = None
    """likewise"""
    concurrency: Annotated[Count | None, PLANNING] = None
    """prompts that a server works on at the same time (default: 16)"""
    out: Annotated[OutFolder | None, WHERE_TO] = None
    """folder of the plans; for one prompt also a .yaml or .json file"""
    resume: Annotated[bool, WHERE_TO] = False
    """keep the plans that are there and would come out the same; plan the rest"""
    force: Annotated[bool, WHERE_TO] = False
    """replace the plans that are there"""


def plan(
    source: Annotated[
        str, Parameter(name="PROMPT|FILE", help="a prompt in quotes, or a .txt or .jsonl file of prompts")
    ],
    /,
    *,
    settings: PlanSettings = PlanSettings(),
) -> int:
    """Makes plans of prompts with a language model.

    First what stands where (high level), then what it looks like (low level).
    One prompt is shown as a table and written to out/plans/PROMPT.yaml; the
    prompts of FILE, all to out/plans/FILE/:

      FILE.txt    a prompt a line; empty lines and lines that begin with # are
                  skipped
      FILE.jsonl  a JSON mapping a line: {"prompt": …} and, where wanted, "name"
                  (of the plan's file), "width", "height", "regions", "style"

    examples:
      strata plan "a lighthouse, a boat below it" --llm http://localhost:8000/v1
      strata plan prompts.txt -o plans --llm vllm:Qwen/Qwen3-8B
      strata plan prompts.txt -o plans --resume      go on after an interruption
      strata generate plans/0001-a-lighthouse.yaml   draw one of the plans
    """
    if settings.resume and settings.force:
        raise SettingError("<force>: not allowed with <resume>")
    draft, instructions = settings.read()
    if settings.concurrency is not None and not settings.asks_a_server:
        llm = settings.llm or BUNDLED
        raise SettingError(f"<concurrency> {settings.concurrency}: is for servers, not for <llm> {llm}")
    with ExitStack() as stack:
        if is_file(source):
            tasks, folder = _read_list(source, settings, draft)
            stack.enter_context(claimed(folder, _label(folder, settings)))
            report = _Report(tasks, folder, folder / FAILED)
            check_no_folders([report.folder / FAILED, *(task.path for task in tasks)])
        else:
            tasks = [stack.enter_context(_claimed_prompt(source, settings, draft))]
            report = _Report(tasks, tasks[0].path.parent, None)
        for task in tasks:
            check_unowned(task.path)
        if not settings.force:
            check_apart(report.folder, str(report.folder), ("plans",))
        kept = {task.path: key for task in tasks if (key := _kept_key(task.path, settings)) is not None}
        with closing(settings.open(settings.concurrency or CONCURRENCY)) as backend:
            planner = settings.planner(backend, instructions)
            todo = [i for i, task in enumerate(tasks) if kept.get(task.path) != planner.key(task.request)]
            report.before = len(tasks) - len(todo)
            _ask(planner, settings.cache(), report, todo)
    if report.failed_file is None:
        if report.failures:
            raise report.failures[0]
        print_plan(ScenePlan.load(tasks[0].path))
        print(f"\n{tasks[0].path}")
    else:
        print(report.summary())
    return BAD_INPUT if report.failures else 0


@dataclass(frozen=True)
class _Task:
    """A prompt to be planned, and the file its plan goes to."""

    request: Request
    path: Path
    place: str = ""
    """Where the prompt stands, such as `prompts.txt:3`; empty for the command line."""


@contextmanager
def _claimed_prompt(prompt: str, settings: PlanSettings, draft: Draft | None) -> Iterator[_Task]:
    """The prompt of the command line, and where its plan goes: -o where that names a file, else into that folder.

    While the context lasts, no other process writes that file.
    """
    if settings.concurrency is not None:
        raise SettingError(f"<concurrency> {settings.concurrency}: is for files of prompts")
    check_prompt(prompt)
    request = _request(settings, draft, PromptRow.model_construct(prompt=prompt))
    out = OUT if settings.out is None else Path(settings.out)
    path = out if settings.out is not None and _names_a_plan(settings.out) else out / f"{slug(prompt)}.yaml"
    if settings.out is None and not settings.resume and not settings.force:
        path, claim = _new_file(str(path.with_suffix("")), path.suffix)
        try:
            yield _Task(request, path)
        finally:
            claim.release()
        return
    with claimed(path.parent, _label(path.parent, settings), path.name):
        check_no_folders([path])
        yield _Task(request, path)


def _new_file(name: str, suffix: str) -> tuple[Path, Claim]:
    """The first numbered file that is not there, claimed."""
    for path in numbered(name, suffix):
        if not os.path.lexists(path) and (claim := file_claim(path, str(path.parent))) is not None:
            if not os.path.lexists(path):  # else another process had just written it
                return path, claim
            claim.release()
    raise AssertionError


def _label(folder: Path, settings: PlanSettings) -> str:
    return str(folder) if settings.out is None else f"-o {settings.out}"


def _names_a_plan(out: str) -> bool:
    suffix = os.path.splitext(os.path.basename(out))[1]  # none of a name that ends with a slash
    return suffix.lower() in (".yaml", ".yml", ".json") and not os.path.isdir(out)


def _read_list(path: str, settings: PlanSettings, draft: Draft | None) -> tuple[list[_Task], Path]:
    """The prompts of a file, all of them checked, and the folder of their plans."""
    source = Path(path)
    check_list(source)
    folder = OUT / source.stem if settings.out is None else Path(settings.out)
    if settings.out is not None and _names_a_plan(settings.out):
        raise InputError(f"-o {folder}: must be a folder, as {source} is a file of prompts")
    rows = list(prompt_rows(source))
    if not rows:
        raise InputError(f"{source}: holds no prompt")
    tasks: list[_Task] = []
    taken: dict[str, int] = {}
    for number, (line, row) in enumerate(rows, start=1):
        place = f"{source}:{line}"
        name = row.name or f"{number:04d}-{slug(row.prompt)}"
        if name.casefold() in taken:
            raise InputError(f"{place}: name: {quote(name)}: already the name of line {taken[name.casefold()]}")
        taken[name.casefold()] = line
        try:
            asked = _request(settings, draft, row)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        tasks.append(_Task(asked, folder / f"{name}.yaml", place))
    return tasks, folder


def _request(settings: PlanSettings, draft: Draft | None, row: PromptRow) -> Request:
    """A prompt with what its row says, else what the settings say, else what suits."""
    sides = row.width or settings.width, row.height or settings.height
    bundled = (settings.llm or BUNDLED) == BUNDLED  # it plans for the miniature
    width, height = canvas(locate(MINIATURE).default_size if bundled else CANVAS, draft, *sides)
    return Request(row.prompt, width, height, draft, row.regions or settings.regions, row.style or settings.style)


def _kept_key(path: Path, settings: PlanSettings) -> str | None:
    """The key of the plan that is there already and may stay; None where none is, or --force replaces it.

    Raises:
        InputError: a file is there, and neither --resume nor --force is given, or it is no planner's.
    """
    if settings.force or not path.exists():
        return None
    if not settings.resume:
        raise InputError(f"{path}: is there already; --resume plans only what is missing, --force replaces it")
    key = planner_key(ScenePlan.load(path))
    if key is None:
        raise InputError(f"{path}: was not written by a planner, so --resume leaves it alone; move it, or give --force")
    return key


@dataclass
class _Report:
    """What became of the prompts of one run."""

    tasks: Sequence[_Task]
    folder: Path
    failed_file: Path | None
    """Where failures are listed; None for a single prompt."""
    before: int = 0
    """Plans that were there already."""
    cached: int = 0
    written: int = 0
    failures: dict[int, StrataError] = field(default_factory=dict)
    remarks: Counter[Remark] = field(default_factory=Counter)

    @property
    def there(self) -> int:
        return self.before + self.written

    def plan(self, index: int, plan: ScenePlan) -> None:
        """Writes a plan."""
        plan.save(self.tasks[index].path)
        self.written += 1
        self.remarks.update({kind for kind, _ in planner_remarks(plan)})

    def failure(self, index: int, error: StrataError) -> None:
        """Notes a failed prompt; in the file of failures too, so that it outlives whatever comes."""
        self.failures[index] = error
        if self.failed_file is not None:
            one = self.tasks[index]
            row = {"prompt": one.request.prompt, "error": str(error), "plan": one.path.name}
            line = json.dumps(row, ensure_ascii=False) + "\n"
            if len(self.failures) == 1:  # the list of an earlier run stays until there is a new one
                write_atomic(self.failed_file, line)
                return
            with self.failed_file.open("a", encoding="utf-8") as file:
                file.write(line)

    def list_failures(self) -> None:
        """Prints every failed prompt, one line each."""
        for index, error in sorted(self.failures.items()):
            print(f"strata: error: {self.tasks[index].place}: {error}", file=sys.stderr)
        if self.failures:
            some = f"{len(self.failures)} of {count(len(self.tasks), 'prompt')}"
            print(f"strata: error: {some} failed; {self.failed_file} lists them", file=sys.stderr, flush=True)

    def progress(self) -> str:
        """How far a run came that ended early, and how to go on."""
        done = f"{self.there} of {count(len(self.tasks), 'plan')}"
        return f"{done} are in {self.folder}; --resume plans the rest"

    def summary(self) -> str:
        """What came out, in a line or two."""
        origins = [("there before", self.before), ("from the cache", self.cached)]
        parts = ", ".join(f"{number} {origin}" for origin, number in origins if number)
        text = f"{self.folder}: {count(self.there, 'plan')}" + (f" ({parts})" if parts else "")
        if self.remarks:
            parts = ", ".join(_REMARKS[kind].format(number) for kind, number in self.remarks.items())
            text += f"\n{parts} (see their provenance)"
        return text


_REMARKS: dict[Remark, str] = {
    "repaired": "{} repaired",
    "not in the prompt": "{} with words that are not in the prompt",
    "in no description": "{} without some words of the prompt",
    "passed over": "{} where words of the prompt were passed over",
}


def _ask(planner: Planner, cache: PlanCache | None, report: _Report, todo: Sequence[int]) -> None:
    """Plans the prompts that `todo` counts, with a progress bar on a terminal.

    Raises:
        LlmError: the model cannot be reached, or is gone.
    """
    many = report.failed_file is not None
    terminal = sys.stderr.isatty()
    if not many and todo:
        announce(planner.backend)
    requests = [report.tasks[i].request for i in todo]
    total = len(report.tasks)
    try:
        with tqdm(total=total, initial=report.before, unit="plan", leave=False, disable=not (many and terminal)) as bar:

            def on_plan(index: int, plan: ScenePlan) -> None:
                report.plan(todo[index], plan)
                bar.update()

            def on_failure(index: int, error: StrataError) -> None:
                report.failure(todo[index], error)
                bar.set_postfix(failed=len(report.failures))

            tally = plan_many(planner, requests, on_plan=on_plan, on_failure=on_failure, cache=cache)
    except LlmError as error:
        report.list_failures()
        if not many or not report.there:
            raise
        raise LlmError(f"{error}; {report.progress()}") from error
    except KeyboardInterrupt:
        report.list_failures()
        if many:
            note(report.progress())
        raise
    report.cached = tally.cached
    if report.failed_file is not None:
        report.list_failures()
        if not report.failures:
            report.failed_file.unlink(missing_ok=True)
