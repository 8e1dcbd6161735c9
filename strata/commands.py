"""The commands that need no model: `layout`, `routing list|show|check` and `validate`."""

import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import quote, read_document, write_atomic
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.layers.drawing import draw_schedule
from strata.layers.routing import DEFAULT_ROUTING, Routing, presets
from strata.layers.schedule import Schedule
from strata.layers.table import schedule_table
from strata.run import decode_picture, open_source, png_bytes, portable

FLUX_BLOCKS = (19, 38)
"""Double and single blocks of FLUX.1."""
STEPS = 28


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
        write_atomic(out, png_bytes(draw_layout(source.plan, picture)))
    print(out)


def list_routings() -> None:
    """Prints the presets: name, what it does, where it comes from."""
    names = presets()
    margin = max(map(len, names)) + 2
    width = max(_terminal_width(), margin + 40)
    for name in names:
        routing = Routing.load(name)
        text = ("(default) " if name == DEFAULT_ROUTING else "") + routing.about
        text += f" [{routing.source}]" if routing.source else ""
        lines = textwrap.wrap(text, width - margin)
        print(f"{name.ljust(margin)}{lines[0] if lines else ''}")
        for line in lines[1:]:
            print(" " * margin + line)


def show_routing(name: str, blocks: tuple[int, int] | None, steps: int, out: str | None) -> None:
    """Prints a routing, resolved for a model, as a table and rule by rule; draws it into `out` where that is given."""
    if out is not None:
        _check_png(out)
    schedule = _resolved(Routing.load(name), blocks, steps)
    print(schedule_table(schedule, _terminal_width()))
    print()
    for line in schedule.summary():
        print(line)
    if out is not None:
        write_atomic(out, png_bytes(draw_schedule(schedule)))
        print(out)


def check_routing(path: str, blocks: tuple[int, int] | None, steps: int) -> None:
    """Reads a routing file, resolves it for a model and prints what its rules match."""
    schedule = _resolved(Routing.load(path), blocks, steps)
    model = f"{schedule.double_blocks}+{schedule.single_blocks} blocks"
    rescaled = ", ranges rescaled" if schedule.rescaled else ""
    print(f"{path}: ok (routing {quote(schedule.routing.name)} on {model}, {steps} steps{rescaled})")
    for line in schedule.summary():
        print(f"  {line}")


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
    """What a file holds, in a few words. Raises `InputError` if it is neither a plan nor a routing, or a wrong one."""
    with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        if Path(path).suffix.lower() == ".png":
            plan, kind = open_source(path, Path(scratch)).plan, "picture with its run, plan"
        else:
            document = read_document(path)
            of_plan, of_routing = (len(model.model_fields.keys() & document.data) for model in (ScenePlan, Routing))
            if of_plan == of_routing:
                raise InputError(
                    f"{path}: neither a plan (keys {', '.join(ScenePlan.model_fields)})"
                    f" nor a routing (keys {', '.join(Routing.model_fields)})"
                )
            if of_routing > of_plan:
                routing = Routing.load(Path(path))
                return f"routing {quote(routing.name)}, {_count(len(routing.rules), 'rule')}"
            plan, kind = ScenePlan.load(path), "plan"
        portable(plan)  # reads the mask files
    return f"{kind}, {plan.width}x{plan.height}, {_count(len(plan.regions), 'region')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _resolved(routing: Routing, blocks: tuple[int, int] | None, steps: int) -> Schedule:
    return routing.resolve(*(blocks or FLUX_BLOCKS), steps)


def _check_png(path: str) -> None:
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"-o {path}: suffix {quote(Path(path).suffix)}: must be .png")


def _terminal_width() -> int:
    return shutil.get_terminal_size((100, 24)).columns
