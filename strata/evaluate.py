"""An evaluation: scenes drawn in several ways and judged; all of it compiled before anything is drawn.

    evaluation = prepare_evaluation("hard", ["plain", "regional"], seeds=[1, 2, 3, 4])
    found = evaluate(evaluation, [judge_named("exact")], "out/evaluate")   # draws what is missing (evaluate_run.py)
    print(found["exact"].objects["4"]["regional"]["region"].text())

A way is a method, by a routing where it has a part. Ways, seeds and scenes may be added in the same folder later.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from strata.axes import Axis
from strata.hierarchy.errors import InputError, SettingError, quote
from strata.job import Job, prepare
from strata.layers.routing import DEFAULT_ROUTING
from strata.methods import check_methods, check_routings, named_method
from strata.readers import Benchmark, Scene, benchmark_named, read_scenes, split_spec
from strata.settings import DrawSettings
from strata.source import Source, safe_name

BUILT_IN = ("hard",)
"""Sets of scenes that come with Strata."""
MOST_PICTURES = 200_000
"""Of one evaluation."""
SMALL = 128
"""Pixels a side of the bundled scenes' usual canvas: other models draw them in multiples."""


@dataclass(frozen=True)
class Way:
    """One way to draw: what tables call it, and its settings.

    Attributes:
        name: without the routing, where there is but one.
        method: of `strata.methods`.
        routing: as it was given.
        label: what the routing is called; None for a method that heeds none, or was published with one.
    """

    name: str
    method: str
    routing: str | None
    label: str | None = None

    @property
    def slug(self) -> str:
        """Of its pictures' file names; always with the routing, so that others may be added in the same folder."""
        return re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.method}, {self.label or ''}").strip("-.")


@dataclass(frozen=True)
class Draw:
    """One picture of an evaluation."""

    scene: Scene
    way: Way
    seed: int
    job: Job

    @property
    def key(self) -> str:
        """Names it in journals."""
        return f"{self.scene.name}/{self.way.slug}/{self.seed}"

    @property
    def file(self) -> str:
        """Of the picture, below the folder of pictures."""
        name = safe_name(self.scene.name)
        if name != self.scene.name:  # two that begin alike have a folder each
            name = f"{name}_{hashlib.sha256(self.scene.name.encode()).hexdigest()[:8]}"
        return f"{name}/{self.way.slug}_{self.seed}.png"


@dataclass(frozen=True)
class Evaluation:
    """What is drawn: every picture compiles.

    Attributes:
        spec: what the scenes were asked for by.
        draws: scene by scene, in each way all seeds.
    """

    spec: str
    benchmark: Benchmark
    scenes: tuple[Scene, ...]
    ways: tuple[Way, ...]
    seeds: tuple[int, ...]
    draws: tuple[Draw, ...]


def tags_of(scene: Scene) -> tuple[str, ...]:
    """By which tables are cut."""
    tags: Sequence[Any] = scene.row.get("tags") or ()
    return tuple(str(tag) for tag in tags) or ((scene.group,) if scene.group else ())


def open_scenes(spec: str, token: int = 16) -> tuple[Benchmark, list[Scene]]:
    """A set by its name, or `FORMAT:PATH` as `strata.readers` reads it. Raises `InputError`."""
    if spec in BUILT_IN:
        from strata.readers.plans import HARD

        benchmark = benchmark_named("plans")
        return benchmark, benchmark.read(HARD, token)
    if split_spec(spec) is None:
        from strata.readers import BENCHMARKS

        known = f"{', '.join(BUILT_IN)}, or FORMAT:PATH with a format of {', '.join(BENCHMARKS)}"
        raise InputError(f"scenes {quote(spec)}: must be {known}")
    return read_scenes(spec, token)


def chosen(
    scenes: Sequence[Scene], objects: Sequence[int] = (), tags: Sequence[str] = (), limit: int | None = None
) -> list[Scene]:
    """The scenes of these numbers of objects that have all these tags, the first `limit` of each number.

    Raises:
        SettingError: there are none; says what there is.
    """
    numbers = sorted({_objects(scene) for scene in scenes})
    if missing := [str(number) for number in objects if number not in numbers]:
        raise SettingError(f"<objects> {', '.join(missing)}: no such scenes; there are {', '.join(map(str, numbers))}")
    known = dict.fromkeys(tag for scene in scenes for tag in tags_of(scene))
    if unknown := [tag for tag in tags if tag not in known]:
        raise SettingError(f"<tags> {', '.join(unknown)}: no such tag; tags: {', '.join(known) or 'none'}")
    found: list[Scene] = []
    of: dict[int, int] = {}
    for scene in scenes:
        number = _objects(scene)
        if (objects and number not in objects) or not {*tags} <= {*tags_of(scene)}:
            continue
        of[number] = of.get(number, 0) + 1
        if limit is None or of[number] <= limit:
            found.append(scene)
    if not found:
        raise SettingError(f"<tags> {', '.join(tags)}: no scene has all of these")
    return found


