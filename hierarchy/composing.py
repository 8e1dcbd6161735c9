"""A base prompt that tells of a plan's regions as they are, for plans whose own does not.

What the prompt says of the picture as a whole stays; where it puts a region elsewhere, that is left out, and the
region's own texts, with their place, are said instead. By words alone, as in `agreement`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from strata.hierarchy.agreement import CENTRAL, SIDES, THE_PICTURE, clauses_of, disagreeing, region_offset, speaks_of
from strata.hierarchy.areas import region_mask
from strata.hierarchy.native import one_text
from strata.hierarchy.phrases import DETERMINERS, EDGES, FUNCTION, telling_words, told_together
from strata.hierarchy.plan import Level, ScenePlan

_MIDDLE = 0.08
"""Of the canvas: nearer to the middle, a region is neither left nor right of it."""
_EVERYWHERE = 0.9
"""Of the canvas: a region that covers more is at no place."""
_PLACES = {
    ("left", ""): "on the left",
    ("right", ""): "on the right",
    ("", "top"): "at the top",
    ("", "bottom"): "at the bottom",
    ("", ""): "in the center",
}
_PARTS = ("side", "corner", "half", "edge", "part", "row", "center", "centre", "middle", "far", "hand", "most")
_BESIDE = rf"(?:{'|'.join((*_PARTS, *SIDES))})"
_PLACED = re.compile(
    rf"\s*\b(?:in|on|at|along|to)\s+the\s+(?:{_BESIDE}[\s-]+)*(?:{'|'.join(SIDES)})\b(?:[\s-]+{_BESIDE}\b)*+"
    rf"(?:\s+of\s+{THE_PICTURE}|(?!\s+of\b))",
    re.IGNORECASE,
)
"""A place in the picture."""
_WORDS = re.compile(r"\w+")
_MOST_BETWEEN = 2
"""Words of nobody's texts between an article and a region's words: "a big blue boat"."""


def composed_prompt(plan: ScenePlan, begins: Mapping[tuple[str, Level], str] | None = None) -> str:
    """The base prompt, with every region in it that it does not agree with (`agreement.disagreeing`).

    "two boats at sea" becomes "two boats at sea, a red striped boat on the left and a blue boat in the top right
    corner"; a prompt that agrees with all regions stays as it is. What it says of a region that it puts elsewhere is
    left out, or, where the same clause says more, only the place is.

    Args:
        plan: with its prompt.
        begins: texts of regions, by name and level, that are others when the picture begins: a prompt is one for all
            steps, and tells of these.

    Raises:
        InputError: a mask file cannot be used.
    """
    if begins:
        regions = []
        for region in plan.regions:
            other: dict[str, str] = {
                level: text for level, _ in region.by_level() if (text := begins.get((region.name, level)))
            }
            regions.append(region.model_copy(update=other))
        plan = plan.model_copy(update={"regions": tuple(regions)})
    wrong = disagreeing(plan)
    if not wrong:
        return plan.prompt
    rest = _rest(plan, wrong)
    silent = {*wrong, *disagreeing(plan.model_copy(update={"prompt": rest}))}
    told = [_told(plan, index) for index, region in enumerate(plan.regions) if region.name in silent]
    listed = " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))
    return ", ".join(filter(None, (rest, _ground(plan, rest), listed)))


def _rest(plan: ScenePlan, wrong: Collection[str]) -> str:
    """The prompt without the clauses that only tell of these regions; of those that tell more, without the place."""
    regions = [region for region in plan.regions if region.name in wrong]
    theirs = {word.lower() for region in plan.regions for _, text in region.by_level() for word in _WORDS.findall(text)}
    clauses, gone = clauses_of(plan.prompt), set[tuple[int, int]]()
    said: dict[tuple[int, int], str] = {}
    for clause in clauses:
        at, text = (clause.start, clause.end), plan.prompt[clause.start : clause.end]
        if not any(speaks_of(region, clause.text) for region in regions):
            said[at] = text
        elif _says_more(clause.text, theirs):
            said[at] = _unplaced(text)
        if at not in said or said[at] != text:
            gone |= {clause.led} if clause.led and _says_nothing(plan.prompt[slice(*clause.led)]) else set()
    for clause, following in pairwise(clauses):  # "black" of "a black and white boat"
        whole = any(speaks_of(region, clause.text) for region in plan.regions) or _says_more(clause.text, theirs)
        if not whole and clause.place == (0, 0) and (following.start, following.end) not in said:
            said.pop((clause.start, clause.end), None)
    kept, end = "", None if not clauses else clauses[0].start
    for clause in clauses:
        at = clause.start, clause.end
        if at in gone or at not in said:
            end = None
            continue
        kept += f", {said[at].lstrip()}" if end is None else plan.prompt[end : clause.start] + said[at]
        end = clause.end
    return kept.strip(EDGES)


def _says_more(text: str, theirs: Collection[str]) -> bool:
    """Whether a clause has words that are no place, and nobody's texts; few of them between article and noun count as
    what is said of the noun."""
    words = [word for word in _WORDS.findall(_unplaced(text)) if word not in (*SIDES, *_PARTS)]
    more = 0
    for n, word in enumerate(words):
        if word in theirs:
            started = next((m for m in range(n - 1, -1, -1) if words[m] in FUNCTION or words[m] in theirs), None)
            if started is not None and words[started] in DETERMINERS and n - started - 1 <= _MOST_BETWEEN:
                more -= n - started - 1
        elif word not in FUNCTION:
            more += 1
    return more > 0


def _says_nothing(text: str) -> bool:
    """Whether a clause is a place alone."""
    return not _unplaced(text).strip(EDGES)


def _unplaced(text: str) -> str:
    """A text without the places in the picture that it names."""
    return CENTRAL.sub("", _PLACED.sub("", text))


def _told(plan: ScenePlan, index: int) -> str:
    """A region's texts and its place."""
    region, offset = plan.regions[index], region_offset(plan, index)
    high = region.full or region.high
    text = told_together(high, None if region.full else region.low) if high else str(region.low).strip(EDGES)
    everywhere = float(region_mask(plan, index).mean()) > _EVERYWHERE
    return text if offset is None or everywhere else f"{text} {_place(*offset)}"


def _place(across: float, down: float) -> str:
    """Where something so far from the middle is, in words."""
    side = "" if abs(across) < _MIDDLE else "left" if across < 0 else "right"
    height = "" if abs(down) < _MIDDLE else "top" if down < 0 else "bottom"
    return _PLACES.get((side, height), f"in the {height} {side} corner")


def _ground(plan: ScenePlan, said: str) -> str:
    """Of the background's texts what the prompt has less than half of the words of."""
    if plan.background is None:
        return ""
    parts = [part.strip(EDGES) for part in one_text(plan.background).split(",")]
    return ", ".join(part for part in parts if part and not _is_said(telling_words([part]), said.lower()))


def _is_said(telling: Sequence[str], text: str) -> bool:
    return 2 * sum(word in text for word in telling) > len(telling)
