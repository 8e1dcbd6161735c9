"""The figure of a role study: what follows the texts of a window, over the blocks and over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from strata.analysis.charts import block_axis, legend_below, new_figure, panels, share_axis
from strata.analysis.roles import AXES, EXACT, Axis, Curve, InterventionKind
from strata.hierarchy.style import LEVELS, hex_of, tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTENT, DETAIL, OTHER_DETAIL = (hex_of(c) for c in (LEVELS["high"], LEVELS["low"], tint(LEVELS["low"], 0.55)))
LOOKS = {
    "shape": ("o-", CONTENT),
    "structure": ("o-", CONTENT),
    "colour": ("s--", DETAIL),
    "surface": ("^:", OTHER_DETAIL),
    "texture": ("^:", OTHER_DETAIL),
}
"""Marker, line and colour of each curve: those that lie on each other stay visible."""
HEADS: dict[InterventionKind, str] = {
    "swap": "another text inside the window:\nhow often the picture follows it",
    "alone": "the text visible inside the window alone:\nhow often the picture obeys it",
}


def draw_roles(curves: Sequence[Curve], double_blocks: int, title: str) -> Figure:
    """Rows: blocks and steps; columns: the kinds of intervention. Bands are 95 % intervals over scenes.

    Curves are what the level should decide (content for high, detail for low), thin dotted lines what is without any
    intervention (swap) or with the text at no place (alone). Without exact scores, changes against the unchanged
    picture stand in, as shares of what a swap everywhere changes.

    Raises:
        InputError: matplotlib is not installed.
    """
    kinds: list[InterventionKind] = list(dict.fromkeys(curve.kind for curve in curves))
    axes: list[Axis] = [axis for axis in AXES if any(curve.axis == axis for curve in curves)]
    figure = new_figure(5.6 * len(kinds) + 0.4, 3.7 * len(axes) + 1.0, title)
    grid = panels(figure, len(axes), len(kinds))
    for row, axis in enumerate(axes):
        for column, kind in enumerate(kinds):
            _panel(grid[row, column], [c for c in curves if (c.kind, c.axis) == (kind, axis)], double_blocks)
            if row == 0:
                grid[row, column].set_title(HEADS[kind], fontsize=10)
    legend_below(figure)
    return figure


def _panel(panel: Any, chosen: Sequence[Curve], double_blocks: int) -> None:
    exact = any(curve.name in {name for names in EXACT.values() for name in names} for curve in chosen)
    for curve in chosen:
        subject = curve.name.split()[0]
        own = {"high": ("shape", "structure"), "low": ("colour", "surface", "texture")}[curve.level]
        if subject not in own or exact == curve.name.endswith("change"):
            continue
        scale = 1.0 if exact else 1 / max(curve.most.value, 1e-9)
        centres = [(a + b) / 2 for a, b in curve.windows]
        values, low, high = ([scale * getattr(p, name) for p in curve.points] for name in ("value", "low", "high"))
        label = f"{subject} ({'content, high text' if curve.level == 'high' else 'detail, low text'})"
        line, colour = LOOKS[subject]
        panel.plot(centres, values, line, color=colour, label=label, markersize=5, linewidth=1.8)
        panel.fill_between(centres, low, high, color=colour, alpha=0.16, linewidth=0)
        panel.axhline(scale * curve.least.value, color=colour, linestyle=":", linewidth=1)
    axis = chosen[0].axis
    last = max(b for curve in chosen for _, b in curve.windows)
    width = chosen[0].windows[0][1] - chosen[0].windows[0][0] + 1
    label = f"centre of the window of {width} {axis if width > 1 else axis.removesuffix('s')}"
    share_axis(panel, "share of pictures" if exact else "change, as a share of a swap everywhere")
    if axis == "blocks":
        singles = range(last + 1 - double_blocks)
        block_axis(panel, [*(f"double {n}" for n in range(double_blocks)), *(f"single {n}" for n in singles)], label)
    else:
        panel.set_xlim(-0.5, last + 0.5)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set_xlabel(label, fontsize=9)
