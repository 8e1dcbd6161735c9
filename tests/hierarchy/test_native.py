"""Plans as the captions of FLUX.3 and Ideogram 4 and back: what is kept, what is told to be lost, damaged captions."""

import json
import random
import re
import string
import time
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from strata.hierarchy.areas import region_mask
from strata.hierarchy.errors import InputError
from strata.hierarchy.native import GRID, from_grid, to_grid
from strata.hierarchy.native_flux3 import ids_of, names_of
from strata.hierarchy.plan import LONGEST_NAME, RESERVED_NAMES, Region, ScenePlan, Texts
from strata.native import NativeCaption, native_caption, read_caption
from tests.examples import examples

from .plans import boxes, names, plans, texts

LIGHTHOUSE = ScenePlan(
    width=1280,
    height=768,
    prompt="A lighthouse on a cliff above a stormy sea.",
    low="oil painting, thick brush strokes",
    regions=(
        Region(name="lighthouse", box=(160, 64, 480, 640), high="a tall lighthouse", low="white and red stripes"),
        Region(name="old ship", box=(760, 380, 1160, 580), full="an old sailing ship"),
        Region(name="moon", box=(1000, 40, 1120, 160), high="a full moon"),
    ),
    background=Texts(high="clouds", low="grey-green"),
)
CAPTION = (
    "Style: oil painting, thick brush strokes; Scene: A lighthouse on a cliff above a stormy sea. Elements: a tall"
    " lighthouse <lighthouse_1>; the old ship <old_ship_1>; a full moon <moon_1>; Background: clouds; Background"
    ' details: grey-green [{"id": "lighthouse_1", "bbox": [83, 125, 833, 375], "desc": "a tall lighthouse, white and'
    ' red stripes"}, {"id": "old_ship_1", "bbox": [495, 594, 755, 906], "desc": "an old sailing ship"}, {"id":'
    ' "moon_1", "bbox": [52, 781, 208, 875], "desc": "a full moon"}]'
)


def back(plan: ScenePlan, form: str) -> ScenePlan:
    return read_caption(native_caption(plan, form).text, form, plan.width, plan.height).plan


def without_breaks(text: str | None) -> str | None:
    return text and re.sub(r"<([A-Za-z][A-Za-z0-9_]*)>", r"‹\1›", text)


# FLUX.3 -------------------------------------------------------------------------------------------------------------


def test_the_form_of_flux3() -> None:
    caption = native_caption(LIGHTHOUSE, "flux3")
    assert caption.text == CAPTION
    assert caption.notes == ()
    assert back(LIGHTHOUSE, "flux3") == LIGHTHOUSE


@examples(100)
@given(plans(masks=False))
def test_any_plan_comes_back_but_for_what_is_noted(plan: ScenePlan) -> None:
    for form, check in (("flux3", check_flux3), ("ideogram", check_ideogram)):
        if any(not region_mask(plan, index).any() for index in range(len(plan.regions))):
            with pytest.raises(InputError, match="covers no pixel"):  # a polygon that is thinner than a pixel
                native_caption(plan, form)
        else:
            caption = native_caption(plan, form)
            assume("import reads this caption otherwise" not in " ".join(caption.notes))
            check(plan, caption)


def check_flux3(plan: ScenePlan, caption: NativeCaption) -> None:
    read = read_caption(caption.text, "flux3", plan.width, plan.height).plan
    assert [read.prompt, read.high, read.low] == [without_breaks(t) for t in (plan.prompt, plan.high, plan.low)]
    assert (read.background is None) == (plan.background is None)
    if plan.background is not None and read.background is not None:
        told = [(level, without_breaks(text)) for level, text in plan.background.by_level()]
        assert list(read.background.by_level()) == told
    assert len(read.regions) == len(plan.regions)
    noted = "\n".join(caption.notes)
    for before, after in zip(plan.regions, read.regions, strict=True):
        assert before.name == after.name or "names that the form cannot hold" in noted
        assert before.box == after.box if before.box else ": its polygon becomes the box around it" in noted
        if before.full is None:
            assert (after.high, after.low, after.full) == (without_breaks(before.high), before.low, None)
        elif before.high is None and before.low is None:
            assert (after.high, after.low, after.full) == (None, None, before.full)
        elif before.high is not None:
            assert (after.high, after.low) == (without_breaks(before.high), before.low)
            assert "has a high text, so its full one is left out" in noted
        else:
            assert (after.high, after.low) == (without_breaks(before.full), before.low)
    lost = {"negative_prompt": None, "overlap": None, "grid": "nearest", "provenance": None}
    for key, default in lost.items():
        assert (f"{key} " in noted and " is left out" in noted) or getattr(plan, key) == default
    assert noted.count("priority ") >= sum(region.priority != 0 for region in plan.regions)


