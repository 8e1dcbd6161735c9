"""Overlays of a probe: maps of words, texts and concepts laid over the picture, a column a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.analysis.charts import colour_bar, heat_map, new_figure, panels, row_label
from strata.analysis.probe import Probe, Values
from strata.hierarchy.errors import InputError, shortened
from strata.hierarchy.style import hex_of, region_colour
from strata.hierarchy.typeset import SMALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Direction = Literal["heard", "looks", "concepts"]
DIRECTIONS: dict[Direction, str] = {
    "heard": "share of each image token's attention that goes to the word or text (image→text)",
    "looks": "where the word's tokens attend to (text→image), uniform attention over the canvas = 1",
    "concepts": "where each concept is (ConceptAttention), share among the concepts",
}
MOST_COLUMNS = 12
"""With more blocks, neighbours share a column."""
CELL = 1.15
"""Inches a picture of the grid."""


@dataclass(frozen=True)
class MapRow:
    """One row of an overlay grid: a name and its maps `[phases, blocks, rows, cols]`."""

    name: str
    maps: Values


def image_to_text(probe: Probe, names: Sequence[str] | None = None) -> list[MapRow]:
    """Image→text maps: of words, each summed over the texts that have it, and of whole texts.

    Args:
        probe: what was recorded.
        names: words and texts ("base", "left/low", …); None: what the probe was asked for, without that all words, and
            all texts where there are none.

    Raises:
        InputError: one was not probed; names what was.
    """
    facts = probe.facts
    if names is None:
        names = facts.asked or _words(probe) or [label.text for label in facts.labels if label.kind == "text"]
    rows = []
    for name in names:
        found = facts.labelled(name)
        label = facts.labels[found[0]]
        title = name if label.kind == "word" else f"{name}\n“{shortened(label.quote, 24)}”"
        rows.append(MapRow(title, probe.maps[found].sum(0)))
    return rows


def text_to_image(probe: Probe, words: Sequence[str] | None = None) -> list[MapRow]:
    """Text→image maps of words, mean over the texts that have each, times the number of image tokens.

    Raises:
        InputError: a word was not probed.
    """
    facts = probe.facts
    return [
        MapRow(word, facts.rows * facts.cols * probe.words_to_image[facts.word_rows(word)].mean(0))
        for word in (_words(probe) if words is None else words)
    ]


def concept_maps(probe: Probe) -> list[MapRow]:
    """The maps of all concepts."""
    return [MapRow(name, maps) for name, maps in zip(probe.facts.concepts, probe.concepts, strict=True)]


def _words(probe: Probe) -> list[str]:
    return list(dict.fromkeys(label.word for label in probe.facts.labels if label.word is not None))


# The figure ----------------------------------------------------------------------------------------------------------


def draw_overlays(
    probe: Probe,
    image: Image.Image | None,
    rows: Sequence[MapRow],
    direction: Direction = "heard",
    blocks: Sequence[str] | None = None,
    phase: int | None = None,
) -> Figure:
    """Blocks × words: every map laid over the picture in grey, with the regions' outlines; one scale a row.

    The first column is the picture, the last the mean over the blocks shown.

    Args:
        probe: what was recorded.
        image: the picture that was drawn; None: maps alone.
        rows: of `image_to_text`, `text_to_image` or `concept_maps`.
        direction: which of them, for the title.
        blocks: "double 0", …, one a column; None: all, neighbours together where there are more than twelve.
        phase: index; None: mean over all phases.

    Raises:
        InputError: nothing to draw, a block or phase that was not probed, or matplotlib is not installed.
    """
    facts = probe.facts
    if not rows:
        raise InputError("overlays: nothing to draw; the probe holds no words of this kind")
    facts.check_phase(phase)
    groups = _groups(facts.blocks) if blocks is None else [(facts.block(block),) for block in blocks]
    groups = [*groups, tuple(dict.fromkeys(n for group in groups for n in group))]
    names = [_group_name(facts.blocks, group) for group in groups[:-1]] + ["mean"]
    first, last = (facts.phases[0][0], facts.phases[-1][1]) if phase is None else facts.phases[phase]
    title = f"{DIRECTIONS[direction]}\nmean over steps {first}–{last} of {facts.total_steps}"
    wide = max(0.5, min(2.0, facts.cols / facts.rows)) * CELL
    size = (2.6 + wide * (len(names) + 1), 1.0 + (wide * facts.rows / facts.cols + 0.12) * len(rows))
    figure = new_figure(*size, title)
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    for row, line in zip(rows, panels(figure, len(rows), len(names) + 1), strict=True):
        maps = row.maps.mean(0) if phase is None else row.maps[phase]
        shown = [maps[list(group)].mean(0) for group in groups]
        top = max(float(np.quantile(np.stack(shown), 0.995)), 1e-9)
        scale = ScalarMappable(Normalize(0, top), heat_map())
        for at, panel in enumerate(line):
            _ground(panel, probe, image, plain=at == 0)
            if at:
                panel.imshow(
                    shown[at - 1],
                    cmap=scale.cmap,
                    norm=scale.norm,
                    alpha=1.0 if image is None else np.clip(0.3 + 0.6 * shown[at - 1] / top, 0.3, 0.9),
                    extent=(0, facts.cols, facts.rows, 0),
                    interpolation="nearest",
                )
            _outlines(panel, probe, coloured=at == 0)
            if row is rows[0]:
                panel.set_title(names[at - 1] if at else "picture", fontsize=9)
        row_label(line[0], row.name)
        colour_bar(figure, scale, line, fraction=0.02, pad=0.005, aspect=12)
    return figure


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
        sharp = "nearest" if max(image.size) <= SMALL else "antialiased"
        extent = (0, probe.facts.cols, probe.facts.rows, 0)
        panel.imshow(np.asarray(shown), cmap="gray", vmin=0, vmax=255, extent=extent, interpolation=sharp)


def _outlines(panel: Any, probe: Probe, coloured: bool) -> None:
    """The regions' edges, in their colours or, over maps, in white and black."""
    for index, region in enumerate(probe.facts.regions):
        below, above = ("white", hex_of(region_colour(index))) if coloured else ("black", "white")
        for (x1, y1), (x2, y2) in edges(probe.facts.mask(region.tokens)):
            panel.plot((x1, x2), (y1, y2), color=below, linewidth=2.4, solid_capstyle="butt")
            panel.plot((x1, x2), (y1, y2), color=above, linewidth=1.2, solid_capstyle="butt")


def edges(mask: NDArray[np.bool_]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The outline of a mask `[rows, cols]` as straight lines ((x1, y1), (x2, y2)) between token corners."""
    lines: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for down, grid in ((False, np.pad(mask, 1)), (True, np.pad(mask, 1).T)):
        for at, row in enumerate(grid[1:] != grid[:-1]):  # a line above row `at`, from each change to the next
            ends = np.flatnonzero(row[1:] != row[:-1]).tolist()
            for start, stop in zip(ends[::2], ends[1::2], strict=True):
                lines.append(((at, start), (at, stop)) if down else ((start, at), (stop, at)))
    return lines
