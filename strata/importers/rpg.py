"""RPG split ratios: rows and columns with a text each, as RPG's language model answers.

Source: YangLing0818/RPG-DiffusionMaster (`mllm.py` and `matrix.py`, whose rules are those of the Regional Prompter):
`Split ratio: 1,1,1;2,1` are rows, the first number of each its height and the others the widths of its columns; one
number alone is a row of one column, and a ratio without `;` is one row of columns. The texts stand behind
`Regional Prompt:`, with BREAK between them, row by row; one more than there are cells is the base prompt in front.
"""

from __future__ import annotations

import re
from pathlib import Path

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.files import Document
from strata.hierarchy.placing import Placed, placed_plan
from strata.importers.protocol import Imported, Importer, joined

LARGEST_RATIO = 10**6
_RATIO = re.compile(r"^[ \t]*(?:final[ \t]+)?split ratio:[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
_REGIONAL = re.compile(r"^[ \t]*regional prompts?:", re.MULTILINE | re.IGNORECASE)
_CAPTION = re.compile(r"^[ \t#]*(?:original )?caption:[ \t]*\n?(.+)$", re.MULTILINE | re.IGNORECASE)
_END = re.compile(r"^[ \t]*(?:#{2,}|caption:)", re.MULTILINE | re.IGNORECASE)


class RPG(Importer):
    """Splits of RPG."""

    name = "rpg"
    about = "RPG: a split ratio, and regional prompts with BREAK between them"

    def read(self, text: str, width: int | None, height: int | None, name: str = "<text>") -> list[Imported]:
        """As of `Importer.read`; a split tells no size."""
        canvas = self.canvas(width, height)
        ratio, ratio_line, told, told_line = _parts(text, name)
        cells = _cells(ratio, f"{name}:{ratio_line}")
        document = Document({}, name, Path(), {(): ratio_line, ("prompts",): told_line})
        texts = [" ".join(part.split()) for part in re.split(r"\bBREAK\b", told)]
        notes: list[str] = []
        captions = _CAPTION.findall(text[: text.find(told)] if told else text)
        prompt = str(captions[-1]).strip().strip('"') if captions else ""
        if len(texts) == len(cells) + 1:
            base = texts.pop(0)
            if prompt and prompt != base:
                notes.append(f"{name}: the caption {quote(prompt)} is left out: the regional prompts begin with a base")
            prompt = base
        if len(texts) != len(cells):
            message = f"has {len(texts)} texts between BREAKs, the split ratio {quote(ratio)} {len(cells)} cells"
            raise document.error(
                ("prompts",), f"{message}: must be one a cell, or one more with the base prompt in front"
            )
        if not prompt:
            prompt = joined(texts)
            notes.append(f"{name}: has no caption and no base prompt: it is made of the regional prompts together")
        items = []
        for number, (box, written) in enumerate(zip(cells, texts, strict=True)):
            if not written:
                raise document.error(("prompts",), f"text {number + 1} of {len(cells)} is empty")
            items.append(Placed(box, ("prompts", number), written, full=written))
        plan = placed_plan(document, items, (1, 1), canvas, notes, prompt=prompt)
        return [Imported(Path(name).stem, plan, tuple(notes))]


def _parts(text: str, name: str) -> tuple[str, int, str, int]:
    """The split ratio and the regional prompts, with their lines; the last of each, which is a planner's answer."""
    ratios, prompts = list(_RATIO.finditer(text)), list(_REGIONAL.finditer(text))
    if ratios and prompts:
        ratio, head = ratios[-1], prompts[-1]
        end = _END.search(text, head.end())
        told = text[head.end() : end.start() if end else len(text)]
        lines = [1 + text.count("\n", 0, match.start()) for match in (ratio, head)]
        return ratio[1].strip(), lines[0], told.strip(), lines[1]
    first, _, rest = text.strip().partition("\n")
    if ratios or prompts or not re.fullmatch(r"[\d.,;() \t]+", first):
        raise InputError(
            f"{name}: must have a line that begins with 'Split ratio:' and one with 'Regional Prompt:', or a split"
            " ratio alone in its first line"
        )
    line = 1 + text[: text.find(first)].count("\n")
    return first.strip(), line, rest.strip(), line + 1


def _cells(ratio: str, place: str) -> list[tuple[float, float, float, float]]:
    """The cells of a split, row by row: x1, y1, x2, y2 in shares of the sides."""
    rows = [[_number(part, ratio, place) for part in row.split(",")] for row in _bare(ratio).split(";")]
    alone = len(rows) == 1
    heights = [1.0] if alone else [row[0] for row in rows]
    widths = rows if alone else [row[1:] or [1.0] for row in rows]
    cells = []
    for row, (y1, y2) in zip(widths, _spans(heights), strict=True):
        cells += [(x1, y1, x2, y2) for x1, x2 in _spans(row)]
    return cells


def _bare(ratio: str) -> str:
    return re.sub(r"[()`'\"\s]", "", ratio)


def _number(part: str, ratio: str, place: str) -> float:
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", part) or not 0 < float(part) <= LARGEST_RATIO:
        message = f"{quote(part)} must be a number above 0; columns have ',' between them, rows ';'"
        raise InputError(f"{place}: split ratio {quote(ratio)}: {message}")
    return float(part)


def _spans(parts: list[float]) -> list[tuple[float, float]]:
    ends = [sum(parts[: n + 1]) / sum(parts) for n in range(len(parts))]
    return list(zip([0.0, *ends[:-1]], ends, strict=True))


IMPORTER = RPG()
