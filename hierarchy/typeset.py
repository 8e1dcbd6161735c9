"""Setting text and pictures on a page: fonts, measuring, wrapping, ellipsis, and a sheet that grows downwards.

Lengths are in pixels of the page, font sizes too.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from strata.hierarchy.style import INK, PAPER, Colour, ink_on

Rect = tuple[float, float, float, float]
"""x, y, width, height."""
SMALL = 256
"""Pictures of up to so many pixels a side are enlarged without smoothing, so that every pixel stays visible."""

_BEYOND_LATIN = ("DejaVuSans.ttf", "Arial.ttf")
"""Of the system, for texts that Pillow's own font cannot set (it holds ASCII and little more)."""
_LONGEST_LINE = 4096
"""Characters of a line, however narrow they are."""
_SET = frozenset(map(chr, range(32, 127))) | frozenset("…“”·°")


# Text -----------------------------------------------------------------------------------------------------------------


@cache
def _face(size: float, latin: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in () if latin else _BEYOND_LATIN:
        try:
            return ImageFont.truetype(name, size)
        except OSError:  # not on this system
            continue
    return ImageFont.load_default(size)


def font(text: str, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that sets `text`: Pillow's own, or a system's where that lacks a character."""
    return _face(size, set(text) <= _SET)


def measure(text: str, size: float) -> float:
    """The width of one line."""
    return font(text, size).getlength(text)


def line_height(size: float) -> int:
    """From one line to the next."""
    return round(1.36 * size)


def fit(text: str, size: float, width: float) -> str:
    """`text`, shortened with an ellipsis to `width`."""
    end = _fitting(text, size, width)
    if end == len(text):
        return text
    end = _fitting(text[:end], size, width - measure("…", size))
    while end and measure(f"{text[:end].rstrip()}…", size) > width:  # the ellipsis may be of another font
        end -= 1
    return f"{text[:end].rstrip()}…"


def wrap(text: str, size: float, width: float, most: int = 0) -> list[str]:
    """Lines no wider than `width`; of more than `most` (if any) the last one stands for the rest, with an ellipsis.

    Words longer than a line, and scripts without spaces, are divided anywhere.
    """
    lines: list[str] = []
    for word in text.split():
        if lines and _fitting(f"{lines[-1]} {word}", size, width) == len(lines[-1]) + 1 + len(word):
            lines[-1] += f" {word}"
            continue
        while (end := max(_fitting(word, size, width), 1)) < len(word) and not 0 < most < len(lines):
            lines.append(word[:end])
            word = word[end:]
        lines.append(word)
        if 0 < most < len(lines):
            return [*lines[: most - 1], fit(f"{lines[most - 1]} {lines[most]}", size, width)]
    return lines


def _fitting(text: str, size: float, width: float) -> int:
    """How many characters from the start of `text` are at most `width` wide, found by bisecting."""
    fits, too_many = 0, 16
    while too_many < min(len(text), _LONGEST_LINE) and measure(text[:too_many], size) <= width:
        fits, too_many = too_many, 2 * too_many
    too_many = min(too_many, len(text), _LONGEST_LINE) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if measure(text[:middle], size) <= width:
            fits = middle
        else:
            too_many = middle
    return fits


# Pictures -------------------------------------------------------------------------------------------------------------


def pixel_edges(area: Rect, finer: int = 1) -> tuple[int, int, int, int]:
    """The first pixels of a box (x, y, width, height) as it is drawn, and the first behind it: x, y, x, y."""
    x, y, width, height = (side * finer for side in area)
    return round(x), round(y), round(x + width), round(y + height)


def hatching(rows: int, columns: int, period: int) -> NDArray[np.bool_]:
    """`bool[rows, columns]`: diagonal lines, one every `period` pixels, a quarter of it wide."""
    ys, xs = np.ogrid[:rows, :columns]
    lines: NDArray[np.bool_] = (xs + ys) % period < period // 4
    return lines


def resized(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture as RGB at another size; small ones are enlarged in sharp pixels, see `SMALL`."""
    sharp = max(picture.size) <= SMALL and width >= picture.width
    resampling = Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS
    return picture.convert("RGB").resize((width, height), resampling)


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """The picture as RGB by a whole factor, its longer side as long as possible up to `side`, and never smaller.

    Smooth, to be looked at: squares of single pixels would hide what small models draw.
    """
    factor = max(1, side // max(picture.size))
    size = picture.width * factor, picture.height * factor
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


class Sheet:
    """An RGB page with a pen. It grows downwards with what is drawn on it; `picture` cuts it off.

    Args:
        width: of the page.
        paper: its colour.
        finer: pixels drawn for each pixel of the page.
    """

    def __init__(self, width: int, paper: Colour = PAPER, finer: int = 1) -> None:
        self.width, self.paper, self.finer = width, paper, finer
        self._image = Image.new("RGB", (width * finer, 512 * finer), paper)
        self._draw = ImageDraw.Draw(self._image)

    def picture(self, height: float) -> Image.Image:
        """The page down to `height`."""
        self._reach(height)
        return self._image.crop((0, 0, self._image.width, round(height * self.finer)))

    def text(self, x: float, y: float, text: str, size: float, colour: Colour = INK, anchor: str = "lm") -> None:
        """One line; `anchor` as in Pillow, by default the left end of its middle."""
        self._reach(y + size)
        scaled = size * self.finer
        self._draw.text((x * self.finer, y * self.finer), text, colour, font(text, scaled), anchor)

    def paragraph(
        self, x: float, y: float, text: str, size: float, colour: Colour = INK, width: float = 0, most: int = 0
    ) -> float:
        """Lines as of `wrap` from `y` downwards, by default to a right margin like `x`; returns where they end."""
        for line in wrap(text, size, width or self.width - 2 * x, most):
            self.text(x, y + line_height(size) / 2, line, size, colour)
            y += line_height(size)
        return y

    def box(self, area: Rect, fill: Colour | None, line: Colour | None = None, radius: float = 0) -> None:
        """A rectangle (x, y, width, height), with an outline one pixel wide inside it."""
        self._reach(area[1] + area[3])
        left, top, right, bottom = pixel_edges(area, self.finer)
        corners = (left, top, max(right - 1, left), max(bottom - 1, top))
        rounding, shorter = radius * self.finer, min(corners[2] - left, corners[3] - top)
        if 2 * rounding >= shorter - 1:  # half circles: of radii between these Pillow raises where it is nearly square
            rounding = shorter
        self._draw.rounded_rectangle(corners, rounding, fill, line, self.finer)

    def label(self, area: Rect, text: Sequence[str], size: float, fill: Colour, line: Colour | None = None) -> None:
        """A filled box with lines of text in its middle, in the colour that can be read on it."""
        self.box(area, fill, line, 0.8 * size if line else size / 3)
        x, y, width, height = area
        y += (height - line_height(size) * (len(text) - 1)) / 2
        for n, words in enumerate(text):
            self.text(x + width / 2, y + n * line_height(size), words, size, ink_on(fill), anchor="mm")

    def lines(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1) -> None:
        """Straight lines from point to point."""
        self._reach(max(y for _, y in points) + width)
        scaled = [(x * self.finer, y * self.finer) for x, y in points]
        self._draw.line(scaled, colour, max(1, round(width * self.finer)), joint="curve")

    def paste(self, picture: Image.Image | NDArray[np.uint8], x: float, y: float) -> None:
        """A picture, or pixels `uint8[rows, columns, 3]`, at its own size (in drawn pixels)."""
        picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        self._reach(y + picture.height / self.finer)
        self._image.paste(picture, (round(x * self.finer), round(y * self.finer)))

    def _reach(self, bottom: float) -> None:
        if bottom * self.finer > self._image.height:
            taller = Image.new("RGB", (self._image.width, 2 * round(bottom * self.finer)), self.paper)
            taller.paste(self._image)
            self._image, self._draw = taller, ImageDraw.Draw(taller)
