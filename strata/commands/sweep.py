"""`strata sweep`: a plan with other values of any field of plan, routing or settings."""

import shlex
from typing import Annotated

from cyclopts import Group, Parameter

from strata.axes import Axis
from strata.commands.options import Argv
from strata.commands.sweeps import draw_sweep
from strata.hierarchy.errors import SettingError
from strata.settings import WHERE_TO, DrawSettings, OutFolder, Settings

VARIED = Parameter(group=Group("what is varied", sort_key=1))


class SweepSettings(Settings):
    """What is varied, and where to."""

    vary: Annotated[tuple[str, ...], Parameter(metavar="FIELD=A,B,…"), VARIED] = ()
    """a field with its values; may be given several times: the last one is the columns of the sheet, the one before its
    rows, others are tables"""
    out: Annotated[OutFolder, WHERE_TO] = "out/sweep"
    """folder (default: out/sweep)"""
    force: Annotated[bool, WHERE_TO] = False
    """replace what the folder holds of another sweep"""


def sweep(
    source: Annotated[str, Parameter(name="PLAN|IMAGE.png", help="a plan file, or a picture that strata drew")],
    /,
    *,
    varied: SweepSettings = SweepSettings(),
    settings: DrawSettings = DrawSettings(),
    argv: Argv,
) -> None:
    """Draws a plan with every combination of other values, from the same seed.

    A field is named by its path, or by the end of it where no other field ends
    so: routing.blend.base_ratio or base_ratio, routing.rules.low.depth (of the
    rules for low texts), plan.regions.moon.high, settings.steps, seed=1-4.
    Values are as in a plan or routing file, null for none; one with a comma
    stands in quotes or brackets.

    Every combination is compiled before the first picture, and the model is
    loaded once. Pictures that are there and would come out the same stay, so
    an interrupted sweep goes on, and one with more values draws the new ones.
    Without --seed, the seed is 0. Writes a folder:

      sheet.png     all pictures in rows and columns, with their values
      runs.csv      a line for each: values, seconds and, where the model's
                    pictures can be judged exactly, how much of the plan is
                    there
      pictures/     each with its record, for `strata generate` to draw again

    examples:
      strata sweep plan.yaml --vary base_ratio=0,0.2 --vary steps=0%-30%,0%-60%
      strata sweep plan.yaml -r uniform --vary depth=0%-33%,0%-67%,0%-100%
      strata sweep plan.yaml --vary regions.moon.high="a moon,a full moon"
    """
    if not varied.vary:
        raise SettingError("<vary>: nothing is varied; give <vary> FIELD=VALUE,VALUE,…")
    axes = [Axis.parse(text) for text in varied.vary]
    draw_sweep([source], axes, settings, varied.out, varied.force, shlex.join(["strata", *argv]))
