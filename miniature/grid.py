"""A contact sheet: drawings with their prompts, and under each what was asked for, marked right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from strata.hierarchy.plan import Box
from strata.hierarchy.style import PAPER, RIGHT, RULE, WASH, WRONG, tint
from strata.hierarchy.typeset import Sheet, measure, resized

_FINER = 2  # pixels drawn per pixel of the layout
_CARD, _PAD, _GAP, _MARGIN = 208, 8, 14, 28
_PICTURE = _CARD - 2 * _PAD
_CHIP = 20
_HEAD, _BODY, _SMALL = 17, 12, 11  # font sizes


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


def _chip_rows(findings: Sequence[Finding]) -> list[list[tuple[Finding, float]]]:
    """Findings in rows that fit a card, each with its chip's width."""
    rows: list[list[tuple[Finding, float]]] = [[]]
    for finding in findings:
        width = measure(finding.text, _SMALL) + 28
        if rows[-1] and sum(w + 4 for _, w in rows[-1]) + width > _PICTURE:
            rows.append([])
        rows[-1].append((finding, width))
    return rows


def _draw_chip(sheet: Sheet, x: float, y: float, width: float, finding: Finding) -> None:
    ink = RIGHT if finding.right else WRONG
    sheet.box((x, y, width, _CHIP), tint(ink, 0.13), radius=_CHIP / 2)
    cx, cy = x + 12, y + _CHIP / 2
    if finding.right:
        sheet.lines([(cx - 4, cy), (cx - 1, cy + 3), (cx + 4, cy - 4)], ink, 1.6)
    else:
        sheet.lines([(cx - 3, cy - 3), (cx + 3, cy + 3)], ink, 1.6)
        sheet.lines([(cx - 3, cy + 3), (cx + 3, cy - 3)], ink, 1.6)
    sheet.text(x + 20, cy, finding.text, _SMALL, ink)


def _draw_card(card: Card) -> Image.Image:
    """What stands on a card, without its frame."""
    sheet = Sheet(_PICTURE, PAPER, _FINER)
    scale = _PICTURE / max(card.image.size)
    width, height = (round(side * scale) for side in card.image.size)
    left = (_PICTURE - width) // 2
    sheet.paste(resized(card.image, width * _FINER, height * _FINER), left, 0)
    for x1, y1, x2, y2 in card.boxes:
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
        sheet.lines([(left + x * scale, y * scale) for x, y in corners], PAPER)
    y = sheet.paragraph(0, height + 8, card.prompt, _BODY, width=_PICTURE) + 6
    for row in _chip_rows(card.findings):
        x = 0.0
        for finding, wide in row:
            _draw_chip(sheet, x, y, wide, finding)
            x += wide + 4
        y += _CHIP + 4
    return sheet.picture(y)


def draw_grid(sections: Sequence[tuple[str, Sequence[Card]]], columns: int = 6) -> Image.Image:
    """A contact sheet.

    Args:
        sections: headings, each with its cards.
        columns: cards beside each other, at most.

    Returns:
        RGB, about 220 pixels wide a column at twice that resolution.
    """
    columns = min(columns, max((len(cards) for _, cards in sections), default=columns))
    sheet = Sheet(2 * _MARGIN + columns * (_CARD + _GAP) - _GAP, WASH, _FINER)
    y = _MARGIN
    for title, cards in sections:
        sheet.text(_MARGIN, y + 10, title, _HEAD)
        y += 38
        for first in range(0, len(cards), columns):
            row = [_draw_card(card) for card in cards[first : first + columns]]
            tall = max(card.height for card in row) // _FINER + 2 * _PAD
            for i, card in enumerate(row):
                x = _MARGIN + i * (_CARD + _GAP)
                sheet.box((x, y, _CARD, tall), PAPER, RULE, radius=8)
                sheet.paste(card, x + _PAD, y + _PAD)
            y += tall + _GAP
        y += 10
    return sheet.picture(y)
