"""Reading the scene language: what a region's or a background's text names."""

from __future__ import annotations

import re
from functools import lru_cache

from strata.hierarchy.errors import InputError
from strata.miniature.world.facts import (
    COLOURS,
    KINDS,
    PATTERNS,
    PLACES,
    SETTINGS,
    SIZES,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
)
from strata.miniature.world.words import (
    COLOUR_WORDS,
    KIND_WORDS,
    NOISE,
    OPENINGS,
    SETTING_WORDS,
    SIZE_WORDS,
    STYLE_ADJECTIVES,
    STYLE_WORDS,
    SURFACE_WITH,
    SURFACE_WORDS,
    WORDS,
    plural,
)

_GLUE = "a an the of with in on at and is are it style painted drawn object shape background backdrop , ."
_SILENT = frozenset(" ".join((*OPENINGS, *NOISE, _GLUE)).split())
"""Words that say nothing of a background."""


def words(text: str) -> list[str]:
    """Lower-case words, numbers and marks of a text."""
    return re.findall(r"<\d>|[a-z0-9][a-z0-9'-]*|[,.:;]", text.lower())


@lru_cache(maxsize=1)
def _phrases() -> dict[str, tuple[str, str]]:
    """What every phrase of the language names: ("style", "pixel") for "pixel art"."""
    table: dict[str, tuple[str, str]] = {}
    for attribute, values, others in (
        ("kind", KINDS, KIND_WORDS),
        ("colour", COLOURS, COLOUR_WORDS),
        ("surface", SURFACES, SURFACE_WORDS),
        ("surface", (), SURFACE_WITH),
        ("style", STYLES, STYLE_WORDS),
        ("size", SIZES, SIZE_WORDS),
    ):
        table |= {value: (attribute, value) for value in values}
        table |= {word: (attribute, value) for value, more in others.items() for word in more}
    for kind in KINDS:
        for word in (kind, *KIND_WORDS.get(kind, ())):
            table.setdefault(plural(word), ("kind", kind))
    table |= {word: ("style", style) for style, word in STYLE_ADJECTIVES.items()}
    return table


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    phrases = sorted(_phrases(), key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, phrases)) + r")\b")


_SETTINGS = {word: setting for setting, forms in SETTING_WORDS.items() for word in forms}
_SETTING = re.compile(
    r"\b(" + "|".join(map(re.escape, sorted(_SETTINGS, key=len, reverse=True))) + r")\b"
    rf"|(?:\b(?:on|in|with|against) an? )?\b({'|'.join(SETTINGS)})\b(?: background| backdrop)?"
)
_GROUND = re.compile(
    rf"(?:\b(?:on|against|with) an? )?((?:\b(?:{'|'.join((*PATTERNS, *TONES))}) )+)(?:background|backdrop)\b"
)
_SPOTS = "|".join(sorted((*PLACES, "middle", "centre"), key=len, reverse=True))
_PLACE = re.compile(rf"\b(?:on|at|in|to) the ({_SPOTS})(?: side| corner)?\b|\b(on top)\b")


def parse_backdrop(text: str) -> Backdrop:
    """The background a text names; attributes it leaves out are None. Never fails."""
    flat = " ".join(words(text))
    if match := _SETTING.search(flat):
        return Backdrop(setting=_SETTINGS.get(match.group(1) or "") or match.group(2))
    match = _GROUND.search(flat)
    found = match.group(1).split() if match else []
    if not match:
        plain = _pattern().sub(lambda m: "" if _phrases()[m.group()][0] == "style" else m.group(), flat)
        rest = [w for w in plain.split() if w not in _SILENT]
        found = rest if all(w in PATTERNS or w in TONES for w in rest) else []
    return Backdrop(
        pattern=next((w for w in found if w in PATTERNS), None), tone=next((w for w in found if w in TONES), None)
    )


def parse_style(text: str) -> str | None:
    """The style a text names, the last if it names several. Never fails."""
    found = [_phrases()[m.group()] for m in _pattern().finditer(" ".join(words(text)))]
    styles = [value for attribute, value in found if attribute == "style"]
    return styles[-1] if styles else None


def parse_thing(text: str) -> Thing:
    """The object a region's text describes.

    Raises:
        InputError: the text names two kinds, two colours, surfaces or styles, or a word outside the language.
    """
    flat = " ".join(words(text))
    for pattern in (_SETTING, _GROUND, _PLACE):
        flat = pattern.sub(" ", flat)
    found: dict[str, str] = {}
    for match in _pattern().finditer(flat):
        attribute, value = _phrases()[match.group()]
        if found.get(attribute, value) != value:
            raise InputError(f"{text!r}: two {attribute}s in one description: {found[attribute]} and {value}")
        found[attribute] = value
    for word in _pattern().sub(" ", flat).split():
        if word not in WORDS:
            raise InputError(f"{text!r}: {word!r} is not in the miniature's language; it knows: {', '.join(WORDS)}")
    return Thing(**found)
