"""Options that several commands share, beside the settings of the engine and the planner."""

from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from strata.hierarchy.plan import StrictModel
from strata.settings import HOW_IT_DRAWS, WHERE_TO, Count

BAD_INPUT = 2
"""Exit code."""
Argv = Annotated[list[str], Parameter(parse=False)]
"""The whole command line, without the program's name; not an option."""


@Parameter(name="*", group=WHERE_TO)
class RunOutput(StrictModel):
    """Where a run goes."""

    out: Annotated[
        str | None,
        Parameter(name=("--out", "-o"), metavar="DIR"),
        Field(description="folder (default: a new one below out/, named by the plan)"),
    ] = None
    force: Annotated[bool, Field(description="overwrite the run in the folder")] = False


class PicturesOutput(RunOutput):
    """And how many pictures are drawn."""

    count: Annotated[
        Count, Parameter(group=HOW_IT_DRAWS), Field(description="pictures, of seeds SEED, SEED+1, … (default: 1)")
    ] = 1
