"""`strata repaint`: a picture drawn anew where one of its regions is, and nowhere else."""

import re
import shlex
from typing import Annotated

from cyclopts import Group, Parameter
from PIL import Image

from strata.commands.options import Argv, RunOutput
from strata.commands.runs import Pace, announce_run, draw_run, write_comparison
from strata.console import note, quiet
from strata.contents import COMPARE, picture_name, run_files
from strata.engine import Engine
from strata.hierarchy.errors import SettingError, quote
from strata.hierarchy.phrases import old_words
from strata.hierarchy.plan import Box, Level, Region, ScenePlan
from strata.hierarchy.repaint import region_named
from strata.job import Job, prepare, read_files
from strata.repaint import check_repaintable, repainted
from strata.run_folder import RunFolder
from strata.settings import HOW, DrawSettings, ModelSettings, Name, RecordedControls, Seed, Settings
from strata.source import Source, open_source

CHANGES = Parameter(group=Group("what changes", sort_key=1))
Text = Annotated[Name, Parameter(metavar="TEXT")]


class RegionChanges(Settings):
    """Which region is drawn anew, and how."""

    region: Annotated[Name | None, Parameter(metavar="NAME"), CHANGES] = None
    """the region that is drawn anew"""
    high: Annotated[Text | None, CHANGES] = None
    """its new content"""
    low: Annotated[Text | None, CHANGES] = None
    """its new detail"""
    full: Annotated[Text | None, CHANGES] = None
    """its new undivided text"""
    box: Annotated[Name | None, Parameter(metavar="X1,Y1,X2,Y2"), CHANGES] = None
    """its new place, in pixels; the old place is drawn anew, too"""
    seed: Annotated[Seed | None, CHANGES] = None
    """of new noise in the region (default: random where nothing else changes, else the noise that it has)"""
    prompt: Annotated[Text | None, CHANGES] = None
    """new base prompt (default: the old one, with the region's new words where it says the old ones)"""
    keep_prompt: Annotated[bool, Parameter(negative=""), CHANGES] = False
    """leave the base prompt as it is"""


class RepaintSettings(ModelSettings, RecordedControls):
    """What draws."""

    strict: Annotated[bool, HOW] = False
    """refuse words that the model was not trained on, instead of warning"""


def repaint(
    source: Annotated[str, Parameter(name="IMAGE.png", help="a picture that strata drew from a plan")],
    /,
    *,
    changes: RegionChanges = RegionChanges(),
    settings: RepaintSettings = RepaintSettings(),
    output: RunOutput = RunOutput(),
    argv: Argv,
) -> None:
    """Draws one region of a picture anew.

    All pixels that lie further than one image token from the region stay as
    they are. Without new texts the region comes out otherwise by chance; with
    --box it moves, and both places are drawn anew. Takes as long as two
    pictures, for the old one is drawn again beside it; of a picture that was
    repainted before, one more for each time.

    Writes the files of a run, as `strata generate` does, and

      compare.png   the picture before and after

    The new picture can be drawn again and repainted again.

    examples:
      strata repaint out/plan/image.png --region moon
      strata repaint out/plan/image.png --region moon --low "blue, striped"
      strata repaint out/plan/image.png --region moon --box 0,0,48,48 --seed 3
    """
    command = shlex.join(["strata", *argv])
    with open_source(source, "draw a plan first (`strata generate PLAN`), and repaint its image.png") as opened:
        check_repaintable(opened, source)
        if changes.region is None:
            names = ", ".join(region.name for region in opened.plan.regions) or "none"
            raise SettingError(f"<region>: which one is to be drawn anew? regions: {names}")
        asked = changes.model_dump(exclude={"box", "region"})
        changed = repainted(opened, changes.region, **asked, box=_box(changes.box))
        job = prepare(DrawSettings.of(settings), changed, command=command)
        _check_heard(job, changes)
        _note_prompt(opened, job, changes)
        for text in (*job.notes, *job.composed):
            note(text)
        _write(job, opened, source, output)


def _write(job: Job, opened: Source, source: str, output: RunOutput) -> None:
    assert opened.picture is not None
    writes = [COMPARE, *run_files(1, job.model.draws_small)]
    reads = read_files(job, source)
    with RunFolder.claim(output.out, job.name, writes, output.force, attached=job.files, reads=reads) as folder:
        pace = Pace()
        announce_run(job, 1, pace)
        if (seed := job.repaints[-1].seed) is not None:
            print(f"new noise in {job.repaints[-1].region}: seed {seed}", flush=True)
        with quiet(), Engine.open(job) as engine:
            draw_run(engine, job, folder, 1, pace)
        with Image.open(folder.find(picture_name(0, 1))) as after:
            write_comparison(folder, [[opened.picture, after.convert("RGB")]], _titles(opened, job))


def _box(text: str | None) -> Box | None:
    if text is None:
        return None
    sides = re.fullmatch(r"\s*,\s*".join([r"\s*(-?\d{1,6})\s*"] * 4), text)
    if sides is None:
        raise SettingError(f"<box> {quote(text)}: must be four whole numbers, X1,Y1,X2,Y2")
    x1, y1, x2, y2 = map(int, sides.groups())
    return x1, y1, x2, y2


def _check_heard(job: Job, changes: RegionChanges) -> None:
    """Refuses texts without effect, as far as that can be known before the model is loaded."""
    given: dict[Level, str | None] = {"high": changes.high, "low": changes.low, "full": changes.full}
    for level, text in given.items():
        if text is not None and changes.region is not None and job.drawn == job.plan:  # else another text is heard
            job.heard(level, changes.region)


def _note_prompt(opened: Source, job: Job, changes: RegionChanges) -> None:
    """Notes what became of the base prompt, which every area attends to as well, or what it still says."""
    region = _region(job.plan, job)
    if changes.prompt is None and job.plan.prompt != opened.plan.prompt:
        note(f"the base prompt is now '{job.plan.prompt}' (--keep-prompt leaves it, --prompt gives another)")
    if left := old_words(opened.plan, job.plan, region.name):
        named = ", ".join(map(quote, left))
        note(f"{region.name}: the base prompt says {named} too, and is heard beside its texts (--prompt gives another)")


def _region(plan: ScenePlan, job: Job) -> Region:
    return plan.regions[region_named(plan, job.repaints[-1].region)]


def _titles(opened: Source, job: Job) -> list[str]:
    """What is above the two pictures: the region's texts, and where it is if that changes; of the second the seed."""
    before, after = (_region(plan, job) for plan in (opened.plan, job.plan))
    titles = []
    for region in (before, after):
        place = f" at {','.join(map(str, region.box))}" if region.box and after.box != before.box else ""
        titles.append(f"{region.name}{place}: {', '.join(text for _, text in region.by_level())}")
    seed = job.repaints[-1].seed
    return [titles[0], titles[1] if seed is None else f"{titles[1]} (seed {seed})"]
