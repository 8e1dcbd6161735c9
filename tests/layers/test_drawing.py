"""The picture and the table of a schedule show what the arrays hold."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from strata.hierarchy.style import BASE, LEVELS
from strata.hierarchy.typeset import Rect, Sheet, measure
from strata.layers.drawing import draw_schedule
from strata.layers.routing import Routing, presets
from strata.layers.table import schedule_table
from strata.layers.views import tick_stride, title, views
from tests.examples import examples

MIXED = """
name: mixed
about: regions of their own, a ramp, every second block
unrouted: open
blend: {base_ratio: {from: 0.8, to: 0}}
rules:
  - {level: high, every: 2, steps: 0%-50%, strength: {from: 1, to: 0.25}}
  - {level: high, single: all, steps: 0%-75%, regions: [dog, cat], isolate: true}
  - {level: low, depth: 50%-100%, steps: 0%-75%, regions: [background]}
"""


PLAIN = Routing.from_yaml("name: a\nrules: [{level: high}]")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float, str]]:
    """x, y and the words of every line that is set on a page."""
    lines: list[tuple[float, float, str]] = []
    draw = Sheet.text

    def kept(self: Sheet, x: float, y: float, text: str, *rest: Any) -> None:
        lines.append((x, y, text))
        draw(self, x, y, text, *rest)

    monkeypatch.setattr(Sheet, "text", kept)
    return lines


def test_the_picture_has_a_coloured_cell_for_every_strength_and_nothing_else() -> None:
    schedule = Routing.from_yaml(
        "name: a\nrules:\n- {level: high, depth: 0%-50%, steps: 5}\n- {level: low, depth: 50%-100%}"
    ).resolve(4, 8, 20)
    pixels = np.asarray(draw_schedule(schedule))
    cell = 43 * 11  # px of a cell without its lines, at this size
    for level, cells in (("high", 6 * 5), ("low", 6 * 20)):
        coloured = int(np.equal(pixels, LEVELS[level]).all(axis=2).sum())  # type: ignore[index]
        swatches = 2 * 16 * 16
        assert coloured == cells * cell + swatches


def test_weak_is_paler_than_strong_and_never_white() -> None:
    text = "name: a\nrules: [{{level: high, strength: {}}}]"
    means = [
        np.asarray(draw_schedule(Routing.from_yaml(text.format(strength)).resolve(2, 2, 9))).mean()
        for strength in (0.01, 0.5, 1.0)
    ]
    assert means == sorted(means, reverse=True)
    assert len(set(means)) == 3


@pytest.mark.parametrize(
    ("steps", "told"), [(1, ["0.5"]), (2, ["0.9", "0.1"]), (24, ["0.9", "0.1"]), (90, ["0.9", "0.1"])]
)
def test_the_base_ratio_is_told_beside_its_first_and_last_bar(
    steps: int, told: list[str], written: list[tuple[float, float, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Rect] = []
    draw = Sheet.box

    def kept(self: Sheet, area: Rect, fill: Any, *rest: Any) -> None:
        if fill == BASE:
            bars.append(area)
        draw(self, area, fill, *rest)

    monkeypatch.setattr(Sheet, "box", kept)
    ramp = "name: a\nblend: {base_ratio: {from: 0.9, to: 0.1}}\nrules: [{level: high}]"
    draw_schedule(Routing.from_yaml(ramp).resolve(1, 1, steps))
    numbers = [(y, text) for _, y, text in written if text in ("0.9", "0.5", "0.1")]
    assert [text for _, text in numbers] == told
    top, bottom = bars[0][1], bars[-1][1] + bars[-1][3]
    for (y, _), bar in zip(numbers, (bars[0], bars[-1]), strict=False):
        assert abs(y - bar[1] - bar[3] / 2) < 8
        assert top + 6 <= y <= bottom - 6, "its letters neither above nor below the bars"


def test_the_names_of_many_areas_are_cut_at_the_margin(written: list[tuple[float, float, str]]) -> None:
    names = ", ".join(f"region number {n}" for n in range(30))
    page = draw_schedule(Routing.from_yaml(f"name: a\nrules: [{{level: high, regions: [{names}]}}]").resolve(1, 1, 1))
    ((x, _, cut),) = [line for line in written if line[2].startswith("of region number 0, ")]
    assert cut.endswith("…")
    assert page.width - 36 - 20 < x + measure(cut, 13) <= page.width - 36


@pytest.mark.parametrize(("low", "told"), [("depth: 0%-100%", False), ("depth: 0%-50%", True), ("double: all", True)])
def test_the_legend_says_that_a_level_is_hidden_where_one_is(
    low: str, told: bool, written: list[tuple[float, float, str]]
) -> None:
    routing = Routing.from_yaml(f"name: a\nrules: [{{level: high}}, {{level: low, {low}}}]")
    draw_schedule(routing.resolve(2, 2, 3))
    assert any(text.startswith("this level is hidden here") for _, _, text in written) == told


@examples(15)
@given(
    st.sampled_from([*presets(), MIXED]),
    st.integers(1, 40),
    st.integers(1, 80),
    st.integers(1, 100),
)
def test_any_size_is_drawn(name: str, double: int, single: int, steps: int) -> None:
    routing = Routing.from_yaml(name) if "\n" in name else Routing.load(name)
    image = draw_schedule(routing.resolve(double, single, steps))
    assert image.mode == "RGB"
    assert 700 <= image.width <= 1400
    assert image.height > 300


def test_views_split_levels_where_areas_differ_and_leave_silence_out() -> None:
    schedule = Routing.from_yaml(MIXED).resolve(4, 8, 20)
    shown = views(schedule)
    assert [(view.level, view.areas) for view in shown] == [
        ("high", "dog, cat"),
        ("high", "all other areas"),
        ("low", "background"),
    ]
    assert np.array_equal(shown[0].strength, schedule.strength("high", "cat"))
    assert np.array_equal(shown[1].strength, schedule.strength("high", "global"))
    assert [view.areas for view in views(Routing.load("uniform").resolve(1, 1, 1))] == ["all areas"] * 3


def test_the_table_of_a_small_model() -> None:
    text = """
