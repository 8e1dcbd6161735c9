"""The Studio behind its page: one model, its sessions, and the threads that draw and plan for them."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strata.console import note
from strata.hierarchy.errors import InputError, SettingError, StrataError
from strata.hierarchy.phrases import retold_prompt
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.restyle import restyled
from strata.job import Job, check_drawn_as_planned, check_seeds, prepare
from strata.judging import Judges, ObeySettings, judges_for
from strata.llm.draft import Draft
from strata.llm.planner import Request
from strata.loading import locate_for
from strata.miniature import LORAS
from strata.planning import PlannerSettings, check_prompt, plan_prompts, slug
from strata.repaint import repainted
from strata.settings import DrawSettings, ModelSettings, read_settings
from strata.source import Source, open_source, safe_name
from strata.studio.depth import routing_of
from strata.studio.draw_run import Asked, DrawRun
from strata.studio.errors import Refused
from strata.studio.scene import Library, adopted, check_canvas, read_plan
from strata.studio.sessions import Session, Sessions
from strata.studio.settings import BesideSettings
from strata.studio.tasks import PlanRun, Run
from strata.studio.work import Worker

if TYPE_CHECKING:
    from strata.analysis.judges import Judge
    from strata.engine import Engine

logger = logging.getLogger(__name__)
MOST_WAITING = 30
"""Runs of a session that wait at the same time."""
MOST_PICTURES = 64
"""Of one run."""
OFFERED = ("seed", "steps", "guidance", "true_cfg", "method", "strict")
"""The settings of a drawing that a page may set: none of them names a file."""
OBEYED = ("until_obeyed", "mend")
"""Those of drawing until it obeys; the judge is the Studio's own."""
MOST_TRIES = 64
"""At one picture."""
PATIENCE = 2
"""Seconds after which it is told that the end waits for a step."""


