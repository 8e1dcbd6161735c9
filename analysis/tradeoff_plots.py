"""The figure of the tradeoff study: how far a change takes hold against how much of the rest stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from strata.analysis.charts import legend_below, new_figure, panels, share_axis
from strata.analysis.statistics import Estimate
from strata.analysis.tradeoff import DEPTHS, PART_STARTS, STARTS, STRENGTHS, Way
from strata.hierarchy.style import LEVELS, MUTED, hex_of, tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHOLE = DEPTHS[0]
LOW = LEVELS["low"]
LINES: Mapping[str, tuple[str, str, Sequence[Way]]] = {
    "low, anchored": ("o-", hex_of(LOW), [Way("anchored", WHOLE, start) for start in STARTS]),
    "low, bare": ("s--", hex_of(tint(LOW, 0.55)), [Way("low", WHOLE, start) for start in STARTS]),
    "undivided": ("^-", hex_of(LEVELS["high"]), [Way("full", WHOLE, start) for start in STARTS]),
    "img2img": ("D:", hex_of(MUTED), [Way("img2img", strength=strength) for strength in STRENGTHS]),
}
"""Marker, colour and points of each line, in the order in which ever less is changed, or ever more."""
PARTS = "low, in part of the depth"


def draw_tradeoff(studies: Mapping[str, Mapping[str, Mapping[str, Estimate]]], title: str) -> Figure:
    """A panel for each change; a line for each way of making it, a point for each step or strength it starts at.

    Points are marked with the percent of the steps at which the new text comes in, or with the strength. Anchored low
    texts that are new in a part of the depth alone are small crosses. Bars are 95 % intervals.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = new_figure(max(5.2 * len(studies), 9.6) + 0.4, 5.2, title)
    for panel, (change, found) in zip(panels(figure, 1, len(studies))[0], studies.items(), strict=True):
        for label, (mark, colour, ways) in LINES.items():
            points = [found[way.name] for way in ways]
            x, y = ([point[name].value for point in points] for name in ("changed", "stays"))
            panel.plot(x, y, mark, color=colour, label=label, markersize=6, linewidth=1.6)
            panel.vlines(
                x, [p["stays"].low for p in points], [p["stays"].high for p in points], color=colour, alpha=0.25
            )
            for way, point in zip(ways, points, strict=True):
                what = f"{way.strength:g}" if way.text == "img2img" else f"{way.start:g} %"
                place = point["changed"].value, point["stays"].value
                panel.annotate(what, place, (5, 5), textcoords="offset points", fontsize=7, color=colour)
        parts = [found[Way("anchored", depth, start).name] for depth in DEPTHS[1:] for start in PART_STARTS]
        x, y = ([point[name].value for point in parts] for name in ("changed", "stays"))
        panel.plot(x, y, "x", color=hex_of(LOW), alpha=0.6, markersize=5, label=PARTS)
        panel.set_xlim(-0.03, 1.08)
        panel.set_xlabel(f"share of objects whose {change} is as asked", fontsize=10)
        share_axis(panel, "share of objects that are otherwise as before")
    legend_below(figure)
    return figure
