"""Prompts that lay things out on the picture: corners, rows, key words, things beside one that has a place."""

from __future__ import annotations

from dataclasses import replace

from strata.llm.backends.bundled.placement import Column, Row, Tree, as_row, beside, shifted
from strata.llm.backends.bundled.teaching.remarks import Remarks
from strata.llm.backends.bundled.teaching.voice import SIZE_WORDS, SURFACE_WITH, Part
from strata.llm.backends.bundled.world import PLACES, Thing


class Arrangements(Remarks):
    """Patterns that lay things out on the picture."""

    def corners(self) -> Part:
        """Four things in the corners, alike or listed, with one in the middle at times."""
        form = self.rng.randrange(4)
        places: tuple[str | None, ...] = tuple(p for p in PLACES if " " in p)
        if form == 0:
            b = self.thing()
            at = self.pick(("in each corner", "in every corner", "in all four corners", "in each of the corners"))
            text = f"{self.said(b)} {at}" if self.chance(0.75) else f"{at} {self.said(b)}"
            if self.chance(0.2) and "each" not in at and "every" not in at:
                text = f"{' '.join([*self.looks(b), self.noun(b, True)])} {at}"
            things: tuple[Thing, ...] = (b,) * 4
        elif form == 1:
            b = self.thing()
            at = self.pick(("in the corners", "in the four corners", "one in each corner", ", one in each corner"))
            text = f"{self.many(b, 4)} {at}"
            things = (b,) * 4
        else:
            things = tuple(self.run(4))
            told = self.listed([self.said(t) for t in things])
            head = self.pick(
                (
                    "four shapes in the corners: ",
                    "in the corners ",
                    "in the four corners: ",
                    "four objects, one in each corner: ",
                    "in each corner a different shape: ",
                    "one in each corner: ",
                )
            )
            text = f"{head}{told}" if self.chance(0.7) else f"{told} in the corners"
        if self.chance(0.35):
            a = self.thing()
            if self.chance(0.7):
                link = self.pick((" and ", ", ", " with ", ", and "))
                return Part(f"{text}{link}{self.said(a)} {self.at('center')}", (*things, a), None, (*places, "center"))
            head = f"{self.said(a)} {self.at('center')}{self.pick((' and ', ', ', ' with '))}"
            return Part(head + text, (a, *things), None, ("center", *places))
        return Part(text, things, None, places)

    def row(self) -> Part:
        """A row or a column, alike or listed."""
        count = self.rng.choices((2, 3, 4, 5, 6, 7, 8), (14, 34, 22, 14, 8, 4, 4))[0]
        upright = self.chance(0.3)
        numbers = tuple(range(count))
        tree: Tree = (Column if upright else Row)(numbers)
        words: tuple[str, ...] = (
            ("stacked on top of each other", "in a column")
            if upright
            else ("in a row", "side by side", "in a line", "next to each other")
        )
        if self.chance(0.45):
            thing = self.thing()
            if self.chance(0.5):
                head = self.pick(("a column of ", "a stack of ")) if upright else self.pick(("a row of ", "a line of "))
                return Part(head + self.many(thing, count), (thing,) * count, tree)
            return Part(f"{self.many(thing, count)} {self.pick(words)}", (thing,) * count, tree)
        things = tuple(self.run(min(count, 6)))
        numbers = tuple(range(len(things)))
        tree = (Column if upright else Row)(numbers)
        told = self.listed(
            [self.mention(t, things[:i], ()) for i, t in enumerate(things)], " and " if self.chance(0.7) else None
        )
        if self.chance(0.45):
            head = (
                self.pick(("from top to bottom", "in a column"))
                if upright
                else self.pick(("from left to right", "left to right", "in a row"))
            )
            return Part(f"{head}{self.pick((': ', ' ', ', '))}{told}", things, tree)
        if self.chance(0.3) and not upright:
            words = (
                "from left to right",
                "in a row from left to right",
                "lined up",
                ", from left to right",
                ". left to right",
                ", in a row",
            )
        elif self.chance(0.3):
            words = ("from top to bottom",) if upright else words
        return Part(f"{told} {self.pick(words)}", things, tree)

    def rows(self) -> Part:
        """Two rows, alike or listed, or two columns."""
        if self.chance(0.4):
            number = self.rng.choice((2, 3, 3, 4))
            thing = self.thing()
            numbers = tuple(range(number))
            two = Column((Row(numbers), Row(tuple(n + number for n in numbers))))
            if self.chance(0.35) and number < 4:
                text = f"{self.many(thing, 2 * number)} {self.pick(('in two rows', 'arranged in two rows'))}"
                return Part(text, (thing,) * (2 * number), two)
            if self.chance(0.15):
                columns = Row((Column(numbers), Column(tuple(n + number for n in numbers))))
                return Part(f"two columns of {self.many(thing, number)}", (thing,) * (2 * number), columns)
            return Part(f"two rows of {self.many(thing, number)}", (thing,) * (2 * number), two)
        upper, lower = self.rng.choice(((2, 2), (3, 3), (3, 2), (2, 3), (1, 2), (3, 1), (4, 4), (4, 3)))
        if self.chance(0.4):
            a, b = self.thing(), self.thing()
            things = (*[a] * upper, *[b] * lower)
            texts = [self.group(a, upper), self.group(b, lower)]
        else:
            things = tuple(self.run(upper + lower))
            texts = [self.listed([self.said(t) for t in row], " and ") for row in (things[:upper], things[upper:])]
        numbers = tuple(range(len(things)))
        tree = Column((as_row(numbers[:upper]), as_row(numbers[upper:])))
        if self.chance(0.5):
            text = f"top row: {texts[0]}{self.pick(('; ', '. ', ', '))}bottom row: {texts[1]}"
        elif self.chance(0.5):
            text = f"in the top row {texts[0]}{self.pick((' and ', ', ', '; '))}in the bottom row {texts[1]}"
        else:
            text = f"{texts[0]} in the top row{self.pick((' and ', ', ', '; '))}{texts[1]} in the bottom row"
        return Part(text, things, tree)

    def terse(self) -> Part:
        """Key words: "cup. yellow. stripes."."""
        count = 1 if self.chance(0.7) else 2
        things, texts = [], []
        for _ in range(count):
            thing = replace(self.thing(), style=None)
            words = [self.noun(thing)]
            looks = [thing.colour or "", thing.surface or "", self.pick(SIZE_WORDS[thing.size]) if thing.size else ""]
            looks = [
                SURFACE_WITH.get(w, w) if w in ("striped", "dotted") and self.chance(0.4) else w for w in looks if w
            ]
            texts.append(self.pick((", ", ". ", ", ")).join([*words, *looks]))
            things.append(thing)
        places: tuple[str | None, ...] = (None,) * count
        if self.chance(0.5):
            places = tuple(self.places(count))
            texts = [f"{t}, {p if self.chance(0.6) else self.at(str(p))}" for t, p in zip(texts, places, strict=True)]
        return Part(self.pick((". ", "; ")).join(texts), tuple(things), None, places)

    def anchored(self) -> Part:
        """A thing with a place of its own and others beside it: "a house in the middle with a cloud above it"."""
        while True:
            place = self.pick(
                (
                    "center",
                    "center",
                    "left",
                    "right",
                    "bottom",
                    "bottom",
                    "top",
                    "bottom left",
                    "bottom right",
                    "top left",
                    "top right",
                )
            )
            count = 2 if self.chance(0.65) else 3
            relations = self.rng.sample(("above", "below", "left", "right"), count - 1)
            found = [beside(place, relation) for relation in relations]
            if all(found) and len({*found, place}) == count:
                break
        things = [self.thing() for _ in range(count)]
        texts = [self.said(t) for t in things]
        head = f"{texts[0]} {self.at(place)}" if self.chance(0.75) else f"{self.at(place)} {texts[0]}"
        link = self.pick((" with ", " with ", " and ", ", ", ". "))
        rest = []
        for text, relation in zip(texts[1:], relations, strict=True):
            it = self.of_it(relation)
            rest.append(f"{text} {it}" if link in (" with ", " and ") or self.chance(0.6) else f"{it} {text}")
        return Part(head + link + self.listed(rest, " and "), tuple(things), None, (place, *found))

    def loose(self, part: Part) -> Part:
        """Another thing beside what stands together: "…, and a boat"."""
        if part.tree is None or len(part.things) > 5:
            return part
        extra = self.thing()
        number = len(part.things)
        wide = isinstance(part.tree, Row)
        first = self.chance(0.3)
        if first and not part.text.startswith(
            ("from", "left", "in ", "to ", "on ", "above", "below", "under", "top", "next", "beside")
        ):
            moved = shifted(part.tree, 1)
            text = f"{self.said(extra)}{self.pick((', ', '. ', ' and also '))}{part.text}"
            return Part(text, (extra, *part.things), (Column if wide else Row)((0, moved)))
        text = f"{part.text}{self.pick((', and ', '. ', '; also ', ', '))}{self.said(extra)}"
        return Part(text, (*part.things, extra), (Column if wide else Row)((part.tree, number)))
