"""What the bundled planner understands: many ways of asking for a scene, where its objects then stand, and a check.

`random_told` makes the paraphrased prompts that the planner is trained on and scored with. `arrange` is the one rule
for who stands where. `counted` and `unknown` look at a prompt word by word, so that a prompt outside the language is
refused and nothing it asks for is lost unseen.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from strata.miniature.language import (
    COLOURS,
    HELD_OUT,
    PATTERNS,
    SHAPES,
    SIDES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
    backdrop_text,
    full_text,
    where,
)
from strata.miniature.scenes import Box

MOST_THINGS = 4
_BOXES: dict[str, Box] = {
    "whole": (125, 125, 875, 875),
    "left": (0, 0, 500, 1000),
    "right": (500, 0, 1000, 1000),
    "top": (0, 0, 1000, 500),
    "bottom": (0, 500, 1000, 1000),
    "top left": (0, 0, 500, 500),
    "top right": (500, 0, 1000, 500),
    "bottom left": (0, 500, 500, 1000),
    "bottom right": (500, 500, 1000, 1000),
    "center": (250, 250, 750, 750),
}
_ROW: dict[str, Box] = {"left": (0, 0, 333, 1000), "center": (333, 0, 667, 1000), "right": (667, 0, 1000, 1000)}
_COLUMN: dict[str, Box] = {"top": (0, 0, 1000, 333), "center": (0, 333, 1000, 667), "bottom": (0, 667, 1000, 1000)}
_CORNERS = ("top left", "top right", "bottom left", "bottom right")
_HALVES = ("left", "right", "top", "bottom")


# Where things stand ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A side of the canvas ("whole": all of it) and the box it means, on a grid of 0 to 1000."""

    side: str
    box: Box


def canvas_form(width: int, height: int) -> str:
    """ "tall", "wide" (at least 1.4 times as wide as high) or "even": all that a layout depends on."""
    return "tall" if height > width else "wide" if 5 * width >= 7 * height else "even"


def arrange(told: Sequence[str | None], form: str) -> tuple[Place, ...]:
    """Places of one to four things on a canvas of a form, of which some have their side told.

    1. Nothing told: one thing in the middle; two side by side (one above the other on a tall canvas); three as top,
       bottom left, bottom right (in a row on a wide canvas); four in the corners, in reading order.
    2. The center told, and beside it only left and right (or only top and bottom), for at most three things: a row (a
       column) of thirds, whose free thirds the others take in order.
    3. Four things, or told sides that overlap: those told left, right, top or bottom move into corners of their
       side, the first way in reading order that gives each its own.
    4. Whoever is left takes the first of left, right, top, bottom that nobody's box overlaps (if only one is left),
       else the corners in reading order, free ones first.
    """
    count, known = len(told), [side for side in told if side]
    if not known:
        if count == 1:
            sides = ["whole"]
        elif count == 2:
            sides = ["top", "bottom"] if form == "tall" else ["left", "right"]
        elif count == 3 and form == "wide":
            return tuple(Place(side, box) for side, box in _ROW.items())
        else:
            sides = ["top", "bottom left", "bottom right"] if count == 3 else list(_CORNERS)
        return tuple(Place(side, _BOXES[side]) for side in sides)
    for thirds in (_ROW, _COLUMN):
        if 1 < count <= 3 and "center" in known and len(set(known)) == len(known) and set(known) <= set(thirds):
            free = [side for side in thirds if side not in known]
            return tuple(Place(s, thirds[s]) for s in (side or free.pop(0) for side in told))
    sides = _into_corners(known) if count == MOST_THINGS or _overlap(known) else known
    taken, free_sides = list(sides), []
    for left in range(count - len(known), 0, -1):
        candidates = (*(_HALVES if left == count - len(known) == 1 else ()), *_CORNERS)
        apart = [side for side in candidates if not _overlap([side], taken)]
        free_sides.append((apart or [side for side in _CORNERS if side not in taken])[0])
        taken.append(free_sides[-1])
    told_sides = iter(sides)
    return tuple(Place(s, _BOXES[s]) for s in (next(told_sides) if side else free_sides.pop(0) for side in told))


