"""What a calibration's pictures are spent on, and how many that are before any is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strata.hierarchy.errors import SettingError

Layout = tuple[int, bool]
SEARCHED: tuple[Layout, ...] = ((1, True), (2, True), (3, True), (4, True))
LAYOUTS: tuple[Layout, ...] = ((1, True), (1, False), (2, True), (2, False), (3, True), (4, True), (6, True), (8, True))
"""Number of regions, and whether one or two of them fill halves of the canvas (else quarters)."""
RATIOS, SPANS = (0.0, 0.1, 0.2, 0.35, 0.5), (0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Budget:
    """Candidates and scenes.

    Attributes:
        candidates: that the search starts from.
        rungs: scenes a layout at each rung of the search; the better third goes on to the next.
        weighing: likewise, of the balance.
        searched: layouts of the search.
        layouts: that are balanced, and reported on.
        ratios, spans: base ratios and shares of the steps that a balance tries.
    """

    candidates: int
    rungs: tuple[int, ...]
    weighing: tuple[int, ...]
    searched: tuple[Layout, ...] = SEARCHED
    layouts: tuple[Layout, ...] = LAYOUTS
    ratios: tuple[float, ...] = RATIOS
    spans: tuple[float, ...] = SPANS

    @classmethod
    def of(cls, pictures: int, images: int) -> Budget:
        """The largest that so many pictures pay for, of `images` a scene: about half of each for search and balance.

        Raises:
            SettingError: too few for either.
        """
        sizes = [(size, first) for size in (27, 18, 9, 6) for first in (6, 4, 3, 2, 1)]
        choices = [cls(size, (first, 3 * first, 9 * first), (first, 4 * first)) for size, first in sizes]
        for budget in choices:
            if budget.scenes() * images <= pictures:
                return budget
        least = min(budget.scenes() for budget in choices) * images
        raise SettingError(f"<budget> {pictures}: too few pictures to compare anything; at least {least}, or smoke")

    @classmethod
    def smoke(cls) -> Budget:
        """The least that goes through every part, to see that it works; it finds nothing out."""
        one = ((2, True),)
        return cls(2, (1,), (2,), searched=one, layouts=one, ratios=(0.1,), spans=(1.0,))

    def scenes(self) -> int:
        """Scenes that search and balance draw at most."""
        search, balance = self._scenes_a_layout()
        return search * len(self.searched) + balance * len(self.layouts)

    def work(self, routings: int, report_scenes: int) -> float:
        """What search, balance and report draw at most, in scenes of two regions; grids of many have larger canvases.

        Args:
            routings: of the report.
            report_scenes: of the report, for each of its layouts.
        """
        search, balance = self._scenes_a_layout()
        return search * _canvases(self.searched) + (balance + routings * report_scenes) * _canvases(self.layouts)

    def _scenes_a_layout(self) -> tuple[int, int]:
        """Of the search, and of the balance, where the candidate as it is never drops out."""
        balanced = 1 + len(self.ratios) * len(self.spans)
        return _halving(self.candidates, self.rungs), _halving(balanced, self.weighing, always=1)


def survivors(count: int) -> int:
    """How many of so many go on to the next rung."""
    return max(2, -(-count // 3))


def _halving(count: int, rungs: Sequence[int], always: int = 0) -> int:
    """Scenes that successive halving draws; a rung draws what the one before lacked."""
    total, before = 0, 0
    for rung in rungs:
        total += count * (rung - before)
        count, before = survivors(count) + always, rung
    return total


def _canvases(layouts: Sequence[Layout]) -> float:
    """Their canvases over that of up to four regions."""
    return sum(max(1.0, regions / 4) for regions, _ in layouts)
