"""What a drawing starts from, read and checked: a plan file, or a picture with its record."""

import base64
import binascii
import io
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Literal

from PIL import Image, ImageOps, PngImagePlugin

from strata.contents import is_picture
from strata.hierarchy.areas import MASK_FORMATS, region_mask
from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.files import Document, parse_document, read_bytes, read_document, syntax_of
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.validation import validate
from strata.layers.routing import Routing
from strata.llm.draft import Draft
from strata.record import CHUNK_FILE, CHUNK_PLAN, CHUNK_ROUTING, CHUNK_RUN, Record, Repaint, TextSwap, plans_before

FileKind = Literal["plan", "draft", "routing"]
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_ATTACHMENTS = 40 * 2**20
"""Bytes of mask files and input pictures together that a picture's record may hold (readers stop at 64 MiB of text)."""
LARGEST_CHUNK = 64 * 2**20
"""Bytes of one chunk of a PNG file beside those of its pixels."""
_ATTACHMENT = re.compile(r"(masks|inputs)/[A-Za-z0-9_][A-Za-z0-9._-]{0,49}")


@dataclass(frozen=True)
class Source:
    """What a picture is drawn from: a plan, or everything that a picture remembers."""

    name: str
    plan: ScenePlan
    routing: Routing | None = None
    record: Record | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The attachments of a picture's record."""
    swaps: tuple[TextSwap, ...] = ()
    repaints: tuple[Repaint, ...] = ()
    """Those of the record, and one that is still to be drawn."""
    picture: Image.Image | None = None
    """The picture itself, RGB."""
    folder: Path | None = None
    """Where the picture is."""


@contextmanager
def open_source(path: str, instead: str = "give a plan instead") -> Iterator[Source]:
    """Reads a plan file, or a picture that strata drew; its mask files can be read while the context lasts.

    Args:
        path: of a `.yaml`, `.yml`, `.json` or `.png` file; a PNG is known by its content.
        instead: of a picture without a record, what to do.

    Raises:
        InputError: no such file, no plan, or a picture without a record.
    """
    refuse_folder(path)
    content = read_bytes(path)
    if content.startswith(PNG_SIGNATURE):
        with tempfile.TemporaryDirectory(prefix="strata-") as folder:
            yield _open_picture(path, content, Path(folder), instead)
        return
    if Path(path).suffix.lower() == ".png":
        raise InputError(f"{path}: not a PNG file, whatever its name says")
    syntax_of(path)
    yield Source(safe_name(Path(path).stem), load_plan(path))


def refuse_folder(path: str) -> None:
    """Raises `InputError` where a folder stands for a file; names what in it may be meant."""
    if not os.path.isdir(path):
        return
    folder = Path(path)
    if (folder / "run.json").is_file() and (folder / "plan.yaml").is_file():
        pictures = [str(file) for file in sorted(folder.glob("image*.png")) if is_picture(file.name)]
        meant = " or ".join(
            [f"its plan, {folder / 'plan.yaml'},", *([f"a picture, {pictures[0]}"] if pictures else [])]
        )
        raise InputError(f"{path}: is the folder of a run; name {meant}".rstrip(","))
    plans = sorted(folder.glob("*.yaml"))
    raise InputError(f"{path}: is a folder; name a file in it" + (f", such as {plans[0]}" if plans else ""))


def safe_name(name: str) -> str:
    """`name` as part of a file name: letters, digits, `.`, `_` and `-`, at most 40, never empty or hidden."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".-")[:40] or "plan"


def portable(plans: Sequence[ScenePlan]) -> tuple[list[ScenePlan], dict[str, bytes]]:
    """The plans with their mask files named `masks/…`, and the files of all by their new names; LoRA files in full.

    Raises:
        InputError: a mask file cannot be read; names file, line and field of the plan.
    """
    names: dict[Path, str] = {}
    files: dict[str, bytes] = {}
    return [_portable(plan, names, files) for plan in plans], files


def _portable(plan: ScenePlan, names: dict[Path, str], files: dict[str, bytes]) -> ScenePlan:
    regions = []
    for index, region in enumerate(plan.regions):
        if region.mask is not None:
            path = plan.root / region.mask
            region_mask(plan, index)  # an image that can be used
            content = read_bytes(path)
            key = path.resolve()
            if key not in names:
                names[key] = _free_name(f"masks/{safe_name(path.name)}", files)
            files[names[key]] = content
            region = region.model_copy(update={"mask": names[key]})
        regions.append(region)
    kept = plan.model_copy(update={"regions": tuple(regions)})
    return kept.with_loras(lambda file: local_lora(file, plan.root))


def local_lora(file: str, root: Path) -> str:
    """The path of a LoRA file that is here, in full, so that the plan can be kept anywhere; a hub id as it is."""
    path = root / Path(file).expanduser()
    return full_path(path).as_posix() if path.exists() else file


def full_path(path: Path) -> Path:
    """The path of a file that is here, in full and without `..`; it stays the name of a link."""
    full = Path(os.path.abspath(path))
    if full.exists() and full.samefile(path):
        return full
    return Path(os.path.realpath(path.parent)) / path.name  # `..` behind a link leads elsewhere


def _free_name(name: str, taken: Mapping[str, bytes]) -> str:
    path, number = PurePath(name), 1
    while name.lower() in (other.lower() for other in taken):
        number += 1
        name = path.with_stem(f"{path.stem}-{number}").as_posix()
    return name


def decode_picture(content: bytes, name: str, mode: Literal["RGB", "L"]) -> Image.Image:
    """An input picture, upright. Raises `InputError` for what is no picture or too large."""
    try:
        return _decoded(content, mode).copy()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name}: too large a picture") from error
    except Exception as error:  # decoders of damaged files raise whatever they like
        raise InputError(f"{name}: not a readable picture; formats: {', '.join(MASK_FORMATS)}") from error


@lru_cache(maxsize=4)
def _decoded(content: bytes, mode: Literal["RGB", "L"]) -> Image.Image:
    """The last ones are kept: a picture is checked, then measured, then drawn with."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=MASK_FORMATS) as image:
            return ImageOps.exif_transpose(image).convert(mode)


