"""Crowds: scenes, routings, what counts as a leak, and a small run that goes on."""

from collections import Counter
from pathlib import Path

import pytest

from strata.analysis.crowds import (
    BASES,
    COMPARED,
    CROWDS,
    WAYS,
    doubled,
    judged,
    key,
    main,
    result,
    routed,
    scenes,
    study,
    table,
)
from strata.analysis.trials import Journal, Judge
from strata.layers.routing import Routing
from strata.miniature.world.facts import Thing
from strata.miniature.world.scorer import Verdict
from tests.injection.conftest import make_text_to_image

ROUTING = Routing.load("isolate-first")


def test_alike_are_of_one_kind_and_swapped_share_their_looks() -> None:
    for kind, regions in CROWDS:
        found = scenes(kind, regions, 4)
        assert found == scenes(kind, regions, 4) != scenes(kind, regions, 4, seed=1)
        for scene in found:
            assert len(scene.things) == len(scene.boxes) == regions
            kinds = Counter(thing.kind for thing in scene.things)
            looks = Counter((thing.colour, thing.surface) for thing in scene.things)
            if kind == "alike":
                assert len(kinds) == 1
                assert set(looks.values()) == {1}
            else:
                assert sorted(kinds.values()) == [regions // 2] * 2
                assert set(looks.values()) == {2}
            assert all(str(thing.colour) in scene.prompt for thing in scene.things)


@pytest.mark.parametrize(("kind", "regions"), CROWDS)
def test_the_base_prompt_is_all_that_differs(kind: str, regions: int) -> None:
    counts, names, layout = (scenes(kind, regions, 3, base=base) for base in BASES)
    for ways in zip(counts, names, layout, strict=True):
        for plans in zip(*((scene.divided, scene.undivided) for scene in ways), strict=True):
            assert len({plan.model_copy(update={"prompt": "same"}).to_yaml() for plan in plans}) == 1
            counted, named, placed = (plan.prompt for plan in plans)
            looks = [str(thing.colour) for thing in ways[0].things]
            assert not any(look in counted for look in looks)
            assert all(look in named for look in looks)
            assert placed == ways[2].prompt
            assert named.startswith("in the top row ")
            assert "; in the bottom row " in named
        assert len({(scene.things, scene.boxes, scene.seed) for scene in ways}) == 1


def test_the_routing_of_each_way() -> None:
    levels = {way: routed(way, ROUTING, (0.0, 50.0)).resolve(4, 8, 20) for way in WAYS[1:]}
    assert [way for way in levels if not levels[way].routing.anchor] == ["undivided twice"]
    low = levels["detail narrow"].strength("low", "a") > 0
    assert low.any(0).tolist() == [True] * 6 + [False] * 6
    assert (levels["by level"].strength("low", "a") > 0).any(0).all()


def test_a_text_in_two_streams() -> None:
    (scene,) = scenes("swapped", 6, 1)
    twice = doubled(scene.undivided)
    for region, full in zip(twice.regions, scene.undivided.regions, strict=True):
        assert list(region.by_level()) == [("high", full.full), ("low", full.full)]
        assert (region.name, region.box) == (full.name, full.box)
    assert (twice.prompt, twice.background) == (scene.undivided.prompt, scene.undivided.background)


def verdict(kind: str, colour: str, surface: str) -> Verdict:
    return Verdict(kind, colour, surface, "flat", None, None, None, {})


def test_a_leak_is_anothers_look() -> None:
    things = (Thing("car", "red", "dotted"), Thing("car", "blue", "striped"))
    right = verdict("car", "red", "dotted"), verdict("car", "blue", "striped")
    assert judged(right, things) == [1, 1, 1, 0]
    leaked = verdict("car", "blue", "dotted"), verdict("car", "blue", "striped")
    assert judged(leaked, things) == [0.5, 1, 0.5, 0.5]
    wrong = verdict("car", "green", "dotted"), verdict("tree", "blue", "striped")
    assert judged(wrong, things) == [0, 0.5, 0.5, 0]


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    pipe, _ = make_text_to_image()
    todo, path = {("alike", 6): scenes("alike", 6, 1)}, tmp_path / "journal.jsonl"
    first = next(study(pipe, ROUTING, (0.0, 50.0), todo, 1, Journal(path, {}), Judge()))
    journal = Journal(path, {})
    rest = list(study(pipe, ROUTING, (0.0, 50.0), todo, 1, journal, Judge()))
    assert [first, *rest] == [key("alike", 6, 0, way) for way in WAYS]


def test_the_table_has_a_line_for_every_crowd_and_way(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", {})
    for kind, regions in CROWDS:
        for number in range(2):
            for n, way in enumerate(WAYS):
                journal.add(key(kind, regions, number, way), [0.1 * n, 1.0, 0.5, 0.25])
    found = result(journal, 2)
    assert found["alike 6"]["by level"]["right"].value == pytest.approx(0.3)
    assert found["all"]["by level"]["right"].value == pytest.approx(0.3)
    apart = found["difference"]["by level - undivided"]["right"]
    assert [apart.value, apart.low, apart.high] == pytest.approx([0.2] * 3)
    assert found["difference"]["undivided twice - undivided"]["right"].value == pytest.approx(0.1)
    assert len(table(found).splitlines()) == 1 + (len(CROWDS) + 1) * len(WAYS) + len(COMPARED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "1"], "error: --scenes and --steps must be at least 2"),
        (["--depth", "half"], 'error: --depth half: must be a range such as "0%-50%"'),
    ],
)
def test_bad_input_is_told(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
