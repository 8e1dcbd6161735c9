"""Layer roles: what depends on the texts visible in a stretch of blocks, or of steps.

Each scene is drawn once as it is and once per intervention, from the same noise. An intervention concerns only the high
or only the low text of the scene's first region, inside a sliding window of blocks (at all steps) or of steps (in all
blocks):

- `swap`: inside the window another text is visible. How much of the picture follows it shows what the window decides
  against all the rest (as the prompt injections of Stable Flow, arXiv 2411.14430, and SplitFlux, 2511.15258).
- `alone`: outside the window no text is visible. How much of the text is still followed shows what the window can do by
  itself, which is what a routing asks of it.

Content is the kind of object, detail its colour, surface and style, judged by the miniature's exact scorer; for any
model, the change of structure (SSIM), colour (CIEDE2000) and texture (local binary patterns) against the unchanged
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.analysis.charts import save_figure
from strata.analysis.clip_judge import ClipJudge
from strata.analysis.measures import colour_change, pixel_change, structure_change, texture_change
from strata.analysis.statistics import Estimate, bootstrap, rank_correlation
from strata.analysis.trials import ATTRIBUTES, CONTENT, DETAIL, Journal, Judge, Trial, part
from strata.hierarchy.errors import InputError
from strata.hierarchy.files import dump_json, read_document, write_atomic
from strata.injection.pipeline import RegionalPipeline
from strata.injection.streams import TextOverride
from strata.miniature.world.phrases import high_text, low_text

StudiedLevel = Literal["high", "low"]
Axis = Literal["blocks", "steps"]
InterventionKind = Literal["swap", "alone"]
STUDIED_LEVELS: tuple[StudiedLevel, ...] = ("high", "low")
AXES: tuple[Axis, ...] = ("blocks", "steps")
KINDS: tuple[InterventionKind, ...] = ("swap", "alone")
WINDOWS = {"blocks": 1 / 6, "steps": 1 / 5}
"""The share of all blocks and of all steps that a window covers by default."""


@dataclass(frozen=True)
class Intervention:
    """What is changed. `window`: first and last block or step; None: all of them (`swap`) or none of them (`alone`)."""

    kind: InterventionKind
    level: StudiedLevel
    axis: Axis
    window: tuple[int, int] | None

    @property
    def key(self) -> str:
        """Names it in journals: "swap high blocks 3-4"."""
        if self.window is None:
            return f"{self.kind} {self.level} {'everywhere' if self.kind == 'swap' else 'nowhere'}"
        return f"{self.kind} {self.level} {self.axis} {self.window[0]}-{self.window[1]}"

    def swap(self, trial: Trial, steps: int, blocks: int) -> TextOverride:
        """The change of what is visible."""
        inside = np.full((steps, blocks), self.window is None and self.kind == "swap")
        if self.window is not None:
            span = slice(self.window[0], self.window[1] + 1)
            inside[(slice(None), span) if self.axis == "blocks" else span] = True
        area = trial.plan.regions[0].name
        if self.kind == "alone":
            return TextOverride(area, self.level, None, ~inside)
        write = high_text if self.level == "high" else low_text
        return TextOverride(area, self.level, write(trial.other), inside)


def windows(count: int, width: int, stride: int) -> list[tuple[int, int]]:
    """First and last of windows over `count` places, the last one flush with the end."""
    starts = list(range(0, count - width + 1, stride))
    if starts[-1] != count - width:
        starts.append(count - width)
    return [(start, start + width - 1) for start in starts]


@dataclass(frozen=True)
class RolesSetup:
    """What a study does; all of it decides the results.

    Attributes:
        images: pictures a scene, from noise of their own.
        widths: blocks and steps that a window covers; None: a sixth of the blocks, a fifth of the steps.
    """

    scenes: int = 40
    images: int = 2
    steps: int = 20
    guidance: float | None = None
    kinds: tuple[InterventionKind, ...] = KINDS
    axes: tuple[Axis, ...] = AXES
    widths: tuple[int | None, int | None] = (None, None)

    @property
    def options(self) -> dict[str, Any]:
        """Of a run's call."""
        found: dict[str, Any] = {"num_inference_steps": self.steps, "num_images_per_prompt": self.images}
        return found if self.guidance is None else {**found, "guidance_scale": self.guidance}

    def interventions(self, blocks: int) -> list[Intervention]:
        """All of them on a model with so many blocks.

        Raises:
            InputError: a window is wider than what it slides over.
        """
        found: list[Intervention] = []
        for kind in self.kinds:
            for level in STUDIED_LEVELS:
                found.append(Intervention(kind, level, "blocks", None))
                for axis in self.axes:
                    found += [Intervention(kind, level, axis, window) for window in self.windows(axis, blocks)]
        return found

    def windows(self, axis: Axis, blocks: int) -> list[tuple[int, int]]:
        """The windows of an axis."""
        count = blocks if axis == "blocks" else self.steps
        width = self.widths[AXES.index(axis)] or max(1, round(WINDOWS[axis] * count))
        if width > count:
            raise InputError(f"window: {width} {axis}: there are only {count}")
        return windows(count, width, max(1, width // 2))


def run_keys(setup: RolesSetup, blocks: int, scene: int) -> list[str]:
    """A scene's runs, as the journal names them."""
    return [f"{scene} {key}" for key in ("unchanged", *(i.key for i in setup.interventions(blocks)))]


def study(
    regional: RegionalPipeline,
    todo: Sequence[Trial],
    setup: RolesSetup,
    journal: Journal,
    judge: Judge | ClipJudge | None = None,
    show: Callable[[int, Sequence[Image.Image]], None] | None = None,
) -> Iterator[str]:
    """Draw and measure what the journal lacks; yields each run's key when it is kept.

    Args:
        regional: of the model and the routing under which the unchanged pictures are drawn.
        todo: the scenes.
        judge: the exact scorer, or CLIP; None: pictures are only compared with the unchanged ones.
        show: is given each scene's number and its unchanged pictures.
    """
    blocks, options = sum(regional.facts.block_counts), setup.options
    interventions = setup.interventions(blocks)
    for number, trial in enumerate(todo):
        missing = [i for i in interventions if f"{number} {i.key}" not in journal.rows]
        if not missing and f"{number} unchanged" in journal.rows:
            continue
        before = regional(trial.plan, seed=trial.seed, **options).images
        if show is not None:
            show(number, before)
        if f"{number} unchanged" not in journal.rows:
            journal.add(f"{number} unchanged", _measured(before, before, trial, judge))
            yield f"{number} unchanged"
        for intervention in missing:
            swap = intervention.swap(trial, setup.steps, blocks)
            images = regional(trial.plan, seed=trial.seed, overrides=[swap], **options).images
            journal.add(f"{number} {intervention.key}", _measured(images, before, trial, judge))
            yield f"{number} {intervention.key}"


def _measured(
    images: Sequence[Image.Image], before: Sequence[Image.Image], trial: Trial, judge: Judge | ClipJudge | None
) -> dict[str, float]:
    """The means over a run's pictures of everything that is measured."""
    own, others = trial.boxes[0], trial.boxes[1:]
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(float(value))

    verdicts = judge.verdicts(images, trial.boxes) if judge else [[]] * len(images)
    for image, old, seen in zip(images, before, verdicts, strict=True):
        if seen:
            for name in ATTRIBUTES:
                note(f"{name} as told", getattr(seen[0], name) == getattr(trial.things[0], name))
                note(f"{name} as swapped", getattr(seen[0], name) == getattr(trial.other, name))
            right = [all(v.right(thing).values()) for v, thing in zip(seen[1:], trial.things[1:], strict=True)]
            note("others right", float(np.mean(right)) if right else np.nan)
        one, other = part(image, own), part(old, own)
        note("structure change", structure_change(one, other))
        note("colour change", colour_change(one, other))
        note("texture change", texture_change(one, other))
        changes = [pixel_change(part(image, box), part(old, box)) for box in others]
        note("others' change", float(np.mean(changes)) if changes else np.nan)
    return {name: round(float(np.mean(values)), 5) for name, values in found.items()}


# What came out --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """One measure over the windows of one kind of intervention.

    Attributes:
        name: what is measured.
        windows: first and last block or step of each.
        points: the measure at each.
        rank: Spearman's correlation of effect and depth (or time), with its interval. The effect is the measure, or
            how far it falls where it is a change and the text is heard alone.
        centre: the mean place of the effect, the windows' centres weighted by how far it rises above its lowest point.
        most: the measure with the window everywhere (swap) or the unchanged picture (alone).
        least: the unchanged picture (swap), or no text visible (alone).
    """

    kind: InterventionKind
    level: StudiedLevel
    axis: Axis
    name: str
    windows: tuple[tuple[int, int], ...]
    points: tuple[Estimate, ...]
    rank: Estimate
    centre: Estimate
    most: Estimate
    least: Estimate

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **{name: getattr(self, name) for name in ("kind", "level", "axis", "name")},
            "windows": [list(window) for window in self.windows],
            "points": [point.as_data() for point in self.points],
            **{name: getattr(self, name).as_data() for name in ("rank", "centre", "most", "least")},
        }


DECIDES: Mapping[StudiedLevel, tuple[str, ...]] = {"high": tuple(CONTENT), "low": tuple(DETAIL)}
"""The attributes that a level's texts name, and should decide."""
EXACT: Mapping[tuple[InterventionKind, StudiedLevel], tuple[str, ...]] = {
    (kind, level): (
        *(f"{name} as {'swapped' if kind == 'swap' else 'told'}" for name in DECIDES[level]),
        *(f"{name} as told" for name in ATTRIBUTES if name not in DECIDES[level]),
    )
    for kind in KINDS
    for level in STUDIED_LEVELS
}
"""Measures by the exact scorer: first what the level should decide, then what it should leave alone."""
CHANGES = ("structure change", "colour change", "texture change")
"""Measures of any model, against the unchanged pictures."""


def curves(journal: Journal, setup: RolesSetup, blocks: int, scenes: int) -> list[Curve]:
    """The curves of all scenes that are complete in the journal.

    Raises:
        InputError: fewer than two are.
    """
    interventions = setup.interventions(blocks)
    done = [n for n in range(scenes) if all(key in journal.rows for key in run_keys(setup, blocks, n))]
    if len(done) < 2:
        raise InputError(f"{journal.path}: {len(done)} scenes are complete; intervals need at least 2")

    def values(key: str, name: str) -> NDArray[np.float64]:
        return np.array([journal.rows[f"{n} {key}"].get(name, np.nan) for n in done], dtype=np.float64)

    exact = "kind as told" in journal.rows[f"{done[0]} unchanged"]
    found: list[Curve] = []
    for kind in setup.kinds:
        for level in STUDIED_LEVELS:
            ends = ["unchanged", Intervention(kind, level, "blocks", None).key]
            least, most = ends if kind == "swap" else ends[::-1]
            for axis in setup.axes:
                over = [i for i in interventions if (i.kind, i.level, i.axis) == (kind, level, axis) and i.window]
                for name in (*(EXACT[kind, level] if exact else ()), *CHANGES):
                    table = np.stack([values(i.key, name) for i in over], axis=1)
                    # Alone, pictures change the less the more the text acts.
                    acts = -table if kind == "alone" and name in CHANGES else table
                    middles = np.array([(i.window[0] + i.window[1]) / 2 for i in over if i.window])
                    found.append(
                        Curve(
                            kind,
                            level,
                            axis,
                            name,
                            tuple(i.window for i in over if i.window),
                            tuple(bootstrap(table)),
                            bootstrap(acts, rank_correlation)[0],
                            bootstrap(acts, partial(_centre, middles))[0],
                            bootstrap(values(most, name))[0],
                            bootstrap(values(least, name))[0],
                        )
                    )
    return found


def _centre(middles: NDArray[Any], curve: NDArray[Any]) -> float:
    rise = curve - curve.min()
    return float(rise @ middles / rise.sum()) if rise.sum() > 0 else float("nan")


REPORT = ("roles.json", "roles.png")
"""What a study's report is written to."""


def write_report(
    folder: Path, curves: Sequence[Curve], blocks: tuple[int, int], facts: Mapping[str, Any], title: str, finding: str
) -> list[Path]:
    """Writes roles.json and roles.png; returns their paths.

    Args:
        folder: exists.
        curves: as `curves` returns them.
        blocks: the model's double and single blocks.
        facts: what else the report holds: settings, date, versions.
        title: of the figure.
        finding: what was found, in a sentence.
    """
    from strata.analysis.role_plots import draw_roles

    report = folder / REPORT[0]
    data = {**facts, "finding": finding, "blocks": list(blocks), "curves": [curve.as_data() for curve in curves]}
    write_atomic(report, dump_json(data))
    return [report, save_figure(draw_roles(curves, blocks[0], f"{title}\n{finding}"), folder / REPORT[1])]


def read_curves(path: str | Path) -> tuple[list[Curve], int]:
    """The curves of a report, and the model's number of blocks; `path` is of roles.json or of its folder.

    Raises:
        InputError: there is no report, or a damaged one.
    """
    file = Path(path) if Path(path).suffix else Path(path) / "roles.json"
    try:
        report = read_document(file).data
    except InputError as error:
        raise InputError(f"no report of `strata roles`: {error}") from error
    try:
        blocks = _of(report, "blocks", _are_counts, "must be two numbers of blocks, of which one may be 0")
        rows = _of(report, "curves", lambda value: isinstance(value, list), "must be a list of curves")
        return [_read_curve(row, f"curves[{n}]", sum(blocks)) for n, row in enumerate(rows)], sum(blocks)
    except InputError as error:
        raise InputError(f"no report of `strata roles`, or a damaged one: {file}: {error}") from error


def _of(data: Any, field: str, holds: Callable[[Any], bool], must: str) -> Any:
    """A field, as `a[0].b`, of which the last part is looked up in `data`."""
    name = field.rpartition(".")[2]
    if not isinstance(data, Mapping):
        raise InputError(f"{field.rpartition('.')[0] or field}: {data!r:.60}: must be a mapping")
    if name not in data:
        raise InputError(f"{field}: is missing")
    if not holds(data[name]):
        raise InputError(f"{field}: {data[name]!r:.60}: {must}")
    return data[name]


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(type(n) is int and n >= 0 for n in value) and sum(value) > 0
    )


def _read_curve(data: Any, field: str, blocks: int) -> Curve:
    named: dict[str, tuple[str, ...]] = {"kind": KINDS, "level": STUDIED_LEVELS, "axis": AXES}
    for name, choices in named.items():
        _of(data, f"{field}.{name}", choices.__contains__, f"must be one of {', '.join(choices)}")
    _of(data, f"{field}.name", lambda value: isinstance(value, str) and value != "", "must be a name")
    last = blocks if data["axis"] == "blocks" else 2**31
    windows = _of(data, f"{field}.windows", lambda value: isinstance(value, list), "must be a list")
    for n, window in enumerate(windows):
        paired = isinstance(window, list) and len(window) == 2 and all(type(end) is int for end in window)
        if not (paired and 0 <= window[0] <= window[1] < last):
            within = f" of {blocks} blocks" if data["axis"] == "blocks" else ""
            raise InputError(f"{field}.windows[{n}]: {window!r:.60}: must be a first and a last one{within}")
    points = _of(data, f"{field}.points", lambda value: isinstance(value, list), "must be a list")
    if len(points) != len(windows):
        raise InputError(f"{field}.points: {len(points)} of them: must be as many as windows, {len(windows)}")
    estimates = [_read_estimate(point, f"{field}.points[{n}]") for n, point in enumerate(points)]
    ends = {
        name: _read_estimate(_of(data, f"{field}.{name}", lambda value: True, ""), f"{field}.{name}")
        for name in ("rank", "centre", "most", "least")
    }
    spans = tuple((first, last) for first, last in windows)
    return Curve(data["kind"], data["level"], data["axis"], data["name"], spans, tuple(estimates), **ends)


def _read_estimate(data: Any, field: str) -> Estimate:
    values = [
        _of(data, f"{field}.{name}", lambda value: value is None or type(value) in (int, float), "must be a number")
        for name in ("value", "low", "high")
    ]
    return Estimate(*(float("nan") if value is None else float(value) for value in values))
