"""What judged pictures say of the ways to draw them: the field's metrics with intervals, by objects and by tag.

Intervals are of the scenes (`statistics.bootstrap`): a scene's pictures of several seeds count as their mean. Ways are
compared on the scenes that all of them have, from the same noise.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strata.analysis.distances import diversity, frechet_distance
from strata.analysis.judges.protocol import Features
from strata.analysis.statistics import Estimate, bootstrap

Row = Mapping[str, Any]
"""One judged picture: scene, regions (how many), tags, way, method, routing, seed, seconds, seam, and what its judge
found."""
ALL = "all"
NOTHING = float("nan")


@dataclass(frozen=True)
class Metric:
    """A measure of a picture.

    Attributes:
        title: of its column.
        about: what it is.
        of: its value, NaN where it is not judged.
        scale: of the values shown; 100 for shares.
        digits: shown.
        better: 1 where more is better, -1 where less is.
    """

    title: str
    about: str
    of: Callable[[Row], float]
    scale: float = 100
    digits: int = 0
    better: int = 1


def _mean(values: Sequence[float | bool | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else NOTHING


def _of_objects(name: str) -> Callable[[Row], float]:
    return lambda row: _mean([judged[name] for judged in row["objects"]])


def _known(value: float | bool | None) -> float:
    return NOTHING if value is None else float(value)


METRICS: Mapping[str, Metric] = {
    "region": Metric("region", "regions that hold everything asked for", _of_objects("success")),
    "picture": Metric(
        "picture", "pictures all of whose regions do", lambda r: float(all(o["success"] for o in r["objects"]))
    ),
    "attribute": Metric(
        "attribute",
        "attributes asked for that are there",
        lambda r: _mean([right for o in r["objects"] for right in o["right"].values()]),
    ),
    "count": Metric("count", "pictures with as many objects as regions", lambda r: _known(r["count"])),
    "position": Metric("position", "objects whose middle lies in their region", _of_objects("placed")),
    "miou": Metric("mIoU", "mean IoU of the boxes of object and region", _of_objects("iou")),
    "leakage": Metric("leak", "regions with an attribute that is another one's", _of_objects("leak"), better=-1),
    "background": Metric(
        "backgr.",
        "pictures whose background is right",
        lambda r: _known(None if r["background"] is None else all(r["background"].values())),
    ),
    "seam": Metric("seam", "contrast across borders over that beside them", lambda r: _known(r["seam"]), 1, 2, -1),
    "seconds": Metric("seconds", "to draw a picture", lambda r: _known(r["seconds"]), 1, 1, -1),
}
"""Of single pictures."""
DIVERSITY, FRECHET = "diversity", "frechet"
OF_SETS: Mapping[str, Metric] = {
    DIVERSITY: Metric("divers.", "mean cosine distance of a scene's pictures", lambda r: NOTHING, 100, 1),
    FRECHET: Metric("Fréchet", "distance to the exact pictures, in the judge's features", lambda r: NOTHING, 1, 2, -1),
}
"""Of several pictures, in the judge's features."""
SHOWN = {**METRICS, **OF_SETS}
Cell = dict[str, Estimate]
Cells = dict[str, dict[str, Cell]]
"""By group of scenes, and by way or pair of ways ("one - other")."""


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes:
        ways: in the order in which they were asked for.
        scenes: how many each group has, by number of objects ("2", …), tag, and "all".
        pictures: likewise, of each way.
        objects: by number of objects, and "all".
        tags: by tag.
        differences: by number of objects, of every pair of ways on the same scenes: "one - other".
        judge: its name.
        error: how often it is wrong itself.
    """

    ways: tuple[str, ...]
    scenes: Mapping[str, int]
    pictures: Mapping[str, int]
    objects: Cells
    tags: Cells
    differences: Cells
    judge: str
    error: str

    def as_data(self) -> dict[str, Any]:
        """For JSON."""

        def plain(cells: Cells) -> dict[str, Any]:
            return {
                group: {way: {name: e.as_data() for name, e in cell.items()} for way, cell in rows.items()}
                for group, rows in cells.items()
            }

        return {
            "judge": self.judge,
            "judge is": self.error,
            "metrics": {name: metric.about for name, metric in SHOWN.items()},
            "ways": list(self.ways),
            "scenes": dict(self.scenes),
            "pictures": dict(self.pictures),
            "objects": plain(self.objects),
            "tags": plain(self.tags),
            "differences": plain(self.differences),
        }


def attributes(rows: Sequence[Row]) -> dict[str, Metric]:
    """Accuracy by attribute, of those that rows have."""
    names = dict.fromkeys(name for row in rows for judged in row["objects"] for name in judged["right"])

    def of(name: str) -> Callable[[Row], float]:
        return lambda row: _mean([judged["right"].get(name) for judged in row["objects"]])

    return {f"attribute: {name}": Metric(name, f"accuracy of {name}", of(name)) for name in names}


def results(
    rows: Sequence[Row], ways: Sequence[str], judge: str, error: str, wanted: Mapping[str, Features] | None = None
) -> Results:
    """Metrics of judged pictures.

    Args:
        rows: all of one judge.
        ways: that are compared.
        judge: its name.
        error: what it says of itself.
        wanted: features of the picture that each scene asks for.
    """
    metrics = {**METRICS, **attributes(rows)}
    of: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        of.setdefault(row["scene"], {}).setdefault(row["way"], []).append(row)
    whole = {scene: by for scene, by in of.items() if all(way in by for way in ways)}
    groups: dict[str, list[str]] = {}
    tagged: dict[str, list[str]] = {}
    for scene, by in whole.items():
        first = by[ways[0]][0]
        groups.setdefault(str(first["regions"]), []).append(scene)
        for tag in first["tags"]:
            tagged.setdefault(tag, []).append(scene)
    groups = dict(sorted(groups.items(), key=lambda item: int(item[0])))
    if len(groups) > 1:
        groups[ALL] = list(whole)
    tables = {(scene, way): _scene_values(by[way], metrics) for scene, by in whole.items() for way in ways}
    found, by_tag, differences = Cells(), Cells(), Cells()
    for into, parts in ((found, groups), (by_tag, tagged)):
        for group, scenes in parts.items():
            values = {way: np.array([tables[scene, way] for scene in scenes]) for way in ways}
            into[group] = {way: _estimates(values[way], metrics) for way in ways}
            for way in ways:
                drawn = [row for scene in scenes for row in whole[scene][way]]
                into[group][way][FRECHET] = _frechet(drawn, wanted or {})
            if into is found:
                differences[group] = {
                    f"{one} - {other}": _estimates(values[one] - values[other], metrics)
                    for one, other in combinations(ways, 2)
                }
    sizes = {group: len(scenes) for group, scenes in (groups | tagged).items()}
    pictures = {
        group: sum(len(whole[scene][ways[0]]) for scene in scenes) for group, scenes in (groups | tagged).items()
    }
    return Results(tuple(ways), sizes, pictures, found, by_tag, differences, judge, error)


def _scene_values(rows: Sequence[Row], metrics: Mapping[str, Metric]) -> list[float]:
    """Means over a scene's pictures of every metric, and their diversity."""
    found = []
    for metric in metrics.values():
        values = [value for row in rows if not np.isnan(value := metric.of(row))]
        found.append(sum(values) / len(values) if values else NOTHING)
    known = [row["features"] for row in rows if row.get("features")]
    return [*found, diversity([unpacked(text) for text in known]) if known else NOTHING]


