"""The scene language: a closed vocabulary of objects, sides and backgrounds, its captions, and their parser.

Every caption the miniature is trained on comes from here, and so does every truth it is scored against, so that
what a text says and what a picture holds can be compared exactly.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

from strata.hierarchy.errors import InputError

SHAPES = ("circle", "square", "triangle", "star", "heart", "ring", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "pink")
SURFACES = ("solid", "striped", "dotted", "checkered", "outlined")
PATTERNS = ("plain", "gradient", "checkered", "striped")
TONES = ("white", "grey", "black")
SIDES = ("left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right", "center")
NUMBERS = ("zero", "one", "two", "three", "four")

GLUE = (
    *("a", "an", "and", "at", "background", "corner", "image", "in", "middle", "object", "objects", "of", "on"),
    *("picture", "scene", "shape", "shapes", "side", "the", "with", ","),
)
WORDS: tuple[str, ...] = tuple(
    dict.fromkeys((*GLUE, *SHAPES, *COLOURS, *SURFACES, *PATTERNS, *TONES, *" ".join(SIDES).split(), *NUMBERS))
)


@dataclass(frozen=True, order=True)
class Thing:
    """One object's attributes; None where a text leaves one out."""

    shape: str | None = None
    colour: str | None = None
    surface: str | None = None
    side: str | None = None

    @property
    def combination(self) -> tuple[str | None, str | None, str | None]:
        """Shape, colour and surface."""
        return (self.shape, self.colour, self.surface)


@dataclass(frozen=True, order=True)
class Backdrop:
    """The background's attributes; None where a text leaves one out."""

    pattern: str | None = None
    tone: str | None = None


