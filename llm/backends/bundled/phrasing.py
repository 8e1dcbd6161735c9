"""The prompts that the bundled planner is trained on and scored with: scenes, worded in many ways."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from strata.llm.backends.bundled.checks import NUMBER_WORDS, refusal
from strata.llm.backends.bundled.placement import CORNERS, HALVES, arrange
from strata.miniature.world.language import PATTERNS, SIDES, TONES, Backdrop, Thing
from strata.miniature.world.scenes import random_thing


@dataclass(frozen=True)
class ScenePrompt:
    """A prompt and what it asks for: things in its order, with the sides it names, and the background."""

    prompt: str
    things: tuple[Thing, ...]
    backdrop: Backdrop


_WORDINGS: dict[str, tuple[str, ...]] = {
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
    *("a scene with", "make a picture of", "draw a picture of", "there is", "there are", "we see", "can you draw"),
    "a drawing of",
)
_NOUNS = ("shape", "shape", "object", "thing")
_ABOVE, _BELOW = ("above", "above", "over", "on top of"), ("below", "below", "under", "beneath", "underneath")
_ON = ("on", "on", "on", "against", "in front of")


class _Phrasing:
    """One way of wording scenes, chosen at random."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.articles = rng.random() < 0.9
        self.plain = rng.random() < 0.55
        """Whether things are described by adjectives before a noun only."""
        self.backdrop_word = "background" if rng.random() < 0.85 else "backdrop"

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def wording(self, word: str) -> str:
        return self.rng.choice(_WORDINGS.get(word, (word,)))

    def article(self, text: str) -> str:
        if not self.articles:
            return text
        one = "one" if self.chance(0.04) else "the" if self.chance(0.05) else "an" if text[0] in "aeiou" else "a"
        return f"{one} {text}"

    # things

    def thing(self, thing: Thing) -> tuple[str, str]:
        """The words for a thing: the noun with what goes before it, and what follows it."""
        noun = self.wording(thing.shape) if thing.shape else self.rng.choice(_NOUNS)
        colour, surface = thing.colour, thing.surface and self.wording(thing.surface)
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
        noun = self.wording(thing.shape) if thing.shape else self.rng.choice(_NOUNS)
        adjectives = [word for word in (thing.colour, thing.surface and self.wording(thing.surface)) if word]
        if self.chance(0.25):
            adjectives.reverse()
        word = next(w for w, n in NUMBER_WORDS.items() if n == number)
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
        words = [self.wording(word) for word in (backdrop.pattern, backdrop.tone) if word]
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


def partly(thing: Thing, rng: random.Random) -> Thing:
    """The thing with one or two of its attributes left out."""
    keep = rng.choice([("shape",), ("shape", "colour"), ("shape", "surface"), ("colour",), ("colour", "surface")])
    return Thing(**{name: getattr(thing, name) for name in keep})


_CENTERED = (("center", "left"), ("center", "right"), ("center", "top"), ("left", "center", "right"))
_TWO = (("left", "right"), ("left", "right"), ("top", "bottom"))
_THREE = (
    *(("top", "bottom left", "bottom right"), ("left", "top right", "bottom right"), ("left", "center", "right")),
    *(("right", "top left", "bottom left"), ("bottom", "top left", "top right"), ("top", "center", "bottom")),
)


def _named_sides(rng: random.Random, count: int) -> list[str | None]:
    """Sides for `count` things, that go together; in random order."""
    if count == 1:
        return [rng.choice(SIDES)]
    chance = rng.random()
    pool: Sequence[str] = CORNERS
    if count == 2 and chance < 0.6:
        pool = rng.choice(_TWO)
    elif count == 3 and chance < 0.6:
        pool = rng.choice(_THREE)
    elif count < 4 and chance < 0.75:
        pool = rng.choice([way for way in _CENTERED if len(way) >= count] or [_CENTERED[-1]])
    elif chance > 0.88:
        pool = SIDES if chance > 0.96 else (*HALVES, *HALVES)[: 4 + 4 * (chance > 0.94)]
    sides: list[str | None] = list(rng.sample(list(pool), count))
    return sides if rng.random() < 0.6 else sorted(sides, key=lambda side: SIDES.index(str(side)))