name: a
about: what it does
rules:
  - {level: high, depth: 0%-50%, steps: 5}
  - {level: low, single: 5-7, strength: 0.5, isolate: true}
"""
    assert schedule_table(Routing.from_yaml(text).resolve(4, 8, 20), width=60).splitlines() == [
        "a: 4 double + 8 single blocks, 20 steps, shared blend",
        "what it does",
        "",
        "                double  │single",
        "                0 1 2 3 │0 1 2 3 4 5 6 7",
        "steps 0-4: base ratio 0.2",
        "  high content  ████████│████············",
        "  low detail    ········│··········▒▒▒▒▒▒",
        "  isolated              │          //////",
        "steps 5-19: base ratio 0.2",
        "  low detail    ········│··········▒▒▒▒▒▒",
        "  isolated              │          //////",
        "",
        "█ strength 1, ▓ up to 0.75, ▒ up to 0.5, ░ up to 0.25, ·",
        "hidden; / image tokens attend only to their own regions;",
        "blocks where every level is hidden attend to the base prompt",
        "only",
    ]


def test_anchored_levels_say_so() -> None:
    rules = "rules: [{level: high}, {level: low, regions: [dog]}, {level: low, regions: [global], steps: 3}]"
    schedule, bare = (
        Routing.from_yaml(f"name: a\nanchor: {anchor}\n{rules}").resolve(4, 8, 20) for anchor in ("true", "false")
    )
    assert [(view.name, view.areas) for view in views(schedule)] == [
        ("high content", "all areas"),
        ("low detail, anchored", "dog"),
        ("low detail", "global"),
    ], "texts of the whole canvas are left as they are"
    told = [line.split(", strength 1")[1] for line in schedule.summary()]
    assert told == ["", ", anchored, only dog", ", only global"]
    table = schedule_table(schedule, width=100)
    assert "  low detail, anchored (dog) " in table
    assert "anchored: a low text stands behind" in table
    assert "anchored" not in schedule_table(bare, width=100)
    page, plain = draw_schedule(schedule), draw_schedule(bare)
    assert page.height > plain.height, "the legend says what it means"
    assert not schedule.anchors("high")
    sheet = Sheet(page.width)
    sheet.text(60, 11, "low detail, anchored", 16)
    place = slice(60, 60 + round(measure("low detail, anchored", 16)))
    name = np.asarray(sheet.picture(22), dtype=float)[:, place]

    def likeness(drawn: Image.Image) -> float:
        """The least mean difference of the panel's name from any place of a page."""
        pixels = np.asarray(drawn)[:, place]
        return min(float(np.abs(pixels[y : y + 22] - name).mean()) for y in range(len(pixels) - 22))

    assert likeness(page) < 0.5 * likeness(plain), "its panel does too"


