"""The benchmark of drawing until it obeys: what is made of its journal."""

from pathlib import Path

import pytest

from benchmarks import obeyed
from strata.analysis.trials import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Two tries: repainting mends every picture, other seeds mend none; the judge is wrong on one first try."""
    kept = Journal(tmp_path / "journal.jsonl", {})
    for n, scene in enumerate(obeyed.scenes(2)):
        first = [1.0, 1.0, 0.0, 0.5, float(n == 0)]
        for way in obeyed.WAYS:
            mended = [4.0, 3.0, 1.0, 1.0, 1.0] if way == "repaint" else [2.0, 2.0, 0.0, 0.5, 0.0]
            kept.add(obeyed.key(scene, way), [first, mended])
    return kept


def test_scenes_are_the_first_of_each_number_and_their_seeds_stay() -> None:
    todo = obeyed.scenes(2)
    assert [len(scene.plan.regions) for scene in todo] == [4, 4, 6, 6, 8, 8]
    assert todo == obeyed.scenes(3)[:2] + obeyed.scenes(3)[3:5] + obeyed.scenes(3)[6:8]
    assert len({scene.seed for scene in todo}) == 6


def test_means_differences_and_agreement(journal: Journal) -> None:
    found, more, agree = obeyed.result(journal, obeyed.scenes(2))
    assert set(found) == {"4", "6", "8", "all"}
    assert [row["right"].value for row in found["all"]["repaint"]] == [0, 1]
    assert [row["seconds"].value for row in found["8"]["again"]] == [1, 2]
    assert more["all"]["repaint - again, right"].value == 1
    assert more["all"]["isolate - again, right"].value == 0
    assert more["4"]["repaint - again, pictures"].value == 1
    assert agree.value == pytest.approx(5 / 6), "of six first tries the judge takes one for right that is not"
    told = obeyed.table(found, more)
    assert "all      repaint - again, right: 100 [100, 100]" in told
    assert len(obeyed.draw(found, "a title").axes) == 4
