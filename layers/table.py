"""A schedule as a compact table for the terminal."""

import textwrap

import numpy as np
import numpy.typing as npt

from strata.hierarchy.errors import printable
from strata.layers.schedule import Schedule
from strata.layers.views import ANCHORED, View, tick_stride, title, views

_SHADES = "·░▒▓█"
_UNROUTED = {"plain": "the base prompt only", "open": "every text, without a mask"}
_NAME_WIDTH = 6  # of "double" and "single"


def schedule_table(schedule: Schedule, width: int = 100) -> str:
    """The schedule as text at most `width` columns wide (at least 40): rows are levels, columns blocks.

    Steps in a row with the same pattern are one group. A shade stands for up to a quarter of strength. Where blocks
    outnumber the columns, a column shows the strongest of several neighbours; long names of areas are cut.
    """
    return _Table(schedule, max(width, 40)).text()


class _Table:
    def __init__(self, schedule: Schedule, width: int) -> None:
        self.schedule = schedule
        self.width = width
        self.families = [
            (name, blocks)
            for name, blocks in (
                ("double", slice(0, schedule.double_blocks)),
                ("single", slice(schedule.double_blocks, schedule.blocks)),
            )
            if blocks.stop > blocks.start
        ]
        self.views = views(schedule)
        self.labels = [f"  {printable(view.name)}{_areas(view)}" for view in self.views] + ["  isolated"]
        self.margin = min(max(map(len, self.labels)) + 2, width // 2)
        room = width - self.margin - len(self.families)
        fewest = min(blocks.stop - blocks.start for _, blocks in self.families)
        self.merged = max(1, -(-schedule.blocks // room))
        """Blocks that share a column."""
        self.stretch = max(1, min(-(-_NAME_WIDTH // fewest), room // schedule.blocks))
        """Columns that a block takes, so that the names of short families fit."""

    def text(self) -> str:
        schedule = self.schedule
        lines = textwrap.wrap(printable(f"{schedule.routing.name}: {title(schedule)}"), self.width)
        lines += textwrap.wrap(printable(schedule.routing.about), self.width)
        lines += ["", *self.header()]
        patterns = [self.pattern(step) for step in range(schedule.steps)]
        first = 0
        for step in range(1, schedule.steps + 1):
            if step < schedule.steps and patterns[step] == patterns[first]:
                continue
            lines.append(self.group_title(first, step - 1))
            for label, cells in zip(self.labels, patterns[first], strict=True):
                if cells.strip(" │·"):
                    lines.append(label[: self.margin - 1].ljust(self.margin) + cells)
            first = step
        lines += ["", *textwrap.wrap(self.legend(), self.width)]
        return "\n".join(line.rstrip() for line in lines)

    def header(self) -> list[str]:
        """Family names, and under them the indices of some blocks."""
        names, rulers = [], []
        for name, blocks in self.families:
            count = blocks.stop - blocks.start
            columns = -(-count // self.merged)
            width = columns * self.stretch
            stride = tick_stride((len(str(count - 1)) + 1) / self.stretch)
            numbers = ((column * self.stretch, str(column * self.merged)) for column in range(0, columns, stride))
            whole = (number if at + len(number) <= width else "" for at, number in numbers)
            names.append(name[:width].ljust(width))
            rulers.append("".join(number.ljust(stride * self.stretch) for number in whole)[:width])
        return [" " * self.margin + "│".join(parts) for parts in (names, rulers)]

    def pattern(self, step: int) -> tuple[str, ...]:
        """The rows of one step: shades for every view, and isolation marks."""
        rows = [self.row(np.ceil(view.strength[step] * 4).astype(np.intp), _SHADES) for view in self.views]
        return (*rows, self.row(self.schedule.isolate[step].astype(np.intp), " /"))

    def row(self, values: npt.NDArray[np.intp], characters: str) -> str:
        """A character for each column: `values`, one a block, are indices into `characters`."""
        return "│".join(
            "".join(
                characters[values[start : min(start + self.merged, blocks.stop)].max()] * self.stretch
                for start in range(blocks.start, blocks.stop, self.merged)
            )
            for _, blocks in self.families
        )

    def group_title(self, first: int, last: int) -> str:
        """The steps of a group, and how much base there is beside the levels."""
        steps = f"step {first}" if first == last else f"steps {first}-{last}"
        if not self.schedule.routed_steps[first]:
            return f"{steps}: plain FLUX"
        ratios = dict.fromkeys(f"{self.schedule.base_ratio[step]:.2g}" for step in (first, last))
        return f"{steps}: base ratio {' to '.join(ratios)}"

    def legend(self) -> str:
        """What the signs mean, as far as they occur."""
        schedule = self.schedule
        parts = ["█ strength 1, ▓ up to 0.75, ▒ up to 0.5, ░ up to 0.25, · hidden"]
        if schedule.isolate.any():
            parts.append("/ image tokens attend only to their own regions")
        if any(view.anchored for view in self.views):
            parts.append(ANCHORED)
        if (schedule.routed_steps[:, None] & ~schedule.routed).any():
            parts.append(f"blocks where every level is hidden attend to {_UNROUTED[schedule.unrouted]}")
        if self.merged > 1:
            parts.append(f"a column is {self.merged} blocks")
        return "; ".join(parts)


def _areas(view: View) -> str:
    return "" if view.areas == "all areas" else printable(f" ({view.areas})")
