"""Drawn pages equal those that somebody has looked at, pixel for pixel.

`STRATA_RECORD=1 pytest tests/test_pictures.py` records them anew; look at what is in tests/data/pictures then.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from strata.hierarchy.compare import Section, contact_cell, contact_sheet, side_by_side, table_pages
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_canvas, draw_layout, draw_legend
from strata.hierarchy.typeset import enlarged
from strata.layers.drawing import draw_schedule
from strata.layers.routing import Routing
from strata.layers.table import schedule_table

FOLDER = Path(__file__).parent / "data" / "pictures"
CROWDED = """
width: 320
height: 192
prompt: a harbour at dusk with a lighthouse, three boats and a long quay on which people walk in the last light
low: oil painting, thick brush strokes, warm light
overlap: priority
negative_prompt: text
regions:
  - {name: lighthouse, box: [200, 8, 272, 168], high: a lighthouse, low: "white, red bands, wet stone", priority: 2}
  - {name: boats, polygon: [[16, 104], [120, 88], [176, 176], [24, 184]], high: three boats, low: "blue, worn paint"}
  - {name: "a very long name of a region that does not fit", box: [96, 80, 304, 184], full: a quay of grey stone}
  - {name: chip, box: [300, 10, 306, 16], high: a gull}
background: {high: "sea and sky", low: "orange, violet", full: still water}
"""
SMALL = """
width: 64
height: 128
prompt: x
regions:
  - {name: one, box: [0, 0, 64, 64], high: a cup}
"""
TWO = """
width: 256
height: 192
prompt: a street
regions:
  - {name: a lamp post of cast iron, box: [16, 8, 40, 184], high: a lamp post, low: "black, wet"}
  - {name: house, box: [64, 40, 248, 184], high: a house, strength: 0.5}
"""
NESTED = """
width: 256
height: 256
prompt: a box in a box
regions:
  - {name: dust, polygon: [[1, 1], [1.1, 1], [1, 1.1]], high: a speck}
  - {name: outer, box: [16, 16, 240, 240], high: a box, low: oak, full: an oak box, priority: 12345,
     strength: {high: 0.123456, low: 0.654321, full: 0.333333}}
  - {name: middle, box: [48, 48, 208, 208], high: a box}
  - {name: inner, box: [48, 48, 208, 208], high: a box}
  - {name: innermost, box: [48, 48, 208, 208], high: a box}
"""
RAMPS = """
name: ramps
about: regions of their own, a ramp, every second block, a long sentence that does not fit in a single line of the page
unrouted: open
anchor: true
blend: {base_ratio: {from: 0.8, to: 0}}
rules:
  - {level: high, every: 2, steps: 0%-50%, strength: {from: 1, to: 0.25}}
  - {level: high, single: all, steps: 0%-75%, regions: [dog, cat], isolate: true}
  - {level: low, depth: 50%-100%, steps: 0%-75%, regions: [background]}
"""
WIDE = """
width: 1128
height: 320
prompt: a shelf
regions:
  - {name: a slender vase of old Venetian glass, box: [16, 8, 96, 312], high: a vase, low: glass, strength: {low: 0.5}}
  - {name: globe, box: [200, 40, 440, 280], high: a globe, low: "brass, yellowed paper"}
  - {name: books, polygon: [[520, 40], [1100, 8], [1100, 312], [560, 300]], high: old books, low: cracked leather}
"""
LONG = """
name: long
about: a sentence so long that it has to be set in several lines of a page that is only as wide as the table of so few
  blocks, so that no word of it is lost, and the table, the swatches and what they mean stand below its last line
rules:
  - {level: high, double: all, regions: [a region with a name, another region with a name, a third one with a name]}
"""
PAUSES = """
name: pauses
model: {double: 19, single: 38}
blend: {base_ratio: {from: 0.9, to: 0.1}}
rules:
  - {level: high, steps: 1}
  - {level: full, double: 0-9, steps: 2-6}
  - {level: low, single: 0-19, steps: 9-12}
  - {level: low, single: 20-37, steps: 20-28}
"""
SPARSE = """
name: sparse
rules:
  - {level: full, double: 0-1, steps: 2-3}
  - {level: low, single: [0, 7, 30], steps: 10%-90%, strength: 0.1}