def _overlap(sides: Sequence[str], others: Sequence[str] | None = None) -> bool:
    pairs = itertools.combinations(sides, 2) if others is None else itertools.product(sides, others)
    for one, other in pairs:
        a, b = _BOXES[one], _BOXES[other]
        if max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3]):
            return True
    return False


def _into_corners(sides: Sequence[str]) -> list[str]:
    choices = [[c for c in _CORNERS if side in c.split()] if side in _HALVES else [side] for side in sides]
    for way in itertools.product(*choices):
        if len(set(way)) == len(way):
            return list(way)
    return list(sides)


def caption(things: Sequence[Thing], backdrop: Backdrop) -> str:
    """The scene in the drawing model's own language; things have the sides they stand on, or none."""
    told = [f"{full_text(thing)} {where(thing.side)}" if thing.side else full_text(thing) for thing in things]
    text = " and ".join([*([", ".join(told[:-1])] if len(told) > 1 else []), told[-1]])
    ground = backdrop_text(backdrop)
    return f"{text}, {ground}" if ground else text


# Asking ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A prompt and what it tells: things in its order, with the sides it names, and the background."""

    prompt: str
    things: tuple[Thing, ...]
    backdrop: Backdrop


_SAID: dict[str, tuple[str, ...]] = {
    "grey": ("grey", "gray"),
    "circle": ("circle",) * 8 + ("disc", "disk"),
    "striped": ("striped",) * 9 + ("stripy",),
    "dotted": ("dotted",) * 7 + ("spotted", "polka-dotted", "polka dot"),
    "checkered": ("checkered",) * 7 + ("chequered", "checked", "checkerboard"),
    "solid": ("solid",) * 9 + ("filled",),
}
_CARRIED = {"striped": ("stripes",), "dotted": ("dots", "polka dots"), "checkered": ("checks",)}
_UPRIGHT = {"top": ("top", "top", "upper"), "bottom": ("bottom", "bottom", "lower")}
_OPENINGS = (
    *("draw", "draw me", "show", "show me", "please draw", "please show me", "paint", "make", "create", "i want"),
    *("i would like", "give me", "generate", "a picture of", "an image of", "a picture with", "an image with"),
    *(
        "a scene with",
        "make a picture of",
        "draw a picture of",
        "there is",
        "there are",
        "we see",
        "can you draw",
        "a drawing of",
    ),
)
_NOUNS = ("shape", "shape", "object", "thing")
_ABOVE, _BELOW = ("above", "above", "over", "on top of"), ("below", "below", "under", "beneath", "underneath")
_ON = ("on", "on", "on", "against", "in front of")
_NUMBERS = {"two": 2, "three": 3, "four": 4, "2": 2, "3": 3, "4": 4}


