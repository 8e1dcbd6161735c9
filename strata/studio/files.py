"""What comes into the Studio and leaves it as files: plans, routings, pictures of ours, other programs' layouts."""

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from strata.hierarchy.errors import InputError, first_line
from strata.hierarchy.files import read_document
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_layout
from strata.importers import FORMATS, import_plans
from strata.layers.routing import Routing
from strata.llm.draft import Draft
from strata.native import native_caption
from strata.record import png_bytes
from strata.source import PNG_SIGNATURE, kind_of, load_plan, open_source, portable, safe_name
from strata.studio.core import from_source
from strata.studio.draw_run import DrawRun
from strata.studio.scene import Library, adopted
from strata.studio.sessions import Session

MOST_FILES = 500
LARGEST_TEXT, LARGEST_MASK, LARGEST_MASKS = 4 * 2**20, 16 * 2**20, 64 * 2**20
"""Bytes of what is read of a .zip, unpacked."""
_OWN_PROGRAMS = ("invokeai", "comfyui")
"""Formats that pictures of other programs may hold."""


def opened(
    content: bytes,
    name: str,
    session: Session,
    library: Library,
    form: str | None = None,
    size: tuple[int | None, int | None] = (None, None),
) -> dict[str, Any]:
    """What a file that was uploaded holds, for the page: `plan`, `routing` and `settings` as far as there are any.

    Args:
        content: of the file.
        name: that the user knows it by; never a path here.
        session: whose page it is.
        library: the LoRAs there are.
        form: one of `strata.importers.FORMATS`; None: a file of ours, as its content says.
        size: the canvas, where the file does not tell it.

    Raises:
        InputError: it holds none of these; says why.
    """
    with _uploaded(content, name, session) as path:
        try:
            if form:
                return _imported(path, form, session, library, size)
            if content.startswith(b"PK\x03\x04"):
                return _unzipped(content, path.parent, session, library)
            if content.startswith(PNG_SIGNATURE):
                return _picture(path, session, library)
            return _document(path, session, library)
        except InputError as error:
            raise InputError(str(error).replace(f"{path.parent}/", "")) from error


@contextmanager
def _uploaded(content: bytes, name: str, session: Session) -> Iterator[Path]:
    session.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="upload-", dir=session.folder))
    path = folder / safe_name(PurePosixPath(name.replace("\\", "/")).name)[-40:]
    if not path.suffix:
        path = path.with_suffix(".yaml")
    try:
        path.write_bytes(content)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _picture(path: Path, session: Session, library: Library) -> dict[str, Any]:
    try:
        with open_source(str(path), "open its plan instead") as source:
            return from_source(source, session, library)
    except InputError as error:
        if "holds no record" not in str(error):
            raise
        for form in _OWN_PROGRAMS:
            try:
                return _imported(path, form, session, library, (None, None))
            except InputError:
                continue
        raise


def _document(path: Path, session: Session, library: Library) -> dict[str, Any]:
    kind = kind_of(read_document(path))
    if kind == "routing":
        return {"routing": Routing.load(path).to_yaml()}
    if kind == "plan":
        return {"plan": adopted(load_plan(str(path)), session, library, {})}
    draft = Draft.load(path)
    if any(region.mask is not None for region in draft.regions):
        raise InputError(
            f"{path.name}: has mask files, which did not come with it; open the .zip that the Studio saves"
        )
    data = json.loads(draft.to_json())
    style = data.pop("style", None)
    return {"plan": {**data, "prompt": "", **({"low": style} if style else {})}, "partial": True}


def _imported(
    path: Path, form: str, session: Session, library: Library, size: tuple[int | None, int | None]
) -> dict[str, Any]:
    if form not in FORMATS:
        raise InputError(f"format {form[:40]!r}: must be one of {', '.join(FORMATS)}")
    try:
        found = import_plans(path, form, *size)
    except InputError as error:
        if "does not tell the canvas" in str(error):
            raise InputError(f"{path.name}: does not tell the canvas; say its width and height") from error
        raise
    if not found:
        raise InputError(f"{path.name}: holds no layout")
    notes = list(found[0].notes)
    if len(found) > 1:
        notes.insert(0, f"holds {len(found)} layouts; this is the first, {found[0].name}")
    return {"plan": adopted(found[0].plan, session, library, {}), "notes": notes}


def _unzipped(content: bytes, folder: Path, session: Session, library: Library) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = dict(_members(archive))
    except (zipfile.BadZipFile, RuntimeError, OSError, NotImplementedError, EOFError) as error:
        raise InputError(f"damaged .zip file: {first_line(error)}") from error
    if "plan.yaml" not in files:
        raise InputError("the .zip holds no plan.yaml; open one that the Studio saved")
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    plan = ScenePlan.load(folder / "plan.yaml")
    found = {"plan": adopted(plan, session, library, files)}
    if "routing.yaml" in files:
        found["routing"] = Routing.load(folder / "routing.yaml").to_yaml()  # type: ignore[assignment]
    return found


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """The plan, the routing and the masks of an archive; everything else in it is left alone."""
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise InputError(f"the .zip holds {len(infos)} files; at most {MOST_FILES} are read")
    total = 0
    for info in infos:
        parts = PurePosixPath(info.filename).parts
        is_mask = len(parts) == 2 and parts[0] == "masks" and safe_name(parts[1]) == parts[1]
        if not is_mask and parts not in (("plan.yaml",), ("routing.yaml",)):
            continue
        most = LARGEST_MASK if is_mask else LARGEST_TEXT
        with archive.open(info) as member:
            data = member.read(most + 1)
        total += len(data)
        if len(data) > most or total > LARGEST_MASKS:
            raise InputError(f"{info.filename}: larger than {most // 2**20} MiB")
        yield "/".join(parts), data


def saved(plan: ScenePlan, routing: Routing | None) -> bytes:
    """A .zip with plan.yaml, its masks, routing.yaml and layout.png: `strata generate plan.yaml` draws it."""
    [kept], files = portable([plan])
    contents: dict[str, bytes] = {"plan.yaml": kept.to_yaml().encode(), **files}
    if routing is not None:
        contents["routing.yaml"] = routing.to_yaml().encode()
    contents["layout.png"] = png_bytes(draw_layout(plan))
    return _zipped(contents)


def run_zipped(run: DrawRun) -> bytes:
    """A .zip with everything in the folder of a run."""
    return _zipped({name: (run.folder / name).read_bytes() for name in run.names()})


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            stored = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, stored)
    return out.getvalue()


def exported(plan: ScenePlan, form: str) -> dict[str, Any]:
    """A plan as a model's own structured caption. Raises `InputError` where the form cannot hold it."""
    caption = native_caption(plan, form)
    return {"text": caption.text, "notes": list(caption.notes)}
