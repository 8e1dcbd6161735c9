"""Plans as captions of Ideogram 4 and back; and what every form has to stand: bundled plans, damage, unknown names."""

import json
import random
from pathlib import Path

import pytest

from strata.hierarchy.errors import LONGEST_MESSAGE, InputError
from strata.hierarchy.plan import Region, ScenePlan, Texts
from strata.native import native_caption, read_caption

from .test_native import CAPTION, LIGHTHOUSE, back

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "plans").glob("*.yaml"))
JSON = (
    '{"high_level_description":"A lighthouse on a cliff above a stormy sea.","style_description":{"aesthetics":"",'
    '"lighting":"","medium":"","art_style":"oil painting, thick brush strokes"},"compositional_deconstruction":{'
    '"background":"clouds, grey-green","elements":[{"type":"obj","bbox":[83,125,833,375],"desc":"a tall lighthouse,'
    ' white and red stripes"},{"type":"obj","bbox":[495,594,755,906],"desc":"an old sailing ship"},{"type":"obj",'
    '"bbox":[52,781,208,875],"desc":"a full moon"}]}}'
)


def test_the_form_of_ideogram() -> None:
    caption = native_caption(LIGHTHOUSE, "ideogram")
    assert caption.text == JSON
    assert caption.notes == (
        "high and low texts of an area become one full text",
        "names that the form cannot hold; import calls 'lighthouse' 'element 1', 'old ship' 'element 2',"
        " 'moon' 'element 3'",
    )
    photo = LIGHTHOUSE.model_copy(update={"low": "a photograph at dusk", "high": "seen from above"})
    written = json.loads(native_caption(photo, "ideogram").text)
    assert list(written["style_description"]) == ["aesthetics", "lighting", "photo", "medium"]
    assert written["style_description"]["photo"] == "a photograph at dusk"
    assert written["high_level_description"] == f"Composition: seen from above; Scene: {LIGHTHOUSE.prompt}"
    assert back(photo, "ideogram").high == "seen from above"


def test_undivided_texts_are_no_loss_but_those_beside_them_are() -> None:
    regions = tuple(Region(name=r.name, box=r.box, full=f"{r.high}, {r.low}") for r in LIGHTHOUSE.regions)
    plan = LIGHTHOUSE.model_copy(update={"regions": regions, "background": None})
    (names,) = native_caption(plan, "ideogram").notes
    assert names.startswith("names that the form cannot hold")
    both = plan.model_copy(update={"background": Texts(full="clouds", low="grey")})
    note, _ = native_caption(both, "ideogram").notes
    assert note == "'background': has a full text, so its high and low ones are left out"


def test_writing_colours_and_elements_without_a_box() -> None:
    data = json.loads(JSON)
    whole = data["compositional_deconstruction"]
    whole["elements"][0] = {"type": "text", "bbox": [0, 0, 9, 9], "text": "JAZZ\nNOV 15", "desc": "bold, cream"}
    whole["elements"][1] |= {"color_palette": ["#FF0000"]}
    del whole["elements"][2]["bbox"]
    data["style_description"] = {
        "aesthetics": "playful",
        "lighting": "soft",
        "photo": "85mm",
        "medium": "photograph",
        "color_palette": ["#FFFFFF"],
    }
    read = read_caption(json.dumps(data), "ideogram", 1000, 1000)
    assert read.notes == (
        'style_description: color_palette ["#FFFFFF"] is left out',
        'elements[1]: color_palette ["#FF0000"] is left out',
        "elements[2] has no bbox: it joins the base prompt",
    )
    assert read.plan.prompt == f"{LIGHTHOUSE.prompt}, a full moon"
    assert read.plan.low == "playful, soft, 85mm, photograph"
    assert [region.full for region in read.plan.regions] == [
        'the text "JAZZ\nNOV 15", bold, cream',
        "an old sailing ship",
    ]
    again = json.loads(native_caption(read.plan, "ideogram").text)["compositional_deconstruction"]["elements"][0]
    assert again == whole["elements"][0]


