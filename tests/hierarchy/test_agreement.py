"""Whether a prompt tells of a plan's regions as they are."""

import numpy as np
import pytest
from PIL import Image

from strata.hierarchy.agreement import disagreeing
from strata.hierarchy.plan import Region, ScenePlan

LEFT, RIGHT = (0, 0, 30, 64), (34, 0, 64, 64)
TOP, WHOLE = (0, 0, 64, 30), (0, 0, 64, 64)


def plan(prompt: str, *told: tuple[tuple[int, int, int, int], str], level: str = "high", low: str = "") -> ScenePlan:
    """Regions by box and content."""
    more = {"low": low} if low else {}
    regions = tuple(Region(name=f"r{n}", box=box, **{level: text}, **more) for n, (box, text) in enumerate(told))
    return ScenePlan(width=64, height=64, prompt=prompt, regions=regions)


def agreeing_share(plan: ScenePlan) -> float:
    """Of the regions; 1 without any."""
    return 1 - len(disagreeing(plan)) / len(plan.regions) if plan.regions else 1.0


@pytest.mark.parametrize("level", ["high", "full", "low"])
@pytest.mark.parametrize(
    ("prompt", "contents", "share"),
    [
        ("a red striped boat under a yellow sun, at sea", ("a boat", "a sun"), 1),
        ("Two objects, sea background", ("a boat", "a sun"), 0),
        ("a boat and something else", ("a boat", "a sun"), 0.5),
        ("A tall lighthouse on a cliff, at dusk", ("an old tall lighthouse",), 1),
        ("a lighthouse on a cliff, at dusk", ("an old stone lighthouse with a gallery",), 0),
        ("three sunflowers", ("a sun",), 0),
        ("an ox by the road", ("an ox",), 1),
        ("a cow by the road", ("an ox",), 0),
        ("一只红色的猫坐在窗台上", ("红色的猫",), 1),
        ("两个物体", ("红色的猫",), 0),
        ("", ("a boat",), 0),
        ("anything", (), 1),
    ],
)
def test_what_is_named(prompt: str, contents: tuple[str, ...], share: float, level: str) -> None:
    assert agreeing_share(plan(prompt, *((WHOLE, text) for text in contents), level=level)) == share


@pytest.mark.parametrize(
    ("prompt", "agrees"),
    [
        ("a boat on the left", True),
        ("a boat on the right", False),
        ("a boat in the upper left corner", False),
        ("a boat in the middle, a sun on the right", False),
        ("In the very center of the picture stands a house; a boat", True),
        ("in the centre a house, a boat", False),
        ("at the center, a boat with two sails", False),
        ("a boat in the middle with two sails", False),
        ("a boat in the middle on the left", True),
        ("a boat in the middle of the lake", True),
        ("a boat in the middle distance", True),
        ("a sun on the right and a boat on the left", True),
        ("a sun on the left and a boat on the right", False),
        ("On the left, a small boat; on the right, a sun", True),
        ("On the right, a small boat; on the left, a sun", False),
        ("on the right a sun, a boat", False),
        ("a boat to the right of a house", True),
        ("a boat to the right of the picture", False),
        ("boats on the left and on the right", False),
        ("a boat on the right, a second boat on the left", True),
        ("a boat from left to right", True),
    ],
)
def test_where_it_is_put(prompt: str, agrees: bool) -> None:
    assert agreeing_share(plan(prompt, (LEFT, "a boat"))) == agrees


@pytest.mark.parametrize(
    ("box", "agrees"), [((20, 20, 44, 44), True), ((10, 16, 44, 64), True), ((0, 0, 24, 64), False)]
)
def test_what_is_in_the_middle(box: tuple[int, int, int, int], agrees: bool) -> None:
    assert agreeing_share(plan("a boat in the center of the image", (box, "a boat"))) == agrees


def test_of_like_things_the_one_with_its_detail_counts() -> None:
    prompt = "a red boat on the left and a blue boat on the right"
    assert agreeing_share(plan(prompt, (LEFT, "a boat"), low="red, striped")) == 1
    assert agreeing_share(plan(prompt, (RIGHT, "a boat"), low="red, striped")) == 0
    assert agreeing_share(plan(prompt, (RIGHT, "a boat"), low="blue, striped")) == 1
    assert agreeing_share(plan(prompt, (RIGHT, "a boat"), low="green")) == 1, "either may be meant"
    assert agreeing_share(plan(prompt, (RIGHT, "a blue boat"))) == 1


def test_down_and_the_middle_of_what_is_covered() -> None:
    assert agreeing_share(plan("a kite at the top", (TOP, "a kite"))) == 1
    assert agreeing_share(plan("a kite at the bottom", (TOP, "a kite"))) == 0
    assert agreeing_share(plan("a kite in the top left corner", (TOP, "a kite"))) == 0
    assert agreeing_share(plan("a kite on the left", (WHOLE, "a kite"))) == 0


def test_a_mask_is_looked_at_only_for_a_place(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("masks")
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:, 40:] = 255
    Image.fromarray(mask).save(folder / "there.png")
    text = "width: 64\nheight: 64\nprompt: {}\nregions:\n  - {{name: a, mask: {}, high: a boat}}\n"

    def share(prompt: str, name: str) -> float:
        return agreeing_share(ScenePlan.from_yaml(text.format(prompt, name), "plan.yaml", folder))

    assert share("a boat on the right", "there.png") == 1
    assert share("a boat on the left", "there.png") == 0
    assert share("a boat", "gone.png") == 1
