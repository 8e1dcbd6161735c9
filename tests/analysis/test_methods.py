"""Methods side by side on the same scenes: what is drawn of each, going on after a stop, and the table."""

from pathlib import Path

import numpy as np
import pytest

from strata.analysis.crowds import scenes
from strata.analysis.methods import COST, KINDS, key, main, pipelines, result, study, table
from strata.analysis.trials import Journal, Judge
from strata.injection.facts import ModelFacts
from strata.injection.methods import method_named
from strata.layers.routing import Routing
from strata.miniature.world.native import FORM
from tests.injection.conftest import make_text_to_image

FACTS = ModelFacts("flux", (), 16, 96, form=FORM)


@pytest.mark.parametrize("regions", [2, 4, 6, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_what_each_method_is_told_of_a_scene(kind: str, regions: int) -> None:
    """The caption of the plan is the one that the scene itself has, and the plain prompt names every object."""
    for scene in scenes(kind, regions, 3, base="names"):
        native, _ = method_named("native").drawn(scene.divided, FACTS)
        both, _ = method_named("native+regional").drawn(scene.divided, FACTS)
        plain, _ = method_named("plain").drawn(scene.divided, FACTS)
        assert native.prompt == both.prompt == scene.prompt
        assert both.regions == scene.divided.regions
        assert not native.regions
        assert not plain.regions
        assert plain.prompt.count(str(scene.things[0].kind)) >= regions // 2
        assert all(f"{thing.colour} {thing.surface} {thing.kind}" in plain.prompt for thing in scene.things)
        assert " ;" not in plain.prompt


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    names = ["plain", "native"]
    drawn_by = pipelines(make_text_to_image()[0], Routing.load("uniform"), names)
    todo, path = {("alike", 2): scenes("alike", 2, 1, base="names")}, tmp_path / "journal.jsonl"
    first = next(study(drawn_by, todo, 1, Journal(path, {}), Judge()))
    journal = Journal(path, {})
    rest = list(study(drawn_by, todo, 1, journal, Judge()))
    assert [first, *rest] == [key("alike", 2, 0, name) for name in names]
    assert all(row[-1] > 0 for row in journal.rows.values())


def test_the_routing_goes_to_the_methods_that_use_it() -> None:
    uniform = Routing.load("uniform")
    found = pipelines(make_text_to_image()[0], uniform, ["plain", "regional", "native+regional"])
    assert [one.routing == uniform for one in found.values()] == [False, True, True]


def test_the_table(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", {})
    seconds = {"plain": 2.0, "native": 3.0}
    for regions in (2, 6):
        for kind in KINDS:
            for number in range(2):
                for n, name in enumerate(seconds):
                    faster = number + 1  # a machine that is busier now and then
                    journal.add(
                        key(kind, regions, number, name), [0.5 + 0.1 * n, 1.0, 0.5, 0.0, seconds[name] * faster]
                    )
    found = result(journal, list(seconds), [2, 6], 2)
    row = found["2"]["native"]
    assert (row["right"].value, row[COST].value, row[COST].low) == pytest.approx((0.6, 1.5, 1.5))
    assert found["6"]["plain"][COST].value == 1
    assert found["6"]["native - plain"]["right"].value == pytest.approx(0.1)
    assert COST not in found["6"]["native - plain"]
    lines = table(found).splitlines()
    assert len(lines) == 1 + 2 * 3
    assert " ".join(lines[2].split()) == "2 native 60 [60, 60] 100 [100, 100] 50 [50, 50] 0 [0, 0] 1.50 [1.50, 1.50]"
    assert np.isfinite([e.value for cell in found.values() for row in cell.values() for e in row.values()]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "plain,natve"], "error: method 'natve': did you mean 'native'? must be one of densediffusion, "),
        (["--methods", "plain,plain"], "error: --methods plain,plain: names one twice"),
        (["--regions", "2,5"], "error: --regions 2,5: must be some of 2, 4, 6, 8, separated by commas"),
        (["--regions", ""], "error: --regions : must be some of 2, 4, 6, 8"),
    ],
)
def test_bad_input_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
