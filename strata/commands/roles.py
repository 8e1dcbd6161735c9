"""`strata roles`: measures which depth does what."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from strata.claims import check_no_folders, claimed
from strata.commands.studies import StudySettings
from strata.console import duration, note, quiet
from strata.hierarchy.errors import SettingError
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.record import now, versions
from strata.settings import WHERE_TO, Count, Hours, OutFolder, RoutingName, Seed, Settings

TRIED = Parameter(group=Group("what is tried", sort_key=3))


class RolesSettings(Settings):
    """What is tried, and where to."""

    scenes: Annotated[Count, TRIED] = 40
    """with two regions each (default: 40)"""
    hours: Annotated[Hours | None, TRIED] = None
    """of drawing, about: only as many scenes as fit (default: all)"""
    seed: Annotated[Seed, TRIED] = 0
    """of the scenes (default: 0)"""
    routing: Annotated[RoutingName, TRIED] = DEFAULT_ROUTING
    """of the unchanged pictures (default: isolate-first)"""
    kinds: Annotated[tuple[Literal["swap", "alone"], ...], Parameter(consume_multiple=True), TRIED] = ("swap", "alone")
    """of intervention (default: both)"""
    block_window: Annotated[Count | None, TRIED] = None
    """blocks that a window covers (default: a sixth)"""
    step_window: Annotated[Count | None, TRIED] = None
    """steps that a window covers (default: a fifth)"""
    out: Annotated[OutFolder, WHERE_TO] = "out/roles"
    """folder (default: out/roles)"""


def roles(*, model: StudySettings = StudySettings(), settings: RolesSettings = RolesSettings()) -> None:
    """Draws scenes from the same noise, as they are and changed, and counts what follows.

    Once for every window of blocks and of steps in which only the high or only
    the low text is another one (swap), or is used alone. Writes roles.json,
    roles.png and a journal, from which an interrupted study goes on. Tells its
    cost before it draws; --hours keeps it within one. The miniature's pictures
    are judged exactly; for other models structure, colour and texture are
    compared with the unchanged pictures. Ends with what was found, in a
    sentence.
    """
    from tqdm import tqdm

    from strata.analysis import roles as study
    from strata.analysis.charts import check_matplotlib
    from strata.analysis.role_findings import finding, roles_table
    from strata.analysis.trials import Journal, seconds_per_scene, trials

    # Beside a high text that repeats it, or a base prompt that says both, neither text could be changed alone.
    routing = Routing.load(settings.routing).model_copy(update={"anchor": False}).with_base_prompt("plan")
    scenes, folder = settings.scenes, Path(settings.out)
    if scenes < 2:
        raise SettingError(f"<scenes> {scenes}: intervals need at least 2")
    setup = study.RolesSetup(
        scenes=scenes,
        images=model.images,
        steps=model.run_steps(),
        guidance=model.guidance,
        kinds=tuple(kind for kind in study.KINDS if kind in settings.kinds),
        widths=(settings.block_window, settings.step_window),
    )
    todo = trials(scenes, 2, True, f"roles {settings.seed}", model.scale())
    if (known := model.source().facts) is not None:
        setup.interventions(sum(known.block_counts))  # windows that do not fit are refused before anything is loaded
    check_matplotlib()
    check_no_folders([folder / name for name in study.REPORT])
    judge = model.judge()
    windows = [settings.block_window, settings.step_window]
    facts = {**model.facts(), "routing": routing.to_yaml(), "seed": settings.seed, "windows": windows}
    with claimed(folder, f"<out> {settings.out}"):
        journal = Journal(folder / "journal.jsonl", facts)
        with quiet():
            from strata.injection.pipeline import RegionalPipeline

            regional = RegionalPipeline(model.load(), routing)
            blocks = regional.facts.block_counts
            missing = [sum(k not in journal.rows for k in study.run_keys(setup, sum(blocks), n)) for n in range(scenes)]
            if any(missing):
                seconds = seconds_per_scene(regional, todo[0], setup.options)
                scenes = _affordable(missing, seconds, settings.hours)
                runs = sum(missing[:scenes])
                cost = f"{runs} runs of {seconds:.2g} s: about {duration(runs * seconds)}"
                note(f"{scenes} of {settings.scenes} scenes, {cost}")
            todo = todo[:scenes]
            runs = scenes * len(study.run_keys(setup, sum(blocks), 0))
            done = runs - sum(missing[:scenes])
            if 0 < done < runs:
                note(f"{journal.path} has {done} of {runs} runs; going on")
            with tqdm(total=runs, initial=done, desc="roles", disable=None, unit="run") as progress:
                for _ in study.study(regional, todo, setup, journal, judge):
                    progress.update()
        curves = study.curves(journal, setup, sum(blocks), scenes)
        print(roles_table(curves, blocks[0]), end="\n\n")
        found = finding(curves, blocks[0], scenes)
        facts |= {"scenes": scenes, "created": now(), "versions": versions()}
        title = f"{model.name}: {scenes} scenes × {model.images} pictures, {model.run_steps()} steps, {routing.name}"
        print(*study.write_report(folder, curves, blocks, facts, title, found), sep="\n")
        print(f"\n{found}")


def _affordable(missing: Sequence[int], seconds: float, hours: float | None) -> int:
    """How many scenes fit, of which so many runs are missing."""
    if hours is None:
        return len(missing)
    spent = [seconds * n for n in accumulate(missing)]
    fit = sum(3600 * hours >= needed for needed in spent)
    if fit < 2:
        raise SettingError(
            f"<hours> {hours:g}: a run takes {seconds:.2g} s here and 2 scenes {duration(spent[1])}; fewer <steps>,"
            " <images> or <kinds>, a smaller <size> or wider windows take less"
        )
    return fit
