"""The picture below the canvas: one a session, kept small, so that a reload finds it again."""

import hashlib
import io

from strata.hierarchy.files import write_atomic
from strata.source import decode_picture
from strata.studio.errors import Refused
from strata.studio.sessions import Session

LARGEST = 2048
"""Pixels of its longer side; larger ones are made smaller."""
SHARP = 512
"""Up to this size it is kept without loss: pictures of small models are drawn pixel by pixel."""


def keep_underlay(content: bytes, session: Session) -> str:
    """Keeps a picture of any known format in place of the one before; returns its name.

    Raises:
        InputError: no readable picture, or too large.
    """
    image = decode_picture(content, "underlay", "RGB")
    image.thumbnail((LARGEST, LARGEST))
    form = "PNG" if max(image.size) <= SHARP else "JPEG"
    out = io.BytesIO()
    image.save(out, form, quality=90)
    name = f"underlay-{hashlib.sha256(out.getvalue()).hexdigest()[:32]}.{'png' if form == 'PNG' else 'jpg'}"
    with session.changing:
        session.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(session.folder / name, out.getvalue())
        _replace(session, name)
    return name


def remove_underlay(session: Session) -> None:
    """Nothing is below the canvas any more."""
    with session.changing:
        _replace(session, None)


def underlay_content(name: str, session: Session) -> tuple[bytes, str]:
    """The picture that has this name, and its media type. Raises `Refused` where it is not there, or no more."""
    with session.changing:
        if name != session.underlay:
            raise Refused("there is no such underlay in this session", 404)
        return (session.folder / name).read_bytes(), "image/png" if name.endswith("png") else "image/jpeg"


def _replace(session: Session, name: str | None) -> None:
    before, session.underlay = session.underlay, name
    if before not in (None, name):
        (session.folder / str(before)).unlink(missing_ok=True)
