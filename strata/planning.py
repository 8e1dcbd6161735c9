"""`strata plan`: prompts, one or a file of them, to plan files; and the planning of `strata generate "a sentence"`."""

import json
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from tqdm import tqdm

from strata.console import count, note, terminal_width
from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.files import quote, read_json_lines, read_text, validate
from strata.hierarchy.plan import LARGEST_SIDE, NUMBER, ScenePlan, StrictModel, Text
from strata.llm.answer import MOST_REGIONS
from strata.llm.backends import MINIATURE as BUNDLED
from strata.llm.backends import open_backend
from strata.llm.cache import PlanCache, planner_key
from strata.llm.draft import Draft
from strata.llm.errors import LlmError
from strata.llm.instructions import DEFAULT, Instructions
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request
from strata.llm.protocol import Backend
from strata.loading import MINIATURE
from strata.plan_table import Remark, plan_lines, planner_remarks
from strata.run import make_folder

CANVAS, MINIATURE_CANVAS = 1024, 64
"""Pixels of each side where nothing else is said."""
TIMEOUT, CONCURRENCY, ATTEMPTS = 120.0, 16, 3
OUT = Path("out", "plans")
FAILED = "failed.jsonl"
LIST_SUFFIXES = (".txt", ".jsonl")
_LONGEST_SLUG = 40


@dataclass(frozen=True)
class PlannerOptions:
    """How prompts are planned; None means the default."""

    llm: str | None = None
    llm_model: str | None = None
    llm_timeout: float | None = None
    regions: int | None = None
    style: str | None = None
    draft: str | None = None
    one_call: bool = False
    attempts: int | None = None
    instructions: str | None = None
    no_cache: bool = False

    def given(self) -> list[str]:
        """The options that were given, as flags."""
        return [
            f"--{option.name.replace('_', '-')}"
            for option in fields(self)
            if getattr(self, option.name) != option.default
        ]

    @property
    def asks_a_server(self) -> bool:
        """Whether the model is reached by an address."""
        return (self.llm or BUNDLED).startswith(("http://", "https://"))

    def read(self) -> tuple[Draft | None, Instructions]:
        """The files that the options name. Raises `InputError`, for options that would be ignored too."""
        if self.llm_timeout is not None and not self.asks_a_server:
            raise InputError(f"--llm-timeout {self.llm_timeout:g}: is for servers, not for --llm {self.llm or BUNDLED}")
        draft = Draft.load(self.draft) if self.draft is not None else None
        return draft, Instructions.load(DEFAULT if self.instructions is None else self.instructions)

    def open(self, concurrency: int = 1) -> Backend:
        """The way to the model. Raises `InputError` or `LlmError`."""
        timeout = TIMEOUT if self.llm_timeout is None else self.llm_timeout
        return open_backend(self.llm or BUNDLED, model=self.llm_model, timeout=timeout, concurrency=concurrency)

    def planner(self, backend: Backend, instructions: Instructions) -> Planner:
        """The planner that asks `backend`."""
        attempts = ATTEMPTS if self.attempts is None else self.attempts
        return Planner(backend, instructions=instructions, one_call=self.one_call, attempts=attempts)

    def cache(self) -> PlanCache | None:
        """Where plans are looked up first."""
        return None if self.no_cache else PlanCache()


def canvas(model: str, draft: Draft | None, width: int | None, height: int | None) -> tuple[int, int]:
    """The sides asked for, else the draft's, else what suits a model: 64 for the miniature ones, 1024 for others."""
    default = MINIATURE_CANVAS if model in (MINIATURE, BUNDLED) else CANVAS
    drawn = (draft.width, draft.height) if draft is not None else (None, None)
    return width or drawn[0] or default, height or drawn[1] or default


def slug(prompt: str) -> str:
    """The first words of a prompt as part of a file name: `a-red-striped-circle`."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode()
    text = "-".join(re.findall(r"[a-z0-9]+", plain.lower()))
    if len(text) > _LONGEST_SLUG:
        text = text[: _LONGEST_SLUG + 1]
        text = text[: text.rfind("-")] if "-" in text else text[:_LONGEST_SLUG]
    return text or "prompt"


def is_file(source: str) -> bool:
    """Whether a command's SOURCE is a file or looks like the name of one, and not a prompt."""
    if os.path.exists(source):
        return True
    return not re.search(r"\s", source) and re.search(r"[/\\]|\.\w{1,5}$", source) is not None


def check_prompt(prompt: str) -> None:
    """Raises `InputError` for a prompt that says nothing."""
    if not prompt.strip():
        raise InputError("the prompt is empty; say what to draw")


# One prompt -----------------------------------------------------------------------------------------------------------


def plan_one(options: PlannerOptions, instructions: Instructions, request: Request) -> ScenePlan:
    """Plans one prompt, or finds its plan in the cache; the model is gone from memory afterwards.

    Raises:
        StrataError: the model cannot be had or reached, or the prompt cannot be planned.
    """
    plans: list[ScenePlan] = []
    failures: list[StrataError] = []
    with closing(options.open()) as backend:
        if sys.stderr.isatty():
            _tell_who(backend)
        plan_many(
            options.planner(backend, instructions),
            [request],
            on_plan=lambda _, plan: plans.append(plan),
            on_failure=lambda _, error: failures.append(error),
            cache=options.cache(),
        )
    if failures:
        raise failures[0]
    return plans[0]


