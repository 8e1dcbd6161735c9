"""Pictures of a probe: where words act over the picture, and what the layers listen to, by block and step.

Every function returns a matplotlib `Figure` that belongs to no window and no global state; `draw_all` saves them all.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.analysis.probe import SHARES, Probe, Values
from strata.hierarchy.errors import InputError
from strata.hierarchy.files import quote, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Direction = Literal["heard", "looks", "concepts"]
DIRECTIONS: dict[Direction, str] = {
    "heard": "share of each image token's attention that goes to the word or text (image→text)",
    "looks": "where the word's tokens look (text→image), uniform attention over the canvas = 1",
    "concepts": "where each concept is (ConceptAttention), share among the concepts",
}
COLOURS = {"own": "#0072b2", "others": "#d55e00", "global": "#cc79a7", "base": "#009e73", "image": "#999999"}
"""Okabe and Ito's, which colour-blind readers can tell apart."""
MEANINGS = {
    "own": "its own texts",
    "others": "other regions' texts",
    "global": "global texts",
    "base": "base prompt",
    "image": "image",
}
MARKERS = {"own": "o", "others": "s", "global": "D", "base": "^", "image": "v"}
MOST_COLUMNS = 12
"""Of overlays; with more blocks, neighbours share a column."""
MOST_ROWS = 12
"""Of overlays that `draw_all` draws."""
CELL = 1.15
"""Inches a picture of the overlay grid."""


@dataclass(frozen=True)
class Row:
    """One row of an overlay grid: a name and its maps `[phases, blocks, rows, cols]`."""

    name: str
    maps: Values


def heard(probe: Probe, words: Sequence[str] | None = None, texts: Sequence[str] | None = None) -> list[Row]:
    """Image→text maps: of words, each summed over the texts that have it, and of whole texts.

    Args:
        probe: what was recorded.
        words: which; None: all, unless `texts` are given.
        texts: "base", "left/low", …; None: none, unless there are no words.

    Raises:
        InputError: one was not probed; names what was.
    """
    known = _words(probe)
    if words is None:
        words = known if texts is None else ()
    if texts is None:
        texts = () if words else [label.text for label in probe.facts.labels if label.kind == "text"]
    rows = [Row(word, _sum(probe, "word", word)) for word in words]
    return rows + [Row(_short(probe, text), _sum(probe, "text", text)) for text in texts]


def looks(probe: Probe, words: Sequence[str] | None = None) -> list[Row]:
    """Text→image maps of words, mean over the texts that have each, times the number of image tokens.

    Raises:
        InputError: a word was not probed.
    """
    tokens = probe.facts.rows * probe.facts.cols
    rows = []
    for word in _words(probe) if words is None else words:
        chosen = _labels(probe, "word", word)
        picked = [n for n, label in enumerate(probe.facts.words) if label in chosen]
        rows.append(Row(word, tokens * probe.words_to_image[picked].mean(0)))
    return rows


def concepts(probe: Probe) -> list[Row]:
    """The maps of all concepts."""
    return [Row(name, maps) for name, maps in zip(probe.facts.concepts, probe.concepts, strict=True)]


def _words(probe: Probe) -> list[str]:
    return list(dict.fromkeys(label.word for label in probe.facts.labels if label.word is not None))


def _labels(probe: Probe, kind: str, name: str) -> list[int]:
    labels = [(n, label) for n, label in enumerate(probe.facts.labels) if label.kind == kind]
    found = [n for n, label in labels if (label.word if kind == "word" else label.text) == name]
    if not found:
        known = dict.fromkeys(label.word if kind == "word" else label.text for _, label in labels)
        raise InputError(f"{kind} {quote(name)}: was not probed; valid: {', '.join(map(str, known)) or 'none'}")
    return found


def _sum(probe: Probe, kind: str, name: str) -> Values:
    total: Values = probe.maps[_labels(probe, kind, name)].sum(0)
    return total


def _short(probe: Probe, text: str) -> str:
    quoted = probe.facts.labels[_labels(probe, "text", text)[0]].quote
    return f"{text}\n“{quoted if len(quoted) <= 24 else quoted[:23] + '…'}”"


