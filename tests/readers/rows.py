"""Small files in the forms of the field's benchmarks, written for these tests."""

import json
from pathlib import Path
from typing import Any

GENEVAL = [
    {"tag": "counting", "include": [{"class": "kettle", "count": 3}], "prompt": "three kettles", "exclude": []},
    {
        "tag": "position",
        "include": [
            {"class": "owl", "count": 1},
            {"class": "sled", "count": 1, "color": "teal", "position": ["left of", 0]},
        ],
        "prompt": "a teal sled left of an owl",
    },
]
GENEVAL2 = [
    {
        "prompt": "two glass pears under a loom",
        "atom_count": 4,
        "vqa_list": [["How many pears are there?", "two"], ["Is there a loom?", "Yes"]],
        "skills": ["count", "object"],
    },
    {"prompt": "a felt ladder", "atom_count": 2, "vqa_list": [["Is the ladder felt?", "Yes"]], "skills": ["attribute"]},
]
LAYOUTSAM = [
    {
        "file_name": "sa_7.jpg",
        "width": 800,
        "height": 400,
        "global_caption": "A kiln beside a dinghy.",
        "bbox_list": "[[0, 0, 400, 200], [500.5, 100, 900, 300], [20, 30, 20, 90]]",
        "region_captions": "['a kiln', 'a dinghy', 'a thread']",
        "detail_region_captions": '["a brick kiln, sooty", "a dinghy\'s hull", "a thread"]',
        "image_id": 7,
    },
    {
        "file_name": "sa_8.png",
        "width": 640,
        "height": 640,
        "global_caption": "Two crates.",
        "bbox_list": "[[0, 0, 320, 640], [320, 0, 640, 640]]",
        "region_captions": '["a crate", "a crate"]',
        "detail_region_captions": '["a crate", ""]',
    },
]
DENSE = [
    {
        "id": 41,
        "prompt": "a workshop",
        "width": 1000,
        "height": 600,
        "annos": [
            {"bbox": [0, 0, 500, 300], "category_name": "vice", "caption": "a blue vice, chipped"},
            {"bbox": [500, 300, 1000, 600], "category_name": "vice", "caption": "vice"},
            {"bbox": [1000, 0, 1200, 50], "category_name": "clamp", "caption": "a clamp"},
        ],
    }
]
OVERLAY = [
    {
        "image_id": "00012",
        "annotation": str(
            {
                "caption": "A goat stands in front of a cart.",
                "annotations": {
                    "goat_1": {
                        "category": "goat",
                        "bbox": [100, 200, 600, 900],
                        "local_prompts": "a shaggy white goat",
                    },
                    "cart": {"category": "cart", "bbox": [300, 100, 1000, 800], "local_prompts": ["a cart", "of oak"]},
                },
                "relations": {"(goat_1, cart)": "in front of"},
                "valid_overlap": [],
            }
        ),
    }
]
MIG = """\
a photo of a red kettle and a blue kettle:
  a blue kettle:
  - - 0.5
    - 0.25
    - 1.0
    - 0.75
  a red kettle:
  - [0.0, 0.0, 0.25, 0.5]
  - [-0.5, 0.5, 0.25, 1.0]
  coco_id: '31'
? a photo of a green loom
: a green loom: [[0.1, 0.1, 0.9, 0.9]]
  coco_id: 5
"""
PROMPTS = "a red book and a yellow vase\r\n\na blue_ish cup\tcolor\n"


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


FILES = {
    "geneval": ("evaluation_metadata.jsonl", lines(GENEVAL)),
    "geneval2": ("geneval2_data.jsonl", lines(GENEVAL2)),
    "t2i-compbench": ("color_val.txt", PROMPTS),
    "coco-mig": ("mig_bench_anno.yaml", MIG),
    "layoutsam": ("test.jsonl", lines(LAYOUTSAM)),
    "denselayout": ("test.jsonl", lines(DENSE)),
    "overlaybench": ("simple-00000-of-00001.jsonl", lines(OVERLAY)),
    "dpg": ("prompts/partiprompts3.txt", "A long prompt\nof two lines.\n"),
}


def written(folder: Path, form: str) -> Path:
    """The small file of a format."""
    name, content = FILES[form]
    path = folder / form / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path