def check_ideogram(plan: ScenePlan, caption: NativeCaption) -> None:
    read = read_caption(caption.text, "ideogram", plan.width, plan.height).plan
    assert (read.prompt, read.high, read.low) == (plan.prompt, plan.high, plan.low)

    def joined(texts: Texts) -> str:
        return texts.full or ", ".join(text for text in (texts.high, texts.low) if text)

    assert (read.background and read.background.full) == (plan.background and joined(plan.background))
    assert [region.name for region in read.regions] == [f"element {i + 1}" for i in range(len(plan.regions))]
    for before, after in zip(plan.regions, read.regions, strict=True):
        assert after.full == joined(before)
        assert before.box in (None, after.box)
    assert native_caption(read, "ideogram").text == caption.text


words = st.text(string.ascii_letters + string.digits, min_size=1, max_size=4)
plain_names = st.lists(words, min_size=1, max_size=3).map(" ".join).filter(lambda name: name[0].isalpha())
calm = texts.map(lambda text: text.replace("<", "("))
divided = st.fixed_dictionaries({"high": calm}, optional={"low": calm}) | calm.map(lambda text: {"full": text})


@st.composite
def plain_plans(draw: st.DrawFn) -> ScenePlan:
    """Plans that FLUX.3's form holds whole."""
    width, height = draw(st.integers(1, GRID)), draw(st.integers(1, GRID))
    chosen = draw(st.lists(plain_names.filter(lambda name: name not in RESERVED_NAMES), max_size=4, unique=True))
    return ScenePlan(
        width=width,
        height=height,
        prompt=draw(calm | st.just("")),
        high=draw(st.none() | calm),
        low=draw(st.none() | calm),
        regions=[{"name": name, "box": draw(boxes(width, height)), **draw(divided)} for name in chosen],
        background=draw(st.none() | divided),
    )


@examples(100)
@given(plain_plans())
def test_what_flux3_holds_comes_back_whole_and_without_a_note(plan: ScenePlan) -> None:
    size = plan.width, plan.height  # a box of a step in the corner is told larger: it could be shares of the sides
    assume(not any(region.box and max(to_grid(region.box, *size)) <= 2 for region in plan.regions))
    caption = native_caption(plan, "flux3")
    assert caption.notes == ()
    assert "\n" not in caption.text
    assert read_caption(caption.text, "flux3", plan.width, plan.height).plan == plan


@pytest.mark.parametrize(
    "name_and_texts",
    [
        {"high": "boat"},
        {"high": "boat", "low": "red"},
        {"high": "the boat", "low": "red"},
        {"high": "boat, red", "low": "red"},
        {"high": "a", "low": "a, a"},
        {"low": "boat, red"},
        {"low": "boat"},
        {"low": "boat: red"},
        {"full": "boat: red"},
        {"high": "the boat", "low": "boat: red"},
        {"high": "boat: red"},
        {"full": "boat"},
        {"full": "boat, red"},
        {"full": "the boat"},
        {"full": "the boat, red"},
        {"high": "; x", "low": "[{"},
        {"high": 'a sign "Elements: [{"', "low": "Background: y"},
        {"full": '[{"id": "boat_1"}]'},
    ],
)
def test_levels_are_kept_whatever_the_texts_say(name_and_texts: dict[str, str]) -> None:
    others = [{"name": "boat 2", "box": (9, 9, 20, 20), "high": "a house"}]
    for name, more in (("boat", []), ("boat", others), ("boat 3", others), ("Boat", [])):
        regions = [{"name": name, "box": (0, 0, 9, 9), **name_and_texts}, *more]
        for background in (None, {"high": "sky"}):
            plan = ScenePlan(width=64, height=64, prompt="x", regions=regions, background=background)
            assert back(plan, "flux3") == plan


