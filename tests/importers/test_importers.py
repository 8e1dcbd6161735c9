"""Layouts of other programs as plans: what they hold, and what is told to be lost."""

import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Region, ScenePlan, Texts
from strata.importers import FORMATS, IMPORTERS, LAYOUTS, import_plans
from strata.readers import BENCHMARKS, benchmark_named
from tests.importers.files import COMFYUI, FILES, GUIDANCE, OMOST, RPG, editor_form, encode, read, told
from tests.readers.rows import written


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
    with pytest.raises(InputError, match=r":24: local\[1\]: offset 'on the moon': must be one of"):
        read(tmp_path, "omost", OMOST.replace("'no offset'", "'on the moon'"), (900, 900))


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


def test_the_last_answer_of_rpg_counts(tmp_path: Path) -> None:
    other = '### Original Caption:\n"A mill."\n### Output:\nSplit ratio: 1;1\nRegional Prompt: sails BREAK a door\n\n'
    (one,) = read(tmp_path, "rpg", other + RPG, (800, 600))
    assert one.plan == read(tmp_path, "rpg", RPG, (800, 600))[0].plan


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


def test_pairs_of_texts_and_other_encoders_of_comfyui(tmp_path: Path) -> None:
    flow = json.loads(FILES["comfyui"])
    pair = {"positive": ["8", 0], "negative": ["9", 0], "strength": 0.5}
    flow["30"] = {"class_type": "ControlNetApplyAdvanced", "inputs": pair}
    flow["11"]["inputs"] |= {"positive": ["30", 0], "negative": ["30", 1]}
    flow["4"] = {
        "class_type": "TextEncodeOfOthers",
        "inputs": {"style": "none", "text": "a deckchair", "clip": ["20", 1]},
    }
    (one,) = read(tmp_path, "comfyui", json.dumps(flow))
    assert one.plan == read(tmp_path, "comfyui")[0].plan
    assert "30: ControlNetApplyAdvanced: does what no plan holds; it is passed through" in one.notes[0]
    flow["9"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["8", 0]}}
    (one,) = read(tmp_path, "comfyui", json.dumps(flow))
    assert one.plan.negative_prompt is None


def test_of_several_samplers_one_with_areas_is_read(tmp_path: Path) -> None:
    first = {"class_type": "KSampler", "inputs": {"positive": ["15", 0], "latent_image": ["10", 0]}}
    (one,) = read(tmp_path, "comfyui", json.dumps({"0": first, "15": encode("a gull"), **COMFYUI}))
    assert one.plan == read(tmp_path, "comfyui")[0].plan
    assert "0: KSampler: is another sampler with other texts, which are left out" in " ".join(one.notes)


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
    assert {*LAYOUTS, "plans"} == {n for n in BENCHMARKS if benchmark_named(n).boxes}, "plans are plans already"
    assert set(FILES) == set(IMPORTERS)
    with pytest.raises(InputError, match=r"format 'omots': did you mean 'omost'\? must be one of flux3, ideogram"):
        import_plans("x", "omots")
    assert len(set(FORMATS)) == len(FORMATS)
