"""What all charts share: matplotlib, which is optional, Strata's colours, an axis over blocks, and saving."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import write_atomic
from strata.hierarchy.style import HEAT, INK, MUTED, RULE, hex_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_matplotlib() -> None:
    """Raises `InputError` where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError("figures need matplotlib: pip install 'strata-prompting[analysis]'") from error


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of so many inches, that belongs to no window and no global state.

    Raises:
        InputError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    figure.suptitle(title, fontsize=12, color=hex_of(INK))
    return figure


def panels(figure: Figure, rows: int, columns: int, **options: Any) -> NDArray[Any]:
    """Axes `[rows, columns]` with light frames and small grey ticks; `options` as of `Figure.subplots`."""
    made: NDArray[Any] = figure.subplots(rows, columns, squeeze=False, **options)
    for panel in made.flat:
        panel.tick_params(labelsize=8, color=hex_of(RULE), labelcolor=hex_of(MUTED))
        panel.set_axisbelow(True)
        for text in (panel.title, panel.xaxis.label, panel.yaxis.label):
            text.set_color(hex_of(INK))
        for spine in panel.spines.values():
            spine.set_color(hex_of(RULE))
    return made


def heat_map() -> Any:
    """The colour map of everything that goes from nothing to much."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("strata", HEAT)


def share_axis(panel: Any, label: str) -> None:
    """The vertical axis of shares, 0 to 1, with a grid."""
    panel.set_ylim(-0.03, 1.03)
    panel.grid(color=hex_of(RULE), linewidth=0.7)
    panel.set_ylabel(label, fontsize=10)


def row_label(panel: Any, text: str) -> None:
    """What a row of panels is of, wrapped, left of its first panel."""
    lines = [wrapped for line in text.split("\n") for wrapped in textwrap.wrap(line, 20)]
    panel.set_ylabel("\n".join(lines), fontsize=10, rotation=0, ha="right", va="center")


def block_axis(panel: Any, blocks: Sequence[str], label: str = "block", most: int = 12) -> None:
    """The horizontal axis over `blocks` ("double 0", …): ticks "d0", "s0", …, and a line where single blocks begin."""
    places = range(0, len(blocks), -(-len(blocks) // most))
    panel.set_xticks(list(places), [blocks[n][0] + blocks[n].split()[-1] for n in places])
    panel.set_xlim(-0.5, len(blocks) - 0.5)
    panel.set_xlabel(f"{label} (d: double, s: single)", fontsize=9)
    kinds = [block.split()[0] for block in blocks]
    for n in range(1, len(kinds)):
        if kinds[n] != kinds[n - 1]:
            panel.axvline(n - 0.5, color=hex_of(MUTED), linewidth=1, linestyle="--")


def legend_below(figure: Figure, first: Iterable[str] = ()) -> None:
    """One legend under all panels, an entry for each label that any of them has; `first`: labels that begin it."""
    entries: dict[str, Any] = {}
    for panel in figure.axes:
        handles, labels = panel.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    entries = {label: entries[label] for label in (*first, *entries) if label in entries}
    look = {"loc": "outside lower center", "fontsize": 10, "frameon": False, "handlelength": 3.5}
    for columns in range(max(1, len(entries)), 0, -1):  # as few rows as the figure's width allows
        legend = figure.legend(list(entries.values()), list(entries), ncols=columns, **look)
        _literally(figure)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()


def colour_bar(figure: Figure, drawn: Any, beside: Iterable[Any], label: str = "", **options: Any) -> None:
    """The scale of `drawn` beside some panels; `options` as of `Figure.colorbar`."""
    axes = list(beside)
    bar = figure.colorbar(drawn, ax=axes, **options)
    bar.ax.tick_params(labelsize=8, color=hex_of(RULE), labelcolor=hex_of(MUTED))
    bar.ax.locator_params(nbins=min(4 + 2 * len(axes), 10) if label else 4)
    bar.outline.set_edgecolor(hex_of(RULE))
    bar.set_label(label, fontsize=9, color=hex_of(INK))


def _literally(figure: Figure) -> None:
    """Names are users': a dollar sign in them is one, and begins no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a PNG, whole or not at all. Raises `InputError` where it cannot be written."""
    data = io.BytesIO()
    _literally(figure)
    figure.savefig(data, format="png")
    write_atomic(path, data.getvalue())
    return Path(path)
