"""Prompts that tell looks apart from their things: of some of a group, of a copy, in a remark that follows."""

from __future__ import annotations

from dataclasses import replace

from strata.llm.backends.bundled.placement import Column, Row, Tree
from strata.llm.backends.bundled.reading.vocabulary import NUMBERS
from strata.llm.backends.bundled.teaching.relations import Relations
from strata.llm.backends.bundled.teaching.voice import SIZE_WORDS, Part
from strata.llm.backends.bundled.world import COLOURS, KINDS, PLACES, SIZES, SURFACES, Thing


class Remarks(Relations):
    """Patterns that tell looks apart from their things."""

    def distributed(self) -> Part:
        """Things of one kind that differ: "two stars, one red and one blue", "a red and a blue house"."""
        count = self.rng.choices((2, 3, 4), (68, 24, 8))[0]
        name = self.pick(("colour", "colour", "colour", "surface", "size"))
        if name == "size":
            count = 2
        values = self.rng.sample({"colour": COLOURS, "surface": SURFACES, "size": SIZES}[name], count)
        common = replace(self.thing(), size=None)
        common = replace(common, **{name: None, "style": None}, kind=common.kind or "star")
        if name == "size" and self.chance(0.6):
            common = replace(common, surface=None)
        things = tuple(replace(common, **{name: value}) for value in values)
        words = [self.pick(SIZE_WORDS[v]) if name == "size" else v for v in values]
        form = self.rng.randrange(8)
        places: tuple[str | None, ...] = ()
        if form <= 1:  # the noun comes last
            if name == "size":
                common = replace(common, surface=None, colour=None)
                things = tuple(replace(common, **{name: value}) for value in values)
            if name == "colour" and common.surface:
                common = replace(common, surface=None)
                things = tuple(replace(common, **{name: value}) for value in values)
            if name == "surface" and common.colour:
                common = replace(common, colour=None)
                things = tuple(replace(common, **{name: value}) for value in values)
            each = [self.det(w, "a") for w in words] if self.articles else [f"a {w}" for w in words]
            text = f"{self.listed(each, ' and ')} {self.noun(common)}"
            return Part(text, things, None, (None,) * count)
        head = self.many(common, count)
        if form == 2 and count == 2:
            other = self.pick(("one ", "one ", "the other ", "the other one "))
            link = self.pick((", ", ", ", ". ", ": "))
            text = f"{head}{link}one {words[0]}{self.pick((' and ', ', '))}{other}{words[1]}"
        elif form == 3 and count == 2:
            sides = self.rng.choice((("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top")))
            verb = self.pick((" is ", " "))
            other = f"the {sides[1]} one" if self.chance(0.4) else "the other" if self.chance(0.7) else "the other one"
            text = (
                f"{head}{self.pick((', ', '; ', '. '))}the {sides[0]}"
                f" one{verb}{words[0]}{self.pick((', ', ' and '))}{other}{verb}{words[1]}"
            )
            places = sides
        elif form == 4 and count == 2:
            sides = self.rng.choice((("left", "right"), ("top", "bottom"), ("right", "left")))
            text = (
                f"{head}, {self.pick(('one', 'a'))} {words[0]} {'one ' if self.chance(0.3) else ''}{self.at(sides[0])}"
                f" and {self.pick(('one', 'a'))} {words[1]} {'one ' if self.chance(0.3) else ''}{self.at(sides[1])}"
            )
            text = text.replace("one red one", "one red").replace("a striped on", "a striped one on")
            places = sides
        elif form == 5 and self.chance(0.4) and count <= 3:
            chosen = self.rng.choice(
                (("left", "right"), ("top", "bottom"))
                if count == 2
                else (("left", "center", "right"), ("top", "center", "bottom"))
            )
            how = (
                self.pick((" in a row", "", ""))
                if chosen[0] == "left"
                else self.pick((" stacked", " in a column", "", ""))
            )
            told = [
                f"{self.pick(('', '', 'one '))}{w} {self.at(place)}" for w, place in zip(words, chosen, strict=True)
            ]
            text = f"{head}{how}{self.pick((': ', ', '))}{self.listed(told, self.pick((', ', ' and ')))}"
            places = chosen
        elif form == 5:
            link = self.pick((": ", ", ", " in " if name == "colour" else ": "))
            text = f"{head}{link}{self.listed(words, self.pick((' and ', ' and ', ', ')))}"
        elif form == 6:
            ordinals = ("first", "second", "third", "last")
            verb = self.pick((" is ", " "))
            told = [
                f"the {o}{' one' if self.chance(0.3) else ''}{verb}{w}" for o, w in zip(ordinals, words, strict=False)
            ]
            text = f"{head}{self.pick((', ', '; ', '. '))}{self.listed(told, self.pick((' and ', ', ')))}"
        else:
            told = [f"one {w}" for w in words]
            text = f"{head}{self.pick((', ', ': '))}{self.listed(told, ' and ')}"
        return Part(text, things, None, places or (None,) * count)

    def pointed(self) -> Part:
        """Things alike of which one is told apart by where it is: "three stars in a row, the middle one is red"."""
        common = replace(self.thing(), style=None, size=None)
        name = self.pick(("colour", "colour", "surface", "size"))
        options = {"colour": COLOURS, "surface": SURFACES, "size": SIZES}[name]
        common = replace(common, **{name: None}, kind=common.kind or "star")
        values = self.rng.sample(options, 2)
        words = [self.pick(SIZE_WORDS[v]) if name == "size" else v for v in values]
        verb = self.pick((" is ", " is ", " ", " should be "))
        corner = self.chance(0.3)
        if corner:
            sides: list[str] = [p for p in PLACES if " " in p]
            head = f"{self.many(common, 4)} in the corners"
        else:
            upright = self.chance(0.25)
            sides = ["top", "center", "bottom"] if upright else ["left", "center", "right"]
            how = ("in a column", "stacked") if upright else ("in a row", "side by side")
            head = f"{self.many(common, 3)} {self.pick(how)}"
        at = self.rng.randrange(len(sides))
        side = "middle" if sides[at] == "center" else sides[at]
        if not corner and self.chance(0.15):
            side = ("first", "second", "third")[at]
        things = [common] * len(sides)
        remark = f"the {side} one{verb}{words[0]}"
        if self.chance(0.6):
            things = [replace(common, **{name: values[1]})] * len(sides)
            others = self.pick(("the others", "the other ones", "the rest"))
            remark += f"{self.pick((', ', ' and ', '; '))}{others}{' are ' if 'is' in verb else ' '}{words[1]}"
        things[at] = replace(common, **{name: values[0]})
        text = f"{head}{self.pick((', ', '. ', '; '))}{remark}"
        if corner:
            return Part(text, tuple(things), None, tuple(sides))
        return Part(text, tuple(things), (Column if sides[0] == "top" else Row)((0, 1, 2)))

    def shares(self) -> Part:
        """A group of which some are this and the rest that: "four cups, two red and two blue"."""
        name = self.pick(("colour", "colour", "surface"))
        one, two = self.rng.sample({"colour": COLOURS, "surface": SURFACES}[name], 2)
        n, m = self.rng.choice(((1, 2), (2, 1), (2, 2), (1, 3), (3, 1)))
        common = replace(self.thing(), style=None, size=None)
        common = replace(common, **{name: None}, kind=common.kind or "star")
        counted = ["one", *NUMBERS]
        rest = self.pick(("the other", "the rest")) if self.chance(0.3) else counted[m - 1]
        of = self.pick((" of them ", " ")) if self.chance(0.3) else " "
        text = f"{self.many(common, n + m)}, {counted[n - 1]}{of}{one} and {rest} {two}"
        things = (*[replace(common, **{name: one})] * n, *[replace(common, **{name: two})] * m)
        return Part(text, things, None, (None,) * (n + m))

    def same(self) -> Part:
        """A thing, and the same in another colour: "a red circle and the same but in blue"."""
        a = replace(self.thing(), style=None)
        name = self.pick(("colour", "colour", "surface", "size"))
        if getattr(a, name) is None and name != "size":
            a = replace(a, colour=a.colour or self.pick(COLOURS))
            name = "colour"
        if name == "size":
            a = replace(a, size=self.rng.choice(("small", "large", None)))
        values = [v for v in {"colour": COLOURS, "surface": SURFACES, "size": SIZES}[name] if v != getattr(a, name)]
        value = self.pick(values)
        b = replace(a, **{name: value})
        word = value if name != "size" else self.pick(SIZE_WORDS[value])
        if name == "size" and (a.size is None or self.chance(0.3)):
            word = {"small": "smaller", "large": self.pick(("larger", "bigger"))}[value]
        inn = self.pick(("in ", "in ", "")) if name == "colour" else ""
        places: tuple[str | None, ...] = (None, None)
        one, two = "", ""
        if self.chance(0.55):
            places = self.rng.choice(
                (
                    ("left", "right"),
                    ("right", "left"),
                    ("top", "bottom"),
                    ("top left", "bottom right"),
                    ("bottom", "top"),
                    ("center", "right"),
                )
            )
            one, two = f" {self.at(str(places[0]))}", f" {self.at(str(places[1]))}"
        same = self.pick(
            (
                f"the same but {inn}{word}",
                f"the same but {inn}{word}",
                f"the same in {word}" if name == "colour" else f"the same but {word}",
                f"the same one {inn}{word}",
                f"same but {inn}{word}",
                f"another one{',' if self.chance(0.3) else ''} but {inn}{word}",
                f"the same thing, only {inn}{word}",
            )
        )
        link = self.pick((" and ", ", ", ", and ", ". ", " and then "))
        first = self.said(a)
        if self.chance(0.12):  # nothing changes
            b, same = (
                a,
                self.pick(
                    ("the same", "another one", "another", f"another {a.kind}" if a == Thing(a.kind) else "the same")
                ),
            )
            if not one:
                places = ("left", "right")
                one, two = f" {self.at('left')}", f" {self.at('right')}"
        text = (
            f"{first}{one}{link}{two.strip()} {same}" if two and self.chance(0.3) else f"{first}{one}{link}{same}{two}"
        )
        return Part(text, (a, b), None, places)

    def later(self) -> Part:
        """Things whose looks are told after they are named: "a house and a tree. the house is red"."""
        count = self.rng.choices((1, 2, 3), (25, 60, 15))[0]
        kinds = self.rng.sample(KINDS, count)
        things = [replace(self.thing(), kind=kind, style=None) for kind in kinds]
        base = tuple(range(count))
        tree: Tree | None = None
        places: tuple[str | None, ...] = (None,) * count
        if count == 2 and self.chance(0.3):
            relation = self.pick(("above", "below", "left", "right", "beside"))
            introduced = f"{self.said(Thing(kinds[0]))} {self.link(relation)} {self.said(Thing(kinds[1]))}"
            tree = self.related(relation, [0], [1])
        else:
            placed = self.chance(0.4)
            places = tuple(self.places(count)) if placed else places
            introduced = self.listed(
                [f"{self.said(Thing(k))}{f' {self.at(p)}' if p else ''}" for k, p in zip(kinds, places, strict=True)],
                " and ",
            )
        told, said = [], []
        for thing in things:
            keep = self.rng.choice(
                (("colour",), ("colour",), ("surface",), ("colour", "surface"), ("size",), ("colour", "size"))
            )
            thing = Thing(
                thing.kind,
                **{
                    name: getattr(thing, name)
                    or self.pick({"colour": COLOURS, "surface": SURFACES, "size": SIZES}[name])
                    for name in keep
                },
            )
            words = [self.pick(SIZE_WORDS[thing.size])] if thing.size else []
            words += [w for w in (thing.colour, thing.surface) if w]
            told.append(thing)
            said.append(self.pick((" and ", " and ", ", ")).join(words))
        if count > 1 and self.chance(0.15):  # only some
            i = self.rng.randrange(count)
            told = [t if j == i else Thing(t.kind) for j, t in enumerate(told)]
            remarks = [f"the {told[i].kind} {self.pick(('is ', 'should be ', ''))}{said[i]}"]
        elif count == 1:
            remarks = [f"{self.pick(('it is', 'it should be', 'the ' + kinds[0] + ' is'))} {said[0]}"]
        elif count == 2 and self.chance(0.2):
            first = self.pick(("the first", "the former"))
            second = "the second" if first == "the first" else "the latter"
            verb = self.pick((" is ", " ", ", "))
            remarks = [f"{first}{verb}{said[0]}", f"{second}{verb}{said[1]}"]
        else:
            verb = self.pick((" is ", " is ", " should be ", " "))
            remarks = [f"the {t.kind}{verb}{s}" for t, s in zip(told, said, strict=True)]
            if self.chance(0.2):
                order = list(base)
                self.rng.shuffle(order)
                remarks = [remarks[i] for i in order]
        if tree is None and not any(places) and count > 1 and self.chance(0.2):  # where one stands, in a remark too
            at = self.rng.randrange(count)
            place = self.places(1)[0]
            places = tuple(place if i == at else None for i in base)
            remarks.append(f"the {told[at].kind} is {self.at(place)}")
        text = (
            f"{introduced}{self.pick(('. ', '. ', '; ', ', '))}{self.listed(remarks, self.pick((' and ', ', ', '. ')))}"
        )
        return Part(text, tuple(told), tree, () if tree is not None else places)
