"""What a study of roles measured, as the page shows it under the routing."""

from typing import Any

import numpy as np

from strata.analysis.role_findings import telling
from strata.analysis.roles import read_curves
from strata.hierarchy.errors import InputError, SettingError
from strata.layers.views import MEANING


def measured(folder: str, blocks: int) -> list[dict[str, Any]]:
    """The curves by block of a report of `strata roles`: of every block the mean of the windows that hold it.

    Raises:
        SettingError: there is no report, or it is of a model with another number of blocks.
    """
    try:
        curves, number = read_curves(folder)
    except InputError as error:
        raise SettingError(f"<roles> {folder}: {error}") from error
    if number != blocks:
        raise SettingError(f"<roles> {folder}: measured on a model of {number} blocks, not of {blocks}")
    rows = []
    for curve in telling(curves):
        if curve.axis != "blocks":
            continue
        sums, counts = np.zeros(blocks), np.zeros(blocks)
        for (first, last), point in zip(curve.windows, curve.points, strict=True):
            sums[first : last + 1] += point.value
            counts[first : last + 1] += 1
        means = np.divide(sums, counts, out=np.zeros(blocks), where=counts > 0)
        about = "another text in these blocks" if curve.kind == "swap" else "the text in these blocks alone"
        values = [None if not np.isfinite(value) else round(float(value), 3) for value in means]
        rows.append(
            {"level": curve.level, "name": f"{MEANING[curve.level]}: {curve.name}", "about": about, "values": values}
        )
    return rows
