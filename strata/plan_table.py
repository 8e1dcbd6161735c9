"""A plan as a table for the terminal: which texts apply where, and what its planner had to mend or left out."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Literal

from strata.console import terminal_width
from strata.hierarchy.errors import count, printable
from strata.hierarchy.plan import LEVELS, Box, Level, Region, ScenePlan
from strata.llm.places import place_of, to_grid
from strata.llm.protocol import Backend

Remark = Literal["repaired", "not in the prompt", "in no description", "passed over"]

_GAP = 2
_WIDEST_NAME = 24
_NARROWEST = 12
"""Characters of a column of texts, on however small a terminal."""


def announce(backend: Backend) -> None:
    """On a terminal, names what takes its time."""
    if sys.stderr.isatty():
        who = backend.name if backend.model in backend.name else f"{backend.model} ({backend.name})"
        print(printable(f"planning with {who} …"), file=sys.stderr, flush=True)


def print_plan(plan: ScenePlan) -> None:
    """Prints a plan as a table."""
    made = (plan.provenance or {}).get("planner")
    model = made.get("model") if isinstance(made, dict) else None
    by = f", planned by {printable(str(model))}" if model else ""
    print(f"{plan.width}x{plan.height} pixels, {count(len(plan.regions), 'region')}{by}\n")
    print(*plan_lines(plan, terminal_width()), sep="\n", flush=True)


def plan_lines(plan: ScenePlan, width: int = 100) -> list[str]:
    """The lines of the table, none longer than `width` where the terminal is not tiny, then the notes."""
    lines = _table(_rows(plan), width)
    lines += ["", *_wrapped("base prompt: ", plan.prompt or "(none)", width)]
    if plan.negative_prompt:
        lines += _wrapped("negative prompt: ", plan.negative_prompt, width)
    lines += [line for kind, text in planner_remarks(plan) for line in _wrapped(f"{kind}: ", text, width)]
    return [printable(line) for line in lines]


def planner_remarks(plan: ScenePlan) -> list[tuple[Remark, str]]:
    """What was repaired in the model's answers, what they invented, what of the prompt was left out or passed over."""
    made = (plan.provenance or {}).get("planner")
    if not isinstance(made, dict):
        return []
    remarks: list[tuple[Remark, str]] = [("repaired", str(repair)) for repair in _list(made.get("repairs"))]
    for invented in _list(made.get("invented")):
        if isinstance(invented, dict):
            words = ", ".join(map(str, _list(invented.get("words"))))
            remarks.append(("not in the prompt", f"{words} ({invented.get('area')})"))
    if missing := _list(made.get("missing")):
        remarks.append(("in no description", ", ".join(map(str, missing))))
    if ignored := _list(made.get("ignored")):
        remarks.append(("passed over", ", ".join(map(str, ignored))))
    return remarks


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _rows(plan: ScenePlan) -> list[list[str]]:
    levels = [level for level in LEVELS if level != "full" or any(d.level == "full" for d in plan.descriptions())]

    def row(name: str, place: str, where: str, texts: Mapping[Level, str | None]) -> list[str]:
        return [name, place, where, *(texts.get(level) or "" for level in levels)]

    rows = [["region", "place", "box", *levels]]
    for region in plan.regions:
        rows.append(row(region.name, *_where(region, plan), dict(region.by_level())))
    if plan.background is not None:
        rows.append(row("(background)", "", "", dict(plan.background.by_level())))
    if plan.high or plan.low:
        rows.append(row("(whole image)", "", "", {"high": plan.high, "low": plan.low}))
    return rows


def _where(region: Region, plan: ScenePlan) -> tuple[str, str]:
    """A region's place in words and its area in short."""
    if region.box is not None:
        return _place(region.box, plan), str(list(region.box))
    if region.polygon is not None:
        xs, ys = zip(*region.polygon, strict=True)
        around = (int(max(min(xs), 0)), int(max(min(ys), 0)), int(max(xs)), int(max(ys)))
        return _place(around, plan), f"polygon, {len(xs)} corners"
    return "", str(region.mask)


def _place(box: Box, plan: ScenePlan) -> str:
    return place_of(to_grid(box, plan.width, plan.height))


def _table(rows: list[list[str]], width: int) -> list[str]:
    """Columns side by side; the last ones, the texts, share what room the others leave."""
    texts = len(rows[0]) - 3
    fixed = [min(max(len(row[i]) for row in rows), _WIDEST_NAME) for i in range(3)]
    room = width - sum(fixed) - _GAP * (len(rows[0]) - 1)
    wanted = [max(len(row[3 + i]) for row in rows) for i in range(texts)]
    columns = fixed + _shared(wanted, room)
    lines = []
    for row in rows:
        cells = [textwrap.wrap(text, size) or [""] for text, size in zip(row, columns, strict=True)]
        for i in range(max(map(len, cells))):
            parts = [(cell[i] if i < len(cell) else "").ljust(size) for cell, size in zip(cells, columns, strict=True)]
            lines.append((" " * _GAP).join(parts).rstrip())
    return lines


def _shared(wanted: list[int], room: int) -> list[int]:
    """Widths for columns that want so much and have `room` together: the modest ones first get what they want."""
    sizes = [0] * len(wanted)
    left = room
    for rank, i in enumerate(sorted(range(len(wanted)), key=lambda i: wanted[i])):
        sizes[i] = max(min(wanted[i], left // (len(wanted) - rank)), _NARROWEST)
        left -= sizes[i]
    return sizes


def _wrapped(label: str, text: str, width: int) -> Iterator[str]:
    indent = " " * 4
    yield from textwrap.wrap(text, max(width, 40), initial_indent=label, subsequent_indent=indent)
