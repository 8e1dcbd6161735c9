"""Pictures side by side under the titles of their columns."""

from collections.abc import Sequence

from PIL import Image

from strata.hierarchy.style import INK
from strata.hierarchy.typeset import SMALL, Sheet, resized

_GAP = 12


def side_by_side(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> Image.Image:
    """Rows of pictures of one size, RGB, under their columns' titles; small ones are enlarged by whole numbers."""
    width, height = rows[0][0].size
    scale = max(1, -(-SMALL // max(width, height)))
    width, height = width * scale, height * scale
    left = [_GAP + column * (width + _GAP) for column in range(len(titles))]
    sheet = Sheet(left[-1] + width + _GAP)
    size = max(13, width // 40)
    y = max(sheet.paragraph(x, _GAP, title, size, INK, width) for x, title in zip(left, titles, strict=True))
    y += _GAP // 2
    for row in rows:
        for x, picture in zip(left, row, strict=True):
            sheet.paste(resized(picture, width, height), x, y)
        y += height + _GAP
    return sheet.picture(y)
