"""The commands that measure a model: `roles` and `calibrate`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strata.console import note
from strata.hierarchy.errors import InputError
from strata.hierarchy.files import quote, write_atomic
from strata.layers.routing import DEFAULT_ROUTING, Routing, presets
from strata.loading import ModelSource, choose_device, choose_dtype, load_pipeline, locate, place, quiet
from strata.run import make_folder, now, versions

if TYPE_CHECKING:
    from strata.analysis.calibrate import Row
    from strata.analysis.roles import Curve

SMALLEST = 64
"""Pixels a side of a scene's canvas; others are multiples."""


@dataclass(frozen=True)
class StudyModel:
    """What draws in a study; fields as the options of the command line."""

    model: str = "miniature"
    device: str | None = None
    dtype: str | None = None
    offload: bool = False
    size: int | None = None
    steps: int | None = None
    guidance: float | None = None
    images: int = 2
    clip: str | None = None

    def source(self) -> ModelSource:
        """Where the model is. Raises `InputError`."""
        return locate(self.model)

    def is_miniature(self) -> bool:
        """Whether the exact scorer can judge its pictures."""
        return self.source().is_judged_exactly()

    def judge(self) -> Any:
        """What judges the pictures: a CLIP model where one is named, the exact scorer, or nothing (None).

        Raises:
            InputError: there is no such CLIP model.
        """
        if self.clip is not None:
            from strata.analysis.clip_judge import ClipJudge

            with quiet():
                return ClipJudge(self.clip)
        if not self.is_miniature():
            return None
        from strata.analysis.trials import Judge

        return Judge()

    def scale(self) -> int:
        """Canvas size over 64 pixels. Raises `InputError` for sizes that are no multiple."""
        size = self.size or (SMALLEST if self.is_miniature() else 1024)
        if size % SMALLEST:
            raise InputError(f"--size {size}: must be a multiple of {SMALLEST}")
        return size // SMALLEST

    def run_steps(self) -> int:
        """Denoising steps."""
        return self.steps or (20 if self.is_miniature() else 28)

    @contextmanager
    def loaded(self) -> Iterator[Any]:
        """The pipeline, in its place."""
        device = choose_device(self.device or "auto")
        dtype = choose_dtype(self.dtype or ("float32" if self.is_miniature() else "auto"), device)
        with quiet():
            pipe = load_pipeline(self.source(), dtype)
            place(pipe, device, self.offload)
            pipe.set_progress_bar_config(disable=True)
            yield pipe

    def facts(self) -> dict[str, Any]:
        """What decides the pictures beside routing and scenes, for journals and evidence."""
        return {
            "model": self.model,
            "size": SMALLEST * self.scale(),
            "steps": self.run_steps(),
            "guidance": self.guidance,
            "images": self.images,
            "clip": self.clip,
        }


# Roles ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RolesRequest:
    """What `strata roles` is asked for."""

    what: StudyModel
    out: str
    scenes: int = 40
    seed: int = 0
    routing: str = DEFAULT_ROUTING
    kinds: tuple[str, ...] = ("swap", "alone")
    block_window: int | None = None
    step_window: int | None = None


