"""Tables of cells for terminals and pages, and pages with marked places for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.speed.cells import Cell, Group
from benchmarks.speed.ways import PLAIN
from strata.hierarchy.files import write_atomic

GIB = 2**30


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown whose columns stand under each other on a terminal, too."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    made = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([made[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *made[1:]])


def tables(cells: Iterable[Cell]) -> str:
    """Seconds as multiples of plain, by way and number of regions, for everything else that differs; and memory."""
    found: dict[Group, dict[int, dict[str, Cell]]] = {}
    for cell in cells:
        alike = cell.group._replace(regions=0)
        found.setdefault(alike, {}).setdefault(cell.group.regions, {})[cell.way] = cell
    parts = []
    last: tuple[str, ...] = ()
    for group, by_regions in sorted(found.items(), key=lambda item: _order(item[0])):
        measured_on = (group.machine, group.model, group.mode, group.clock)
        if measured_on != last:
            parts.append(f"*{group.machine}; {group.model}, {group.mode}, {group.clock} clock*")
            last = measured_on
        parts.append(_section(group, dict(sorted(by_regions.items()))))
    return "\n\n".join(parts)


def _order(group: Group) -> tuple[object, ...]:
    return group.machine, group.model, group.mode, group.clock, group.what, group.width * group.height, group


def _section(group: Group, by_regions: Mapping[int, Mapping[str, Cell]]) -> str:
    names = list(dict.fromkeys(way for cells in by_regions.values() for way in cells))
    atoms = [max(cell.atoms for cell in cells.values()) for cells in by_regions.values()]
    what = step_in_words(group.what)
    title = (
        f"**{what}; {group.width}×{group.height} pixels, {group.layout}"
        f" ({', '.join(map(str, atoms))} atoms); base prompt {group.base} tokens, texts {group.tokens}**"
    )
    head = ["× plain", *(f"{n} region{'s' * (n != 1)}" for n in by_regions)]
    rows = []
    for name in names:
        line = [name]
        for cells in by_regions.values():
            line.append(_told(cells[name]) if name in cells else "–")
        rows.append(line)
    return f"{title}\n\n{table(head, rows)}"


def step_in_words(what: str) -> str:
    """A group's `what`."""
    if ":" in what:
        return "{} steps, {} routed".format(*what.split(":"))
    behind = what.partition("+")[2]
    return f"one routed step, {behind} behind the first" if behind else "one routed step"


def _told(cell: Cell) -> str:
    if cell.way == PLAIN:
        memory = f", {cell.peak / GIB:.1f} GiB" if cell.peak else ""
        return f"{cell.seconds:.3g} s ±{100 * cell.spread:.0f} %{memory}"
    memory = f", {cell.beyond / GIB:+.2f} GiB" if cell.peak else ""
    return f"{cell.ratio:.2f} ±{cell.spread:.2f}{memory}"


def write_between(page: str | Path, place: str, text: str) -> None:
    """Put a text between a page's lines `<!-- begin PLACE -->` and `<!-- end PLACE -->`.

    Raises:
        SystemExit: the page has no such place, or several.
    """
    path = Path(page)
    begin, end = f"<!-- begin {place} -->\n", f"<!-- end {place} -->"
    old = path.read_text(encoding="utf-8")
    if old.count(begin) != 1 or old.count(end) != 1 or old.index(begin) > old.index(end):
        places = [line.split()[2] for line in old.splitlines() if line.startswith("<!-- begin ")]
        raise SystemExit(f"{path}: has no place {place!r} to write to; there are: {', '.join(places) or 'none'}")
    before, _, rest = old.partition(begin)
    _, _, after = rest.partition(end)
    write_atomic(path, f"{before}{begin}\n{text.strip()}\n\n{end}{after}".encode())