class Studio:
    """Everything that pages ask for, without HTTP.

    Args:
        model: which model draws, and where.
        planner: how sentences are planned.
        beside: LoRAs, roles, judge, and where runs go.

    Raises:
        StrataError: something that these name cannot be used; nothing is loaded yet.
    """

    def __init__(self, model: ModelSettings, planner: PlannerSettings, beside: BesideSettings) -> None:
        self.settings, self.planner, self.beside = DrawSettings.of(model), planner, beside
        self.model = locate_for(model.model)
        if model.device is not None or model.dtype is not None or model.offload:
            self._first  # noqa: B018  (what cannot be is told before anything is served; the defaults always can)
        _, self._instructions = planner.read()
        folders = [Path(beside.loras)] if beside.loras is not None else []
        if beside.loras is not None and not folders[0].is_dir():
            raise SettingError(f"<loras> {beside.loras}: no such folder")
        self.library = Library((*folders, *((LORAS,) if self.model.kind == "miniature" else ())))
        self.roles = _read_roles(beside.roles, sum(self.model.facts_or_flux.block_counts))
        self.judged_by = beside.judge or ("exact" if self.model.is_judged_exactly() else None)
        if beside.judge is not None:
            judges_for(self.model, (beside.judge,), "judge")
            self._judge  # noqa: B018  (likewise)
        self.sessions = Sessions()
        self.runs_folder = Path(beside.out) if beside.out is not None else None
        self.state: dict[str, Any] = {"state": "loading", "message": None}
        self._engine: Engine | None = None
        self._quiet = ExitStack()
        self.drawing = Worker("draw", self._load)
        self.planning = Worker("plan")

    def end(self) -> None:
        """What is being done ends soon, a picture after its current step; from any thread, and without waiting."""
        self.drawing.end()
        self.planning.end()

    def close(self) -> None:
        """Ends what is being done, and removes what was only for now. Another interruption does not wait for a step."""
        try:
            if not self.drawing.close(PATIENCE):
                note("a step is being drawn; ending after it (Ctrl-C again: at once)")
                self.drawing.close(None)
        finally:
            for session in self.sessions.all():
                for run in session.runs.values():
                    if isinstance(run, DrawRun):
                        run.clear()
            self._release()

    def _release(self) -> None:
        self.planning.close(0.5)
        if self._engine is not None:
            self._engine.close()
        self._quiet.close()
        self.sessions.close()

    # The model

    def _load(self) -> None:
        try:
            from strata.console import quiet
            from strata.engine import Engine

            self._quiet.enter_context(quiet())
            self._engine = Engine.load(self._first)
            self.state = {"state": "ready", "message": None, "device": self._first.device, "dtype": self._first.dtype}
        except StrataError as error:
            self.state = {"state": "failed", "message": str(error)}
        except Exception as error:
            logger.exception("the model could not be loaded")
            self.state = {"state": "failed", "message": f"{type(error).__name__}: {error}"}
        for session in self.sessions.all():
            session.tell({"type": "model", "model": self.state})

    def _open_engine(self, run: DrawRun) -> "Engine":
        if self._engine is None:
            raise InputError(f"model {self.model.name}: could not be loaded: {self.state['message']}")
        return self._engine

    @cached_property
    def _first(self) -> Job:
        """Names what is loaded: model, device, data type."""
        size = self.model.default_size
        plan = ScenePlan(width=size, height=size, prompt="")
        return prepare(self.settings, Source("studio", plan), planned=False)

    @cached_property
    def _judge(self) -> "Judge | None":
        from strata.analysis.judges import judge_named

        try:
            return None if self.judged_by is None else judge_named(self.judged_by)
        except InputError as error:
            raise SettingError(f"<judge>: {error}") from error

    # What pages ask for

    def draw(self, session: Session, data: Mapping[str, Any]) -> list[DrawRun]:
        """Checks and queues a drawing; of `versus`, a second one from the same seed.

        Raises:
            StrataError: the plan, the routing or a setting cannot be used, or too much waits already.
        """
        plan = read_plan(data.get("plan"), session, self.library)
        check_canvas(plan, self.model.facts_or_flux.token_size)
        routing = None if data.get("routing") is None else routing_of(data["routing"])
        given = self._settings(data.get("settings") or {})
        obeying = self._obeying(data.get("obey") or {})
        count = _count(data.get("count", 1))
        name = slug(str(data.get("title") or plan.prompt or "scene"))
        settings = _told(data.get("settings") or {})
        previews = data.get("previews") is not False
        job = self._checked(given, Source(name, plan, routing), count)
        pairs = [("draw", job)]
        if versus := data.get("versus"):
            if not isinstance(versus, Mapping):
                raise InputError("versus: must be a mapping")
            other = given.model_copy(update={"seed": job.seed})
            second = routing
            if versus.get("routing") is not None:
                second = routing_of(versus["routing"])
            if versus.get("method") is not None:
                other = self._settings({**settings, "method": versus["method"]})
                other = other.model_copy(update={"seed": job.seed})
                second = None if versus.get("routing") is None else second
            pairs.append(("versus", self._checked(other, Source(name, plan, second), count)))
        self._check_room(session, len(pairs))
        until = obeying.until(job)
        if until is not None:
            for _, each in pairs:
                until.check(each)
        runs: list[DrawRun] = []
        for kind, each in pairs:
            beside = f"{runs[0].id}/" if runs else None
            asked = Asked(each, count, previews, plan=data["plan"], settings=settings, beside=beside, until=until)
            runs.append(self._queue(session, kind, str(data.get("title") or name), asked))
        return runs

    def restyle(self, session: Session, run: DrawRun, picture: str, area: str, low: str) -> DrawRun:
        """Queues a picture again, from its seed, with another low text in one area.

        Raises:
            StrataError: there is no such area, or the picture cannot be restyled.
        """
        with ExitStack() as kept:
            opened = self._opened(kept, run, picture)
            plan = restyled(opened.plan, {area: low})
            plan = plan.model_copy(update={"prompt": retold_prompt(opened.plan, plan)})
            original = self._prepared(DrawSettings(), opened)
            check_drawn_as_planned(original, run.title)
            given = DrawSettings(seed=original.seed)
            source = replace(opened, name=_named(opened.name, "-restyled"), plan=plan)
            job = self._checked(given, source, 1)
            job.heard("low", area)
            return self._from(session, "restyle", f"{area}: {low}", job, run, picture, kept)
        raise AssertionError

    def repaint(self, session: Session, run: DrawRun, picture: str, changes: Mapping[str, Any]) -> DrawRun:
        """Queues a picture, drawn anew where one region is. Raises `StrataError` as `strata.repaint.repainted` does."""
        known = {key: changes[key] for key in ("high", "low", "full", "seed") if changes.get(key) not in (None, "")}
        region = str(changes.get("region") or "")
        with ExitStack() as kept:
            opened = self._opened(kept, run, picture)
            changed = repainted(opened, region, **known)
            job = self._checked(DrawSettings(), changed, 1)
            what = ", ".join(str(value) for key, value in known.items() if key != "seed") or "anew"
            return self._from(session, "repaint", f"{region}: {what}", job, run, picture, kept)
        raise AssertionError

    def probe(self, session: Session, run: DrawRun, picture: str, words: Iterable[str]) -> DrawRun:
        """Queues a picture again, with its attention recorded. Raises `StrataError` where that cannot be done."""
        from strata.analysis.labels import check_words
        from strata.injection.program import compile_program

        asked = tuple(word.strip() for word in words if str(word).strip())[:12]
        with ExitStack() as kept:
            opened = self._opened(kept, run, picture)
            if opened.swaps or opened.repaints:
                raise InputError(f"{run.title}: was repainted; probe the picture before that, or its plan")
            job = self._checked(DrawSettings(), opened, 1)
            check_drawn_as_planned(job, run.title)
            if self.model.facts is not None:
                program = compile_program(job.plan, job.routing, self.model.facts, job.steps)
                names = zip(program.stream_names, (stream.text for stream in program.streams), strict=True)
                check_words({"base": job.plan.prompt} | dict(names), asked)
            return self._from(session, "probe", run.title, job, run, picture, kept, asked)
        raise AssertionError

    def plan(self, session: Session, data: Mapping[str, Any]) -> PlanRun:
        """Queues a sentence to be planned. Raises `StrataError` where it cannot be."""
        prompt = str(data.get("prompt") or "")
        check_prompt(prompt)
        size = self.model.default_size
        width, height = (value if type(value := data.get(name)) is int else size for name in ("width", "height"))
        draft = None
        if data.get("draft"):
            import json

            draft = Draft.from_json(json.dumps(data["draft"]), "draft", session.folder)
            if any(region.mask is not None for region in draft.regions):
                raise InputError("draft: brushed regions cannot be filled in by the planner; draw a box or a polygon")
        request = Request(prompt, width, height, draft)
        self._check_room(session, 1)

        def planned() -> Mapping[str, Any]:
            [found] = plan_prompts(self.planner, self._instructions, [request])
            if isinstance(found, StrataError):
                raise found
            return adopted(found, session, self.library, {})

        run = PlanRun(session, prompt, planned)
        self._keep(session, run)
        self.planning.put(run)
        return run

    def cancel(self, run: Run) -> None:
        """Ends a run."""
        (self.planning if isinstance(run, PlanRun) else self.drawing).cancel(run)

    def reopened(self, session: Session, run: DrawRun, picture: str) -> dict[str, Any]:
        """What a picture was drawn from, as the page takes it."""
        with ExitStack() as kept:
            return from_source(self._opened(kept, run, picture), session, self.library)
        raise AssertionError

    # Parts of these

    def _settings(self, data: Any) -> DrawSettings:
        return read_settings(DrawSettings, _offered(data, "settings", OFFERED))

    def _obeying(self, data: Any) -> Judges:
        given = read_settings(ObeySettings, _offered(data, "obey", OBEYED))
        if given.until_obeyed is not None:
            if given.until_obeyed > MOST_TRIES:
                raise SettingError(f"<until_obeyed> {given.until_obeyed}: more than {MOST_TRIES}, the most here")
            given = given.model_copy(update={"judge": self.judged_by})
        return Judges(given, self._load_judge)

    def _load_judge(self, name: str) -> "Judge":
        assert self._judge is not None
        return self._judge

    def _prepared(self, given: DrawSettings, source: Source) -> Job:
        fixed = {name: value for name, value in self.settings if value is not None and name != "offload"}
        return prepare(
            given.model_copy(update={**fixed, "offload": self.settings.offload}), source, command="strata studio"
        )

    def _checked(self, given: DrawSettings, source: Source, count: int) -> Job:
        job = self._prepared(given, source)
        check_seeds(job, count)
        if (job.model, job.device, job.dtype) != (self._first.model, self._first.device, self._first.dtype):
            where = f"model {job.model.name} on {job.device} in {job.dtype}"
            raise InputError(f"{job.name}: was drawn by {where}, which is not what is loaded")
        return job

    def _opened(self, kept: ExitStack, run: DrawRun, picture: str) -> Source:
        return kept.enter_context(open_source(str(run.file(run.picture(picture).name))))

    def _from(
        self,
        session: Session,
        kind: str,
        title: str,
        job: Job,
        run: DrawRun,
        picture: str,
        kept: ExitStack,
        words: tuple[str, ...] | None = None,
    ) -> DrawRun:
        self._check_room(session, 1)
        plan = adopted(job.plan, session, self.library, dict.fromkeys(_masks(job.plan), b""))
        settings = {**run.asked.settings, "seed": job.seed}
        asked = Asked(job, words=words, plan=plan, settings=settings, beside=f"{run.id}/{picture}")
        return self._queue(session, kind, title, asked, kept.pop_all())

    def _queue(self, session: Session, kind: str, title: str, asked: Asked, kept: ExitStack | None = None) -> DrawRun:
        folder = self.runs_folder or session.folder / "runs"
        run = DrawRun(session, kind, title[:200], asked, self._open_engine, lambda: self._judge, folder, kept)
        self._keep(session, run)
        self.drawing.put(run)
        return run

    def _keep(self, session: Session, run: Run) -> None:
        for old in session.add(run):
            session.tell({"type": "gone", "id": old.id})
        run.tell()

    def _check_room(self, session: Session, runs: int) -> None:
        waiting = self.drawing.waiting(session.owner) + self.planning.waiting(session.owner)
        if waiting + runs > MOST_WAITING:
            raise Refused(f"{waiting} runs wait already, as many as may; cancel some, or let them end", 429)