def _estimates(values: NDArray[np.float64], metrics: Mapping[str, Metric]) -> Cell:
    """Of `[scenes, metrics]`; what one scene alone has is told without an interval."""
    told = [
        estimate if several else replace(estimate, low=NOTHING, high=NOTHING)
        for estimate, several in zip(bootstrap(values), (~np.isnan(values)).sum(0) > 1, strict=True)
    ]
    return dict(zip([*metrics, DIVERSITY], told, strict=True))


def _frechet(rows: Sequence[Row], wanted: Mapping[str, Features]) -> Estimate:
    """Without an interval."""
    drawn = [unpacked(row["features"]) for row in rows if row.get("features")]
    there = [wanted[scene] for scene in dict.fromkeys(row["scene"] for row in rows) if scene in wanted]
    if len(drawn) < 2 or len(there) < 2:
        return Estimate(NOTHING, NOTHING, NOTHING)
    return Estimate(frechet_distance(drawn, there), NOTHING, NOTHING)


def packed(features: Features) -> str:
    """Features as text, in half precision."""
    return base64.b64encode(np.asarray(features, dtype="<f2").tobytes()).decode("ascii")


def unpacked(text: str) -> Features:
    """What was packed."""
    return np.frombuffer(base64.b64decode(text), dtype="<f2").astype(np.float32)