def _tell_who(backend: Backend) -> None:
    """Says what takes its time."""
    who = backend.name if backend.model in backend.name else f"{backend.model} ({backend.name})"
    print(f"planning with {who} …", file=sys.stderr, flush=True)


def print_plan(plan: ScenePlan) -> None:
    """Prints a plan as a table."""
    made = (plan.provenance or {}).get("planner")
    model = made.get("model") if isinstance(made, dict) else None
    by = f", planned by {model}" if model else ""
    print(f"{plan.width}x{plan.height} pixels, {count(len(plan.regions), 'region')}{by}\n")
    print(*plan_lines(plan, terminal_width()), sep="\n", flush=True)


# strata plan ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanRequest:
    """What the command line asks for."""

    source: str
    planner: PlannerOptions = field(default_factory=PlannerOptions)
    out: str | None = None
    width: int | None = None
    height: int | None = None
    concurrency: int | None = None
    resume: bool = False
    force: bool = False


class _Row(StrictModel):
    """One line of a .jsonl file of prompts."""

    prompt: Text
    name: Text | None = None
    width: Annotated[int, Field(ge=1, le=LARGEST_SIDE), NUMBER] | None = None
    height: Annotated[int, Field(ge=1, le=LARGEST_SIDE), NUMBER] | None = None
    regions: Annotated[int, Field(ge=1, le=MOST_REGIONS), NUMBER] | None = None
    style: Text | None = None

    @field_validator("name")
    @classmethod
    def _name_is_a_file_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"\w[\w.-]{0,99}", name):
            raise ValueError("must be a file name without its suffix: letters, digits, '_', '-' and '.', at most 100")
        return name


@dataclass(frozen=True)
class _Wanted:
    """A prompt to be planned, and the file its plan goes to."""

    request: Request
    path: Path
    place: str = ""
    """Where the prompt stands, such as `prompts.txt:3`; empty for the command line."""


def plan(request: PlanRequest) -> int:
    """Plans what is asked for, writes the plans and prints what became of it; returns the number of failed prompts.

    Raises:
        StrataError: anything about the request cannot be used, or the model cannot be reached, or is gone.
    """
    draft, instructions = request.planner.read()
    if request.concurrency is not None and not request.planner.asks_a_server:
        llm = request.planner.llm or BUNDLED
        raise InputError(f"--concurrency {request.concurrency}: is for servers, not for --llm {llm}")
    if is_file(request.source):
        wanted, folder = _read_list(request, draft)
        report = _Report(wanted, folder, folder / FAILED)
    else:
        wanted = [_read_prompt(request, draft)]
        report = _Report(wanted, wanted[0].path.parent, None)
    kept = {one.path: key for one in wanted if (key := _kept_key(one.path, request)) is not None}
    concurrency = CONCURRENCY if request.concurrency is None else request.concurrency
    created = make_folder(report.folder, str(report.folder) if request.out is None else f"-o {request.out}")
    try:
        with closing(request.planner.open(concurrency)) as backend:
            planner = request.planner.planner(backend, instructions)
            todo = [i for i, one in enumerate(wanted) if kept.get(one.path) != planner.key(one.request)]
            report.before = len(wanted) - len(todo)
            _ask(planner, request.planner.cache(), report, todo)
    finally:
        if created:
            with suppress(OSError):  # there are plans in it
                report.folder.rmdir()
    if report.failed_file is None:
        if report.failures:
            raise report.failures[0]
        print_plan(ScenePlan.load(wanted[0].path))
        print(f"\n{wanted[0].path}")
    else:
        print(report.summary())
    return len(report.failures)


def _read_prompt(request: PlanRequest, draft: Draft | None) -> _Wanted:
    """The prompt of the command line, and where its plan goes: -o where that names a file, else into that folder."""
    if request.concurrency is not None:
        raise InputError(f"--concurrency {request.concurrency}: is for files of prompts")
    check_prompt(request.source)
    out = OUT if request.out is None else Path(request.out)
    if _names_a_plan(out):
        path = out
    else:
        path = out / f"{slug(request.source)}.yaml"
        if request.out is None and not request.resume and not request.force:
            path = next(free for free in _numbered(path) if not free.exists())
    return _Wanted(_asked(request, draft, _Row.model_construct(prompt=request.source)), path)


def _names_a_plan(out: Path) -> bool:
    return out.suffix.lower() in (".yaml", ".yml", ".json") and not out.is_dir()


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    while True:
        yield path.with_stem(f"{path.stem}-{number}")
        number += 1