def from_source(source: Source, session: Session, library: Library) -> dict[str, Any]:
    """A plan or a picture of ours, as the page takes it."""
    files = {**source.files, **{name: b"" for name in _masks(source.plan) if source.record is not None}}
    data: dict[str, Any] = {"plan": adopted(source.plan, session, library, files), "settings": {}}
    data["routing"] = None if source.routing is None else source.routing.to_yaml()
    if source.record is not None:
        used = source.record.settings
        data["settings"] = {key: value for key in OFFERED if (value := getattr(used, key, None)) is not None}
    return data


def _masks(plan: ScenePlan) -> list[str]:
    return [region.mask for region in plan.regions if region.mask is not None]


def _offered(data: Any, field: str, names: Iterable[str]) -> dict[str, Any]:
    """What a page sets of some settings. Raises `InputError` for others."""
    if not isinstance(data, Mapping):
        raise InputError(f"{field}: must be a mapping")
    for name in data:
        if name not in names:
            raise InputError(f"{field}: {str(name)[:40]!r}: is none that a page sets; those are {', '.join(names)}")
    return _told(data)


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given: a field that is left empty is none."""
    return {name: value for name, value in settings.items() if value not in (None, "")}


def _named(name: str, suffix: str) -> str:
    return safe_name(name.removesuffix(suffix)[: 40 - len(suffix)] + suffix)


def _count(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST_PICTURES:
        raise InputError(f"count: {value!r}: must be a whole number from 1 to {MOST_PICTURES}")
    return value


def _read_roles(folder: str | None, blocks: int) -> list[dict[str, Any]]:
    if folder is None:
        return []
    from strata.studio.roles import measured

    return measured(folder, blocks)
