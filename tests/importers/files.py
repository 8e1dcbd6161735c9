"""Small layouts in the forms of other programs, written for these tests, and a way to read them."""

import json
from pathlib import Path
from typing import Any

from strata.hierarchy.plan import ScenePlan
from strata.importers import Imported, import_plans

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
