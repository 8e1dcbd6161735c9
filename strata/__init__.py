"""Strata: hierarchical prompts for FLUX, each description acts only in its region and only at its depth.

The public API is six names: `ScenePlan` and `Region` (what to say where), `Planner` (a language model that makes a plan
of a prompt), `Routing` (which level acts in which blocks and steps), `Schedule` (a routing resolved for one model)
and `RegionalPipeline` (a diffusers FLUX pipeline that draws a plan). They are loaded on first use, so that
``import strata`` costs nothing and has no effects.

The code folders stand at the root of the repository and are linked into this package (``strata/layers -> ../layers``).
Where a checkout lost those links (Windows, archives without links), the root is added to ``__path__`` instead.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strata.hierarchy.plan import Region, ScenePlan
    from strata.injection.pipeline import RegionalPipeline
    from strata.layers.routing import Routing
    from strata.layers.schedule import Schedule
    from strata.llm.planner import Planner

__version__ = "0.1.0"
__all__ = ["Planner", "Region", "RegionalPipeline", "Routing", "ScenePlan", "Schedule", "__version__"]

_HOMES = {
    "Planner": "strata.llm.planner",
    "Region": "strata.hierarchy.plan",
    "RegionalPipeline": "strata.injection.pipeline",
    "Routing": "strata.layers.routing",
    "Schedule": "strata.layers.schedule",
    "ScenePlan": "strata.hierarchy.plan",
}


def _lost_links_root(package: Path) -> Path | None:
    """Return the folder that holds the code folders if `package` has lost its links to them, else None."""
    folders = ("hierarchy", "layers", "injection", "llm", "analysis", "configs", "miniature")
    root = package.parent
    lost = any(not (package / folder).is_dir() for folder in folders)
    return root if lost and (root / "pyproject.toml").is_file() and (root / "hierarchy").is_dir() else None


if _root := _lost_links_root(Path(__file__).resolve().parent):
    __path__.append(str(_root))


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *__all__})
