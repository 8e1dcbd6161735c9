"""Prompts that list things: one after the other, counted, with places or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from strata.llm.backends.bundled.reading.vocabulary import MOST_THINGS, NUMBERS
from strata.llm.backends.bundled.teaching.voice import Part, Voice
from strata.llm.backends.bundled.world import PLACES, Thing


class Lists(Voice):
    """Patterns that list things."""

    def run(self, count: int) -> list[Thing]:
        """Things in order; some alike."""
        things = [self.thing() for _ in range(count)]
        if count > 1 and self.chance(0.3):
            name = self.pick(("kind", "kind", "colour", "surface"))
            things = [replace(t, **{name: getattr(things[0], name)}) for t in things]
        return things

    def mention(self, thing: Thing, before: Sequence[Thing], text: Sequence[str]) -> str:
        """A thing, perhaps as "one" where the last was of its kind."""
        told = thing.colour or thing.surface or thing.size
        if before and before[-1].kind == thing.kind is not None and told and not thing.style and self.chance(0.45):
            return self.said(thing, noun="one") if self.articles else f"a {' '.join(self.looks(thing))} one"
        return self.said(thing)

    def list_of(self, count: int) -> Part:
        """One thing after the other, with or without places."""
        kind = self.rng.choices(("open", "placed", "some"), (40, 48, 12))[0]
        places: list[str | None] = [None] * count
        if kind != "open" and count <= 8:
            places = list(self.places(count))
            if kind == "some":
                for i in self.rng.sample(range(count), self.rng.randint(1, max(1, count - 1))):
                    places[i] = None
        things = self.run(count)
        form = self.rng.choices(("after", "before", "label", "is"), (62, 24, 8, 6))[0]
        texts: list[str] = []
        for i, (thing, place) in enumerate(zip(things, places, strict=True)):
            text = self.mention(thing, things[:i], texts)
            if place is None:
                texts.append(text)
            elif form == "before":
                texts.append(f"{self.at(place)}{self.pick((' ', ', ', ' there is ', ' '))}{text}")
            elif form == "label":
                texts.append(f"{place}: {text}" if self.chance(0.6) else f"{text}, {place}")
            elif form == "is":
                texts.append(f"{text} is {self.at(place)}")
            else:
                link = ", " if self.chance(0.06) else " "
                texts.append(f"{text}{link}{self.at(place)}")
        if form == "label":
            return Part(self.pick((", ", "; ", ". ")).join(texts), tuple(things), None, tuple(places))
        last = " and " if form == "before" and self.chance(0.5) else None
        text = self.listed(texts, last)
        if count > 1 and self.chance(0.06):
            text = f"{NUMBERS[count - 2]} {self.pick(('shapes', 'objects', 'things'))}: {text}"
        return Part(text, tuple(things), None, tuple(places))

    def places(self, count: int) -> list[str]:
        """Places that go together."""
        if count == 1:
            return [self.pick(PLACES)]
        corners = [p for p in PLACES if " " in p]
        pools: list[Sequence[str]] = [corners, PLACES]
        if count == 2:
            pools += [("left", "right"), ("left", "right"), ("top", "bottom"), ("left", "center"), ("top", "center")]
        if count <= 3:
            pools += [("left", "center", "right"), ("top", "center", "bottom")]
        if count == 3:
            pools += [("top", "bottom left", "bottom right"), ("left", "top right", "bottom right")]
            pools += [
                ("bottom", "top left", "top right"),
                ("right", "top left", "bottom left"),
                ("left", "right", "top"),
            ]
        if count == 5:
            pools = [(*corners, "center"), PLACES]
        pool = self.rng.choice([p for p in pools if len(p) >= count])
        chosen = self.rng.sample(list(pool), count)
        return chosen if self.chance(0.5) else sorted(chosen, key=lambda p: PLACES.index(p))

    def groups(self) -> Part:
        """Counted things and single ones, with or without places: "two trees on the left and a house"."""
        kinds = self.rng.choices((1, 2, 3), (35, 50, 15))[0]
        counts = [self.rng.choices((1, 2, 3, 4, 5, 6, 7, 8), (20, 30, 22, 12, 6, 5, 2, 3))[0] for _ in range(kinds)]
        if max(counts) == 1:
            counts[0] = 2
        while sum(counts) > MOST_THINGS:
            counts[counts.index(max(counts))] -= 1
        said = [self.thing() for _ in range(kinds)]
        if kinds > 1 and self.chance(0.2):
            said = [said[0], *(replace(t, kind=said[0].kind) for t in said[1:])]
        placed = self.chance(0.45) and max(counts) <= 4
        places: list[str | None] = list(self.places(kinds)) if placed else [None] * kinds
        if placed and kinds > 1 and self.chance(0.2):
            places[self.rng.randrange(kinds)] = None
        texts, things, wanted = [], [], []
        front = self.chance(0.2)
        for i, (thing, number, place) in enumerate(zip(said, counts, places, strict=True)):
            ones = (
                i
                and said[i - 1].kind == thing.kind is not None
                and (thing.colour or thing.surface)
                and self.chance(0.5)
            )
            if number == 1:
                text = self.said(thing, noun="one" if ones else None) if self.articles else self.said(thing)
            else:
                text = self.many(thing, number, noun="ones" if ones else None)
            at = self.at(place) if place else ""
            texts.append((f"{at} {text}" if front else f"{text} {at}").strip())
            things += [thing] * number
            wanted += [place] * number
        return Part(self.listed(texts), tuple(things), None, tuple(wanted))
