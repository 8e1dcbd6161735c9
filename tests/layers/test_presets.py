"""Every bundled routing: it loads, says where it comes from, and resolves on large, small and tiny models."""

from pathlib import Path

import numpy as np
import pytest

from strata.hierarchy.errors import InputError
from strata.layers import routing as routing_module
from strata.layers.routing import Routing, presets
from strata.layers.schedule import Schedule
from strata.layers.views import title

FLUX = (19, 38)


def blocks(schedule: Schedule, level: str) -> list[str]:
    """Names of the blocks in which the level is ever heard: d0, …, s37."""
    heard = schedule.strength(level, "dog").any(axis=0)  # type: ignore[arg-type]
    D = schedule.double_blocks
    return [f"d{index}" if index < D else f"s{index - D}" for index in np.flatnonzero(heard)]


def span(family: str, start: int, stop: int, every: int = 1) -> list[str]:
    return [f"{family}{index}" for index in range(start, stop + 1, every)]


def test_the_list() -> None:
    assert presets() == [
        "alternate",
        "coarse-to-fine",
        "content-first",
        "hard-mid",
        "isolate-first",
        "isolate-first-fast",
        "regional-prompting-flux",
        "splitflux",
        "uniform",
        "vital-blocks",
    ]


def test_a_preset_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing_module, "_preset_folder", lambda: tmp_path)
    (tmp_path / "mine.yaml").write_text("name: mine\nrules: [{level: high}]\n")
    (tmp_path / "old").mkdir()
    assert presets() == ["mine"]
    assert Routing.load("mine").name == "mine"


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("model", [FLUX, (3, 5), (4, 8), (1, 1), (5, 10), (19, 0), (0, 24)])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 20, 28])
def test_every_preset_resolves_on_every_model(name: str, model: tuple[int, int], steps: int) -> None:
    routing = Routing.load(name)
    if name in ("splitflux", "hard-mid") and model[1] == 0:
        with pytest.raises(InputError, match="matches no block"):  # they are about single blocks
            routing.resolve(*model, steps)
        return
    schedule = routing.resolve(*model, steps)
    assert schedule.routed.any()
    for level in schedule.levels:
        assert schedule.strength(level, "anything").any()


@pytest.mark.parametrize("name", presets())
def test_every_preset_has_a_name_a_description_and_a_source_and_survives_writing(name: str) -> None:
    routing = Routing.load(name)
    assert routing.name == name
    assert routing.about
    assert routing.source
    assert Routing.from_yaml(routing.to_yaml()) == routing
    assert not routing.resolve(*FLUX, 28).rescaled


def test_what_the_presets_say_on_flux() -> None:
    resolved = {name: Routing.load(name).resolve(*FLUX, 24) for name in presets()}
    everything = span("d", 0, 18) + span("s", 0, 37)
    assert blocks(resolved["coarse-to-fine"], "low") == span("d", 0, 18)
    assert blocks(resolved["coarse-to-fine"], "high") == span("s", 0, 37)
    assert blocks(resolved["content-first"], "high") == span("d", 0, 18)
    assert blocks(resolved["content-first"], "low") == span("s", 0, 37)
    assert blocks(resolved["splitflux"], "high") == span("s", 0, 9)
    assert blocks(resolved["splitflux"], "low") == span("s", 10, 37)
    vital = ["d0", "d1", "d17", "d18", "s6", "s9", "s34", "s35", "s37"]
    for level in ("high", "low", "full"):
        assert blocks(resolved["vital-blocks"], level) == vital
        assert blocks(resolved["uniform"], level) == everything
        assert blocks(resolved["hard-mid"], level) == everything
        assert blocks(resolved["alternate"], level) == span("d", 0, 18, 2) + span("s", 0, 36, 2)
    assert np.flatnonzero(resolved["hard-mid"].isolate.all(axis=0)).tolist() == list(range(19, 38))
    assert np.array_equal(resolved["hard-mid"].isolate.any(axis=0), resolved["hard-mid"].isolate.all(axis=0))
    assert resolved["uniform"].routed.all()


def test_regional_prompting_flux_as_published() -> None:
    routing = Routing.load("regional-prompting-flux")
    assert (routing.blend.mode, routing.unrouted, routing.background, routing.pad) == ("split", "open", "none", "full")
    schedule = routing.resolve(*FLUX, 24)
    assert schedule.levels == ("full",)
    assert np.array_equal(schedule.isolate, schedule.routed)
    assert schedule.routed.all(axis=1).tolist() == [True] * 10 + [False] * 14
    assert schedule.base_ratio == pytest.approx([0.1] * 10 + [0.0] * 14)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^routing 'unifrom': did you mean 'uniform'.* one of alternate, "):
        Routing.load("unifrom")
    with pytest.raises(InputError, match=r"^nowhere/uniform.yaml: cannot be read"):
        Routing.load("nowhere/uniform.yaml")


def test_the_fast_one_is_the_default_but_for_its_texts() -> None:
    default, fast = Routing.load("isolate-first"), Routing.load("isolate-first-fast")
    assert fast.refresh == 4
    schedule = fast.resolve(*FLUX, 8)
    assert all(line.endswith("refresh 4") for line in schedule.summary())
    assert title(schedule).endswith("overlaps split, texts at their regions, texts ride along at every 4th step")
    assert "refresh" not in default.resolve(*FLUX, 8).summary()[0]
    same = {"name": default.name, "about": default.about, "source": default.source, "refresh": default.refresh}
    assert fast.model_copy(update=same) == default
