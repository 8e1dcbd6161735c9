"""The things of a prompt as they come: new ones, those that are meant again, "it" and "them"."""

from __future__ import annotations

from dataclasses import replace

from strata.llm.backends.bundled.grammar.references import Unclear
from strata.llm.backends.bundled.grammar.relating import FACTS, Relating
from strata.llm.backends.bundled.reading.chunks import Chunk


class Naming(Relating):
    """Nouns and pronouns."""

    def _noun(self, i: int) -> int:
        self._fold_place(i)
        chunk = self.all[i]
        if self._is_header(i):
            self.header = chunk.count if (chunk.count or 1) > 1 else self.header
            return i + 1
        if self._counts_all(i):
            self.header = chunk.count
            return i + 1
        if chunk.head in ("one", "ones") and self._shares(i):
            return self._share(i)
        chunk = self._numbered(i)
        if self._elaborates(i):
            ids = self.cast.of_kind(chunk)
            self.cast.describe(ids, chunk.looks)
            self.now.last, self.now.subject, self.now.touching = ids, ids, True
            return i + 1
        if self._may_say_again(chunk) and self._says_again(chunk, i):
            self.cast.describe(self.now.last, chunk.looks)
            self.now.touching = True
            return i + 1
        if i == 2 and self._is_title() and chunk.kind == self.all[0].kind and self._looks_follow(i):
            raise Unclear(f"does not say whether the second {chunk.head} is another one")
        ids, new = self.cast.resolve(chunk, self._refers(i), self.now.last, self.now.topic)
        before = self.all[i - 1] if i and self.all[i - 1].sort == "noun" else None
        if before and before.det == "a" and before.kind and not (chunk.det or chunk.count or chunk.looks):
            raise Unclear(f"says of a {before.head} that it is a {chunk.head}")
        if before and new and chunk.det == "the":
            raise Unclear(f"does not say how the {before.head} and the {chunk.head} stand")
        copula = i > 1 and self.all[i - 1].sort == "is" and self.all[i - 2].sort in ("noun", "bare", "it")
        if copula and self.now.touching and not self.waiting:
            raise Unclear("says of one thing that it is another")
        introduced = self._settle(ids, i)
        self.now.last, self.now.touching = ids, True
        if new:
            if self.now.line or self.now.row:
                self.now.members += ids
            self.now.listed += ids
        follows = self._ahead(i + 1, ("is", "that"))
        beside_it = follows is not None and follows.sort == "link" and self._is_it(self._ahead(self._at(follows) + 1))
        own = follows is not None and follows.word in ("around", "eitherside", "between") and follows.sort == "link"
        if not (introduced or ((beside_it or own) and new and self.now.topic) or (self.now.after_with and new)):
            self.now.topic = ids
        self.now.subject = ids
        copies = chunk.anaphor == "same" or (chunk.anaphor and chunk.kind in (None, "object"))
        return self._changed(i + 1, ids) if new and copies else i + 1

    def _numbered(self, i: int) -> Chunk:
        """A noun, of which one is meant for each corner or side where it is one of several without a number."""
        chunk = self.all[i]
        around = [self.all[k].word for k in (i - 1, i + 1) if 0 <= k < len(self.all)]
        if chunk.plural and chunk.kind and not chunk.count and {"incorners", "eitherside"} & set(around):
            return replace(chunk, count=1)
        return chunk

    def _may_say_again(self, chunk: Chunk) -> bool:
        """Whether a phrase may be another word for the thing before: "a red one", or the same noun with looks."""
        alike = chunk.head == "one" or (bool(self.now.last) and self.cast.things[self.now.last[-1]].kind == chunk.kind)
        one = chunk.det == "a" or (chunk.count == 1 and not chunk.det and chunk.head != "one")
        return alike and one and bool(chunk.looks) and not chunk.anaphor and not chunk.which

    def _says_again(self, chunk: Chunk, i: int) -> bool:
        """Whether "a red one" tells more of the thing before: nothing stands between, or the thing alone was all.

        Behind a comma both are meant by some; only the second of several is clear.
        """
        last = self.now.last
        if len(last) != 1 or self.waiting or self.all[i - 1].word == "and":
            return False
        if len(self.cast.things) != 1 or self.now.line or self.now.row:
            known = self.cast.things[last[0]].looks
            return chunk.head == "one" and self.now.touching and not any(name in known for name, _ in chunk.looks)
        thing = self.cast.things[0]
        if thing.looks or thing.place:
            return False
        if self._is_title():
            return True
        more = [c for c in self.all[i + 1 :] if c.sort in ("noun", "bare") and c.det == "a"]
        if self.now.touching or self._alone(i) or (chunk.head == "one" and self.all[i - 1].word == "," and not more):
            return True
        raise Unclear(f"does not say whether the second {thing.kind or 'object'} is another one")

    def _is_title(self) -> bool:
        """Whether the prompt begins with a bare noun alone, as its title: "heart. one red heart in the middle"."""
        first = self.all[0]
        return first.sort == "noun" and not (first.det or first.count or first.looks) and self.all[1].word == "."

    def _looks_follow(self, i: int) -> bool:
        """Whether a noun without article has its looks behind it: "moon , cyan"."""
        chunk, mark, looks = self.all[i], self._ahead(i + 1), self._ahead(i + 2)
        bare = not (chunk.det or chunk.count) and mark is not None and mark.word == ","
        return bare and looks is not None and looks.sort == "bare"

    def _counts_all(self, i: int) -> bool:
        """Whether a sentence says no more than how many things there are in all, after them: ". two objects"."""
        chunk = self.all[i]
        bare = chunk.kind == "object" and (chunk.count or 1) > 1 and not chunk.looks and not chunk.anaphor
        return bare and bool(self.cast.things) and self._opens(i) and self.all[i - 1].word == "." and self._ends(i + 1)

    def _elaborates(self, i: int) -> bool:
        """Whether a sentence says no more than "a striped fish", after one that tells of a fish among others."""
        chunk = self.all[i]
        if not (
            self._alone(i) and chunk.det == "a" and chunk.looks and chunk.kind and not chunk.anaphor and not chunk.which
        ):
            return False
        alike = self.cast.of_kind(chunk)
        return len(alike) == 1 and not self.cast.things[alike[0]].looks and self._nouns_of_sentence(i - 1) > 1

    def _alone(self, i: int) -> bool:
        """Whether a thing is all that its sentence names, which is not the first: ". a blue moon, on the left"."""
        end = i
        while end < len(self.all) and self.all[end].word != ".":
            end += 1
        return (
            i > 0 and self.all[i - 1].word == "." and not any(c.sort in ("noun", "link") for c in self.all[i + 1 : end])
        )

    def _nouns_of_sentence(self, end: int) -> int:
        """How many things the sentence before a full stop names."""
        start = end
        while start and self.all[start - 1].word != ".":
            start -= 1
        return sum(chunk.sort == "noun" for chunk in self.all[start:end])

    def _settle(self, ids: list[int], i: int) -> bool:
        """Gives things what was said before they were named; whether anything was."""
        for name, others in self.waiting:
            if name.startswith("@"):
                self.cast.put(ids, name[1:])
            else:
                self._relate(ids, name, others)
        found = any(not name.startswith("@") for name, _ in self.waiting)
        self.waiting = []
        if self.now.row and self.all[i].sort == "noun":
            self.cast.put(ids, self.now.row)
        return found

    def _is_header(self, i: int) -> bool:
        """ "four shapes in the corners: …": a number of objects that are listed after it."""
        chunk = self.all[i]
        if chunk.kind != "object" or chunk.looks:
            return False
        j = i + 1
        while j < len(self.all) and (
            self.all[j].sort in ("link", "is") or self.all[j].word == "," or self._plain_one(j)
        ):
            j += 1
        return j < len(self.all) and self.all[j].word == ":"

    def _plain_one(self, j: int) -> bool:
        chunk = self.all[j]
        return chunk.sort in ("bare", "noun") and not chunk.looks and not chunk.kind and chunk.count == 1

    def _refers(self, i: int) -> bool:
        """Whether a noun without article means what was named before: "ring is orange", "sun above boat, … boat"."""
        chunk = self.all[i]
        if chunk.det or chunk.count:
            return False
        before = self.all[i - 1] if i else None
        if before and (before.sort == "link" or before.sort in ("on", "in")):
            return True
        after = self._ahead(i + 1)
        if after is None or after.sort == "mark":
            return (bool(chunk.looks) and after is not None and after.word == ":") or bool(chunk.looks)
        if after.sort == "place":
            return self.cast.unplaced(chunk)
        if after.sort == "bare":
            return not self.cast.contradicts(chunk, after.looks)
        if after.sort in ("is", "in", "with"):
            looks = self._ahead(self._at(after) + 1)
            return not (looks and looks.sort == "bare" and self.cast.contradicts(chunk, looks.looks))
        if after.sort == "link" and after.word in (*FACTS, "front", "behind", "between", "around", "surrounded"):
            other = self._ahead(self._at(after) + 1)
            return other is not None and other.sort == "noun"
        return False

    def _it(self, i: int) -> int:
        """ "it" as the subject of a remark."""
        if self.now.touching and self.all[i - 1].sort == "noun" and self._follows(i + 1, "is"):
            return i + 1
        word = self.all[i].word
        if i and self.all[i - 1].sort == "noun" and self._ends(i + 1):
            raise Unclear(f'has an "{word}" that belongs to nothing')
        if self._follows(i + 1, "mark") and self.all[i + 1].word == ":" and self._follows(i + 2, "noun"):
            raise Unclear(f'does not say what "{word}" does')
        self.now.last = self._meant(word)
        self.now.subject, self.now.touching = self.now.last, True
        return i + 1

    def _meant(self, word: str) -> list[int]:
        """The things that "it" or "them" stands for."""
        now, count = self.now, len(self.cast.things)
        if not count:
            raise Unclear(f'"{word}" refers to nothing before it')
        if word in ("it", "its"):
            ids = now.topic or now.last
            if len(ids) > 1:
                outside = [n for n in range(count) if n not in ids]
                ids = next((group for group in (now.last, now.subject, outside) if len(group) == 1), ids)
            return ids
        if len(now.last) > 1:
            return now.last
        if len(now.topic) > 1:
            return now.topic
        return now.listed if len(now.listed) > 1 else list(range(count))
