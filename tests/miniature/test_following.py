"""The bundled model draws what it is told: a small sample of the score report, with room for chance."""

import pytest

from strata.miniature.checkpoint import load_pipeline
from strata.miniature.report import ALL, Evaluator, count


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(load_pipeline())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "attribute", "least"),
    [
        ("single", ALL, 0.95),
        ("content", "kind", 0.90),
        ("detail", "colour", 0.95),
        ("two-named", ALL, 0.95),
        ("regions-2", ALL, 0.90),
        ("regions-4", ALL, 0.90),
        ("alone-2", ALL, 0.85),
        ("levels-2", ALL, 0.85),
    ],
)
def test_following(evaluator: Evaluator, kind: str, attribute: str, least: float) -> None:
    scores = count(list(evaluator.draw(kind, 40, seed=11)))
    assert scores[attribute].value >= least, scores


@pytest.mark.slow
def test_isolated_regions_follow_better_than_open_ones(evaluator: Evaluator) -> None:
    """Regions that never stand on their own run into each other: what the default routing is for."""
    alone = count(list(evaluator.draw("alone-2", 40, seed=12)))[ALL].value
    together = Evaluator(evaluator.pipe, routing="uniform")
    assert alone > count(list(together.draw("alone-2", 40, seed=12)))[ALL].value + 0.2
