"""What falls away around what is to be drawn, and the one guard that every table which drops words goes through.

A pattern drops the words that it spells out. Where a gap in it (`\\w+`, `[^.;]*`) took up a thing that can be drawn, a
look, a place or a number, and the rest of the prompt does not say it again, nothing is dropped: the words stay, and are
read or refused. Clauses that are known by their form alone ("because …", "for our …") may have nothing in them that
cannot be drawn either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from strata.llm.backends.bundled.reading.asides import ASIDES
from strata.llm.backends.bundled.reading.framing import FRAMES
from strata.llm.backends.bundled.reading.lexicon import TELLING, nearest
from strata.llm.backends.bundled.reading.politeness import PERSON, POLITENESS, WE
from strata.llm.backends.bundled.reading.spoken import MARKS
from strata.llm.backends.bundled.reading.vocabulary import NAMES, NOUNS, NUMBERS, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, KINDS, PATTERNS, SIZES, STYLES, SURFACES, TONES

_SHOWN_WORDS = """
    beneath underneath atop alongside within outside opposite along across left right top bottom middle centre center
    above below under over beside inside between sea desert night meadow ocean field water grass background behind
    around near next upper lower stripes dots checks outline outlined backdrop style watercolor sky paper cut pixel
    bit pencil sketch sketched flat neon papercut central centered centred side sides row column grid corner corners
    all each everything front
"""
_SHOWN = frozenset(_SHOWN_WORDS.split())
_LOOKS = frozenset((*COLOURS, *SURFACES, *SIZES, *STYLES, *TONES, *PATTERNS))
_LOOSE = frozenset(("little", "plain", "big", "small", "large", "wee", "solid", "flat"))
"""Looks that are as often said of other things: "my little sister", "plain to see"."""
_ASKING_WORDS = """
    want wants need needs like love draw drawn make makes put give add get gets see show paint place include create
    render sketch prefer fancy imagine picture wish have has try use there a an two three four five six seven eight one
"""
_ASKING = frozenset(_ASKING_WORDS.split())
_DRAWS_WORDS = """
    draw put place add show make render create paint give sketch position set please
