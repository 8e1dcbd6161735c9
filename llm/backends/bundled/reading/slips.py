"""Slips of the pen: the known word that an unknown one stands for."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from strata.llm.backends.bundled.reading.everyday import SPELLED
from strata.llm.backends.bundled.reading.grounds import EMPTY_GROUND, GROUNDS, SETTING, SETTING_IS
from strata.llm.backends.bundled.reading.lexicon import EMPTY, NEAREST, SILENT, nearest
from strata.llm.backends.bundled.reading.phrases import NOT, OUTRIGHT, PHRASES, STYLE_PHRASES, TOO_MANY, VAGUE
from strata.llm.backends.bundled.reading.spoken import MARKS
from strata.llm.backends.bundled.reading.verbs import VERBS
from strata.llm.backends.bundled.reading.vocabulary import NAMES, VOCABULARY


@cache
def phrase_words() -> frozenset[str]:
    """All words that phrases are made of, which no typo is looked for in."""
    patterns = [pattern.pattern for pattern, _ in PHRASES] + [pattern for pattern, _ in STYLE_PHRASES]
    patterns += [OUTRIGHT.pattern, SETTING.pattern, SETTING_IS.pattern, NOT.pattern, VAGUE.pattern]
    patterns += [pattern.pattern for pattern in (*GROUNDS, EMPTY_GROUND)] + [pattern for pattern, _ in SPELLED]
    words = re.findall(r"[a-z]{2,}", re.sub(r"\\[a-z]|\?P<\w+>", " ", " ".join(patterns)))
    return frozenset(words) - {"th"}


@cache
def familiar() -> frozenset[str]:
    """All words that need no second look."""
    tables = {word for table in NEAREST.values() for word in table}
    return (
        frozenset(NAMES)
        | phrase_words()
        | SILENT
        | EMPTY
        | tables
        | frozenset(TOO_MANY)
        | VOCABULARY
        | frozenset(MARKS)
        | VERBS
    )


_MEANT_BESIDE = """
left right top bottom middle center upper lower corner above below under beside between inside behind front next
somewhere sketch drawing painting picture image style exactly please centred
pencil watercolour watercolor neon pixel paper meadow desert ocean night background surrounded underneath
something anything everything
"""
_MEANT = (*NAMES, *_MEANT_BESIDE.split())
_TOO_SHORT = 4
"""Up to this length no letter of a word may be mistaken, only left out, added or swapped."""


@lru_cache(maxsize=4096)
def corrected(word: str) -> str | None:
    """The known word that an unknown one is a slip of; None where there is none, or more than one."""
    if len(word) < _TOO_SHORT - 1 or word in familiar() or nearest(word) or not word.isalpha():
        return None
    if re.search(r"(?:ing|ly|ed|ful|ish|ous)$", word) and not any(_slips(word, m) == 1 for m in _MEANT if len(m) > 5):
        return None
    most = 1 if len(word) < 7 else 2
    found: dict[int, set[str]] = {}
    for meant in _MEANT:
        alike = meant[0] == word[0] or meant[1:2] == word[:1]
        if len(meant) > 2 and abs(len(meant) - len(word)) <= most and alike:
            slips = _slips(word, meant)
            swapped = len(word) == len(meant) and slips == 1 and sorted(word) != sorted(meant)
            if len(word) < _TOO_SHORT and (len(meant) != _TOO_SHORT or NAMES.get(meant, meant) in ("a", "with")):
                continue
            if slips <= most and not (len(word) <= _TOO_SHORT and swapped):
                found.setdefault(slips, set()).add(meant)
    if not found:
        return None
    best = found[min(found)]
    return best.pop() if len({NAMES.get(w, w) for w in best}) == 1 else None


def _slips(one: str, other: str) -> int:
    """Letters left out, added, mistaken or swapped between two words (optimal string alignment distance)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        above, row = row, [i]
        for j, b in enumerate(other, start=1):
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before = above
    return row[-1]
