"""What a page needs to know of the model and of what is offered, before anything is drawn."""

from typing import TYPE_CHECKING, Any

from strata import __version__
from strata.hierarchy.plan import LARGEST_SIDE, MOST_REGIONS
from strata.hierarchy.style import BASE, LEVELS, hex_of, ink_on, region_colour
from strata.importers import FORMATS
from strata.layers.routing import DEFAULT_ROUTING, Routing, presets
from strata.layers.views import MEANING
from strata.native import FORMS

if TYPE_CHECKING:
    from strata.studio.core import Studio

METHODS = (
    "regional",
    "plain",
    "native",
    "native+regional",
    "regional-prompting-flux",
    "rpg",
    "densediffusion",
    "stitch",
)
"""Those that `strata generate --help` names; others are refused by the engine as there."""


def facts_of(studio: "Studio") -> dict[str, Any]:
    """For JSON."""
    model = studio.model
    facts, knowledge = model.facts_or_flux, model.knowledge
    double, single = facts.block_counts
    return {
        "version": __version__,
        "model": {
            **studio.state,
            "name": model.name,
            "double": double,
            "single": single,
            "token": facts.token_size,
            "size": model.default_size,
            "steps": model.default_steps,
            "guidance": facts.guidance,
            "small": model.draws_small,
            "words": {} if knowledge is None else {k: list(v) for k, v in knowledge.vocabulary.items() if k != "other"},
            "largest": LARGEST_SIDE if knowledge is None else knowledge.sizes.largest,
        },
        "planner": studio.planner.llm or "miniature",
        "judge": studio.judged_by,
        "roles": studio.roles,
        "loras": list(studio.library.files),
        "presets": [_preset(name) for name in presets()],
        "preset": DEFAULT_ROUTING,
        "methods": list(METHODS),
        "imports": list(FORMATS),
        "exports": list(FORMS),
        "most_regions": MOST_REGIONS,
        "colours": [{"fill": hex_of(c), "ink": hex_of(ink_on(c))} for c in map(region_colour, range(MOST_REGIONS))],
        "levels": {level: {"colour": hex_of(colour), "meaning": MEANING[level]} for level, colour in LEVELS.items()},
        "base": hex_of(BASE),
    }


def _preset(name: str) -> dict[str, Any]:
    routing = Routing.load(name)
    return {"name": name, "about": routing.about, "source": routing.source}
