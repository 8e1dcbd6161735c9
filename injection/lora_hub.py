"""Where a LoRA is: a file here, or one of a hub repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strata.hierarchy.errors import InputError, first_line, quote
from strata.hierarchy.plan import PlacedLora, ScenePlan

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/([\w.-]+\.safetensors))?")
_SUFFIX = ".safetensors"
_DEFAULT = "pytorch_lora_weights.safetensors"


def is_of_hub(name: str, root: Path) -> bool:
    """Whether a name that is no file below `root` may be of the hub: OWNER/NAME, or OWNER/NAME/FILE.safetensors."""
    found = _HUB_ID.fullmatch(name)
    return found is not None and not found[1].endswith(_SUFFIX) and not (root / name.partition("/")[0]).exists()


def find_lora(name: str, root: Path, only_here: bool = False) -> Path:
    """The file of this name below `root`, or that of a hub id: of the cache here, else downloaded.

    Args:
        name: a path, OWNER/NAME, or OWNER/NAME/FILE.safetensors.
        root: the folder of relative paths.
        only_here: the hub is not asked, and no other machine: the name is a stranger's.

    Raises:
        InputError: there is none.
    """
    path = Path(name).expanduser()
    path = path if path.is_absolute() else root / path
    if only_here and re.match(r"[\\/]{2}", name):
        raise InputError("is on another machine, which a picture cannot have asked")
    if path.is_file():
        if path.suffix.lower() != _SUFFIX:
            raise InputError(f"must be a {_SUFFIX} file")
        return path.absolute()
    if path.is_dir():
        return _only(path)
    found = _HUB_ID.fullmatch(name)
    if found is None or not is_of_hub(name, root):
        raise InputError("no such file")
    return _from_hub(found[1], found[2], only_here)


def lora_path(plan: ScenePlan, placed: PlacedLora, only_here: bool = False) -> Path:
    """Where the file of a plan's LoRA is on this machine, as `find_lora` finds it.

    Raises:
        InputError: there is none; names the plan's file, line and field.
    """
    with named_in(plan, placed):
        try:
            return find_lora(placed.lora.file, plan.root, only_here)
        except InputError as error:
            raise InputError(f"{quote(placed.lora.file)}: {error}") from error


@contextmanager
def named_in(plan: ScenePlan, placed: PlacedLora) -> Iterator[None]:
    """An `InputError` about the file of a plan's LoRA names the plan's file, line and field."""
    try:
        yield
    except InputError as error:
        raise plan.error(placed.path, str(error)) from error


def _only(folder: Path) -> Path:
    found = sorted(folder.glob(f"*{_SUFFIX}"))
    if len(found) > 1 and folder / _DEFAULT in found:
        return (folder / _DEFAULT).absolute()
    if not found:
        raise InputError(f"is a folder that holds no {_SUFFIX} file")
    if len(found) != 1:
        names = [path.name for path in found[:3]] + ["…"] * (len(found) > 3)
        raise InputError(f"holds {len(found)} {_SUFFIX} files ({', '.join(names)}); name one, behind a slash")
    return found[0].absolute()


def _from_hub(repo: str, file: str | None, only_here: bool) -> Path:
    from huggingface_hub import snapshot_download

    pattern = file or f"*{_SUFFIX}"
    why = "it is not in the hub's cache here, and a picture cannot have it downloaded"
    for cached in (True,) if only_here else (True, False):
        try:
            folder = Path(snapshot_download(repo, allow_patterns=[pattern], local_files_only=cached))
        except Exception as error:  # of many kinds: gated, offline, not there
            why = why if cached else first_line(error)
            continue
        if any(folder.glob(pattern)):
            return _only(folder) if file is None else (folder / file).absolute()
        why = why if cached else f"{repo} holds no {pattern}"
    raise InputError(f"no such file, and not to be had from the hub: {why}")
