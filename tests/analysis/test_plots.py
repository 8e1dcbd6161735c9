"""The figures of a probe and the scripts that draw them."""

import runpy
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strata.analysis.charts import block_axis, legend_below, new_figure, panels, save_figure
from strata.analysis.overlays import (
    MOST_COLUMNS,
    _groups,
    concept_maps,
    draw_overlays,
    edges,
    image_to_text,
    text_to_image,
)
from strata.analysis.plots import COLOURS, draw_all, draw_curves, draw_steps
from strata.hierarchy.errors import InputError
from tests.analysis.probes import BLOCKS, made_probe, picture

SCRIPTS = Path(__file__).resolve().parents[2] / "analysis" / "scripts"


@pytest.mark.slow
def test_all_figures_of_a_regional_probe(tmp_path: Path) -> None:
    paths = draw_all(made_probe(), picture(), tmp_path)
    names = ["words.png", "words_to_image.png", "concepts.png", "layers.png", "steps.png"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert min(pixels.shape[:2]) > 200
        assert pixels.std() > 10


def test_all_figures_of_a_plain_probe_without_words_or_picture(tmp_path: Path) -> None:
    paths = draw_all(made_probe(regions=False, words=False), None, tmp_path)
    assert [path.name for path in paths] == ["texts.png", "layers.png", "steps.png"]


def test_overlays_show_the_maps_asked_for() -> None:
    probe = made_probe()
    figure = draw_overlays(probe, None, image_to_text(probe, ["red", "base"]), blocks=["single 1", "double 0"], phase=1)
    panels = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]
    assert [axis.get_title() for axis in panels[:4]] == ["picture", "single 1", "double 0", "mean"]
    assert [axis.get_ylabel().split("\n")[0] for axis in panels if axis.get_ylabel()] == ["red", "base"]
    shown = [np.asarray(axis.images[-1].get_array()) for axis in panels[1:4]]
    expected = [probe.map("red", block=block, phase=1) for block in ("single 1", "double 0")]
    np.testing.assert_allclose(shown[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(shown[1], expected[1], rtol=1e-5)
    np.testing.assert_allclose(shown[2], np.mean(expected, axis=0), rtol=1e-5)
    assert "steps 5–6 of 8" in str(figure.get_suptitle())


def test_rows_of_overlays() -> None:
    probe = made_probe()
    assert [row.name for row in image_to_text(probe)] == ["red", "circle", "square"]
    assert [row.name for row in concept_maps(probe)] == ["circle", "square"]
    asked = replace(probe, facts=probe.facts.model_copy(update={"asked": ("left/low", "red")}))
    whole, red = image_to_text(asked)
    assert (whole.name, red.name) == ("left/low\n“red, striped”", "red")
    np.testing.assert_allclose(whole.maps[0, 1], probe.map("left/low", block="double 1", phase=0), rtol=1e-5)
    np.testing.assert_allclose(
        image_to_text(probe, ["red"])[0].maps[1, 2], probe.map("red", block="single 0", phase=1), rtol=1e-5
    )
    square = text_to_image(probe, ["square"])[0].maps[0, 0]
    np.testing.assert_allclose(square, 24 * probe.word_to_image("square", block="double 0", phase=0), rtol=1e-5)


@pytest.mark.parametrize(("doubles", "singles"), [(19, 38), (4, 8), (0, 3), (1, 40), (13, 0)])
def test_neighbouring_blocks_share_a_column(doubles: int, singles: int) -> None:
    blocks = [f"double {n}" for n in range(doubles)] + [f"single {n}" for n in range(singles)]
    groups = _groups(blocks)
    assert [n for group in groups for n in group] == list(range(len(blocks)))
    assert len(groups) <= MOST_COLUMNS
    assert all(len({blocks[n].split()[0] for n in group}) == 1 for group in groups)


def test_curves_and_heat_maps_hold_the_shares() -> None:
    probe = made_probe()
    figure = draw_curves(probe)
    left = figure.axes[0]
    assert left.get_title() == "region “left”"
    drawn = {line.get_color(): line.get_ydata() for line in left.lines if len(line.get_xdata()) == len(BLOCKS)}
    np.testing.assert_allclose(drawn[COLOURS["own"]], probe.shares[:, :, 0, 0].mean(0), rtol=1e-6)
    assert COLOURS["global"] not in drawn, "no area hears global texts"
    heats = [np.asarray(axis.images[0].get_array()) for axis in draw_steps(probe).axes if axis.images]
    np.testing.assert_allclose(heats[0], probe.shares[:, :, 0, 0], rtol=1e-6)
    assert any(heat.shape == probe.entropy.shape and np.allclose(heat, probe.entropy) for heat in heats)


@pytest.mark.parametrize("blocks", [12, 57])
def test_ticks_of_many_blocks_stay_apart(blocks: int) -> None:
    figure = new_figure(3, 2, "")
    panel = panels(figure, 1, 1)[0, 0]
    names = [f"double {n}" for n in range(blocks // 3)] + [f"single {n}" for n in range(blocks - blocks // 3)]
    block_axis(panel, names, most=12 if blocks <= 12 else 8)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in panel.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_edges_of_a_mask() -> None:
    mask = np.zeros((3, 4), bool)
    mask[0:2, 1:3] = True
    assert sorted(edges(mask)) == [((1, 0), (1, 2)), ((1, 0), (3, 0)), ((1, 2), (3, 2)), ((3, 0), (3, 2))]
    mask[1, 1] = False
    assert sum(abs(x1 - x2) + abs(y1 - y2) for (x1, y1), (x2, y2) in edges(mask)) == 8


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = made_probe()
    for ask, message in (
        (lambda: image_to_text(probe, ["blue"]), "map 'blue': was not probed; valid words: red, circle, square; texts"),
        (
            lambda: image_to_text(probe, ["top/low"]),
            "map 'top/low': was not probed; .* texts: base, left/high, left/low",
        ),
        (
            lambda: draw_overlays(probe, None, image_to_text(probe), blocks=["double 9"]),
            "block 'double 9': was not probed",
        ),
        (lambda: draw_overlays(probe, None, image_to_text(probe), phase=2), "phase 2: there are 2; valid: 0-1"),
        (lambda: draw_overlays(probe, None, []), "nothing to draw"),
        (lambda: save_figure(draw_curves(probe), tmp_path / "none" / "a.png"), "cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            ask()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install 'strata-prompting\[analysis\]'"):
        draw_steps(probe)


@pytest.mark.parametrize("name", ["attention_maps", "layer_curves", "step_block", "browse"])
def test_scripts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_probe().save(tmp_path / "probe")
    picture().save(tmp_path / "image.png")
    out = tmp_path / ("page.html" if name == "browse" else "out.png")
    more = ["--words", "red", "circle", "--direction", "looks"] if name == "attention_maps" else []
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path / "probe"), "--out", str(out), *more])
    runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    assert out.stat().st_size > 5000


@pytest.mark.parametrize(("width", "entries", "columns"), [(4.0, 1, 1), (7.5, 7, 3), (16.0, 7, 6), (30.0, 7, 7)])
def test_a_legend_has_as_few_rows_as_the_figure_has_room_for(width: float, entries: int, columns: int) -> None:
    figure = new_figure(width, 4.0, "title")
    panel = panels(figure, 1, 1)[0, 0]
    for n in range(entries):
        panel.plot([0, 1], [n, n], label=f"regional-prompting {n}")
    legend_below(figure)
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert [text.get_text() for text in legend.get_texts()] == [f"regional-prompting {n}" for n in range(entries)]
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert legend._ncols == columns