def check_attachments(files: Mapping[str, bytes]) -> None:
    """Raises `InputError` if the files are too large to be kept inside a picture."""
    size = sum(map(len, files.values()))
    if size > LARGEST_ATTACHMENTS:
        raise InputError(
            f"{', '.join(files)}: {size / 2**20:.0f} MiB together, but a picture keeps at most"
            f" {LARGEST_ATTACHMENTS // 2**20} MiB of its mask files and input pictures; make them smaller"
        )


def _open_picture(path: str, content: bytes, scratch: Path, instead: str) -> Source:
    picture, texts = _read_picture(path, content)
    missing = [key for key in (CHUNK_RUN, CHUNK_PLAN, CHUNK_ROUTING) if key not in texts]
    if missing:
        raise InputError(
            f"{path}: holds no record of a run (no text chunk {missing[0]}): it was not drawn by strata"
            f" from a plan, or another program rewrote it; {instead}"
        )
    record = validate(Record, parse_document(texts[CHUNK_RUN], f"{path} (record)", syntax="json"))
    files = _unpack(path, texts, scratch)
    plan = ScenePlan.from_yaml(texts[CHUNK_PLAN], f"{path} (plan)", scratch)
    try:
        before = plans_before(plan, record.repaints)
    except InputError as error:
        raise InputError(f"{path} (record): {error}") from error
    needed = [("plan", region.mask) for region in plan.regions]
    needed += [("record", region.mask) for earlier in before for region in earlier.regions]
    needed += [("record", name) for name in (record.image, record.mask_image, *record.control)]
    for part, name in needed:
        if name is not None and name not in files:
            raise InputError(f"{path} ({part}): file {quote(name)}: is not inside the picture")
    routing = Routing.from_yaml(texts[CHUNK_ROUTING], f"{path} (routing)")
    kept = record, files, record.swaps, record.repaints
    return Source(safe_name(record.name), plan, routing, *kept, picture, Path(path).parent)


def _read_picture(path: str, content: bytes) -> tuple[Image.Image, dict[str, str]]:
    """The picture and its text chunks.

    Pillow refuses more than 64 MiB of text, but reads each chunk first, however long it is.
    """
    if _longest_chunk(content) > LARGEST_CHUNK:
        raise InputError(f"{path}: holds a chunk of more than {LARGEST_CHUNK // 2**20} MiB, so strata did not draw it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                assert isinstance(image, PngImagePlugin.PngImageFile)
                texts = {str(key): str(value) for key, value in image.text.items()}
                return image.convert("RGB"), texts
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: too large a picture (at most {Image.MAX_IMAGE_PIXELS:,} pixels)") from error
    except Exception as error:  # decoders of damaged files raise whatever they like
        raise InputError(f"{path}: damaged PNG file: {error}") from error


def _longest_chunk(content: bytes) -> int:
    """Bytes of the longest chunk of a PNG file, as its head says, that is no part of the picture itself."""
    position, longest = len(PNG_SIGNATURE), 0
    while position + 8 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        if content[position + 4 : position + 8] != b"IDAT":
            longest = max(longest, length)
        position += 12 + length
    return longest


def _unpack(path: str, texts: Mapping[str, str], scratch: Path) -> dict[str, bytes]:
    """Writes the picture's attachments below `scratch` and returns them."""
    files: dict[str, bytes] = {}
    for key, text in texts.items():
        if key.startswith(CHUNK_FILE):
            name = key.removeprefix(CHUNK_FILE)
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


# Kinds of files -------------------------------------------------------------------------------------------------------


def kind_of(document: Document) -> FileKind:
    """What a document is, or is meant to be. Raises `InputError` where most of its keys are of no kind."""
    keys = document.data.keys()
    of_scene = len(keys & (ScenePlan.model_fields.keys() | Draft.model_fields.keys()))
    of_routing = len(keys & Routing.model_fields.keys())
    if of_scene == of_routing or 2 * max(of_scene, of_routing) < len(keys):
        raise InputError(
            f"{document.name}: neither a plan (width, height, prompt, regions, …), nor a draft of one (without prompt),"
            " nor a routing (name, rules, …)"
        )
    if of_routing > of_scene:
        return "routing"
    if "prompt" in keys:
        return "plan"
    return "draft" if "style" in keys or _is_draft(document) else "plan"


def load_plan(path: str) -> ScenePlan:
    """Reads a plan file. Raises `InputError`, which names a draft and a routing as such."""
    try:
        return ScenePlan.load(path)
    except InputError as error:
        try:
            kind = kind_of(read_document(path))
        except InputError:
            raise error from None
        if kind == "routing":
            raise InputError(f"{path}: is a routing, not a plan (`strata generate PLAN --routing {path}`)") from error
        if kind == "draft":
            message = f"has no prompt, so it is the draft of a plan (`strata plan PROMPT --draft {path}`)"
            raise InputError(f"{path}: {message}") from error
        raise


def _is_draft(document: Document) -> bool:
    try:
        validate(Draft, document)
    except InputError:
        return False
    return True
