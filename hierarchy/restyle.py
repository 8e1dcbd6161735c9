"""Another style for the same plan: low texts replaced, everything else as it was."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.hierarchy.plan import ScenePlan, Texts
from strata.hierarchy.validation import first_reason

SomeTexts = TypeVar("SomeTexts", bound=Texts)


def area_names(plan: ScenePlan) -> list[str]:
    """The areas that may have texts: regions in order, "background", "global"."""
    return [*(region.name for region in plan.regions), "background", "global"]


def low_texts(plan: ScenePlan) -> dict[str, str]:
    """The low texts of a plan by area, in the order of `area_names`."""
    found = {text.area: text.text for text in plan.descriptions() if text.level == "low"}
    return {name: found[name] for name in area_names(plan) if name in found}


def restyled(plan: ScenePlan, low: Mapping[str, str]) -> ScenePlan:
    """The plan with other low texts in some areas.

    Args:
        plan: the original.
        low: new low text by area: a region's name, "background" or "global".

    Raises:
        InputError: there is no such area, it has no text by level, or the new text is empty or the one it has.
    """
    names = [region.name for region in plan.regions]
    changes: dict[str, object] = {}
    regions = list(plan.regions)
    before = low_texts(plan)
    for area, text in low.items():
        text = _checked(area, text)
        if before.get(area) == text:
            raise InputError(f"low text of {quote(area)}: {quote(text)}: is that already")
        if area == "global":
            changes["low"] = text
        elif area == "background":
            changes["background"] = _with_low(plan, ("background",), plan.background, text)
        elif area in names:
            index = names.index(area)
            regions[index] = _with_low(plan, ("regions", index), regions[index], text)
        else:
            known = area_names(plan)
            raise InputError(f"{quote(area)}: no such area; {did_you_mean(area, known)}valid: {', '.join(known)}")
    return plan.model_copy(update=changes | {"regions": tuple(regions)})


def matching_styles(plan: ScenePlan, other: ScenePlan) -> dict[str, str]:
    """The low texts of `other` for the areas of `plan`: by name where a region's name is shared, else in order.

    Areas whose text would stay as it is are left out.

    Raises:
        InputError: `other` has no low text for any area of `plan`.
    """
    styles = low_texts(other)
    names, theirs = [region.name for region in plan.regions], [region.name for region in other.regions]
    pairs = dict(zip(names, theirs, strict=False)) if not set(names) & set(theirs) else {n: n for n in names}
    pairs |= {area: area for area in ("background", "global")}
    found = {area: styles[source] for area, source in pairs.items() if source in styles}
    if plan.background is None:
        found.pop("background", None)
    if not found:
        has = ", ".join(styles) or "none"
        raise InputError(f"no low text for any of {', '.join(pairs)}; low texts there: {has}")
    before = low_texts(plan)
    return {area: text for area, text in found.items() if before.get(area) != text}


def _with_low(plan: ScenePlan, path: tuple[str | int, ...], texts: SomeTexts | None, low: str) -> SomeTexts:
    if texts is None:
        raise plan.error(path, "has no texts whose style could change; give it a high and a low text")
    if texts.high is None and texts.low is None:
        message = (
            f"has one undivided text, {quote(texts.full or '')}, that mixes content and detail; put its content into"
            " high and its detail (colour, material, style) into low"
        )
        raise plan.error((*path, "full"), message)
    return texts.model_copy(update={"low": low})


def _checked(area: str, text: str) -> str:
    try:
        return str(Texts(low=text).low)
    except ValidationError as error:
        raise InputError(f"low text of {quote(area)}: {quote(text)}: {first_reason(error)}") from error
