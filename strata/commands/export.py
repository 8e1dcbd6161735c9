"""`strata export`: a plan as the structured caption of a model that knows layouts itself."""

from typing import Annotated

from cyclopts import Parameter

from strata.commands.one_file import check_free, write_file
from strata.console import note
from strata.native import FORMS, native_caption
from strata.settings import OutFile, Settings
from strata.source import open_source


class ExportSettings(Settings):
    """Where the caption goes."""

    out: OutFile | None = None
    """default: printed"""
    force: bool = False
    """replace the file"""


def export(
    form: Annotated[str, Parameter(name="FORM", help=", ".join(FORMS))],
    plan: Annotated[str, Parameter(name="PLAN", help="plan (.yaml, .yml, .json), or a picture that strata drew")],
    /,
    *,
    settings: ExportSettings = ExportSettings(),
) -> None:
    """Writes a plan as a model's own structured caption: the prompt of a model that knows layouts itself.

    FORM is flux3 (FLUX.3: a caption that cites its elements, and a table of
    their boxes), ideogram (Ideogram 4: a JSON object) or miniature (the bundled
    model's). What of the plan the form does not hold is told, a line each.
    """
    check_free(settings.out, settings.force)
    with open_source(plan) as source:
        caption = native_caption(source.plan, form)
    for text in caption.notes:
        note(text)
    if settings.out is None:
        print(caption.text)
        return
    write_file(settings.out, f"{caption.text}\n".encode(), settings.force)
