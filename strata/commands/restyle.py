"""`strata restyle`: the same seed and content in another style, beside the original."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Group, Parameter
from PIL import Image
from pydantic import AfterValidator

from strata.commands.options import Argv, PicturesOutput
from strata.commands.runs import Pace, announce_run, draw_run, write_comparison
from strata.console import note, quiet
from strata.contents import COMPARE, PARTS, picture_name, run_files
from strata.engine import Engine
from strata.hierarchy.errors import InputError, SettingError, did_you_mean, quote
from strata.hierarchy.grid import token_grid
from strata.hierarchy.phrases import old_words, retold_prompt
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.restyle import area_names, low_texts, matching_styles, restyled
from strata.job import Job, check_drawn_as_planned, check_seeds, prepare, read_files
from strata.layers.ranges import Percent, compact
from strata.record import TextSwap
from strata.run_folder import RunFolder
from strata.settings import DrawSettings, Name, Settings
from strata.source import open_source


def _share_of_steps(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?%", text):
        raise ValueError(f"{text!r}: must be a share of the steps from 0% to below 100%, such as 30%")
    return text


Percentage = Annotated[str, AfterValidator(_share_of_steps), Parameter(metavar="N%")]
CHANGES = Parameter(group=Group("what changes", sort_key=1))


class Changes(Settings):
    """What the restyled picture has instead of the original's low texts."""

    low: Annotated[tuple[str, ...], Parameter(metavar="AREA=TEXT"), CHANGES] = ()
    """new low text of a region, of background or of global; may be given several times"""
    style_from: Annotated[Name | None, Parameter(metavar="PLAN_B"), CHANGES] = None
    """low texts of another plan's areas: of the same names, else in order"""
    from_step: Annotated[Percentage | None, CHANGES] = None
    """use the original's low texts until there (default: 0%)"""
    keep_prompt: Annotated[bool, Parameter(negative=""), CHANGES] = False
    """leave the base prompt as it is (default: with the new low texts where it says the old ones)"""


def restyle(
    source: Annotated[str, Parameter(name="PLAN|IMAGE.png", help="a plan file, or a picture that strata drew")],
    /,
    *,
    changes: Changes = Changes(),
    settings: DrawSettings = DrawSettings(),
    output: PicturesOutput = PicturesOutput(),
    argv: Argv,
) -> None:
    """Draws a plan, or a picture that strata drew, twice from the same seed.

    Once as it is, once with other low texts (colour, material, texture,
    lighting, style) in some areas. The texts of the content stay as they are;
    the base prompt has the new words where it said the old ones of an area.
    Writes a folder:

      original/, restyled/   a run each, as `strata generate` writes them
      compare.png            both side by side

    With --from-step, the original's low texts are used until there: what the
    first steps decide is then as in the original. Too late, and the style is
    decided as well.

    examples:
      strata restyle plan.yaml --low left="blue, dotted" --from-step 10%
      strata restyle out/plan/image.png --low left=blue --low global="oil painting"
      strata restyle plan.yaml --style-from other.yaml --seed 7 --count 4
    """
    command = shlex.join(["strata", *argv])
    with open_source(source) as opened:
        if opened.swaps:
            raise InputError(f"{source}: was restyled from a later step on; restyle the original picture instead")
        texts = _new_texts(changes, source, opened.plan)
        original = prepare(settings, opened, command=command)
        check_drawn_as_planned(original, source)
        other = replace(
            opened,
            name=f"{opened.name}-restyled",
            plan=_restyled(opened.plan, texts, changes),
            swaps=_swaps(opened.plan, texts, changes.from_step),
        )
        same_seed = original.given.model_copy(update={"seed": original.seed})
        changed = prepare(same_seed, other, command=command)
        _check_effect(original, changed, texts)
        _note_prompt(opened.plan, changed.plan, texts)
        for text in (*original.notes, *changed.composed):
            note(text)
        check_seeds(original, output.count)
        reads = [*read_files(original, source), changes.style_from]
        _write(original, changed, texts, output, reads)


