"""The things of a prompt as they are named: new ones, and those that a phrase means of the ones before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from strata.llm.backends.bundled.reading.chunks import ORDINALS, Chunk
from strata.llm.backends.bundled.reading.vocabulary import SIDES


class Unclear(Exception):
    """What a prompt leaves unclear."""


@dataclass
class Named:
    """A thing as far as it is told."""

    kind: str | None
    looks: dict[str, str] = field(default_factory=dict)
    place: str | None = None
    group: int = 0
    """Things of one phrase share it."""


_PLACES = {"topleft": "top left", "topright": "top right", "bottomleft": "bottom left", "bottomright": "bottom right"}


class Cast:
    """All things named so far."""

    def __init__(self) -> None:
        self.things: list[Named] = []
        self.lines: list[tuple[int, ...]] = []
        """Things that stand in a row or a column, in order."""
        self._groups = 0
        self._parts: dict[int, set[int]] = {}
        """Of each group the things that were told apart."""

    def add(self, kind: str | None, count: int, looks: dict[str, str]) -> list[int]:
        """New things alike."""
        self._groups += 1
        start = len(self.things)
        name = None if kind == "object" else kind
        self.things += [Named(name, dict(looks), None, self._groups) for _ in range(count)]
        return list(range(start, start + count))

    def copy(self, number: int, count: int) -> list[int]:
        """The thing, and so many less one more like it."""
        thing = self.things[number]
        start = len(self.things)
        self.things += [Named(thing.kind, dict(thing.looks), thing.place, thing.group) for _ in range(count - 1)]
        return [number, *range(start, start + count - 1)]

    def describe(self, ids: Iterable[int], looks: Iterable[tuple[str, str]]) -> None:
        """Tells looks of things; what contradicts an earlier word is unclear."""
        for number in ids:
            for name, value in looks:
                had = self.things[number].looks.setdefault(name, value)
                if had != value:
                    raise Unclear(f"tells {had} and {value} of one {self.things[number].kind or 'object'}")

    def put(self, ids: Iterable[int], place: str) -> None:
        """Tells where things are."""
        for number in ids:
            had = self.things[number].place
            if had and had != place:
                if not set(had.split()) <= set(place.split()) and not set(place.split()) <= set(had.split()):
                    if {had, place} in ({"top", "left"}, {"top", "right"}, {"bottom", "left"}, {"bottom", "right"}):
                        place = " ".join(sorted((had, place), key=lambda w: w in ("left", "right")))
                    else:
                        raise Unclear(f'puts one thing at the "{had}" and at the "{place}"')
                place = max(had, place, key=len)
            self.things[number].place = place

    def group_of(self, number: int) -> list[int]:
        """The things that were named in one phrase with this one."""
        group = self.things[number].group
        return [i for i, thing in enumerate(self.things) if thing.group == group]

    def open_group(self, last: Sequence[int]) -> list[int]:
        """The members of the last group of several that were not told apart yet."""
        for number in [*last, *range(len(self.things) - 1, -1, -1)]:
            group = self.group_of(number)
            if len(group) > 1:
                return [i for i in group if i not in self._parts.get(self.things[number].group, set())]
        return []

    def part(self, group: Sequence[int], taken: Sequence[int]) -> None:
        """Tells some of a group apart."""
        if not taken or not set(taken) <= set(group):
            raise Unclear("tells more of a group than there are")
        self._parts.setdefault(self.things[taken[0]].group, set()).update(taken)

    def known(self, chunk: Chunk) -> bool:
        """Whether something of a noun's kind was named before."""
        return any(self.of_kind(chunk))

    def unplaced(self, chunk: Chunk) -> bool:
        """Whether things of a noun's kind have no place yet."""
        return not any(self.things[i].place for i in self.of_kind(chunk))

    def contradicts(self, chunk: Chunk, looks: Iterable[tuple[str, str]]) -> bool:
        """Whether looks are other than those told of all things of a noun's kind."""
        alike = self.of_kind(chunk)
        return bool(alike) and all(
            any(self.things[i].looks.get(name, value) != value for name, value in looks) for i in alike
        )

    def of_kind(self, chunk: Chunk) -> list[int]:
        """The things of a noun's kind."""
        name = None if chunk.kind == "object" else chunk.kind
        return [i for i, thing in enumerate(self.things) if thing.kind == name]

    def resolve(self, chunk: Chunk, refers: bool, last: Sequence[int], topic: Sequence[int]) -> tuple[list[int], bool]:
        """The things that a phrase means, and whether it names them for the first time."""
        if not chunk.clear and chunk.kind and (chunk.count or 1) == 1:
            raise Unclear(f"tells two {chunk.looks[0][0]}s of one {chunk.kind}")
        if chunk.anaphor:
            return self._anaphor(chunk, last)
        if chunk.which in ORDINALS[:3] and chunk.kind and ORDINALS.index(chunk.which) == len(self.of_kind(chunk)) > 0:
            return self.add(chunk.kind, 1, dict(chunk.looks)), True
        if chunk.which:
            return self._which(chunk, last), False
        if chunk.head in ("one", "ones") or not chunk.kind:
            return self._one(chunk, last)
        again = chunk.plural and not chunk.count and len(self.of_kind(chunk)) > 1
        definite = chunk.det in ("the", "both", "each", "all") or refers or again
        if definite and (found := self._meant(chunk)):
            return found, False
        count = chunk.count or (2 if chunk.det == "both" else 1)
        if chunk.plural and not chunk.count and chunk.det != "both":
            count = self._bare_plural(chunk)
        if not chunk.clear:
            if len(chunk.looks) != count:
                raise Unclear(f"tells {len(chunk.looks)} {chunk.looks[0][0]}s of {count}")
            ids = self.add(chunk.kind, count, {})
            for number, look in zip(ids, chunk.looks, strict=True):
                self.describe([number], [look])
            return ids, True
        return self.add(chunk.kind, count, dict(chunk.looks)), True

    @staticmethod
    def _bare_plural(chunk: Chunk) -> int:
        """Plurals without a number are four in the corners and two on both sides; elsewhere they are refused."""
        raise Unclear(f'does not say how many "{chunk.head}"')

    def _meant(self, chunk: Chunk) -> list[int]:
        """The things before that a definite phrase means; none where it names something new."""
        alike = self.of_kind(chunk)
        if not alike:
            return []
        fitting = [i for i in alike if all(self.things[i].looks.get(n) == v for n, v in chunk.looks)]
        open_ones = [i for i in alike if all(self.things[i].looks.get(n, v) == v for n, v in chunk.looks)]
        many = chunk.plural or chunk.det in ("each", "all", "both")
        if chunk.count and chunk.count > 1:
            return fitting if len(fitting) == chunk.count else []
        if fitting and chunk.looks:
            if many or len({self.things[i].group for i in fitting}) == 1:
                return fitting
            raise Unclear(f"does not say which {chunk.kind} is meant")
        if chunk.looks:
            if chunk.kind in ("sun", "moon"):
                return []
            one_group = len({self.things[i].group for i in open_ones}) == 1 and (many or not chunk.det)
            if (len(open_ones) == 1 or one_group) and not (set(self.things[open_ones[0]].looks) and not chunk.det):
                self.describe(open_ones, chunk.looks)
                return open_ones
            if chunk.det == "the" and open_ones:
                raise Unclear(f"does not say which {chunk.kind} is meant")
            return []
        if many:
            return alike
        if len(alike) > 1 and chunk.kind in ("sun", "moon"):
            return []
        if len(alike) > 1:
            raise Unclear(f"does not say which {chunk.kind} is meant")
        return alike

    def _one(self, chunk: Chunk, last: Sequence[int]) -> tuple[list[int], bool]:
        """ "the yellow one", "two blue ones"."""
        if not self.things:
            raise Unclear(f'"{chunk.head or "the"}" refers to nothing before it')
        if chunk.det == "the":
            fitting = [
                i for i, t in enumerate(self.things) if chunk.looks and all(t.looks.get(n) == v for n, v in chunk.looks)
            ]
            if chunk.count and not chunk.looks:
                group = list(last) if len(last) == chunk.count else list(range(len(self.things)))
                if len(group) == chunk.count:
                    return group, False
            if fitting and (len(fitting) == 1 or chunk.head == "ones" or chunk.count == len(fitting)):
                return fitting, False
            names = {name for name, _ in chunk.looks}
            open_ones = [i for i in self.open_group(last) if not names & set(self.things[i].looks)]
            if not fitting and open_ones and chunk.looks and (chunk.count or 1) == 1 and chunk.head != "ones":
                self.part(open_ones, open_ones[:1])
                self.describe(open_ones[:1], chunk.looks)
                return open_ones[:1], False
            raise Unclear('does not say which "one" is meant')
        kind = self.things[last[-1] if last else -1].kind
        if chunk.head not in ("one", "ones"):
            raise Unclear("leaves out a noun")
        count = chunk.count or 1
        if chunk.head == "ones" and not chunk.count:
            group = list(last) if len(last) > 1 else []
            if not group:
                raise Unclear('does not say how many "ones"')
            self.describe(group, chunk.looks)
            return group, False
        if not chunk.clear:
            raise Unclear("tells two looks of one")
        return self.add(kind or "object", count, dict(chunk.looks)), True

    def _anaphor(self, chunk: Chunk, last: Sequence[int]) -> tuple[list[int], bool]:
        """ "the other", "another star", "the same in green"."""
        if not self.things:
            raise Unclear(f'"{chunk.anaphor}" refers to nothing before it')
        model = self.things[last[0] if last else -1]
        if chunk.anaphor == "other":
            return self._others(chunk, last), False
        if chunk.anaphor == "another" and chunk.kind:
            return self.add(chunk.kind, chunk.count or 1, dict(chunk.looks)), True
        if chunk.kind and chunk.kind not in ("object", model.kind):
            raise Unclear(f'does not say what "same" means of a {chunk.kind}')
        looks = {**model.looks, **dict(chunk.looks)}
        return self.add(model.kind or "object", 1, looks), True

    def change(self, number: int, looks: Iterable[tuple[str, str]]) -> None:
        """Tells what is other about a copy."""
        self.things[number].looks |= dict(looks)

    def _others(self, chunk: Chunk, last: Sequence[int]) -> list[int]:
        for number in [*last, *range(len(self.things) - 1, -1, -1)]:
            group = self.group_of(number)
            apart = self._parts.get(self.things[number].group, set())
            if len(group) > 1 and apart:
                rest = [i for i in group if i not in apart]
                if not rest:
                    continue
                self.part(group, rest)
                if chunk.looks:
                    self.describe(rest, chunk.looks)
                return rest
        rest = [i for i in range(len(self.things)) if i not in last]
        if chunk.kind and chunk.kind != "object":
            rest = [i for i in rest if self.things[i].kind == chunk.kind]
        if not rest or not last or (chunk.count or len(rest)) != len(rest):
            raise Unclear('does not say which is "the other"')
        if chunk.looks:
            self.describe(rest, chunk.looks)
        return rest

    def _which(self, chunk: Chunk, last: Sequence[int]) -> list[int]:
        """ "the left one", "the second", "the top right star"."""
        pool = list(range(len(self.things)))
        if chunk.kind and chunk.kind != "object":
            pool = [i for i in pool if self.things[i].kind == chunk.kind]
        group = self.group_of(last[0]) if last and len(self.group_of(last[0])) > 1 else pool
        group = [i for i in group if i in pool]
        if chunk.which in ORDINALS:
            if chunk.count and chunk.which in ("first", "last") and chunk.count <= len(group):
                some = group[: chunk.count] if chunk.which == "first" else group[-chunk.count :]
                return self._told_apart(group, some, chunk)
            at = -1 if chunk.which == "last" else ORDINALS.index(chunk.which)
            if not group or at >= len(group) or (chunk.count or 1) > 1:
                raise Unclear(f'has no "{chunk.which}"')
            return self._told_apart(group, [group[at]], chunk)
        place = _PLACES.get(chunk.which, chunk.which)
        for line in self.lines:
            if set(line) <= set(group) and " " not in place:
                at = {"left": 0, "top": 0, "center": len(line) // 2}.get(place, -1)
                return self._told_apart(line, [line[at]], chunk)
        there = [
            i for i in group if self.things[i].place and set(place.split()) <= set(str(self.things[i].place).split())
        ]
        if len(there) == 1:
            return self._told_apart(group, there, chunk)
        free = [i for i in group if self.things[i].place is None and i not in self._parts.get(self.things[i].group, ())]
        if there or not free or len(self.group_of(free[0])) < 2 or chunk.which not in SIDES:
            raise Unclear(f'does not say which is the "{chunk.which}" one')
        self.put([free[0]], place)
        return self._told_apart(group, [free[0]], chunk)

    def _told_apart(self, group: Sequence[int], ids: list[int], chunk: Chunk) -> list[int]:
        if len({self.things[i].group for i in group}) == 1 and len(group) > 1:
            self._parts.setdefault(self.things[ids[0]].group, set()).update(ids)
        if chunk.looks:
            self.describe(ids, chunk.looks)
        return ids
