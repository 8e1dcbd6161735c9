"""A picture that strata drew, repainted: the same picture, drawn anew where one region is.

    with open_source("image.png") as source:
        job = prepare(DrawSettings(), repainted(source, "moon", low="blue"))
        with Engine.open(job) as engine:
            *_, picture = engine.draw(job)

The new picture has the old one's pixels everywhere but where the region is, or was, and one image token around. How it
is drawn, `strata.passes` says.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.phrases import retold_prompt
from strata.hierarchy.plan import Box, Level, Region, ScenePlan
from strata.hierarchy.repaint import changed_region, region_named, with_region
from strata.hierarchy.validation import first_reason
from strata.imports import uncollected
from strata.job import Job
from strata.record import MOST_REPAINTS, Record, Repaint
from strata.settings import LARGEST_SEED
from strata.source import Source

if TYPE_CHECKING:
    from strata.injection.methods import Method

SUFFIX = "-repainted"
"""Of the names of repainted pictures."""


def repainted(
    source: Source,
    region: str,
    *,
    high: str | None = None,
    low: str | None = None,
    full: str | None = None,
    box: Box | None = None,
    prompt: str | None = None,
    keep_prompt: bool = False,
    seed: int | None = None,
) -> Source:
    """What draws a picture anew where one of its regions is; `prepare` and an engine draw it.

    Args:
        source: the picture, with its record (`open_source`).
        region: the name of the region.
        high, low, full: its new texts; None: as they are.
        box: where it is from now on: x1, y1, x2, y2 in pixels; both that and where it was are drawn anew.
        prompt: the new base prompt; None: the old one, which says the region's new words where it said the old ones.
        keep_prompt: leave the base prompt as it is.
        seed: of new noise in the region; None: a fresh one, or where something else changes, the noise that it has.

    Raises:
        SettingError: there is no such region, or a value cannot be used; names the argument.
        InputError: the source is no picture, or one that cannot be repainted; says why.
    """
    check_repaintable(source)
    assert source.record is not None
    plan = source.plan
    before = plan.regions[region_named(plan, region)]
    texts: dict[Level, str] = {}
    given: tuple[tuple[Level, str | None], ...] = (("high", high), ("low", low), ("full", full))
    texts |= {level: text for level, text in given if text is not None}
    after = changed_region(plan, region, texts, box)
    if prompt is None:
        prompt = plan.prompt if keep_prompt else retold_prompt(plan, with_region(plan, after))
    elif keep_prompt:
        raise SettingError("<keep_prompt>: and <prompt> say different things; leave one of them out")
    changed = _with(plan, after, prompt)
    if seed is not None and not 0 <= seed <= LARGEST_SEED:
        raise SettingError(f"<seed> {seed}: must be a whole number from 0 to {LARGEST_SEED}")
    if seed is None and changed == plan:
        seed = secrets.randbits(32)
    told = Repaint(
        region=region,
        before=None if after == before else before,
        prompt=None if changed.prompt == plan.prompt else plan.prompt,
        seed=seed,
    )
    name = source.name.removesuffix(SUFFIX) + SUFFIX
    return replace(source, name=name, plan=changed, repaints=(*source.repaints, told))


def check_repaintable(source: Source, label: str | None = None) -> None:
    """Raises `InputError` for a plan, and for a picture that cannot be repainted; it calls the source by its label."""
    record, name = source.record, label or source.name
    if record is None or source.picture is None:
        raise InputError(
            f"{name}: is a plan, not a picture; draw it first (`strata generate PLAN`), and repaint its image.png"
        )
    if source.picture.size != (source.plan.width, source.plan.height):
        width, height = source.picture.size
        raise InputError(
            f"{name}: is {width}x{height} pixels, but its plan {source.plan.width}x{source.plan.height}: another"
            " program cut or resized it; repaint the picture as it was drawn"
        )
    check_drawn_repaintable(record.model_copy(update={"repaints": source.repaints}), name)


def check_drawn_repaintable(record: Record, name: str) -> None:
    """Raises `InputError` where a picture with such a record cannot be repainted."""
    if record.settings.image_strength is not None:
        raise SettingError(
            f"{name}: was drawn over another picture (<image>), and not from noise of its own; draw over it again, with"
            " <mask_image> where it is to change (`strata generate`)"
        )
    if record.swaps:
        raise InputError(f"{name}: was restyled from a later step on; repaint the original picture instead")
    if (method := _method(record)) is not None and method.unrouted and not method.rewrites:
        raise InputError(f"{name}: was drawn by the method {method.name}, which leaves regions out")
    if len(record.repaints) >= MOST_REPAINTS:
        raise InputError(
            f"{name}: was repainted {MOST_REPAINTS} times, the most there are; draw its plan (plan.yaml of its folder)"
        )


def with_new_noise(job: Job, regions: Sequence[str], seed: int, isolated: bool = False) -> Job:
    """What repaints regions of a job's picture in one pass, by the texts that they have.

    Args:
        job: what drew it.
        regions: their names.
        seed: of the new noise.
        isolated: by a routing that isolates them wherever their texts are visible.
    """
    told = Repaint(region=regions[0], also=tuple(regions[1:]), isolated=isolated, seed=seed)
    return replace(job, repaints=(*job.repaints, told), before=(*job.before, job.plan), picture=None)


def _method(record: Record) -> "Method | None":
    if record.settings.method is None:
        return None
    with uncollected():
        from strata.injection.methods import method_named
    return method_named(record.settings.method)


def _with(plan: ScenePlan, region: Region, prompt: str) -> ScenePlan:
    try:
        return with_region(plan, region, prompt)
    except ValidationError as error:
        raise SettingError(f"<prompt>: {first_reason(error)}") from error
