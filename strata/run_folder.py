"""The folder that a run writes."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from strata.claims import Claim, folder_reason, numbered, taken
from strata.contents import RECORDS, check_apart, is_kept_by, is_picture, picture_name, preview_name
from strata.hierarchy.errors import InputError, SettingError, reason_of
from strata.hierarchy.files import dump_json, read_bytes, write_atomic
from strata.hierarchy.interrupts import uninterrupted
from strata.record import Record

_STAGE, _WHOLE, _GONE = ".strata-run-", ".strata-whole-", ".gone.json"


@dataclass(frozen=True)
class Begun:
    """A run that a folder holds and that goes on: its pictures stay, others come to them."""

    record: Record
    """Of its first picture."""
    rules: list[str]
    images: Mapping[int, dict[str, Any]]
    """What run.json says of each picture that stays, by its number from 0."""
    files: frozenset[str]
    """Everything of it, which may be written again."""
    listed: bool
    """Whether run.json lists all the pictures that stay, and no other."""

    def images_of(self, count: int) -> dict[int, dict[str, Any]]:
        """What the run.json of `count` pictures says of those that stay: names depend on their number."""
        names = {"file": picture_name, "preview": preview_name}
        return {
            index: row | {kind: name(index, count) for kind, name in names.items() if kind in row}
            for index, row in self.images.items()
        }

    def renamed(self, count: int) -> dict[str, str]:
        """The files whose names change in a run of `count` pictures: old to new."""
        rows = zip(self.images.values(), self.images_of(count).values(), strict=True)
        pairs = {row[kind]: new[kind] for row, new in rows for kind in ("file", "preview") if kind in row}
        return {old: new for old, new in pairs.items() if old != new}


class RunFolder:
    """A folder that one run at a time writes; it holds the run before or the new one, never a mixture.

    A new run is written into a hidden folder inside. Where the folder holds no run, each picture moves out of it as it
    is finished; where the run replaces another, all of it does when it is whole. A run that ends early after a picture
    leaves the one that it was to replace, and its own pictures in `interrupted/`. What a killed process leaves is put
    right by the next claim. A run that goes on keeps its pictures where they are, and each new one moves to them.
    """

    def __init__(self, given: Path, claim: Claim) -> None:
        self.path = given
        """As the user knows it."""
        self._claim = claim
        self._target = Path(os.path.realpath(given))
        self.place = self._stage()
        """The hidden folder that the run's files are written into."""
        self.begun: Begun | None = None
        """The run that is there and goes on."""
        self._moved: set[Path] = set()
        self._outgrown: list[Path] = []
        self._replaces, self._force = False, False
        self._reads: tuple[str | os.PathLike[str], ...] = ()

    @classmethod
    @contextmanager
    def claim(
        cls,
        out: str | None,
        name: str,
        writes: Iterable[str],
        force: bool,
        *,
        attached: Mapping[str, bytes] | None = None,
        reads: Iterable[str | os.PathLike[str] | None] = (),
        begun: Callable[[Path], Begun | None] = lambda folder: None,
    ) -> Iterator[Self]:
        """The folder `out`, or a new one below out/: NAME, NAME-2, ….

        Args:
            out: where the run goes, as given.
            name: of a new folder.
            writes: all files of the run, by their names in the folder.
            force: a run that is there is replaced.
            attached: further files of the run, which may be there already with this content.
            reads: files that the run reads; they stay, under another name where the run has a file of that name.
            begun: asked of the claimed folder, tells the run there that goes on; may raise `InputError`.

        Raises:
            InputError: `out` is no folder, cannot be made, is being written by another run, or holds files that the
                run would overwrite.
        """
        folder = None
        try:
            with uninterrupted():
                folder = cls(*_new_folder(f"out/{name}") if out is None else (Path(out), taken(Path(out), _label(out))))
                folder._reads = tuple(path for path in reads if path is not None)
                folder._begin(tuple(writes), attached or {}, force, begun)
            yield folder
            with uninterrupted():
                folder._take_place()
        except BaseException as error:
            if folder is not None:
                with uninterrupted():
                    folder._give_up(error)
            raise
        finally:
            if folder is not None:
                with uninterrupted():
                    folder._claim.release()

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes one file; returns where it is until the next `settle`. Raises `InputError` if that cannot be done."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
        return path

    def find(self, name: str) -> Path:
        """Where a file that was written is at this moment."""
        path = self.place / name
        return path if path.exists() else self._target / name

    def write_record(self, record: Record, images: list[dict[str, Any]], rules: list[str], part: str = "") -> None:
        """Writes run.json: the record of the first picture, all pictures with their seeds, the routing in words."""
        data = record.model_dump(mode="json") | {"images": images, "rules": rules}
        self.write(os.path.join(part, "run.json"), dump_json(data, indent=2))

    def rename(self, names: Mapping[str, str]) -> None:
        """Gives files of the run that goes on new names, which they have from the next `settle` on."""
        for old, new in names.items():
            self.write(new, read_bytes(self._target / old))
            self._outgrown.append(Path(old))

    def settle(self) -> None:
        """Moves what is written so far to where it belongs, unless it replaces a run and has to be whole first."""
        if not self._replaces:
            self._take_place()

    def _stage(self) -> Path:
        return self._target / f"{_STAGE}{secrets.token_hex(8)}"

    def _begin(
        self,
        writes: tuple[str, ...],
        attached: Mapping[str, bytes],
        force: bool,
        begun: Callable[[Path], Begun | None],
    ) -> None:
        self._put_right()
        self.begun = begun(self._target)
        own = self.begun.files if self.begun is not None else frozenset[str]()
        self._moved = {Path(name) for name in own}
        there = [name for name in writes if name not in own and os.path.lexists(self._target / name)]
        parts = {name.partition("/")[2] for name in writes}
        there += [name for name in RECORDS if name in parts and (self._target / name).exists()]  # another command's run
        there += [name for name, content in attached.items() if not is_kept_by(self._target / name, content)]
        if there and not force:
            raise _already_there(str(self.path), there[0])
        if self.begun is None and not force:
            check_apart(self._target, str(self.path), ("run", "probe"))
        for name in (*writes, *attached):
            path = self._target / name
            blocked = [path] if path.is_dir() else [p for p in (path.parent,) if os.path.lexists(p) and not p.is_dir()]
            if blocked:
                name = blocked[0].relative_to(self._target).as_posix()
                kind = "a folder, where a file" if blocked[0].is_dir() else "no folder, where one"
                raise SettingError(f"<out> {self.path}: {name} is {kind} has to go; give another folder")
        self._replaces, self._force = bool(there) and self.begun is None, force
        try:
            self.place.mkdir()
        except OSError as error:
            raise SettingError(f"{_label(str(self.path))}: cannot be written: {reason_of(error)}") from error

    def _put_right(self) -> None:
        """What a killed run left: one that was whole takes its place, else its pictures are kept, and the rest goes."""
        for left in sorted(self._target.glob(f"{_WHOLE}*")):
            if left.is_dir() and not left.is_symlink():
                _move_in(left, self._target)
        for left in sorted(self._target.glob(f"{_STAGE}*")):
            if left.is_dir() and not left.is_symlink():
                if _has_pictures(left):
                    left.rename(_free(self._target / "interrupted"))
                else:
                    shutil.rmtree(left, ignore_errors=True)

    def _take_place(self) -> None:
        """Moves what is written since the last time into the folder, and removes what was there of another run."""
        files = _files(self.place)
        if not files:
            shutil.rmtree(self.place, ignore_errors=True)
            return
        if not self._replaces and not self._force:
            for file in files:  # what came since the claim
                if file not in self._moved and not is_kept_by(self._target / file, (self.place / file).read_bytes()):
                    raise _already_there(str(self.path), file.as_posix())
        gone, self._outgrown = self._outgrown, []
        if self._replaces:
            gone = _replaced(self._target, files)
            for file in files:
                old = self._target / file
                if self._is_read(old) and not is_kept_by(old, (self.place / file).read_bytes()):
                    shutil.copy2(old, _free(old.with_name(f"{old.stem}-before"), old.suffix))
        left = [path.as_posix() for path in gone if not self._is_read(self._target / path)]
        write_atomic(self.place / _GONE, json.dumps(left))
        whole = self._target / self.place.name.replace(_STAGE, _WHOLE)
        self.place.rename(whole)
        self.place = whole
        _move_in(whole, self._target)
        self._moved.update(files)
        self.place = self._stage()

    def _is_read(self, path: Path) -> bool:
        for read in self._reads:
            with suppress(OSError, ValueError):
                if os.path.samefile(read, path):
                    return True
        return False

    def _give_up(self, error: BaseException) -> None:
        """Keeps the pictures that are finished, and removes everything else of the run."""
        if not self.place.name.startswith(_STAGE):
            return
        if not _has_pictures(self.place):
            shutil.rmtree(self.place, ignore_errors=True)
            return
        with suppress(OSError, InputError):  # else the next claim of the folder finds them
            if not self._replaces and not self._outgrown:
                with suppress(SettingError):
                    return self._take_place()
            kept = _free(self._target / "interrupted")
            self.place.rename(kept)
            error.add_note(f"what is finished is in {self.path / kept.name}")


