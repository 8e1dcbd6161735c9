"""Fields by their paths: which places of a document they mean, and the same file with other values there."""

import numpy as np
import pytest
from PIL import Image

from strata.hierarchy.compare import Section, table_cell, table_columns, table_pages
from strata.hierarchy.errors import InputError
from strata.hierarchy.paths import field_paths, places
from strata.hierarchy.plan import ScenePlan
from strata.layers.routing import Routing

PLAN = """\
width: 64
height: 64
prompt: two
regions:
  - {name: moon, box: [0, 0, 32, 64], high: a moon, low: "yellow, solid"}
  - {name: a.b, box: [32, 0, 64, 64], high: a boat}
"""
ROUTING = """\
name: mine
rules:
  - {level: high, steps: 0%-20%}
  - {level: low, depth: 0%-50%}
  - {level: high, steps: 20%-100%}
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("prompt", [("prompt",)]),
        ("regions.moon.high", [("regions", 0, "high")]),
        ("regions.a.b.high", [("regions", 1, "high")]),
        ("regions.1.low", [("regions", 1, "low")]),
        ("regions.high", [("regions", 0, "high"), ("regions", 1, "high")]),
        ("background.low", [("background", "low")]),
    ],
)
def test_a_path_leads_to_places(path: str, found: list[tuple[str | int, ...]]) -> None:
    plan = ScenePlan.from_yaml(PLAN)
    assert places(plan.model_dump(mode="json"), ScenePlan, path.split(".")) == found


def test_rules_are_named_by_their_level() -> None:
    routing = Routing.from_yaml(ROUTING)
    at = places(routing.model_dump(mode="json"), Routing, ["rules", "high", "steps"])
    assert at == [("rules", 0, "steps"), ("rules", 2, "steps")]
    changed = routing.with_values(dict.fromkeys(at, "0%-50%"))
    assert [str(rule.steps) for rule in changed.rules] == ["0%-50%", "None", "0%-50%"]
    assert str(changed.rules[1].depth) == "0%-50%"
    assert routing == Routing.from_yaml(ROUTING), "what was given stays"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("regions.mon.high", "'mon': did you mean 'moon'? must be one of moon, a.b, name"),
        ("regions.moon.hihg", "'hihg': did you mean 'high'? must be one of"),
        ("regions.7.high", "'7': must be one of moon"),
        ("prompt.high", "'prompt' has no fields"),
        ("promt", "did you mean 'prompt'?"),
    ],
)
def test_a_path_that_leads_nowhere(path: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        places(ScenePlan.from_yaml(PLAN).model_dump(mode="json"), ScenePlan, path.split("."))
    assert message in str(caught.value)
    with pytest.raises(InputError, match="there are none"):
        places({"regions": []}, ScenePlan, ["regions", "high"])


def test_values_are_put_where_nothing_is_and_taken_away() -> None:
    plan = ScenePlan.from_yaml(PLAN)
    changed = plan.with_values({("background", "low"): "blue", ("regions", 0, "low"): None})
    assert changed.background is not None
    assert changed.background.low == "blue"
    assert changed.regions[0].low is None
    with pytest.raises(InputError, match=r"^regions\[0\].box: \[5, 5, 2, 9\]: x2 must be greater than x1"):
        plan.with_values({("regions", 0, "box"): [5, 5, 2, 9]})


def test_all_fields_have_paths() -> None:
    assert {("blend", "base_ratio"), ("rules", "steps"), ("name",)} <= field_paths(Routing).keys()
    assert {("regions", "high"), ("background", "low")} <= field_paths(ScenePlan).keys()


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (6, 1, 6), (8, 1, 4), (100, 1, 10), (100, 2, 24)])
def test_columns_of_a_table(count: int, rows: int, columns: int) -> None:
    assert table_columns(count, rows) == columns


def test_a_long_table_goes_on_on_further_pages() -> None:
    cell = table_cell(Image.new("RGB", (600, 900), (255, 0, 0)), 2)
    assert max(cell.size) == 512
    rows = [(f"seed {n}", [cell, cell]) for n in range(10)]
    pages = table_pages("shared", [Section("one", ["a", "b"], rows[:3]), Section("two", ["a", "b"], rows)])
    assert len(pages) == 3, "a table that fits on a page is not divided"
    reds = [int(np.equal(np.asarray(page), (255, 0, 0)).all(axis=2).sum()) for page in pages]
    assert sum(reds) == 26 * cell.width * cell.height, "every picture is whole, and on one page"
    assert all(page.height <= 4096 for page in pages)
    assert len({page.width for page in pages}) == 1
