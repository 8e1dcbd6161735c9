"""Whether a base prompt tells of a plan's regions as they are: what is in them and, where it says so, where they are.

Read by words alone, in English as far as places go: no model is asked, and what is not understood contradicts nothing.
"""

import re
from collections.abc import Iterator

import numpy as np

from strata.hierarchy.areas import region_mask
from strata.hierarchy.phrases import telling_words
from strata.hierarchy.plan import Region, ScenePlan

_SECTIONS = re.compile(r"[;.!?\n]+")
_CLAUSES = re.compile(r"[,:]+|\s+(?:and|while|but)\s+")
_WORD = re.compile(r"\w+")
_ACROSS = {"left": -1, "leftmost": -1, "right": 1, "rightmost": 1}
_DOWN = {"top": -1, "upper": -1, "bottom": 1, "lower": 1}
_RELATION = re.compile(r"\b(?:left|right|top|bottom)\s+of\s+(?!the\s+(?:picture|image|canvas|frame|scene)\b)")
"""A place beside another thing, not in the picture."""
_LEADING = re.compile(r"\s*(?:in|on|at|along|to)\s+the\s+(?:far\s+)?(?:left|right|top|bottom|upper|lower)\b")
_MARGIN = 0.05
"""Of the canvas: nearer to the middle, a region is neither left nor right of it."""

Place = tuple[int, int]
"""-1, 0 or 1 across and down: left, nothing said, right; top, nothing said, bottom."""


def agreeing_share(plan: ScenePlan) -> float:
    """The share of a plan's regions that the base prompt agrees with (0 to 1); 1 without regions.

    Raises:
        InputError: a mask file cannot be used.
    """
    return 1 - len(disagreeing(plan)) / len(plan.regions) if plan.regions else 1.0


def disagreeing(plan: ScenePlan) -> tuple[str, ...]:
    """The names of the regions with which the base prompt does not agree.

    It agrees with a region where it has at least half of the telling words of the region's high text (else of its full,
    else of its low one), and does not put it elsewhere: of the clauses with such words, those that also say most of the
    region's detail count, and one whose place fits, or which says none, suffices.

    Raises:
        InputError: a mask file cannot be used.
    """
    prompt = plan.prompt.lower()
    clauses = list(_clauses(prompt))
    regions = enumerate(plan.regions)
    return tuple(region.name for index, region in regions if not _agrees(plan, index, prompt, clauses))


def _agrees(plan: ScenePlan, index: int, prompt: str, clauses: list[tuple[str, Place]]) -> bool:
    region = plan.regions[index]
    content = next(text for text in (region.high, region.full, region.low) if text is not None).lower()
    telling = telling_words([content])
    if not telling:
        return content in prompt
    if 2 * _said(telling, prompt) < len(telling):
        return False
    places = _places(telling, _detail(region, telling), clauses)
    if not places or (0, 0) in places:
        return True
    offset = _offset(plan, index)
    return offset is None or any(_fits(place, offset) for place in places)


def _said(telling: list[str], text: str) -> int:
    """How many of the words are in a text. In scripts without spaces, what is said is a part of it."""
    words = set(_WORD.findall(text))
    return sum(word in words or (not word.isascii() and word in text) for word in telling)


def _detail(region: Region, content: list[str]) -> list[str]:
    texts = [text.lower() for text in (region.low, region.full) if text is not None]
    return [word for word in telling_words(texts) if word not in content]


def _places(content: list[str], detail: list[str], clauses: list[tuple[str, Place]]) -> list[Place]:
    """Of the clauses that speak of the content, and of those the ones with most of its words."""
    told = [(_said(content, text), _said(detail, text), place) for text, place in clauses]
    most = max(((words, more) for words, more, _ in told if 2 * words >= len(content)), default=None)
    return [place for words, more, place in told if (words, more) == most]


def _clauses(prompt: str) -> Iterator[tuple[str, Place]]:
    """The clauses with their places; a place that leads a sentence ("on the left, ...") holds until another is said."""
    for section in _SECTIONS.split(prompt):
        leading = (0, 0)
        for clause in _CLAUSES.split(section):
            place = _place(clause)
            if _LEADING.match(clause):
                leading = place
            yield clause, place if place != (0, 0) else leading


def _place(clause: str) -> Place:
    words = _WORD.findall(_RELATION.sub(" ", clause))
    across, down = ({table[word] for word in words if word in table} for table in (_ACROSS, _DOWN))
    return across.pop() if len(across) == 1 else 0, down.pop() if len(down) == 1 else 0


def _offset(plan: ScenePlan, index: int) -> tuple[float, float] | None:
    """How far a region's middle lies right of and below the canvas's, in shares of it; None for one without a pixel."""
    rows, columns = np.nonzero(region_mask(plan, index))
    if not len(rows):
        return None
    return float((columns.mean() + 0.5) / plan.width - 0.5), float((rows.mean() + 0.5) / plan.height - 0.5)


def _fits(place: Place, offset: tuple[float, float]) -> bool:
    return all(said == 0 or said * far >= _MARGIN for said, far in zip(place, offset, strict=True))
