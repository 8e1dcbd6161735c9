"""The record of a run: what a picture was made from, kept inside the picture and beside it, and read back from it."""

import base64
import binascii
import io
import json
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Self

from PIL import Image, ImageOps, PngImagePlugin
from pydantic import Field

from strata import __version__
from strata.hierarchy.areas import MASK_FORMATS, pixel_mask
from strata.hierarchy.errors import InputError
from strata.hierarchy.files import parse_document, quote, syntax_of, validate, write_atomic
from strata.hierarchy.plan import NUMBER, Int, Level, ScenePlan, StrictModel
from strata.kinds import load_plan
from strata.layers.fields import PercentField
from strata.layers.routing import Routing

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_ATTACHMENTS = 40 * 2**20
"""Bytes of mask files and input pictures together that a picture's record may hold (readers stop at 64 MiB of text)."""

_CHUNK_RUN, _CHUNK_PLAN, _CHUNK_ROUTING, _CHUNK_FILE = "strata:run", "strata:plan", "strata:routing", "strata:file:"
_PICTURE = re.compile(r"image(-\d+)?\.png")
_ATTACHMENT = re.compile(r"(masks|inputs)/[A-Za-z0-9_][A-Za-z0-9._-]{0,49}")


class Settings(StrictModel):
    """Everything beside plan and routing that decides what a picture looks like."""

    model: str
    seed: Annotated[int, Field(ge=0), NUMBER]
    steps: Annotated[int, Field(ge=1), NUMBER]
    guidance: float | None = None
    """None where the model has no guidance."""
    true_cfg: float | None = None
    image_strength: float | None = None
    device: str
    dtype: str
    threads: Int
    """Of torch on a CPU; other numbers may round differently."""


class TextSwap(StrictModel):
    """At some steps an area's text is another one than the plan's."""

    area: str
    level: Level
    text: str | None
    """None: nothing is heard."""
    steps: PercentField


class Record(StrictModel):
    """What a picture says about itself, beside its plan and its routing."""

    format: Literal[1] = 1
    name: str
    """The plan's file name without its suffix; names the next output folder."""
    settings: Settings
    image: str | None = None
    """The input picture, as an attachment's name."""
    mask_image: str | None = None
    swaps: tuple[TextSwap, ...] = ()
    command: str
    created: str
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Versions of everything that takes part in drawing."""
    packages = ("torch", "diffusers", "transformers")
    return {"strata": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}


def now() -> str:
    """The time as ISO 8601, in UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# What goes into a run -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """What a picture is drawn from: a plan file, or everything that a picture remembers."""

    name: str
    plan: ScenePlan
    routing: Routing | None = None
    record: Record | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The attachments of a picture's record."""


def open_source(path: str, scratch: Path) -> Source:
    """Reads a plan file, or a picture that strata drew.

    Args:
        path: of a `.yaml`, `.yml`, `.json` or `.png` file; a PNG is known by its content.
        scratch: an empty folder, into which a picture's mask files are unpacked.

    Raises:
        InputError: no such file, no plan, or a picture without a record.
    """
    try:
        with Path(path).open("rb") as file:
            is_picture = file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path}: cannot be read: {reason}") from error
    if is_picture:
        return _open_picture(path, scratch)
    if Path(path).suffix.lower() == ".png":
        raise InputError(f"{path}: not a PNG file, whatever its name says")
    syntax_of(path)
    return Source(safe_name(Path(path).stem), load_plan(path))


