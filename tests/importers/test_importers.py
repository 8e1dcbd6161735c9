"""Layouts of other programs as plans: what they hold, what is told to be lost, and what is refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from strata.hierarchy.errors import LONGEST_MESSAGE, InputError
from strata.hierarchy.plan import Region, ScenePlan, Texts
from strata.importers import FORMATS, IMPORTERS, LAYOUTS, Imported, import_plans
from strata.readers import BENCHMARKS, benchmark_named
from tests.readers.rows import written

OMOST = """\
Here is the canvas:
```python
# Initialize the canvas
canvas = Canvas()
canvas.set_global_description(
    description='A quay at dusk.',
    detailed_descriptions=['Soft light on wet stone.', 'Gulls circle.'],
    tags='quay, dusk',
    HTML_web_color_name='navy',
)
canvas.add_local_description(
    location='on the left',
    offset='slightly to the lower',
    area='a medium-sized horizontal area',
    distance_to_viewer=5.0,
    description='A red barge.',
    detailed_descriptions=['Its paint peels.'],
    tags='barge',
    atmosphere='calm',
    style='gouache',
    quality_meta='detailed',
    HTML_web_color_name='red',
)
canvas.add_local_description('on the top-right', 'no offset', 'a small square area', 20, 'a crane / winch', [], '', '',
    '', '', 'grey')
```
That is all.
"""
LMD = """\
Caption: A heron and an otter at a weir.
Objects: [('a heron', [10, 20, 100, 200]), ('an otter.', [300, 400, 300, 50])]
Background prompt: A weir in the mist.
Negative prompt: people

