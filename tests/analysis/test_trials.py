"""Scenes of studies and the journal that a stopped study goes on from."""

import json
from pathlib import Path

import pytest

from strata.analysis.trials import Journal, trials
from strata.hierarchy.errors import InputError
from strata.miniature.world.truth import region_thing


@pytest.mark.parametrize("regions", [1, 2, 3, 4, 6, 8])
def test_trials_say_what_their_plans_say(regions: int) -> None:
    found = trials(5, regions, seed="x", scale=2)
    assert found == trials(5, regions, seed="x", scale=2) != trials(5, regions, seed="y", scale=2)
    for trial in found:
        assert len(trial.plan.regions) == len(trial.things) == len(trial.boxes) == regions
        assert [region.box for region in trial.plan.regions] == list(trial.boxes)
        assert [region_thing(region) for region in trial.plan.regions] == list(trial.things)
        first = trial.things[0]
        for name in ("kind", "colour", "surface", "style"):
            assert None not in (getattr(first, name), getattr(trial.other, name))
            assert getattr(first, name) != getattr(trial.other, name)
        assert not any(word in trial.plan.prompt for word in (str(first.kind), str(first.colour), str(first.style)))
        assert trial.plan.height == 256


def test_numbers_of_regions_without_a_layout() -> None:
    with pytest.raises(InputError, match="5: there are scenes of 1, 2, 3, 4, 6 or 8"):
        trials(1, 5)


def test_a_journal_goes_on_after_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    journal = Journal(path, {"steps": 2, "windows": (1, None)})
    journal.add("a", {"x": 1.5})
    journal.add("b", [1, 2])
    with path.open("a") as file:
        file.write('{"key": "c", "va')
    again = Journal(path, {"steps": 2, "windows": (1, None)})
    assert again.rows == {"a": {"x": 1.5}, "b": [1, 2]}
    again.add("c", 3)
    assert [json.loads(line).get("key") for line in path.read_text().splitlines()] == [None, "a", "b", "c"]


def test_a_journal_of_other_settings_or_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, {"steps": 2}).add("a", 1)
    with pytest.raises(InputError, match="holds results with steps 2, not 3"):
        Journal(path, {"steps": 3})
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{broken", lines[1]]))
    with pytest.raises(InputError, match=r"line 2: is damaged: .*; remove the line"):
        Journal(path, {"steps": 2})
    for other in ("something else\n", '{"settings": [2]}\n'):
        path.write_text(other)
        with pytest.raises(InputError, match="is no journal of a study"):
            Journal(path, {"steps": 2})
        assert path.read_text() == other
    for damaged, said in (
        (b"\xff\xfe", "is no journal"),
        (f"{lines[0]}\n".encode() + b"\xff\n{}\n", "line 2: is damaged"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=said):
            Journal(path, {"steps": 2})
        assert path.read_bytes() == damaged