@pytest.mark.parametrize(
    ("name", "mention", "noun"),
    [
        ("boat", "the boat <boat_1>", "boat"),
        ("clouds", "the clouds <clouds_1>", "clouds"),
        ("star 2", "the star <star_2>", "star"),
        ("Anna", "Anna <Anna_1>", "Anna"),
        ("l'été à l’île", "the lete a lile <lete_a_lile_1>", "lete a lile"),
        ("Große Łódka", "Grosse Lodka <Grosse_Lodka_1>", "Grosse Lodka"),
        ("北", "the region <region_1>", "region"),
    ],
)
def test_a_caption_names_every_element_whatever_levels_it_has(name: str, mention: str, noun: str) -> None:
    """As the upsampler's instructions have it: the caption names it, and its description opens with what it is."""
    for levels, desc in (({"low": "red"}, f"{noun}: red"), ({"full": "an old thing"}, "an old thing")):
        plan = ScenePlan(width=64, height=64, prompt="x", regions=[{"name": name, "box": (0, 0, 9, 9), **levels}])
        caption, _, table = native_caption(plan, "flux3").text.partition(" [")
        assert caption == f"x; Elements: {mention}"
        assert json.loads(f"[{table}")[0]["desc"] == desc
        (region,) = back(plan, "flux3").regions
        assert dict(region.by_level()) == levels


def test_captions_that_mention_an_element_by_its_citation_alone_are_read() -> None:
    table = '[{"id": "boat_1", "bbox": [0, 0, 9, 9], "desc": "red"}]'
    for mention, level in (("", "low"), ("boat ", "full"), ("the boat ", "full")):
        (region,) = read_caption(f"x; Elements: {mention}<boat_1> {table}", "flux3", 64, 64).plan.regions
        assert dict(region.by_level()) == {level: "red"}


@pytest.mark.parametrize(
    ("prompt", "low"),
    [
        ("a cat. Background: a red wall", None),
        ("a cat; Background: a red wall; Elements: none", "flat"),
        ("Style: Scene: a cat", None),
        ("Scene: a cat", None),
        ("a cat.", "ink."),
        ("a cat!", "really?"),
        ("a cat", "ink; Style: pen"),
        ('[] a list [{"x": 1}] of [things]', None),
        ("", "flat"),
        ("", None),
    ],
)
def test_prompts_that_look_like_the_form_are_kept(prompt: str, low: str | None) -> None:
    region = {"name": "cat", "box": (0, 0, 9, 9), "high": "a cat"}
    for end in (None, {"high": "a wall."}, {"full": "a wall"}, {"low": "grey"}, {"high": "x", "low": "y", "full": "z"}):
        plan = ScenePlan(width=64, height=64, prompt=prompt, low=low, regions=[region], background=end)
        assert native_caption(plan, "flux3").notes == ()
        assert back(plan, "flux3") == plan


def test_texts_that_cannot_be_told_from_the_form_are_noted() -> None:
    plan = LIGHTHOUSE.model_copy(update={"low": "oil; Scene: a cellar"})
    noted = native_caption(plan, "flux3").notes
    assert noted == ("a text looks like a part of the form itself: import reads this caption otherwise",)
    assert back(plan, "flux3") != plan
    tables = LIGHTHOUSE.model_copy(update={"prompt": "[{ " * 30})
    assert native_caption(tables, "flux3").notes == noted
    with pytest.raises(InputError, match="not valid JSON"):
        back(tables, "flux3")
    cited = LIGHTHOUSE.model_copy(update={"prompt": "a <b>bold</b> <moon_1>\nat sea"})
    assert native_caption(cited, "flux3").notes == (
        "the caption is one line and cites by <…>: line breaks become spaces, and <word> ‹word›",
    )
    assert back(cited, "flux3").prompt == "a ‹b›bold</b> ‹moon_1› at sea"


def test_everything_that_is_lost_is_told() -> None:
    plan = ScenePlan.from_yaml(
        """\
width: 64
height: 48
prompt: x
negative_prompt: blurry
overlap: priority
grid: coverage
provenance: {planner: tiny}
regions:
  - {name: schönes Boot, polygon: [[8, 8], [40, 8], [8, 40]], high: a boat, full: a red boat, priority: 2}
  - {name: b, box: [0, 0, 9, 9], low: red, full: a sun, strength: {low: 0.5}}
""",
        "p.yaml",
    )
    assert native_caption(plan, "flux3").notes == (
        "negative_prompt 'blurry' is left out",
        "overlap 'priority' is left out",
        "grid 'coverage' is left out",
        'provenance {"planner": "tiny"} is left out',
        "'schönes Boot': its polygon becomes the box around it, [8, 8, 39, 39]",
        "'schönes Boot': priority 2 is left out",
        '\'b\': strength {"high": 1.0, "low": 0.5, "full": 1.0} is left out',
        "names that the form cannot hold; import calls 'schönes Boot' 'schones Boot'",
        "'schones Boot': has a high text, so its full one is left out",
        "'b': its full text stands as the high one of its low text",
    )
    thin = ScenePlan.from_yaml(
        "width: 9\nheight: 9\nprompt: x\nregions:\n  - {name: a, polygon: [[1, 1], [1.1, 1], [1, 1.1]], full: x}\n", "p"
    )
    with pytest.raises(InputError, match=r"p:5: regions\[0\].polygon: covers no pixel of the 9x9 canvas"):
        native_caption(thin, "flux3")