# Overlays -------------------------------------------------------------------------------------------------------------


def draw_overlays(
    probe: Probe,
    image: Image.Image | None,
    rows: Sequence[Row],
    direction: Direction = "heard",
    blocks: Sequence[str] | None = None,
    phase: int | None = None,
) -> Figure:
    """Blocks × words: every map laid over the picture in grey, with the regions' outlines; one scale a row.

    The first column is the picture, the last the mean over the blocks shown.

    Args:
        probe: what was recorded.
        image: the picture that was drawn; None: maps alone.
        rows: of `heard`, `looks` or `concepts`.
        direction: which of them, for the title.
        blocks: "double 0", …, one a column; None: all, neighbours together where there are more than twelve.
        phase: index; None: mean over all phases.

    Raises:
        InputError: nothing to draw, a block or phase that was not probed, or matplotlib is not installed.
    """
    facts = probe.facts
    if not rows:
        raise InputError("overlays: nothing to draw; the probe holds no words of this kind")
    if phase is not None and not 0 <= phase < len(facts.phases):
        raise InputError(f"phase {phase}: there are {len(facts.phases)}; valid: 0-{len(facts.phases) - 1}")
    groups = _groups(facts.blocks) if blocks is None else [(_place(probe, block),) for block in blocks]
    groups = [*groups, tuple(dict.fromkeys(n for group in groups for n in group))]
    names = [_group_name(facts.blocks, group) for group in groups[:-1]] + ["mean"]
    wide = max(0.5, min(2.0, facts.cols / facts.rows)) * CELL
    figure = _figure((1.9 + wide * (len(names) + 1), 1.0 + (wide * facts.rows / facts.cols + 0.12) * len(rows)))
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    first, last = (facts.phases[0][0], facts.phases[-1][1]) if phase is None else facts.phases[phase]
    figure.suptitle(f"{DIRECTIONS[direction]}\nmean over steps {first}–{last} of {facts.total_steps}", fontsize=11)
    panels = figure.subplots(len(rows), len(names) + 1, squeeze=False)
    for row, line in zip(rows, panels, strict=True):
        maps = row.maps.mean(0) if phase is None else row.maps[phase]
        shown = [maps[list(group)].mean(0) for group in groups]
        top = max(float(np.quantile(np.stack(shown), 0.995)), 1e-9)
        scale = ScalarMappable(Normalize(0, top), "inferno")
        for at, panel in enumerate(line):
            _ground(panel, probe, image, plain=at == 0)
            if at:
                panel.imshow(
                    shown[at - 1],
                    cmap="inferno",
                    norm=scale.norm,
                    alpha=1.0 if image is None else np.clip(0.3 + 0.6 * shown[at - 1] / top, 0.3, 0.9),
                    extent=(0, facts.cols, facts.rows, 0),
                    interpolation="nearest",
                )
            _outlines(panel, probe)
            if row is rows[0]:
                panel.set_title(names[at - 1] if at else "picture", fontsize=9)
        line[0].set_ylabel(row.name, fontsize=10)
        bar = figure.colorbar(scale, ax=list(line), fraction=0.02, pad=0.005, aspect=12)
        bar.ax.tick_params(labelsize=8)
        bar.ax.locator_params(nbins=4)
    return figure


def _place(probe: Probe, block: str) -> int:
    if block not in probe.facts.blocks:
        raise InputError(f"block {quote(block)}: was not probed; valid: {', '.join(probe.facts.blocks)}")
    return probe.facts.blocks.index(block)