def _read_list(request: PlanRequest, draft: Draft | None) -> tuple[list[_Wanted], Path]:
    """The prompts of a file, all of them checked, and the folder of their plans."""
    source = Path(request.source)
    suffix = source.suffix.lower()
    if suffix not in LIST_SUFFIXES and source.exists():
        kind = "is a folder" if source.is_dir() else f"suffix {quote(source.suffix)}"
        raise InputError(f"{source}: {kind}; must be a prompt of several words, or a .txt or .jsonl file of prompts")
    folder = OUT / source.stem if request.out is None else Path(request.out)
    if _names_a_plan(folder):
        raise InputError(f"-o {folder}: must be a folder, as {source} is a file of prompts")
    rows = list(_rows_of_json(source) if suffix == ".jsonl" else _rows_of_text(source))
    if not rows:
        raise InputError(f"{source}: holds no prompt")
    wanted: list[_Wanted] = []
    taken: dict[str, int] = {}
    for number, (line, row) in enumerate(rows, start=1):
        place = f"{source}:{line}"
        name = row.name or f"{number:04d}-{slug(row.prompt)}"
        if name.casefold() in taken:
            raise InputError(f"{place}: name: {quote(name)}: already the name of line {taken[name.casefold()]}")
        taken[name.casefold()] = line
        try:
            asked = _asked(request, draft, row)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        wanted.append(_Wanted(asked, folder / f"{name}.yaml", place))
    return wanted, folder


def _rows_of_text(path: Path) -> Iterator[tuple[int, _Row]]:
    """Every line that is neither empty nor a # comment, with its number."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield number, _Row.model_construct(prompt=text)


def _rows_of_json(path: Path) -> Iterator[tuple[int, _Row]]:
    for document in read_json_lines(path):
        yield document.lines[()], validate(_Row, document)


def _asked(request: PlanRequest, draft: Draft | None, row: _Row) -> Request:
    """A prompt with what its row says, else what the options say, else what suits."""
    options = request.planner
    sides = row.width or request.width, row.height or request.height
    width, height = canvas(options.llm or BUNDLED, draft, *sides)
    return Request(row.prompt, width, height, draft, row.regions or options.regions, row.style or options.style)


def _kept_key(path: Path, request: PlanRequest) -> str | None:
    """The key of the plan that is there already and may stay; None where none is, or --force replaces it.

    Raises:
        InputError: a file is there, and neither --resume nor --force is given, or it is no planner's.
    """
    if request.force or not path.exists():
        return None
    if not request.resume:
        raise InputError(f"{path}: is there already; --resume plans only what is missing, --force replaces it")
    key = planner_key(ScenePlan.load(path))
    if key is None:
        raise InputError(f"{path}: was not written by a planner, so --resume leaves it alone; move it, or give --force")
    return key


@dataclass
class _Report:
    """What became of the prompts of one run."""

    wanted: Sequence[_Wanted]
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
        plan.save(self.wanted[index].path)
        self.written += 1
        self.remarks.update({kind for kind, _ in planner_remarks(plan)})

    def failure(self, index: int, error: StrataError) -> None:
        """Notes a failed prompt; in the file of failures too, so that it outlives whatever comes."""
        self.failures[index] = error
        if self.failed_file is not None:
            one = self.wanted[index]
            row = {"prompt": one.request.prompt, "error": str(error), "plan": one.path.name}
            with self.failed_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def list_failures(self) -> None:
        """Prints every failed prompt, one line each."""
        for index, error in sorted(self.failures.items()):
            print(f"strata: error: {self.wanted[index].place}: {error}", file=sys.stderr)
        if self.failures:
            some = f"{len(self.failures)} of {count(len(self.wanted), 'prompt')}"
            print(f"strata: error: {some} failed; {self.failed_file} lists them", file=sys.stderr, flush=True)

    def progress(self) -> str:
        """How far a run came that ended early, and how to go on."""
        done = f"{self.there} of {count(len(self.wanted), 'plan')}"
        return f"{done} are in {self.folder}; --resume plans the rest"

    def summary(self) -> str:
        """What came out, in a line or two."""
        origins = [("there before", self.before), ("from the cache", self.cached)]
        told = ", ".join(f"{number} {origin}" for origin, number in origins if number)
        text = f"{self.folder}: {count(self.there, 'plan')}" + (f" ({told})" if told else "")
        if self.remarks:
            told = ", ".join(_REMARKS[kind].format(number) for kind, number in self.remarks.items())
            text += f"\n{told} (see their provenance)"
        return text


_REMARKS: dict[Remark, str] = {
    "repaired": "{} repaired",
    "not in the prompt": "{} with words that are not in the prompt",
    "in no description": "{} without some words of the prompt",
}


def _ask(planner: Planner, cache: PlanCache | None, report: _Report, todo: Sequence[int]) -> None:
    """Plans the prompts that `todo` counts, with a progress bar on a terminal.

    Raises:
        LlmError: the model cannot be reached, or is gone.
    """
    many = report.failed_file is not None
    terminal = sys.stderr.isatty()
    if report.failed_file is not None:
        report.failed_file.unlink(missing_ok=True)
    elif terminal and todo:
        _tell_who(planner.backend)
    requests = [report.wanted[i].request for i in todo]
    total = len(report.wanted)
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
    if many:
        report.list_failures()
