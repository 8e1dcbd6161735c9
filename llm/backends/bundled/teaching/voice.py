"""How the prompts of the bundled planner's training are worded: things, places and links, in one voice each.

Everything that is said more than once a sentence (articles, order of adjectives, links) follows one voice, chosen at
random.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from strata.llm.backends.bundled.placement import Tree
from strata.llm.backends.bundled.reading.vocabulary import NUMBERS
from strata.llm.backends.bundled.world import (
    COLOURS,
    HELD_OUT,
    KINDS,
    SIZES,
    STYLE_ADJECTIVES,
    SURFACES,
    Thing,
    is_held_out,
)

_KIND_WORDS = {
    "circle": ("disc",),
    "square": ("box",),
    "ring": ("hoop",),
    "house": ("cottage",),
    "boat": ("ship", "sailboat"),
    "cup": ("mug",),
}
SURFACE_WITH = {"striped": "stripes", "dotted": "dots", "checkered": "checks", "outlined": "a thick outline"}
_SURFACE_WORDS = {"striped": ("stripy",), "dotted": ("spotted", "polka dot"), "checkered": ("checked", "chequered")}
SIZE_WORDS = {
    "small": ("small", "small", "small", "little", "little", "tiny", "tiny", "smaller"),
    "large": ("large", "large", "large", "big", "big", "huge", "huge", "bigger"),
}
STYLES_SAID = {
    "flat": ("flat", "flat design", "flat style"),
    "pencil": ("pencil", "pencil drawing", "pencil sketch"),
    "watercolour": ("watercolour", "watercolor", "watercolour painting"),
    "neon": ("neon", "neon lights", "neon style"),
    "pixel": ("pixel art", "8-bit pixel art"),
    "papercut": ("paper cut-out", "papercut", "cut paper"),
}
_ABOVE = ("above", "over", "on top of", "above", "floating above", "hovering over", "on")
_BELOW = ("below", "under", "beneath", "underneath")
BESIDE_SAID = ("next to", "beside", "by", "near", "alongside")
INSIDE_SAID = ("inside", "in", "within", "in the middle of")
LOOKS = ("colour", "surface", "size")
HOLDERS = ("circle", "square", "ring", "star", "heart", "house", "triangle", "cup", "moon", "sun", "cloud")


@dataclass(frozen=True)
class Part:
    """A stretch of a prompt: its words, the things it is about, in order, and how these stand (or their places)."""

    text: str
    things: tuple[Thing, ...]
    tree: Tree | None = None
    places: tuple[str | None, ...] = ()


def random_thing(rng: random.Random, held_out: bool = False) -> Thing:
    """An object of a combination that training shows, or (`held_out`) of one kept out of it."""
    if held_out:
        return Thing(*rng.choice(sorted(HELD_OUT)))
    while True:
        thing = Thing(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SURFACES))
        if not is_held_out(thing):
            return thing


class Voice:
    """One way of wording scenes."""

    def __init__(self, rng: random.Random, held_out: bool) -> None:
        self.rng, self.held_out = rng, held_out
        self.articles = rng.random() < 0.93
        self.plain = rng.random() < 0.5
        """Whether things are described by adjectives before a noun only."""
        self.fullness = rng.choice((0.15, 0.45, 0.45, 0.9))
        """How likely a colour and a surface are named."""
        self.sizes = rng.choice((0.0, 0.12, 0.3))
        self.shifted = rng.random() < 0.2

    def chance(self, p: float) -> bool:
        """True in so many cases."""
        return self.rng.random() < p

    def pick(self, options: Sequence[str]) -> str:
        """One of them."""
        return self.rng.choice(list(options))

    # things

    def thing(self, **given: str | None) -> Thing:
        """A thing with some of its attributes."""
        thing = random_thing(self.rng, self.held_out)
        colour = thing.colour if self.chance(0.3 + 0.7 * self.fullness) else None
        surface = thing.surface if self.chance(self.fullness * (0.6 if colour else 0.9)) else None
        if self.held_out and self.fullness > 0.8:
            colour, surface = thing.colour, thing.surface
        size = self.pick(SIZES) if self.chance(self.sizes) else None
        made = replace(thing, colour=colour, surface=surface, size=size)
        if self.chance(0.012):
            made = replace(made, kind=None)
        return replace(made, **given) if given else made

    def noun(self, thing: Thing, many: bool = False) -> str:
        """What a thing is called."""
        if thing.kind is None:
            word = self.pick(("object", "shape", "thing"))
        else:
            word = self.pick(_KIND_WORDS[thing.kind]) if thing.kind in _KIND_WORDS and self.chance(0.05) else thing.kind
        return {"fish": "fish", "box": "boxes", "cross": "crosses"}.get(word, f"{word}s") if many else word

    def looks(self, thing: Thing) -> list[str]:
        """The adjectives of a thing."""
        size = self.pick(SIZE_WORDS[thing.size]) if thing.size else ""
        surface = thing.surface or ""
        if surface in _SURFACE_WORDS and self.chance(0.06):
            surface = self.pick(_SURFACE_WORDS[surface])
        words = [thing.colour or "", surface]
        if self.shifted:
            words.reverse()
        style = STYLE_ADJECTIVES[thing.style] if thing.style else ""
        return [w for w in ((style, size, *words) if self.chance(0.5) else (size, *words, style)) if w]

    def det(self, text: str, article: str = "a") -> str:
        """A description with its article, if this voice has any."""
        if not article or (not self.articles and article != "the"):
            return text
        if article == "a":
            article = "one" if self.chance(0.03) else "an" if text[0] in "aeiou" else "a"
        return f"{article} {text}"

    def said(self, thing: Thing, article: str = "a", noun: str | None = None) -> str:
        """A thing in words: "a small red circle with stripes"."""
        noun = noun or self.noun(thing)
        tail = ""
        rest = thing
        if not self.plain and self.chance(0.55):
            match self.rng.randrange(7):
                case 0 if thing.surface in SURFACE_WITH:
                    tail, rest = f" with {SURFACE_WITH[str(thing.surface)]}", replace(thing, surface=None)
                case 1 if thing.colour:
                    tail, rest = f" in {thing.colour}", replace(thing, colour=None)
                case 2 if thing.style:
                    tail = self.pick((" in {}", " drawn in {}", " made of {}", " in {} style"))
                    tail, rest = tail.format(self.pick(STYLES_SAID[str(thing.style)])), replace(thing, style=None)
                case 3 | 4 if thing.colour or thing.surface:
                    words = [w for w in (thing.colour, thing.surface) if w]
                    link = self.pick((" that is ", " which is ", ", ", " that's "))
                    tail = link + self.pick((" and ", " and ", ", ")).join(words)
                    rest = replace(thing, colour=None, surface=None)
                case 5 if thing.surface in SURFACES and thing.colour:
                    tail = f" in {thing.colour} and {thing.surface}"
                    rest = replace(thing, colour=None, surface=None)
                case 6 if thing.size:
                    tail, rest = f" that is {self.pick(SIZE_WORDS[thing.size])}", replace(thing, size=None)
        if (
            article == "a"
            and noun in ("sun", "moon", "house", "tree")
            and self.chance(0.15 if noun in ("sun", "moon") else 0.03)
        ):
            article = "the"
        words = self.looks(rest)
        between = self.pick((", ", " and ")) if len(words) > 1 and not rest.style and self.chance(0.08) else " "
        text = between.join(words) + (" " if words else "") + noun if words else noun
        return self.det(text, article) + tail

    def many(self, thing: Thing, number: int, article: str = "", noun: str | None = None) -> str:
        """ "three red circles"."""
        word = str(number) if self.chance(0.15) else NUMBERS[number - 2]
        if number == 2 and self.chance(0.1):
            word = self.pick(("a pair of", "a couple of"))
        tail = ""
        if not self.plain and (thing.surface or thing.colour) and not thing.style and self.chance(0.12):
            words = [w for w in (thing.colour, thing.surface) if w]
            tail, thing = f", {' and '.join(words)},", replace(thing, colour=None, surface=None)
        elif not self.plain and thing.surface in SURFACE_WITH and self.chance(0.3):
            tail, thing = f" with {SURFACE_WITH[str(thing.surface)]}", replace(thing, surface=None)
        elif not self.plain and thing.colour and self.chance(0.2):
            tail, thing = f" in {thing.colour}", replace(thing, colour=None)
        return " ".join(w for w in (article, word, *self.looks(thing), noun or self.noun(thing, True)) if w) + tail

    def group(self, thing: Thing, number: int) -> str:
        """So many things alike, or one."""
        return self.many(thing, number) if number > 1 else self.said(thing)

    # places and links

    def at(self, place: str) -> str:
        """ "on the left", "in the upper left corner"."""
        of = " of the picture" if self.chance(0.05) else ""
        if place == "center":
            return self.pick(("in the middle", "in the center", "in the centre", "at the center")) + of
        if place in ("left", "right"):
            forms = ("on the {}", "on the {}", "on the {} side", "to the {}", "at the {}", "on the {} hand side")
            return self.pick(forms).format(place) + of
        if place in ("top", "bottom"):
            upper = {"top": "upper", "bottom": "lower"}[place]
            return self.pick((f"at the {place}", f"at the {place}", f"on the {place}", f"in the {upper} half")) + of
        upper = place.replace("top", "upper").replace("bottom", "lower")
        corner = (f"in the {place} corner", f"in the {place}", f"at the {place}", f"in the {upper} corner", place)
        return self.pick(corner) + of

    def listed(self, parts: Sequence[str], last: str | None = None) -> str:
        """Parts one after the other; `last` stands before the last one."""
        if len(parts) == 1:
            return parts[0]
        lasts = (" and ", ", ", ", and ", ". ", " with ", " plus ", " chasing ")
        last = last or self.rng.choices(lasts, (60, 12, 12, 8, 4, 2, 2))[0]
        between = last if last in (". ", " plus ") else " and " if self.chance(0.08) else ", "
        return between.join(parts[:-1]) + last + parts[-1]

    def link(self, relation: str) -> str:
        """Words for "… stands on this side of …"."""
        match relation:
            case "above":
                return self.pick(_ABOVE)
            case "below":
                return self.pick(_BELOW)
            case "left" | "right":
                return self.pick(
                    (f"to the {relation} of", f"to the {relation} of", f"{relation} of", f"on the {relation} of")
                )
            case "beside":
                return self.pick(BESIDE_SAID)
            case "inside":
                return self.pick(INSIDE_SAID)
            case "front":
                return "in front of"
        return relation

    def of_it(self, relation: str, it: str = "it") -> str:
        """ "above it", "to its left"."""
        if relation in ("left", "right"):
            its = "its" if it == "it" else "their"
            return self.pick(
                (f"to the {relation} of {it}", f"to {its} {relation}", f"on {its} {relation}", f"{relation} of {it}")
            )
        if relation == "inside":
            return self.pick((f"inside {it}", f"in {it}", f"within {it}"))
        link = self.link(relation)
        return f"{link if link != 'by' else 'beside'} {it}"
