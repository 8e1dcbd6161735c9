"""`strata studio`: a page to draw regions, write levels and watch depth."""

from strata.hierarchy.extras import needs_extra
from strata.settings import ModelSettings
from strata.studio.settings import BesideSettings, ServingSettings, StudioPlanner


def studio(
    *,
    serving: ServingSettings = ServingSettings(),
    model: ModelSettings = ModelSettings(),
    planner: StudioPlanner = StudioPlanner(),
    beside: BesideSettings = BesideSettings(),
) -> None:
    """Opens a page on which regions are drawn with the mouse, and runs until Ctrl-C.

    Write a sentence and have it planned, or draw boxes, polygons and brush
    strokes and say what is in them; see which level is heard in which block at
    which step; draw, compare, restyle and repaint. What the page draws are runs
    as `strata generate` writes them; with --out they are kept.

    Only this machine can reach the page, unless --host says otherwise.

    examples:
      strata studio
      strata studio --model black-forest-labs/FLUX.1-dev --device cuda --llm http://127.0.0.1:8000/v1
      strata studio --host 0.0.0.0 --port 7860 --out drawn
    """
    serving.check()
    with needs_extra("studio"):
        from strata.studio.serve import serve
    serve(serving, model, planner.complete(), beside)
