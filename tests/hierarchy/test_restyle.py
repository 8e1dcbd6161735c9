"""Low texts replaced in a plan, and taken from another one."""

import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.phrases import prompt_without, words
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.restyle import left_behind, low_texts, matching_styles, restyled, without_detail

HEAD = "width: 64\nheight: 64\nprompt: two\n"
PLAN = ScenePlan.from_yaml(
    f"""{HEAD}regions:
  - {{name: left, box: [0, 0, 32, 64], high: a circle, low: red}}
  - {{name: right, box: [32, 0, 64, 64], high: a square}}
background: {{high: a wall, low: grey}}
""",
    "plan.yaml",
)
UNDIVIDED = f"{HEAD}regions:\n  - {{name: left, box: [0, 0, 32, 64], full: a red circle}}\n"


def other(names: tuple[str, str], extra: str = "") -> ScenePlan:
    regions = "".join(
        f"  - {{name: {name}, box: [0, 0, 32, 64], high: x, low: {low}}}\n"
        for name, low in zip(names, ("gold", "silver"), strict=True)
    )
    return ScenePlan.from_yaml(f"{HEAD}regions:\n{regions}{extra}")


def test_only_the_low_texts_named_change() -> None:
    changes = {"left": "blue, dotted", "right": "green", "background": "brick", "global": "oil painting"}
    changed = restyled(PLAN, changes)
    assert low_texts(PLAN) == {"left": "red", "background": "grey"}
    assert low_texts(changed) == changes
    back = restyled(changed, {"left": "red", "background": "grey"})
    assert [region.high for region in back.regions] == ["a circle", "a square"]
    assert restyled(PLAN, {"left": "blue"}).regions[1] is PLAN.regions[1]


@pytest.mark.parametrize(
    ("prompt", "dropped", "left"),
    [
        ("a red and white striped boat at sea", ["red", "white", "striped"], "a boat at sea"),
        ("an orange, checkered house", ["orange", "checkered"], "a house"),
        ("a red apple, oil painting, moody", ["red", "oil", "painting"], "an apple, moody"),
        ("a boat, Red, striped", ["red", "striped"], "a boat"),
        ("a redwood and a red door", ["red"], "a redwood and a door"),
        ("red", ["red"], "red"),
        ("a boat", [], "a boat"),
    ],
)
def test_a_base_prompt_without_the_old_detail(prompt: str, dropped: list[str], left: str) -> None:
    assert prompt_without(prompt, dropped) == left


def test_only_what_the_changed_areas_alone_say_is_left_behind() -> None:
    text = f"""{HEAD.replace("prompt: two", "prompt: a red dotted circle and a red square, watercolour")}regions:
  - {{name: left, box: [0, 0, 32, 64], high: a circle, low: "red, dotted, watercolour"}}
  - {{name: right, box: [32, 0, 64, 64], high: a square, low: "red, watercolour"}}
"""
    plan = ScenePlan.from_yaml(text)
    assert left_behind(plan, {"left": "blue"}) == ["dotted"]
    assert left_behind(plan, {"left": "blue", "right": "green, watercolour"}) == ["red", "dotted"]
    assert left_behind(plan, {"left": "dotted, blue"}) == []
    assert left_behind(plan, {"background": "brick"}) == []


@pytest.mark.parametrize(
    ("low", "message"),
    [
        ({"lef": "blue"}, "'lef': no such area; did you mean 'left'? valid: left, right, background, global"),
        ({"left": "red"}, "low text of 'left': 'red': is that already"),
        ({"left": "  "}, "low text of 'left': .*must not be empty"),
        ({"left": "a\x07b"}, r"U\+0007"),
    ],
)
def test_what_cannot_change(low: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        restyled(PLAN, low)


def test_undivided_texts_are_refused_with_what_to_do() -> None:
    plan = ScenePlan.from_yaml(UNDIVIDED, "plan.yaml")
    with pytest.raises(InputError, match=r"plan.yaml:5: regions\[0\].full: has one undivided text, 'a red circle'"):
        restyled(plan, {"left": "blue"})
    with pytest.raises(InputError, match="background: has no texts whose style could change"):
        restyled(plan, {"background": "blue"})


def test_words_have_three_letters_and_stand_once() -> None:
    assert words("A red, wet fox of the RED sea, no ox") == ["red", "wet", "fox", "the", "sea"]


def test_styles_of_another_plan_by_name_or_in_order() -> None:
    assert matching_styles(PLAN, other(("right", "left"))) == {"left": "silver", "right": "gold"}
    assert matching_styles(PLAN, other(("moon", "sea"))) == {"left": "gold", "right": "silver"}
    assert matching_styles(PLAN, other(("moon", "left"))) == {"left": "silver"}
    extra = "background: {low: snow}\nlow: watercolour\n"
    assert matching_styles(PLAN, other(("moon", "left"), extra)) == {
        "left": "silver",
        "background": "snow",
        "global": "watercolour",
    }
    without_ground = PLAN.model_copy(update={"background": None})
    assert matching_styles(without_ground, other(("moon", "left"), extra)) == {
        "left": "silver",
        "global": "watercolour",
    }
    assert matching_styles(PLAN, PLAN) == {}
    with pytest.raises(InputError, match="no low text for any of left, background, global; low texts there: none"):
        matching_styles(PLAN, ScenePlan.from_yaml(UNDIVIDED.replace("left", "bottom")))


def test_an_area_whose_detail_stands_for_it_is_told_by_its_content() -> None:
    text = HEAD.replace("prompt: two", "prompt: an orange on the left and a red square, orange light")
    text += """regions:
  - {name: left, box: [0, 0, 32, 64], high: a fruit, low: "orange, round"}
  - {name: right, box: [32, 0, 64, 64], high: a square, low: red}
"""
    plan = ScenePlan.from_yaml(text)
    assert without_detail(plan, {"left": "blue"}) == "a fruit on the left and a red square, light"
    assert without_detail(plan, {"right": "blue"}) == "an orange on the left and a square, orange light"