class _Speaker:
    """Says a scene, in a way of its own."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.articles = rng.random() < 0.9
        self.plain = rng.random() < 0.55
        """Whether things are told as adjectives before a noun only."""
        self.backdrop_word = "background" if rng.random() < 0.85 else "backdrop"

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def said(self, word: str) -> str:
        return self.rng.choice(_SAID.get(word, (word,)))

    def article(self, text: str) -> str:
        if not self.articles:
            return text
        one = "one" if self.chance(0.04) else "the" if self.chance(0.05) else "an" if text[0] in "aeiou" else "a"
        return f"{one} {text}"

    # things

    def thing(self, thing: Thing) -> tuple[str, str]:
        """The words for a thing: the noun with what goes before it, and what follows it."""
        noun = self.said(thing.shape) if thing.shape else self.rng.choice(_NOUNS)
        colour, surface = thing.colour, thing.surface and self.said(thing.surface)
        adjectives = [word for word in (colour, surface) if word]
        if self.chance(0.25):
            adjectives.reverse()
        if self.plain or not adjectives or not self.articles or self.chance(0.4):
            between = self.rng.choice((", ", " and ", "-")) if self.chance(0.14) else " "
            return self.article(f"{between.join(adjectives)} {noun}".strip()), ""
        carried = _CARRIED.get(thing.surface or "")
        form = self.rng.randrange(7)
        if form == 0 and carried:
            return self.article(f"{colour} {noun}" if colour else noun), f"with {self.rng.choice(carried)}"
        if form == 1 and surface:
            pattern = self.article_of(f"{surface} {self.rng.choice(('pattern', 'surface'))}")
            return self.article(f"{colour} {noun}" if colour else noun), f"with {pattern}"
        if form == 2 and colour:
            return self.article(f"{surface} {noun}" if surface else noun), f"in {colour}"
        if form == 3 and colour:
            return self.article(
                f"{surface} {noun}" if surface else noun
            ), f"in the {self.rng.choice(('colour', 'color'))} {colour}"
        if form == 4:
            return self.article(noun), f"that is {' and '.join(adjectives)}"
        if form == 5:
            return self.article(noun), f"which is {' and '.join(adjectives)}"
        return self.article(noun), f", {self.rng.choice((' and ', ', ')).join(adjectives)}"

    def article_of(self, text: str) -> str:
        return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"

    def group(self, thing: Thing, number: int) -> str:
        """ "two red circles"."""
        noun = self.said(thing.shape) if thing.shape else self.rng.choice(_NOUNS)
        adjectives = [word for word in (thing.colour, thing.surface and self.said(thing.surface)) if word]
        if self.chance(0.25):
            adjectives.reverse()
        word = next(w for w, n in _NUMBERS.items() if n == number)
        word = str(number) if self.chance(0.15) else word
        return " ".join([word, *adjectives, f"{noun}es" if noun == "cross" else f"{noun}s"])

    # places

    def side(self, side: str) -> str:
        """ "on the left", "in the upper left corner"."""
        of = self.rng.choice(
            (" of the picture", " of the image", " of the canvas", " of the scene") if self.chance(0.1) else ("",)
        )
        if side == "center":
            word = self.rng.choice(("center", "center", "middle", "centre"))
            return f"{self.rng.choice(('in', 'in', 'at'))} the {word}{of}"
        if side in ("left", "right"):
            forms = [f"on the {side}"] * 6 + [f"on the {side} side{of}", f"in the {side} half{of}", f"at the {side}"]
            forms += [f"on the {side}-hand side", f"at the {side} side"]
            return self.rng.choice([*forms, f"to the {side}", f"to the {side}"])
        if side in ("top", "bottom"):
            other = {"top": "upper", "bottom": "lower"}[side]
            forms = [f"at the {side}{of}"] * 5 + [f"on the {side}", f"in the {other} part"]
            return self.rng.choice([*forms, f"in the {other} half{of}", f"in the {side} half{of}"])
        upright, across = side.split()
        word = self.rng.choice(_UPRIGHT[upright])
        joined = f"{word}{self.rng.choice((' ', ' ', ' ', '-'))}{across}"
        return self.rng.choice(
            [f"in the {joined} corner{of}"] * 4 + [f"in the {joined}", f"at the {joined}", f"on the {joined}"]
        )

    def placed(self, thing: Thing, style: str) -> str:
        """A thing with its side."""
        head, tail = self.thing(thing)
        if not thing.side:
            return _attached(head, tail)
        if style == "before":
            side = self.side(thing.side)
            link = self.rng.choice((" ", " ", ", ", " there is ", " there is ", " is ", ": "))
            return _attached(f"{side}{link}{head}", tail)
        if style == "label":
            label = self.rng.choice(("centre", "center", "middle")) if thing.side == "center" else thing.side
            return _attached(f"{label}: {head}", tail)
        if style == "short":
            return f"{_attached(head, tail)} {'in the center' if thing.side == 'center' else thing.side}"
        if tail and self.chance(0.4):
            return _attached(f"{head} {self.side(thing.side)}", tail)
        link = ", " if tail.startswith(",") and self.chance(0.5) else " is " if style == "is" else " "
        return f"{_attached(head, tail)}{link}{self.side(thing.side)}"

    def listed(self, things: Sequence[Thing]) -> str:
        """Things one after the other."""
        style = self.rng.choices(("after", "before", "label", "short", "is"), (58, 25, 6, 6, 5))[0]
        parts = []
        for thing, same in itertools.groupby(things):
            alike = len(list(same))
            if alike > 1 and (not thing.side or style == "after"):
                place = f" {self.side(thing.side)}" if thing.side else ""
                parts.append(self.group(thing, alike) + place)
            else:
                parts += [self.placed(thing, style) for _ in range(alike)]
        if style == "label":
            return self.rng.choice((", ", "; ", ". ")).join(parts)
        if len(parts) == 1:
            return parts[0]
        last = self.rng.choices((" and ", ", ", ", and ", "; ", ". ", " with "), (60, 12, 12, 4, 8, 4))[0]
        if last == " with " and style == "before":
            last = " and "
        rest = last if last in ("; ", ". ") else " and " if self.chance(0.1) else ", "
        return rest.join(parts[:-1]) + last + parts[-1]

    def related(self, first: Thing, second: Thing, one: str, other: str) -> str:
        """Two things, of which the first stands on side `one` of the second, and the second on its side `other`."""
        a, b = (_attached(*self.thing(thing)) for thing in (first, second))

        def link(side: str) -> str:
            if side == "top":
                return self.rng.choice(_ABOVE)
            if side == "bottom":
                return self.rng.choice(_BELOW)
            return self.rng.choice((f"to the {side} of", f"to the {side} of", f"{side} of", f"on the {side} of"))

        form = self.rng.randrange(10)
        if form < 6:
            return f"{a} {link(one)} {b}"
        if form < 8:
            return f"{link(other)} {a} {self.rng.choice(('there is', 'is'))} {b}"
        follow = {"top": "above it", "bottom": "below it"}.get(other, f"to its {other}")
        return f"{a}{self.rng.choice((', ', ' and ', ' with '))}{b} {follow}"

    # the background

    def ground(self, backdrop: Backdrop) -> tuple[str, str]:
        """The background's words, to go before the things or after them."""
        words = [self.said(word) for word in (backdrop.pattern, backdrop.tone) if word]
        if self.chance(0.15):
            words.reverse()
        text = (self.rng.choice((", ", " and ")) if self.chance(0.1) else " ").join(words)
        noun, on = self.backdrop_word, self.rng.choice(_ON)
        described = self.article_of(f"{text} {noun}") if self.articles else f"{text} {noun}"
        form = self.rng.randrange(22)
        if form == 20 and self.articles:
            return f"{described} with ", ""
        if form == 21:
            return "", f", {self.rng.choice(('all', 'both'))} {on} {described}"
        if form < 7:
            return "", f" {on} {described}"
        if form < 9:
            return "", f", {on} {described}"
        if form < 12:
            return "", f", {text} {noun}"
        if form < 13:
            return "", f", with {described}"
        if form < 15:
            return "", f"{self.rng.choice(('. ', ', ', '; '))}the {noun} is {text}"
        if form < 16:
            return "", f"{self.rng.choice(('. ', '; ', ', '))}{noun}: {text}"
        if form < 18:
            return f"{on} {described}{self.rng.choice((', ', ' ', ': '))}", ""
        if form < 19:
            return f"{text} {noun}{self.rng.choice((', ', ': ', '. '))}", ""
        return f"the {noun} is {text}. ", ""

    def finish(self, text: str) -> str:
        """An opening, an ending, capitals."""
        opening = self.rng.choice(_OPENINGS) if self.chance(0.3) and not text.startswith("the ") else ""
        if opening:
            text = f"{opening}{': ' if self.chance(0.1) else ' '}{text}"
        text += self.rng.choices(("", ".", "!", " please", ", please", "?"), (68, 24, 2, 2, 2, 2))[0]
        how = self.rng.random()
        return text.upper() if how < 0.03 else text[0].upper() + text[1:] if how < 0.25 else text


