"""What is above or below another thing shares its width."""

from __future__ import annotations

import pytest

from strata.hierarchy.plan import Box
from strata.llm.backends.bundled.aligning import aligned
from strata.llm.backends.bundled.answers import Truth, caption
from strata.llm.backends.bundled.backend import BundledBackend
from strata.llm.backends.bundled.grammar.scene import Fact, Scene, fault_of
from strata.llm.backends.bundled.world import Backdrop, Thing
from strata.llm.planner import Planner

THINGS = tuple(map(Thing, ("boat", "fish", "house", "sun")))
LEFT, MIDDLE = (0, 333, 333, 667), (333, 333, 667, 667)


def done(boxes: tuple[Box, ...], facts: tuple[Fact, ...], places: tuple[str | None, ...] = ()) -> tuple[Box, ...]:
    things = THINGS[: len(boxes)]
    scene = Scene(things, places or (None,) * len(boxes), facts)
    truth = Truth(things, boxes, Backdrop())
    assert fault_of(scene, truth) is None
    found = aligned(scene, truth)
    assert fault_of(scene, found) is None
    if found != truth:
        assert found.topic == caption(found)
    return found.boxes


@pytest.mark.parametrize(("relation", "y"), [("above", 0), ("below", 667)])
def test_one_is_moved_to_the_other(relation: str, y: int) -> None:
    """The second thing, which no place holds; the boat stays at the left, where the prompt puts it."""
    boxes = (LEFT, (333, y, 667, y + 333))
    assert done(boxes, ((relation, (1, 0)),), ("left", None)) == (LEFT, (0, y, 334, y + 333))
    wide = (LEFT, (400, y, 1000, y + 333))
    assert done(wide, ((relation, (1, 0)),), ("left", None))[1] == (0, y, 600, y + 333), "as far as the canvas goes"


def test_the_other_is_moved_where_the_first_is_held() -> None:
    boxes = (MIDDLE, (667, 667, 1000, 1000))
    assert done(boxes, (("below", (1, 0)),), (None, "bottom right"))[0] == (666, 333, 1000, 667)


def test_what_stands_in_the_way_is_left_alone() -> None:
    """The house is where the fish would go to, so the fish goes as far as it can, and its width to the boat."""
    boxes = ((0, 0, 300, 500), (600, 500, 900, 1000), (0, 500, 200, 1000))
    boat, fish, house = done(boxes, (("below", (1, 0)),), (None, None, None))
    assert house == boxes[2]
    assert 2 * (min(boat[2], fish[2]) - max(boat[0], fish[0])) >= 300


def test_what_is_in_line_or_cannot_be_stays() -> None:
    under = ((0, 0, 500, 500), (0, 500, 1000, 1000))
    assert done(under, (("below", (1, 0)),)) == under
    corners = ((0, 0, 333, 333), (667, 667, 1000, 1000))
    assert done(corners, (("below", (1, 0)),), ("top left", "bottom right")) == corners
    beside = ((0, 0, 500, 500), (500, 500, 1000, 1000))
    assert done(beside, (("beside", (1, 0)),)) == beside


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(BundledBackend())


@pytest.mark.parametrize(
    ("prompt", "upper", "lower"),
    [
        ("a fish under a boat on the left", "boat", "fish"),
        ("a fish swimming under a boat", "boat", "fish"),
        ("a moon above a tree, a car on the left", "moon", "tree"),
        ("a sun on the right and a house below the sun", "sun", "house"),
        ("a star on top of a house and a cup", "star", "house"),
    ],
)
def test_sentences(planner: Planner, prompt: str, upper: str, lower: str) -> None:
    boxes = {region.name: region.box for region in planner.plan(prompt, 128, 128).regions}
    above, below = boxes[upper], boxes[lower]
    assert above is not None
    assert below is not None
    assert above[3] <= below[1]
    narrower = min(above[2] - above[0], below[2] - below[0])
    assert 2 * (min(above[2], below[2]) - max(above[0], below[0])) >= narrower
