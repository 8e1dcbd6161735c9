"""`strata layout`: the regions of a plan as a picture, or its compiled program in words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strata.commands.one_file import check_png, write_file
from strata.console import quiet
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.files import read_bytes
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.injection.families import family_of_folder
from strata.injection.program import compile_program
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.loading import ModelSource, locate_for
from strata.record import png_bytes
from strata.settings import ModelName, Name, OutFile, RoutingName, Settings, Steps
from strata.source import Source, decode_picture, open_source


class LayoutSettings(Settings):
    """What is shown of a plan."""

    out: OutFile | None = None
    """default: layout.png"""
    force: bool = False
    """replace the file"""
    image: Annotated[Name | None, Parameter(metavar="IMG")] = None
    """picture to show under the regions"""
    program: bool = False
    """print instead what attends to what in which blocks, at which steps"""
    routing: RoutingName | None = None
    """of the program (default: the picture's, or isolate-first)"""
    model: ModelName | None = None
    """of the program (default: the picture's, or miniature)"""
    steps: Steps | None = None
    """of the program (default: the picture's, or 28; 20 for the miniature)"""


def layout(
    plan: Annotated[str, Parameter(name="PLAN", help="plan (.yaml, .yml, .json), or a picture that strata drew")],
    /,
    *,
    settings: LayoutSettings = LayoutSettings(),
) -> None:
    """Draws the regions of a plan as a PNG, with their names and texts; or prints its program."""
    if settings.program:
        for name in ("image", "out", "force"):
            if getattr(settings, name):
                raise SettingError(f"<{name}>: not allowed with <program>")
        with open_source(plan) as source:
            print(*_program_lines(source, settings), sep="\n")
        return
    for name in ("routing", "model", "steps"):
        if getattr(settings, name) is not None:
            raise SettingError(f"<{name}>: goes with <program>")
    out = settings.out or "layout.png"
    check_png(out)
    image = settings.image
    picture = decode_picture(read_bytes(image), image, "RGB") if image is not None else None
    with open_source(plan) as source:
        write_file(out, png_bytes(draw_layout(source.plan, picture)), settings.force)


def _program_lines(source: Source, settings: LayoutSettings) -> list[str]:
    recorded = source.record.settings if source.record is not None else None
    model = locate_for(settings.model, recorded.model if recorded is not None else None)
    steps = settings.steps or (recorded.steps if recorded is not None else model.default_steps)
    routing = source.routing if settings.routing is None else Routing.load(settings.routing)
    method = None if recorded is None else recorded.method
    return _describe(source.plan, routing, method, model, steps)


def _describe(plan: ScenePlan, routing: Routing | None, named: str | None, model: ModelSource, steps: int) -> list[str]:
    from strata.injection.description import describe
    from strata.injection.methods import method_for, method_named

    routed = routing or Routing.load(DEFAULT_ROUTING)
    method = method_for(routed) if named is None else method_named(named)
    if method.ignores:
        raise InputError(f"the picture was drawn by the method {method.name}, which has no program of regions")
    facts = replace(model.facts_or_flux, form=model.form)
    program = compile_program(method.drawn(plan, facts)[0], routing or method.default_routing, facts, steps)
    folder = model.folder()
    counter = _token_counter(folder) if folder is not None else None
    count = counter or _estimate
    lines = describe(program, method, count, program.facts.padded(count(program.plan.prompt)))
    return lines if counter is not None else [*lines, "", "token counts are estimates: the model is not at hand"]


def _token_counter(folder: Path) -> Callable[[str], int] | None:
    """Counts a text's tokens by the model's own tokenizer; None where it has none."""
    part = next((folder / name for name in ("tokenizer_2", "tokenizer") if (folder / name).is_dir()), None)
    if part is None:
        return None
    with quiet():
        from transformers import AutoTokenizer

        family, index = family_of_folder(folder)
        tokenizer = family.templated(AutoTokenizer.from_pretrained(part), index["_class_name"])
    return lambda text: len(tokenizer(text).input_ids)


def _estimate(text: str) -> int:
    """T5 makes about four tokens of three English words, and ends with one."""
    return -(-4 * len(text.split()) // 3) + 1
