"""Where things stand on the picture: places, rows, columns, corners."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from strata.llm.backends.bundled.grammar.reader import Reader
from strata.llm.backends.bundled.grammar.references import Unclear
from strata.llm.backends.bundled.grammar.scene import CORNERS

LINES = {"inrow": "row", "ltr": "row", "rowof": "row", "incolumn": "column", "ttb": "column", "columnof": "column"}


class Lines(Reader):
    """Places, rows, columns and corners."""

    def _fold_place(self, i: int) -> None:
        """Makes one phrase of "the star" and "on the right" where there are several stars: the right star."""
        one, other = self._ahead(i), self._ahead(i + 1)
        if one is None or other is None or {one.sort, other.sort} != {"noun", "place"}:
            return
        place, noun = (one, other) if one.sort == "place" else (other, one)  # "atright star" is "the right star"
        told = noun.plural or noun.count or noun.which or noun.anaphor or noun.looks
        if told or noun.det != ("the" if one is noun else "") or noun.kind in ("sun", "moon", "object", None):
            return
        if len(self.cast.of_kind(noun)) > 1:
            self.all[i : i + 2] = [replace(noun, det="the", which=place.word.replace(" ", ""))]

    def _place(self, i: int) -> int:
        if self._opens(i):
            self._fold_place(i)
            if self.all[i].sort == "noun":
                return i
        place, now = self.all[i].word, self.now
        while (after := self._ahead(i + 1)) and after.sort == "place":
            place, i = _both(place, after.word), i + 1
        j = i + 1
        while j < len(self.all) and self.all[j].sort in ("is", "mark") and self.all[j].word not in ("and", "."):
            j += 1
        named = j < len(self.all) and (
            self.all[j].sort == "noun" or self.all[j].word in ("rowof", "columnof") or self._is_reference(j)
        )
        directly = named and all(self.all[k].sort != "mark" for k in range(i + 1, j))
        first = self._opens(self._first_place(i))
        starts = self._first_place(i) == 0 or self.all[self._first_place(i) - 1].word == "."
        if named and ((first and (directly or starts or self.all[j - 1].word == ":")) or self._leads(i)):
            self.waiting.append((f"@{place}", []))
            return i + 1
        if not now.last:
            raise Unclear(f"does not say what is at the {place}")
        if len(now.last) > 1 and (spread := self._places_of(i)):
            for number, at in zip(now.last, spread, strict=True):
                self.cast.put([number], at)
            return i + 2 * len(spread) - 1
        target = now.last
        if "corners" in {name for name, ids in self.facts if set(target) <= set(ids)}:
            raise Unclear("puts in the corners what has another place")
        self.cast.put(target, place)
        return i + 1

    def _first_place(self, i: int) -> int:
        while i and self.all[i - 1].sort == "place":
            i -= 1
        return i

    def _leads(self, i: int) -> bool:
        """Whether places of this sentence stand before their things: it begins with one and ends with a thing."""
        start = i
        while start and self.all[start - 1].word != ".":
            start -= 1
        end = i
        while end < len(self.all) and self.all[end].word != ".":
            end += 1
        return self.all[start].sort == "place" and self.all[end - 1].sort != "place"

    def _places_of(self, i: int) -> list[str]:
        """ "two stars, left and right": a place for each."""
        found, j = [self.all[i].word], i
        while j + 2 < len(self.all) and self.all[j + 1].word in (",", "and") and self.all[j + 2].sort == "place":
            following = self._ahead(j + 3)
            if following and following.sort == "noun":
                break
            found.append(self.all[j + 2].word)
            j += 2
        return found if len(found) == len(self.now.last) > 1 else []

    def _line(self, i: int) -> int:
        """A row or a column: of what is named just before, or of what comes."""
        word, now = self.all[i].word, self.now
        if now.line == LINES[word]:
            return i + 1
        after = self._ahead(i + 1)
        if word in ("rowof", "columnof"):
            number = after.count if after and after.sort == "noun" else None
            if after and after.plural and (number or 1) > 1:
                ids, _ = self.cast.resolve(after, False, now.last, now.topic)
                self._settle(ids, i + 1)
                self._in_line(LINES[word], ids)
                now.listed += ids
                now.last, now.topic, now.subject, now.touching = ids, ids, ids, True
                return i + 2
        elif now.last and not (after and after.word == ":" and len(now.last) < 2 and len(now.listed) < 2):
            before = self.all[i - 1]
            rest = now.last if len(now.last) > 1 else now.listed
            if len(now.last) > 1 and before.sort != "mark" and len(now.listed) > len(now.last):
                rest = now.last
            elif len(now.listed) > len(now.last) and before.sort == "mark":
                rest = now.listed
            if len(rest) < 2:
                rest = list(range(len(self.cast.things)))
            if len(rest) < 2:
                raise Unclear("makes a line of one")
            self._in_line(LINES[word], rest)
            return i + 1
        self._end_line()
        now.line, now.members = LINES[word], []
        return i + 1

    def _end_line(self) -> None:
        now = self.now
        if now.line and not now.members:
            return
        name = now.line or ("row" if now.row else None)
        if name == "corners" and len(now.members) == 1:
            now.members = self.cast.copy(now.members[0], 4)
            now.last = now.members if not now.last or now.last[0] in now.members else now.last
        if name == "corners" and len(now.members) == 5 and self.cast.things[now.members[4]].place == "center":
            now.members.pop()
        if name == "corners" and len(now.members) != 4:
            raise Unclear(f"puts {len(now.members)} objects in four corners")
        if name and len(now.members) > 1:
            self._in_line(name, now.members)
        elif now.line:
            raise Unclear("makes a line of one")
        now.line, now.row, now.members = None, None, []

    def _rows_of(self, i: int) -> int:
        """ "two rows of three stars"."""
        number, noun = self.all[i].count or 1, self._ahead(i + 2)
        if noun is None or noun.sort != "noun" or not noun.kind or (noun.count or 1) < 2 or not noun.clear:
            raise Unclear("does not say what is in the rows")
        ids = self.cast.add(noun.kind, number * (noun.count or 1), dict(noun.looks))
        self._settle(ids, i + 2)
        self._in_rows(LINES[self.all[i + 1].word.replace("sof", "of")], ids, noun.count or 1)
        self.now.listed += ids
        self.now.last, self.now.topic, self.now.subject, self.now.touching = ids, ids, ids, True
        return i + 3

    def _in_rows(self, name: str, ids: Sequence[int], each: int) -> None:
        """So many in each row, the rows one after the other."""
        lines = [ids[k : k + each] for k in range(0, len(ids), each)]
        for line in lines:
            self.facts.append((name, tuple(line)))
        for one, other in itertools.pairwise(lines):
            self.facts.append(("above" if name == "row" else "left", (one[0], other[0])))

    def _in_line(self, name: str, ids: Sequence[int]) -> None:
        self.facts.append((name, tuple(ids)))
        if name != "corners":
            self.cast.lines.append(tuple(ids))

    def _row_begins(self, i: int) -> int:
        place = {"toprow": "top", "bottomrow": "bottom"}[self.all[i].word]
        if self.now.touching and self.now.listed and not self.now.row:
            self.cast.put(self.now.listed, place)
            if len(self.now.listed) > 1:
                self._in_line("row", self.now.listed)
            self.now.listed, self.now.touching = [], False
            return i + 1
        self._end_line()
        self.now.row = place
        self.now.listed = []
        return i + 1

    def _corners(self, i: int) -> int:
        """Four alike, or four that are listed before or after."""
        now = self.now
        after = self._ahead(i + 1)
        if now.last and now.touching and len(now.last) in (1, 4):
            chunk = self.all[i - 1]
            if len(now.last) == 1 and (len(now.listed) < 4 or (chunk.sort == "noun" and chunk.det == "each")):
                ids = self.cast.copy(now.last[0], 4)
            else:
                ids = now.last if len(now.last) == 4 else now.listed[-4:]
        elif after and (after.sort == "noun" or after.word == ":" or after.sort == "mark") and not self._ends_here(i):
            now.line, now.members = "corners", []
            if after.sort == "noun" and (after.count or 1) == 1 and not self._lists(i + 1):
                now.line = None
                ids, _ = self.cast.resolve(after, False, [], [])
                ids = self.cast.copy(ids[0], 4)
                self.facts.append(("corners", tuple(ids)))
                now.last, now.topic, now.subject, now.touching = ids, ids, ids, True
                return i + 2
            if after.sort == "noun" and after.count == 4:
                now.line = None
                ids, _ = self.cast.resolve(after, False, [], [])
                self.facts.append(("corners", tuple(ids)))
                now.last, now.topic, now.subject, now.touching = ids, ids, ids, True
                now.listed += ids
                return i + 2
            return i + 1
        elif len(now.last) == 4:
            ids = now.last
        elif self.header == 4 and not self.cast.things:
            now.line, now.members = "corners", []
            return i + 1
        elif len(now.listed) >= 4:
            ids = now.listed[-4:]
        else:
            raise Unclear("does not say what is in the corners")
        self.facts.append(("corners", tuple(ids)))
        now.last = now.subject = ids
        return i + 1

    def _ends_here(self, i: int) -> bool:
        """Whether what was named before is what stands in the corners."""
        return bool(self.now.last) and len(self.now.listed) >= 4

    def _lists(self, i: int) -> bool:
        """Whether three or more things more are listed after a noun."""
        j, more = i + 1, 0
        while j < len(self.all) and self.all[j].word != ".":
            more += self.all[j].sort == "noun" and not self._is_center(j + 1)
            j += 1
        return more >= 3

    def _is_center(self, j: int) -> bool:
        return j < len(self.all) and self.all[j].word == "center"


def _both(one: str, other: str) -> str:
    """Two places that are one: "at the top, on the left"."""
    words = dict.fromkeys(w for w in (*one.split(), *other.split()) if w != "center")
    found = " ".join(sorted(words, key=lambda w: w in ("left", "right"))) or "center"
    if found not in (*CORNERS, "left", "right", "top", "bottom", "center"):
        raise Unclear(f'puts one thing at the "{one}" and at the "{other}"')
    return found