def test_boxes_on_large_canvases_move_by_half_a_step_and_that_is_told() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        width, height = rng.randint(1, 8192), rng.randint(1, 8192)
        x1, y1 = rng.randrange(width), rng.randrange(height)
        box = (x1, y1, rng.randint(x1 + 1, width), rng.randint(y1 + 1, height))
        assert to_grid((0, 0, 1, 1), 4096, 4096) == [0, 0, 2, 2], "a box of a step could be shares of the sides"
        assert to_grid((0, 0, 1, 8), 4096, 4096) == [0, 0, 2, 1]
        steps = to_grid(box, width, height)
        assert 0 <= steps[0] < steps[2] <= GRID
        assert 0 <= steps[1] < steps[3] <= GRID
        again = from_grid(steps, width, height)
        for before, after, side in zip(box, again, (width, height) * 2, strict=True):
            if side <= GRID:
                assert after == before
            elif min(box[2] - box[0], box[3] - box[1]) > 2 * side / GRID:
                assert abs(after - before) <= side / GRID / 2 + 0.5
    wide = ScenePlan(width=4096, height=64, prompt="", regions=[{"name": "a", "box": (1, 0, 2001, 64), "full": "x"}])
    assert native_caption(wide, "flux3").notes == ("boxes are told in 1000 steps of a side: theirs move by up to 2 px",)


@given(st.lists(plain_names | names, max_size=6, unique=True))
def test_ids_are_such_as_flux3_takes_and_names_come_back(chosen: list[str]) -> None:
    ids = ids_of(chosen)
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", own) for own in ids)
    assert len({*ids}) == len(ids)
    found = names_of(ids)
    assert not {*found} & {*RESERVED_NAMES}
    for name, own in zip(chosen, found, strict=True):
        plain = re.fullmatch("[A-Za-z][A-Za-z0-9]*( [A-Za-z0-9]+)*", name) and name not in RESERVED_NAMES
        assert own == name or not plain


def test_boxes_of_two_steps_are_no_shares_of_the_sides() -> None:
    plan = read_caption(row(bbox=[0, 0, 2, 2]), "flux3", 1000, 1000).plan
    assert [region.box for region in plan.regions] == [(0, 0, 2, 2)]


def test_the_longest_name_comes_back() -> None:
    region = Region(name="b" * LONGEST_NAME, box=(0, 0, 9, 9), high="a boat")
    plan = ScenePlan(width=64, height=64, prompt="a bay", regions=(region,))
    assert native_caption(plan, "flux3").notes == ()
    assert back(plan, "flux3") == plan


def test_what_stands_in_front_of_a_marker_is_not_lost() -> None:
    for text in ("! Style: ink", "... Style: ink; Scene: a cat", "a cat; Style: ink"):
        assert read_caption(f"{text} []", "flux3", 64, 64).plan.prompt == text


def test_ids_of_names_too_long_for_one() -> None:
    first, second = ids_of([f"{letter * LONGEST_NAME}?" for letter in "ab"])
    assert (first, second) == (f"{'a' * (LONGEST_NAME // 2)}_1", f"{'b' * (LONGEST_NAME // 2)}_1")


def test_ids_of_usual_names() -> None:
    assert ids_of(["boat", "star 1", "star 2"]) == ["boat_1", "star_1", "star_2"]
    assert ids_of(["star", "star 1"]) == ["star_1", "star_1_1"]
    assert ids_of(["top left", "北", "a-b", "a b"]) == ["top_left_1", "region_1", "a_b_2_1", "a_b_1"]
    assert names_of(["person_1", "person_2", "dog_1", "En_Text_1"]) == ["person 1", "person 2", "dog", "En Text"]
    assert names_of(["background_1"]) == ["background 1"]
    assert names_of(["base", "boat_1"]) == ["region 1", "region 2"]


