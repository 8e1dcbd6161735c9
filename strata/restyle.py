"""`strata restyle`: the same seed and content in another style, beside the original."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from strata.console import note
from strata.generate import Job, Request, check_swaps, draw_all, prepare, ready
from strata.hierarchy.compare import side_by_side
from strata.hierarchy.errors import InputError
from strata.hierarchy.files import did_you_mean, quote
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.restyle import low_texts, matching_styles, restyled
from strata.layers.ranges import Mask, Percent, compact
from strata.run import RunFolder, Source, TextSwap, open_source, picture_name, png_bytes

COMPARE = "compare.png"
_TOKEN = 16
"""Pixels a token of FLUX.1; of models that are not at hand."""


@dataclass(frozen=True)
class RestyleRequest:
    """What the command line asks for.

    Attributes:
        draw: the source, and how both pictures are drawn.
        low: `AREA=TEXT`.
        style_from: a plan or picture whose low texts are taken.
        from_step: percent of the steps in which the original's low texts are heard.
    """

    draw: Request
    low: Sequence[str] = ()
    style_from: str | None = None
    from_step: float | None = None


def restyle(request: RestyleRequest) -> None:
    """Draws the original and the restyled picture and writes both runs, and the two side by side.

    Raises:
        StrataError: anything about the request cannot be used.
    """
    draw = request.draw
    with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        folders = [Path(scratch) / name for name in ("own", "other")]
        for folder in folders:
            folder.mkdir()
        source = open_source(draw.source, folders[0])
        if source.record is not None and source.record.swaps:
            raise InputError(f"{draw.source}: was restyled from a later step on; restyle the original picture instead")
        changes = _changes(request, source.plan, folders[1])
        name = f"{source.name}-restyled"
        original = prepare(draw, source)
        changed = replace(
            prepare(draw, Source(name, restyled(source.plan, changes), source.routing, source.record, source.files)),
            swaps=_swaps(source.plan, changes, request.from_step),
        )
        check_swaps(changed)
        _check_heard(original, changed, changes)
        _note_prompt(source.plan, changes)
        _write(original, changed, name, changes)


def _write(original: Job, changed: Job, name: str, changes: Mapping[str, str]) -> None:
    draw = original.request
    whole = RunFolder.claim(draw.out, name, 0, draw.force)
    if (whole.path / COMPARE).exists() and not draw.force:
        raise InputError(f"--out {draw.out}: holds {COMPARE} already; give another folder, or --force to overwrite")
    runs: list[RunFolder] = []
    try:
        for part in ("original", "restyled"):
            runs.append(RunFolder.claim(str(whole.path / part), name, draw.count, draw.force))
        with ready(original) as drawer:
            drawer.check(changed)
            for job, run in zip((original, changed), runs, strict=True):
                draw_all(job, run, drawer)
        before = low_texts(original.plan)
        titles = [", ".join(f"{area}: {texts.get(area, '-')}" for area in changes) for texts in (before, changes)]
        pairs = [[Image.open(run.path / picture_name(index)) for run in runs] for index in range(draw.count)]
        print(whole.write(COMPARE, png_bytes(side_by_side(pairs, titles))))
        if changed.swaps and all(_alike(one, other) for one, other in pairs):
            note("the restyled pictures hardly differ from the original ones; is the style decided before --from-step?")
    except BaseException:
        for run in (*runs, whole):
            run.abandon()
        raise


# What changes ---------------------------------------------------------------------------------------------------------


def _changes(request: RestyleRequest, plan: ScenePlan, scratch: Path) -> dict[str, str]:
    """New low texts by area."""
    if not request.low and request.style_from is None:
        raise InputError('--low: nothing changes; give --low AREA="TEXT" or --style-from PLAN_B')
    changes: dict[str, str] = {}
    if request.style_from is not None:
        try:
            changes = matching_styles(plan, open_source(request.style_from, scratch).plan)
        except InputError as error:
            raise InputError(f"--style-from {request.style_from}: {error}") from error
        if not changes and not request.low:
            raise InputError(f"--style-from {request.style_from}: its low texts are those of {request.draw.source}")
    given: dict[str, str] = {}
    areas = [*(region.name for region in plan.regions), "background", "global"]
    for item in request.low:
        name = max((area for area in areas if item.startswith(f"{area}=")), key=len, default=None)
        if name is None:
            asked = item.partition("=")[0]
            hint = did_you_mean(asked, areas)
            raise InputError(f"--low {quote(item)}: must be AREA=TEXT; {hint}areas: {', '.join(areas)}")
        if name in given:
            raise InputError(f"--low {quote(item)}: {name} is given twice")
        given[name] = item[len(name) + 1 :]
    return changes | given


def _swaps(plan: ScenePlan, changes: Mapping[str, str], from_step: float | None) -> tuple[TextSwap, ...]:
    if not from_step:
        return ()
    before = low_texts(plan)
    until = Percent(0, from_step)
    return tuple(TextSwap(area=area, level="low", text=before.get(area), steps=until) for area in changes)


def _check_heard(original: Job, changed: Job, changes: Mapping[str, str]) -> None:
    """Refuses changes that nobody would hear, as far as that can be told before the model is loaded."""
    token = original.model.token_size() or _TOKEN
    plan = changed.plan
    if "background" in changes and not token_grid(plan, plan.height // token, plan.width // token).background.any():
        raise InputError("low text of background: the regions cover the whole canvas, so nobody would hear it")
    blocks = original.model.block_counts() or (19, 38)
    schedule = original.routing.balanced_for(plan).resolve(*blocks, original.steps)
    name = original.routing.name
    if "low" not in schedule.levels:
        hears = ", ".join(schedule.levels)
        raise InputError(f"routing {quote(name)}: hears no low texts ({hears} only); choose another with --routing")
    for area in changes:
        heard: Mask = schedule.strength("low", area).max(axis=1) > 0
        if not heard.any():
            raise InputError(f"low text of {quote(area)}: the routing {quote(name)} lets nobody hear it")
        if changed.swaps and not (heard & ~changed.swaps[0].steps.select(original.steps)).any():
            steps = f"steps {compact(heard)} of {original.steps}"
            raise InputError(
                f"--from-step {changed.swaps[0].steps.stop:g}%: the low text of {quote(area)} is heard in {steps} only,"
                " so nothing would change; choose an earlier step"
            )


def _note_prompt(plan: ScenePlan, changes: Mapping[str, str]) -> None:
    """Tells where the base prompt, which everybody hears too, names the old style."""
    before = low_texts(plan)
    said = _words(plan.prompt)
    for area, text in changes.items():
        kept = [word for word in _words(before.get(area, "")) if word in said and word not in _words(text)]
        if kept:
            named = ", ".join(quote(word) for word in kept)
            note(f"{area}: the prompt names {named} too, and is heard beside the regions' texts")


def _words(text: str) -> list[str]:
    return [word for word in dict.fromkeys(re.findall(r"\w+", text.lower())) if len(word) > 2]


# Side by side ---------------------------------------------------------------------------------------------------------


def _alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures differ by less than 1 % of the range in the mean."""
    return float(np.abs(np.asarray(one, dtype=np.float32) - np.asarray(other, dtype=np.float32)).mean()) < 2.55