Caption: two sieves
Objects: [{'name': 'a sieve', 'bounding_box': [0, 0, 256, 512]}, {'name': 'a sieve', 'bounding_box': [256, 0, 0, 9]}]
Background prompt: a shelf
Negative prompt: None
"""
RPG = """\
### Original Caption:
"Two potters at work."
### Output:
Horizontal split ratio: 1;2
Split ratio: 1,(1,3); 2
Regional Prompt: a potter with a hat BREAK
a potter in a
smock BREAK a wheel with clay
"""
RECT = {"id": "o", "type": "rect", "rect": {"x": 5, "y": 0, "width": 300, "height": 400}, "color": {"r": 1}}
BRUSH = {"id": "p", "type": "brush_line", "strokeWidth": 50, "points": [600, 300, 800, 350], "clip": None}
ERASER = {"id": "q", "type": "eraser_line", "strokeWidth": 9, "points": [600, 300], "clip": None}
GUIDANCE = [
    {
        "id": "a",
        "name": "stall",
        "type": "regional_guidance",
        "isEnabled": True,
        "position": {"x": 10, "y": 20},
        "objects": [RECT],
        "positivePrompt": "a fruit stall",
        "negativePrompt": "fish",
        "referenceImages": [],
        "autoNegative": False,
    },
    {
        "id": "b",
        "name": None,
        "type": "regional_guidance",
        "isEnabled": True,
        "position": {"x": 0, "y": 0},
        "objects": [BRUSH, ERASER],
        "positivePrompt": "a mule",
        "negativePrompt": None,
        "referenceImages": [{"id": "r"}],
        "autoNegative": True,
    },
    {"id": "c", "isEnabled": False, "positivePrompt": "a cart", "objects": [RECT]},
    {"id": "d", "positivePrompt": None, "objects": [RECT]},
    {"id": "e", "positivePrompt": "a bell", "objects": [ERASER]},
]
INVOKEAI: dict[str, Any] = {
    "positive_prompt": "a market",
    "negative_prompt": "",
    "width": 1024,
    "height": 768,
    "canvas_v2_metadata": {
        "rasterLayers": [{"id": "l"}],
        "controlLayers": [],
        "inpaintMasks": [],
        "regionalGuidance": GUIDANCE,
    },
}


def encode(text: str) -> dict[str, Any]:
    return {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["20", 1]}}


def area(
    source: str, x: float, y: float, width: float, height: float, strength: float, kind: str = ""
) -> dict[str, Any]:
    inputs = {"conditioning": [source, 0], "width": width, "height": height, "x": x, "y": y, "strength": strength}
    return {"class_type": f"ConditioningSetArea{kind}", "inputs": inputs}


COMFYUI: dict[str, Any] = {
    "1": encode("a beach"),
    "2": encode("a striped parasol"),
    "3": area("2", 64, 0, 256, 512, 1.5),
    "4": encode("a deckchair"),
    "5": area("4", 0.5, 0.5, 0.5, 0.5, 0.6, "Percentage"),
    "6": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["1", 0], "conditioning_2": ["3", 0]}},
    "7": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["6", 0], "conditioning_2": ["5", 0]}},
    "8": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["7", 0], "guidance": 3.5}},
    "9": encode("blurry"),
    "10": {"class_type": "EmptyLatentImage", "inputs": {"width": 768, "height": 512, "batch_size": 1}},
    "11": {
        "class_type": "KSampler",
        "inputs": {
            "positive": ["8", 0],
            "negative": ["9", 0],
            "latent_image": ["10", 0],
            "model": ["20", 0],
            "seed": 1,
        },
    },
    "20": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
}
FILES = {
    "omost": OMOST,
    "lmd": LMD,
    "rpg": RPG,
    "invokeai": json.dumps(INVOKEAI, indent=1),
    "comfyui": json.dumps(COMFYUI, indent=1),
}


def read(folder: Path, form: str, text: str | None = None, size: tuple[int | None, int | None] = (None, None)) -> Any:
    path = folder / "layout.txt"
    path.write_text(FILES[form] if text is None else text, encoding="utf-8")
    found = import_plans(path, form, *size)
    for one in found:
        assert ScenePlan.from_yaml(one.plan.to_yaml()) == one.plan
    return found


def told(one: Imported, folder: Path) -> list[str]:
    return [note.replace(f"{folder}/layout.txt", "f") for note in one.notes]


def test_omost(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "omost", size=(900, 900))
    assert one.name == "layout"
    assert one.plan == ScenePlan(
        width=900,
        height=900,
        prompt="A quay at dusk",
        low="Soft light on wet stone, Gulls circle, quay, dusk",
        regions=[
            Region(
                name="A red barge",
                box=(0, 300, 550, 800),
                high="A red barge",
                low="Its paint peels, barge, calm, gouache, detailed",
                priority=1,
            ),
            Region(name="a crane winch", box=(500, 0, 900, 400), high="a crane / winch"),
        ],
    )
    assert told(one, tmp_path) == [
        "distance_to_viewer becomes priority, which acts where overlap is set to priority",
        "HTML_web_color_name is left out: a plan has no colour to begin with",
    ]
    bare = OMOST.split("```python\n")[1].split("```")[0]
    assert read(tmp_path, "omost", bare, (900, 900))[0].plan == one.plan
    (near,) = read(tmp_path, "omost", OMOST.replace("'no offset'", "'No ofset'"), (900, 900))
    assert near.plan == one.plan
    assert told(near, tmp_path)[0] == "f:24: local[1]: offset 'No ofset': read as 'no offset'"


def test_lmd(tmp_path: Path) -> None:
    first, second = read(tmp_path, "lmd")
    assert (first.name, second.name) == ("0000", "0001")
    assert first.plan == ScenePlan(
        width=512,
        height=512,
        prompt="A heron and an otter at a weir.",
        negative_prompt="people",
        regions=[
            Region(name="a heron", box=(10, 20, 110, 220), full="a heron"),
            Region(name="an otter", box=(300, 400, 512, 450), full="an otter"),
        ],
        background=Texts(full="A weir in the mist."),
    )
    assert told(first, tmp_path) == [
        "f:2: objects[1]: [300, 400, 300, 50]: leaves the 512x512 picture; it is cut off at its edges",
        "negative_prompt needs true guidance where the plan is drawn",
    ]
    assert [region.box for region in second.plan.regions] == [(0, 0, 256, 512)]
    assert told(second, tmp_path) == ["f:7: objects[1]: [256, 0, 0, 9]: is empty; its region is left out"]


def test_other_files_of_lmd(tmp_path: Path) -> None:
    answer = " [('a sieve', [0, 0, 256, 512])]\nBackground prompt: a shelf"
    (cached,) = read(tmp_path, "lmd", json.dumps({"a sieve on a shelf": ["Objects:" + answer]}))
    assert (cached.plan.prompt, cached.plan.background) == ("a sieve on a shelf", Texts(full="a shelf"))
    (bare,) = read(tmp_path, "lmd", "Objects:" + answer, (1024, 256))
    assert (bare.plan.prompt, bare.plan.regions[0].box) == ("a shelf with a sieve", (0, 0, 512, 256))
    assert told(bare, tmp_path) == [
        "f:1: has no caption: the base prompt is made of the background prompt and the objects"
    ]
    (none,) = read(tmp_path, "lmd", "Caption: fog\nObjects: No objects.\nBackground prompt: fog")
    assert (none.plan.prompt, none.plan.regions) == ("fog", ())


def test_rpg(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "rpg", size=(800, 600))
    assert one.plan == ScenePlan(
        width=800,
        height=600,
        prompt="Two potters at work.",
        regions=[
            Region(name="a potter with a hat", box=(0, 0, 200, 200), full="a potter with a hat"),
            Region(name="a potter in a smock", box=(200, 0, 800, 200), full="a potter in a smock"),
            Region(name="a wheel with clay", box=(0, 200, 800, 600), full="a wheel with clay"),
        ],
    )
    assert one.notes == ()


@pytest.mark.parametrize(
    ("ratio", "boxes"),
    [
        ("1,1;1,2", [(0, 0, 100, 50), (0, 50, 100, 100)]),
        ("1,3", [(0, 0, 25, 100), (25, 0, 100, 100)]),
        ("1;1;2", [(0, 0, 100, 25), (0, 25, 100, 50), (0, 50, 100, 100)]),
        ("1,1,1;1,1", [(0, 0, 50, 50), (50, 0, 100, 50), (0, 50, 100, 100)]),
    ],
)
def test_split_ratios(tmp_path: Path, ratio: str, boxes: list[tuple[int, ...]]) -> None:
    texts = [f"thing {n}" for n in range(len(boxes))]
    (one,) = read(tmp_path, "rpg", f"{ratio}\n{' BREAK '.join(texts)}", (100, 100))
    assert [region.box for region in one.plan.regions] == boxes
    assert one.plan.prompt == ", ".join(texts)
    assert told(one, tmp_path) == ["f: has no caption and no base prompt: it is made of the regional prompts together"]
    (one,) = read(tmp_path, "rpg", f"{ratio}\na base BREAK\n{' BREAK '.join(texts)}", (100, 100))
    assert (one.plan.prompt, one.notes) == ("a base", ())
    assert [region.full for region in one.plan.regions] == texts


def test_invokeai(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "invokeai")
    assert one.plan == ScenePlan(
        width=1024,
        height=768,
        prompt="a market",
        negative_prompt="",
        regions=[
            Region(name="stall", box=(15, 20, 315, 420), full="a fruit stall"),
            Region(name="a mule", box=(575, 275, 825, 375), full="a mule"),
        ],
    ).model_copy(update={"negative_prompt": None})
    place = "canvas_v2_metadata.regionalGuidance"
    assert [note.partition(": ")[2] for note in told(one, tmp_path)] == [
        f"{place}[0]: 'stall': negativePrompt 'fish' is left out",
        f"{place}[1]: 'a mule': referenceImages (1) is left out",
        f"{place}[1]: 'a mule': autoNegative is left out: other regions do not have its text as a negative one",
        f"{place}[1]: 'a mule': what the eraser took away is left out (strokes: 1)",
        f"{place}[1]: 'a mule': its shape becomes the box around it (1 brush_line)",
        f"{place}[2]: 'a cart' is switched off; it is left out",
        f"{place}[3]: 3 has no positivePrompt; it is left out",
        f"{place}[4]: 'a bell': what the eraser took away is left out (strokes: 1)",
        f"{place}[4]: 'a bell' has no shape that the file holds; its text 'a bell' is left out",
        "canvas_v2_metadata.rasterLayers: raster layers are left out (1)",
    ]


def test_other_files_of_invokeai(tmp_path: Path) -> None:
    state = {
        "regionalGuidance": {"entities": GUIDANCE[:1]},
        "bbox": {"rect": {"x": 5, "y": 20, "width": 512, "height": 640}},
    }
    (one,) = read(tmp_path, "invokeai", json.dumps(state))
    assert ((one.plan.width, one.plan.height), one.plan.regions[0].box) == ((512, 640), (10, 0, 310, 400))
    assert told(one, tmp_path)[-1] == "f: has no positive_prompt: the base prompt is empty"
    (wrapped,) = read(tmp_path, "invokeai", json.dumps({"canvas": state, "positivePrompt": "a market"}))
    assert wrapped.plan == one.plan.model_copy(update={"prompt": "a market"})
    layer = {
        "type": "regional_guidance_layer",
        "x": 8,
        "y": 0,
        "maskObjects": [
            {"type": "vector_mask_rect", "x": 0, "y": 0, "width": 64, "height": 32},
            {"type": "vector_mask_line", "tool": "eraser", "strokeWidth": 9, "points": [300, 300]},
        ],
        "positivePrompt": "a bell",
    }
    older = {"positive_prompt": "a tower", "width": 256, "height": 256}
    older |= {"control_layers": {"_version": 3, "layers": [{"type": "ip_adapter_layer"}, layer]}}
    (one,) = read(tmp_path, "invokeai", json.dumps(older), (512, None))
    assert (one.plan.width, one.plan.height) == (512, 256)
    assert one.plan.regions == (Region(name="a bell", box=(16, 0, 144, 32), full="a bell"),)


def test_comfyui(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "comfyui")
    assert one.plan == ScenePlan(
        width=768,
        height=512,
        prompt="a beach",
        negative_prompt="blurry",
        regions=[
            Region(name="a striped parasol", box=(64, 0, 320, 512), full="a striped parasol"),
            Region(
                name="a deckchair",
                box=(384, 256, 768, 512),
                full="a deckchair",
                strength={"high": 0.6, "low": 0.6, "full": 0.6},
            ),
        ],
    )
    assert [note.partition(": ")[2] for note in told(one, tmp_path)] == [
        "8: FluxGuidance: does what no plan holds; it is passed through",
        "3: strength 1.5 becomes 1, the most of a plan",
        "",
    ]
    assert one.notes[-1] == "negative_prompt needs true guidance where the plan is drawn"
    (wrapped,) = read(tmp_path, "comfyui", json.dumps({"prompt": COMFYUI, "client_id": "x"}))
    assert wrapped.plan == one.plan


def editor_form() -> dict[str, Any]:
    """The same workflow as the editor stores it."""
    order = {"ConditioningSetArea": ["width", "height", "x", "y", "strength"], "EmptyLatentImage": ["width", "height"]}
    order["ConditioningSetAreaPercentage"] = order["ConditioningSetArea"]
    nodes, links = [], []
    for number, node in COMFYUI.items():
        slots = []
        for key, value in node["inputs"].items():
            if isinstance(value, list):
                links.append([len(links) + 1, int(value[0]), value[1], int(number), len(slots), "ANY"])
                slots.append({"name": key, "type": "ANY", "link": len(links)})
        widgets = order.get(node["class_type"], [k for k, v in node["inputs"].items() if not isinstance(v, list)])
        values = [node["inputs"][key] for key in widgets]
        nodes.append(
            {"id": int(number), "type": node["class_type"], "mode": 0, "inputs": slots, "widgets_values": values}
        )
    return {"nodes": nodes, "links": links, "version": 0.4}


def test_the_editors_form_of_comfyui(tmp_path: Path) -> None:
    (api,) = read(tmp_path, "comfyui")
    (one,) = read(tmp_path, "comfyui", json.dumps(editor_form()))
    assert one.plan == api.plan
    form = editor_form()
    form["nodes"][4]["mode"] = 4  # of the deckchair's area
    (one,) = read(tmp_path, "comfyui", json.dumps(form))
    assert (one.plan.prompt, len(one.plan.regions)) == ("a beach, a deckchair", 1)
    assert (
        "nodes[4]: ConditioningSetAreaPercentage: is switched off in the editor; it is passed through" in one.notes[1]
    )


def test_other_nodes_of_comfyui(tmp_path: Path) -> None:
    flow = json.loads(FILES["comfyui"])
    flow["1"]["inputs"]["text"] = ["12", 0]  # from a node that only holds it
    flow["12"] = {"class_type": "PrimitiveString", "inputs": {"value": "a quiet beach"}}
    flow["13"] = {"class_type": "ConditioningSetMask", "inputs": {"conditioning": ["4", 0], "mask": ["14", 0]}}
    flow["7"]["inputs"]["conditioning_2"] = ["13", 0]
    flow["15"] = encode("a gull")
    flow["6"] = {
        "class_type": "ConditioningConcat",
        "inputs": {"conditioning_to": ["1", 0], "conditioning_from": ["15", 0]},
    }
    (one,) = read(tmp_path, "comfyui", json.dumps(flow))
    assert (one.plan.prompt, one.plan.regions) == ("a quiet beach, a gull", ())
    assert [note.partition(": ")[2] for note in told(one, tmp_path)][:3] == [
        "8: FluxGuidance: does what no plan holds; it is passed through",
        "6: ConditioningConcat: its texts become one, with commas between them",
        "13: ConditioningSetMask: its mask is not in the file; its text 'a deckchair' is left out",
    ]
    flow["16"] = {"class_type": "KSampler", "inputs": {"positive": ["15", 0], "latent_image": ["10", 0]}}
    (one,) = read(tmp_path, "comfyui", json.dumps(flow))
    assert "16: KSampler: is another sampler with other texts, which are left out" in " ".join(one.notes)


def test_pictures_that_hold_a_layout(tmp_path: Path) -> None:
    for form, chunk in (("comfyui", "prompt"), ("invokeai", "invokeai_metadata")):
        info = PngImagePlugin.PngInfo()
        info.add_text(chunk, FILES[form])
        Image.new("RGB", (4, 4)).save(tmp_path / "drawn.png", pnginfo=info)
        (one,) = import_plans(tmp_path / "drawn.png", form)
        assert one.plan == read(tmp_path, form)[0].plan
    with pytest.raises(
        InputError, match=r"drawn.png: holds no layout of format comfyui \(no text chunk prompt or work"
    ):
        import_plans(tmp_path / "drawn.png", "comfyui")
    (tmp_path / "torn.png").write_bytes((tmp_path / "drawn.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"torn\.png: damaged PNG file"):
        import_plans(tmp_path / "torn.png", "invokeai")


@pytest.mark.parametrize("form", LAYOUTS)
def test_benchmarks_with_boxes(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form)
    scenes = benchmark_named(form).read(path)
    found = import_plans(path, form)
    assert [(one.name, one.plan, one.notes) for one in found] == [(s.name, s.plan, s.notes) for s in scenes]
    assert import_plans(path, form, 64)[0].plan == found[0].plan.resized(64, found[0].plan.height)


def test_the_formats_there_are() -> None:
    assert set(LAYOUTS) == {name for name in BENCHMARKS if benchmark_named(name).boxes}
    assert set(FILES) == set(IMPORTERS)
    with pytest.raises(InputError, match=r"format 'omots': did you mean 'omost'\? must be one of flux3, ideogram"):
        import_plans("x", "omots")
    assert len(set(FORMATS)) == len(FORMATS)


def deep(number: int) -> str:
    """A workflow of so many nodes, each of which joins the one before with itself."""
    flow: dict[str, Any] = {"0": encode("a"), "s": {"class_type": "KSampler", "inputs": {"positive": [str(number), 0]}}}
    for n in range(number):
        both = {"conditioning_1": [str(n), 0], "conditioning_2": [str(n), 0]}
        flow[str(n + 1)] = {"class_type": "ConditioningCombine", "inputs": both}
    return json.dumps(flow)


@pytest.mark.parametrize(
    ("form", "old", "new", "message"),
    [
        (
            "omost",
            "canvas.set_global",
            "__import__('os').set_global",
            "f:5: '__import__('os').set_global_description( description='A ",
        ),
        (
            "omost",
            "canvas = Canvas()",
            "import os",
            "f:4: 'import os': must be canvas.set_global_description(…) or canvas.a",
        ),
        ("omost", "canvas = Canvas()", "canvas = open('x')", "f:4: 'canvas = open('x')': must be"),
        ("omost", "['Its paint peels.']", "[open('x')]", "f:17: detailed_descriptions: must be a plain value"),
        (
            "omost",
            "'on the left'",
            "'upstairs'",
            "f:11: local[0]: location 'upstairs': must be one of 'in the center', 'on",
        ),
        (
            "omost",
            "location=",
            "locaton=",
            "f:12: locaton: unknown argument: did you mean 'location'? must be one of loc",
        ),
        (
            "omost",
            "    description='A red barge.',\n",
            "",
            "f:11: canvas.add_local_description: description is missing",
        ),
        (
            "omost",
            "distance_to_viewer=5.0",
            "distance_to_viewer=-5",
            "f:15: distance_to_viewer: -5: must be a number abo",
        ),
        ("omost", "['Its paint peels.']", "'peels'", "f:17: detailed_descriptions: 'peels': must be a list of texts"),
        ("omost", "tags='barge'", "tags=3", "f:18: tags: 3: must be a text"),
        ("omost", "tags='barge'", "style='x'", "f:20: style: given twice"),
        ("omost", "'grey')", "'grey', 1)", "f:24: canvas.add_local_description: takes 11 arguments, not 12"),
        ("omost", "'gouache'", "'gouache", "f:20: not valid Python: unterminated string"),
        (
            "omost",
            "set_global_description",
            "add_local_description",
            "f:5: canvas.add_local_description: location is missi",
        ),
        ("lmd", "Objects: [('a heron'", "Objects: [(open('x')", "f:2: objects: '[(open('x')"),
        ("lmd", "[10, 20, 100, 200]", "[10, 20, 100]", "f:2: objects[0][1][3]: missing"),
        ("lmd", "'a heron', [10", "'a heron', ['ten'", "f:2: objects[0][1][0]: 'ten': must be a number"),
        ("lmd", "[('a heron', [10, 20, 100, 200]), ", "['a heron', ", "f:2: objects: "),
        ("lmd", "Objects: [('a heron'", "Things: [('a heron'", "f:1: Objects: missing"),
        ("lmd", "Negative prompt: people", "Background prompt: b", "f:4: Background prompt: already given in line 3"),
        (
            "rpg",
            "Split ratio: 1,(1,3); 2",
            "Split ratio: 1,(1,x); 2",
            "f:5: split ratio '1,(1,x); 2': 'x' must be a number",
        ),
        (
            "rpg",
            "Split ratio: 1,(1,3); 2",
            "Split ratio: 1,(0,3); 2",
            "f:5: split ratio '1,(0,3); 2': '0' must be a number",
        ),
        (
            "rpg",
            " BREAK a wheel",
            " and a wheel",
            "f:6: prompts: has 2 texts between BREAKs, the split ratio '1,(1,3); 2' 3",
        ),
        ("rpg", "a potter with a hat BREAK", "BREAK", "f:6: prompts: text 1 of 3 is empty"),
        ("rpg", "Split ratio: 1,", "Ratio: 1,", "f: must have a line that begins with 'Split ratio:' and one with"),
        ("invokeai", '"type": "rect",', '"type": 3,', "objects[0].type: 3: must be a valid string"),
        ("invokeai", '"width": 300', '"width": -3', "objects[0].rect.width: -3: must be greater than 0"),
        ("invokeai", '"width": 1024', '"widht": 1024', "--"),
        (
            "invokeai",
            '"regionalGuidance"',
            '"guidance"',
            "holds no regional guidance: must hold canvas_v2_metadata.regio",
        ),
        ("comfyui", '"class_type": "KSampler"', '"class_type": "SaveImage"', "holds no sampler with a positive input"),
        ("comfyui", '"class_type": "KSampler"', '"class": "KSampler"', "must be a node with class_type and inputs"),
        ("comfyui", '"width": 256', '"width": "wide"', "ConditioningSetArea: width: 'wide': must be a number from 0"),
        ("comfyui", '"text": "a beach"', '"text": 3', "text: 3: must be a text"),
        ("comfyui", '"8",\n', '"80",\n', "node '80': is linked to, and not in the file"),
        ("comfyui", '"height": 512,\n   "batch', '"batch', "--"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, form: str, old: str, new: str, message: str) -> None:
    assert old in FILES[form]
    size = (None, None) if message == "--" else (64, 64)
    with pytest.raises(InputError) as caught:
        read(tmp_path, form, FILES[form].replace(old, new, 1), size)
    said = str(caught.value).replace(f"{tmp_path}/layout.txt", "f")
    if message == "--":
        message = "missing: this file of format"
    assert message in said


def test_what_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ConditioningCombine|joins more than 1000 texts"):
        read(tmp_path, "comfyui", deep(40), (64, 64))
    circle = json.dumps(
        {"1": area("1", 0, 0, 8, 8, 1), "2": {"class_type": "KSampler", "inputs": {"positive": ["1", 0]}}}
    )
    with pytest.raises(InputError, match="has more than 100 nodes before it, or is part of a circle"):
        read(tmp_path, "comfyui", circle, (64, 64))
    nested = "canvas.set_global_description(description=" + "(" * 5000 + "'x'" + ")" * 5000 + ")"
    with pytest.raises(InputError, match="not valid Python"):
        read(tmp_path, "omost", nested, (64, 64))
    with pytest.raises(InputError, match="is no list"):
        read(tmp_path, "lmd", "Objects: " + "[" * 5000 + "]" * 5000)


BITS = [
    "",
    '"',
    "'",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    "0",
    "-",
    "null",
    "1e999",
    "\x1b",
    "\n",
    "é",
    "x" * 300,
    "BREAK",
    ";",
]


@pytest.mark.parametrize("form", FILES)
def test_whatever_stands_in_a_file_it_is_read_or_refused_in_a_line(tmp_path: Path, form: str) -> None:
    rng = random.Random(form)
    said = []
    for _ in range(20):
        damaged = FILES[form]
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(damaged) + 1)
            end = min(len(damaged), start + rng.choice([0, 0, 1, 4, 30]))
            damaged = damaged[:start] + rng.choice(BITS) + damaged[end:]
        try:
            read(tmp_path, form, damaged, (128, 96))
        except InputError as error:
            said.append(str(error))
    assert 0 < len(said) < 20
    assert all(str(tmp_path) in line and line.isprintable() and len(line) <= LONGEST_MESSAGE for line in said)
