"""A contact sheet: drawings with their prompts, and under each what was asked for, marked right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from strata.miniature.world.scenes import Box

_FINER = 2  # pixels drawn per pixel of the layout
_CARD, _PAD, _GAP, _MARGIN = 208, 8, 14, 28
_PICTURE = _CARD - 2 * _PAD
_CHIP, _LINE = 20, 16

Colour = tuple[int, int, int]
_PAPER: Colour = (244, 245, 247)
_SURFACE: Colour = (255, 255, 255)
_INK: Colour = (32, 36, 44)
_FAINT: Colour = (110, 116, 128)
_RULE: Colour = (222, 225, 230)
_RIGHT: tuple[Colour, Colour] = ((226, 243, 232), (22, 112, 66))
_WRONG: tuple[Colour, Colour] = ((252, 229, 231), (176, 32, 48))


@dataclass(frozen=True)
class Finding:
    """One attribute asked for, whether it is there, and what the scorer saw."""

    asked: str
    right: bool
    seen: str

    @property
    def text(self) -> str:
        """What the chip says."""
        return self.asked if self.right else f"{self.asked}, not {self.seen}"


@dataclass(frozen=True)
class Card:
    """A drawing with its prompt, its findings, and the boxes of its regions (drawn as thin lines)."""

    image: Image.Image
    prompt: str
    findings: tuple[Finding, ...]
    boxes: tuple[Box, ...] = ()


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _FINER)


class _Pen:
    """Draws in layout pixels on a finer image."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * _FINER, height * _FINER), _PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, size: float, colour: Colour) -> None:
        self.draw.text((x * _FINER, y * _FINER), text, colour, _font(size), anchor="lm")

    def box(
        self, x: float, y: float, w: float, h: float, radius: float, fill: Colour, line: Colour | None = None
    ) -> None:
        xy = [x * _FINER, y * _FINER, (x + w) * _FINER - 1, (y + h) * _FINER - 1]
        self.draw.rounded_rectangle(xy, radius * _FINER, fill, line, _FINER)

    def lines(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        scaled = [(x * _FINER, y * _FINER) for x, y in points]
        self.draw.line(scaled, colour, round(width * _FINER), joint="curve")


def _width(text: str, size: float) -> float:
    return _font(size).getlength(text) / _FINER


def _wrap(text: str, size: float, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _chip_rows(findings: Sequence[Finding]) -> list[list[tuple[Finding, float]]]:
    """Findings in rows that fit a card, each with its chip's width."""
    rows: list[list[tuple[Finding, float]]] = [[]]
    for finding in findings:
        width = _width(finding.text, 11) + 28
        if rows[-1] and sum(w + 4 for _, w in rows[-1]) + width > _PICTURE:
            rows.append([])
        rows[-1].append((finding, width))
    return rows


def _picture_size(card: Card) -> tuple[int, int]:
    """The picture as large as fits a square of a card's inner width, in layout pixels."""
    scale = _PICTURE / max(card.image.size)
    return round(card.image.width * scale), round(card.image.height * scale)


def _height(card: Card) -> int:
    lines, chips = len(_wrap(card.prompt, 12, _PICTURE)), len(_chip_rows(card.findings))
    return 2 * _PAD + _picture_size(card)[1] + 8 + lines * _LINE + 6 + chips * (_CHIP + 4)


def _draw_chip(pen: _Pen, x: float, y: float, width: float, finding: Finding) -> None:
    back, ink = _RIGHT if finding.right else _WRONG
    pen.box(x, y, width, _CHIP, _CHIP / 2, back)
    cx, cy = x + 12, y + _CHIP / 2
    if finding.right:
        pen.lines([(cx - 4, cy), (cx - 1, cy + 3), (cx + 4, cy - 4)], ink, 1.6)
    else:
        pen.lines([(cx - 3, cy - 3), (cx + 3, cy + 3)], ink, 1.6)
        pen.lines([(cx - 3, cy + 3), (cx + 3, cy - 3)], ink, 1.6)
    pen.text(x + 20, cy, finding.text, 11, ink)


def _draw_card(pen: _Pen, x: int, y: int, height: int, card: Card) -> None:
    pen.box(x, y, _CARD, height, 8, _SURFACE, _RULE)
    width, tall = _picture_size(card)
    left, top = x + _PAD + (_PICTURE - width) // 2, y + _PAD
    picture = card.image.convert("RGB").resize((width * _FINER, tall * _FINER), Image.Resampling.LANCZOS)
    pen.image.paste(picture, (left * _FINER, top * _FINER))
    scale = width / card.image.width
    for x1, y1, x2, y2 in card.boxes:
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
        pen.lines([(left + a * scale, top + b * scale) for a, b in corners], _SURFACE, 1)
    y = top + tall + 8
    for line in _wrap(card.prompt, 12, _PICTURE):
        pen.text(x + _PAD, y + _LINE / 2, line, 12, _INK)
        y += _LINE
    y += 6
    for row in _chip_rows(card.findings):
        cx: float = x + _PAD
        for finding, wide in row:
            _draw_chip(pen, cx, y, wide, finding)
            cx += wide + 4
        y += _CHIP + 4


def draw_grid(sections: Sequence[tuple[str, Sequence[Card]]], columns: int = 6) -> Image.Image:
    """A contact sheet.

    Args:
        sections: headings, each with its cards.
        columns: cards beside each other.

    Returns:
        RGB, about 220 × `columns` pixels wide at twice that resolution.
    """
    width = 2 * _MARGIN + columns * (_CARD + _GAP) - _GAP
    rows = [(title, [cards[i : i + columns] for i in range(0, len(cards), columns)]) for title, cards in sections]
    height = _MARGIN + sum(38 + sum(max(map(_height, row)) + _GAP for row in in_section) + 10 for _, in_section in rows)
    pen = _Pen(width, height)
    y = _MARGIN
    for title, in_section in rows:
        pen.text(_MARGIN, y + 10, title, 17, _INK)
        y += 38
        for row in in_section:
            tall = max(map(_height, row))
            for i, card in enumerate(row):
                _draw_card(pen, _MARGIN + i * (_CARD + _GAP), y, tall, card)
            y += tall + _GAP
        y += 10
    return pen.image