def _attached(head: str, tail: str) -> str:
    return f"{head}{tail}" if tail.startswith(",") or not tail else f"{head} {tail}"


Draw = Callable[[random.Random], Thing]


def seen_thing(rng: random.Random) -> Thing:
    """A thing of a combination that training may see."""
    while True:
        thing = Thing(rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(SURFACES))
        if thing.combination not in HELD_OUT:
            return thing


def unseen_thing(rng: random.Random) -> Thing:
    """A thing of a combination kept out of training."""
    return Thing(*rng.choice(sorted(HELD_OUT)))


def partly(thing: Thing, rng: random.Random) -> Thing:
    """The thing with one or two of its attributes untold."""
    keep = rng.choice([("shape",), ("shape", "colour"), ("shape", "surface"), ("colour",), ("colour", "surface")])
    return Thing(**{name: getattr(thing, name) for name in keep})


_CENTERED = (("center", "left"), ("center", "right"), ("center", "top"), ("left", "center", "right"))
_TWO = (("left", "right"), ("left", "right"), ("top", "bottom"))
_THREE = (
    *(("top", "bottom left", "bottom right"), ("left", "top right", "bottom right"), ("left", "center", "right")),
    *(("right", "top left", "bottom left"), ("bottom", "top left", "top right"), ("top", "center", "bottom")),
)


