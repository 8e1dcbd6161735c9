"""Intervals over scenes, and the differences that pictures are compared by."""

import numpy as np
import pytest

from strata.analysis.measures import colour_change, pixel_change, structure_change, texture_change
from strata.analysis.statistics import bootstrap, rank_correlation


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [bootstrap(rng.normal(0.3, 1.0, 30))[0] for _ in range(100)]
    assert 86 <= sum(e.low <= 0.3 <= e.high for e in intervals) <= 100


def test_bootstrap_of_the_same_values_is_the_same_and_leaves_out_what_is_missing() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 4.0]])
    one, other = bootstrap(values), bootstrap(values)
    assert one == other
    assert [e.value for e in one] == [3.0, 3.0]
    assert one[0].low >= 1
    assert one[0].high <= 5


def test_bootstrap_of_something_made_of_the_means() -> None:
    table = np.arange(5.0) + np.random.default_rng(0).normal(0, 0.2, (20, 5))
    (rank,) = bootstrap(table, rank_correlation)
    assert (rank.value, rank.high) == pytest.approx((1, 1))
    assert rank.low > 0.9


def test_rank_correlation() -> None:
    assert rank_correlation(np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert rank_correlation(np.array([1.0, 1.0, 1.0])) == 0
    assert rank_correlation(np.array([1.0, 9.0, 2.0, 8.0])) == pytest.approx(0.4)


def test_changes_tell_structure_colour_and_texture_apart() -> None:
    y, x = np.mgrid[0:32, 0:32]
    disc = ((x - 16) ** 2 + (y - 16) ** 2 < 100)[..., None]
    red = np.where(disc, np.uint8([200, 60, 60]), np.uint8(128)).astype(np.uint8)
    green = np.where(disc, np.uint8([60, 129, 60]), np.uint8(128)).astype(np.uint8)
    stripes = np.where(disc & (x % 4 < 2)[..., None], np.uint8(250), red).astype(np.uint8)
    for change in (structure_change, colour_change, texture_change, pixel_change):
        assert change(red, red) == pytest.approx(0, abs=1e-9)
    assert structure_change(red, green) < 0.15 < structure_change(red, stripes)
    assert colour_change(red, green) > 10
    assert texture_change(red, stripes) > 3 * texture_change(red, green)
    assert 0 < pixel_change(red, green) < 1


def test_small_parts_can_be_compared() -> None:
    small = np.zeros((5, 6, 3), dtype=np.uint8)
    assert structure_change(small, small) == 0
