"""`strata calibrate`: searches a routing for a model, by measurement."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from strata.commands.studies import StudySettings
from strata.console import note, quiet
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.files import quote
from strata.record import now, versions
from strata.run_folder import make_folder
from strata.settings import WHERE_TO, Count, Seed, Settings

SEARCH = Parameter(group=Group("how it searches", sort_key=3))


class CalibrateSettings(Settings):
    """How it searches, and where to."""

    roles: Annotated[str | None, Parameter(metavar="DIR"), SEARCH] = None
    """of `strata roles`: tries the depths where it found texts to act"""
    budget: Annotated[Count, SEARCH] = 3000
    """pictures of the search, at most (default: 3000)"""
    scenes: Annotated[Count, SEARCH] = 12
    """a layout of the report, of eight (default: 12)"""
    seed: Annotated[Seed, SEARCH] = 0
    """of the candidates (default: 0)"""
    out: Annotated[str, Parameter(name=("--out", "-o"), metavar="FILE.yaml"), WHERE_TO]
    """the routing file"""
    force: Annotated[bool, WHERE_TO] = False
    """replace the file"""


def calibrate(*, model: StudySettings = StudySettings(), settings: CalibrateSettings) -> None:
    """Searches where each level should act, for how long and beside how much base.

    For plans of one to eight regions; then compares the result with every
    preset on scenes that took no part. Writes a routing file with the evidence
    in it; an interrupted search goes on.
    """
    from tqdm import tqdm

    from strata.analysis import calibration
    from strata.analysis.calibrate import Budget, Examiner
    from strata.analysis.roles import read_curves
    from strata.analysis.trials import Journal

    out = Path(settings.out)
    if out.suffix not in (".yaml", ".yml"):
        raise SettingError(f"<out> {quote(settings.out)}: must be a .yaml file")
    if out.exists() and not settings.force:
        raise SettingError(f"<out> {settings.out}: is there already; <force> replaces it")
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
    budget = Budget.of(settings.budget, model.images)
    journal = Journal(out.with_name(f"{out.stem}-journal.jsonl"), {**model.facts(), "seed": settings.seed})
    options: dict[str, Any] = {"num_inference_steps": model.run_steps()}
    if model.guidance is not None:
        options["guidance_scale"] = model.guidance
    with quiet(), tqdm(desc="calibrate", unit="picture", disable=None) as progress:
        examiner = Examiner(model.load(), judge, journal, options, model.images, progress.update)
        routing, rows = calibration.calibrate(
            examiner,
            out.stem,
            model.name,
            budget,
            acting,
            seed=settings.seed,
            scale=model.scale(),
            report_scenes=settings.scenes,
            facts={**model.facts(), "created": now(), "versions": versions()},
        )
    make_folder(out.parent, "<out>")
    routing.save(out)
    print(calibration.report_table(rows))
    if rows[0].routing != routing.name:
        note(f"{rows[0].routing} scores as high or higher on the scenes of the report")
    print(f"\n{out}")
