"""Figures of an evaluation: metrics by number of objects, by tag, and against what a picture costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from strata.analysis.charts import legend_below, new_figure, panels
from strata.analysis.evaluation import ALL, SHOWN, Cell, Results
from strata.hierarchy.style import RULE, hex_of, region_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BY_OBJECTS = ("region", "picture", "attribute", "leakage", "background", "position", "miou", "seam")
MARKERS = "osD^vP*Xhd"
MOST_TAGS = 24


def draw_objects(found: Results) -> Figure:
    """A panel a metric: its value and interval by number of objects, a line a way.

    Raises:
        InputError: matplotlib is not installed.
    """
    groups = [group for group in found.objects if group != ALL]
    names = [name for name in BY_OBJECTS if _has(found, name)]
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(3.4 * columns + 0.6, 2.9 * rows + 1.0, "Following, by number of objects")
    drawn = panels(figure, rows, columns).ravel()
    for panel in drawn[len(names) :]:
        panel.set_visible(False)
    aside = min(0.18, 0.05 * len(groups))  # so that points of one number stay together where there are few
    spread = np.linspace(-aside, aside, len(found.ways)) if len(found.ways) > 1 else np.zeros(1)
    for name, panel in zip(names, drawn, strict=False):
        for n, way in enumerate(found.ways):
            cells = [found.objects[group][way] for group in groups]
            _line(panel, np.arange(len(groups)) + spread[n], cells, name, _look(n, way))
        panel.set_xticks(range(len(groups)), groups)
        panel.set_xlim(-0.4, len(groups) - 0.6)
        panel.set_title(_title(name), fontsize=10)
        panel.set_xlabel("objects", fontsize=9)
        _bounded(panel, name)
    legend_below(figure, found.ways)
    return figure


def draw_tags(found: Results) -> Figure:
    """Regions that hold everything asked for, by tag, a mark a way. Raises `InputError` as `draw_objects` does."""
    tags = list(found.tags)[:MOST_TAGS]
    figure = new_figure(7.5, 0.34 * len(tags) + 1.9, "Regions that hold everything asked for, by tag")
    panel = panels(figure, 1, 1)[0, 0]
    for n, way in enumerate(found.ways):
        for place, tag in enumerate(tags):
            estimate, at = found.tags[tag][way]["region"], place + 0.5 * ((n + 0.5) / len(found.ways) - 0.5)
            look = _look(n, way if place == 0 else "_")
            panel.plot([100 * estimate.low, 100 * estimate.high], [at, at], color=look["color"], linewidth=1.4)
            panel.plot([100 * estimate.value], [at], linestyle="none", markersize=5, **look)
    panel.set_yticks(range(len(tags)), [f"{tag} ({found.scenes[tag]})" for tag in tags])
    panel.invert_yaxis()
    panel.set_xlim(-2, 102)
    panel.grid(color=hex_of(RULE), linewidth=0.7, axis="x")
    panel.set_xlabel("percent", fontsize=9)
    legend_below(figure, found.ways)
    return figure


def draw_costs(found: Results) -> Figure:
    """Regions that hold everything asked for, against seconds a picture, over all scenes, a mark a way."""
    group = ALL if ALL in found.objects else next(iter(found.objects))
    figure = new_figure(6.2, 4.4, "Following, and what a picture costs")
    from matplotlib.ticker import LogLocator

    panel = panels(figure, 1, 1)[0, 0]
    spent: list[float] = []
    for n, way in enumerate(found.ways):
        cell = found.objects[group][way]
        right, seconds = cell["region"], cell["seconds"]
        if np.isnan(seconds.value):
            continue
        spent.append(seconds.value)
        bars = [[100 * (right.value - right.low)], [100 * (right.high - right.value)]]
        panel.errorbar([seconds.value], [100 * right.value], yerr=bars, capsize=3, linestyle="none", **_look(n, way))
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 5, 7)))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.minorticks_off()
    if spent:
        panel.set_xlim(min(spent) / 1.3, max(spent) * 1.3)
    panel.set_ylim(-2, 102)
    panel.set_xlabel("seconds a picture", fontsize=9)
    panel.set_ylabel("regions right, percent", fontsize=9)
    panel.grid(color=hex_of(RULE), linewidth=0.7)
    legend_below(figure, found.ways)
    return figure


def _line(panel: Any, places: Any, cells: Sequence[Cell], name: str, look: dict[str, Any]) -> None:
    values = np.array([[c[name].value, c[name].low, c[name].high] for c in cells]) * SHOWN[name].scale
    bars = np.maximum(0, np.stack([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]]))
    panel.errorbar(places, values[:, 0], yerr=bars, linewidth=1.4, markersize=4.5, elinewidth=0.9, capsize=2, **look)


def _look(number: int, label: str) -> dict[str, Any]:
    return {"color": hex_of(region_colour(number)), "marker": MARKERS[number % len(MARKERS)], "label": label}


def _title(name: str) -> str:
    metric = SHOWN[name]
    return f"{metric.title} ({'more' if metric.better > 0 else 'less'} is better)"


def _bounded(panel: Any, name: str) -> None:
    if SHOWN[name].scale == 100:
        panel.set_ylim(-3, 103)
    panel.grid(color=hex_of(RULE), linewidth=0.7)


def _has(found: Results, name: str) -> bool:
    return any(not np.isnan(cell[name].value) for rows in found.objects.values() for cell in rows.values())
