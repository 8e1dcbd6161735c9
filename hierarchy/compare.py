"""Sheets of pictures: side by side under the titles of their columns, and contact sheets."""

from collections.abc import Sequence
from math import ceil, sqrt

from PIL import Image

from strata.hierarchy.style import INK
from strata.hierarchy.typeset import SMALL, Sheet, enlarged, line_height, resized

_GAP = 12
_WIDEST, _CELL, _SMALLEST_CELL = 4096, 512, 64
"""Pixels of a contact sheet and of a picture in it, as far as the number of pictures allows."""


def side_by_side(
    rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], captions: Sequence[Sequence[str]] = ()
) -> Image.Image:
    """Rows of pictures of one size, RGB, under their columns' titles; small ones are enlarged by whole numbers.

    Args:
        rows: of pictures; the last one may be shorter.
        titles: a text a column, above all pictures; may be empty.
        captions: a line below each picture, in rows like theirs.
    """
    scale = max(1, -(-SMALL // max(rows[0][0].size)))
    width, height = (side * scale for side in rows[0][0].size)
    return _sheet([[resized(picture, width, height) for picture in row] for row in rows], titles, captions)


def contact_sheet(pictures: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """Pictures of one size with a line below each; small ones enlarged by whole numbers, large ones made smaller."""
    columns = _columns(len(pictures))
    cells = [contact_cell(picture, len(pictures)) for picture in pictures]
    starts = range(0, len(cells), columns)
    return _sheet([cells[i : i + columns] for i in starts], (), [captions[i : i + columns] for i in starts])


def contact_cell(picture: Image.Image, count: int) -> Image.Image:
    """The picture as it stands on a contact sheet of `count`; of such a cell it is the cell itself."""
    room = max(_SMALLEST_CELL, min(_CELL, _WIDEST // _columns(count) - _GAP))
    if max(picture.size) <= room:
        return enlarged(picture, min(room, SMALL))
    width, height = (max(1, round(side * room / max(picture.size))) for side in picture.size)
    return resized(picture, width, height)


def _columns(count: int) -> int:
    """Columns of a sheet about as wide as high, or one more where that leaves fewer cells empty: 4 of 8."""
    least = ceil(sqrt(count))
    return min((least, least + 1), key=lambda columns: -count % columns)


def _sheet(
    rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], captions: Sequence[Sequence[str]]
) -> Image.Image:
    width, height = rows[0][0].size
    left = [_GAP + column * (width + _GAP) for column in range(len(rows[0]))]
    sheet = Sheet(left[-1] + width + _GAP)
    size = max(13, width // 40)
    y: float = _GAP
    if titles:
        y = max(sheet.paragraph(x, y, title, size, INK, width) for x, title in zip(left, titles, strict=True))
        y += _GAP // 2
    for i, row in enumerate(rows):
        for x, picture in zip(left, row, strict=False):
            sheet.paste(picture, x, y)
        y += height
        for x, caption in zip(left, captions[i] if captions else (), strict=False):
            sheet.paragraph(x, y, caption, size, INK, width, most=1)
        y += _GAP + (line_height(size) if captions else 0)
    return sheet.picture(y)
