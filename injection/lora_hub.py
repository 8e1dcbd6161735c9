"""Where a LoRA is: a file here, or the one `.safetensors` file of a hub repository."""

from __future__ import annotations

import re
from pathlib import Path

from strata.hierarchy.errors import InputError, first_line, quote
from strata.hierarchy.plan import PlacedLora, ScenePlan

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SUFFIX = ".safetensors"
_DEFAULT = "pytorch_lora_weights.safetensors"


def find_lora(name: str, root: Path, only_here: bool = False) -> Path:
    """The file of this name below `root`, or that of a hub id (OWNER/NAME), downloaded unless it is `only_here`.

    Raises:
        InputError: there is none.
    """
    path = Path(name).expanduser()
    path = path if path.is_absolute() else root / path
    if path.is_file():
        if path.suffix.lower() != _SUFFIX:
            raise InputError(f"must be a {_SUFFIX} file")
        return path.absolute()
    if path.is_dir():
        return _only(path)
    if not _HUB_ID.fullmatch(name) or name.endswith(_SUFFIX):
        raise InputError("no such file")
    return _downloaded(name, only_here)


def lora_path(plan: ScenePlan, placed: PlacedLora, only_here: bool = False) -> Path:
    """Where the file of a plan's LoRA is on this machine; one of the hub is downloaded, unless it is `only_here`.

    Raises:
        InputError: there is none; names the plan's file, line and field.
    """
    try:
        return find_lora(placed.lora.file, plan.root, only_here)
    except InputError as error:
        raise plan.error(placed.path, f"{quote(placed.lora.file)}: {error}") from error


def _only(folder: Path) -> Path:
    found = sorted(folder.glob(f"*{_SUFFIX}"))
    if len(found) > 1 and folder / _DEFAULT in found:
        return (folder / _DEFAULT).absolute()
    if len(found) != 1:
        names = f" ({', '.join(path.name for path in found[:3])}, …)" if found else ""
        raise InputError(f"is a folder with {len(found)} {_SUFFIX} files{names}; name one of them")
    return found[0].absolute()


def _downloaded(name: str, only_here: bool) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return _only(Path(snapshot_download(name, allow_patterns=[f"*{_SUFFIX}"], local_files_only=only_here)))
    except InputError:
        raise
    except Exception as error:  # of many kinds: gated, offline, not there
        raise InputError(f"no such file, and not to be had from the hub: {first_line(error)}") from error
