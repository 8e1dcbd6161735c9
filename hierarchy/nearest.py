"""What a mistyped path was meant to be: the nearest one that exists."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from strata.hierarchy.errors import closest

MOST_SIBLINGS = 2_000
"""Entries of a folder among which a mistyped name is looked for."""
_ALIKE = 0.8


def nearest_path(name: str) -> str | None:
    """The file or folder that a path which leads nowhere may have meant; None where nothing there is like it.

    Each missing part is taken for the entry of the folder before it that has nearly the same name, or the same one but
    for the suffix. Where only a part at the start has such an entry, that folder is returned, with a slash at its end.
    """
    if not Path(name).parts:
        return None
    here, changed = Path(), False
    *folders, last = Path(name).parts
    for part in folders:
        if not (here / part).is_dir():
            alike = _entry(here, part, files=False)
            if alike is None:
                return f"{here}/" if changed else None
            part, changed = alike, True
        here /= part
    if (here / last).exists():
        return str(here / last)
    found = _entry(here, last, files=True) or _entry(here, last, files=False)
    if found is None:
        return f"{here}/" if changed else None
    return str(here / found) + ("/" if (here / found).is_dir() else "")


def _entry(folder: Path, wanted: str, files: bool) -> str | None:
    try:
        with os.scandir(folder) as entries:
            names = [
                e.name for e in itertools.islice(entries, MOST_SIBLINGS) if e.is_file() == files and e.name != wanted
            ]
    except OSError:
        return None
    return closest(wanted, names, _ALIKE) or (_of_the_same_stem(wanted, names) if files else None)


def _of_the_same_stem(wanted: str, names: Sequence[str]) -> str | None:
    stem = Path(wanted).stem
    return min((name for name in names if stem and Path(name).stem == stem), default=None)
