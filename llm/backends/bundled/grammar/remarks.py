"""What is said of things: looks, of one, of all, of some of a group."""

from __future__ import annotations

from strata.llm.backends.bundled.grammar.naming import Naming
from strata.llm.backends.bundled.grammar.references import Unclear


class Remarks(Naming):
    """Phrases without a noun."""

    def _bare(self, i: int) -> int:
        chunk, now = self.all[i], self.now
        after = self._ahead(i + 1)
        if chunk.det in ("all", "both", "each") and not chunk.anaphor:
            return self._of_all(i)
        if chunk.count == 1 and not chunk.looks and after and after.word in ("inrow", "incolumn"):
            return i + 1
        if after and after.word in ("rowsof", "columnsof"):
            return self._rows_of(i)
        if (chunk.count or chunk.det == "a") and not chunk.which and self._shares(i):
            return self._share(i)
        if chunk.anaphor or chunk.which or (chunk.det == "the" and (chunk.looks or chunk.count)):
            return self._referring(i)
        if chunk.count == 1 and not chunk.looks and after and after.word == "incorners":
            return i + 1
        if chunk.det or chunk.count:
            return self._noun_left_out(i)
        if not chunk.looks:
            raise Unclear("has words that belong to nothing")
        if not now.last:
            if after and after.word == ":":
                self.common += chunk.looks
                return i + 2
            raise Unclear("tells looks before any object")
        several, j = self._row_of_looks(i)
        if len(several) > 1 and len(several) == len(now.last):
            for number, (looks, place) in zip(now.last, several, strict=True):
                self.cast.describe([number], looks)
                if place:
                    self.cast.put([number], place)
            return j
        if not chunk.clear:
            raise Unclear(f"tells two {chunk.looks[0][0]}s of one thing")
        if self._of_whom(i):
            raise Unclear(f'does not say of whom "{chunk.looks[0][1]}" is said')
        target = now.last
        if i and self.all[i - 1].sort == "is" and not self._subject_right_before(i - 1):
            target = now.subject
        if self._opens(i) and self._continues(i):
            return self._share(i)
        self.cast.describe(target, chunk.looks)
        if self._opens(i):
            now.aside = now.touching = True
        return i + 1

    def _of_whom(self, i: int) -> bool:
        """Whether looks stand alone behind a list of things or shares, the last of which or all could be meant."""
        chunk, before = self.all[i], self.all[i - 1]
        if not self._ends(i + 1) or (i + 1 < len(self.all) and self.all[i + 1].word != "."):
            return False
        if before.word == ".":
            return self._nouns_of_sentence(i - 1) > 1
        group = self.cast.group_of(self.now.last[0])
        told = any(name in self.cast.things[n].looks for n in group for name, _ in chunk.looks)
        return before.sort == "in" and self.all[i - 2].word == "," and len(self.now.last) < len(group) and not told

    def _continues(self, i: int) -> bool:
        """Whether looks tell the next of a group: "one red on the left, yellow in the middle"."""
        names = {name for name, _ in self.all[i].looks}
        last = self.now.last
        return (
            len(last) == 1
            and bool(names & set(self.cast.things[last[0]].looks))
            and len(self.cast.group_of(last[0])) > 1
            and bool(self.cast.open_group(last))
        )

    def _subject_right_before(self, i: int) -> bool:
        return i > 0 and self.all[i - 1].sort in ("noun", "it", "bare", "that")

    def _row_of_looks(self, i: int) -> tuple[list[tuple[list[tuple[str, str]], str]], int]:
        """Looks one after the other, each of the same attribute, some with a place: "red, yellow and green"."""
        first = self.all[i]
        if not first.clear:
            names = {name for name, _ in first.looks}
            return ([([look], "") for look in first.looks] if len(names) == 1 else []), i + 1
        found: list[tuple[list[tuple[str, str]], str]] = []
        j = i
        while j < len(self.all):
            chunk = self.all[j]
            if chunk.sort != "bare" or chunk.det or chunk.count or chunk.which or chunk.anaphor:
                break
            if [name for name, _ in chunk.looks] != [name for name, _ in first.looks]:
                break
            j += 1
            place = self.all[j].word if j < len(self.all) and self.all[j].sort == "place" else ""
            j += bool(place)
            found.append((list(chunk.looks), place))
            after = j
            while j < len(self.all) and self.all[j].word in (",", "and"):
                j += 1
            if j == after:
                break
        return found, after if found else i + 1

    def _of_all(self, i: int) -> int:
        """ "all of them striped", "both in red", "each in its own corner"."""
        chunk = self.all[i]
        j = i + 1
        if i and self.all[i - 1].sort == "is" and self.now.subject:
            ids = self.now.subject
        else:
            ids = self._everyone(chunk.det, chunk.count)
        if self._is_it(self._ahead(j)):
            j += 1
        while j < len(self.all) and self.all[j].sort in ("is", "in", "with"):
            j += 1
        listed = self._ahead(j + 1)
        if not chunk.looks and j < len(self.all) and self.all[j].word == "," and listed and listed.sort == "bare":
            j += not (listed.det or listed.count or listed.which)
        looks = chunk.looks
        after = self._ahead(j)
        if not looks and after and after.sort == "bare" and not after.det:
            looks, j = after.looks, j + 1
        if not looks and after and after.sort in ("link", "place"):
            self.now.last = self.now.subject = ids
            self.now.touching = True
            return j
        if not looks:
            before = self.all[i - 2] if i > 1 and self.all[i - 1].word == "," else None
            if before and before.sort == "bare" and before.looks and (i == 2 or self.all[i - 3].word == "."):
                self.cast.describe(ids, before.looks)
            if self._ends(j):
                return j
            raise Unclear(f'does not say what is of "{chunk.det}"')
        if not self.cast.things:
            self.common += looks
            return j
        if len({name for name, _ in looks}) != len(looks):
            raise Unclear("tells two looks of all")
        self.cast.describe(ids, looks)
        return j

    def _everyone(self, det: str, count: int | None = None) -> list[int]:
        everyone = list(range(len(self.cast.things)))
        now = self.now
        if count:
            for group in (now.last, now.topic, now.listed, everyone):
                if len(group) == count:
                    return group
            raise Unclear(f"does not say which {count} are meant")
        if det == "both" or (det == "each" and len(now.last) > 1):
            if len(now.last) == 2 or len(everyone) == 2:
                return now.last if len(now.last) == 2 else everyone
            if det == "each":
                return now.last
            if len(now.listed) >= 2:
                return now.listed[-2:]
            return everyone[-2:]
        if 1 < len(now.last) < len(everyone) and now.touching:
            raise Unclear(f'does not say of whom "{det}" is said')
        return everyone

    def _shares(self, i: int) -> bool:
        """Whether a number with looks tells some of a group: "two stars, one red and one blue"."""
        chunk, group = self.all[i], self.cast.open_group(self.now.last)
        if not group or chunk.det == "the" or chunk.which or chunk.anaphor:
            return False
        total, j = 0, i
        while j < len(self.all):
            other = self.all[j]
            if other.sort in ("bare", "noun"):
                if other.kind or other.which:
                    break
                if other.anaphor == "other":
                    total = len(group)
                    break
                total += other.count or (1 if other.det == "a" else 0)
            elif other.sort not in ("mark", "place", "in", "at", "is", "with") or (other.word == "." and total):
                break
            j += 1
        return total == len(group) or (0 < total < len(group) and chunk.sort == "bare" and chunk.det != "a")

    def _share(self, i: int) -> int:
        """Tells some of a group apart."""
        chunk = self.all[i]
        group = self.cast.open_group(self.now.last)
        taken = group[: chunk.count or 1]
        self.cast.part(group, taken)
        if chunk.looks:
            self.cast.describe(taken, chunk.looks)
        self.now.last = self.now.subject = taken
        self.now.touching = True
        return i + 1

    def _referring(self, i: int) -> int:
        """ "the left one is red, the other blue", "the same in green", "another"."""
        chunk = self.all[i]
        if not (chunk.which or chunk.anaphor or chunk.count) and i and self.all[i - 1].sort == "noun":
            raise Unclear(f'does not say what of the {self.all[i - 1].head} "the {chunk.looks[0][1]}" is')
        ids, new = self.cast.resolve(chunk, True, self.now.last, self.now.topic)
        introduced = self._settle(ids, i)
        if new:
            self.now.listed += ids
            if self.now.line or self.now.row:
                self.now.members += ids
        self.now.last, self.now.subject, self.now.touching = ids, ids, True
        if not introduced:
            self.now.topic = ids
        return self._changed(i + 1, ids) if new and chunk.anaphor in ("same", "another") else i + 1

    def _changed(self, i: int, ids: list[int]) -> int:
        """What is other about a copy: "the same, but in blue"."""
        j = i
        while j < len(self.all) and (
            self.all[j].sort in ("in", "with", "that", "is") or self.all[j].word in ("but", ",")
        ):
            j += 1
        looks = self.all[j] if j < len(self.all) else None
        if looks is None or looks.sort != "bare" or looks.det or looks.count or looks.which or looks.anaphor:
            return i
        self.cast.change(ids[0], looks.looks)
        return j + 1

    def _noun_left_out(self, i: int) -> int:
        """ "a red and a blue house": the noun comes with the next."""
        chunk = self.all[i]
        j = i + 1
        while j < len(self.all) and (self.all[j].sort == "bare" or self.all[j].word in (",", "and")):
            j += 1
        noun = self.all[j] if j < len(self.all) else None
        if noun is None or noun.sort != "noun" or not noun.kind or self.all[j - 1].sort == "bare" or not chunk.looks:
            raise Unclear("leaves out a noun")
        ids = self.cast.add(noun.kind, chunk.count or 1, dict(chunk.looks))
        self._settle(ids, i)
        self.now.listed += ids
        if self.now.line or self.now.row:
            self.now.members += ids
        self.now.last, self.now.topic, self.now.subject, self.now.touching = ids, ids, ids, True
        return i + 1
