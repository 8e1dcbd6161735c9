"""What stands in the folders that Strata writes, by the names of the files: of runs, sweeps, evaluations and others."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan

_PICTURE, _PREVIEW = re.compile(r"image(-\d+)?\.png"), re.compile(r"preview(-\d+)?\.png")
_SHEET = re.compile(r"sheet(-\d+)?\.png")
_OF_PLANS, _OF_RUNS = (".yaml", ".yml", ".json"), ("plan", "plan-before", "routing", "run", "probe", "following")
"""Suffixes of plans, and names that files of a run have before such suffixes."""
_LOOKED_AT = 20
"""Files at most that are read to see whether a folder holds plans."""
SCHEDULE = "schedule.png"
"""Of runs that the routing has a part in."""
FILES = ("layout.png", SCHEDULE, "plan.yaml", "routing.yaml", "run.json")
"""What stands beside the pictures of a run."""
CONTACT = "contact.png"
"""All pictures of a run of several, with their seeds."""
COMPARE = "compare.png"
"""The picture beside the one that it was made from."""
PROBE_FILES = ("probe.safetensors", "probe.json")
FIGURES = ("words", "texts", "words_to_image", "concepts", "layers", "steps")
BESIDE_PROBE = (*(f"{name}.png" for name in FIGURES), "probe.html", "following.json")
"""What may stand beside `PROBE_FILES`; which of it depends on what is asked."""
PARTS = ("original", "restyled")
"""Folders of the two runs that a restyled picture and its original are."""
TABLE, PICTURES, SHEET = "runs.csv", "pictures", "sheet"
"""Of a sweep: the table of its pictures, the folder that they are in, and the name of the sheet of all."""
LINES, PLANS = "runs.jsonl", "plans"
"""Of a batch: the line of each picture, beside the folder `PICTURES`, and the folder of the plans of its prompts."""
JOURNAL = "judged.jsonl"
"""Of an evaluation: what a judge found, in the folder of its name, beside the folder `PICTURES`."""
ATTACHED = ("masks", "inputs")
"""Folders of a run's attachments."""
RECORDS: Mapping[str, tuple[str, ...]] = {
    "run.json": (*FILES, CONTACT, COMPARE),
    "probe.json": (*PROBE_FILES, *BESIDE_PROBE),
}
"""Files that say that a folder holds a run or a probe, and what belongs to it."""


def picture_name(index: int, count: int, stem: str = "image") -> str:
    """The picture with this index (from 0) of `count`: `image.png` of one; `image-1.png` of 8, `image-01.png` of 12.

    So names sort as the pictures were drawn. Runs of older versions have `image.png`, `image-2.png`, ….
    """
    return f"{stem}.png" if count == 1 else f"{stem}-{index + 1:0{len(str(count))}}.png"


def preview_name(index: int, count: int) -> str:
    """The enlarged copy of a small picture: `preview.png` beside `image.png`."""
    return picture_name(index, count, "preview")


def is_picture(name: str) -> bool:
    """Whether a picture of a run, or its preview, has such a name."""
    return bool(_PICTURE.fullmatch(name) or _PREVIEW.fullmatch(name))


def run_files(count: int, previews: bool = False) -> tuple[str, ...]:
    """What a run of so many pictures writes."""
    names = (picture_name, preview_name) if previews else (picture_name,)
    return *FILES, *((CONTACT,) if count > 1 else ()), *(name(i, count) for name in names for i in range(count))


def is_sheet(name: str) -> bool:
    """Whether a page of the sheet of a sweep has such a name."""
    return bool(_SHEET.fullmatch(name))


def check_unowned(path: Path, content: bytes | None = None) -> None:
    """Raises `InputError` where a path is that of a file of a run, probe, sweep or batch, unless it holds the content.

    A file of another name does no harm in their folders: they read and replace none but theirs.
    """
    if content is not None and os.path.lexists(path) and is_kept_by(path, content):
        return
    for place in {Path(os.path.realpath(path.parent)) / path.name, Path(os.path.realpath(path))}:  # it may be a link
        if (found := _owner(place)) is not None:
            kind, above = found
            folder = os.path.normpath(path.parent / "/".join([os.pardir] * above))
            raise InputError(f"{path}: belongs to the {kind} in {folder}, which stays as it is; name another file")


def _owner(path: Path) -> tuple[str, int] | None:
    """What a file, whose folder is named in full, belongs to, and how far that is above the file's folder."""
    here, above, name = path.parent, path.parent.parent, path.name
    for record, beside in RECORDS.items():
        if (here / record).is_file() and (name in beside or is_picture(name)):
            return ("probe" if record in PROBE_FILES else "run"), 0
    if name == COMPARE and _is_restyled(here):
        return "run", 0
    if (here / TABLE).is_file() and (name == TABLE or is_sheet(name)):
        return "sweep", 0
    if (here / LINES).is_file() and name == LINES:
        return "batch", 0
    if (above / LINES).is_file() and here.name in (PICTURES, PLANS):
        return "batch", 1
    if here.name in ATTACHED and (above / "run.json").is_file():
        return "run", 1
    if here.name == PICTURES and (above / TABLE).is_file() and name.endswith(".png"):
        return "sweep", 1
    return None


def is_kept_by(path: Path, content: bytes) -> bool:
    """Whether nothing is lost where `content` is written to a path: nothing is there, or just that."""
    try:
        return path.read_bytes() == content
    except OSError:
        return not os.path.lexists(path)


def check_apart(folder: Path, out: str, beside: Collection[str] = ()) -> None:
    """Raises `SettingError` where a folder holds what the files of another run would be mixed with.

    Args:
        folder: that is written into.
        out: what the user calls it.
        beside: kinds of what may be there: "run", "probe", "restyled", "sweep", "batch", "evaluation", "plans".
    """
    for kind, held in _held(folder):
        if kind not in beside:
            raise SettingError(f"<out> {out}: holds {held}; give another folder, or <force> to write beside it")


def _held(folder: Path) -> Iterator[tuple[str, str]]:
    """What a folder holds: its kind, and in words."""
    if (folder / "run.json").is_file():
        yield "run", "a run (run.json)"
    if (folder / "probe.json").is_file():
        yield "probe", "a probe (probe.json)"
    if _is_restyled(folder):
        yield "restyled", f"a restyled picture and its original ({COMPARE})"
    if (folder / TABLE).is_file() and (folder / PICTURES).is_dir():
        yield "sweep", f"a sweep ({TABLE})"
    if (folder / LINES).is_file():
        yield "batch", f"a batch ({LINES})"
    if (journal := next(folder.glob(f"*/{JOURNAL}"), None)) is not None:
        yield "evaluation", f"an evaluation ({journal.parent.name}/{JOURNAL})"
    if (plan := _plan_in(folder)) is not None:
        yield "plans", f"plans, such as {plan}"


def _is_restyled(folder: Path) -> bool:
    return any((folder / part / "run.json").is_file() for part in PARTS)


def _plan_in(folder: Path) -> str | None:
    """The name of a plan in a folder that is none of a run, among the first files that may be one."""
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in _OF_PLANS and path.stem not in _OF_RUNS)
    for path in files[:_LOOKED_AT]:
        with suppress(InputError):
            ScenePlan.load(path)
            return path.name
    return None
