"""What a study of roles found: the curves that tell it, in the figure's units, as a table and as a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from strata.analysis.roles import CHANGES, DECIDES, Curve, StudiedLevel
from strata.analysis.statistics import Estimate
from strata.layers.ranges import Mask, named_blocks

CHANGED: Mapping[StudiedLevel, tuple[str, ...]] = {"high": ("structure",), "low": ("colour", "texture")}
"""What changes with a level's text on models whose pictures nobody judges."""
FEWEST = 5
"""Scenes below which nothing is said: a bootstrap over fewer tells no interval."""
DECISIVE = 0.5
"""The share of the effect everywhere from which on a window decides."""
_SUBJECTS: Mapping[StudiedLevel, str] = {"high": "content", "low": "detail"}


def telling(curves: Sequence[Curve]) -> list[Curve]:
    """The curves that say what a level decides, in shares: of pictures where those are judged, else of its effect.

    Judged: how often the picture has what the text says. Else: how far it changes, 0 being no change by the
    intervention (swap) or no text at all (alone) and 1 the text everywhere; NaN where that makes no difference.
    """
    judged = any(curve.name not in CHANGES for curve in curves)
    found = []
    for curve in curves:
        subject = curve.name.split()[0]
        if judged and curve.name not in CHANGES and subject in DECIDES[curve.level]:
            found.append(curve)
        elif not judged and subject in CHANGED[curve.level]:
            start, span = curve.least.value, curve.most.value - curve.least.value
            points = tuple(_share(point, start, span) for point in curve.points)
            most, least = (_share(end, start, span) for end in (curve.most, curve.least))
            found.append(replace(curve, points=points, most=most, least=least))
    return found


def makes_a_difference(curve: Curve) -> bool:
    """Whether a text everywhere does more than none, beyond chance; else its windows say nothing."""
    return curve.most.low > curve.least.high


def _share(estimate: Estimate, start: float, span: float) -> Estimate:
    if not abs(span) > 1e-9:
        return Estimate(np.nan, np.nan, np.nan)
    value, *ends = ((end - start) / span + 0.0 for end in (estimate.value, estimate.low, estimate.high))  # no -0
    return Estimate(value, min(ends), max(ends))


def roles_table(curves: Sequence[Curve], double_blocks: int) -> str:
    """The curves of the figure: without and with the text everywhere, in the strongest window, and their centres."""
    head = f"{'percent':12}{'without':>9}{'everywhere':>12}   {'strongest window':40}effect centred at"
    lines, group = [head], None
    for curve in telling(curves):
        if group != (group := (curve.kind, curve.level, curve.axis)):
            what = "another text" if curve.kind == "swap" else "visible alone"
            lines.append(f"{what}, {curve.level} level, window of {curve.axis}")
        ends = [estimate.text().split()[0] for estimate in (curve.least, curve.most)]
        peak = _peak(curve)
        best = "–" if peak is None else f"{_place(curve, peak, double_blocks)}: {curve.points[peak].text()}"
        centre = "–" if peak is None else _centre(curve, double_blocks)
        lines.append(f"  {curve.name.split()[0]:10}{ends[0]:>9}{ends[1]:>12}   {best:40}{centre}")
    return "\n".join(lines)


def _peak(curve: Curve) -> int | None:
    """The window where the measure is highest; None where it is nowhere above what is without."""
    values = [point.value for point in curve.points]
    peak = max(range(len(values)), key=values.__getitem__)
    return peak if values[peak] > curve.least.value else None


def _blocks(window: tuple[float, float]) -> Mask:
    """`bool[last + 1]`: the places from the first to the last of a window."""
    first, last = (round(end) for end in window)
    chosen: Mask = np.arange(last + 1) >= first
    return chosen


def _place(curve: Curve, window: int, double_blocks: int) -> str:
    first, last = curve.windows[window]
    if curve.axis == "blocks":
        return named_blocks(_blocks((first, last)), double_blocks)
    return f"{first}-{last}" if last > first else f"{first}"


def _centre(curve: Curve, double_blocks: int) -> str:
    centre = curve.centre
    if np.isnan(centre.value) or curve.axis == "steps":
        return centre.text(1, 1)
    at, low, high = (named_blocks(_blocks((x, x)), double_blocks) for x in (centre.value, centre.low, centre.high))
    return at if low == high else f"{at} [{low}, {high}]"


def finding(curves: Sequence[Curve], double_blocks: int, scenes: int) -> str:
    """One sentence: in which blocks content and detail are decided and where both are, or why that cannot be said.

    By swaps, where there are any, else by texts alone. A window decides what its measure reaches at least half of the
    effect everywhere in, with an interval above what is without.

    Args:
        curves: of the study.
        double_blocks: of the model.
        scenes: that were drawn.
    """
    if scenes < FEWEST:
        return f"Nothing can be said: {scenes} scenes are too few for intervals; it takes at least {FEWEST}."
    over_blocks = [curve for curve in telling(curves) if curve.axis == "blocks"]
    kind = "swap" if any(curve.kind == "swap" for curve in over_blocks) else "alone"
    chosen = [curve for curve in over_blocks if curve.kind == kind]
    clauses, masks = [], []
    for level, subject in _SUBJECTS.items():
        clause, mask = _clause([curve for curve in chosen if curve.level == level], subject, double_blocks)
        clauses.append(clause)
        masks += [] if mask is None else [mask]
    if len(masks) == 2:
        both = masks[0] & masks[1]
        clauses.append(f"they overlap in {named_blocks(both, double_blocks)}" if both.any() else "they share no block")
    elif not masks and all(clause.startswith("nothing") for clause in clauses):
        clauses = [clauses[0].replace(f" of {_SUBJECTS['high']}", "")]
    sentence = "; ".join(clauses)
    how = "" if any(curve.name not in CHANGES for curve in curves) else " (told by changes of pictures nobody judged)"
    return f"{sentence[0].upper()}{sentence[1:]}{how}."


def _clause(curves: Sequence[Curve], subject: str, double_blocks: int) -> tuple[str, Mask | None]:
    """What curves of one level say of its subject, and the blocks that decide it."""
    alone = curves[0].kind == "alone"
    clear = [curve for curve in curves if makes_a_difference(curve)]
    if not clear:
        why = "the texts make" if alone else "another text everywhere makes"
        return f"nothing can be said of {subject}: {why} no difference beyond chance", None
    mask = np.zeros(max(last for _, last in clear[0].windows) + 1, dtype=bool)
    names, strongest = [], (0.0, "")
    for curve in clear:
        span = curve.most.value - curve.least.value
        for at, (point, (first, last)) in enumerate(zip(curve.points, curve.windows, strict=True)):
            share = (point.value - curve.least.value) / span
            strongest = max(strongest, (share, _place(curve, at, double_blocks)))
            if share >= DECISIVE and point.low > curve.least.high:
                mask[first : last + 1] = True
                names.append(curve.name.split()[0])
    if not mask.any():
        share, place = strongest
        best = f"; the most, {100 * share:.0f} % of the effect everywhere, has {place}" if place else ""
        return f"no window of blocks decides {subject} by itself{best}", None
    where = "every block" if mask.all() else named_blocks(mask, double_blocks)
    verb = "can be drawn from" if alone else "is decided in"
    return f"{subject} ({', '.join(dict.fromkeys(names))}) {verb} {where}{' alone' if alone else ''}", mask
