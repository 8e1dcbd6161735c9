"""The figure of a role study: what follows the texts of a window, over the blocks and over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from strata.analysis.roles import AXES, EXACT, Axis, Curve, Kind
from strata.hierarchy.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"shape": "#0072b2", "colour": "#d55e00", "surface": "#009e73"}
COLOURS |= {"structure": COLOURS["shape"], "texture": COLOURS["surface"]}
"""Okabe and Ito's, which colour-blind readers can tell apart."""
MARKS = {"shape": "o-", "structure": "o-", "colour": "s--", "surface": "^:", "texture": "^:"}
"""Curves that lie on each other stay visible."""
HEADS: dict[Kind, str] = {
    "swap": "another text inside the window:\nhow often the picture follows it",
    "alone": "the text heard inside the window alone:\nhow often the picture obeys it",
}


def draw_roles(curves: Sequence[Curve], double_blocks: int, title: str) -> Figure:
    """Rows: blocks and steps; columns: the kinds of intervention. Bands are 95 % intervals over scenes.

    Solid lines are what the level should decide (content for high, detail for low), dotted lines what is without any
    intervention (swap) or with the text at no place (alone). Without exact scores, changes against the unchanged
    picture stand in, as shares of what a swap everywhere changes.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("figures need matplotlib: pip install 'strata-prompting[plot]'") from error
    kinds: list[Kind] = list(dict.fromkeys(curve.kind for curve in curves))
    axes: list[Axis] = [axis for axis in AXES if any(curve.axis == axis for curve in curves)]
    figure = Figure(figsize=(5.6 * len(kinds) + 0.4, 3.7 * len(axes) + 0.6), layout="constrained", dpi=110)
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(axes), len(kinds), squeeze=False)
    for row, axis in enumerate(axes):
        for column, kind in enumerate(kinds):
            panel = grid[row][column]
            chosen = [c for c in curves if (c.kind, c.axis) == (kind, axis)]
            _panel(panel, chosen, double_blocks)
            if row == 0:
                panel.set_title(HEADS[kind], fontsize=10)
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
        panel.plot(centres, values, MARKS[subject], color=COLOURS[subject], label=label, markersize=5, linewidth=1.8)
        panel.fill_between(centres, low, high, color=COLOURS[subject], alpha=0.16, linewidth=0)
        panel.axhline(scale * curve.least.value, color=COLOURS[subject], linestyle=":", linewidth=1)
    axis = chosen[0].axis
    last = max(b for curve in chosen for _, b in curve.windows)
    width = chosen[0].windows[0][1] - chosen[0].windows[0][0] + 1
    panel.set_xlim(-0.5, last + 0.5)
    panel.set_ylim(-0.03, 1.03)
    panel.grid(alpha=0.25)
    panel.set_ylabel("share of pictures" if exact else "change, as a share of a swap everywhere")
    if axis == "blocks":
        panel.axvline(double_blocks - 0.5, color="#555555", linewidth=1)
        stride = -(-(last + 1) // 16)
        places = range(0, last + 1, stride)
        panel.set_xticks(list(places))
        panel.set_xticklabels([f"d{i}" if i < double_blocks else f"s{i - double_blocks}" for i in places])
        panel.set_xlabel(f"centre of the window of {width} block{'s' if width > 1 else ''} (d: double, s: single)")
    else:
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set_xlabel(f"centre of the window of {width} step{'s' if width > 1 else ''}")
    panel.legend(fontsize=8, loc="best", framealpha=0.8)
