"""Phrases of captions: an object, its content or its detail alone, a style, a background, a place."""

from __future__ import annotations

import random
from collections.abc import Sequence

from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.words import (
    COLOUR_WORDS,
    KIND_WORDS,
    SIZE_WORDS,
    STYLE_ADJECTIVES,
    STYLE_WORDS,
    SURFACE_WITH,
    SURFACE_WORDS,
)


def pick(rng: random.Random | None, word: str, others: dict[str, tuple[str, ...]], chance: float = 0.12) -> str:
    """The word, or with this chance another word for it; without `rng` always the word."""
    return rng.choice(others[word]) if rng and word in others and rng.random() < chance else word


def article(text: str) -> str:
    """ "a star", "an orange star"."""
    return f"an {text}" if text[0] in "aeiou" and not text.startswith("one") else f"a {text}"


def full_text(thing: Thing, rng: random.Random | None = None) -> str:
    """The object with every attribute it has: "a small red striped circle"; without `rng` in the plainest words."""
    kind = pick(rng, thing.kind, KIND_WORDS) if thing.kind else rng.choice(("object", "shape")) if rng else "object"
    colour = pick(rng, thing.colour, COLOUR_WORDS) if thing.colour else ""
    size = (rng.choice(SIZE_WORDS[thing.size]) if rng else thing.size) if thing.size else ""
    surface, after = thing.surface or "", ""
    form = rng.random() if rng else 0.0
    if surface:
        if form > 0.75 and surface in SURFACE_WITH and rng:
            after, surface = rng.choice(SURFACE_WITH[surface]), ""
        else:
            surface = pick(rng, surface, SURFACE_WORDS)
    words = [size, surface, colour, kind] if 0.5 < form < 0.65 else [size, colour, surface, kind]
    if thing.style and form > 0.9:
        words.insert(0, STYLE_ADJECTIVES[thing.style])
    text = article(" ".join(w for w in words if w))
    if after:
        text += f" {after}"
    if 0.65 < form < 0.72 and (colour or surface):
        text = ", ".join([article(f"{size} {kind}".strip()), *(w for w in (colour, surface) if w)])
    if thing.style and form <= 0.9:
        text += f" in {rng.choice(STYLE_WORDS[thing.style]) if rng else STYLE_WORDS[thing.style][0]}"
    return text


def high_text(thing: Thing, rng: random.Random | None = None) -> str:
    """Content alone: "a circle"."""
    return full_text(Thing(kind=thing.kind, size=thing.size), rng)


def low_text(thing: Thing, rng: random.Random | None = None) -> str:
    """Detail alone: "red, striped", "red, striped, watercolour"."""
    words = [pick(rng, thing.colour, COLOUR_WORDS)] if thing.colour else []
    words += [pick(rng, thing.surface, SURFACE_WORDS)] if thing.surface else []
    if rng and rng.random() < 0.3:
        words.reverse()
    if thing.style:
        words.append(style_text(thing.style, rng))
    return (" " if rng and rng.random() < 0.3 else ", ").join(words)


def style_text(style: str, rng: random.Random | None = None) -> str:
    """Style alone: "watercolour", "pencil sketch style"."""
    words = rng.choice(STYLE_WORDS[style]) if rng else STYLE_WORDS[style][0]
    return f"{words} style" if rng and rng.random() < 0.2 else words


def backdrop_text(backdrop: Backdrop) -> str:
    """ "plain grey background", "meadow background"; empty where nothing is said."""
    words = [w for w in (backdrop.setting, backdrop.pattern, backdrop.tone) if w]
    return " ".join([*words, "background"]) if words else ""


_PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "on the left side", "on the left", "to the left"),
    "right": ("on the right", "on the right side", "on the right", "to the right"),
    "top": ("at the top", "at the top", "on top"),
    "bottom": ("at the bottom",),
    "center": ("in the center", "in the middle", "in the centre"),
}


def where(place: str, rng: random.Random | None = None) -> str:
    """`left` → "on the left", `top left` → "in the top left corner", `center` → "in the center"."""
    if place in _PLACE_WORDS:
        return rng.choice(_PLACE_WORDS[place]) if rng else _PLACE_WORDS[place][0]
    upper = place.replace("top", "upper").replace("bottom", "lower")
    forms = (f"in the {place} corner", f"at the {place}", f"in the {upper} corner")
    return rng.choice(forms) if rng else forms[0]


def enumerated(phrases: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]]) if len(phrases) > 1 else phrases[0]
