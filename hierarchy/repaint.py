"""One region of a plan told otherwise or put elsewhere: the region, the base prompt, and the area that changes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from strata.hierarchy.areas import region_mask
from strata.hierarchy.errors import SettingError, did_you_mean, quote
from strata.hierarchy.grid import tokens_of_region
from strata.hierarchy.plan import LEVELS, Box, Level, Region, ScenePlan, Texts
from strata.hierarchy.validation import first_reason


def region_named(plan: ScenePlan, name: str) -> int:
    """Which region has this name. Raises `SettingError`, which names those there are."""
    names = [region.name for region in plan.regions]
    if name in names:
        return names.index(name)
    if not names:
        raise SettingError(f"<region> {quote(name)}: the plan has no regions")
    if name == "background":
        told = "change its texts in the plan, and draw that with the picture's seed"
        raise SettingError(
            f"<region> 'background': is what the regions leave, and is not repainted; {told};"
            f" regions: {', '.join(names)}"
        )
    raise SettingError(
        f"<region> {quote(name)}: no such region; {did_you_mean(name, names)}regions: {', '.join(names)}"
    )


def changed_region(plan: ScenePlan, name: str, texts: Mapping[Level, str], box: Box | None = None) -> Region:
    """A region with other texts, or in another place; otherwise as it is.

    A text takes the place of that of its level. An undivided text divides where a high and a low one are given, and
    texts by level become one where a full one is given.

    Args:
        plan: the region's.
        name: of the region.
        texts: the new ones, by level.
        box: where it is now; None: where it was.

    Raises:
        SettingError: there is no such region, it is that already, or a text or the box is none that a region can have.
    """
    region = plan.regions[region_named(plan, name)]
    before = dict(region.by_level())
    for level, text in texts.items():
        new = _checked(level, text)
        if before.get(level) == new:
            raise SettingError(f"<{level}> {quote(text)}: is that already")
    changes: dict[str, object] = {}
    if texts:
        changes |= _texts(region, texts)
    if box is not None:
        if box == region.box:
            raise SettingError(f"<box> {_shown(box)}: is that already")
        changes |= {"box": box, "polygon": None, "mask": None, "mask_threshold": 0.5}
    try:
        changed = Region.model_validate({**dict(region), **changes})
        with_region(plan, changed)
    except ValidationError as error:
        raise SettingError(f"<box> {_shown(box)}: {first_reason(error)}") from error
    return changed


def with_region(plan: ScenePlan, region: Region, prompt: str | None = None) -> ScenePlan:
    """The plan with the region of this name as it is told here, and another base prompt where one is given.

    Raises:
        InputError: there is no region of this name.
        ValidationError: it does not fit the canvas.
    """
    index = region_named(plan, region.name)
    regions = (*plan.regions[:index], region, *plan.regions[index + 1 :])
    changes = {"regions": regions, "prompt": plan.prompt if prompt is None else prompt}
    ScenePlan.model_validate({**dict(plan), **changes})
    return plan.model_copy(update=changes)


def repainted_area(before: ScenePlan, after: ScenePlan, names: Sequence[str]) -> NDArray[np.bool_]:
    """bool `[height, width]`: the pixels that regions cover in either of two plans, whatever overlaps them.

    Raises:
        InputError: a mask file cannot be used.
    """
    return _any(region_mask(plan, region_named(plan, name)) for plan in (before, after) for name in names)


def repainted_tokens(
    before: ScenePlan, after: ScenePlan, names: Sequence[str], rows: int, cols: int
) -> NDArray[np.bool_]:
    """bool `[rows, cols]`: the image tokens that they cover in either of them. Raises `InputError` likewise."""
    places = ((plan, region_named(plan, name)) for plan in (before, after) for name in names)
    return _any(tokens_of_region(*place, rows, cols) for place in places)


def grown(inside: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """bool `[height, width]`: the pixels that lie at most so many rows and columns from one of a mask's."""
    for axis in (0, 1):
        size = inside.shape[axis]
        sums = np.cumsum(np.insert(inside.astype(np.int64), 0, 0, axis), axis)
        last, first = np.minimum(np.arange(size) + by + 1, size), np.maximum(np.arange(size) - by, 0)
        inside = np.take(sums, last, axis) > np.take(sums, first, axis)
    return inside


def _any(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.logical_or.reduce([*masks])
    return found


def _texts(region: Region, texts: Mapping[Level, str]) -> dict[str, str | None]:
    """A region's texts by level, the new ones among them; None for those that it loses."""
    own = {level for level, _ in region.by_level()}
    if "full" in texts and len(texts) > 1 and not ("full" in own and len(own) > 1):
        raise SettingError(
            f"<full> {quote(texts['full'])}: is one undivided text in the place of all others, and does not go with"
            f" {' and '.join(f'<{level}>' for level in texts if level != 'full')}; leave one of them out"
        )
    only: dict[str, str | None] = {level: texts.get(level) for level in LEVELS}
    if own == {"full"} and "full" not in texts:
        if texts.keys() != {"high", "low"}:
            raise SettingError(
                f"<{next(iter(texts))}>: region {quote(region.name)} has one undivided text,"
                f" {quote(region.full or '')}; give another one as <full>, or both <high> and <low>"
            )
        return only
    return only if "full" in texts and "full" not in own else dict(texts.items())


def _checked(level: Level, text: str) -> str:
    try:
        return next(text for _, text in Texts.model_validate({level: text}).by_level())
    except ValidationError as error:
        raise SettingError(f"<{level}> {quote(text)}: {first_reason(error)}") from error


def _shown(box: Box | None) -> str:
    return ",".join(map(str, box or ()))
