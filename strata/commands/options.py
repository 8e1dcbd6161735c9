"""Options that several commands share, beside the settings of the engine and the planner."""

from typing import Annotated

from cyclopts import Parameter

from strata.settings import HOW, WHERE_TO, OutFolder, PictureCount, Settings

FAILED, BAD_INPUT = 1, 2
"""Exit codes: some of several plans were not drawn; nothing was tried."""
Argv = Annotated[list[str], Parameter(parse=False)]
"""The whole command line, without the program's name; not an option."""


class RunOutput(Settings):
    """Where a run goes."""

    out: Annotated[OutFolder | None, WHERE_TO] = None
    """folder (default: a new one below out/, named by the plan)"""
    force: Annotated[bool, WHERE_TO] = False
    """overwrite the run in the folder"""


class PicturesOutput(RunOutput):
    """And how many pictures are drawn."""

    count: Annotated[PictureCount, HOW] = 1
    """pictures, of seeds SEED, SEED+1, … at most 10000 (default: 1)"""