PROSE = (
    "Studio photograph, a wicker table <table_1> holding a tiered stand <stand_1>, seen from above.\n"
    '[{"id": "table_1", "bbox": [400, 0, 1000, 1000], "desc": "Round wicker table, honey-coloured."},\n'
    ' {"id": "stand_1", "bbox": [100.5, 300, 600, 700], "desc": "White tiered stand."}]\n'
)


def test_prose_of_anyone_is_the_base_prompt_with_full_texts() -> None:
    read = read_caption(PROSE, "flux3", 1000, 500)
    assert read.notes == ("the caption is prose: it is the base prompt, and every description a full text",)
    assert read.plan == ScenePlan(
        width=1000,
        height=500,
        prompt="Studio photograph, a wicker table holding a tiered stand, seen from above.",
        regions=(
            Region(name="table", box=(0, 200, 1000, 500), full="Round wicker table, honey-coloured."),
            Region(name="stand", box=(300, 50, 700, 300), full="White tiered stand."),
        ),
    )
    assert back(read.plan, "flux3") == read.plan


@pytest.mark.parametrize(
    ("caption", "prompt"),
    [
        ("A photo of a <boat_1> with a <old_house_2> behind.", "A photo of a boat with a old house behind."),
        ("A big red boat <boat_1>, and <old_house_2>", "A big red boat, and old house"),
        ("<boat_1> on the sea, <old_house_2> behind", "boat on the sea, old house behind"),
        ("The <boat_1> and an <old_house_2>", "The boat and an old house"),
        ("Ox <boat_1> and elk <old_house_2>", "Ox and elk"),
    ],
)
def test_prose_keeps_the_nouns_that_only_its_citations_have(caption: str, prompt: str) -> None:
    table = [{"id": name, "bbox": [0, 0, 500, 500], "desc": "red"} for name in ("boat_1", "old_house_2")]
    plan = read_caption(f"{caption} {json.dumps(table)}", "flux3", 128, 128).plan
    assert plan.prompt == prompt
    assert [region.full for region in plan.regions] == ["red", "red"]


def test_an_id_without_a_number_is_a_noun_too() -> None:
    table = [{"id": "boat", "bbox": [0, 0, 500, 500], "desc": "red"}]
    assert (
        read_caption(f"A photo of a <boat>. {json.dumps(table)}", "flux3", 128, 128).plan.prompt == "A photo of a boat."
    )


def test_a_caption_that_leaves_the_form_behind_its_elements_is_prose() -> None:
    plan = ScenePlan(
        width=128, height=128, prompt="a bay", regions=[Region(name="boat", box=(0, 0, 64, 64), high="a boat")]
    )
    text = native_caption(plan, "flux3").text
    assert read_caption(text, "flux3", 128, 128).plan == plan
    strange = read_caption(text.replace("<boat_1>", "<boat_1>; and so on"), "flux3", 128, 128)
    assert strange.notes[0].startswith("the caption is prose")
    assert strange.plan.prompt.endswith("a boat; and so on")


@pytest.mark.parametrize("form", ["flux3", "ideogram"])
def test_fences_around_a_caption_are_passed_over(form: str) -> None:
    plan = ScenePlan.load(Path(__file__).parents[2] / "configs" / "plans" / "two_regions.yaml")
    text = native_caption(plan, form).text
    expected = read_caption(text, form, 128, 128).plan
    assert read_caption(f"```json\n{text.rstrip()}\n```\n", form, 128, 128).plan == expected
    if form == "flux3":
        fenced = text.replace(" [{", "\n```json\n[{") + "\n```"
        assert read_caption(fenced, form, 128, 128).plan == expected


