"""Metrics of judged pictures, distances and seams against plain definitions; what the tables say of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.linalg import sqrtm

from strata.analysis.charts import save_figure
from strata.analysis.distances import diversity, frechet_distance
from strata.analysis.evaluation import Row, packed, results, unpacked
from strata.analysis.evaluation_plots import draw_costs, draw_objects, draw_tags
from strata.analysis.evaluation_report import objects_of, ranked, sheets, write_report
from strata.analysis.evaluation_tables import markdown, table
from strata.analysis.seams import seam_strength
from strata.hierarchy.plan import ScenePlan

PLAN = ScenePlan.model_validate(
    {
        "width": 64,
        "height": 32,
        "prompt": "two things",
        "regions": [
            {"name": "left", "box": [0, 0, 32, 32], "high": "a boat"},
            {"name": "right", "box": [40, 8, 56, 24], "high": "a star"},
        ],
    }
)


def judged(right: bool, **more: Any) -> dict[str, Any]:
    told = {"kind": True, "colour": right}
    found = {"region": "r", "asked": {"kind": "boat", "colour": "red"}, "right": told, "success": right}
    return found | {"found": {"colour": "red"}, "sure": {"kind": 0.9}, "leak": False, "box": None} | more


def row(scene: str, way: str, seed: int, objects: list[dict[str, Any]], **more: Any) -> Row:
    own = {"scene": scene, "way": way, "seed": seed, "method": way, "routing": None, "file": f"{scene}_{way}.png"}
    found = {"objects": [{"iou": 0.5, "placed": True} | one for one in objects], "regions": len(objects), "tags": ["t"]}
    found |= {"count": True, "background": None, "seam": 1.0, "seconds": 2.0, "features": None}
    return own | found | more


def test_metrics_are_means_of_scenes_and_intervals_are_over_them() -> None:
    rows = [
        row("a", "one", 1, [judged(True), judged(False, leak=True, iou=0.0, placed=None)], seconds=1.0),
        row("a", "one", 2, [judged(True), judged(True)], count=None, background={"tone": True, "setting": False}),
        row("b", "one", 1, [judged(True), judged(True)], background={"tone": True}),
        row("a", "two", 1, [judged(False), judged(False)]),
        row("a", "two", 2, [judged(False), judged(False)]),
        row("b", "two", 1, [judged(True), judged(False)]),
    ]
    found = results(rows, ["one", "two"], "exact", "never wrong")
    cell = found.objects["2"]["one"]
    assert found.scenes == {"2": 2, "t": 2}
    assert found.pictures == {"2": 3, "t": 3}
    assert cell["region"].value == pytest.approx((0.75 + 1) / 2)
    assert (cell["region"].low, cell["region"].high) == (0.75, 1.0)
    assert cell["picture"].value == pytest.approx((0.5 + 1) / 2)
    assert cell["attribute"].value == pytest.approx(((3 / 4 + 1) / 2 + 1) / 2)
    assert cell["attribute: colour"].value == cell["region"].value
    assert cell["attribute: kind"].value == 1
    assert cell["leakage"].value == pytest.approx((0.25 + 0) / 2)
    assert cell["miou"].value == pytest.approx((0.375 + 0.5) / 2)
    assert cell["position"].value == 1
    assert cell["count"].value == 1
    assert cell["background"].value == pytest.approx((0 + 1) / 2), "what is not judged does not count"
    assert cell["seconds"].value == pytest.approx((1.5 + 2) / 2)
    assert np.isnan(cell["diversity"].value)
    minus = found.differences["2"]["one - two"]["region"]
    assert minus.value == pytest.approx((0.75 + 0.5) / 2)
    assert (minus.low, minus.high) == (0.5, 0.75), "of the same scenes' differences"


def test_what_one_scene_alone_has_is_told_without_an_interval(tmp_path: Path) -> None:
    backdrop = {"background": {"tone": True}, "tags": ["a|b", "$x_1^$", "$ 5"]}
    rows = [row("a", way, 1, [judged(True)], **backdrop) for way in ("one", "two")]
    alone = results(rows, ["one", "two"], "exact", "never wrong")
    assert "[" not in table(alone) + markdown(alone)
    both = results([*rows, *(row("b", way, 1, [judged(True)]) for way in ("one", "two"))], ["one", "two"], "exact", "")
    cell = both.objects["1"]["one"]
    assert (cell["region"].text(), cell["background"].text()) == ("100 [100, 100]", "100")
    for draw in (draw_objects, draw_tags, draw_costs):
        assert save_figure(draw(alone), tmp_path / "figure.png").stat().st_size, "a dollar sign is none of a formula"


def test_ways_are_compared_on_the_scenes_that_all_have() -> None:
    rows = [
        row("a", "one", 1, [judged(True)]),
        row("a", "two", 1, [judged(True)]),
        row("b", "one", 1, [judged(False)]),
    ]
    found = results(rows, ["one", "two"], "exact", "")
    assert found.scenes["1"] == 1
    assert found.objects["1"]["one"]["region"].value == 1


def test_numbers_of_objects_are_sorted_and_all_of_them_come_last() -> None:
    rows = [row(f"{n}", "one", 1, [judged(n == 2)] * n, tags=[f"tag {n}"]) for n in (8, 2)]
    found = results(rows, ["one"], "exact", "")
    assert list(found.objects) == ["2", "8", "all"]
    assert found.objects["all"]["one"]["region"].value == 0.5
    assert found.tags["tag 8"]["one"]["region"].value == 0


def test_features_give_diversity_and_the_frechet_distance() -> None:
    rng = np.random.default_rng(0)
    wanted = {name: rng.normal(size=6).astype(np.float32) for name in "abcd"}
    features = {(name, seed): rng.normal(size=6).astype(np.float32) for name in "abcd" for seed in (1, 2)}
    rows = [row(n, "one", s, [judged(True)], features=packed(x)) for (n, s), x in features.items()]
    found = results(rows, ["one"], "exact", "", wanted).objects["1"]["one"]
    assert found["frechet"].value == pytest.approx(
        frechet_distance(list(features.values()), list(wanted.values())), rel=1e-2
    )
    per_scene = [diversity([features[n, 1], features[n, 2]]) for n in "abcd"]
    assert found["diversity"].value == pytest.approx(np.mean(per_scene), abs=1e-3)
    np.testing.assert_allclose(unpacked(packed(wanted["a"])), wanted["a"], atol=2e-3)


def test_the_frechet_distance_is_that_of_two_gaussians() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(30, 5)), 1 + 2 * rng.normal(size=(40, 5))
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-8)
    few, fewer = rng.normal(size=(4, 9)), rng.normal(size=(3, 9))
    a, b = np.cov(few, rowvar=False), np.cov(fewer, rowvar=False)
    expected = ((few.mean(0) - fewer.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(few, fewer) == pytest.approx(expected, abs=1e-4), "covariances of less than full rank"


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    assert diversity([[1, 0], [0, 2], [1, 0]]) == pytest.approx((1 + 1 + 0) / 3)
    assert diversity([[3, 4], [3, 4]]) == pytest.approx(0)
    assert np.isnan(diversity([[1, 0]]))


def test_seams_are_jumps_at_borders_alone() -> None:
    pixels = np.random.default_rng(0).integers(100, 110, (32, 64, 3)).astype(np.uint8)
    assert seam_strength(Image.fromarray(pixels), PLAN, 8) == pytest.approx(1, abs=0.15)
    jump = pixels.copy()
    jump[:, :32] += 40
    assert seam_strength(Image.fromarray(jump), PLAN, 8) > 2
    beside = pixels.copy()
    beside[:, :30] += 40  # two pixels off: the picture's own edge
    assert seam_strength(Image.fromarray(beside), PLAN, 8) < 1
    whole = PLAN.with_values({("regions", 0, "box"): [0, 0, 64, 32]})
    whole = whole.model_copy(update={"regions": whole.regions[:1]})
    assert np.isnan(seam_strength(Image.fromarray(jump), whole, 8)), "no border inside the canvas"


def two_ways() -> list[Row]:
    return [
        row(scene, way, 1, [judged(way == "one" or scene == "a"), judged(way == "one")])
        for scene in "ab"
        for way in ("one", "two")
    ]


def test_tables_hold_the_numbers_and_say_what_they_are(tmp_path: Any) -> None:
    rows = two_ways()
    found = results(rows, ["one", "two"], "exact", "wrong in 1 %")
    text, marked = table(found), markdown(found)
    assert "2        two       25 [0, 50]" in text
    assert "one minus the others" in text
    assert "75 [50, 100]" in text
    assert "| 2 | two | 25 [0, 50] |" in marked
    assert "| t | 2 | 100 [100, 100] | 25 [0, 50] |" in marked
    for told in (text, marked):
        assert "judged by exact, wrong in 1 %" in told
        assert "backgr" not in told, "what nobody judged has no column"
    lone = results([r for r in rows if r["way"] == "one"], ["one"], "exact", "")
    assert "minus" not in table(lone)


@pytest.mark.slow
def test_a_report_has_every_object_and_the_worst_first(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    rows = two_ways()
    for one in rows:
        Image.new("RGB", (64, 32), "grey").save(tmp_path / one["file"])
    assert [(r["scene"], r["way"]) for r in ranked(rows)][:2] == [("b", "two"), ("a", "two")]
    flat = list(objects_of(rows))
    assert len(flat) == 8
    assert (flat[0]["scene"], flat[0]["objects"], flat[0]["asked"]["colour"]) == ("a", 2, "red")
    found = results(rows, ["one", "two"], "exact", "")
    (tmp_path / "exact").mkdir()
    paths = write_report(tmp_path / "exact", tmp_path, found, rows, dict.fromkeys("ab", PLAN))
    assert all(path.is_file() for path in paths)
    assert {path.name for path in paths} >= {"objects.jsonl", "results.json", "table.md", "worst.png", "by-objects.png"}
    assert [json.loads(line) for line in (tmp_path / "exact" / "objects.jsonl").read_text().splitlines()] == flat
    data = json.loads((tmp_path / "exact" / "results.json").read_text())
    assert data["differences"]["2"]["one - two"]["region"]["value"] == 0.75
    worst, best = sheets(tmp_path, found, [*rows, *rows], dict.fromkeys("ab", PLAN))
    assert worst.size == best.size