def _told_sides(rng: random.Random, count: int) -> list[str | None]:
    """Sides for `count` things, all told, that go together; in random order."""
    if count == 1:
        return [rng.choice(SIDES)]
    chance = rng.random()
    pool: Sequence[str] = _CORNERS
    if count == 2 and chance < 0.6:
        pool = rng.choice(_TWO)
    elif count == 3 and chance < 0.6:
        pool = rng.choice(_THREE)
    elif count < 4 and chance < 0.75:
        pool = rng.choice([way for way in _CENTERED if len(way) >= count] or [_CENTERED[-1]])
    elif chance > 0.88:
        pool = SIDES if chance > 0.96 else (*_HALVES, *_HALVES)[: 4 + 4 * (chance > 0.94)]
    sides: list[str | None] = list(rng.sample(list(pool), count))
    return sides if rng.random() < 0.6 else sorted(sides, key=lambda side: SIDES.index(str(side)))


KINDS = ("placed", "unplaced", "related", "some placed", "alike", "partly told", "any")
"""Kinds of prompts: every thing's side told; none; one thing told beside, above or below another; some sides told;
some things alike and counted; attributes left out; a mixture."""


def random_told(rng: random.Random, draw: Draw = seen_thing, kind: str = "any", count: int | None = None) -> Told:
    """A scene told in a random way.

    Args:
        rng: the source of chance.
        draw: where the things come from.
        kind: one of `KINDS`.
        count: how many things; chosen where None.

    Prompts that read as if they named an object twice, or put two in one place, are not part of the language.
    """
    while True:
        told = _random_told(rng, draw, kind, count)
        places = [arrange([thing.side for thing in told.things], form) for form in ("tall", "wide", "even")]
        if refusal(told.prompt) is None and all(len({p.box for p in way}) == len(way) for way in places):
            return told


