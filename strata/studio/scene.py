"""Plans as the page sends them: read, checked, and laid on the model's image tokens."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.hierarchy.areas import pixel_mask, region_mask
from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.files import field_name
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import LARGEST_SIDE, Area, ScenePlan
from strata.injection.facts import ModelFacts
from strata.loading import ModelSource
from strata.plan_table import planner_remarks
from strata.record import png_bytes
from strata.source import decode_picture
from strata.studio.errors import problem
from strata.studio.sessions import Session

MOST_MASKS = 2000
"""Of a session."""
_MASK = re.compile(r"masks/[0-9a-f]{32}\.png")
_SHAPES = ("box", "polygon", "mask", "mask_threshold", "priority")


class Library:
    """The LoRAs that regions may use, by the names that the page knows them by: no other file is ever opened."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.files = {path.name: path for folder in folders for path in sorted(folder.glob("*.safetensors"))}

    def opened(self, plan: ScenePlan) -> ScenePlan:
        """The plan with the paths of its LoRA files. Raises `InputError` for one that is not among them."""
        for placed in plan.placed_loras():
            if placed.lora.file not in self.files:
                names = ", ".join(self.files) or "none (start the Studio with --loras FOLDER)"
                raise plan.error(placed.path, f"{quote(placed.lora.file)}: no such LoRA here; those there are: {names}")
        return plan.with_loras(lambda name: str(self.files[name]))

    def shown(self, plan: ScenePlan) -> ScenePlan:
        """The plan with their names, where a LoRA is one of them."""
        return plan.with_loras(lambda file: self._name(file))

    def _name(self, file: str) -> str:
        name = Path(file).name
        return name if name in self.files else file


def read_plan(data: Any, session: Session, library: Library) -> ScenePlan:
    """The plan of a page, ready to be drawn.

    Raises:
        InputError: it is not valid, or names a file that is not the session's own; names the field.
    """
    return library.opened(_plan(data, session))


def _plan(data: Any, session: Session) -> ScenePlan:
    session.masks  # noqa: B018  (the folder is there)
    plan = ScenePlan.from_json(json.dumps(data), "plan", session.folder)
    for index, region in enumerate(plan.regions):
        if region.mask is not None:
            _check_mask(region.mask, session, field_name(("regions", index, "mask")))
    return plan


def _check_mask(name: str, session: Session, field: str) -> None:
    if not _MASK.fullmatch(name) or not (session.folder / name).is_file():
        raise InputError(f"plan:1: {field}: {quote(name)}: is no mask of this session; draw or load it again")


def look(data: Any, session: Session, library: Library, model: ModelSource, overlap: Any = None) -> dict[str, Any]:
    """What the page shows of a plan while it is edited, whole or not: its problems, who is heard where, remarks.

    `overlap` is the routing's, for plans that do not say it themselves.
    """
    problems: list[dict[str, Any]] = []
    plan = None
    try:
        plan = read_plan(data, session, library)
    except InputError as error:
        problems.append(problem(error))
    facts, tokens, area = model.facts_or_flux, None, 0.0
    try:
        tokens, area = heard(_geometry(data, session, overlap), facts)
    except InputError as error:
        told = problem(error)
        if not problems:
            problems.append(told)
    notes: list[str] = []
    if plan is not None:
        try:
            check_canvas(plan, facts.token_size)
        except InputError as error:
            problems.append(problem(error))
        if model.knowledge is not None:
            notes = list(model.knowledge.complaints(plan, model.name))
    remarks = [] if plan is None else [{"kind": kind, "text": text} for kind, text in planner_remarks(plan)]
    return {"problems": problems, "tokens": tokens, "notes": notes, "remarks": remarks, "area": area}


def check_canvas(plan: ScenePlan, token: int) -> None:
    """Raises `InputError` for a canvas that the model's image tokens do not fill."""
    for name in ("width", "height"):
        if getattr(plan, name) % token:
            raise InputError(f"{name}: {getattr(plan, name)}: must be a multiple of {token}")


