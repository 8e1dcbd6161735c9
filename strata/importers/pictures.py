"""The layouts that programs write into the PNG files they draw."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, PngImagePlugin

from strata.hierarchy.errors import InputError, first_line
from strata.hierarchy.files import LARGEST_TEXT, read_bytes, read_text

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def text_of(path: str, chunks: Sequence[str], form: str) -> str:
    """The text of a file; of a PNG, that of the first of these text chunks that it has.

    Raises:
        InputError: the file cannot be read, is no text, or is a picture without such a chunk.
    """
    if not chunks:
        return read_text(path)
    content = read_bytes(path)
    if not content.startswith(SIGNATURE):
        return read_text(path)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            assert isinstance(picture, PngImagePlugin.PngImageFile)
            texts = picture.text
    except Exception as error:  # decoders of damaged files raise whatever they like
        raise InputError(f"{path}: damaged PNG file: {first_line(error)}") from error
    for name in chunks:
        if name in texts and len(texts[name].encode(errors="replace")) <= LARGEST_TEXT:
            return str(texts[name])
    raise InputError(f"{path}: holds no layout of format {form} (no text chunk {' or '.join(chunks)})")
