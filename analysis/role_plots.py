"""The figure of a role study: what follows the texts of a window, over the blocks and over the steps."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from strata.analysis.charts import block_axis, legend_below, new_figure, panels, share_axis
from strata.analysis.role_findings import makes_a_difference, telling
from strata.analysis.roles import AXES, CHANGES, DECIDES, STUDIED_LEVELS, Axis, Curve, InterventionKind, StudiedLevel
from strata.hierarchy.errors import InputError
from strata.hierarchy.style import LEVELS, hex_of, tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTENT, DETAIL, OTHER_DETAIL, THIRD_DETAIL = (
    hex_of(c) for c in (LEVELS["high"], *(tint(LEVELS["low"], strength) for strength in (1.0, 0.55, 0.75)))
)
LOOKS = {
    "kind": ("o-", CONTENT),
    "structure": ("o-", CONTENT),
    "colour": ("s--", DETAIL),
    "surface": ("^:", OTHER_DETAIL),
    "style": ("D-.", THIRD_DETAIL),
    "texture": ("^:", OTHER_DETAIL),
}
"""Marker, line and colour of each curve: those that lie on each other stay visible."""
HEADS: dict[InterventionKind, str] = {
    "swap": "another text inside the window:\nhow far the picture follows it",
    "alone": "the text visible inside the window alone:\nhow far the picture obeys it",
}


def draw_roles(curves: Sequence[Curve], double_blocks: int, title: str) -> Figure:
    """Rows: blocks and steps; columns: the kinds of intervention. Bands are 95 % intervals over scenes.

    Curves are those of `telling`, thin dotted lines what is without any intervention (swap) or with the text at no
    place (alone).

    Raises:
        InputError: matplotlib is not installed.
    """
    curves = telling(curves)
    kinds: list[InterventionKind] = list(dict.fromkeys(curve.kind for curve in curves))
    axes: list[Axis] = [axis for axis in AXES if any(curve.axis == axis for curve in curves)]
    width = 5.6 * len(kinds) + 0.4
    lines = [line for part in title.splitlines() for line in textwrap.wrap(part, round(10 * width))]
    figure = new_figure(width, 3.7 * len(axes) + 1.0 + 0.2 * len(lines), "\n".join(lines))
    grid = panels(figure, len(axes), len(kinds))
    for row, axis in enumerate(axes):
        for column, kind in enumerate(kinds):
            _panel(grid[row, column], [c for c in curves if (c.kind, c.axis) == (kind, axis)], double_blocks)
            if row == 0:
                grid[row, column].set_title(HEADS[kind], fontsize=10)
    legend_below(figure)
    return figure


def _panel(panel: Any, chosen: Sequence[Curve], double_blocks: int) -> None:
    for curve in chosen:
        subject = curve.name.split()[0]
        centres = [(a + b) / 2 for a, b in curve.windows]
        values, low, high = ([getattr(p, name) for p in curve.points] for name in ("value", "low", "high"))
        label = f"{subject} ({'content, high text' if curve.level == 'high' else 'detail, low text'})"
        line, colour = LOOKS[subject]
        panel.plot(centres, values, line, color=colour, label=label, markersize=5, linewidth=1.8)
        panel.fill_between(centres, low, high, color=colour, alpha=0.16, linewidth=0)
        panel.axhline(curve.least.value, color=colour, linestyle=":", linewidth=1)
    axis = chosen[0].axis
    last = max(b for curve in chosen for _, b in curve.windows)
    width = chosen[0].windows[0][1] - chosen[0].windows[0][0] + 1
    label = f"centre of the window of {width} {axis if width > 1 else axis.removesuffix('s')}"
    changes = all(curve.name in CHANGES for curve in chosen)
    share_axis(panel, "change, as a share of the text's everywhere" if changes else "share of pictures")
    if axis == "blocks":
        singles = range(last + 1 - double_blocks)
        block_axis(panel, [*(f"double {n}" for n in range(double_blocks)), *(f"single {n}" for n in singles)], label)
    else:
        panel.set_xlim(-0.5, last + 0.5)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set_xlabel(label, fontsize=9)


def draw_beside(studies: Mapping[str, Sequence[Curve]], double_blocks: int, title: str) -> Figure:
    """Studies of several models with the same blocks beside each other: a panel for each attribute, a line for each.

    What is drawn is how often a picture follows another text inside a window of blocks (swap), as a share of how often
    it follows one that is visible everywhere; left out where that makes no difference beyond chance. Bands are 95 %
    intervals over scenes.

    Raises:
        InputError: matplotlib is not installed, a study lacks exact scores of swaps over blocks, or none says anything.
    """
    lines: dict[tuple[StudiedLevel, str], dict[str, Curve]] = {}
    subjects = [(level, subject) for level in STUDIED_LEVELS for subject in DECIDES[level]]
    for (level, subject), name in itertools.product(subjects, studies):
        wanted = ("swap", level, "blocks", f"{subject} as swapped")
        found = [c for c in studies[name] if (c.kind, c.level, c.axis, c.name) == wanted]
        if not found:
            raise InputError(f"{name}: the study has no exact scores of swaps over blocks")
        if makes_a_difference(found[0]):
            lines.setdefault((level, subject), {})[name] = found[0]
    if not lines:
        raise InputError("another text everywhere makes no difference beyond chance in any study")
    figure = new_figure(4.4 * len(lines) + 0.4, 4.2, title)
    grid = panels(figure, 1, len(lines))
    marks = dict(zip(studies, itertools.cycle(("o-", "s--", "^:", "D-.")), strict=False))
    colours = {name: f"C{n}" for n, name in enumerate(studies)}
    for panel, ((level, subject), clear) in zip(grid[0], lines.items(), strict=True):
        for name, curve in clear.items():
            scale = 1 / curve.most.value
            centres = [(a + b) / 2 for a, b in curve.windows]
            values, low, high = ([scale * getattr(p, end) for p in curve.points] for end in ("value", "low", "high"))
            look = {"label": name, "color": colours[name], "markersize": 5, "linewidth": 1.8}
            panel.plot(centres, values, marks[name], **look)
            panel.fill_between(centres, low, high, color=colours[name], alpha=0.12, linewidth=0)
        panel.set_title(f"{subject} ({level} text)", fontsize=10)
        share_axis(panel, "share of a swap everywhere" if panel is grid[0, 0] else "")
        blocks = max(b for curves in studies.values() for c in curves if c.axis == "blocks" for _, b in c.windows) + 1
        names = [f"double {n}" for n in range(double_blocks)]
        block_axis(panel, [*names, *(f"single {n}" for n in range(blocks - double_blocks))], "centre of the window")
    legend_below(figure, studies)
    return figure