def _geometry(data: Any, session: Session, overlap: Any) -> ScenePlan:
    """The places of a plan alone: its texts may still be missing."""
    if not isinstance(data, Mapping) or not isinstance(data.get("regions", []), list):
        raise InputError("plan: must be a mapping with a list of regions")
    regions = []
    for index, region in enumerate(data.get("regions", [])):
        if not isinstance(region, Mapping):
            raise InputError(f"regions[{index}]: must be a mapping")
        shape = {key: region[key] for key in _SHAPES if key in region}
        regions.append({"name": f"region {index + 1}", "full": "-", **shape})
    kept = {key: data[key] for key in ("width", "height", "overlap", "grid") if key in data}
    policy = {} if overlap is None else {"overlap": overlap}
    return _plan({**policy, **kept, "prompt": "", "regions": regions}, session)


def heard(plan: ScenePlan, facts: ModelFacts) -> tuple[dict[str, Any], float]:
    """The plan's tokens by the regions that are heard in them, for JSON, and the mean share a region has of the canvas.

    `atoms` has for each set of regions that share tokens their indices and the tokens, as runs of first and last.
    """
    rows, cols = max(1, plan.height // facts.token_size), max(1, plan.width // facts.token_size)
    grid = token_grid(plan, rows, cols)
    atoms = [{"members": list(atom.members), "runs": _runs(atom.tokens)} for atom in grid.atoms()]
    counts = [int(mask.sum()) for mask in grid.masks]
    area = float(np.mean(counts) / (rows * cols)) if counts else 0.0
    return {"rows": rows, "cols": cols, "atoms": atoms, "counts": counts}, area


def _runs(tokens: NDArray[np.int64]) -> list[list[int]]:
    cuts = np.flatnonzero(np.diff(tokens) != 1) + 1
    return [[int(part[0]), int(part[-1])] for part in np.split(tokens, cuts)]


def keep_mask(content: bytes, session: Session, width: int, height: int) -> str:
    """Keeps a mask of any format as black and white of the canvas's size; returns its name for a plan.

    Raises:
        InputError: no readable picture, too large, empty, or the session has too many.
    """
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise InputError(f"canvas {width}x{height}: sides must be from 1 to {LARGEST_SIDE}")
    decode_picture(content, "mask", "L")  # bounded, and in known formats
    upload = session.masks / f"upload-{hashlib.sha256(content).hexdigest()[:16]}"
    upload.write_bytes(content)
    try:
        return store_mask(pixel_mask(Area(name="mask", mask=upload.name), width, height, upload.parent), session)
    finally:
        upload.unlink(missing_ok=True)


def store_mask(inside: NDArray[np.bool_], session: Session) -> str:
    """Keeps the pixels of a mask `[height, width]`; returns its name for a plan. `InputError` for an empty one."""
    if not inside.any():
        raise InputError("mask: holds no pixel that is inside (bright, or opaque)")
    content = png_bytes(Image.fromarray(inside))
    name = f"{hashlib.sha256(content).hexdigest()[:32]}.png"
    path = session.masks / name
    if not path.is_file():
        if sum(1 for _ in session.masks.iterdir()) >= MOST_MASKS:
            raise InputError(f"mask: this session keeps {MOST_MASKS} masks, the most there are; open a new one")
        path.write_bytes(content)
    return f"masks/{name}"


def mask_content(name: str, session: Session) -> bytes:
    """A mask of the session as a PNG. Raises `InputError` where there is none of this name."""
    _check_mask(name, session, "mask")
    return (session.folder / name).read_bytes()


def region_as_mask(plan: ScenePlan, index: int) -> bytes:
    """The pixels of a region of any shape, as a black and white PNG."""
    return png_bytes(Image.fromarray(region_mask(plan, index)))


def adopted(plan: ScenePlan, session: Session, library: Library, files: Mapping[str, bytes]) -> dict[str, Any]:
    """A plan from elsewhere, as the page takes it: its masks become the session's, its LoRAs get their names here.

    Args:
        plan: as it was read; its masks lie below its root.
        session: whose page it is.
        library: the LoRAs there are.
        files: what came with it: a mask that is not among them is refused, and never looked for.

    Raises:
        InputError: a mask did not come with it, or cannot be used.
    """
    masks: dict[int, str] = {}
    for index, region in enumerate(plan.regions):
        if region.mask is not None:
            if region.mask not in files:
                raise plan.error(
                    ("regions", index, "mask"),
                    f"{quote(region.mask)}: did not come with the plan; open the .zip that the Studio saves",
                )
            masks[index] = store_mask(region_mask(plan, index), session)
    data: dict[str, Any] = json.loads(library.shown(plan).to_json())
    for index, name in masks.items():
        region = data["regions"][index]
        region["mask"] = name
        region.pop("mask_threshold", None)
    return data
