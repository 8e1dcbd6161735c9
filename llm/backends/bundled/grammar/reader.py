"""Where the reading of a prompt stands, and what all parts of it share; see `understanding.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from strata.llm.backends.bundled.grammar.references import Cast
from strata.llm.backends.bundled.grammar.scene import Fact
from strata.llm.backends.bundled.reading.chunks import Chunk


@dataclass
class State:
    """Where in a sentence the reader is."""

    topic: list[int] = field(default_factory=list)
    """Whom "it" means."""
    subject: list[int] = field(default_factory=list)
    """Of the last remark."""
    last: list[int] = field(default_factory=list)
    """The things named last."""
    aside: bool = False
    """Whether the looks before were put between commas."""
    touching: bool = False
    """Whether the last named stand right before, without a mark between."""
    inverted: tuple[str, list[int]] | None = None
    """The last relation that came before its thing, and that thing."""
    after_with: bool = False
    row: str | None = None
    """The place of the row that is being told."""
    line: str | None = None
    """The line that the things to come stand in."""
    listed: list[int] = field(default_factory=list)
    """The things of the sentence that are named side by side."""
    members: list[int] = field(default_factory=list)
    """Of the line or row that is being told."""


class Reader:
    """Goes through the chunks of a prompt once, from left to right; a method for each sort returns where to go on."""

    def __init__(self, found: list[Chunk]) -> None:
        self.all = found
        self.cast = Cast()
        self.facts: list[Fact] = []
        self.now = State()
        self.waiting: list[tuple[str, list[int]]] = []
        """Relations and places that came before the thing they are about: with the things of the relation."""
        self.header: int | None = None
        self.common: list[tuple[str, str]] = []
        """Looks that are said of all before any is named."""

    def _ahead(self, i: int, skip: Sequence[str] = ()) -> Chunk | None:
        """The chunk at a place, without those of some sorts before it."""
        while i < len(self.all) and self.all[i].sort in skip:
            i += 1
        return self.all[i] if i < len(self.all) else None

    def _opens(self, i: int) -> bool:
        """Whether a chunk begins the prompt or follows a mark."""
        return i == 0 or self.all[i - 1].sort == "mark"

    def _ends(self, i: int) -> bool:
        return i >= len(self.all) or self.all[i].sort == "mark"

    def _at(self, chunk: Chunk) -> int:
        return next(k for k, other in enumerate(self.all) if other is chunk)

    @staticmethod
    def _is_it(chunk: Chunk | None) -> bool:
        return chunk is not None and chunk.sort == "it"

    def _follows(self, i: int, sort: str) -> bool:
        return i < len(self.all) and self.all[i].sort == sort

    def _is_reference(self, j: int) -> bool:
        chunk = self.all[j]
        return chunk.sort == "bare" and bool(chunk.anaphor or (chunk.count and chunk.looks))

    # told by the parts that know

    def _settle(self, ids: list[int], i: int) -> bool:
        raise NotImplementedError

    def _refers(self, i: int) -> bool:
        raise NotImplementedError

    def _meant(self, word: str) -> list[int]:
        raise NotImplementedError

    def _everyone(self, det: str, count: int | None = None) -> list[int]:
        raise NotImplementedError

    def _shares(self, i: int) -> bool:
        raise NotImplementedError

    def _share(self, i: int) -> int:
        raise NotImplementedError

    def _changed(self, i: int, ids: list[int]) -> int:
        raise NotImplementedError
