"""Figures of a probe: what the layers attend to, by block and step; `draw_all` saves these and the overlays.

Every function returns a matplotlib `Figure` that belongs to no window and no global state.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from strata.analysis.charts import (
    block_axis,
    colour_bar,
    heat_map,
    legend_below,
    new_figure,
    panels,
    row_label,
    save_figure,
    share_axis,
)
from strata.analysis.overlays import concept_maps, draw_overlays, image_to_text, text_to_image
from strata.analysis.probe import SHARES, Probe, Values
from strata.hierarchy.style import BASE, GLOBAL, IMAGE, OTHERS, OWN, hex_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = dict(zip(SHARES, map(hex_of, (OWN, OTHERS, GLOBAL, BASE, IMAGE)), strict=True))
MEANINGS = dict(
    zip(SHARES, ("its own texts", "other regions' texts", "global texts", "base prompt", "image"), strict=True)
)
MARKERS = dict(zip(SHARES, "osD^v", strict=True))
MOST_ROWS = 12
"""Of overlays that `draw_all` draws."""


def draw_curves(probe: Probe) -> Figure:
    """What each area's attention goes to, by block: one panel an area, one line a kind, mean over the steps.

    Bands reach from the least to the most of any step.

    Raises:
        InputError: matplotlib is not installed.
    """
    areas = probe.facts.areas
    columns = min(len(areas), 3)
    rows = -(-len(areas) // columns)
    steps = len(probe.facts.steps)
    title = f"What each area attends to, by block\nline: mean over {steps} steps, band: least to most of any step"
    figure = new_figure(5.0 * columns + 0.6, 3.1 * rows + 1.2, title)
    drawn = panels(figure, rows, columns, sharey=True).ravel()
    for panel in drawn[len(areas) :]:
        panel.set_visible(False)
    places = np.arange(len(probe.facts.blocks))
    for at, (area, panel) in enumerate(zip(areas, drawn, strict=False)):
        for kind in _kinds(probe):
            values = probe.shares[:, :, at, SHARES.index(kind)]
            look = {"color": COLOURS[kind], "marker": MARKERS[kind], "label": _meaning(probe, kind)}
            panel.fill_between(places, values.min(0), values.max(0), color=COLOURS[kind], alpha=0.13, linewidth=0)
            panel.plot(places, values.mean(0), markersize=4.5, linewidth=1.8, **look)
        panel.set_title(_area_title(area), fontsize=11)
        share_axis(panel, "share of attention" if at % columns == 0 else "")
        block_axis(panel, probe.facts.blocks)
    legend_below(figure)
    return figure


def draw_steps(probe: Probe) -> Figure:
    """Step × block: the share of attention that goes to each kind, an area a row, and the entropy of attention.

    Kinds that no area attends to are left out. A kind has one scale for all areas.

    Raises:
        InputError: matplotlib is not installed.
    """
    facts = probe.facts
    kinds = _kinds(probe)
    size = (3.3 * (len(kinds) + 1) + 1.4, 2.3 * len(facts.areas) + 1.1)
    figure = new_figure(*size, "What each area attends to, by step (down) and block (across)")
    grid = panels(figure, len(facts.areas), len(kinds) + 1)
    look = {"fraction": 0.05, "pad": 0.02, "aspect": 15 * len(facts.areas)}
    for column, kind in enumerate(kinds):
        values = probe.shares[..., SHARES.index(kind)]
        low, high = float(values.min()), float(values.max())
        drawn = None
        for at, area in enumerate(facts.areas):
            panel = grid[at, column]
            drawn = _heat(panel, probe, values[:, :, at], low, high)
            if at == 0:
                panel.set_title(_meaning(probe, kind), fontsize=11)
            if column == 0:
                row_label(panel, _area_title(area))
        colour_bar(figure, drawn, grid[:, column], "share of attention", **look)
    panel = grid[0, -1]
    drawn = _heat(panel, probe, probe.entropy, float(probe.entropy.min()), float(probe.entropy.max()))
    panel.set_title("entropy, all image tokens", fontsize=11)
    colour_bar(figure, drawn, [panel], "nats", fraction=0.05, pad=0.02, aspect=15)
    for empty in grid[1:, -1]:
        empty.set_visible(False)
    return figure


def _heat(panel: Any, probe: Probe, values: Values, low: float, high: float) -> Any:
    drawn = panel.imshow(values, cmap=heat_map(), vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    steps = probe.facts.steps
    places = range(0, len(steps), -(-len(steps) // 6))
    panel.set_yticks(list(places), [str(steps[n]) for n in places])
    block_axis(panel, probe.facts.blocks, most=12 if len(probe.facts.blocks) <= 12 else 8)
    return drawn


def _kinds(probe: Probe) -> list[str]:
    """Those of `SHARES` that any area attends to."""
    return [kind for n, kind in enumerate(SHARES) if probe.shares[..., n].max(initial=0) > 0]


def _meaning(probe: Probe, kind: str) -> str:
    return "prompt" if kind == "base" and not probe.facts.regions else MEANINGS[kind]


def _area_title(area: str) -> str:
    return {"canvas": "whole canvas", "background": "background"}.get(area, f"region “{area}”")


# Files ----------------------------------------------------------------------------------------------------------------


def draw_all(probe: Probe, image: Image.Image | None, folder: str | Path) -> list[Path]:
    """Draw everything that a probe holds into a folder, which must exist; returns the PNG files.

    `words.png` (or `texts.png` without words), `words_to_image.png`, `concepts.png`, `layers.png`, `steps.png`.

    Raises:
        InputError: matplotlib is not installed, or a file cannot be written.
    """
    folder = Path(folder)
    drawn: list[tuple[str, Figure]] = []
    rows = image_to_text(probe)[:MOST_ROWS]
    drawn.append(("words.png" if probe.facts.words else "texts.png", draw_overlays(probe, image, rows)))
    if probe.facts.words:
        drawn.append(("words_to_image.png", draw_overlays(probe, image, text_to_image(probe)[:MOST_ROWS], "looks")))
    if probe.facts.concepts:
        drawn.append(("concepts.png", draw_overlays(probe, image, concept_maps(probe)[:MOST_ROWS], "concepts")))
    drawn += [("layers.png", draw_curves(probe)), ("steps.png", draw_steps(probe))]
    return [save_figure(figure, folder / name) for name, figure in drawn]
