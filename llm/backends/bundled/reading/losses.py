"""Nothing that a prompt names gets lost on the way into the planner's words: it is refused instead."""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.chunks import LOOKS
from strata.llm.backends.bundled.reading.phrases import Refused
from strata.llm.backends.bundled.reading.vocabulary import NAMES, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, KINDS, SURFACES

_RELATIONS = tuple(
    (re.compile(rf"\b(?:{said})\b"), re.compile(rf"\b(?:{read})\b"))
    for said, read in (
        ("above|on top of|atop", "above|below|on top of|over|top|attop|toprow|incolumn|ttb|on"),
        ("below|underneath|beneath", "below|above|under|atbottom|bottom|bottomrow|incolumn|ttb"),
        ("beside|next to", "beside|next to|inrow|row|leftof|rightof|left|right|by|side"),
        ("inside|within", "inside|within|around|surrounded|in"),
        ("between", "between|flanked|inrow|eitherside"),
        ("behind|in front of", "behind|front"),
        ("around", "around|surrounded"),
    )
)
"""How a relation is said, and as what it may be read."""


def refuse_losses(said: str, read: str) -> None:
    """Raises `Refused` with the first word of a prompt that its reading does not have: a kind, a look, a relation."""
    known = set(_named(read).values())
    lost = [word for word, name in _named(said).items() if name not in known]
    relations = ((pattern.search(said.replace("_", " ")), kept) for pattern, kept in _RELATIONS)
    lost += [match[0] for match, kept in relations if match and not kept.search(read)]
    if lost:
        raise Refused(f'the bundled planner does not understand "{lost[0]}" as it is said here; say it another way')


def _named(text: str) -> dict[str, str]:
    """The words for kinds, colours and surfaces in a text, each with its name."""
    found = {}
    for word in re.findall(r"[a-z]+", text):
        name = SINGULAR.get(NAMES.get(word, word), NAMES.get(word, word))
        name = LOOKS.get(name, ("", name))[1]
        if name in (*KINDS, *COLOURS, *SURFACES):
            found[word] = name
    return found