def _random_told(rng: random.Random, draw: Draw, kind: str, count: int | None) -> Told:
    if kind == "any":
        kind = rng.choices(KINDS[:-1], (38, 17, 13, 8, 8, 16))[0]
    if count is None:
        count = rng.choices((1, 2, 3, 4), (22, 42, 20, 16))[0]
    if kind == "related":
        count = 2
    elif kind in ("alike", "some placed"):
        count = max(2, count)
    things = [draw(rng) for _ in range(count)]
    sides: list[str | None] = [None] * count
    if kind == "placed" or (kind == "partly told" and rng.random() < 0.6):
        sides = _told_sides(rng, count)
    elif kind == "some placed":
        sides = _told_sides(rng, count)
        for i in rng.sample(range(count), rng.randint(1, count - 1)):
            sides[i] = None
    elif kind == "alike":
        start, alike = rng.randrange(count - 1), rng.randint(2, count)
        things[start : start + alike] = [things[start]] * len(things[start : start + alike])
        if rng.random() < 0.12:
            sides = [rng.choice(_HALVES)] * count if len(set(things)) == 1 else sides
        elif rng.random() < 0.15:
            sides = _told_sides(rng, count)
    if kind == "partly told" or (kind != "placed" and rng.random() < 0.08):
        things = [partly(thing, rng) if kind != "alike" and rng.random() < 0.7 else thing for thing in things]
    things = [replace(thing, side=side) for thing, side in zip(things, sides, strict=True)]
    backdrop = Backdrop()
    if rng.random() < 0.45:
        pattern = "plain" if rng.random() < 0.5 else rng.choice(PATTERNS)
        backdrop = Backdrop(pattern, rng.choice(TONES))
        if rng.random() < 0.3:
            backdrop = replace(backdrop, **{rng.choice(("pattern", "tone")): None})

    speaker = _Speaker(rng)
    if kind == "related":
        one, other = rng.choice((("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top")))
        if rng.random() < 0.15:
            a, b = (_attached(*speaker.thing(thing)) for thing in things)
            one, other = "left", "right"
            text = f"{a} {rng.choice(('next to', 'beside'))} {b}"
            if rng.random() < 0.4:
                text = f"{a} and {b} {rng.choice(('side by side', 'next to each other'))}"
        else:
            text = speaker.related(things[0], things[1], one, other)
        things = [replace(things[0], side=one), replace(things[1], side=other)]
    else:
        text = speaker.listed(things)
        if count > 1 and rng.random() < 0.05:
            number = next(word for word, n in _NUMBERS.items() if n == count)
            text = f"{number} {rng.choice(('shapes', 'objects', 'things'))}: {text}"
    if backdrop != Backdrop():
        before, after = speaker.ground(backdrop)
        text = f"{before}{text}{after}"
    return Told(speaker.finish(text), tuple(things), backdrop)


# Checking -------------------------------------------------------------------------------------------------------------

