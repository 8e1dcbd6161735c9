"""The file of a command that writes neither a run nor a sweep: none of theirs, any other only where forced."""

import os
from pathlib import Path

from strata.claims import folder_reason
from strata.contents import check_unowned, is_kept_by
from strata.hierarchy.errors import SettingError, printable, quote
from strata.hierarchy.files import write_atomic


def check_png(out: str) -> None:
    """Raises `SettingError` unless a path names a PNG file."""
    if Path(out).suffix.lower() != ".png":
        raise SettingError(f"<out> {out}: suffix {quote(Path(out).suffix)}: must be .png")


def check_free(out: str | None, force: bool, content: bytes | None = None) -> None:
    """Raises `InputError` where a file is in the way, unless it holds the content that is to be written.

    Args:
        out: the file; None: none is written.
        force: replace it, unless it is of a run or a sweep.
        content: that is to be written, where it is known.
    """
    if out is None:
        if force:
            raise SettingError("<force>: goes with <out>")
        return
    path = Path(out)
    if path.is_dir():
        raise SettingError(f"<out> {out}: is a folder; name a file in it")
    check_unowned(path, content)
    if not force and os.path.lexists(path) and not (content is not None and is_kept_by(path, content)):
        raise SettingError(f"<out> {out}: is there already; <force> replaces it")


def make_folder(out: str) -> None:
    """Makes the folder that a file goes to. Raises `SettingError` where that cannot be done."""
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"<out> {out}: cannot be written: {folder_reason(error, Path(out))}") from error


def write_file(out: str, content: bytes, force: bool) -> None:
    """Writes a file, with the folder it goes to, and prints where. Raises `InputError` where that cannot be done."""
    check_free(out, force, content)
    make_folder(out)
    write_atomic(out, content)
    print(printable(out))