def row(**changes: object) -> str:
    return f"a boat <boat_1> {json.dumps([{'id': 'boat_1', 'bbox': [0, 0, 9, 9], 'desc': 'x'} | changes])}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c: ends with no table of its elements, such as [{"),
        ("a boat <boat_1>", "c: ends with no table of its elements"),
        ("a boat [of sorts]", "c: ends with no table of its elements"),
        (row()[:-1], "c:1: not valid JSON"),
        (row() + " and more", "c:1: 'and more': stands behind the table, which must end the caption"),
        (row() + "\n\nthank you", "c:3: 'thank you': stands behind the table"),
        ("a\nb [{'id': 1}]", "c:2: not valid JSON"),
        ("a [{'id'\n[{'id': 1}", "c:2: not valid JSON"),
        ("\n" + row() + " and more", "c:2: 'and more': stands behind the table"),
        ("\n" + row(id="boat 1"), "c:2: table[0].id: 'boat 1'"),
        ('a [{"id": 1, [{"id":\n"b",\nx', "c:3: not valid JSON"),
        (row(bbox=[0, 0, 1, 1]), "c:1: table[0].bbox: [0, 0, 1, 1]: must count in steps from 0 to 1000"),
        (row().replace('"desc": ', '"id": '), "c:1: key 'id': already given in line 1"),
        (row(bbox="all"), "c:1: table[0].bbox: 'all': must be a list"),
        (row(bbox=[1, 2, 3]), "c:1: table[0].bbox[3]: missing"),
        (row(bbox=[0, 0, "9", 9]), "c:1: table[0].bbox[2]: '9': must be a number"),
        (row(bbox=[0, 0, True, 9]), "c:1: table[0].bbox[2]: true: must be a number"),
        (row(bbox=[0, 0, None, 9]), "c:1: table[0].bbox[2]: null: must be a valid number"),
        (row(bbox=[0, 0, 1001, 9]), "c:1: table[0].bbox[2]: 1001: must be less than or equal to 1000"),
        (row(bbox=[-1, 0, 9, 9]), "c:1: table[0].bbox[0]: -1: must be greater than or equal to 0"),
        (row(bbox=[0, 0, 10**400, 9]), "c:1: table[0].bbox[2]: 1000000"),
        (row(bbox=[9, 0, 2, 9]), "c:1: table[0].bbox: [9, 0, 2, 9]: y_max must be greater than y_min (a box is y_min"),
        (row(bbox=[0, 9, 2, 9]), "c:1: table[0].bbox: [0, 9, 2, 9]: x_max must be greater than x_min"),
        (row(bbox=[0, 0.2, 0.5, 1]), "c:1: table[0].bbox: [0, 0.2, 0.5, 1]: must count in steps from 0 to 1000"),
        (row().replace("[0, 0, 9, 9]", "[0, 0, NaN, 9]"), "c: not valid JSON: NaN is no JSON number"),
        (row(id="boat 1"), "c:1: table[0].id: 'boat 1': must be a letter, then letters, digits and _"),
        (row(id="b" * 300), "c:1: table[0].id: 'bbb"),
        (row(id="bot_1"), "c: caption: <boat_1>: is not in the table; did you mean 'bot_1'? ids there: bot_1"),
        ("a boat []", None),
        ("<a_1> []", "c: caption: <a_1>: is not in the table; ids there: none"),
        (row().replace("<boat_1>", "here"), "c:1: table[0].id: 'boat_1': is cited nowhere in the caption, as <boat_1>"),
        (PROSE.replace("stand_1", "table_1"), "c:3: table[1].id: 'table_1': already the id of table[0]"),
        (row(desc=7), "c:1: table[0].desc: 7: must be a valid string"),
        (row(desc="\x1b[2J"), "c:1: table[0].desc: '\\x1b[2J': must not hold the control character U+001B"),
        (row(desc="w" * 20_001), "c:1: table[0].desc: 'www"),
        (row(colour="red"), "c:1: table[0].colour: unknown key: valid keys: id, bbox, desc"),
        ("Elements: <boat_1> " + row(desc="").partition("> ")[2], "c:1: table[0].desc: must not be empty"),
        ("w" * 20_001 + row(), "c: prompt: 'www"),
        ("a " + json.dumps([{"id": f"a_{i}", "bbox": [0, 0, 9, 9], "desc": "x"} for i in range(101)]), "c:1: table: "),
        ("[" * 100_000, "c: ends with no table of its elements"),
        ("x " + '[{"a":' * 50_000, "c: nested more than 64 levels deep"),
        ('[{"id":"' * 100_000, "c:1: not valid JSON"),
        ("a \ud800 <boat_1> " + row().partition("> ")[2], "c: prompt: "),
    ],
)
def test_damaged_captions_of_flux3_are_refused(text: str, message: str | None) -> None:
    begin = time.process_time()
    if message is None:
        assert read_caption(text, "flux3", 64, 64, "c").plan.regions == ()
        return
    with pytest.raises(InputError) as caught:
        read_caption(text, "flux3", 64, 64, "c")
    assert str(caught.value).startswith(message)
    assert time.process_time() - begin < 2