def _objects(scene: Scene) -> int:
    return len(scene.plan.regions) if scene.plan is not None else 0


def ways_of(methods: Sequence[str], routings: Sequence[str] = ()) -> list[Way]:
    """Every method by every routing; those that heed none, or were published with one of their own, once.

    Raises:
        InputError: there is no such method or routing, or something is named twice.
    """
    found: list[Way] = []
    routed = [*Axis.of("routing", routings).labels] if routings else []
    check_methods(methods, "<methods>")
    check_routings(routings)
    for name in _once("methods", methods):
        method = named_method(name)
        if method.unrouted or method.routing is not None:
            found.append(Way(name, name, None))
            continue
        if not routings:
            found.append(Way(name, name, None, DEFAULT_ROUTING))
            continue
        found += [
            Way(f"{name}, {label}" if len(routings) > 1 else name, name, routing, label)
            for label, routing in zip(routed, routings, strict=True)
        ]
    if len({way.slug for way in found}) < len(found):
        raise SettingError("<routings>: two of them have one name for files; rename one")
    if routings and not any(way.routing for way in found):
        raise SettingError(f"<routings> {', '.join(routings)}: none of the <methods> heeds them; leave them out")
    return found


def _once(field: str, names: Sequence[str]) -> Sequence[str]:
    if twice := next((name for n, name in enumerate(names) if name in names[:n]), None):
        raise SettingError(f"<{field}> {twice}: is given twice")
    if not names:
        raise SettingError(f"<{field}>: name one at least")
    return names


def prepare_evaluation(
    spec: str,
    methods: Sequence[str],
    routings: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    given: DrawSettings | None = None,
    *,
    objects: Sequence[int] = (),
    tags: Sequence[str] = (),
    limit: int | None = None,
    command: str = "",
) -> Evaluation:
    """Reads the scenes, and completes and checks every picture, without loading anything.

    Args:
        spec: a set by name (`hard`) or `FORMAT:PATH`.
        methods: such as plain, regional, rpg.
        routings: presets or files, for the methods that were not published with one.
        seeds: of the noise; all ways draw a scene from the same.
        given: settings of all pictures; neither method, routing nor seed.
        objects: numbers of regions; none for all.
        tags: that scenes must have.
        limit: scenes of each number of objects.
        command: what the records give as the command of the run.

    Raises:
        StrataError: as `prepare` does, with the scene and the way that are wrong.
    """
    settings = given if given is not None else DrawSettings()
    for name in ("method", "routing", "seed"):
        if getattr(settings, name) is not None:
            raise SettingError(f"<{name}>: not allowed; give <{name}s>")
    ways = ways_of(methods, routings)
    benchmark, all_scenes = open_scenes(spec)
    scenes = chosen(all_scenes, objects, tags, limit)
    _once("seeds", [str(seed) for seed in seeds])
    if (count := len(scenes) * len(ways) * len(seeds)) > MOST_PICTURES:
        raise SettingError(f"<seeds>: {count} pictures; at most {MOST_PICTURES}")
    draws = tuple(_draws(scenes, ways, seeds, settings, spec in BUILT_IN, command))
    return Evaluation(spec, benchmark, tuple(scenes), tuple(ways), tuple(seeds), draws)


def _draws(
    scenes: Sequence[Scene],
    ways: Sequence[Way],
    seeds: Sequence[int],
    given: DrawSettings,
    built_in: bool,
    command: str,
) -> Iterator[Draw]:
    for scene in scenes:
        if scene.plan is None or not scene.plan.regions:
            message = "has no regions, so there is nothing to follow; plan its prompt first (strata plan), and give the"
            raise InputError(f"{scene.place}: scene {scene.name}: {message} plans as plans:FILE.jsonl")
        for way in ways:
            settings = given.model_copy(update={"method": way.method, "routing": way.routing, "seed": seeds[0]})
            try:
                job = prepare(settings, Source(safe_name(scene.name), scene.plan), command=command)
                if built_in and not job.model.is_judged_exactly() and given.width is None and given.height is None:
                    job = _enlarged(scene, settings, job.model.default_size // SMALL, command)
            except SettingError as error:
                raise SettingError(f"scene {scene.name}, {way.name}: {error.template}") from error
            except InputError as error:
                raise InputError(f"scene {scene.name}, {way.name}: {error}") from error
            for seed in seeds:
                own = job.settings.model_copy(update={"seed": seed})
                yield Draw(scene, way, seed, replace(job, seed=seed, settings=own))


def _enlarged(scene: Scene, given: DrawSettings, scale: int, command: str) -> Job:
    """The bundled scenes in the size that a larger model draws."""
    assert scene.plan is not None
    plan = scene.plan.resized(scale * scene.plan.width, scale * scene.plan.height)
    return prepare(given, Source(safe_name(scene.name), plan), command=command)
