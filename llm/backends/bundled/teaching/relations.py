"""Prompts that tell how things stand to each other: pairs, chains, circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from strata.llm.backends.bundled.placement import Column, Front, Inside, Row, Tree, flat_row, ring
from strata.llm.backends.bundled.teaching.lists import Lists
from strata.llm.backends.bundled.teaching.voice import BESIDE_SAID, HOLDERS, INSIDE_SAID, Part
from strata.llm.backends.bundled.world import KINDS, Thing


def opposite(relation: str) -> str:
    """The relation the other way round, of the four sides; others stay."""
    return {"above": "below", "below": "above", "left": "right", "right": "left"}.get(relation, relation)


class Relations(Lists):
    """Patterns that tell how things stand to each other: pairs, chains, circles."""

    def pair(self, depth: int = 0) -> Part:
        """Things in a relation, each of which may be a group: "three stars above a house"."""
        relation = self.pick(("above", "above", "below", "left", "right", "beside", "inside", "front", "behind"))
        numbers = [1, 1]
        if relation in ("above", "below", "left", "right", "beside") and self.chance(0.22):
            numbers = [self.rng.choice((1, 2, 2, 3, 4)), 1] if self.chance(0.7) else [1, self.rng.choice((2, 2, 3))]
        a, b = self.thing(), self.thing()
        if relation == "inside":
            b = replace(b, kind=self.pick(HOLDERS))
        if relation == "front" and self.chance(0.15):
            numbers = [self.rng.choice((2, 2, 3)), 1]
        if relation in ("above", "below") and self.chance(0.12):
            numbers = [self.rng.choice((1, 2, 3, 3, 4)), self.rng.choice((2, 3, 3, 4))]
        first, second = (
            f"a row of {self.many(t, n)}"
            if n > 1 and relation in ("above", "below") and self.chance(0.35)
            else self.group(t, n)
            for t, n in ((a, numbers[0]), (b, numbers[1]))
        )
        if b.kind == a.kind and numbers == [1, 1] and (b.colour or b.surface) and self.chance(0.5):
            second = self.said(b, noun="one")
        it = "it" if numbers[0] == 1 else "them"
        inverse = {
            "above": "below",
            "below": "above",
            "left": "right",
            "right": "left",
            "front": "behind",
            "behind": "front",
        }
        form = self.rng.randrange(12)
        back = inverse.get(relation, relation)
        if relation == "inside":
            back = "around"
        if form < 5:
            text = f"{first} {self.verb()}{self.link(relation)} {second}"
        elif form < 7 and relation != "inside":
            follow = self.of_it(back, it)
            text = f"{first}{self.pick((' with ', ' and ', ', ', ' and then '))}{second} {follow}"
        elif form < 7:
            text = f"{second}{self.pick((' with ', ' with ', ' and '))}{first} {self.of_it('inside')}"
            if b.kind in ("circle", "square", "ring", "heart", "star") and self.chance(0.3):
                text = f"{second} with {first} {self.pick(('in its middle', 'in the middle', 'in the center'))}"
            numbers, a, b = [1, 1], b, a
            return Part(text, (a, b), Inside(1, 0))
        elif form < 9:
            link = self.link(relation)
            if numbers[1] == 1 and self.chance(0.3):
                second = self.said(b, "the")
            text = f"{link} {second}{self.pick((' ', ', ', ' there is ', ' is ', ' put '))}{first}"
            tree = self.related(relation, list(range(numbers[1], sum(numbers))), list(range(numbers[1])))
            return Part(text, (*[b] * numbers[1], *[a] * numbers[0]), tree)
        elif form < 11 and relation != "inside":
            follow = self.of_it(back, it)
            link, verb = self.pick((", ", ". ", " and ")), self.pick((" ", " ", " there is ", " put "))
            text = f"{first}{link}{follow}{verb}{second}"
        elif relation in ("left", "right", "above", "below"):
            text = f"{first}. {second} is {self.link(back)} {self.said(Thing(a.kind), 'the')}"
            if numbers[0] > 1 or a.kind == b.kind:
                return self.pair(depth)
        elif relation == "inside":
            text = f"{second} {self.pick(('around', 'containing', 'surrounding'))} {first}"
            return Part(text, (b, a), Inside(1, 0))
        else:
            text = f"{first} {self.verb()}{self.link(relation)} {second}"
        ours, theirs = list(range(numbers[0])), list(range(numbers[0], sum(numbers)))
        return Part(text, (*[a] * numbers[0], *[b] * numbers[1]), self.related(relation, ours, theirs))

    def within(self) -> Part:
        """Several things in one, or one in one in one."""
        a = replace(self.thing(), kind=self.pick(HOLDERS))
        b, c = self.thing(), self.thing()
        if self.chance(0.4):
            b = replace(b, kind=self.pick(HOLDERS))
            link = self.pick(INSIDE_SAID[:3])
            if self.chance(0.5):
                return Part(
                    f"{self.said(c)} {link} {self.said(b)} {link} {self.said(a)}", (c, b, a), Inside(Inside(0, 1), 2)
                )
            text = (
                f"{self.said(a)} with {self.said(b)}"
                f" inside{self.pick((' and ', ', ', '. '))}inside {self.pick(('that', f'the {b.kind}'))} {self.said(c)}"
            )
            return Part(text, (a, b, c), Inside(Inside(2, 1), 0))
        number = self.rng.choice((2, 2, 3, 4))
        if self.chance(0.5):
            things = (*[b] * number, a)
            text = f"{self.many(b, number)} {self.pick(('inside', 'within', 'inside'))} {self.said(a)}"
            return Part(text, things, Inside(Row(tuple(range(number))), number))
        text = f"{self.said(a)} with {self.many(b, number)} {self.of_it('inside')}"
        return Part(text, (a, *[b] * number), Inside(Row(tuple(range(1, number + 1))), 0))

    def verb(self) -> str:
        """What may stand before a relation."""
        return self.pick(("", "", "", "", "is ", "standing ", "that stands ", "which is ", "sits "))

    @staticmethod
    def related(relation: str, ours: Sequence[int], theirs: Sequence[int]) -> Tree:
        """How two groups stand in a relation; those of a group stand side by side."""
        one: Tree = ours[0] if len(ours) == 1 else Row(tuple(ours))
        other: Tree = theirs[0] if len(theirs) == 1 else Row(tuple(theirs))
        match relation:
            case "above":
                return Column((one, other))
            case "below":
                return Column((other, one))
            case "right":
                return Row((other, one)) if len(ours) + len(theirs) == 2 else flat_row(other, one)
            case "inside":
                return Inside(ours[0], theirs[0])
            case "front":
                return Front(one, theirs[0])
            case "behind":
                return Front(theirs[0], ours[0])
        return flat_row(one, other)

    def chain(self) -> Part:
        """Three or four things, each related to the last, or all to the first."""
        form = self.rng.randrange(7)
        if form <= 1:  # a column or a row of relations: "a above b above c"
            relation = self.pick(("above", "below", "left", "right", "beside"))
            count = 3 if self.chance(0.85) else 4
            things = [self.thing() for _ in range(count)]
            texts = [self.said(t) for t in things]
            if form:
                parts = [texts[0], *(f"{self.of_it(opposite(relation))} {text}" for text in texts[1:])]
                text = self.pick((", ", ", and ", ". ")).join(parts)
            else:
                text = texts[0] + "".join(f" {self.link(relation)} {text}" for text in texts[1:])
            numbers: tuple[Tree, ...] = tuple(range(count))
            if relation in ("below", "right"):
                numbers = tuple(reversed(numbers))
            return Part(text, tuple(things), (Column if relation in ("above", "below") else Row)(numbers))
        a, b, c = self.thing(), self.thing(), self.thing()
        one, two, three = self.said(a), self.said(b), self.said(c)
        if form == 2:  # two sides of the first
            relation = self.pick(("above", "below", "left", "right"))
            back = opposite(relation)
            text = f"{one} with {two} {self.of_it(relation)} and {three} {self.of_it(back)}"
            if self.chance(0.4):
                text = f"{one}, {two} {self.of_it(relation)}, {three} {self.of_it(back)}"
            trio: tuple[Tree, ...] = (1, 0, 2) if relation in ("above", "left") else (2, 0, 1)
            return Part(text, (a, b, c), (Column if relation in ("above", "below") else Row)(trio))
        if form == 3:  # one beside a pair of which one is above
            upright, across = self.pick(("above", "below")), self.pick(("left", "right", "beside"))
            at = self.of_it(across) if self.chance(0.5) else f"{self.link(across)} {self.said(Thing(a.kind), 'the')}"
            text = f"{one} with {two} {self.of_it(upright)}{self.pick((' and ', ', ', '; '))}{three} {at}"
            stack = Column((1, 0) if upright == "above" else (0, 1))
            return Part(text, (a, b, c), Row((2, stack) if across == "left" else (stack, 2)))
        if form == 4:  # a corner of relations through the last: "a left of b, c above b"
            across, upright = self.pick(("left", "right")), self.pick(("above", "below"))
            if a.kind == b.kind:
                b = replace(b, kind=next(k for k in KINDS if k != a.kind))
                two = self.said(b)
            to = self.pick((f"the {b.kind}", "that", "it")) if self.chance(0.6) else f"the {b.kind}"
            text = f"{one} {self.link(across)} {two}{self.pick((', ', ' and ', '. '))}{self.link(upright)} {to} {three}"
            if self.chance(0.5):
                text = f"{one} {self.link(across)} {two}, {three} {self.link(upright)} the {b.kind}"
            stack = Column((2, 1) if upright == "above" else (1, 2))
            return Part(text, (a, b, c), Row((0, stack) if across == "left" else (stack, 0)))
        if form == 5:  # one above or below two
            relation = self.pick(("above", "below"))
            text = f"{one} {self.verb()}{self.link(relation)} {two} and {three}"
            if self.chance(0.5):
                text = f"{two} and {three}{self.pick((', ', ' and ', ' with '))}{one} {self.of_it(relation, 'them')}"
                row: Tree = Row((0, 1))
                return Part(text, (b, c, a), Column((2, row) if relation == "above" else (row, 2)))
            row = Row((1, 2))
            return Part(text, (a, b, c), Column((0, row) if relation == "above" else (row, 0)))
        # one above, and what stands there beside another
        relation = self.pick(("above", "below"))
        text = f"{one} {self.pick(BESIDE_SAID[:2])} {two}, {self.link(relation)} them {three}"
        row = Row((0, 1))
        return Part(text, (a, b, c), Column((2, row) if relation == "above" else (row, 2)))

    def between(self) -> Part:
        """One thing between two, that may be alike."""
        a, b, c = self.thing(), self.thing(), self.thing()
        verb = self.verb()
        word = self.pick(("between", "between", "in between"))
        form = self.rng.randrange(8)
        if form == 0:
            return Part(f"{self.said(a)} {verb}{word} {self.said(b)} and {self.said(c)}", (a, b, c), Row((1, 0, 2)))
        if form == 1:
            link = self.pick((" and between them ", ", between them ", " and, between them, ", ". between them "))
            text = f"{self.said(b)} and {self.said(c)}{link}{self.said(a)}"
            return Part(text, (b, c, a), Row((0, 2, 1)))
        if form == 2:
            link = self.pick((" and ", " with ", ", "))
            at = self.pick(("between them", "in between", "between the two"))
            text = f"{self.said(b)} and {self.said(c)}{link}{self.said(a)} {at}"
            if self.chance(0.3):
                one, two = self.rng.choice((("left", "right"), ("right", "left")))
                text = f"{self.said(b)} {self.at(one)}, {self.said(c)} {self.at(two)}{link}{self.said(a)} {at}"
                return Part(text, (b, c, a), Row((0, 2, 1) if one == "left" else (1, 2, 0)))
            return Part(text, (b, c, a), Row((0, 2, 1)))
        if form == 3:
            link = self.pick((" and ", " with ", ", "))
            at = self.pick(("between them", "in between", "in the middle", "between the two"))
            text = f"{self.many(b, 2)}{link}{self.said(a)} {at}"
            return Part(text, (b, b, a), Row((0, 2, 1)))
        if form == 4:
            return Part(f"{self.said(a)} {verb}{word} {self.many(b, 2)}", (a, b, b), Row((1, 0, 2)))
        two = self.pick(
            (
                "{} on either side",
                "{} on each side",
                "{} on both sides",
                "{} to the left and right",
                "{} either side of it",
            )
        )
        if form == 5:
            subject = self.said(b) if "both" not in two and "left" not in two else self.many(b, 2)
            if "left" in two:
                two = "{} on both sides"
            text = f"{self.said(a)} with {two.format(subject)}"
            return Part(text, (a, b, b), Row((1, 0, 2)))
        if form == 6 and self.chance(0.25):
            subject = " ".join([*self.looks(b), self.noun(b, True)])
            return Part(
                f"{subject} on {self.pick(('both', 'either'))} {self.pick(('side', 'sides'))} of {self.said(a)}",
                (b, b, a),
                Row((0, 2, 1)),
            )
        if form == 6:
            side = self.pick(("on either side of", "on both sides of", "on each side of"))
            subject = self.said(b) if side != "on both sides of" else self.many(b, 2)
            return Part(f"{subject} {side} {self.said(a)}", (b, b, a), Row((0, 2, 1)))
        if self.chance(0.5):
            text = f"{self.said(a)} {self.pick(('flanked by', 'flanked by', 'surrounded by'))} {self.many(b, 2)}"
            return Part(text, (a, b, b), Row((1, 0, 2)))
        text = f"{self.said(a)} flanked by {self.said(b)} and {self.said(c)}"
        return Part(text, (a, b, c), Row((1, 0, 2)))

    def around(self) -> Part:
        """One thing in the middle of three to seven."""
        number = self.rng.choices((3, 4, 5, 6, 7), (20, 45, 15, 14, 6))[0]
        a, b = self.thing(), self.thing()
        if self.chance(0.6):
            text = (
                f"{self.said(a)} {self.pick(('surrounded by', 'surrounded by', 'encircled by'))} {self.many(b, number)}"
            )
            if self.chance(0.2):
                text = f"{self.said(a)} with {self.many(b, number)} around it"
            if self.chance(0.25):
                text = (
                    f"{self.said(a)}{self.pick(('. ', ', ', '; '))}around"
                    f" it {self.pick(('', 'are ', 'there are '))}{self.many(b, number)}"
                )
            if self.chance(0.15) and (b.colour or b.surface or b.size):
                b, middle = replace(b, kind=a.kind), self.at("center")
                text = f"{self.said(a)}{self.pick(('', f' {middle}'))}"
                text += f"{self.pick((' and ', ' with ', ', '))}{self.many(b, number, noun='ones')} around it"
            return Part(text, (a, *[b] * number), ring(0, list(range(1, number + 1))))
        text = f"{self.many(b, number)} around {self.said(a)}"
        return Part(text, (*[b] * number, a), ring(number, list(range(number))))
