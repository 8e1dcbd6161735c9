"""Style against content: scenes, the ways a change is made, its measures, and a small run that goes on."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strata.analysis.measures import edge_similarity, hull, same_place
from strata.analysis.statistics import Estimate
from strata.analysis.tradeoff import (
    CHANGES,
    DEPTHS,
    MEASURES,
    PART_STARTS,
    Painter,
    Way,
    key,
    main,
    measured,
    overrides,
    result,
    scenes,
    study,
    table,
    ways,
)
from strata.analysis.tradeoff_plots import LINES, PARTS, draw_tradeoff
from strata.analysis.trials import Journal, Judge, part
from strata.hierarchy.errors import InputError
from strata.layers.routing import Routing
from strata.miniature.world.facts import Thing
from strata.miniature.world.phrases import full_text, low_text, style_text
from strata.miniature.world.truth import render
from tests.injection.conftest import make_text_to_image


def differing(one: Thing, other: Thing) -> set[str]:
    return {name for name, value in asdict(one).items() if value != asdict(other)[name]}


@pytest.mark.parametrize("change", list(CHANGES))
def test_only_what_is_changed_differs(change: str) -> None:
    found = scenes(12, change)
    assert found == scenes(12, change) != scenes(12, change, seed=1)
    for scene in found:
        for thing, target in zip(scene.things, scene.targets, strict=True):
            assert differing(thing, target) == set(CHANGES[change])
        assert len({thing.style for thing in scene.things}) == 1
        assert style_text(str(scene.targets[0].style)) in scene.prompt
        for plan in scene.plans:
            looks = {str(getattr(t, name)) for t in (*scene.things, *scene.targets) for name in ("colour", "surface")}
            assert all(str(thing.kind) in plan.prompt for thing in scene.things)
            assert not any(look in plan.prompt for look in looks)
        assert [region.full for region in scene.plans[1].regions] == [full_text(thing) for thing in scene.things]


def test_where_and_when_the_new_texts_are_visible() -> None:
    (scene,) = scenes(1, "style")
    first, second = overrides(scene, Way("anchored", (0.0, 50.0), 20.0), 10, 12)
    expected = np.zeros((10, 12), dtype=bool)
    expected[2:, :6] = True
    assert (np.asarray(first.where) == expected).all()
    assert [first.area, second.area] == [region.name for region in scene.plans[0].regions]
    assert (first.level, first.text) == ("low", low_text(scene.targets[0]))
    (undivided, _) = overrides(scene, Way("full"), 10, 12)
    assert (undivided.level, undivided.text) == ("full", full_text(scene.targets[0]))
    assert np.asarray(undivided.where).all()
    with pytest.raises(InputError, match="low, from 100%: leaves none of 10 steps or 12 blocks"):
        overrides(scene, Way("low", start=100.0), 10, 12)


def test_every_way_has_a_name_of_its_own() -> None:
    names = [way.name for way in ways()]
    assert len(set(names)) == len(names)
    assert {"low, from 0%", "anchored, depth 0-33%, from 10%", "img2img 0.7"} <= set(names)


def perfect(scene: Any, things: tuple[Thing, ...]) -> Any:
    plan = scene.plans[1]
    regions = tuple(
        region.model_copy(update={"full": full_text(thing)}) for region, thing in zip(plan.regions, things, strict=True)
    )
    return render(plan.model_copy(update={"regions": regions}))


def test_what_is_measured_of_perfect_pictures() -> None:
    judge, rows = Judge(), []
    for scene in scenes(16, "look"):
        before, after = perfect(scene, scene.things), perfect(scene, scene.targets)
        rows.append(measured(before, after, scene, "look", judge))
        unmoved = measured(before, before, scene, "look", judge)
        assert (unmoved["stays"], unmoved["kind"], unmoved["edges"]) == (1, 1, pytest.approx(1))
        assert unmoved["changed"] < 1
    assert np.mean([row["both"] for row in rows]) > 0.6, "the scorer reads 78 % of such pairs without an error"
    assert all(row["both"] <= min(row["changed"], row["stays"]) for row in rows)


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    pipe, _ = make_text_to_image()
    painter = Painter(pipe, Routing.load("isolate-first"), 2, {})
    todo, compared = scenes(2, "style"), [Way("anchored"), Way("full", start=50.0), Way("img2img", strength=0.6)]
    path = tmp_path / "journal.jsonl"
    stopped = study(painter, "style", todo, compared, Journal(path, {}), Judge())
    before = [next(stopped) for _ in range(2)]
    journal = Journal(path, {})
    after = list(study(painter, "style", todo, compared, journal, Judge()))
    assert [*before, *after] == [key("style", number, way) for number in range(2) for way in compared]
    found = result(journal, "style", 2, compared)
    assert set(found["img2img 0.6"]) == set(MEASURES)
    lines = table("style", found).splitlines()
    assert lines[0].startswith("style changed by")
    both = [found[line.split("  ")[0]]["both"].value for line in lines[1:]]
    assert both == sorted(both, reverse=True)
    latent = [painter.regional[True](todo[0].plans[0], seed=1, num_inference_steps=2).images[0]]
    assert painter.after(todo[0], compared[0], latent[0]).tobytes() != painter.before(todo[0], compared[0]).tobytes()


def test_the_figure_has_a_line_for_each_way_of_changing() -> None:
    def told(value: float) -> dict[str, Estimate]:
        return {name: Estimate(value, value - 0.1, value + 0.1) for name in MEASURES}

    found = {way.name: told(n / len(ways())) for n, way in enumerate(ways())}
    figure = draw_tradeoff({"style": found, "look": found}, "a title")
    assert len(figure.axes) == 2
    for panel in figure.axes:
        lines = {line.get_label(): line for line in panel.get_lines()}
        for label, (_, _, drawn) in LINES.items():
            assert list(lines[label].get_xdata()) == [found[way.name]["changed"].value for way in drawn]
        assert len(lines[PARTS].get_xdata()) == len(PART_STARTS) * (len(DEPTHS) - 1)


def test_place_is_told_by_the_hull_of_what_is_coloured() -> None:
    pixels = np.full((32, 32, 3), 128, dtype=np.uint8)
    blank = pixels.copy()
    assert not hull(pixels).any()
    pixels[8:13, 8:13] = pixels[20:25, 20:25] = (255, 0, 0)
    pixels[0, 31] = (0, 0, 255)  # a speck
    found = hull(pixels)
    assert found[8:13, 8:13].all()
    assert found[16, 16]
    assert not found[0, 31]
    assert same_place(pixels, pixels) == 1
    assert same_place(pixels, blank) == 0
    assert np.isnan(same_place(blank, blank))
    assert edge_similarity(pixels, pixels) == pytest.approx(1)
    assert edge_similarity(pixels, blank) < 1


@pytest.mark.parametrize(("change", "least"), [("look", 0.85), ("style", 0.85)])
def test_perfect_changes_stay_in_place(change: str, least: float) -> None:
    """In another colour and surface almost to the pixel; another style glows, casts a shadow or runs."""
    found = []
    for scene in scenes(12, change):
        pictures = perfect(scene, scene.things), perfect(scene, scene.targets)
        found += [same_place(*(part(picture, box) for picture in pictures)) for box in scene.boxes]
    assert np.nanmean(found) > least


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenes", "1"], "error: --scenes and --steps must be at least 2"),
        (["--routing", "nosuch"], "error: routing 'nosuch'"),
    ],
)
def test_bad_input_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
