"""`strata routing list|show|check`: the routings, as tables and in words."""

import re
import textwrap
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import AfterValidator

from strata.commands.one_file import check_free, check_png, write_file
from strata.console import terminal_width
from strata.hierarchy.errors import SettingError, quote
from strata.hierarchy.files import dump_yaml
from strata.injection.facts import ModelFacts
from strata.injection.families import FLUX_DEV
from strata.layers.drawing import draw_schedule
from strata.layers.routing import DEFAULT_ROUTING, Routing, presets
from strata.layers.schedule import Schedule
from strata.layers.table import schedule_table
from strata.loading import STEPS, locate
from strata.record import png_bytes
from strata.settings import Count, ModelName, OutFile, Settings, Share, Steps

EVIDENCE_LINES = 12
"""Of a routing's evidence that are shown."""


def _double_and_single(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,4}\+[0-9]{1,4}", text) is None:
        raise ValueError(f"{text!r}: must be double+single, such as 19+38")
    return text


class ModelShape(Settings):
    """What a routing is resolved for."""

    model_blocks: Annotated[Annotated[str, AfterValidator(_double_and_single)] | None, Parameter(metavar="D+S")] = None
    """double and single blocks (default: 19+38, FLUX.1; FLUX.3 is 0+28: in its first blocks no text meets the image)"""
    model: ModelName | None = None
    """in their place: miniature, or a model's folder"""
    steps: Steps | None = None
    """denoising steps (default: the model's; 28 without one)"""

    @property
    def run_steps(self) -> int:
        """The steps that are asked for, else those of the model."""
        return self.steps or (STEPS if self.model is None else locate(self.model).default_steps)

    def resolve(self, routing: Routing) -> Schedule:
        """The schedule of a routing on this model."""
        facts = self.facts()
        double, single = map(int, self.model_blocks.split("+")) if self.model_blocks else facts.block_counts
        return routing.resolve(double, single, self.run_steps)

    def facts(self) -> ModelFacts:
        """Those of the model named, else FLUX.1's.

        Raises:
            InputError, SettingError: it is not at hand, or its blocks are given as well.
        """
        if self.model is None:
            return FLUX_DEV
        if self.model_blocks is not None:
            raise SettingError(f"<model_blocks> {self.model_blocks}: are the model's; leave one of the two out")
        found = locate(self.model).facts
        if found is None:
            raise SettingError(f"<model> {quote(self.model)}: its configuration is not at hand; give <model_blocks>")
        return found

    def beside(self) -> str | None:
        """What of the model no routing counts, in a sentence."""
        others = [stack for stack in self.facts().stacks if not stack.routed] if self.model is not None else []
        named = " and ".join(f"{stack.blocks} {stack.name} blocks" for stack in others)
        return f"not counted: {named} before these, in which no image token sees a text" if others else None


class ShowSettings(ModelShape):
    """How a routing is shown."""

    out: OutFile | None = None
    """also draw it, as a .png"""
    force: bool = False
    """replace the file"""
    regions: Count | None = None
    """as it is balanced for plans with so many regions"""
    area: Share | None = None
    """and this mean share of the canvas a region (default: 1 / N)"""


routing = App(
    name="routing",
    help="A routing says which level acts in which blocks, at which steps, how strongly, beside how much base.",
)


@routing.command(name="list")
def list_routings() -> None:
    """Lists the presets."""
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


@routing.command(name="show")
def show(
    routing: Annotated[str, Parameter(name="NAME|FILE", help="a preset or a routing file")],
    /,
    *,
    settings: ShowSettings = ShowSettings(),
) -> None:
    """Prints a routing as a table."""
    out, regions, area = settings.out, settings.regions, settings.area
    if out is not None:
        check_png(out)
    if area is not None and regions is None:
        raise SettingError(f"<area> {area:g}: goes with <regions>")
    found = Routing.load(routing)
    if regions is not None and not found.balance:
        raise SettingError(f"<regions> {regions}: routing {quote(found.name)} has no balance: it is the same for all")
    if regions is None:
        schedule = settings.resolve(found)
    else:
        share = area if area is not None else 1 / max(regions, 1)
        schedule = settings.resolve(found.balanced(regions, share))
    picture = None if out is None else png_bytes(draw_schedule(schedule))
    check_free(out, settings.force, picture)
    print(schedule_table(schedule, terminal_width()))
    print()
    if (beside := settings.beside()) is not None:
        print(beside)
    for line in schedule.summary():
        print(line)
    if regions is None:
        _print_balance(found)
    if found.evidence:
        lines = dump_yaml(found.evidence).splitlines()
        print("\nevidence:", *(f"  {line}" for line in lines[:EVIDENCE_LINES]), sep="\n")
        if len(lines) > EVIDENCE_LINES:
            print(f"  … {len(lines) - EVIDENCE_LINES} more lines in {routing}")
    if out is not None and picture is not None:
        write_file(out, picture, settings.force)


@routing.command(name="check")
def check(
    file: Annotated[str, Parameter(name="FILE", help="a routing file or a preset")],
    /,
    *,
    settings: ModelShape = ModelShape(),
) -> None:
    """Checks a routing file."""
    routing = Routing.load(file)
    schedule = settings.resolve(routing)
    for index in range(len(routing.balance)):
        settings.resolve(routing.with_balance(index))
    model = f"{schedule.double_blocks}+{schedule.single_blocks} blocks"
    rescaled = ", ranges rescaled" if schedule.rescaled else ""
    anchored = ", low texts anchored" if schedule.anchors("low") else ""
    print(f"{file}: ok (routing {quote(schedule.routing.name)} on {model}, {schedule.steps} steps{rescaled}{anchored})")
    for line in [*schedule.summary(), *filter(None, [settings.beside()])]:
        print(f"  {line}")
    _print_balance(routing, "  ")


def _print_balance(routing: Routing, indent: str = "") -> None:
    for entry in routing.balance:
        print(f"{indent}balance, {entry}")
