"""Sheets of pictures: side by side under the titles of their columns, and contact sheets."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from PIL import Image

from strata.hierarchy.style import INK, MUTED
from strata.hierarchy.typeset import SMALL, Sheet, enlarged, line_height, measure, resized, wrap

_GAP = 12
_WIDEST, _CELL, _SMALLEST_CELL = 4096, 512, 64
"""Pixels of a contact sheet and of a picture in it, as far as the number of pictures allows."""
_NARROWEST, _MOST_TITLE = 400, 320
"""Pixels of a page of tables at least, and of the titles of its rows at most."""
_ONE_LINE, _MOST_COLUMNS, _TITLE_LINES = 6, 24, 4
"""Pictures of a single row that stay in one line; columns of a table, and lines of a column's title."""


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
    return _cell(picture, _WIDEST // _columns(count) - _GAP)


def _cell(picture: Image.Image, room: int) -> Image.Image:
    """The picture in so many pixels, within the bounds of cells."""
    room = max(_SMALLEST_CELL, min(_CELL, room))
    if max(picture.size) <= room:
        return enlarged(picture, min(room, SMALL))
    width, height = (max(1, round(side * room / max(picture.size))) for side in picture.size)
    return resized(picture, width, height)


@dataclass(frozen=True)
class Section:
    """A table of pictures: a title, the columns' titles, and rows with theirs."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Image.Image]]]


def table_columns(count: int, rows: int) -> int:
    """Columns that a table of `count` is broken into: one row about as wide as high, more rows as wide as fits."""
    return count if rows == 1 and count <= _ONE_LINE else min(_columns(count) if rows == 1 else count, _MOST_COLUMNS)


def table_cell(picture: Image.Image, columns: int) -> Image.Image:
    """The picture as it stands in a table of so many columns; of such a cell it is the cell itself."""
    return _cell(picture, (_WIDEST - _MOST_TITLE) // columns - _GAP)


def table_pages(heading: str, sections: Sequence[Section]) -> list[Image.Image]:
    """Tables below one another, on as many pages as it takes; every page has the heading, every part its titles.

    Args:
        heading: what all pictures share.
        sections: of cells as of `table_cell`; smaller ones than the largest stand in the middle of their places.
    """
    pictures = [picture for section in sections for _, row in section.rows for picture in row]
    width, height = (max(picture.size[axis] for picture in pictures) for axis in (0, 1))
    size = max(14, width // 32)
    titles = [title for section in sections for title, _ in section.rows if title]
    wide = max((max(measure(line, size) for line in wrap(title, size, _MOST_TITLE, 1)) for title in titles), default=0)
    start = _GAP + (ceil(min(wide, max(width, _MOST_TITLE // 2))) + _GAP if titles else 0)
    across = start + max(len(section.columns) for section in sections) * (width + _GAP)
    pages: list[Image.Image] = []
    page, y = _headed(across, heading, size)
    top = y
    for section in sections:
        rows = list(section.rows)
        while rows:
            titled = _title_height(section, size, width)
            fit_here = int((_WIDEST - y - titled) // (height + _GAP))
            if fit_here < min(len(rows), 1 if y == top else len(section.rows)) and y > top:
                pages.append(page.picture(y))
                page, y = _headed(across, heading, size)
                continue
            here, rows = rows[: max(1, fit_here)], rows[max(1, fit_here) :]
            y = _table(page, y, Section(section.title, section.columns, here), (start, width, height), size)
            if rows:
                pages.append(page.picture(y))
                page, y = _headed(across, heading, size)
    return [*pages, page.picture(y)]


def _headed(across: int, heading: str, size: int) -> tuple[Sheet, float]:
    page = Sheet(max(across, _NARROWEST))
    return page, page.paragraph(_GAP, _GAP, heading, size, MUTED) + _GAP // 2


def _title_height(section: Section, size: int, width: int) -> float:
    lines = max((len(wrap(title, size, width, _TITLE_LINES)) for title in section.columns), default=0)
    return line_height(size) * lines + (line_height(round(1.2 * size)) + _GAP if section.title else 0) + _GAP


def _table(page: Sheet, y: float, section: Section, place: tuple[int, int, int], size: int) -> float:
    """Draws a section from `y` downwards; returns where the next one may start."""
    start, width, height = place
    if section.title:
        larger = round(1.2 * size)
        y = page.paragraph(_GAP, y + _GAP, section.title, larger, INK, page.width - 2 * _GAP, most=2)
    left = [start + column * (width + _GAP) for column in range(len(section.columns))]
    ends = [
        page.paragraph(x, y, title, size, INK, width, _TITLE_LINES)
        for x, title in zip(left, section.columns, strict=True)
    ]
    y = max(ends, default=y) + _GAP // 2
    for title, row in section.rows:
        lines = wrap(title, size, start - 2 * _GAP, max(1, height // line_height(size))) if title else []
        middle = y + (height - line_height(size) * len(lines)) / 2
        for n, line in enumerate(lines):
            page.text(_GAP, middle + line_height(size) * (n + 0.5), line, size, INK)
        for x, picture in zip(left, row, strict=False):
            page.paste(picture, x + (width - picture.width) // 2, y + (height - picture.height) // 2)
        y += height + _GAP
    return y


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
