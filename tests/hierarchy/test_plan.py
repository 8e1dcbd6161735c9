"""The plan: round trips, refusals, resizing, saving."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import Document, parse_document
from strata.hierarchy.plan import FARTHEST, LARGEST_SIDE, Description, Region, ScenePlan, Strength

from .plans import plans

EXAMPLE = """\
width: 64
height: 48
prompt: a circle and a square
low: pencil drawing
regions:
  - name: left
    box: [0, 0, 32, 48]
    high: a circle
    low: red
    strength: {low: 0.5}
  - {name: right, polygon: [[32, 0], [64, 0.5], [64, 48]], full: a blue square, strength: 0.25}
background: {high: plain background}
"""


@given(plans())
def test_round_trips(plan: ScenePlan) -> None:
    assert ScenePlan.from_yaml(plan.to_yaml()) == plan
    assert ScenePlan.from_json(plan.to_json()) == plan
    assert ScenePlan.model_validate(plan.model_dump()) == plan
    assert ScenePlan.model_validate_json(plan.model_dump_json()) == plan


def test_output_leaves_out_defaults_and_reads_well() -> None:
    assert (
        ScenePlan.from_yaml(EXAMPLE).to_yaml()
        == """\
width: 64
height: 48
prompt: a circle and a square
low: pencil drawing
regions:
  - name: left
    box: [0, 0, 32, 48]
    high: a circle
    low: red
    strength:
      low: 0.5
  - name: right
    polygon: [[32, 0], [64, 0.5], [64, 48]]
    full: a blue square
    strength: 0.25
background:
  high: plain background
