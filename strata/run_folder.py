"""The folder that a run writes."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from strata.hierarchy.errors import SettingError, reason_of
from strata.hierarchy.files import dump_json, write_atomic
from strata.record import Record

_PICTURE = re.compile(r"image(-\d+)?\.png")


def picture_name(index: int) -> str:
    """`image.png`, `image-2.png`, …, for `index` from 0."""
    return "image.png" if index == 0 else f"image-{index + 1}.png"


class RunFolder:
    """The folder that a run writes; each file is written whole or not at all."""

    FILES = ("layout.png", "schedule.png", "plan.yaml", "routing.yaml", "run.json")
    """What stands beside the pictures."""

    def __init__(self, path: Path, created: bool) -> None:
        self.path = path
        self._created = created
        self._written: list[Path] = []

    @classmethod
    @contextmanager
    def claim(cls, out: str | None, name: str, count: int, force: bool) -> Iterator[Self]:
        """The folder `out`, or a new one below out/: NAME, NAME-2, …; what an error leaves without a picture goes.

        Raises:
            InputError: `out` is no folder, cannot be made, or holds files that the run would overwrite.
        """
        if out is None:
            folder = cls(_new_folder(f"out/{name}"), created=True)
        else:
            path = Path(out)
            taken = [file for file in (*cls.FILES, *map(picture_name, range(count))) if (path / file).exists()]
            if taken and not force:
                raise already_there(out, taken[0])
            folder = cls(path, created=make_folder(path, f"<out> {out}"))
        try:
            yield folder
        except BaseException:
            folder.abandon()
            raise

    def drop_old_pictures(self) -> None:
        """Removes the pictures that an earlier run's run.json lists, so that they do not pass as this run's."""
        try:
            old = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
            names = [str(image["file"]) for image in old["images"]]
        except (OSError, ValueError, LookupError, TypeError):
            return
        for name in names:
            if _PICTURE.fullmatch(name):
                (self.path / name).unlink(missing_ok=True)

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes one file. Raises `InputError` if that cannot be done."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, content)
        self._written.append(path)
        return path

    def write_record(self, record: Record, images: list[dict[str, Any]], rules: list[str]) -> None:
        """Writes run.json: the record of the first picture, all pictures with their seeds, the routing in words."""
        data = record.model_dump(mode="json") | {"images": images, "rules": rules}
        self.write("run.json", dump_json(data, indent=2))

    def abandon(self) -> None:
        """Removes what this run wrote, and the folder if it made that, unless a picture is among it."""
        if any(path.parent == self.path and _PICTURE.fullmatch(path.name) for path in self._written):
            return
        for path in self._written:
            path.unlink(missing_ok=True)
        inside = {path.parent for path in self._written} - {self.path}
        for folder in (*inside, *([self.path] if self._created else [])):
            with suppress(OSError):  # files of somebody else are in it
                folder.rmdir()


def already_there(out: str | None, name: str) -> SettingError:
    """The error that a folder holds a file which would be overwritten."""
    return SettingError(f"<out> {out}: holds {name} already; give another folder, or <force> to overwrite")


def make_folder(path: Path, label: str) -> bool:
    """Makes sure that files can be written into a folder, better now than after the work; whether it is a new one.

    Raises:
        InputError: they cannot; `label` is what the message calls the folder.
    """
    try:
        existed = path.is_dir()
        path.mkdir(parents=True, exist_ok=True)
        write_atomic(path / ".strata-probe", b"")
        (path / ".strata-probe").unlink()
    except (OSError, ValueError) as error:
        raise SettingError(f"{label}: cannot be written: {reason_of(error)}") from error
    return not existed


def numbered(name: str, suffix: str = "") -> Iterator[Path]:
    """`plan.yaml`, `plan-2.yaml`, … for the name `plan` and the suffix `.yaml`."""
    yield Path(name + suffix)
    for number in itertools.count(2):
        yield Path(f"{name}-{number}{suffix}")


def _new_folder(name: str) -> Path:
    for path in numbered(name):
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            continue
        except OSError as error:
            raise SettingError(f"{path}: cannot be made: {reason_of(error)}; give another folder as <out>") from error
    return path
