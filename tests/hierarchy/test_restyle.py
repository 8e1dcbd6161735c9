"""Low texts replaced in a plan, and taken from another one."""

import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.phrases import old_words, retold_prompt, words
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.restyle import low_texts, matching_styles, restyled

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


def told(prompt: str, left: str, right: str, more: str = "") -> ScenePlan:
    text = f"""{HEAD.replace("prompt: two", f"prompt: {prompt}")}regions:
  - {{name: left, box: [0, 0, 32, 64], high: a circle, low: "{left}"}}
  - {{name: right, box: [32, 0, 64, 64], high: a square, low: "{right}"}}
{more}"""
    return ScenePlan.from_yaml(text)


@pytest.mark.parametrize(
    ("prompt", "right", "low", "after", "still"),
    [
        ("a red dotted circle and a red square", "red", {"left": "orange"}, "an orange circle and a red square", []),
        ("a red circle, a red square", "red", {"right": "made of oak"}, "a red circle, a square made of oak", []),
        ("a red circle, a blue square", "blue", {"left": "blue", "right": "red"}, "a blue circle, a red square", []),
        ("one is red, one is blue", "blue", {"left": "blue", "right": "red"}, "one is blue, one is red", []),
        ("red things and a square", "red", {"left": "blue"}, "red things and a square", ["red"]),
        ("a shape of red dots", "blue", {"left": "green"}, "a shape of red dots", ["red"]),
        ("a circle, oil painting", "blue", {"global": "pencil"}, "a circle, pencil", []),
        ("a circle in oil", "blue", {"global": "pencil"}, "a circle in oil", ["oil"]),
    ],
)
def test_the_base_prompt_says_the_new_detail_and_is_else_as_it_was(
    prompt: str, right: str, low: dict[str, str], after: str, still: list[str]
) -> None:
    plan = told(f"'{prompt}'", "red, dotted", right, "low: oil painting\n")
    changed = restyled(plan, low)
    changed = changed.model_copy(update={"prompt": retold_prompt(plan, changed)})
    assert changed.prompt == after
    assert [word for area in low for word in old_words(plan, changed, area)] == still


def test_all_old_words_are_named_where_the_prompt_stays() -> None:
    plan = told("a red dotted circle and a red square", "red, dotted", "red")
    assert old_words(plan, restyled(plan, {"left": "green, dotted"}), "left") == ["red"]


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
    with pytest.raises(
        InputError, match=r"plan.yaml:5: regions\[0\].full: has one undivided text, 'a red circle'"
    ) as refused:
        restyled(plan, {"left": "blue"})
    assert "striped" not in str(refused.value), "of this text, not of another"
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
