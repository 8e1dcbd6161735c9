"""The study of style changed by level: its scenes, its measures, and a small run that goes on where it stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strata.analysis.restyle import (
    WAYS,
    RestyleSetup,
    compared,
    edge_similarity,
    hull,
    key,
    main,
    overlap,
    result,
    scenes,
)
from strata.analysis.statistics import wilson
from strata.analysis.trials import Journal, Judge
from strata.hierarchy.errors import InputError
from strata.miniature.world.language import HELD_OUT
from strata.miniature.world.truth import render


def test_scenes_are_held_out_and_change_colour_and_surface_alone() -> None:
    found = scenes(20)
    assert found == scenes(20)
    assert [len(scene.boxes) for scene in found[:4]] == [1, 2, 1, 2]
    for scene in found:
        first = scene.things[0]
        assert {thing.combination for thing in (*scene.things, scene.target)} <= HELD_OUT
        assert scene.target.shape == first.shape
        assert scene.target.colour != first.colour
        assert scene.target.surface != first.surface
        divided, anchored, undivided = (scene.changed(way) for way in WAYS)
        assert divided == anchored
        assert divided.regions[0].high == scene.plans[0].regions[0].high
        assert divided.regions[0].low == f"{scene.target.colour}, {scene.target.surface}"
        assert undivided.regions[0].full == f"a {scene.target.colour} {scene.target.surface} {scene.target.shape}"
        assert divided.regions[1:] == scene.plans[0].regions[1:]


def test_the_hull_is_of_what_is_coloured() -> None:
    pixels = np.full((32, 32, 3), 128, dtype=np.uint8)
    assert not hull(pixels).any()
    pixels[8:12, 8:12] = pixels[20:24, 20:24] = (255, 0, 0)
    pixels[0, 31] = (0, 0, 255)  # a speck
    found = hull(pixels)
    assert found[8:12, 8:12].all()
    assert found[16, 16]
    assert not found[0, 31]
    assert overlap(found, found) == 1
    assert overlap(found, ~found) == 0
    assert overlap(np.zeros((2, 2), dtype=bool), np.zeros((2, 2), dtype=bool)) is None
    assert edge_similarity(pixels, pixels) == pytest.approx(1)
    assert edge_similarity(pixels, np.full_like(pixels, 128)) < 1


def test_perfect_pictures_are_judged_perfect() -> None:
    judge = Judge()
    found = [scene for scene in scenes(24) if len(scene.boxes) == 2]
    rows = []
    for scene in found:
        before, after = render(scene.plans[0]), render(scene.changed("high + low"))
        (row,) = compared([before], [after], scene, judge)
        assert row["other_change"] == 0
        assert row["place"] is not None
        assert row["place"] > 0.85
        rows.append(row)
        (same,) = compared([before], [before], scene, judge)
        assert (same["place"], same["edges"], same["shape"], same["all"]) == (1, 1, 1, 0)
    for name in ("before", "colour", "surface", "shape", "other", "all"):
        assert np.mean([row[name] for row in rows]) > 0.8, name
    blank = Image.new("RGB", (64, 64), "grey")
    (row,) = compared([blank], [blank], replace(found[0], boxes=found[0].boxes[:1]), judge)
    assert (row["place"], row["other"], row["other_change"]) == (None, None, None)


def test_wilson() -> None:
    assert wilson(0.5, 10).text() == "50 [24, 76]"
    assert wilson(1.0, 200).text() == "100 [98, 100]"


def test_the_table_says_what_the_journal_holds(tmp_path: Path) -> None:
    journal, setup = Journal(tmp_path / "journal.jsonl", {}), RestyleSetup(starts=(0.0, 30.0))
    names = ("before", "colour", "surface", "shape", "other", "background", "all", "place", "edges", "other_change")
    for number in range(4):
        for way in WAYS:
            for start in setup.starts:
                row = dict.fromkeys(names, float(way == "high + low" or number % 2))
                journal.add(key(number, way, start), [row | ({"other": None} if number == 0 else {})])
    found = result(journal, 4, setup)
    assert found.gains["high + low", 0.0, "all"].value == 0.5
    assert found.gains["anchored", 0.0, "place"].value == 0
    full = next(row for row in found.rows if row.way == "full")
    assert full.values["all"].text() == "50 [15, 85]"
    assert full.values["other"].value == pytest.approx(2 / 3)
    assert "high + low   30%  100 [51, 100]" in found.table()
    assert found.as_data()["gains"][0] | {"value": 0.5, "of": "all"} == found.as_data()["gains"][0]


def test_starts_that_leave_nothing_are_refused() -> None:
    assert RestyleSetup(steps=20).early(30).sum() == 6
    for start in (-1, 100, 99):
        with pytest.raises(InputError, match=f"--starts {start}: must be from 0 and leave one of 20 steps"):
            RestyleSetup(steps=20).early(start)


def test_a_small_study_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--steps", "2", "--starts", "0", "50", "--images", "2", "--out", str(tmp_path)]
    main(["--scenes", "2", *quick])
    table = capsys.readouterr().out
    assert table.count("high + low ") >= 2
    journal = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert len(journal) == 1 + 2 * len(WAYS) * 2
    (tmp_path / "journal.jsonl").write_text("\n".join(journal[:-1]) + "\n" + journal[-1][:20])
    main(["--scenes", "2", *quick])
    assert capsys.readouterr().out == table
    assert (tmp_path / "journal.jsonl").read_text().splitlines() == journal
    with pytest.raises(SystemExit):
        main(["--scenes", "2", *quick, "--routing", "uniform"])
    assert "holds results with routing" in capsys.readouterr().err