@given(
    st.sampled_from([*presets(), MIXED]),
    st.integers(1, 40),
    st.integers(1, 80),
    st.integers(1, 60),
    st.integers(40, 200),
)
def test_the_table_fits_any_width(name: str, double: int, single: int, steps: int, width: int) -> None:
    routing = Routing.from_yaml(name) if "\n" in name else Routing.load(name)
    lines = schedule_table(routing.resolve(double, single, steps), width).splitlines()
    assert max(map(len, lines)) <= width
    bars = {line.index("│") for line in lines if "│" in line}
    assert len(bars) == 1


@pytest.mark.parametrize(
    ("count", "numbers"),
    [
        (9, "0 2 4 6 8"),
        (10, "0 2 4 6 8"),
        (11, "0    5"),
        (12, "0    5    10"),
        (21, "0    5    10   15"),
        (22, "0    5    10   15   20"),
    ],
)
def test_the_numbers_of_blocks_are_whole_and_as_many_as_have_room(count: int, numbers: str) -> None:
    assert schedule_table(PLAIN.resolve(count, 0, 1), width=60).splitlines()[3].strip() == numbers


@pytest.mark.parametrize("counts", [(8, 2), (2, 8), (3, 3), (19, 2), (0, 1), (1, 0)])
def test_the_names_of_short_families_are_whole(counts: tuple[int, int]) -> None:
    names = schedule_table(PLAIN.resolve(*counts, 1)).splitlines()[2].split("│")
    families = zip(("double", "single"), counts, strict=True)
    assert [name.strip() for name in names] == [name for name, count in families if count]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_table_tells_how_many_blocks_share_a_column(width: int) -> None:
    lines = schedule_table(PLAIN.resolve(19, 38, 1), width).splitlines()
    row = next(line for line in lines if line.startswith("  high"))
    told = re.search(r"a column is (\d+) blocks", " ".join(lines))
    shared = int(told[1]) if told else 1
    assert [part.count("█") for part in row.split("│")] == [-(-19 // shared), -(-38 // shared)]


def test_the_table_is_100_columns_wide_if_nothing_else_is_asked() -> None:
    schedule = Routing.from_yaml(f"name: a\nabout: {'x ' * 90}\nrules: [{{level: high}}]").resolve(19, 38, 1)
    assert schedule_table(schedule) == schedule_table(schedule, 100) != schedule_table(schedule, 101)


def test_only_ranges_of_another_model_are_said_to_be_rescaled() -> None:
    routing = Routing.from_yaml("name: a\nmodel: {double: 4, single: 8}\nrules: [{level: high, double: 0-1}]")
    assert "rescaled" not in title(routing.resolve(4, 8, 3))
    assert title(routing.resolve(8, 16, 3)).endswith("block ranges rescaled from 4 + 8")


@pytest.mark.parametrize(("least", "stride"), [(0.3, 1), (1, 1), (1.5, 2), (2.1, 5), (6, 10), (11, 20), (199, 200)])
def test_ticks_are_round(least: float, stride: int) -> None:
    assert tick_stride(least) == stride
