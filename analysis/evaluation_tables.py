"""The tables of an evaluation, for the terminal and as Markdown: ways by number of objects, differences, tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from strata.analysis.evaluation import SHOWN, Cells, Metric, Results
from strata.analysis.statistics import Estimate
from strata.hierarchy.errors import count

WITH_INTERVALS = ("region", "picture")
"""Metrics whose intervals the terminal's table shows; Markdown shows all."""
COMPARED = ("region", "picture", "attribute", "leakage", "background")
"""Metrics of the table of differences."""
CUT_BY_TAG = "region"


def cell(estimate: Estimate, metric: Metric, interval: bool) -> str:
    """ "96 [93, 98]", "96"; a dash where nothing was measured."""
    if interval:
        return estimate.text(metric.scale, metric.digits)
    return "–" if np.isnan(estimate.value) else f"{metric.scale * estimate.value:z.{metric.digits}f}"


def measured(cells: Cells) -> list[str]:
    """The metrics that some cell has."""
    return [
        name
        for name in SHOWN
        if any(name in c and not np.isnan(c[name].value) for rows in cells.values() for c in rows.values())
    ]


def table(found: Results) -> str:
    """For the terminal."""
    parts = [_columns(list(_main(found, False)))]
    if found.differences and len(found.ways) > 1:
        parts.append(f"{found.ways[0]} minus the others, on the same scenes from the same noise:")
        parts.append(_columns(list(_differences(found))))
    parts.append("\n".join(_legend(found)))
    return "\n\n".join(parts)


def markdown(found: Results) -> str:
    """As Markdown, with all intervals, and regions right by tag."""
    parts = ["# Following", _rows(list(_main(found, True)))]
    if len(found.ways) > 1:
        parts += ["## Differences", f"{found.ways[0]} minus the others, on the same scenes from the same noise."]
        parts.append(_rows(list(_differences(found))))
    if found.tags:
        parts += ["## By tag", "Regions that hold everything asked for, percent.", _rows(list(_tags(found)))]
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in _legend(found))]) + "\n"


def _main(found: Results, intervals: bool) -> Iterator[list[str]]:
    names = measured(found.objects)
    yield ["objects", "drawn by", *(SHOWN[name].title for name in names)]
    for group, rows in found.objects.items():
        for way, values in rows.items():
            shown = [cell(values[n], SHOWN[n], intervals or n in WITH_INTERVALS) for n in names]
            yield [group, way, *shown]


def _differences(found: Results) -> Iterator[list[str]]:
    names = [name for name in measured(found.differences) if name in COMPARED]
    yield ["objects", "minus", *(SHOWN[name].title for name in names)]
    for group, rows in found.differences.items():
        for other in found.ways[1:]:
            values = rows[f"{found.ways[0]} - {other}"]
            yield [group, other, *(cell(values[name], SHOWN[name], True) for name in names)]


def _tags(found: Results) -> Iterator[list[str]]:
    yield ["tag", "scenes", *found.ways]
    for tag, rows in found.tags.items():
        shown = [cell(rows[way][CUT_BY_TAG], SHOWN[CUT_BY_TAG], True) for way in found.ways]
        yield [tag, str(found.scenes[tag]), *shown]


def _legend(found: Results) -> Iterator[str]:
    counted = ", ".join(
        f"{group}: {count(found.scenes[group], 'scene')}, {count(found.pictures[group], 'picture')}"
        for group in found.objects
    )
    yield f"scenes and pictures of each way, by objects: {counted}"
    for name in measured(found.objects):
        metric = SHOWN[name]
        unit = "percent of " if metric.scale == 100 and name not in ("miou", "diversity") else ""
        yield f"{metric.title}: {unit}{metric.about}"
    yield f"in brackets: 95 % bootstrap intervals over scenes; judged by {found.judge}, {found.error}"


def _columns(lines: Sequence[Sequence[str]]) -> str:
    wide = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(line, wide, strict=True)).rstrip() for line in lines)


def _rows(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = (f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in lines)
    return "\n".join([head, f"|{'---|' * len(lines[0])}", *rest])