"""


def crowded() -> ScenePlan:
    return ScenePlan.from_yaml(CROWDED)


def many() -> ScenePlan:
    """More regions than colours were chosen for, and more texts than the canvas is high; the last is a strip."""
    tiles = [(64 * (n % 5), 60 * (n // 5)) for n in range(22)]
    regions: list[dict[str, Any]] = [
        {"name": f"tile {n}", "box": (x, y, x + 60, y + 56), "high": "a tile", "low": "glazed, with a crack"}
        for n, (x, y) in enumerate(tiles)
    ]
    regions.append({"name": "the edge", "box": (160, 314, 320, 320), "full": "grout"})
    return ScenePlan.model_validate({"width": 320, "height": 320, "prompt": "a wall", "regions": regions})


def gradient(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([255 * columns / width, 255 * rows / height, 128 + 0 * rows], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


def schedule(text: str, double: int, single: int, steps: int) -> Image.Image:
    return draw_schedule(Routing.from_yaml(text).resolve(double, single, steps))


PAGES: dict[str, Callable[[], Image.Image]] = {
    "layout": lambda: draw_layout(crowded()),
    "layout-over-a-picture": lambda: draw_layout(crowded(), gradient(80, 48)),
    "layout-small": lambda: draw_layout(ScenePlan.from_yaml(SMALL)),
    "layout-wide": lambda: draw_layout(ScenePlan.from_yaml(WIDE)),
    "layout-less-wide": lambda: draw_layout(ScenePlan.from_yaml(WIDE.replace("1128", "984").replace("1100", "970"))),
    "layout-two": lambda: draw_layout(ScenePlan.from_yaml(TWO)),
    "layout-nested": lambda: draw_layout(ScenePlan.from_yaml(NESTED)),
    "layout-many": lambda: draw_layout(many()),
    "canvas-tiny": lambda: draw_canvas(crowded(), 96),
    "canvas": lambda: draw_canvas(crowded(), 480),
    "legend": lambda: draw_legend(crowded(), 640, columns=2),
    "schedule": lambda: schedule(RAMPS, 4, 8, 20),
    "schedule-long": lambda: schedule(LONG, 3, 2, 4),
    "schedule-large": lambda: schedule(SPARSE, 19, 38, 28),
    "schedule-of-one-stack": lambda: schedule("name: a\nabout: plain\nrules: [{level: low, isolate: true}]", 0, 24, 90),
    "schedule-of-50-steps": lambda: schedule(PAUSES, 2, 3, 50),
    "schedule-with-pauses": lambda: schedule(PAUSES, 4, 8, 30),
    "schedule-of-single-blocks": lambda: schedule(LONG, 1, 3, 9),
    "compare": lambda: side_by_side(
        [[gradient(64, 48), gradient(64, 48).rotate(180)], [gradient(64, 48)]],
        ["before", "after: blue, and more than fits"],
        [["seed 1", "seed 2"], ["seed 3"]],
    ),
    "compare-one": lambda: side_by_side([[gradient(40, 64)]], ["alone"]),
    "contact": lambda: contact_sheet(
        [contact_cell(gradient(64 + n, 48), 5) for n in range(5)],
        [f"seed {n}" for n in range(4)]
        + ["a caption that does not fit on the line below its picture, so that it is cut"],
    ),
    "table": lambda: table_pages(
        "a plan · seed 1",
        [
            Section(
                f"depth 0%-{n}%",
                ["base_ratio 0.1", "base_ratio " + "that takes several lines, of which the last one is cut " * 4],
                [(f"steps {m}", [gradient(150, 100), gradient(60 + 40 * m, 80)]) for m in (1, 2)],
            )
            for n in (33, 100)
        ],
    )[0],
    "enlarged": lambda: enlarged(gradient(24, 16), 100),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_it_was_looked_at(name: str) -> None:
    page, path = PAGES[name](), FOLDER / f"{name}.png"
    if os.environ.get("STRATA_RECORD"):
        drawn_by = PngInfo()
        drawn_by.add_text("pillow", PIL.__version__)
        page.save(path, optimize=True, pnginfo=drawn_by)
    with Image.open(path) as recorded:
        if recorded.info["pillow"] != PIL.__version__:
            pytest.skip(f"letters of Pillow {PIL.__version__} may differ from those of {recorded.info['pillow']}")
        expected = np.asarray(recorded.convert("RGB"))
    found = np.asarray(page)
    assert found.shape == expected.shape
    differing = np.argwhere((found != expected).any(axis=2))
    assert not len(differing), f"{len(differing)} pixels differ, the first at row, column {differing[0].tolist()}"


TABLES = {
    "table": (RAMPS, 4, 8, 20, 100),
    "table-narrow": (SPARSE, 19, 38, 28, 50),
    "table-of-one-stack": ("name: a\nrules: [{level: low, isolate: true}]", 0, 24, 90, 70),
    "table-of-one-step": (LONG, 3, 12, 1, 120),
    "table-with-pauses": (PAUSES, 4, 8, 30, 80),
    "table-wide": (SPARSE, 19, 38, 28, 200),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_as_it_was_looked_at(name: str) -> None:
    text, double, single, steps, width = TABLES[name]
    found, path = schedule_table(Routing.from_yaml(text).resolve(double, single, steps), width), FOLDER / f"{name}.txt"
    if os.environ.get("STRATA_RECORD"):
        path.write_text(found + "\n", encoding="utf-8")
    assert found.splitlines() == path.read_text(encoding="utf-8").splitlines()
