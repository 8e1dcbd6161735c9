"""How things stand to each other: relations, and whom they are about."""

from __future__ import annotations

from strata.llm.backends.bundled.grammar.lines import LINES, Lines
from strata.llm.backends.bundled.grammar.references import Unclear

FACTS = {
    "above": "above",
    "below": "below",
    "leftof": "left",
    "rightof": "right",
    "beside": "beside",
    "inside": "inside",
}


class Relating(Lines):
    """Relations of the things before them, or of those that come ("behind the house a tree")."""

    def _in_or_on(self, i: int) -> int:
        after = self._ahead(i + 1)
        if after and after.sort == "bare" and not after.det:
            return i + 1
        if (after and after.sort in ("noun", "it")) or (after and after.sort == "bare" and after.anaphor):
            return self._relation(i)
        if after is None or after.sort == "mark":
            return i + 1
        if after.sort in ("link", "place"):
            return i + 1
        raise Unclear(f'does not know what to make of "{self.all[i].word}"')

    def _relation(self, i: int) -> int:
        word = {"in": "inside", "on": "above"}.get(self.all[i].word, self.all[i].word)
        now = self.now
        before = now.last if now.touching else []
        if self.all[i - 1].sort == "with" and word == "inside" and now.last and self._holds_next(i + 1):
            self.waiting.append((word, now.last))
            return i + 1
        others, j = self._objects(i + 1, word)
        if not before:
            j = self._place_of_objects(others, j, i)
        if now.line and now.members and self._fresh:
            now.members += [n for n in others if n not in now.members]
        after = self._ahead(j, ("is",))
        thing = after is not None and self._names(self._at(after))
        if not before or (others and set(others) == set(before)) or self.all[i - 1].sort == "with":
            k = j
            while k < len(self.all) and self.all[k].sort in ("is", "mark") and self.all[k].word not in ("and", "."):
                k += 1
            later = k < len(self.all) and self._names(k)
            starts = self._starts(i) or self.all[i - 1].sort == "with" or bool(self.waiting)
            if (starts and k < len(self.all)) and (
                self.all[k].word in (*FACTS, "front", "behind") or self.all[k].sort == "place"
            ):
                later = True
            pointing = self._is_it(self._ahead(i + 1)) or not self._fresh
            if thing or (later and (starts or pointing)):
                if word in ("eitherside",) and not others:
                    others = now.topic or now.last
                self.waiting.append((word, others))
                now.touching = False
                now.inverted = (word, [])
                return j
            before = now.subject or now.last
            if set(before) & set(others):
                before = [n for n in now.last if n not in others]
        if not before:
            raise Unclear(f'does not say what is "{word}"')
        self._relate(before, word, others)
        now.subject = before
        if word not in ("around",) and self._fresh:
            now.topic = others or now.topic
        now.last, now.touching = (others if self._fresh and others else before), True
        return j

    def _names(self, j: int) -> bool:
        """Whether a thing, or a line of them, is named here."""
        chunk = self.all[j]
        return chunk.sort == "noun" or chunk.word in ("rowof", "columnof") or self._is_reference(j)

    def _holds_next(self, i: int) -> bool:
        """Whether what stands inside comes next, and nothing after it: "a ring containing a star"."""
        chunk, after = self._ahead(i), self._ahead(i + 1)
        return chunk is not None and chunk.sort == "noun" and (after is None or after.sort != "noun")

    def _place_of_objects(self, ids: list[int], j: int, i: int) -> int:
        """Puts the objects of a relation that comes before its thing: "under the star on the right a house"."""
        if not self._follows(j, "place"):
            return j
        k = j + 1
        while k < len(self.all) and (self.all[k].sort == "is" or (self.all[k].word == "," and self._starts(i))):
            k += 1
        if k == len(self.all) or not self._names(k):
            return j
        place = self.all[j].word
        known = [had for n in ids if not self._fresh and (had := self.cast.things[n].place)]
        if any(not set(place.split()) <= set(had.split()) for had in known):
            raise Unclear(f"does not say what is at the {place}")
        if not known:
            self.cast.put(ids, place)
        return j + 1

    def _starts(self, i: int) -> bool:
        return i == 0 or self.all[i - 1].word == "."

    _fresh = False
    """Whether the objects of the last relation were named by it for the first time."""

    def _objects(self, i: int, word: str) -> tuple[list[int], int]:
        """The things after a relation, and where they end."""
        self._fold_place(i)
        chunk = self._ahead(i)
        count = len(self.cast.things)
        self._fresh = False
        if chunk is None or chunk.sort in ("mark", "is"):
            if word == "eitherside" or (word == "between" and count >= 2):
                return self._two() if word == "between" else [], i
            if not count:
                raise Unclear(f'does not say what something is "{word}"')
            return self._of_it(word), i
        if (
            chunk.sort == "it"
            and word in ("above", "below", "inside")
            and count == len(self.now.last)
            and self.now.touching
        ):
            return [], i + 1
        if chunk.sort == "it":
            return (self._two() if word == "between" else self._of_it(word, chunk.word)), i + 1
        if chunk.sort == "bare" and chunk.det in ("both", "all"):
            return (self._two() if word == "between" else self._everyone(chunk.det)), i + 1
        if (
            word == "between"
            and count >= 2
            and chunk.sort == "noun"
            and chunk.det == "a"
            and not self._and_thing(i + 1)
        ):
            return self._two(), i
        if chunk.sort == "noun" and word == "eitherside" and self.now.last and not self.now.touching:
            return [], i
        line = LINES[chunk.word] if chunk.word in ("rowof", "columnof") else None
        if line:
            i += 1
            chunk = self._ahead(i) or chunk
        if chunk.sort not in ("noun", "bare"):
            raise Unclear(f'does not say what something is "{word}"')
        if chunk.sort == "bare" and not (chunk.which or chunk.anaphor or chunk.det == "the"):
            raise Unclear(f'does not say what something is "{word}"')
        ids, new = self.cast.resolve(chunk, self._refers(i), self.now.last, self.now.topic)
        if new:
            self.now.listed = [n for n in self.now.listed if n not in ids]
        if line:
            self._in_line(line, ids)
        i = self._modifiers(ids, i + 1)
        if word in ("between", "flanked", "surrounded") and len(ids) == 1:
            follows = self._ahead(i)
            self._fold_place(i + 1)
            other = self._ahead(i + 1)
            if follows and follows.word in ("and", ",") and other and other.sort in ("noun", "bare"):
                more, _ = self.cast.resolve(other, self._refers(i + 1), ids, ids)
                ids, i = [*ids, *more], i + 2
        self._fresh = new or self._fresh
        return ids, i

    def _and_thing(self, i: int) -> bool:
        """Whether another thing is joined here: "between a house and a tree"."""
        follows, other = self._ahead(i), self._ahead(i + 1)
        joined = follows is not None and follows.word in ("and", ",")
        return joined and other is not None and other.sort in ("noun", "bare")

    def _modifiers(self, ids: list[int], i: int) -> int:
        """Looks after a noun that are its own: "in red", "that is striped", ", yellow,"; returns where they end."""
        while True:
            j = i
            while j < len(self.all) and self.all[j].sort in ("in", "with", "that", "is"):
                j += 1
            aside = j == i and j < len(self.all) and self.all[j].word == ","
            looks = self.all[j + aside] if j + aside < len(self.all) else None
            if (j == i and not aside) or looks is None or looks.sort != "bare" or not looks.clear:
                return i
            if looks.det or looks.count or looks.which or looks.anaphor:
                return i
            end = j + aside + 1
            if aside and not (end < len(self.all) and self.all[end].word == ","):
                return i
            self.cast.describe(ids, looks.looks)
            i = end

    def _two(self) -> list[int]:
        now, count = self.now, len(self.cast.things)
        for group in (now.last, now.topic, now.listed, list(range(count))):
            if len(group) == 2:
                return group
        if now.touching and len(now.last) == 1:
            rest = [n for n in now.listed if n not in now.last]
            rest = rest if len(rest) >= 2 else [n for n in range(count) if n not in now.last]
            if len(rest) == 2:
                return rest
        raise Unclear("does not say between whom")

    def _of_it(self, word: str, said: str = "it") -> list[int]:
        now = self.now
        if now.inverted and now.inverted[0] == word and now.inverted[1] and not now.touching:
            return now.inverted[1]
        ids = self._meant(said)
        if now.touching and set(ids) & set(now.last):
            if said == "them":
                listed = [n for n in now.listed if n not in now.last]
                ids = listed if len(listed) > 1 else [n for n in range(len(self.cast.things)) if n not in now.last]
            else:
                ids = [n for n in ids if n not in now.last] or self._before(now.last)
        return ids

    def _before(self, ids: list[int]) -> list[int]:
        found = [n for n in range(len(self.cast.things)) if n not in ids]
        return self.cast.group_of(found[-1]) if found else ids

    def _relate(self, ones: list[int], word: str, others: list[int]) -> None:
        """Takes down a relation between the things of two phrases."""
        now = self.now
        if not others and word in ("above", "below", "inside"):
            if word != "inside":
                self.cast.put(ones, {"above": "top", "below": "bottom"}[word])
            return
        if now.inverted is not None:
            now.inverted = (now.inverted[0], list(ones))
        if word == "eitherside" and len(ones) == 1 and len(others) == 1:
            ones = self.cast.copy(ones[0], 2)
            now.last = ones
            self.facts.append(("between", (others[0], *ones)))
            return
        if word == "eitherside" and len(ones) == 1 and not others:
            middle = self._before(ones)
            ones = self.cast.copy(ones[0], 2)
            now.last, others = ones, middle
        if word == "eitherside" and not others:
            others = self._before(ones)
        if not others or set(ones) & set(others):
            raise Unclear(f'does not say what something is "{word}"')
        if word in ("flanked", "surrounded", "around", "eitherside", "between"):
            self._in_the_middle(ones, word, others)
            return
        if word in ("front", "behind"):
            before, back = (ones, others) if word == "front" else (others, ones)
            self.facts += [("front", (*before, one)) for one in back]
            return
        self.facts += [(FACTS[word], (one, other)) for one in ones for other in others]

    def _in_the_middle(self, ones: list[int], word: str, others: list[int]) -> None:
        if word in ("around", "eitherside"):
            ones, others = others, ones
        if len(ones) > 1 and word == "between" and len(others) == 2:
            for one in ones:
                self.facts.append(("between", (one, *others)))
        elif len(ones) > 1:
            raise Unclear(f'does not say who is in the middle of "{word}"')
        elif len(others) == 1 and word in ("around", "surrounded"):
            self.facts.append(("inside", (ones[0], others[0])))
        elif len(others) == 2:
            self.facts.append(("between", (ones[0], *others)))
        elif len(others) > 2 and word in ("around", "surrounded"):
            self.facts.append(("ring", (ones[0], *others)))
        else:
            raise Unclear(f'does not say what is on both sides of "{word}"')