def _groups(blocks: Sequence[str]) -> list[tuple[int, ...]]:
    """Indices of neighbouring blocks of one kind, at most `MOST_COLUMNS` groups of about one size."""
    kinds: dict[str, list[int]] = {}
    for n, block in enumerate(blocks):
        kinds.setdefault(block.split()[0], []).append(n)
    size = 1
    while sum(-(-len(members) // size) for members in kinds.values()) > MOST_COLUMNS:
        size += 1
    parts = [np.array_split(members, -(-len(members) // size)) for members in kinds.values()]
    return [tuple(int(n) for n in part) for kind in parts for part in kind]


def _group_name(blocks: Sequence[str], group: Sequence[int]) -> str:
    first, last = blocks[group[0]], blocks[group[-1]]
    return first if first == last else f"{first}–{last.split()[-1]}"


def _ground(panel: Any, probe: Probe, image: Image.Image | None, plain: bool) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_xlim(0, probe.facts.cols)
    panel.set_ylim(probe.facts.rows, 0)
    panel.set_aspect("equal")
    if image is not None:
        shown = image.convert("RGB") if plain else image.convert("L")
        sharp = "nearest" if image.width <= 256 else "antialiased"
        extent = (0, probe.facts.cols, probe.facts.rows, 0)
        panel.imshow(np.asarray(shown), cmap="gray", vmin=0, vmax=255, extent=extent, interpolation=sharp)


def _outlines(panel: Any, probe: Probe) -> None:
    for region in probe.facts.regions:
        mask = np.zeros(probe.facts.rows * probe.facts.cols, bool)
        mask[list(region.tokens)] = True
        lines = edges(mask.reshape(probe.facts.rows, probe.facts.cols))
        for (x1, y1), (x2, y2) in lines:
            panel.plot((x1, x2), (y1, y2), color="black", linewidth=1.8, solid_capstyle="butt")
            panel.plot((x1, x2), (y1, y2), color="white", linewidth=0.9, solid_capstyle="butt")


def edges(mask: NDArray[np.bool_]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The outline of a mask `[rows, cols]` as straight lines ((x1, y1), (x2, y2)) between token corners."""
    padded = np.pad(mask, 1)
    lines: list[tuple[tuple[int, int], tuple[int, int]]] = []
    across = padded[1:] != padded[:-1]  # [rows + 1, cols + 2]: a line above row y
    for y, row in enumerate(across):
        lines += [((a - 1, y), (b - 1, y)) for a, b in _stretches(row)]
    down = padded[:, 1:] != padded[:, :-1]
    for x, column in enumerate(down.T):
        lines += [((x, a - 1), (x, b - 1)) for a, b in _stretches(column)]
    return lines


def _stretches(row: NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Start and stop of every stretch of true values."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(change[::2], change[1::2], strict=True)]


# Layers and steps -----------------------------------------------------------------------------------------------------


def draw_curves(probe: Probe) -> Figure:
    """What each area's attention goes to, by block: one panel an area, one line a kind, mean over the steps.

    Bands reach from the least to the most of any step.

    Raises:
        InputError: matplotlib is not installed.
    """
    areas = probe.facts.areas
    columns = min(len(areas), 3)
    rows = -(-len(areas) // columns)
    figure = _figure((5.0 * columns + 0.6, 3.1 * rows + 1.2))
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel in panels[len(areas) :]:
        panel.set_visible(False)
    kinds = _kinds(probe)
    places = np.arange(len(probe.facts.blocks))
    for at, (area, panel) in enumerate(zip(areas, panels, strict=False)):
        for kind in kinds:
            values = probe.shares[:, :, at, SHARES.index(kind)]
            panel.fill_between(places, values.min(0), values.max(0), color=COLOURS[kind], alpha=0.13, linewidth=0)
            mean = values.mean(0)
            panel.plot(places, mean, color=COLOURS[kind], marker=MARKERS[kind], markersize=4.5, linewidth=1.8)
        panel.set_title(_area_title(area), fontsize=11)
        panel.set_ylim(-0.02, 1.02)
        panel.grid(alpha=0.25)
        _block_axis(panel, probe.facts.blocks)
        if at % columns == 0:
            panel.set_ylabel("share of attention", fontsize=10)
    from matplotlib.lines import Line2D

    shown = [
        Line2D([], [], color=COLOURS[kind], marker=MARKERS[kind], label=_meaning(probe, kind), linewidth=1.8)
        for kind in kinds
    ]
    figure.legend(handles=shown, loc="outside lower center", ncols=len(shown), fontsize=10, frameon=False)
    steps = len(probe.facts.steps)
    figure.suptitle(
        f"What each area listens to, by block\nline: mean over {steps} steps, band: least to most of any step",
        fontsize=12,
    )
    return figure


def draw_steps(probe: Probe) -> Figure:
    """Step × block: the share of attention that goes to each kind, an area a row, and the entropy of attention.

    Kinds that no area ever hears are left out. A kind has one scale for all areas.

    Raises:
        InputError: matplotlib is not installed.
    """
    facts = probe.facts
    kinds = _kinds(probe)
    figure = _figure((3.3 * (len(kinds) + 1) + 0.4, 2.3 * len(facts.areas) + 1.1))
    panels = figure.subplots(len(facts.areas), len(kinds) + 1, squeeze=False)
    for column, kind in enumerate(kinds):
        values = probe.shares[..., SHARES.index(kind)]
        low, high = float(values.min()), float(values.max())
        drawn = None
        for at, area in enumerate(facts.areas):
            panel = panels[at, column]
            drawn = _heat(panel, probe, values[:, :, at], low, high)
            if at == 0:
                panel.set_title(_meaning(probe, kind), fontsize=11)
            if column == 0:
                panel.set_ylabel(f"{_area_title(area)}\nstep", fontsize=10)
        _bar(figure, drawn, list(panels[:, column]), "share of attention")
    panel = panels[0, -1]
    drawn = _heat(panel, probe, probe.entropy, float(probe.entropy.min()), float(probe.entropy.max()))
    panel.set_title("entropy, all image tokens", fontsize=11)
    _bar(figure, drawn, [panel], "nats")
    for empty in panels[1:, -1]:
        empty.set_visible(False)
    figure.suptitle("What each area listens to, by step and block", fontsize=12)
    return figure


def _heat(panel: Any, probe: Probe, values: Values, low: float, high: float) -> Any:
    drawn = panel.imshow(values, cmap="viridis", vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    steps = probe.facts.steps
    places = range(0, len(steps), -(-len(steps) // 6))
    panel.set_yticks(list(places), [str(steps[n]) for n in places], fontsize=8)
    _block_axis(panel, probe.facts.blocks, margin=0.5)
    return drawn


def _bar(figure: Figure, drawn: Any, panels: list[Any], label: str) -> None:
    bar = figure.colorbar(drawn, ax=panels, fraction=0.05, pad=0.02, aspect=15 * len(panels))
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=9)


def _block_axis(panel: Any, blocks: Sequence[str], margin: float = 0.3) -> None:
    """Ticks "d0", "s0", …, at most about twelve, and a line between double and single blocks."""
    stride = -(-len(blocks) // 12)
    places = range(0, len(blocks), stride)
    panel.set_xticks(list(places), [blocks[n][0] + blocks[n].split()[-1] for n in places], fontsize=8)
    panel.set_xlim(-margin, len(blocks) - 1 + margin)
    panel.set_xlabel("block (d: double, s: single)", fontsize=9)
    kinds = [block.split()[0] for block in blocks]
    for n in range(1, len(kinds)):
        if kinds[n] != kinds[n - 1]:
            panel.axvline(n - 0.5, color="#555555", linewidth=1, linestyle="--")


def _kinds(probe: Probe) -> list[str]:
    """Those of `SHARES` that are ever heard."""
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
    rows = heard(probe)[:MOST_ROWS]
    drawn.append(("words.png" if probe.facts.words else "texts.png", draw_overlays(probe, image, rows)))
    if probe.facts.words:
        drawn.append(("words_to_image.png", draw_overlays(probe, image, looks(probe)[:MOST_ROWS], "looks")))
    if probe.facts.concepts:
        drawn.append(("concepts.png", draw_overlays(probe, image, concepts(probe)[:MOST_ROWS], "concepts")))
    drawn += [("layers.png", draw_curves(probe)), ("steps.png", draw_steps(probe))]
    return [save_figure(figure, folder / name) for name, figure in drawn]


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a PNG, whole or not at all. Raises `InputError` where it cannot be written."""
    data = io.BytesIO()
    figure.savefig(data, format="png")
    write_atomic(path, data.getvalue())
    return Path(path)


def _figure(size: tuple[float, float]) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("pictures of a probe need matplotlib: pip install 'strata-prompting[plot]'") from error
    return Figure(figsize=size, layout="constrained", dpi=110)