def roles(request: RolesRequest) -> None:
    """Draws, measures, prints and writes `roles.json`, `roles.png` and the journal into the folder."""
    from strata.analysis import roles as study
    from strata.analysis.role_plots import draw_roles
    from strata.analysis.trials import Journal, trials

    what = request.what
    # An anchored low text repeats the high one, and neither could be changed alone.
    routing = Routing.load(request.routing).model_copy(update={"anchor": False})
    if request.scenes < 2:
        raise InputError(f"--scenes {request.scenes}: intervals need at least 2")
    setup = study.Setup(
        scenes=request.scenes,
        images=what.images,
        steps=what.run_steps(),
        guidance=what.guidance,
        kinds=tuple(kind for kind in study.KINDS if kind in request.kinds),
        widths=(request.block_window, request.step_window),
    )
    todo = trials(request.scenes, 2, True, f"roles {request.seed}", what.scale())
    counts = what.source().block_counts()
    if counts is not None:
        setup.interventions(sum(counts))  # windows that do not fit are told before anything is loaded
    judge = what.judge()
    folder = Path(request.out)
    make_folder(folder, "--out")
    settings = {
        **what.facts(),
        "routing": routing.to_yaml(),
        "seed": request.seed,
        "windows": [request.block_window, request.step_window],
    }
    journal = Journal(folder / "journal.jsonl", settings)
    with what.loaded() as pipe:
        from tqdm import tqdm

        from strata.injection.pipeline import RegionalPipeline

        regional = RegionalPipeline(pipe, routing)
        transformer = pipe.transformer
        doubles, blocks = len(transformer.transformer_blocks), len(transformer.transformer_blocks)
        blocks += len(transformer.single_transformer_blocks)
        runs = request.scenes * (1 + len(setup.interventions(blocks)))
        done = sum(1 for key in journal.rows if int(key.split()[0]) < request.scenes)
        if 0 < done < runs:
            note(f"{journal.path} has {done} of {runs} runs; going on")
        with tqdm(total=runs, initial=min(done, runs), desc="roles", disable=None, unit="run") as progress:
            for _ in study.study(regional, todo, setup, journal, judge):
                progress.update()
    curves = study.curves(journal, setup, blocks, request.scenes)
    print(roles_table(curves))
    report = {
        **settings,
        "scenes": request.scenes,
        "blocks": [doubles, blocks - doubles],
        "created": now(),
        "versions": versions(),
        "curves": [curve.as_data() for curve in curves],
    }
    write_atomic(folder / "roles.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    title = f"{what.model}: {request.scenes} scenes × {what.images} pictures, {what.run_steps()} steps, {routing.name}"
    _save_figure(draw_roles(curves, doubles, title), folder / "roles.png")
    print(f"\n{folder / 'roles.json'}\n{folder / 'roles.png'}")


def roles_table(curves: "list[Curve]") -> str:
    """Each measure without and with the change everywhere, where a window changes it most, and its place in depth."""
    lines = [f"{'':24}{'without':>9}{'everywhere':>12}   {'strongest window':28}{'centre':>16}{'rank correlation':>22}"]
    group = None
    for curve in curves:
        if group != (group := (curve.kind, curve.level, curve.axis)):
            what = "another text" if curve.kind == "swap" else "heard alone"
            lines.append(f"{what}, {curve.level} level, window of {curve.axis}")
        scale, digits = (100.0, 0) if curve.name.split()[-1] in ("told", "swapped") else (1.0, 2)
        moved = [abs(point.value - curve.least.value) for point in curve.points]
        peak = max(range(len(moved)), key=moved.__getitem__)
        first, last = curve.windows[peak]
        least, most = (f"{scale * end.value:.{digits}f}" for end in (curve.least, curve.most))
        best = f"{first}-{last}: {curve.points[peak].text(scale, digits)}" if moved[peak] > 0 else "–"
        places = f"{curve.centre.text(1, 1):>16}{curve.rank.text(1, 2):>22}"
        lines.append(f"  {curve.name:22}{least:>9}{most:>12}   {best:28}{places}")
    return "\n".join(lines)


def _save_figure(figure: Any, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png")
    temporary.replace(path)


# Calibrate ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CalibrateRequest:
    """What `strata calibrate` is asked for."""

    what: StudyModel
    out: str
    roles: str | None = None
    budget: int = 3000
    scenes: int = 12
    seed: int = 0
    force: bool = False


def calibrate(request: CalibrateRequest) -> None:
    """Searches, balances, reports, and writes the routing file."""
    from strata.analysis import calibrate as search
    from strata.analysis.trials import Journal

    what, out = request.what, Path(request.out)
    if out.suffix not in (".yaml", ".yml"):
        raise InputError(f"--out {quote(request.out)}: must be a .yaml file")
    if out.exists() and not request.force:
        raise InputError(f"--out {request.out}: is there already; --force replaces it")
    judge = what.judge()
    if judge is None:
        raise InputError(
            f"model {quote(what.model)}: pictures can be judged exactly for the miniature and models trained by its"
            " recipe only; name a CLIP model with --clip"
        )
    acting = _acting(request.roles, search) if request.roles else {}
    plan = search.Budget.of(request.budget, what.images)
    journal = Journal(out.with_name(f"{out.stem}-journal.jsonl"), {**what.facts(), "seed": request.seed})
    with what.loaded() as pipe:
        from tqdm import tqdm

        options: dict[str, Any] = {"num_inference_steps": what.run_steps()}
        if what.guidance is not None:
            options["guidance_scale"] = what.guidance
        with tqdm(desc="calibrate", unit="picture", disable=None) as progress:
            examiner = search.Examiner(pipe, judge, journal, options, what.images, progress.update)
            field = search.candidates(plan.candidates, acting, request.seed)
            ranked = search.halve(examiner, field, plan.rungs, search.SEARCHED, what.scale())
            best = ranked[0][0]
            balances = [search.weigh(examiner, best, layout, plan.weighing, what.scale()) for layout in search.LAYOUTS]
            routing = search.calibrated(out.stem, best, balances, what.model)
            rivals = [Routing.load(name) for name in presets()]
            rows = search.report(examiner, routing, rivals, request.scenes, what.scale())
    facts = {
        **what.facts(),
        "created": now(),
        "versions": versions(),
        "roles": acting,
        "searched": [{"candidate": asdict(c), "score": round(s, 4)} for c, s in ranked],
        "report_scenes": request.scenes * len(search.LAYOUTS),
    }
    evidence = json.loads(json.dumps(search.evidence_of(best, balances, rows, facts)))
    routing = routing.model_copy(update={"evidence": evidence})
    make_folder(out.parent, "--out")
    routing.save(out)
    print(report_table(rows))
    if rows[0].routing != routing.name:
        note(f"{rows[0].routing} scores as high or higher on the scenes of the report")
    print(f"\n{out}")


def _acting(path: str, search: Any) -> dict[str, tuple[float, float]]:
    """The stretches of blocks in which high and low texts act by themselves, from the report of `strata roles`."""
    from strata.analysis.roles import Curve
    from strata.analysis.statistics import Estimate

    file = Path(path) / "roles.json" if Path(path).is_dir() else Path(path)
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        found: dict[str, tuple[float, float]] = {}
        for level, name in (("high", "shape as told"), ("low", "surface as told")):
            for data in report["curves"]:
                if (data["kind"], data["level"], data["axis"], data["name"]) == ("alone", level, "blocks", name):
                    points = tuple(Estimate(**point) for point in data["points"])
                    ends = {key: Estimate(**data[key]) for key in ("rank", "centre", "most", "least")}
                    windows = tuple((first, last) for first, last in data["windows"])
                    curve = Curve("alone", level, "blocks", name, windows, points, **ends)  # type: ignore[arg-type]
                    found[level] = search.stretch(curve, sum(report["blocks"]))
    except OSError as error:
        raise InputError(f"--roles {path}: no report of `strata roles`: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"--roles {path}: no report of `strata roles`: it lacks its curves, or is damaged") from error
    if len(found) < 2:
        raise InputError(
            f"--roles {path}: has no exact scores of texts heard alone; run `strata roles` without --kinds"
        )
    return found


def report_table(rows: "list[Row]") -> str:
    """The rows as text: score, objects, background, objects by number of regions."""
    names = list(rows[0].by_regions)
    width = max(len(row.routing) for row in rows) + 2
    head = f"{'routing':{width}}{'score':>14}{'behind':>16}{'objects':>14}{'background':>14}"
    lines = [head + "".join(f"{name:>9}" for name in names)]
    for row in rows:
        line = f"{row.routing:{width}}{row.score.text():>14}{row.behind.text():>16}"
        line += f"{row.objects.text():>14}{row.background.text():>14}"
        lines.append(line + "".join(f"{100 * row.by_regions[name].value:9.0f}" for name in names))
    return "\n".join(
        [*lines, "", "% right on scenes that took no part in the search, 95 % intervals; right: by regions"]
    )
