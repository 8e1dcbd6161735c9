"""Damaged layouts of other programs, and such that never end: refused in a line that names the place."""

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from strata.hierarchy.errors import LONGEST_MESSAGE, InputError
from tests.importers.files import FILES, area, editor_form, encode, read


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


@pytest.mark.parametrize("wrong", [3, "x", [3], [[]], {"a": 1}, [{"name": []}], [["x", 1, [], 2, 3]], None, True])
@pytest.mark.parametrize("field", ["inputs", "widgets_values", "mode", "links", "id", "type"])
def test_wrong_kinds_in_an_editors_file(tmp_path: Path, field: str, wrong: object) -> None:
    form = editor_form()
    if field == "links":
        form["links"] = wrong
    else:
        form["nodes"][1][field] = wrong
    with suppress(InputError):  # a plan or that, and nothing else
        read(tmp_path, "comfyui", json.dumps(form), (64, 64))


@pytest.mark.parametrize(
    "text",
    ["{(1, 2): {3}}", "[{('a', 'b'): 1}]", "(('a kiln', [0, 0, {1: 2}, 4]),)", "[b'x']", "[1j]", "[[['a']], {}]"],
)
def test_values_of_python_that_json_does_not_have(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"layout\.txt:1: objects"):
        read(tmp_path, "lmd", f"Objects: {text}")


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
