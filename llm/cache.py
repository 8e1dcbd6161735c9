"""Plans that were made before, kept on disk by everything that decides them (`Planner.key`)."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where plans are kept: `$STRATA_CACHE`, else `$XDG_CACHE_HOME/strata`, else `~/.cache/strata`."""
    if own := os.environ.get("STRATA_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "strata"
    return Path(os.path.expanduser("~")) / ".cache" / "strata"


def planner_key(plan: ScenePlan) -> str | None:
    """The key that a plan's provenance records; None for a plan that no planner made."""
    provenance = plan.provenance or {}
    key = provenance.get("key")
    return key if isinstance(key, str) and "planner" in provenance else None


class PlanCache:
    """Plans by key, one YAML file each. Whatever goes wrong with it costs time but never a plan."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = (cache_folder() if folder is None else Path(folder)) / "plans"
        self._writable = True

    def get(self, key: str) -> ScenePlan | None:
        """The plan of a key; None where there is none, or a damaged one."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            plan = ScenePlan.load(path)
        except InputError as error:
            logger.debug("the cache's %s is ignored: %s", path, error)
            return None
        return plan if planner_key(plan) == key else None

    def put(self, key: str, plan: ScenePlan) -> None:
        """Keeps a plan, in place of what is there; but none with mask files, which may change or go."""
        if not self._writable or any(region.mask is not None for region in plan.regions):
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            plan.save(path)
        except (OSError, InputError) as error:
            self._writable = False
            logger.warning("plans are not kept for the next time: %s (STRATA_CACHE names another folder)", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.yaml"
