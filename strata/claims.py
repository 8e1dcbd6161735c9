"""Claims on what a command writes: one process at a time, and none for longer than it lives."""

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from strata.hierarchy.errors import InputError, SettingError, reason_of
from strata.hierarchy.interrupts import uninterrupted

LOCK = ".strata-lock"
"""The file whose lock is the claim on its folder; left over by a killed process, it is empty and locks nothing."""
_UNKNOWN_TO_THE_SYSTEM = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}


class Claim:
    """The lock on a folder, or on a file in it, and the folders that were made for it."""

    def __init__(self, folder: Path, name: str, made: list[Path], handle: int) -> None:
        self._lock, self._made, self._handle = folder / name, made, handle

    @classmethod
    def take(cls, folder: Path, name: str = LOCK, new: bool = False) -> Self | None:
        """Makes the folder where it is missing and claims it; None where another process has it.

        Args:
            folder: a link stays a link.
            name: of the lock file.
            new: None also for a folder that is there already.

        Raises:
            OSError: no files can be written there.
        """
        folder = Path(os.path.realpath(folder))
        made: list[Path] = []
        try:
            for _ in range(20):  # another process may just be giving up the folder, and remove it
                with suppress(FileNotFoundError):
                    _make(folder, made)
                    if new and folder not in made:
                        break
                    handle = _locked(folder / name)
                    return None if handle is None else cls(folder, name, made, handle)
            else:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except BaseException:
            _remove_empty(made)
            raise
        _remove_empty([path for path in made if path != folder])
        return None

    def release(self) -> None:
        """Gives the claim up, and removes the folders that were made for it, if nothing is in them."""
        if os.name == "nt":  # where open files cannot be removed
            os.close(self._handle)
            with suppress(OSError):
                self._lock.unlink()
        else:
            with suppress(OSError):
                self._lock.unlink()
            os.close(self._handle)
        _remove_empty(self._made)


@contextmanager
def claimed(folder: Path, label: str, file: str | None = None) -> Iterator[None]:
    """While the context lasts, a folder that can be written into, or one file in it, is this process's.

    Args:
        folder: is made where it is missing, and removed again if nothing is written.
        label: what messages call it.
        file: its name, where it is a file in the folder.

    Raises:
        InputError: no files can be written there, or another process does.
    """
    claim = None
    try:
        with uninterrupted():
            claim = taken(folder, label, file)
        yield
    finally:
        if claim is not None:
            with uninterrupted():
                claim.release()


def taken(folder: Path, label: str, file: str | None = None) -> Claim:
    """The claim on a folder or a file in it. Raises `InputError` as `claimed` does."""
    claim = _claim(folder, label, LOCK if file is None else f".{file}{LOCK}")
    if claim is None:
        raise SettingError(f"{label}: another run writes there at this moment; give another <out>, or wait for it")
    return claim


def file_claim(path: Path, label: str) -> Claim | None:
    """The claim on a file; None where another process has it. Raises `InputError` where it cannot be written."""
    return _claim(path.parent, label, f".{path.name}{LOCK}")


def _claim(folder: Path, label: str, name: str) -> Claim | None:
    try:
        return Claim.take(folder, name)
    except (OSError, ValueError) as error:
        raise SettingError(f"{label}: cannot be written: {folder_reason(error, folder)}") from error


def folder_reason(error: OSError | ValueError, folder: Path) -> object:
    """Why a folder cannot be made or written into: where a file is in its place, or in that of one above it, so."""
    if not isinstance(error, FileExistsError) or error.filename is None:
        return reason_of(error)
    found = Path(os.path.realpath(error.filename))
    same = found == Path(os.path.realpath(folder))
    return "is a file, not a folder" if same else f"{found.name} is a file, not a folder"


def check_no_folders(paths: list[Path]) -> None:
    """Raises `InputError` where a file is to be written and a folder is there."""
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path}: cannot be written: is a folder")


def numbered(name: str, suffix: str = "") -> Iterator[Path]:
    """`plan.yaml`, `plan-2.yaml`, … for the name `plan` and the suffix `.yaml`."""
    yield Path(name + suffix)
    for number in itertools.count(2):
        yield Path(f"{name}-{number}{suffix}")


def _make(folder: Path, made: list[Path]) -> None:
    """Makes a folder and those above it; adds to `made` what was missing, the outermost first."""
    if not folder.is_dir():
        if not folder.parent.is_dir():
            _make(folder.parent, made)
        try:
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            made.append(folder)


def _remove_empty(made: list[Path]) -> None:
    for folder in reversed(made):
        with suppress(OSError):  # there is something in it, or it is gone
            folder.rmdir()


def _locked(path: Path) -> int | None:
    """The handle of a file that this process alone has locked; None where another one has."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if not _lock(handle):
                os.close(handle)
                return None
            with suppress(FileNotFoundError):  # else the one who had it removed the file meanwhile
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int) -> bool:
    """Locks a file until it is closed or the process ends, where the file system can; False where another has it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        if error.errno not in _UNKNOWN_TO_THE_SYSTEM:
            raise
    return True