"""
_DRAWS = frozenset(_DRAWS_WORDS.split())
_PRONOUNS = frozenset(("it", "there", "this", "that", "they", "here", "one"))
_OWN = re.compile(r"\b(?:my|our|your|his|her|their) ([a-z]+)")
_NUMBER = r"(?:an?|one|two|three|four|five|six|seven|eight|\d|the)"
By = str | Callable[[re.Match[str]], str]


def tells(word: str) -> bool:
    """Whether a word is one of a picture: a thing, a look, a place, or something of the kind that cannot be drawn."""
    name = NAMES.get(word, word)
    known = name in NOUNS or name in SINGULAR or name in _LOOKS or name in _SHOWN
    return known or word in TELLING or bool(nearest(word))


def without_loss(match: re.Match[str], after: str, strict: bool = False) -> str:
    """What stands in the place of a match: `after`, or the match itself where a word of the picture would be lost.

    Args:
        match: what is to be dropped, with the pattern that found it and the prompt around it.
        after: what is to stand instead.
        strict: whether words for what cannot be drawn are to stay as well.
    """
    again = {_same(word) for word in _words(f"{match.string[: match.start()]} {after} {match.string[match.end() :]}")}
    known = _spelled(match.re) | again
    gone = [word for word in _words(_OWN.sub(_own, match[0])) if _same(word) not in known and word not in known]
    return match[0] if any(map(tells if strict else _drawn, gone)) else after


def without_asides(text: str) -> str:
    """A prompt in lower case without what only stands around it."""
    text = _loved(text)
    for pattern, by, strict in _FIRST:
        text = _applied(pattern, by, strict, text)
    text = _without_chatter(text)
    for pattern, by, strict in _THEN:
        text = _applied(pattern, by, strict, text)
    return text


def _applied(pattern: re.Pattern[str], by: By, strict: bool, text: str) -> str:
    return pattern.sub(lambda m: without_loss(m, by(m) if callable(by) else m.expand(by), strict), text)


def _drawn(word: str) -> bool:
    """Whether a word names a thing that can be drawn, a look, a place or a number."""
    name = NAMES.get(word, word)
    name = SINGULAR.get(name, name)
    return word not in _LOOSE and (
        name in KINDS or name in _LOOKS or word in _SHOWN or name in NUMBERS or word.isdigit()
    )


def _same(word: str) -> str:
    """A word as all its forms and synonyms have it."""
    name = NAMES.get(word, word)
    return NUMBERS[int(name) - 2] if name in "2345678" else SINGULAR.get(name, name)


@cache
def _spelled(pattern: re.Pattern[str]) -> frozenset[str]:
    """The words that a pattern spells out; any digit where it asks for one."""
    told = _words(re.sub(r"\{[\d,]*\}|\\[a-z]|\(\?P<\w+>", " ", pattern.pattern))
    words = {form for word in told for form in (word, word.removesuffix("s"), _same(word))}
    return frozenset(words | set(NUMBERS) if r"\d" in pattern.pattern else words)


def _own(match: re.Match[str]) -> str:
    """What belongs to somebody ("my kitchen") is not of the picture, but for what could be."""
    return match[1] if _drawn(match[1]) else " "


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+|\d", text)


_CONDITION = (
    r"(?:^|(?<=[.,;:!?(]))\s*(?:and |but |so |only |even )?(?:if|because|since|as long as|provided|in case|whenever"
    r"|when (?:you|i|we|the|it|they|he|she)|while you|before you|after you|seeing as|given that|assuming|so i can"
    r"|so we can|as i|as we|as my|as our|though|although)\b[^.,;:!?)]*"
)
_REASON = r"\b(?:because|cause|cuz|coz|cos|bc|b/c|'cause|seeing as|seeing that)\b[^.,;:!?]*"
_PURPOSE = (
    r"\bfor (?:(?:the|our|my|this|that|his|her|their|your|an?|some|next|tomorrow's|today's) )+(?:[\w'-]+ ){0,3}?"
    r"[\w'-]+(?=\s*(?:[.,;:!?]|$|\())"
)
_HEADING = r"(?:^|(?<=[.!?;\n]))\s*(?:[\w'/&-]+,? ?){1,7}?:(?!\w)"
_SUBJECT = (
    r"(?:^|(?<=[.!?;\n]))\s*(?:[\w'-]+ ){1,7}?(?:is|are|was|were|will be|would be|should be|must be|shall be|being)"
    rf"(?: (?:just|only|simply|basically|still|now|to (?:draw|have|show|get|see|make|render)))*(?= {_NUMBER} )"
)


def _heading(match: re.Match[str]) -> str:
    """Nothing in the place of words before a colon, where a thing is named behind it; "my cat:" is a thing itself."""
    return " " if _names_next(match) and not any(map(nearest, _words(match[0]))) else match[0]


def _subject(match: re.Match[str]) -> str:
    """Nothing in the place of "the goal is", before a thing."""
    return " " if _names_next(match) and not _PRONOUNS & set(_words(match[0])) else match[0]


def _names_next(match: re.Match[str]) -> bool:
    """Whether a thing that can be drawn is named right behind: "two small red stars"."""
    for word in re.findall(r"[a-z']+", re.split(r"[.:;]", match.string[match.end() :])[0])[:6]:
        name = NAMES.get(word, word)
        if name in NOUNS or name in SINGULAR:
            return True
        if word in _DRAWS:
            continue
        if not (name in _LOOKS or re.fullmatch(rf"{_NUMBER}|and|exactly|single|just|only", word)):
            return False
    return False


_CLAUSES = re.compile(r"(\s*[.!?;:\n]+|,? \b(?:but|so|anyway)\b(?! that)|,)")
_SAYS = re.compile(
    r"\bmy \w+(?:'s| is| are| was| isn't| aren't| wasn't| don't| can't) \w+|\b(?:i|you|we|he|she)(?:'\w+)? \w+"
    r"|^\s*(?:sorry|hope|guess|bet|prove|trust|believe|thank|wish|not sure|no idea)\b"
)


def _without_chatter(text: str) -> str:
    """Without clauses in which somebody says something that asks for nothing and names nothing of a picture."""
    pieces = _CLAUSES.split(text)
    for i in range(0, len(pieces), 2):
        said = re.fullmatch(r"(?s).+", pieces[i])
        if not said or not _SAYS.search(pieces[i]) or {*_ASKING, *MARKS} & set(_words(pieces[i])):
            continue
        if without_loss(said, " ", strict=True) == " ":
            pieces[i : i + 2] = [" ", re.sub(r"but|so|anyway|,", " ", "".join(pieces[i + 1 : i + 2]))]
    return "".join(pieces)


_LOVED = re.compile(
    rf"\b(?:{PERSON}|{WE}) (?:really |just |absolutely |only )*(?:loves?|likes?|adores?|wants?|is (?:mad|crazy"
    rf"|nuts) about|is obsessed with|is into|collects?|(?<=do you )(?:do|draw|have|know)|(?<=can you )(?:do|draw))"
    rf" ({'|'.join(KINDS)})s\b(?! (?:and|with|in|on)\b)"
    rf"(?=.*\b(?:one|of them)\b)(?!.*\b(?:{'|'.join(KINDS)})s?\b)"
)


def _loved(text: str) -> str:
    """A thing that somebody loves, where "one" means it and nothing else does: "my son loves cars, do a red one"."""
    match = _LOVED.search(text)
    if match is None:
        return text
    rest, found = re.subn(r"\b(\w+) of them\b", rf"\1 {match[1]}s", text[match.end() :], count=1)
    rest = rest if found else re.sub(r"(?<!the )(?<!each )(?<!this )\bone\b", match[1], rest)
    return f"{text[: match.start()]} {rest}"


def _kept(match: re.Match[str]) -> str:
    return f" {match[1]} " if match.re.groups and match[1] else " "


def _table(rows: Iterable[str | tuple[str, By]], strict: bool = False) -> tuple[tuple[re.Pattern[str], By, bool], ...]:
    """Compiled rows; a pattern alone falls away."""
    pairs = ((row, " ") if isinstance(row, str) else row for row in rows)
    return tuple((re.compile(pattern), by, strict) for pattern, by in pairs)


_FIRST = (*_table([_CONDITION], strict=True), *_table((frame, _kept) for frame in FRAMES))
_THEN = (
    *_table([_REASON, (_HEADING, _heading), (_SUBJECT, _subject), _PURPOSE], strict=True),
    *_table((*POLITENESS, *ASIDES)),
)