HELD_OUT: frozenset[tuple[str, str, str]] = frozenset(
    (SHAPES[i], COLOURS[(2 * j + i // 4) % 8], SURFACES[(i + j) % 5]) for i in range(7) for j in range(4)
)
"""Shape × colour × surface combinations that no training scene contains: 28 of 280.

Every shape is held out with four colours and four surfaces, and no two of the 28 agree in more than one attribute.
"""


# --- writing ---------------------------------------------------------------------------------------------------


def where(side: str, rng: random.Random | None = None) -> str:
    """`left` → "on the left", `top left` → "in the top left corner", `center` → "in the center"."""
    short = bool(rng and rng.random() < 0.3)
    if side in ("left", "right"):
        return f"on the {side} side" if short else f"on the {side}"
    if side in ("top", "bottom"):
        return f"at the {side}"
    if side == "center":
        return "in the middle" if short else "in the center"
    return f"at the {side}" if short else f"in the {side} corner"


def full_text(thing: Thing, rng: random.Random | None = None) -> str:
    """The object with every attribute it has, without its side: "a red striped circle"."""
    shape = thing.shape or "shape"
    form = rng.random() if rng else 0.0
    if form < 0.7 or not (thing.colour and thing.surface):
        return " ".join(["a", *(w for w in (thing.colour, thing.surface) if w), shape])
    if form < 0.85:
        return f"a {thing.surface} {thing.colour} {shape}"
    return f"a {shape}, {thing.colour}, {thing.surface}"


def high_text(thing: Thing) -> str:
    """Content alone: "a circle"."""
    return f"a {thing.shape or 'shape'}"


def low_text(thing: Thing, rng: random.Random | None = None) -> str:
    """Detail alone: "red, striped"."""
    words = [w for w in (thing.colour, thing.surface) if w]
    if rng and rng.random() < 0.3:
        words.reverse()
    return (" " if rng and rng.random() < 0.5 else ", ").join(words)


def backdrop_text(backdrop: Backdrop) -> str:
    """ "plain grey background"; empty where nothing is said."""
    words = [w for w in (backdrop.pattern, backdrop.tone) if w]
    return " ".join([*words, "background"]) if words else ""


Segment = tuple[str, Thing | Backdrop | None]
"""A stretch of a caption and what it describes (None: glue)."""


def caption_segments(
    things: tuple[Thing, ...], backdrop: Backdrop, rng: random.Random, sides: float = 0.5
) -> list[Segment]:
    """A random caption of a scene: full, content only, detail only or partial, with or without sides and backdrop.

    `sides` is the chance that a single object's side is named; those of several nearly always are.
    """
    form = rng.random()
    with_side = rng.random() < (sides if len(things) == 1 else 0.85)
    parts: list[Segment] = []
    for thing in things:
        if form < 0.60:
            said = replace(thing, side=None)
            text = full_text(said, rng)
        elif form < 0.72:
            said = Thing(shape=thing.shape)
            text = high_text(said)
        elif form < 0.84:
            said = Thing(colour=thing.colour, surface=thing.surface)
            text = low_text(said, rng)
        else:
            said = Thing(
                shape=thing.shape if rng.random() < 0.8 else None,
                colour=thing.colour if rng.random() < 0.5 else None,
                surface=thing.surface if rng.random() < 0.5 else None,
            )
            text = full_text(said, rng)
        if with_side and thing.side:
            said = replace(said, side=thing.side)
            text = f"{text} {where(thing.side, rng)}"
        parts.append((text, said))
    if len(parts) > 1 and rng.random() < 0.3:
        rng.shuffle(parts)
    if len(parts) > 1 and rng.random() < 0.06:
        segments: list[Segment] = [(f"{NUMBERS[len(things)]} {rng.choice(('shapes', 'objects'))}", None)]
    else:
        segments = [parts[0]]
        for i, part in enumerate(parts[1:], start=2):
            segments += [("and" if i == len(parts) else ",", None), part]
    ground = rng.random()
    if ground < 0.45:
        return segments
    keep = rng.random()
    part_said = backdrop if keep < 0.8 else replace(backdrop, **{("pattern" if keep < 0.9 else "tone"): None})
    text = backdrop_text(part_said)
    if ground < 0.52:
        return [(text, part_said)]
    if ground > 0.9:
        return [*segments, ("on a", None), (text, part_said)]
    return [*segments, (",", None), (text, part_said)]


def join(segments: list[Segment]) -> str:
    """A caption's text: segments joined by spaces, commas attached to the word before."""
    return " ".join(text for text, _ in segments).replace(" ,", ",")


# --- reading ---------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """Lower-case words and commas of a text."""
    return re.findall(r"[a-z]+|,", text.lower())


_GROUND = re.compile(rf"(?:on an? )?((?:(?:{'|'.join((*PATTERNS, *TONES))}) )+)background")
_PLACES = "|".join(sorted((*SIDES, "middle"), key=len, reverse=True))
_SIDE = re.compile(rf"(?:on|at|in) the ({_PLACES})(?: side| corner)?")


def parse_backdrop(text: str) -> Backdrop:
    """The background a text names; attributes it leaves out are None. Never fails."""
    flat = " ".join(words(text))
    match = _GROUND.search(flat)
    found = match.group(1).split() if match else []
    if not match:
        rest = [w for w in flat.split() if w not in (",", "background", "a", "on")]
        found = rest if all(w in PATTERNS or w in TONES for w in rest) else []
    return Backdrop(
        pattern=next((w for w in found if w in PATTERNS), None), tone=next((w for w in found if w in TONES), None)
    )


def parse_thing(text: str) -> Thing:
    """The object a region's text describes.

    Raises:
        InputError: the text names two shapes, two colours or two surfaces, or a word outside the language.
    """
    flat = " ".join(words(text))
    flat = _GROUND.sub(" ", flat)
    side = _SIDE.search(flat)
    flat = _SIDE.sub(" ", flat)
    found: dict[str, str] = {}
    for word in flat.split():
        for kind, valid in (("shape", SHAPES), ("colour", COLOURS), ("surface", SURFACES)):
            if word in valid:
                if found.get(kind, word) != word:
                    raise InputError(f"{text!r}: two {kind}s in one description: {found[kind]} and {word}")
                found[kind] = word
                break
        else:
            if word not in WORDS:
                raise InputError(f"{text!r}: {word!r} is not in the miniature's language; it knows: {', '.join(WORDS)}")
    place = side.group(1) if side else None
    return Thing(**found, side="center" if place == "middle" else place)
