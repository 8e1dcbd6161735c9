"""What a prompt in the planner's words asks for, told from its grammar: who "it" is, which of two a remark is about.

`understood` gives the facts (`scene.Scene`), or says what is unclear; where several readings are possible it says so
rather than choosing one. Its parts: `references.py` (the things named so far), `reader.py`
(where the reading stands), `lines.py` (places, rows, corners), `relating.py`, `naming.py`, `remarks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from strata.llm.backends.bundled.grammar.lines import LINES
from strata.llm.backends.bundled.grammar.references import Unclear
from strata.llm.backends.bundled.grammar.remarks import Remarks
from strata.llm.backends.bundled.grammar.scene import Scene
from strata.llm.backends.bundled.reading.chunks import chunks
from strata.llm.backends.bundled.reading.vocabulary import MOST_THINGS
from strata.llm.backends.bundled.world import STYLES, Thing


def understood(tokens: Sequence[str], style: str | None = None) -> Scene | str:
    """The scene of a prompt without its background and style, or what is unclear in it, in words."""
    try:
        rest, trailing = _trailing_style(tokens, style)
        return _Sentence(chunks(rest)).scene(trailing)
    except Unclear as unclear:
        return str(unclear)


def _trailing_style(tokens: Sequence[str], style: str | None) -> tuple[Sequence[str], str | None]:
    """A style at the very end, where no other is named, is that of the picture."""
    end = len(tokens) - 1
    if style or not tokens or tokens[end] not in STYLES or sum(token in STYLES for token in tokens) > 1:
        return tokens, style
    while end and tokens[end - 1] in ("in", "with", "and", ",", ".", "is", "a", "all", "on"):
        end -= 1
    return (tokens[:end], tokens[-1]) if end else (tokens, style)


class _Sentence(Remarks):
    """A prompt."""

    def scene(self, style: str | None) -> Scene:
        """The whole of it."""
        i = 0
        while i < len(self.all):
            i = self._step(i)
        self._end_line()
        if self.waiting:
            raise Unclear(f"does not say what is {self.waiting[0][0]}")
        things = self.cast.things
        if self.common:
            for i in range(len(things)):
                self.cast.describe([i], self.common)
        if not 1 <= len(things) <= MOST_THINGS:
            raise Unclear(f"names {len(things)} objects")
        if self.header is not None and self.header != len(things):
            raise Unclear(f"says {self.header} objects and names {len(things)}")
        made = tuple(
            Thing(t.kind, t.looks.get("colour"), t.looks.get("surface"), t.looks.get("style"), t.looks.get("size"))
            for t in things
        )
        return Scene(made, tuple(t.place for t in things), tuple(dict.fromkeys(self.facts)), style)

    def _step(self, i: int) -> int:
        chunk = self.all[i]
        match chunk.sort:
            case "mark":
                return self._mark(i)
            case "noun":
                return self._noun(i)
            case "bare":
                return self._bare(i)
            case "it":
                return self._it(i)
            case "place":
                return self._place(i)
            case "link":
                return self._link(i)
            case "with":
                self.now.after_with = True
                if self.now.last and self.now.touching:
                    self.now.topic = self.now.last
                return i + 1
            case "in" | "on":
                return self._in_or_on(i)
            case "is" | "that":
                return i + 1
        raise Unclear(f'does not know what to make of "{chunk.word or "a word"}"')

    def _mark(self, i: int) -> int:
        word = self.all[i].word
        self.now.touching = self.now.touching and self.now.aside and word == ","
        self.now.aside = False
        if word == ".":
            after = self._ahead(i + 1)
            if not (after and after.sort == "link" and after.word in LINES and self._ends(i + 2)):
                self._end_line()
                self.now.listed = []
                self.now.after_with = False
        return i + 1

    def _link(self, i: int) -> int:
        word = self.all[i].word
        if word == "inrows":
            half, odd = divmod(len(self.now.last), 2)
            if odd or not half:
                raise Unclear("does not say what is in two rows")
            self._in_rows("row", self.now.last, half)
            return i + 1
        if word in LINES:
            return self._line(i)
        if word in ("toprow", "bottomrow"):
            return self._row_begins(i)
        if word == "incorners":
            return self._corners(i)
        return self._relation(i)
