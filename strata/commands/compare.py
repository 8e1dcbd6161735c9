"""`strata compare`: plans by several methods, routings and seeds: a sweep over these."""

import shlex
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Group, Parameter

from strata.axes import Axis
from strata.commands.options import Argv
from strata.commands.sweeps import draw_sweep
from strata.hierarchy.errors import SettingError
from strata.methods import check_methods, check_routings
from strata.settings import WHERE_TO, DrawSettings, OutFolder, Settings, Words

COMPARED = Parameter(group=Group("what is compared", sort_key=1))


class CompareSettings(Settings):
    """What is compared, and where to."""

    methods: Annotated[Words, COMPARED] = ()
    """such as plain,regional,rpg; see --method"""
    routings: Annotated[Words, COMPARED] = ()
    """presets or files; a method that heeds none is drawn once"""
    seeds: Annotated[Words, COMPARED] = ()
    """such as 1-4 or 3,7"""
    out: Annotated[OutFolder, WHERE_TO] = "out/compare"
    """folder (default: out/compare)"""
    force: Annotated[bool, WHERE_TO] = False
    """replace what the folder holds of another comparison"""


def compare(
    sources: Annotated[
        tuple[str, ...],
        Parameter(name="PLAN|IMAGE.png", help="plan files, or pictures that strata drew"),
    ],
    /,
    *,
    compared: CompareSettings = CompareSettings(),
    settings: DrawSettings = DrawSettings(),
    argv: Argv,
) -> None:
    """Draws plans by several methods, routings and seeds, side by side.

    A sweep over these (see `strata sweep --help`): each combination is checked
    before the first picture, the model is loaded once, pictures that are there
    stay. Without --seeds, the seed is 0. A published method is drawn by the
    routing that it was published with, where none is named. Writes a folder:

      sheet.png     all pictures in rows and columns: plans, seeds, methods,
                    routings, the last two that vary in a table
      runs.csv      a line for each: seconds and, where the model's pictures
                    can be judged exactly, how much of the plan is there
      pictures/     each with its record, for `strata generate` to draw again

    examples:
      strata compare plan.yaml --methods plain,regional,rpg --seeds 1-4
      strata compare plans/*.yaml --routings isolate-first,uniform
    """
    axes = list(_axes(compared))
    check_methods(compared.methods, "<methods>")
    check_routings(compared.routings)
    for axis in axes:
        if getattr(settings, axis.name) is not None:
            raise SettingError(f"<{axis.name}>: not allowed with <{axis.name}s>")
    if len(sources) < 2 and not any(len(axis.values) > 1 for axis in axes):
        raise SettingError("<methods>: nothing to compare; give several <methods>, <routings>, <seeds> or plans")
    draw_sweep(sources, axes, settings, compared.out, compared.force, shlex.join(["strata", *argv]))


def _axes(compared: CompareSettings) -> Iterator[Axis]:
    """The seeds, methods and routings that are given, in the order of the sheet."""
    for field, texts in (("seed", compared.seeds), ("method", compared.methods), ("routing", compared.routings)):
        if texts:
            values = [int(text) if field == "seed" and text.isdigit() else text for text in texts]
            try:
                yield Axis.of(field, values)
            except SettingError as error:
                raise SettingError(error.template.replace(f"<vary> {field}", f"<{field}s>", 1)) from error
