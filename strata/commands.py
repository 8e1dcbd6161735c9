"""The commands that need no model: `layout`, `routing list|show|check` and `validate`."""

import sys
import tempfile
import textwrap
from pathlib import Path

from strata.console import count, terminal_width
from strata.hierarchy.errors import InputError
from strata.hierarchy.files import dump_yaml, quote, read_document, write_atomic
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.kinds import kind_of
from strata.layers.drawing import draw_schedule
from strata.layers.routing import DEFAULT_ROUTING, Routing, presets
from strata.layers.schedule import Schedule
from strata.layers.table import schedule_table
from strata.llm.draft import Draft
from strata.run import decode_picture, open_source, png_bytes, portable

FLUX_BLOCKS = (19, 38)
"""Double and single blocks of FLUX.1."""
STEPS = 28
EVIDENCE_LINES = 12
"""Of a routing's evidence that are shown."""


def layout(plan: str, out: str, image: str | None) -> None:
    """Draws a plan's regions, over a picture where one is given, and prints where."""
    _check_png(out)
    picture = None
    if image is not None:
        try:
            picture = decode_picture(Path(image).read_bytes(), image, "RGB")
        except OSError as error:
            raise InputError(f"{image}: cannot be read: {error.strerror}") from error
    with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        source = open_source(plan, Path(scratch))
        _write_png(out, png_bytes(draw_layout(source.plan, picture)))


def list_routings() -> None:
    """Prints the presets: name, what it does, where it comes from."""
    names = presets()
    margin = max(map(len, names)) + 2
    width = max(terminal_width(), margin + 40)
    for name in names:
        routing = Routing.load(name)
        text = ("(default) " if name == DEFAULT_ROUTING else "") + routing.about
        text += f" [{routing.source}]" if routing.source else ""
        lines = textwrap.wrap(text, width - margin)
        print(f"{name.ljust(margin)}{lines[0] if lines else ''}")
        for line in lines[1:]:
            print(" " * margin + line)


def show_routing(
    name: str,
    blocks: tuple[int, int] | None,
    steps: int,
    out: str | None,
    regions: int | None = None,
    area: float | None = None,
) -> None:
    """Prints a routing, resolved for a model, as a table and rule by rule; draws it into `out` where that is given.

    With `regions` (and their mean share of the canvas, `area`) it is shown as balanced for such plans.
    """
    if out is not None:
        _check_png(out)
    if area is not None and regions is None:
        raise InputError(f"--area {area:g}: goes with --regions")
    routing = Routing.load(name)
    if regions is not None and not routing.balance:
        raise InputError(f"--regions {regions}: routing {quote(routing.name)} has no balance: it is the same for all")
    if regions is None:
        schedule = _resolved(routing, blocks, steps)
    else:
        share = area if area is not None else 1 / max(regions, 1)
        schedule = _resolved(routing.balanced(regions, share), blocks, steps)
    print(schedule_table(schedule, terminal_width()))
    print()
    for line in schedule.summary():
        print(line)
    if regions is None:
        _print_balance(routing)
    if routing.evidence:
        lines = dump_yaml(routing.evidence).splitlines()
        print("\nevidence:", *(f"  {line}" for line in lines[:EVIDENCE_LINES]), sep="\n")
        if len(lines) > EVIDENCE_LINES:
            print(f"  … {len(lines) - EVIDENCE_LINES} more lines in {name}")
    if out is not None:
        _write_png(out, png_bytes(draw_schedule(schedule)))


def check_routing(path: str, blocks: tuple[int, int] | None, steps: int) -> None:
    """Reads a routing file, resolves it for a model and prints what its rules match."""
    routing = Routing.load(path)
    schedule = _resolved(routing, blocks, steps)
    for index in range(len(routing.balance)):
        _resolved(routing.with_balance(index), blocks, steps)
    model = f"{schedule.double_blocks}+{schedule.single_blocks} blocks"
    rescaled = ", ranges rescaled" if schedule.rescaled else ""
    print(f"{path}: ok (routing {quote(schedule.routing.name)} on {model}, {steps} steps{rescaled})")
    for line in schedule.summary():
        print(f"  {line}")
    _print_balance(routing, "  ")


def _print_balance(routing: Routing, indent: str = "") -> None:
    for entry in routing.balance:
        print(f"{indent}balance, {entry}")


def validate_files(paths: list[str]) -> int:
    """Reports every file, plan or routing: ok, or its error on stderr. Returns the number of files with errors."""
    failed = 0
    for path in paths:
        try:
            print(f"{path}: ok ({_describe(path)})", flush=True)
        except InputError as error:
            failed += 1
            print(f"strata: error: {error}", file=sys.stderr, flush=True)
    return failed


def _describe(path: str) -> str:
    """What a file holds, in a few words. Raises `InputError` for a wrong file, and for one of no kind that is known."""
    with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        if Path(path).suffix.lower() == ".png":
            plan, kind = open_source(path, Path(scratch)).plan, "picture with its run, plan"
        else:
            document = read_document(path)
            kind = kind_of(document)
            if kind == "routing":
                routing = Routing.load(Path(path))
                return f"routing {quote(routing.name)}, {count(len(routing.rules), 'rule')}"
            if kind == "draft":
                draft = Draft.load(path)
                if draft.width is not None and draft.height is not None:
                    draft.known(draft.width, draft.height)  # reads the mask files
                return f"draft for a prompt, {count(len(draft.regions), 'region')}"
            plan = ScenePlan.load(path)
        portable(plan)  # reads the mask files
    return f"{kind}, {plan.width}x{plan.height}, {count(len(plan.regions), 'region')}"


def _resolved(routing: Routing, blocks: tuple[int, int] | None, steps: int) -> Schedule:
    return routing.resolve(*(blocks or FLUX_BLOCKS), steps)


def _write_png(path: str, content: bytes) -> None:
    """Writes a picture, with the folder it goes to, and prints where."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"-o {path}: cannot be written: {error.strerror}") from error
    write_atomic(path, content)
    print(path)


def _check_png(path: str) -> None:
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"-o {path}: suffix {quote(Path(path).suffix)}: must be .png")
