"""A base prompt that tells of a plan's regions as they are, for plans whose own does not.

What the prompt says of the picture as a whole stays; what it says of a region that it does not name, or puts elsewhere,
is left out, and the region's own texts, with their place, are said instead. By words alone, as in `agreement`.
"""

from strata.hierarchy.agreement import Clause, clauses_of, disagreeing, fits, region_offset, speaks_of
from strata.hierarchy.phrases import telling_words, told_together
from strata.hierarchy.plan import ScenePlan, Texts

_MIDDLE = 0.08
"""Of the canvas: nearer to the middle, a region is neither left nor right of it."""
_PLACES = {
    ("left", ""): "on the left",
    ("right", ""): "on the right",
    ("", "top"): "at the top",
    ("", "bottom"): "at the bottom",
    ("", ""): "in the center",
}
_EDGES = " \n\t,;:."


def composed_prompt(plan: ScenePlan) -> str:
    """The base prompt, with every region in it that it does not agree with (`agreement.disagreeing`).

    "two boats at sea" becomes "a red striped boat on the left and a blue boat in the top right corner, two boats at
    sea"; a prompt that agrees with all regions stays as it is.

    Raises:
        InputError: a mask file cannot be used.
    """
    wrong = disagreeing(plan)
    if not wrong:
        return plan.prompt
    rest = _rest(plan, wrong)
    silent = {*wrong, *disagreeing(plan.model_copy(update={"prompt": rest}))}
    told = [_told(plan, index) for index, region in enumerate(plan.regions) if region.name in silent]
    listed = " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))
    return ", ".join(filter(None, (listed, rest, _ground(plan, rest))))


def _rest(plan: ScenePlan, wrong: tuple[str, ...]) -> str:
    """What the prompt says of anything else: without its clauses on what is in these regions, or stands there.

    What lies behind them may be there too.
    """
    regions = [(plan.regions[n], region_offset(plan, n)) for n, each in enumerate(plan.regions) if each.name in wrong]
    theirs = telling_words(text for region in plan.regions for _, text in region.by_level())
    ground = [word for word in telling_words([_texts(plan.background)]) if word not in theirs]
    kept = ""
    end: int | None = 0
    for clause in clauses_of(plan.prompt):
        behind = any(word in ground for word in telling_words([clause.text]))
        if any(speaks_of(each, clause.text) or (not behind and _is_at(clause, offset)) for each, offset in regions):
            end = None
            continue
        text = plan.prompt[clause.start : clause.end]
        kept += f", {text.lstrip()}" if end is None else plan.prompt[end : clause.start] + text
        end = clause.end
    return kept.strip(_EDGES)


def _is_at(clause: Clause, offset: tuple[float, float] | None) -> bool:
    return clause.place != (0, 0) and offset is not None and fits(clause.place, offset)


def _told(plan: ScenePlan, index: int) -> str:
    """A region's texts and its place."""
    region, offset = plan.regions[index], region_offset(plan, index)
    high = region.full or region.high
    text = told_together(high, None if region.full else region.low) if high else str(region.low)
    return text if offset is None else f"{text.strip(_EDGES)} {_place(*offset)}"


def _place(across: float, down: float) -> str:
    """Where something so far from the middle is, in words."""
    side = "" if abs(across) < _MIDDLE else "left" if across < 0 else "right"
    height = "" if abs(down) < _MIDDLE else "top" if down < 0 else "bottom"
    return _PLACES.get((side, height), f"in the {height} {side} corner")


def _ground(plan: ScenePlan, said: str) -> str:
    """What of the background's texts the prompt does not have the words of."""
    parts = [part.strip() for part in _texts(plan.background).split(",")]
    return ", ".join(part for part in parts if not all(word in said.lower() for word in telling_words([part])))


def _texts(background: Texts | None) -> str:
    return "" if background is None else background.full or ", ".join(text for _, text in background.by_level())
