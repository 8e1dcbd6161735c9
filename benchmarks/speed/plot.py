"""The figure: times plain against the number of regions, a line a way, beside the published figure's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.cells import Cell, Group
from benchmarks.speed.tables import step_in_words
from benchmarks.speed.ways import METHODS, PLAIN
from strata.analysis.charts import new_figure, panels, save_figure
from strata.hierarchy.style import MUTED, RULE, hex_of, region_colour

PUBLISHED = {
    "published: Regional-Prompting-FLUX": {2: 1.28, 4: 2.0, 8: 2.56, 16: 3.5},
    "published: RPG on FLUX": {2: 5.4, 4: 10.0, 8: 17.2, 16: 31.8},
}
"""Seconds of a picture as multiples of plain FLUX.1-dev's on an A800 (arXiv 2411.02395, its figure of speed)."""
MARKS = "osD^vPX*<>"


def draw(cells: Sequence[Cell], path: str | Path) -> Path:
    """A panel for every layout and length of texts, of the picture size and kind of step that most was measured of.

    Raises:
        InputError: matplotlib is not installed, or the file cannot be written.
    """
    kept = _most(cells)
    kinds = sorted({(cell.group.tokens, cell.group.layout) for cell in kept})
    columns = min(len(kinds), 2)
    rows = -(-len(kinds) // columns)
    one = kept[0].group
    title = f"{step_in_words(one.what)}, {one.width}×{one.height}: {one.model}, {one.mode}"
    figure = new_figure(5.2 * columns + 0.6, 4.1 * rows + 1.2, title)
    ways = [way for way in dict.fromkeys(cell.way for cell in kept) if way != PLAIN]
    ways.sort(key=lambda way: way in METHODS)
    for panel, (tokens, layout) in zip(panels(figure, rows, columns).flat, kinds, strict=False):
        for n, way in enumerate(ways):
            own = sorted(
                (cell.group.regions, cell.ratio, cell.spread)
                for cell in kept
                if (cell.group.tokens, cell.group.layout, cell.way) == (tokens, layout, way)
            )
            if own:
                x, y, spread = zip(*own, strict=True)
                look = {"marker": MARKS[n % len(MARKS)], "color": hex_of(region_colour(n)), "markersize": 5}
                panel.errorbar(x, y, spread, label=way, linewidth=1.6, elinewidth=0.8, **look)
        for style, (name, points) in zip((":", "-."), PUBLISHED.items(), strict=True):
            panel.plot(list(points), list(points.values()), style, color=hex_of(MUTED), label=name, linewidth=1.2)
        _axes(panel, sorted({cell.group.regions for cell in kept}), f"{layout}, texts of {tokens} tokens")
    for panel in figure.axes[len(kinds) :]:
        panel.set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    look = {"loc": "outside lower center", "fontsize": 9, "frameon": False, "handlelength": 3}
    figure.legend(handles, labels, ncols=2 * columns, **look)
    return save_figure(figure, path)


def _most(cells: Sequence[Cell]) -> list[Cell]:
    """Cells that differ in tokens, layout and regions alone, as many as there are."""
    alike: dict[Group, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(cell.group._replace(tokens=0, layout="", regions=0), []).append(cell)
    return max(alike.values(), key=len)


def _axes(panel: Any, regions: Sequence[int], title: str) -> None:
    panel.set_title(title, fontsize=10)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log", base=2)
    panel.set_xticks(list(regions), [str(n) for n in regions])
    low, high = panel.get_ylim()
    ticks = [t for t in (1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48) if low <= t <= high]
    panel.set_yticks(ticks, [f"{t:g}" for t in ticks])
    panel.minorticks_off()
    panel.grid(color=hex_of(RULE), linewidth=0.7)
    panel.set_xlabel("regions", fontsize=9)
    panel.set_ylabel("× plain", fontsize=9)
