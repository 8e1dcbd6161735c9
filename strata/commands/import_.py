"""`strata import`: a plan of the structured caption of a model that knows layouts itself."""

from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from strata.commands.captions import FormName
from strata.commands.one_file import check_free, make_folder
from strata.console import note
from strata.hierarchy.errors import SettingError, printable
from strata.hierarchy.files import read_text, syntax_of
from strata.hierarchy.plan import LARGEST_SIDE
from strata.native import LARGEST_CAPTION, read_caption
from strata.settings import FileName, Settings

Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE), Parameter(metavar="N")]


class ImportSettings(Settings):
    """The canvas, which no caption tells, and where the plan goes."""

    width: Side
    """pixels of the canvas, which captions do not tell"""
    height: Side
    """likewise"""
    out: Annotated[FileName | None, Parameter(name=("--out", "-o"), metavar="PLAN.yaml")] = None
    """plan file, .yaml or .json (default: printed)"""
    force: bool = False
    """replace the file"""


def import_(
    form: FormName,
    file: Annotated[str, Parameter(name="FILE", help="the caption, as text")],
    /,
    *,
    settings: ImportSettings,
) -> None:
    """Makes a plan of a model's own structured caption, which may be a language model's.

    FORM is flux3, ideogram or miniature, as of `strata export`. The caption is
    checked: its JSON, its boxes, and that its elements are those it cites. What
    of it the plan does not hold is told, a line each.
    """
    check_free(settings.out, settings.force)
    if settings.out is not None:
        try:
            syntax_of(settings.out)
        except ValueError as error:
            raise SettingError(f"<out> {error}") from error
    read = read_caption(read_text(file, LARGEST_CAPTION), form, settings.width, settings.height, file)
    for text in read.notes:
        note(text)
    if settings.out is None:
        print(read.plan.to_yaml(), end="")
        return
    make_folder(settings.out)
    read.plan.save(settings.out)
    print(printable(settings.out))
