"""Whether a base prompt tells of a plan's regions as they are: what is in them and, where it says so, where they are.

Read by words alone, in English as far as places go: no model is asked, and what is not understood contradicts nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strata.hierarchy.areas import region_mask
from strata.hierarchy.phrases import FUNCTION, telling_words
from strata.hierarchy.plan import Region, ScenePlan

_SECTIONS = re.compile(r"[;!?]+|\.+(?=\s|$)|\n\s*(?=[\n\-*•0-9A-Z])")
_CLAUSES = re.compile(r"[,:]+(?=\s|$)|\s+(?:and|while|but)\s+")
_WORD = re.compile(r"\w+")
_ACROSS = {"left": -1, "leftmost": -1, "right": 1, "rightmost": 1}
_DOWN = {"top": -1, "upper": -1, "bottom": 1, "lower": 1}
SIDES = (*_ACROSS, *_DOWN)
"""Words of places."""
THE_PICTURE = r"the\s+(?:picture|image|canvas|frame|scene)\b"
_RELATION = re.compile(rf"\b(?:left|right|top|bottom)\s+of\s+(?!{THE_PICTURE})")
"""A place beside another thing, not in the picture."""
_LEADING = re.compile(r"\s*(?:in|on|at|along|to)\s+the\s+(?:far\s+)?(?:left|right|top|bottom|upper|lower)\b")
_AFTER = "|".join(sorted(FUNCTION - {"of"}))
CENTRAL = re.compile(
    rf"\s*\b(?:in|at)\s+the\s+(?:very\s+)?(?:cent(?:er|re)|middle)\b"
    rf"(?:\s+of\s+{THE_PICTURE}|(?=\s*(?:[^\w\s]|$))|(?=\s+(?:{_AFTER})\b))",
    re.IGNORECASE,
)
"""The middle of the picture, not of another thing, and not "in the middle distance"."""
_FAR = 0.2
"""Of the canvas: farther from its middle, a region is not in it."""
_MARGIN = 0.05
"""Of the canvas: nearer to the middle, a region is neither left nor right of it."""

Place = tuple[int, int]
"""-1, 0 or 1 across and down: left, nothing said, right; top, nothing said, bottom. Or `_MIDDLE`."""
_MIDDLE: Place = (2, 2)
"""In the middle of the picture."""


@dataclass(frozen=True)
class Clause:
    """A stretch of a prompt that speaks of one thing, `[start, end)` in characters, and where that is said to be.

    `led`: by an earlier clause, in characters; None where it says so itself, or says nothing.
    """

    start: int
    end: int
    text: str
    place: Place
    led: tuple[int, int] | None = None


def disagreeing(plan: ScenePlan) -> tuple[str, ...]:
    """The names of the regions with which the base prompt does not agree.

    It agrees with a region where it has at least half of the telling words of the region's high text (else of its full,
    else of its low one), and does not put it elsewhere: of the clauses with such words, those that also say most of the
    region's detail count, and one whose place fits, or which says none, suffices.

    Raises:
        InputError: a mask file cannot be used.
    """
    clauses = clauses_of(plan.prompt)
    regions = enumerate(plan.regions)
    return tuple(region.name for index, region in regions if not _agrees(plan, index, clauses))


def _agrees(plan: ScenePlan, index: int, clauses: Sequence[Clause]) -> bool:
    region, prompt = plan.regions[index], plan.prompt.lower()
    if not speaks_of(region, prompt):
        return False
    telling = telling_words([_content(region)])
    places = _places(telling, _detail(region, telling), clauses) if telling else []
    if not places or (0, 0) in places:
        return True
    offset = region_offset(plan, index)
    return offset is None or any(fits(place, offset) for place in places)


def speaks_of(region: Region, text: str) -> bool:
    """Whether a text, in lower case, has at least half of the telling words of a region's content."""
    content = _content(region)
    telling = telling_words([content])
    return 2 * _said(telling, text) >= len(telling) if telling else content in text


def _content(region: Region) -> str:
    return next(text for text in (region.high, region.full, region.low) if text is not None).lower()


def _said(telling: list[str], text: str) -> int:
    """How many of the words are in a text. In scripts without spaces, what is said is a part of it."""
    words = set(_WORD.findall(text))
    return sum(word in words or (not word.isascii() and word in text) for word in telling)


def _detail(region: Region, content: list[str]) -> list[str]:
    texts = [text.lower() for text in (region.low, region.full) if text is not None]
    return [word for word in telling_words(texts) if word not in content]


def _places(content: list[str], detail: list[str], clauses: Sequence[Clause]) -> list[Place]:
    """Of the clauses that speak of the content, and of those the ones with most of its words."""
    told = [(_said(content, each.text), _said(detail, each.text), each.place) for each in clauses]
    most = max(((words, more) for words, more, _ in told if 2 * words >= len(content)), default=None)
    return [place for words, more, place in told if (words, more) == most]


def clauses_of(prompt: str) -> list[Clause]:
    """The clauses of a prompt, their texts in lower case.

    A place that leads a sentence ("on the left, ...") holds until another is said.
    """
    found = []
    for start, end in _parts(_SECTIONS, prompt, 0, len(prompt)):
        leading, at = (0, 0), (start, start)
        for begin, stop in _parts(_CLAUSES, prompt, start, end):
            text = prompt[begin:stop].lower()
            place = _place(text)
            if _LEADING.match(text) or CENTRAL.match(text):
                leading, at = place, (begin, stop)
            led = place == (0, 0) != leading
            found.append(Clause(begin, stop, text, leading if led else place, at if led else None))
    return found


def _parts(between: re.Pattern[str], text: str, start: int, end: int) -> list[tuple[int, int]]:
    """What of `[start, end)` lies between the matches of a pattern."""
    cuts = [start, *(edge for match in between.finditer(text, start, end) for edge in match.span()), end]
    return list(zip(cuts[::2], cuts[1::2], strict=True))


def _place(clause: str) -> Place:
    words = _WORD.findall(_RELATION.sub(" ", clause))
    across, down = ({table[word] for word in words if word in table} for table in (_ACROSS, _DOWN))
    if not across and not down and CENTRAL.search(clause):
        return _MIDDLE
    return across.pop() if len(across) == 1 else 0, down.pop() if len(down) == 1 else 0


def region_offset(plan: ScenePlan, index: int) -> tuple[float, float] | None:
    """How far a region's middle lies right of and below the canvas's, in shares of it; None for one without a pixel."""
    rows, columns = np.nonzero(region_mask(plan, index))
    if not len(rows):
        return None
    return float((columns.mean() + 0.5) / plan.width - 0.5), float((rows.mean() + 0.5) / plan.height - 0.5)


def fits(place: Place, offset: tuple[float, float]) -> bool:
    """Whether something so far from the middle (`region_offset`) may be said to be there."""
    if place == _MIDDLE:
        return max(map(abs, offset)) <= _FAR
    return all(said == 0 or said * far >= _MARGIN for said, far in zip(place, offset, strict=True))
