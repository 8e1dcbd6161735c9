"""`strata calibrate`: searches a routing for a model, by measurement."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter
from pydantic import AfterValidator

from strata.claims import check_no_folders, claimed
from strata.commands.studies import StudySettings
from strata.console import duration, note, quiet
from strata.contents import check_unowned
from strata.hierarchy.errors import InputError, SettingError, quote
from strata.layers.routing import DEFAULT_ROUTING, presets
from strata.record import now, versions
from strata.settings import WHERE_TO, Count, FileName, Name, Scale, Seed, Settings

SEARCH = Parameter(group=Group("how it searches", sort_key=3))


def _pictures_or_smoke(text: str) -> str:
    if text != "smoke" and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{text!r}: must be a whole number of at least 1, or smoke")
    return text


class CalibrateSettings(Settings):
    """How it searches, and where to."""

    roles: Annotated[Name | None, Parameter(metavar="DIR"), SEARCH] = None
    """of `strata roles`: tries the depths where it found texts to act"""
    budget: Annotated[Annotated[str, AfterValidator(_pictures_or_smoke)], Parameter(metavar="N|smoke"), SEARCH] = "3000"
    """pictures of the search, at most; smoke: a few, to see that it works, which finds nothing out (default: 3000)"""
    price: Annotated[Scale | None, SEARCH] = None
    """computation of a picture, at most, as a multiple of plain (default: any)"""
    scenes: Annotated[Count | None, SEARCH] = None
    """of each of the eight layouts that the report compares (default: 12; with the smoke budget 1, of one layout)"""
    seed: Annotated[Seed, SEARCH] = 0
    """of the candidates (default: 0)"""
    out: Annotated[FileName, Parameter(name=("--out", "-o"), metavar="FILE.yaml"), WHERE_TO]
    """the routing file"""
    force: Annotated[bool, WHERE_TO] = False
    """replace the file"""


def calibrate(*, model: StudySettings = StudySettings(), settings: CalibrateSettings) -> None:
    """Searches where each level should act, for how long and beside how much base.

    For plans of one to eight regions; then compares the result with every
    preset on scenes that took no part. With --price, the best that costs no
    more. Writes a routing file with the evidence in it; an interrupted search
    goes on. Tells its cost before it draws.
    """
    out = Path(settings.out)
    if out.suffix not in (".yaml", ".yml"):
        raise SettingError(f"<out> {quote(settings.out)}: must be a .yaml file")
    check_no_folders([out])
    check_unowned(out)
    with claimed(out.parent, f"<out> {settings.out}", out.name):
        if out.exists() and not settings.force:
            raise SettingError(f"<out> {settings.out}: is there already; <force> replaces it")
        _search(out, model, settings)
    print(f"\n{out}")


def _search(out: Path, model: StudySettings, settings: CalibrateSettings) -> None:
    from tqdm import tqdm

    from strata.analysis import calibration
    from strata.analysis.budget import Budget
    from strata.analysis.calibrate import Examiner
    from strata.analysis.roles import read_curves
    from strata.analysis.trials import Journal, seconds_per_scene, trials
    from strata.injection.pipeline import RegionalPipeline

    judge = model.judge()
    if judge is None:
        raise SettingError(
            f"model {quote(model.name)}: pictures can be judged exactly for the miniature and models trained by its"
            " recipe only; name a CLIP model with <clip>"
        )
    acting = {}
    if settings.roles is not None:
        try:
            acting = calibration.acting(*read_curves(settings.roles))
        except InputError as error:
            raise SettingError(f"<roles> {settings.roles}: {error}") from error
    smoke = settings.budget == "smoke"
    budget = Budget.smoke() if smoke else Budget.of(int(settings.budget), model.images)
    report_scenes = settings.scenes or (1 if smoke else 12)
    work, scale = budget.work(len(presets()) + 1, report_scenes), model.scale()
    options: dict[str, Any] = {"num_inference_steps": model.run_steps()}
    if model.guidance is not None:
        options["guidance_scale"] = model.guidance
    journal = Journal(out.with_name(f"{out.stem}-journal.jsonl"), {**model.facts(), "seed": settings.seed})
    if smoke:
        note("the smoke budget shows that all works; what it finds is chance")
    with quiet():
        pipe = model.load()
        regional, (scene,) = RegionalPipeline(pipe, DEFAULT_ROUTING), trials(1, scale=scale)
        seconds = seconds_per_scene(regional, scene, {**options, "num_images_per_prompt": model.images})
        left = max(1.0, work - len(journal.rows))
        cost = f"{left:.0f} scenes of {model.images} pictures, {seconds:.2g} s each: about {duration(left * seconds)}"
        note(f"at most {cost}")
        with tqdm(desc="calibrate", unit="picture", disable=None) as progress:
            examiner = Examiner(pipe, judge, journal, options, model.images, progress.update, settings.price)
            routing, rows = calibration.calibrate(
                examiner,
                out.stem,
                model.name,
                budget,
                acting,
                seed=settings.seed,
                scale=scale,
                report_scenes=report_scenes,
                facts={**model.facts(), "price": settings.price, "created": now(), "versions": versions()},
            )
    routing.save(out)
    print(calibration.report_table(rows))
    if rows[0].routing != routing.name:
        note(f"{rows[0].routing} scores as high or higher on the scenes of the report")
