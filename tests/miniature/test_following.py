"""The bundled model draws what it is told: a small sample of the score report, with room for chance."""

import pytest

from strata.layers.routing import DEFAULT_ROUTING
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.report import ALL, Evaluator, count


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(load_pipeline())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "attribute", "least"),
    [
        ("single", ALL, 0.79),
        ("content", "kind", 0.86),
        ("detail", "colour", 0.95),
        ("two-named", ALL, 0.82),
        ("regions-2", ALL, 0.74),
        ("regions-4", ALL, 0.90),
        ("alone-2", ALL, 0.22),
        ("levels-2", ALL, 0.72),
        ("alike-4", ALL, 0.90),
        ("one-style", "style", 0.86),
        ("two-styles", "style", 0.50),
    ],
)
def test_following(evaluator: Evaluator, kind: str, attribute: str, least: float) -> None:
    """`least` is the score of 200 objects less three standard errors of 40."""
    scores = count(list(evaluator.draw(kind, 40, seed=11)))
    assert scores[attribute].value >= least, scores


@pytest.mark.slow
def test_regions_isolated_at_first_follow_better_than_open_ones(evaluator: Evaluator) -> None:
    """Regions that never stand on their own run into each other: what the default routing is for.

    So it is where the base prompt names the objects; where it only counts them, their kinds come out badly either way.
    """
    scores = {}
    for routing in (DEFAULT_ROUTING, "uniform"):
        drawn = Evaluator(evaluator.pipe, routing=routing).draw("levels-2", 60, seed=12)
        scores[routing] = count(list(drawn))[ALL].value
    assert scores[DEFAULT_ROUTING] > scores["uniform"] + 0.05, scores
