"""`strata layout`: the regions of a plan as a picture, or its compiled program in words."""

from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from strata.console import check_png, write_png
from strata.hierarchy.errors import SettingError
from strata.hierarchy.plan import ScenePlan, StrictModel
from strata.hierarchy.preview import draw_layout
from strata.job import MINIATURE_STEPS, STEPS
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.loading import FLUX_BLOCKS, MINIATURE, ModelSource, locate
from strata.record import png_bytes
from strata.settings import Steps
from strata.source import Source, decode_picture, open_source, read_file


@Parameter(name="*")
class LayoutSettings(StrictModel):
    """What is shown of a plan."""

    out: Annotated[
        str,
        Parameter(name=("--out", "-o"), metavar="FILE"),
        Field(description="default: layout.png"),
    ] = "layout.png"
    image: Annotated[str | None, Parameter(metavar="IMG"), Field(description="picture to show under the regions")] = (
        None
    )
    program: Annotated[
        bool, Field(description="print instead what attends to what in which blocks, at which steps")
    ] = False
    routing: Annotated[
        str | None,
        Parameter(name=("--routing", "-r"), metavar="NAME|FILE"),
        Field(description=f"of the program (default: the picture's, or {DEFAULT_ROUTING})"),
    ] = None
    model: Annotated[
        str | None,
        Parameter(name=("--model", "-m"), metavar="MODEL"),
        Field(description="of the program (default: the picture's, or miniature)"),
    ] = None
    steps: Annotated[
        Steps | None,
        Field(description="of the program (default: the picture's, or 28; 20 for the miniature)"),
    ] = None


def layout(
    plan: Annotated[str, Parameter(name="PLAN", help="plan (.yaml, .yml, .json), or a picture that strata drew")],
    /,
    *,
    settings: LayoutSettings = LayoutSettings(),
) -> None:
    """Draws the regions of a plan as a PNG, with their names and texts; or prints its program."""
    if settings.program:
        if settings.image is not None:
            raise SettingError("<image>: not allowed with <program>")
        with open_source(plan) as source:
            print(*_program_lines(source, settings), sep="\n")
        return
    for name in ("routing", "model", "steps"):
        if getattr(settings, name) is not None:
            raise SettingError(f"<{name}>: goes with <program>")
    check_png(settings.out)
    image = settings.image
    picture = decode_picture(read_file(image), image, "RGB") if image is not None else None
    with open_source(plan) as source:
        write_png(settings.out, png_bytes(draw_layout(source.plan, picture)))


def _program_lines(source: Source, settings: LayoutSettings) -> list[str]:
    recorded = source.record.settings if source.record is not None else None
    model = locate(settings.model or (recorded.model if recorded is not None else MINIATURE))
    default = MINIATURE_STEPS if model.kind == "miniature" else STEPS
    steps = settings.steps or (recorded.steps if recorded is not None else default)
    routing = source.routing if settings.routing is None else Routing.load(settings.routing)
    return _describe(source.plan, routing or Routing.load(DEFAULT_ROUTING), model, steps)


def _describe(plan: ScenePlan, routing: Routing, model: ModelSource, steps: int) -> list[str]:
    # The one call site of the program: compile_program(plan, routing, facts of the model, steps).describe() goes here.
    return routing.balanced_for(plan).resolve(*(model.block_counts() or FLUX_BLOCKS), steps).summary()