_MEANT: dict[str, str] = {
    **{word: word for word in (*SHAPES, *COLOURS, *SURFACES, *PATTERNS, *TONES, "shape")},
    **{"gray": "grey", "disc": "circle", "disk": "circle", "stripy": "striped", "stripes": "striped"},
    **{"spotted": "dotted", "dots": "dotted", "dot": "dotted", "checked": "checkered", "chequered": "checkered"},
    **{"checks": "checkered", "checkerboard": "checkered", "filled": "solid", "object": "shape", "thing": "shape"},
}
"""What a word tells of a thing or a background."""
_PLURALS = {f"{word}es" if word == "cross" else f"{word}s": word for word in (*SHAPES, "disc", "disk")}
_PLURALS |= {f"{word}s": word for word in ("shape", "object", "thing")}
_SMALL_WORDS = """
a above against all an and are at backdrop background below beneath beside both bottom by can canvas center centre
color colour corner create draw drawing each four front generate give half hand i image in is it its left like lower
make me middle next of on one other over paint part pattern picture please polka right scene see show side surface
that the there three to top two under underneath upper want we which with would you 2 3 4
"""
_PLACE_WORDS = frozenset(
    (
        *("above", "below", "beneath", "beside", "bottom", "center", "centre", "left", "lower", "middle", "next"),
        *("over", "right", "side", "top", "under", "underneath", "upper"),
    )
)
VOCABULARY: frozenset[str] = frozenset(_SMALL_WORDS.split()) | frozenset(_MEANT) | frozenset(_PLURALS)
"""Every word that the planner knows, lower case; hyphens part words."""
UNDERSTOOD = (
    f"one to four of {', '.join(SHAPES)}; {', '.join(COLOURS)}; {', '.join(SURFACES)}; positions such as left, top"
    f" right, center, above, next to; {', '.join(PATTERNS)} backgrounds in {', '.join(TONES)}"
)
"""What the planner understands, in a line."""
_WORD = re.compile(r"\w+|[^\w\s]")
_MARKS = frozenset(",.;:!?-")
_GROUND_WORD = rf"(?:{'|'.join(w for w, m in _MEANT.items() if m in (*PATTERNS, *TONES))}|and|,)"
_TINTED = re.compile(rf"\b({'|'.join(COLOURS)}) (?:(?!, ){_GROUND_WORD} )*?(?:background|backdrop) ")
_GROUND = re.compile(
    rf"(?:{_GROUND_WORD} )*(?:background|backdrop) (?:(?:is|:) (?:a )?(?:{_GROUND_WORD} )*)?"
    rf"|(?:{_GROUND_WORD} )*(?:background|backdrop) "
)
_GROUP = re.compile(
    rf"(?:^| )({'|'.join(_NUMBERS)}) ((?:[a-z-]+ |, )*?)({'|'.join(sorted(_PLURALS, key=len, reverse=True))}) "
)
_INTRODUCED = re.compile(rf"(?:^| )(?:{'|'.join(_NUMBERS)}) (?:shapes|objects|things) : ")
_LOOK = "|".join(word for word, meant in _MEANT.items() if meant in (*COLOURS, *SURFACES))
_SHAPE = "|".join(word for word, meant in _MEANT.items() if meant in SHAPES)
_MENTION = re.compile(rf"(?:^| )(?:(the|an?|one) )?((?:(?:{_LOOK}|,|and) )*)({_SHAPE})(?= )")
_UNHEARD = re.compile(r" (?:of it|(?:both|all)(?! (?:on|against|in front))) ")
_UPRIGHT_OF = {"top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom"}
_CORNER = re.compile(r"(?=\b(top|upper|bottom|lower) (left|right)\b)")
_KINDS: dict[str, tuple[str, ...]] = {
    "shape": (*SHAPES, "shape"),
    "colour": COLOURS,
    "surface": tuple(dict.fromkeys((*SURFACES, *PATTERNS))),
    "tone": TONES,
}


@dataclass(frozen=True)
class Counted:
    """How often a text tells each shape ("shape" where it names none), colour, surface or pattern, and tone."""

    words: Counter[str]
    ground: bool
    """Whether it speaks of a background."""

    def of(self, kind: str) -> Counter[str]:
        """Those of one kind: shape, colour, surface, tone."""
        return Counter({word: n for word, n in self.words.items() if word in _KINDS[kind]})

    @property
    def things(self) -> int:
        """How many things it names."""
        return self.of("shape").total()


def counted(text: str) -> Counted:
    """Counts the words of a text that tell what is seen; "two red circles" counts twice."""
    flat = " ".join(_WORD.findall(text.lower().replace("-", " "))) + " "
    flat = _INTRODUCED.sub(" ", flat)
    words: Counter[str] = Counter()

    def take(group: re.Match[str]) -> str:
        told = [*group[2].split(), _PLURALS[group[3]]]
        for word in told:
            if word in _MEANT:
                words[_MEANT[word]] += _NUMBERS[group[1]]
        return " "

    flat = _GROUP.sub(take, flat)
    words.update(_MEANT[word] for word in flat.split() if word in _MEANT)
    return Counted(words, bool({"background", "backdrop"} & set(flat.split())))


def named_shapes(text: str) -> list[str]:
    """The shapes that a text names ("shape" where it names none), in its order; plurals twice."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if word in _PLURALS:
            found += [_MEANT[_PLURALS[word]]] * 2
        elif _MEANT.get(word) in _KINDS["shape"]:
            found.append(_MEANT[word])
    return found


def tells_places(text: str) -> bool:
    """Whether a text says where anything stands."""
    return bool(_PLACE_WORDS & set(_WORD.findall(text.lower())))


def unknown(text: str) -> list[str]:
    """The words and marks of a text that are outside the planner's language, each once."""
    found = _WORD.findall(text.lower())
    return list(dict.fromkeys(word for word in found if word not in VOCABULARY and word not in _MARKS))