"""
    )


def test_descriptions() -> None:
    full = ScenePlan.from_yaml(EXAMPLE.replace("low: pencil", "high: two shapes\nlow: pencil"))
    assert full.descriptions()[:2] == (
        Description("global", "high", "two shapes", 1.0),
        Description("global", "low", "pencil drawing", 1.0),
    )
    assert ScenePlan.from_yaml(EXAMPLE).descriptions() == (
        Description("global", "low", "pencil drawing", 1.0),
        Description("left", "high", "a circle", 1.0),
        Description("left", "low", "red", 0.5),
        Description("right", "full", "a blue square", 0.25),
        Description("background", "high", "plain background", 1.0),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[0, 0, 32, 48]", "[5, 5, 2, 9]", "p:7: regions[0].box: [5, 5, 2, 9]: x2 must be greater than x1"),
        ("[0, 0, 32, 48]", "[5, 5, 9, 5]", "p:7: regions[0].box: [5, 5, 9, 5]: y2 must be greater than y1"),
        ("[0, 0, 32, 48]", "[-1, 5, 9, 9]", "p:7: regions[0].box: [-1, 5, 9, 9]: x1 must not be negative"),
        ("[0, 0, 32, 48]", "[0, 0, 32, 49]", "p:7: regions[0].box: [0, 0, 32, 49]: leaves the 64x48 canvas"),
        ("[0, 0, 32, 48]", "[0, 0, 32]", "p:7: regions[0].box[3]: missing"),
        ("[0, 0, 32, 48]", "[0, 0, 32, '48']", "p:7: regions[0].box[3]: '48': must be a number"),
        ("[0, 0, 32, 48]", "[0, 0, 32, 4.5]", "p:7: regions[0].box[3]: 4.5: must be a valid integer"),
        ("[0, 0, 32, 48]", "5", "p:7: regions[0].box: 5: must be a list"),
        (
            "box: [0, 0, 32, 48]",
            "mask_threshold: 0.3",
            "p:6: regions[0]: needs exactly one of box, polygon, mask (given: none)",
        ),
        (
            "box:",
            "mask: m.png\n    box:",
            "p:6: regions[0]: needs exactly one of box, polygon, mask (given: box, mask)",
        ),
        ("box:", "mask_threshold: 0.3\n    box:", "p:6: regions[0]: mask_threshold needs a mask"),
        ("name: right", "name: left", "p:11: regions[1].name: 'left': already the name of regions[0]"),
        ("name: left", "name: base", "p:6: regions[0].name: 'base': is reserved"),
        ("name: left", "name: a/b", "p:6: regions[0].name: 'a/b': must not hold '/'"),
        ("name: left", "name: '  '", "p:6: regions[0].name: '': must not be empty"),
        ("name: left", "name: 5", "p:6: regions[0].name: 5: must be a valid string"),
        (
            "    high: a circle",
            "    hihg: a circle",
            "p:8: regions[0].hihg: unknown key: did you mean 'high'? valid keys: name, box,",
        ),
        ("    high: a circle", '    high: ""', "p:8: regions[0].high: '': must not be empty"),
        ("    high: a circle", '    high: "a\\eb"', "must not hold the control character U+001B"),
        ("    high: a circle\n    low: red\n", "", "p:6: regions[0]: needs a text: at least one of high, low, full"),
        ("low: 0.5", "low: 1.5", "p:10: regions[0].strength.low: 1.5: must be less than or equal to 1"),
        (
            "low: 0.5",
            "hgh: 0.5",
            "p:10: regions[0].strength.hgh: unknown key: did you mean 'high'? valid keys: high, low, full",
        ),
        ("strength: 0.25", "strength: -1", "p:11: regions[1].strength: -1: must be greater than or equal to 0"),
        (
            "strength: 0.25",
            "strength: true",
            "p:11: regions[1].strength: true: must be a number from 0 to 1, or a mapping",
        ),
        ("strength: 0.25", "priority: high", "p:11: regions[1].priority: 'high': must be a number"),
        ("[64, 0.5], ", "", "p:11: regions[1].polygon: [[32, 0], [64, 48]]: must have at least 3 items"),
        ("[64, 0.5]", "[64, 1e999]", "p:11: regions[1].polygon[1][1]: Infinity: must be a finite number"),
        ("[[32, 0], [64, 0.5], [64, 48]]", "[[64, 0], [70, 0], [64, 9]]", "lies outside the 64x48 canvas"),
        ("[[32, 0], [64, 0.5], [64, 48]]", "[[9, 48], [70, 50], [64, 49]]", "lies outside the 64x48 canvas"),
        ("[[32, 0], [64, 0.5], [64, 48]]", "[[-9, 4], [0, 9], [-1, 20]]", "lies outside the 64x48 canvas"),
        ("[[32, 0], [64, 0.5], [64, 48]]", "[[9, -4], [20, 0], [9, -1]]", "lies outside the 64x48 canvas"),
        ("{high: plain background}", "{}", "p:12: background: needs a text: at least one of high, low, full"),
        ("{high: plain background}", "grey", "p:12: background: 'grey': must be a mapping"),
        ("width: 64", "width: 0", "p:1: width: 0: must be greater than 0"),
        ("width: 64", "width: 8193", "p:1: width: 8193: must be less than or equal to 8192"),
        ("width: 64", "width: true", "p:1: width: true: must be a number"),
        ("width: 64\n", "", "p:1: width: missing"),
        ("prompt:", "overlap: unoin\nprompt:", "p:3: overlap: 'unoin': must be 'union', 'priority' or 'split'"),
        (
            "prompt:",
            "provenance: {a: .nan, b: !!float .nan}\nprompt:",
            "p:3: provenance.b: NaN: must be a finite number",
        ),
        ("width: 64", "widht: -1", "p:1: widht: unknown key: did you mean 'width'? valid keys: width, height, prompt,"),
    ],
)
def test_refusals_name_line_field_value_and_choices(old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(InputError) as caught:
        ScenePlan.from_yaml(EXAMPLE.replace(old, new, 1), name="p")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "wrong: )" not in str(caught.value)


def test_several_mistakes_are_told_by_their_fields() -> None:
    text = EXAMPLE.replace("width: 64", "width: 0").replace("low: red", "low: ''")
    with pytest.raises(InputError, match=r"^<text>:1: width: .* \(also wrong: regions\[0\]\.low\)$"):
        ScenePlan.from_yaml(text)
    unknown = "".join(f"key{n}: 1\n" for n in range(7))
    with pytest.raises(InputError, match=r"key0: unknown key: .* \(also wrong: key1, key2, key3, key4 and 2 more\)$"):
        ScenePlan.from_yaml(unknown + EXAMPLE)


def test_of_several_mistakes_the_first_in_the_file_is_told() -> None:
    text = "height: 0\nwidth: 0\nprompt: x\n"
    with pytest.raises(InputError, match=r"^<text>:1: height: .* \(also wrong: width\)$"):
        ScenePlan.from_yaml(text)


def test_what_is_wrong_with_the_whole_names_no_field() -> None:
    document = parse_document("a: 1", "p")
    assert str(document.error((), "wrong")) == "p:1: wrong"
    assert str(Document({}, "", Path(), {}).error(("a", 0), "wrong")) == "a[0]: wrong"


def test_the_json_schema_shows_the_bounds() -> None:
    schema = ScenePlan.model_json_schema()
    assert schema["properties"]["width"]["maximum"] == 8192
    assert schema["$defs"]["Strength"]["properties"]["high"]["maximum"] == 1


def test_plans_are_frozen() -> None:
    with pytest.raises(ValidationError):
        ScenePlan.from_yaml(EXAMPLE).width = 3  # type: ignore[misc]


def test_equality_ignores_the_folder_but_nothing_else() -> None:
    one, two = ScenePlan.from_yaml(EXAMPLE, root="a"), ScenePlan.from_yaml(EXAMPLE, root="b")
    assert one == two
    assert hash(one) == hash(two)
    assert (one.root, two.root) == (Path("a"), Path("b"))
    assert one != ScenePlan.from_yaml(EXAMPLE.replace("red", "blue"))
    assert one != EXAMPLE


@pytest.mark.parametrize("value", [0.5, 1, {"high": 0.5}, {"low": 0.25, "full": 0}])
def test_strength_round_trips(value: Any) -> None:
    strength = Strength.model_validate(value)
    assert Strength.model_validate(strength.model_dump()) == strength
    if isinstance(value, dict):
        assert strength.high == value.get("high", 1.0)
    else:
        assert strength.high == strength.low == strength.full == value


@given(plans(masks=False), st.integers(1, 300), st.integers(1, 300))
def test_resizing_keeps_every_box_inside_and_not_empty(plan: ScenePlan, width: int, height: int) -> None:
    corners = [corner for region in plan.regions for corner in region.polygon or ()]
    scales = (width / plan.width, height / plan.height)
    if any(abs(value * scale) > FARTHEST for corner in corners for value, scale in zip(corner, scales, strict=True)):
        with pytest.raises(InputError, match="has a corner more than 1000000 pixels off"):
            plan.resized(width, height)
        return
    resized = ScenePlan.model_validate(plan.resized(width, height).model_dump())  # validates boxes and bounds
    assert (resized.width, resized.height) == (width, height)
    assert resized.descriptions() == plan.descriptions()
    back = resized.resized(plan.width, plan.height)
    for before, after in zip(plan.regions, back.regions, strict=True):
        for (x1, y1), (x2, y2) in zip(before.polygon or (), after.polygon or (), strict=True):
            assert math.isclose(x1, x2, abs_tol=1e-6)
            assert math.isclose(y1, y2, abs_tol=1e-6)


def test_a_corner_may_lie_as_far_off_as_can_be() -> None:
    corners = ((0, 0), (FARTHEST / 2, 0), (0, 4))
    plan = ScenePlan(width=8, height=8, prompt="", regions=(Region(name="a", polygon=corners, full="x"),))
    assert plan.resized(16, 8).regions[0].polygon == ((0, 0), (FARTHEST, 0), (0, 4))
    with pytest.raises(InputError, match="has a corner more than"):
        plan.resized(17, 8)


@given(plans(masks=False))
def test_resizing_to_the_same_size_changes_no_box(plan: ScenePlan) -> None:
    same = plan.resized(plan.width, plan.height)
    assert [region.box for region in same.regions] == [region.box for region in plan.regions]


def test_resizing_to_the_shortest_and_longest_side() -> None:
    corner = Region(name="a", box=(96, 97, 98, 100), full="x")  # of which nothing is left when rounded
    plan = ScenePlan(width=100, height=100, prompt="", regions=(corner,))
    for width, height, box in ((1, LARGEST_SIDE, (0, 7946, 1, 8192)), (10, 10, (9, 9, 10, 10))):
        resized = plan.resized(width, height)
        assert ScenePlan.from_yaml(resized.to_yaml()) == resized, "is a plan again"
        assert resized.regions[0].box == box
    with pytest.raises(InputError, match="width: 8193: must be a whole number from 1 to 8192"):
        plan.resized(LARGEST_SIDE + 1, 1)


def test_resizing_refuses_impossible_sides() -> None:
    with pytest.raises(InputError, match="height: 0: must be a whole number from 1 to 8192"):
        ScenePlan.from_yaml(EXAMPLE).resized(5, 0)
    with pytest.raises(InputError, match=r"width: 5.5: must be a whole number"):
        ScenePlan.from_yaml(EXAMPLE).resized(5.5, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["plan.yaml", "plan.yml", "plan.json"])
def test_saving_and_loading(tmp_path: Path, name: str) -> None:
    plan = ScenePlan.from_yaml(EXAMPLE)
    plan.save(tmp_path / name)
    loaded = ScenePlan.load(tmp_path / name)
    assert loaded == plan
    assert loaded.root == tmp_path


def test_saving_elsewhere_keeps_masks_reachable(tmp_path: Path) -> None:
    (tmp_path / "plans" / "masks").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    mask = tmp_path / "plans" / "masks" / "m.png"
    mask.write_bytes(b"")
    regions = [
        {"name": "a", "mask": "masks/m.png", "full": "x"},
        {"name": "b", "mask": str(mask), "full": "x"},
    ]
    text = ScenePlan(width=8, height=8, prompt="", regions=regions).to_yaml()
    plan = ScenePlan.from_yaml(text, root=tmp_path / "plans")
    plan.save(tmp_path / "out" / "plan.yaml")
    plan.save(tmp_path / "plans" / "plan.yaml")
    moved = ScenePlan.load(tmp_path / "out" / "plan.yaml")
    assert [region.mask for region in moved.regions] == ["../plans/masks/m.png", str(mask)]
    assert (moved.root / str(moved.regions[0].mask)).resolve() == mask.resolve()
    assert ScenePlan.load(tmp_path / "plans" / "plan.yaml") == plan


def test_saving_refuses_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"suffix '\.txt': must be one of"):
        ScenePlan.from_yaml(EXAMPLE).save(tmp_path / "plan.txt")
    assert not list(tmp_path.iterdir())


def test_errors_of_a_plan_without_a_file_name_the_field() -> None:
    plan = ScenePlan(width=8, height=8, prompt="", regions=(Region(name="a", box=(0, 0, 4, 4), full="x"),))
    assert str(plan.error(("regions", 0, "box"), "wrong")) == "regions[0].box: wrong"
    assert str(plan.error((), "wrong")) == "wrong"


@pytest.mark.parametrize("name", ["two", "three", "four"])
def test_example_plans(name: str) -> None:
    plan = ScenePlan.load(Path(__file__).parents[2] / "configs" / "plans" / f"{name}_regions.yaml")
    assert len(plan.regions) == {"two": 2, "three": 3, "four": 4}[name]
    assert ScenePlan.from_yaml(plan.to_yaml()) == plan