def _label(out: str) -> str:
    return f"<out> {out}"


def _already_there(out: str, name: str) -> SettingError:
    """The error that a folder holds a file which would be overwritten."""
    return SettingError(f"<out> {out}: holds {name} already; give another folder, or <force> to overwrite")


def _free(path: Path, suffix: str = "") -> Path:
    return next(free for free in numbered(str(path), suffix) if not os.path.lexists(free))


def _files(folder: Path) -> list[Path]:
    """The files of a run below its folder, relative to it; those that say what it holds come last."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != _GONE]
    return sorted(found, key=lambda path: (path.name in RECORDS, path))


def _has_pictures(folder: Path) -> bool:
    return any(is_picture(path.name) and path.stem.startswith("image") for path in folder.rglob("*.png"))


def _replaced(target: Path, files: list[Path]) -> list[Path]:
    """What the folders of a new run hold of one before it, relative to `target`, unless the new run has such a file.

    Records always, and first: none may list what is not there.
    """
    records: list[Path] = []
    others: list[Path] = []
    for folder in sorted({file.parent for file in files}):
        for record, beside in RECORDS.items():
            path = target / folder / record
            if path.is_file():
                names = list(beside)
                with suppress(OSError, ValueError, LookupError, TypeError):
                    images = json.loads(path.read_text(encoding="utf-8"))["images"]
                    written = [str(image[kind]) for image in images for kind in ("file", "preview") if kind in image]
                    names += filter(is_picture, written)
                records.append(folder / record)
                others += [folder / name for name in names if name != record and folder / name not in files]
    return records + [path for path in others if (target / path).is_file()]


def _move_in(whole: Path, target: Path) -> None:
    """Moves a run into its folder, records last. Cut off at any moment, it goes on when called again.

    Raises:
        InputError: a file cannot be moved or removed.
    """
    try:
        files = _files(whole)
        if (whole / _GONE).exists():
            for name in json.loads((whole / _GONE).read_text(encoding="utf-8")):
                (target / name).unlink(missing_ok=True)
            (whole / _GONE).unlink()
        for file in files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (whole / file).replace(target / file)
        shutil.rmtree(whole)
    except (OSError, ValueError) as error:
        raise InputError(f"{target}: cannot be written: {reason_of(error)}; the run is in {whole}") from error


def _new_folder(name: str) -> tuple[Path, Claim]:
    for path in numbered(name):
        try:
            if (claim := Claim.take(path, new=True)) is not None:
                return path, claim
        except OSError as error:
            if not isinstance(error, FileExistsError) or not os.path.lexists(path):
                raise SettingError(
                    f"{path}: cannot be made: {folder_reason(error, path)}; give another folder as <out>"
                ) from error
    raise AssertionError
