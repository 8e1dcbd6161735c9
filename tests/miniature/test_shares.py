import pytest
from scipy.stats import binomtest

from strata.analysis.statistics import wilson
from strata.miniature.world.shares import Share


@pytest.mark.parametrize(("right", "asked"), [(0, 1), (1, 1), (0, 20), (97, 100), (100, 200), (200, 200)])
def test_intervals_are_those_of_scipy(right: int, asked: int) -> None:
    found = binomtest(right, asked).proportion_ci(method="wilson")
    assert Share(right, asked).interval() == pytest.approx((found.low, found.high), abs=1e-7)


def test_studies_use_the_same_intervals() -> None:
    estimate = wilson(0.25, 40)
    assert (estimate.value, (estimate.low, estimate.high)) == (0.25, Share(10, 40).interval())
    assert wilson(0.2375, 40).low < estimate.low, "a mean of scenes' own shares is no whole number of hits"
