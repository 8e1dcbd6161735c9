"""Is a plan grounded in its prompt? Words that a description invents, and words of the prompt that none carries.

A count of words, not of meanings: "a crimson rose" for "a red rose" counts as invented and as left out, and is for a
person to judge. Marked in the plan's provenance, never removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_SMALL_WORDS = """
a an the and or of in on at to by for with without from into onto over under above below beside behind before between
near next against along across around through within inside outside upon off up down out is are was were be being been
there this that these those it its his her their our my your he she they we you i as while where which who whose what
some any each every all both no not very so such too than then one two three four five six seven eight left right top
bottom center centre middle corner side upper lower front back foreground background image picture photo scene draw
show paint make please put place me want shape object thing something has have having
"""
_NO_CONTENT = frozenset(_SMALL_WORDS.split())
_SPELLINGS = {
    "gray": "grey",
    "color": "colour",
    "wooden": "wood",
    "golden": "gold",
    "woolen": "wool",
    "woollen": "wool",
}


def content_words(text: str) -> list[str]:
    """The words of a text that describe what is seen, in order, lower case, without the small words of the language."""
    flat = unicodedata.normalize("NFKC", text).lower()
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", flat)
    return [_SPELLINGS.get(word, word) for word in words if word not in _NO_CONTENT]


def lacking(words: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of `words` of which `others` holds no form (plural, "stormy" for "storm"), each once, in order."""
    stems = {_stem(word) for word in others}
    return [word for word in dict.fromkeys(words) if not any(_akin(_stem(word), stem) for stem in stems)]


def _stem(word: str) -> str:
    word = word.removesuffix("'s")
    for ending, short in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")):
        if word.endswith(ending):
            return word.removesuffix(ending) + short
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _akin(one: str, other: str) -> bool:
    """The same stem, or one the beginning of the other with a short ending: storm and stormy, stripe and striped."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    return len(short) >= 4 and len(long) - len(short) <= 3 and long.startswith(short[: max(4, len(short) - 1)])
