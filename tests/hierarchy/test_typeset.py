"""Text fits where it is set, nothing of it is lost unnoticed, and sheets grow with what stands on them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont

from strata.hierarchy import typeset
from strata.hierarchy.compare import contact_cell, contact_sheet, side_by_side
from strata.hierarchy.style import INK, PAPER, WRONG
from strata.hierarchy.typeset import SMALL, Sheet, enlarged, fit, hatching, line_height, measure, resized, wrap

TEXTS = st.text(st.sampled_from("abc wide WIDE,äß中 "), max_size=120)


@pytest.fixture
def another_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The path of the font that sets what Pillow's own cannot, whatever this system has."""
    there = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    monkeypatch.setattr(typeset, "_BEYOND_LATIN", ("no-such-font.ttf", there))
    typeset._face.cache_clear()
    yield there
    typeset._face.cache_clear()


@given(TEXTS, st.integers(40, 300), st.sampled_from([11, 15, 24]))
def test_lines_are_no_wider_than_asked_and_hold_the_whole_text(text: str, width: int, size: int) -> None:
    lines = wrap(text, size, width)
    assert all(measure(line, size) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(TEXTS, st.integers(1, 4))
def test_what_does_not_fit_ends_with_an_ellipsis(text: str, most: int) -> None:
    whole, cut = wrap(text, 15, 80), wrap(text, 15, 80, most)
    assert len(cut) <= most
    assert all(measure(line, 15) <= 80 for line in cut)
    assert cut[-1].endswith("…") if len(whole) > most else cut == whole


def test_one_line_is_shortened() -> None:
    assert fit("short", 15, 200) == "short"
    cut = fit("a rather long name of a region", 15, 100)
    assert cut.endswith("…")
    assert measure(cut, 15) <= 100


@pytest.mark.parametrize("text", ["a rather long name of a region", "длинное название области", "W", ""])
def test_as_much_is_kept_as_has_room_beside_the_ellipsis(text: str, another_font: str) -> None:
    beginnings = [text[:end].rstrip() + "…" for end in range(len(text), -1, -1)]
    for width in range(20, 180, 7):
        fitting = (beginning for beginning in beginnings if measure(beginning, 15) <= width)
        assert fit(text, 15, width) == (text if measure(text, 15) <= width else next(fitting)), width
    assert fit(text, 15, 3) == ("…" if text else "")


@pytest.mark.parametrize(
    ("width", "lines"), [("W", ["W", "W", "W", "i"]), ("WW", ["WW", "Wi"]), ("", ["W", "W", "W", "i"])]
)
def test_a_line_has_a_letter_at_least_and_more_only_if_they_fit(width: str, lines: list[str]) -> None:
    assert wrap("WWWi", 15, measure(width, 15)) == lines


def test_no_letter_stands_where_only_the_ellipsis_has_room() -> None:
    assert fit("wide", 15, measure("…", 15)) == "…"


@pytest.mark.parametrize("finer", [1, 2, 3])
def test_lines_are_drawn_where_the_page_says_and_the_page_reaches_them(finer: int) -> None:
    sheet = Sheet(40, finer=finer)
    sheet.lines([(10.5, 1200.5), (30.5, 1200.5)], WRONG, 2)
    hit = np.argwhere(np.equal(np.asarray(sheet.picture(1210)), WRONG).all(axis=2)) / finer
    assert np.abs(hit.mean(axis=0) - (1200.5, 20.5)).max() < 0.6
    assert np.abs(np.ptp(hit, axis=0) + 1 / finer - (2, 20)).max() <= 1


@pytest.mark.parametrize("finer", [1, 2])
def test_what_begins_on_the_page_and_ends_below_it_is_whole(finer: int) -> None:
    boxed, pasted, down, across = (Sheet(40, finer=finer) for _ in range(4))
    boxed.box((10, 500, 20, 100), WRONG)
    pasted.paste(np.full((100 * finer, 20 * finer, 3), WRONG, dtype=np.uint8), 10, 500)
    down.lines([(20, 400), (20, 600)], WRONG, 20)
    across.lines([(0, 511), (40, 511)], WRONG, 20)
    assert (np.asarray(boxed.picture(640)) == np.asarray(pasted.picture(640))).all()
    for sheet, area in ((boxed, 2000), (down, 4000), (across, 800)):
        coloured = int(np.equal(np.asarray(sheet.picture(640)), WRONG).all(axis=2).sum()) / finer**2
        assert abs(coloured - area) <= (0 if sheet is boxed else 60), "a line may be a pixel longer and wider"


@pytest.mark.parametrize("radius", [0, 10.4, 13.6, 40])
def test_a_box_of_any_size_can_be_round(radius: float) -> None:
    for width, height in itertools.product(range(1, 60, 2), (1, 2, 20, 23, 28, 29, 30)):
        for wide in (width, width + 1):
            sheet = Sheet(60)
            sheet.box((0, 0, wide, height), WRONG, INK, radius)
            drawn = np.asarray(sheet.picture(height))[:, :wide]
            assert (drawn != PAPER).any(axis=2).mean() > 0.7
            assert (drawn[height // 2, 0] == INK).all()
            assert (drawn[0, 0] == INK).all() == (radius == 0 or min(wide, height) < 3)


def test_letters_that_pillow_has_not_are_of_the_first_font_that_is_there(another_font: str) -> None:
    assert measure("лодка", 15) == ImageFont.truetype(another_font, 15).getlength("лодка")


@pytest.mark.parametrize("finer", [1, 2])
def test_text_far_below_the_page_is_on_it_and_an_empty_page_is_as_high_as_asked(finer: int) -> None:
    near, far = Sheet(60, finer=finer), Sheet(60, finer=finer)
    near.text(5, 20, "word", 16)
    far.text(5, 1020, "word", 16)
    assert (np.asarray(far.picture(1040))[1000 * finer :] == np.asarray(near.picture(40))).all()
    assert np.asarray(near.picture(40)).min() < 100
    heights, widths = np.nonzero(np.asarray(near.picture(40)).min(axis=2) < 128)
    assert abs(np.ptp(widths) / finer - measure("word", 16)) < 4, "letters of the size that was asked for"
    assert 8 < np.ptp(heights) / finer < 16
    assert Sheet(60, finer=finer).picture(1500).size == (60 * finer, 1500 * finer)
    assert (np.asarray(Sheet(60, finer=finer).picture(1500)) == PAPER).all()


@pytest.mark.parametrize("finer", [1, 2])
def test_a_sheet_grows_downwards_and_is_cut_off(finer: int) -> None:
    sheet = Sheet(100, finer=finer)
    sheet.box((10, 900, 20, 10), WRONG)
    bottom = sheet.paragraph(10, 2000, "word " * 20, 15, INK)
    lines = round((bottom - 2000) / line_height(15))
    assert lines == len(wrap("word " * 20, 15, 80))
    assert sheet.paragraph(30, 0, "word " * 20, 15, PAPER) == line_height(15) * len(wrap("word " * 20, 15, 40))
    picture = sheet.picture(bottom)
    assert picture.size == (100 * finer, round(bottom) * finer)
    pixels = np.asarray(picture)
    assert int(np.equal(pixels, WRONG).all(axis=2).sum()) == 200 * finer**2
    assert (pixels[: 900 * finer] == PAPER).all()


@pytest.mark.parametrize(
    ("size", "side", "found"),
    [((64, 32), 200, (192, 96)), ((32, 64), 64, (32, 64)), ((100, 30), 199, (100, 30)), ((300, 20), 200, (300, 20))],
)
def test_enlarged_by_a_whole_factor_and_never_smaller(size: tuple[int, int], side: int, found: tuple[int, int]) -> None:
    assert enlarged(Image.new("RGB", size), side).size == found


def test_what_is_enlarged_is_smooth_and_rgb() -> None:
    halves = Image.new("L", (4, 4))
    halves.paste(255, (2, 0, 4, 4))
    pixels = np.asarray(enlarged(halves, 64))
    assert pixels.shape == (64, 64, 3)
    assert pixels[:, :8].max() < 30
    assert pixels[:, -8:].min() > 225
    assert len(np.unique(pixels)) > 8, "from one half to the other in many shades"


def test_small_pictures_stay_sharp() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    assert np.array_equal(np.asarray(resized(noise, 256, 256))[2::4, 2::4], np.asarray(noise))
    full = noise.resize((SMALL, 20))
    assert np.array_equal(np.asarray(resized(full, 2 * SMALL, 40))[::2, ::2], np.asarray(full))
    long = noise.resize((300, 20))
    assert not np.array_equal(np.asarray(resized(long, 600, 40))[::2, ::2], np.asarray(long)), "smoothed"
    large = noise.resize((300, 300))
    assert not np.array_equal(np.asarray(resized(large, 600, 600))[::2, ::2], np.asarray(large)), "smoothed"


def test_hatching_covers_a_quarter() -> None:
    assert hatching(16, 24, 8).shape == (16, 24)
    assert hatching(16, 24, 8).mean() == 0.25


def test_pictures_side_by_side_are_whole_and_titled() -> None:
    pictures = [Image.new("RGB", (64, 32), colour) for colour in ("red", "blue", "lime", "black")]
    sheet = side_by_side([pictures[:2], pictures[2:]], ["one", "a title that takes several lines " * 3])
    pixels = np.asarray(sheet)
    assert sheet.width == 2 * 256 + 3 * 12
    above = 12 + line_height(13) * len(wrap("a title that takes several lines " * 3, 13, 256))
    assert (pixels[:above] != (255, 0, 0)).any(axis=2).all(), "the pictures stand below the longest title"
    for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0), (0, 0, 0)):
        assert int(np.equal(pixels, colour).all(axis=2).sum()) == 256 * 128


@pytest.mark.parametrize(("size", "factor"), [((100, 128), 2), ((256, 20), 1), ((257, 300), 1), ((90, 60), 3)])
def test_pictures_side_by_side_are_enlarged_only_if_they_are_small(size: tuple[int, int], factor: int) -> None:
    assert side_by_side([[Image.new("RGB", size)]], [""]).width == factor * size[0] + 2 * 12


@pytest.mark.parametrize(
    ("size", "count", "cell", "columns"),
    [
        ((128, 64), 8, (256, 128), 4),
        ((96, 96), 2, (192, 192), 2),
        ((1024, 512), 3, (512, 256), 3),
        ((1024, 1024), 200, (244, 244), 16),
        pytest.param((1024, 1024), 2_916, (64, 64), 54, marks=pytest.mark.slow),
    ],
)
def test_contact_sheets_have_cells_that_can_be_seen(
    size: tuple[int, int], count: int, cell: tuple[int, int], columns: int
) -> None:
    shown = contact_cell(Image.new("RGB", size, "red"), count)
    assert shown.size == cell
    assert contact_cell(shown, count).size == cell
    sheet = contact_sheet([shown] * count, ["seed 9223372036854775807"] * count)
    assert sheet.width == columns * (cell[0] + 12) + 12
    assert int(np.equal(np.asarray(sheet), (255, 0, 0)).all(axis=2).sum()) == count * cell[0] * cell[1]
    bottom = np.asarray(sheet)[12 + cell[1] + 1 : 12 + cell[1] + 16]
    assert int((bottom < 100).all(axis=2).sum()) > 50, "the seeds stand below"