def safe_name(name: str) -> str:
    """`name` as part of a file name: letters, digits, `.`, `_` and `-`, at most 40, never empty or hidden."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".-")[:40] or "plan"


def portable(plan: ScenePlan) -> tuple[ScenePlan, dict[str, bytes]]:
    """The plan with its mask files named `masks/…`, and those files by their new names.

    Raises:
        InputError: a mask file cannot be read; names file, line and field of the plan.
    """
    names: dict[Path, str] = {}
    files: dict[str, bytes] = {}
    regions = []
    for index, region in enumerate(plan.regions):
        if region.mask is not None:
            path = plan.root / region.mask
            try:
                pixel_mask(region, plan.width, plan.height, plan.root)
                content = path.read_bytes()
            except InputError as error:
                raise plan.error(("regions", index, "mask"), str(error)) from error
            except OSError as error:
                reason = f"mask file '{path}': cannot be read: {error.strerror}"
                raise plan.error(("regions", index, "mask"), reason) from error
            key = path.resolve()
            if key not in names:
                names[key] = _free_name(f"masks/{safe_name(path.name)}", files)
            files[names[key]] = content
            region = region.model_copy(update={"mask": names[key]})
        regions.append(region)
    return plan.model_copy(update={"regions": tuple(regions)}), files


def _free_name(name: str, taken: Mapping[str, bytes]) -> str:
    path, number = PurePath(name), 1
    while name.lower() in (other.lower() for other in taken):
        number += 1
        name = path.with_stem(f"{path.stem}-{number}").as_posix()
    return name


def decode_picture(content: bytes, name: str, mode: Literal["RGB", "L"]) -> Image.Image:
    """An input picture, upright. Raises `InputError` for what is no picture or too large."""
    try:
        with Image.open(io.BytesIO(content), formats=MASK_FORMATS) as image:
            return ImageOps.exif_transpose(image).convert(mode)
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: too large a picture") from error
    except Exception as error:  # decoders of damaged files raise whatever they like
        raise InputError(f"{name}: not a readable picture; formats: {', '.join(MASK_FORMATS)}") from error


def check_attachments(files: Mapping[str, bytes]) -> None:
    """Raises `InputError` if the files are too large to be kept inside a picture."""
    size = sum(map(len, files.values()))
    if size > LARGEST_ATTACHMENTS:
        raise InputError(
            f"{', '.join(files)}: {size / 2**20:.0f} MiB together, but a picture keeps at most"
            f" {LARGEST_ATTACHMENTS // 2**20} MiB of its mask files and input pictures; make them smaller"
        )


# The record inside a picture ------------------------------------------------------------------------------------------


def picture_bytes(
    image: Image.Image, plan: ScenePlan, routing: Routing, record: Record, files: Mapping[str, bytes]
) -> bytes:
    """A PNG that remembers what it was made from, as text chunks; `plan` and `files` as `portable` gives them."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(_CHUNK_PLAN, plan.to_yaml())
    info.add_itxt(_CHUNK_ROUTING, routing.to_yaml())
    info.add_itxt(_CHUNK_RUN, json.dumps(record.model_dump(mode="json"), ensure_ascii=False, indent=1))
    for name, content in files.items():
        info.add_text(_CHUNK_FILE + name, base64.b64encode(content).decode("ascii"))
    return png_bytes(image, info)


def png_bytes(image: Image.Image, info: PngImagePlugin.PngInfo | None = None) -> bytes:
    """An image as a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info)
    return out.getvalue()


def _open_picture(path: str, scratch: Path) -> Source:
    texts = _texts_of(path)
    missing = [key for key in (_CHUNK_RUN, _CHUNK_PLAN, _CHUNK_ROUTING) if key not in texts]
    if missing:
        raise InputError(
            f"{path}: holds no record of a run (no text chunk {missing[0]}): it was not drawn by strata"
            " from a plan, or another program rewrote it; give a plan instead"
        )
    record = validate(Record, parse_document(texts[_CHUNK_RUN], f"{path} (record)", syntax="json"))
    files = _unpack(path, texts, scratch)
    plan = ScenePlan.from_yaml(texts[_CHUNK_PLAN], f"{path} (plan)", scratch)
    needed = [("plan", region.mask) for region in plan.regions]
    needed += [("record", record.image), ("record", record.mask_image)]
    for part, name in needed:
        if name is not None and name not in files:
            raise InputError(f"{path} ({part}): file {quote(name)}: is not inside the picture")
    routing = Routing.from_yaml(texts[_CHUNK_ROUTING], f"{path} (routing)")
    return Source(safe_name(record.name), plan, routing, record, files)


def _texts_of(path: str) -> dict[str, str]:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            assert isinstance(image, PngImagePlugin.PngImageFile)
            return {str(key): str(value) for key, value in image.text.items()}
    except Exception as error:  # decoders of damaged files raise whatever they like
        raise InputError(f"{path}: damaged PNG file: {error}") from error


def _unpack(path: str, texts: Mapping[str, str], scratch: Path) -> dict[str, bytes]:
    """Writes the picture's attachments below `scratch` and returns them."""
    files: dict[str, bytes] = {}
    for key, text in texts.items():
        if key.startswith(_CHUNK_FILE):
            name = key.removeprefix(_CHUNK_FILE)
            if not _ATTACHMENT.fullmatch(name):
                raise InputError(f"{path} (record): file name {quote(name)}: must be masks/NAME or inputs/NAME")
            try:
                files[name] = base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise InputError(f"{path} (record): file {quote(name)}: damaged: {error}") from error
            target = scratch / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(files[name])
    return files


# The folder of a run --------------------------------------------------------------------------------------------------


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
    def claim(cls, out: str | None, name: str, count: int, force: bool) -> Self:
        """The folder `out`, or a new one below out/: NAME, NAME-2, ….

        Raises:
            InputError: `out` is no folder, cannot be made, or holds files that the run would overwrite.
        """
        if out is None:
            return cls(_new_folder(Path("out"), name), created=True)
        path = Path(out)
        taken = [file for file in (*cls.FILES, *map(picture_name, range(count))) if (path / file).exists()]
        if taken and not force:
            raise InputError(f"--out {out}: holds {taken[0]} already; give another folder, or --force to overwrite")
        return cls(path, created=make_folder(path, f"--out {out}"))

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
        self.write("run.json", json.dumps(data, ensure_ascii=False, indent=2) + "\n")

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
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{label}: cannot be written: {reason}") from error
    return not existed


def _new_folder(parent: Path, name: str) -> Path:
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path}: cannot be made: {reason}; give another folder as --out") from error
        else:
            return path