def _write(
    original: Job, changed: Job, texts: Mapping[str, str], output: PicturesOutput, reads: Sequence[str | Path | None]
) -> None:
    jobs = dict(zip(PARTS, (original, changed), strict=True))
    small = original.model.draws_small
    writes = [COMPARE, *(f"{part}/{name}" for part in PARTS for name in run_files(output.count, small))]
    attached = {f"{part}/{name}": content for part, job in jobs.items() for name, content in job.files.items()}
    with RunFolder.claim(output.out, changed.name, writes, output.force, attached=attached, reads=reads) as folder:
        pace = Pace()
        announce_run(original, output.count, pace)
        with quiet(), Engine.open(original) as engine:
            engine.check(changed)
            for part, job in jobs.items():
                if job is changed:
                    announce_run(job, output.count, pace)
                draw_run(engine, job, folder, output.count, pace, part)
        before = low_texts(original.plan)
        titles = [", ".join(f"{area}: {low.get(area, '-')}" for area in texts) for low in (before, texts)]
        names = [picture_name(index, output.count) for index in range(output.count)]
        pairs = [[Image.open(folder.find(f"{part}/{name}")) for part in PARTS] for name in names]
        write_comparison(folder, pairs, titles)
        if changed.swaps and all(_alike(one, two) for one, two in pairs):
            note("the restyled pictures hardly differ from the original ones; is the style decided before --from-step?")


def _new_texts(asked: Changes, source: str, plan: ScenePlan) -> dict[str, str]:
    """New low texts by area."""
    if not asked.low and asked.style_from is None:
        raise SettingError('<low>: nothing changes; give <low> AREA="TEXT" or <style_from> PLAN_B')
    changes: dict[str, str] = {}
    if asked.style_from is not None:
        try:
            with open_source(asked.style_from) as other:
                changes = matching_styles(plan, other.plan)
        except InputError as error:
            raise SettingError(f"<style_from> {asked.style_from}: {error}") from error
        if not changes and not asked.low:
            raise SettingError(f"<style_from> {asked.style_from}: its low texts are those of {source}")
    given: dict[str, str] = {}
    areas = area_names(plan)
    for item in asked.low:
        name = max((area for area in areas if item.startswith(f"{area}=")), key=len, default=None)
        if name is None:
            area = item.partition("=")[0]
            hint = did_you_mean(area, areas)
            raise SettingError(f"<low> {quote(item)}: must be AREA=TEXT; {hint}areas: {', '.join(areas)}")
        if name in given:
            raise SettingError(f"<low> {quote(item)}: {name} is given twice")
        given[name] = item[len(name) + 1 :]
    return changes | given


def _swaps(plan: ScenePlan, changes: Mapping[str, str], from_step: str | None) -> tuple[TextSwap, ...]:
    share = float((from_step or "0%")[:-1])
    if not share:
        return ()
    before = low_texts(plan)
    until = Percent(0, share)
    return tuple(TextSwap(area=area, level="low", text=before.get(area), steps=until) for area in changes)


def _check_effect(original: Job, changed: Job, changes: Mapping[str, str]) -> None:
    """Refuses changes without effect, as far as that can be known before the model is loaded."""
    facts, plan = original.model.facts_or_flux, changed.plan
    token = facts.token_size
    if "background" in changes and not token_grid(plan, plan.height // token, plan.width // token).background.any():
        raise InputError("low text of background: the regions cover the whole canvas, so nothing would attend to it")
    for area in changes:
        active = changed.heard("low", area)
        if changed.swaps and not (active & ~changed.swaps[0].steps.select(original.steps)).any():
            steps = f"steps {compact(active)} of {original.steps}"
            raise SettingError(
                f"<from_step> {changed.swaps[0].steps.stop:g}%: the low text of {quote(area)} is heard in {steps} only,"
                " so nothing would change; choose an earlier step"
            )


def _restyled(plan: ScenePlan, texts: Mapping[str, str], changes: Changes) -> ScenePlan:
    """With the new texts. A base prompt is one for all steps, so with --from-step it stays, too."""
    changed = restyled(plan, texts)
    if changes.keep_prompt or changes.from_step is not None:
        return changed
    return changed.model_copy(update={"prompt": retold_prompt(plan, changed)})


def _note_prompt(plan: ScenePlan, changed: ScenePlan, changes: Mapping[str, str]) -> None:
    """Notes what became of the base prompt, which every area attends to as well, or what it still says."""
    if changed.prompt != plan.prompt:
        note(f"the restyled picture's base prompt is now '{changed.prompt}' (--keep-prompt leaves it)")
    for area in changes:
        if kept := old_words(plan, changed, area):
            named = ", ".join(map(quote, kept))
            note(f"{area}: the base prompt says {named} too, and is heard beside the regions' texts")


def _alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures differ by less than 1 % of the range in the mean."""
    return float(np.abs(np.asarray(one, dtype=np.float32) - np.asarray(other, dtype=np.float32)).mean()) < 2.55
