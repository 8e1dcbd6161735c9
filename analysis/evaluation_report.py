"""The files of an evaluation: every object a line, numbers, tables, figures, and the worst and the best pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from strata.analysis.charts import check_matplotlib, save_figure
from strata.analysis.evaluation import Results, Row
from strata.analysis.evaluation_plots import draw_costs, draw_objects, draw_tags
from strata.analysis.evaluation_tables import markdown
from strata.analysis.judges.protocol import areas_of
from strata.hierarchy.errors import InputError
from strata.hierarchy.files import dump_json, write_atomic
from strata.hierarchy.plan import ScenePlan
from strata.miniature.grid import Card, Finding, draw_grid

OBJECTS, NUMBERS, TABLE = "objects.jsonl", "results.json", "table.md"
FIGURES = ("by-objects.png", "by-tag.png", "costs.png")
SHEETS = ("worst.png", "best.png")
SHOWN = 6
"""Pictures of each way on a sheet."""
MOST_FINDINGS = 8
"""Of one picture on a sheet; what is wrong comes first."""


def write_report(
    folder: Path, pictures: Path, found: Results, rows: Sequence[Row], plans: Mapping[str, ScenePlan]
) -> list[Path]:
    """Writes everything, each file whole or not at all; returns the paths.

    Args:
        folder: of the judge's files.
        pictures: the folder that the rows' pictures are in.
        found: the results.
        rows: what they are of.
        plans: by the scenes' names.
    """
    write_atomic(folder / OBJECTS, "".join(f"{json.dumps(o, ensure_ascii=False)}\n" for o in objects_of(rows)))
    write_atomic(folder / NUMBERS, dump_json(found.as_data(), indent=1))
    write_atomic(folder / TABLE, markdown(found))
    paths = [folder / name for name in (OBJECTS, NUMBERS, TABLE)]
    for name, sheet in zip(SHEETS, sheets(pictures, found, rows, plans), strict=True):
        write_atomic(folder / name, _png(sheet))
        paths.append(folder / name)
    try:
        check_matplotlib()
    except InputError:  # which no number needs
        return paths
    drawn = [draw_objects(found), draw_tags(found) if found.tags else None, draw_costs(found)]
    return [*paths, *(save_figure(f, folder / name) for name, f in zip(FIGURES, drawn, strict=True) if f is not None)]


def objects_of(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """A flat row for every object that was judged, with what its picture was drawn with."""
    for row in rows:
        own = {name: row[name] for name in ("scene", "tags", "way", "method", "routing", "seed", "file")}
        for judged in row["objects"]:
            yield {**own, "objects": row["regions"], **judged}


def ranked(rows: Sequence[Row]) -> list[Row]:
    """The worst first: by the share of regions right, then by attributes, then by how sure the judge is."""

    def goodness(row: Row) -> tuple[float, float, float, str]:
        objects = row["objects"]
        right = [ok for judged in objects for ok in judged["right"].values()]
        sure = [odds for judged in objects for odds in judged["sure"].values()]
        whole = sum(judged["success"] for judged in objects) / len(objects)
        return whole, sum(right) / max(1, len(right)), sum(sure) / max(1, len(sure)), f"{row['scene']} {row['seed']}"

    return sorted(rows, key=goodness)


def sheets(
    pictures: Path, found: Results, rows: Sequence[Row], plans: Mapping[str, ScenePlan]
) -> tuple[Image.Image, Image.Image]:
    """The worst and the best pictures of each way, a row each, of different scenes."""
    worst: list[tuple[str, list[Card]]] = []
    best: list[tuple[str, list[Card]]] = []
    for way in found.ways:
        order = ranked([row for row in rows if row["way"] == way])
        for what, into, there in (("worst", worst, order), ("best", best, order[::-1])):
            first = {row["scene"]: row for row in reversed(there)}
            shown = [row for row in there if first[row["scene"]] is row][:SHOWN]
            into.append((f"{way}: the {what}", [_card(pictures, row, plans[row["scene"]]) for row in shown]))
    return draw_grid(worst), draw_grid(best)


def _card(pictures: Path, row: Row, plan: ScenePlan) -> Card:
    with Image.open(pictures / row["file"]) as opened:
        image = opened.convert("RGB")
    findings = [
        Finding(value, judged["right"][name], judged["found"].get(name) or "there")
        for judged in row["objects"]
        for name, value in judged["asked"].items()
    ]
    findings.sort(key=lambda finding: finding.right)
    told = f"{row['scene']}, seed {row['seed']}: {plan.prompt}"
    return Card(image, told, tuple(findings[:MOST_FINDINGS]), tuple(areas_of(plan)))


def _png(sheet: Image.Image) -> bytes:
    data = io.BytesIO()
    sheet.save(data, "PNG")
    return data.getvalue()