def refusal(prompt: str) -> str | None:
    """Why the planner does not understand a prompt, in words; None if it does."""
    if words := unknown(prompt):
        shown = ", ".join(f'"{word}"' for word in words[:6]) + (", …" if len(words) > 6 else "")
        return f"the bundled planner does not know {shown}"
    told = counted(prompt)
    if told.things == 0:
        return "names no object that the bundled planner knows"
    if told.things > MOST_THINGS:
        return f"names {told.things} objects; the bundled planner places at most {MOST_THINGS}"
    flat = " ".join(_WORD.findall(prompt.lower().replace("-", " "))) + " "
    flat = _INTRODUCED.sub(" ", flat)
    if back := _refers_back(flat):
        return f'refers back to "{back}"; the bundled planner takes every mention for another object'
    if match := _UNHEARD.search(flat):
        return f'the bundled planner does not understand "{match[0].strip()}" here'
    corners = Counter(f"{_UPRIGHT_OF[up]} {across}" for up, across in _CORNER.findall(flat))
    if crowded := [corner for corner, count in corners.items() if count > 1]:
        return f"puts two objects in the {crowded[0]} corner"
    if uncounted := [word for word in _GROUP.sub(" ", flat).split() if word in _PLURALS]:
        return f'does not say how many "{uncounted[0]}"'
    if tinted := _TINTED.search(flat):
        return f"asks for a background in {tinted[1]}; the bundled planner knows {', '.join(TONES)}"
    rest = _GROUND.sub(" ", flat).split()
    if stray := [word for word in rest if _MEANT.get(word, "") in (*TONES, "plain", "gradient")]:
        return f'the bundled planner knows "{stray[0]}" of backgrounds only'
    return None


def _refers_back(flat: str) -> str | None:
    """The words of a mention with "the" that fit an object named before."""
    seen: list[tuple[str, set[str]]] = []
    for article, adjectives, noun in _MENTION.findall(flat):
        shape = _MEANT.get(noun, noun)
        told = {_MEANT[word] for word in adjectives.split() if word in _MEANT}
        if article == "the" and any(shape == known and told <= words for known, words in seen):
            return f"the {adjectives}{noun}".strip()
        seen.append((shape, told))
    return None


def difference(asked: Counter[str], told: Counter[str]) -> str | None:
    """What `told` leaves out or invents, in words; None if the two agree."""
    if asked == told:
        return None
    parts = []
    for verb, words in (("leaves out", asked - told), ("invents", told - asked)):
        if words:
            parts.append(f"{verb} {', '.join(sorted(words.elements()))}")
    return " and ".join(parts)


def lost(prompt: str, contents: Sequence[str], looks: Sequence[tuple[str, str]] | None = None) -> str | None:
    """What a finished set of objects leaves out of its prompt or invents, in words; None if nothing.

    Args:
        prompt: what was asked.
        contents: each object's content, in which shapes are looked for.
        looks: each object's colour and texture; None where they are not told yet. One pattern may be missing where
            the prompt tells of a background: it can be the background's.
    """
    asked = counted(prompt)
    told = {"shape": _all(contents)}
    if looks is not None:
        told |= {"colour": _all(colour for colour, _ in looks), "surface": _all(texture for _, texture in looks)}
    for kind, words in told.items():
        wanted, found = asked.of(kind), Counter({w: n for w, n in words.items() if w in _KINDS[kind]})
        missing = wanted - found
        if kind == "surface" and asked.ground and missing.total() == 1 and set(missing) <= set(PATTERNS):
            found += missing
        if fault := difference(wanted, found):
            return fault
    return None


def _all(texts: Iterable[str]) -> Counter[str]:
    return sum((counted(text).words for text in texts), Counter())
