"""What a study of roles says it found: sentence, table and figure tell the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strata.analysis.role_findings import finding, roles_table, telling
from strata.analysis.role_plots import draw_roles
from strata.analysis.roles import Curve, RolesSetup, run_keys
from strata.analysis.roles import curves as study_curves
from strata.analysis.statistics import Estimate
from strata.analysis.trials import Journal

WINDOWS = tuple((n, n + 1) for n in range(4))
"""Of five blocks: double 0-1 and single 0-2."""


def made(level: Any, name: str, values: list[float], ends: tuple[float, float], kind: Any = "swap") -> Curve:
    """A curve over blocks whose intervals reach 0.05 to each side."""

    def estimate(value: float) -> Estimate:
        return Estimate(value, value - 0.05, value + 0.05)

    least, most = ends
    places = estimate(float(np.argmax(np.abs(np.array(values) - least))) + 0.5)
    points = tuple(map(estimate, values))
    return Curve(kind, level, "blocks", name, WINDOWS, points, places, places, estimate(most), estimate(least))


HIGH = made("high", "kind as swapped", [0, 0, 0.2, 0.8], (0, 1))
LOW = made("low", "colour as swapped", [0.1, 0.9, 0.8, 0.1], (0, 1))


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        (
            [HIGH, LOW],
            "Content (kind) is decided in single 1-2; detail (colour) is decided in double 1 and single 0-1;"
            " they overlap in single 1.",
        ),
        (
            [HIGH, made("low", "style as swapped", [0.9, 0, 0, 0], (0, 1))],
            "Content (kind) is decided in single 1-2; detail (style) is decided in double 0-1; they share no block.",
        ),
        (
            [HIGH, made("low", "style as swapped", [0.1, 0.3, 0.2, 0], (0, 1))],
            "Content (kind) is decided in single 1-2; no window of blocks decides detail by itself; the most, 30 % of"
            " the effect everywhere, has double 1 and single 0.",
        ),
        (
            [HIGH, made("low", "style as swapped", [0.1, 0.1, 0.1, 0], (0, 0.05))],
            "Content (kind) is decided in single 1-2; nothing can be said of detail: another text everywhere makes no"
            " difference beyond chance.",
        ),
        (
            [
                made("high", "kind as told", [0.9, 0.9, 0.9, 0.9], (0.1, 0.9), "alone"),
                made("low", "style as told", [0.2, 0.2, 0.9, 0.2], (0.2, 0.9), "alone"),
            ],
            "Content (kind) can be drawn from every block alone; detail (style) can be drawn from single 0-1 alone;"
            " they overlap in single 0-1.",
        ),
    ],
)
def test_the_sentence(curves: list[Curve], said: str) -> None:
    assert finding(curves, 2, 5) == said
    assert finding(curves, 2, 4) == "Nothing can be said: 4 scenes are too few for intervals; it takes at least 5."


def test_a_text_without_any_effect_decides_nothing() -> None:
    curves = [made("high", "kind as swapped", [0] * 4, (0, 0)), made("low", "style as swapped", [0] * 4, (0, 0))]
    assert finding(curves, 2, 9) == "Nothing can be said: another text everywhere makes no difference beyond chance."
    changes = [
        made(c.level, n, [0.1] * 4, (0, 0)) for c, n in zip(curves, ("structure change", "colour change"), strict=True)
    ]
    assert finding(changes, 2, 9).startswith("Nothing can be said: ")
    assert "–" in roles_table(changes, 2)


CHANGES = [
    made("high", "structure change", [0, 0, 0.1, 0.4], (0, 0.4)),
    made("low", "colour change", [0, 8, 2, 0], (0, 10)),
    made("low", "structure change", [0.3, 0.3, 0.3, 0.3], (0, 0.3)),
    made("high", "structure change", [0.4, 0.4, 0.3, 0.1], (0.4, 0), "alone"),
    made("low", "colour change", [10, 2, 8, 10], (10, 0), "alone"),
]


def test_changes_are_shares_of_the_effect_everywhere() -> None:
    told = telling(CHANGES)
    assert [(c.kind, c.level) for c in told] == [("swap", "high"), ("swap", "low"), ("alone", "high"), ("alone", "low")]
    for curve, shares in zip(
        told, ([0, 0, 0.25, 1], [0, 0.8, 0.2, 0], [0, 0, 0.25, 0.75], [0, 0.8, 0.2, 0]), strict=True
    ):
        np.testing.assert_allclose([point.value for point in curve.points], shares, atol=1e-9)
        assert all(point.low <= point.value <= point.high for point in curve.points)
        assert (curve.least.value, curve.most.value) == (0, 1)
    assert finding(CHANGES, 2, 9) == (
        "Content (structure) is decided in single 1-2; detail (colour) is decided in double 1 and single 0; they share"
        " no block (told by changes of pictures nobody judged)."
    )


@pytest.mark.parametrize("curves", [[HIGH, LOW], CHANGES])
def test_the_table_has_the_curves_and_numbers_of_the_figure(curves: list[Curve]) -> None:
    figure = draw_roles(curves, 2, "title")
    peaks = []
    for panel in figure.axes:
        for line in panel.lines:
            if len(line.get_xdata()) == len(WINDOWS):
                values = np.asarray(line.get_ydata())
                at = int(values.argmax())
                first = ["double 0-1", "double 1 and single 0", "single 0-1", "single 1-2"][at]
                peaks.append(f"{str(line.get_label()).split()[0]} {first}: {100 * values[at]:.0f}")
    rows = [line.split() for line in roles_table(curves, 2).splitlines() if line.startswith("  ")]
    assert [f"{row[0]} {' '.join(row[3:])}".split(" [")[0] for row in rows] == peaks
    assert figure.axes[0].get_ylim()[1] < 1.1


def test_alone_a_change_that_falls_is_the_effect(tmp_path: Path) -> None:
    setup = RolesSetup(kinds=("alone",), axes=("blocks",), widths=(1, None))
    journal = Journal(tmp_path / "journal.jsonl", {})
    changes = {"unchanged": 0.0, "nowhere": 0.4, "0-0": 0.1, "1-1": 0.4, "2-2": 0.4}
    for scene in range(2):
        for key in run_keys(setup, 3, scene):
            value = changes[key.split()[-1]]
            journal.add(key, dict.fromkeys(("structure change", "colour change", "texture change"), value))
    found = telling(study_curves(journal, setup, 3, 2))
    assert [curve.centre.value for curve in found] == [0, 0, 0], "where pictures change least"
    assert [round(point.value, 6) for point in found[0].points] == [0.75, 0, 0]
    assert found[0].least.value == 0 < found[0].most.value == 1