PROMPT_KINDS = ("placed", "unplaced", "related", "some placed", "alike", "partly told", "any")
"""Kinds of prompts: every thing's side named; none; one thing beside, above or below another; some sides named; some
things alike and counted; attributes left out; a mixture."""


def random_prompt(
    rng: random.Random, kind: str = "any", count: int | None = None, held_out: bool = False
) -> ScenePrompt:
    """A scene worded in a random way.

    Args:
        rng: the source of chance.
        kind: one of `PROMPT_KINDS`.
        count: how many things; chosen where None.
        held_out: things of combinations kept out of training, else of the others.

    Prompts that read as if they named an object twice, or put two in one place, are not part of the language.
    """
    while True:
        scene = _random_prompt(rng, kind, count, held_out)
        places = [arrange([thing.side for thing in scene.things], form) for form in ("tall", "wide", "even")]
        if refusal(scene.prompt) is None and all(len({p.box for p in way}) == len(way) for way in places):
            return scene


def _random_prompt(rng: random.Random, kind: str, count: int | None, held_out: bool) -> ScenePrompt:
    if kind == "any":
        kind = rng.choices(PROMPT_KINDS[:-1], (38, 17, 13, 8, 8, 16))[0]
    if count is None:
        count = rng.choices((1, 2, 3, 4), (22, 42, 20, 16))[0]
    if kind == "related":
        count = 2
    elif kind in ("alike", "some placed"):
        count = max(2, count)
    things = [random_thing(rng, held_out=held_out) for _ in range(count)]
    sides: list[str | None] = [None] * count
    if kind == "placed" or (kind == "partly told" and rng.random() < 0.6):
        sides = _named_sides(rng, count)
    elif kind == "some placed":
        sides = _named_sides(rng, count)
        for i in rng.sample(range(count), rng.randint(1, count - 1)):
            sides[i] = None
    elif kind == "alike":
        start, alike = rng.randrange(count - 1), rng.randint(2, count)
        things[start : start + alike] = [things[start]] * len(things[start : start + alike])
        if rng.random() < 0.12:
            sides = [rng.choice(HALVES)] * count if len(set(things)) == 1 else sides
        elif rng.random() < 0.15:
            sides = _named_sides(rng, count)
    if kind == "partly told" or (kind != "placed" and rng.random() < 0.08):
        things = [partly(thing, rng) if kind != "alike" and rng.random() < 0.7 else thing for thing in things]
    things = [replace(thing, side=side) for thing, side in zip(things, sides, strict=True)]
    backdrop = Backdrop()
    if rng.random() < 0.45:
        pattern = "plain" if rng.random() < 0.5 else rng.choice(PATTERNS)
        backdrop = Backdrop(pattern, rng.choice(TONES))
        if rng.random() < 0.3:
            backdrop = replace(backdrop, **{rng.choice(("pattern", "tone")): None})

    phrasing = _Phrasing(rng)
    if kind == "related":
        one, other = rng.choice((("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top")))
        if rng.random() < 0.15:
            a, b = (_attached(*phrasing.thing(thing)) for thing in things)
            one, other = "left", "right"
            text = f"{a} {rng.choice(('next to', 'beside'))} {b}"
            if rng.random() < 0.4:
                text = f"{a} and {b} {rng.choice(('side by side', 'next to each other'))}"
        else:
            text = phrasing.related(things[0], things[1], one, other)
        things = [replace(things[0], side=one), replace(things[1], side=other)]
    else:
        text = phrasing.listed(things)
        if count > 1 and rng.random() < 0.05:
            number = next(word for word, n in NUMBER_WORDS.items() if n == count)
            text = f"{number} {rng.choice(('shapes', 'objects', 'things'))}: {text}"
    if backdrop != Backdrop():
        before, after = phrasing.ground(backdrop)
        text = f"{before}{text}{after}"
    return ScenePrompt(phrasing.finish(text), tuple(things), backdrop)