def test_only_elements_without_a_box_join_the_prompt() -> None:
    data = json.loads(JSON)
    del data["high_level_description"]
    del data["compositional_deconstruction"]["elements"][0]["bbox"]
    plan = read_caption(json.dumps(data), "ideogram", 1280, 768).plan
    assert plan.prompt == "a tall lighthouse, white and red stripes"
    assert [region.full for region in plan.regions] == ["an old sailing ship", "a full moon"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (JSON, "```json", "c:1: not valid JSON"),
        (JSON, "[]", "c:1: must be a mapping"),
        ('"background":"clouds, grey-green",', "", "c:1: compositional_deconstruction.background: missing"),
        (
            '"high_level_',
            '"high_levl_',
            "c:1: high_levl_description: unknown key: did you mean 'high_level_description'",
        ),
        (
            '"type":"obj"',
            '"type":"object"',
            "c:1: compositional_deconstruction.elements[0].type: 'object': must be 'obj'",
        ),
        ('"type":"obj"', '"type":"text"', "c:1: compositional_deconstruction.elements[0].text: missing"),
        (
            '"desc":"a full',
            '"text":"X","desc":"a full',
            "c:1: compositional_deconstruction.elements[2].text: 'X': goes",
        ),
        ('"desc":"a full moon"', '"desc":""', "c:1: compositional_deconstruction.elements[2].desc: must not be empty"),
        ("[52,781,208,875]", "[208,781,52,875]", "c:1: compositional_deconstruction.elements[2].bbox: [208, 781, 52"),
        ("[52,781,208,875]", "[52,781,208,1875]", "c:1: compositional_deconstruction.elements[2].bbox[3]: 1875: must"),
        ('"a full moon"', '"\\ud800"', "c:1: compositional_deconstruction.elements[2].desc: '\\ud800': holds half"),
    ],
)
def test_damaged_captions_of_ideogram_are_refused(old: str, new: str, message: str) -> None:
    assert old in JSON
    with pytest.raises(InputError) as caught:
        read_caption(JSON.replace(old, new, 1), "ideogram", 1280, 768, "c")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["flux3", "ideogram", "miniature"])
def test_the_bundled_plans(path: Path, form: str) -> None:
    plan = ScenePlan.load(path)
    caption = native_caption(plan, form)
    read = read_caption(caption.text, form, plan.width, plan.height)
    assert read.notes == ()
    assert native_caption(read.plan, form).text == caption.text
    if form == "flux3":
        boxed = [region for region in plan.regions if region.box]
        assert [region for region in read.plan.regions if region.name in {r.name for r in boxed}] == boxed
        assert len(caption.notes) == len(plan.regions) - len(boxed)
        assert read.plan.model_copy(update={"regions": plan.regions}) == plan


MINIATURE = "<1> and <2>, sea background, neon. <1> 0 3 5 8 a red boat <2> 5 0 7 3 a yellow sun"
BITS = [
    *(
        "<",
        ">",
        "<boat_1>",
        "<1>",
        "[",
        "]",
        "{",
        "}",
        '"',
        ",",
        "0",
        "9" * 30,
        "-1",
        "null",
        "[{",
        "Elements: ",
        "NaN",
    ),
    *("\x1b", "\u202e", "\ud800", "\n", "; Background: ", ". ", '"id"', "é", "1e400", "\\", "x" * 3000, "NaN"),
]


@pytest.mark.parametrize(("form", "text"), [("flux3", CAPTION), ("ideogram", JSON), ("miniature", MINIATURE)])
def test_whatever_stands_in_a_caption_it_is_read_or_refused_in_a_line(form: str, text: str) -> None:
    rng = random.Random(form)
    size = (128, 96) if form == "miniature" else (1280, 768)
    said = []
    for _ in range(400):
        damaged = text
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(damaged) + 1)
            end = min(len(damaged), start + rng.choice([0, 0, 1, 3, 20]))
            damaged = damaged[:start] + rng.choice([*BITS, "", damaged[: rng.randrange(30)]]) + damaged[end:]
        try:
            plan = read_caption(damaged, form, *size, "c").plan
            assert ScenePlan.from_yaml(plan.to_yaml()) == plan
        except InputError as error:
            said.append(str(error))
    assert 0 < len(said) < 400
    assert all(line.startswith("c:") and line.isprintable() and len(line) <= LONGEST_MESSAGE for line in said)


def test_an_unknown_form_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        InputError, match=r"form 'flux': did you mean 'flux3'\? must be one of flux3, ideogram, miniature"
    ):
        native_caption(LIGHTHOUSE, "flux")
