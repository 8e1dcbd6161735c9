"""Judges: each against a definition of its own, on real classes of tiny size and a scripted server."""

import base64
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from strata.analysis.judges import judge_named
from strata.analysis.judges.detector import DetectorJudge, _apart
from strata.analysis.judges.exact import ExactJudge
from strata.analysis.judges.protocol import asked_of, leaks
from strata.analysis.judges.vqa import VqaJudge
from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.plan import ScenePlan
from strata.llm.errors import LlmError
from strata.miniature.world.truth import render
from tests.analysis.probes import make_clip
from tests.llm.hostile import Asked, Book, Handler, completion, hostile_server

TWO = ScenePlan.model_validate(
    {
        "width": 128,
        "height": 128,
        "prompt": "two objects",
        "regions": [
            {"name": "left", "box": [0, 0, 64, 128], "high": "a boat", "low": "red, solid"},
            {"name": "right", "box": [64, 0, 128, 128], "high": "a star", "low": "blue, dotted"},
        ],
        "background": {"full": "plain grey background"},
    }
)
SWAPPED = TWO.with_values({("regions", 0, "low"): "blue, dotted", ("regions", 1, "low"): "red, solid"})
FREE = ScenePlan.model_validate(
    {
        "width": 64,
        "height": 64,
        "prompt": "animals",
        "regions": [
            {"name": "fox", "box": [0, 0, 32, 64], "high": "a sly fox", "low": "auburn fur"},
            {"name": "owl", "box": [32, 0, 64, 64], "high": "an owl"},
        ],
    }
)


def noise(side: int = 64, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8))


def test_what_regions_ask_for() -> None:
    assert asked_of(TWO)[0] == {"kind": "boat", "colour": "red", "surface": "solid"}
    assert asked_of(FREE) == [{"high": "a sly fox", "low": "auburn fur"}, {"high": "an owl"}]


def test_a_leak_is_wrong_and_another_regions() -> None:
    asked = [{"colour": "red"}, {"colour": "blue"}]
    assert leaks([{"colour": "blue"}, {"colour": "green"}], asked, ["colour"]) == [True, False]
    assert leaks([{"colour": "red"}, {"colour": None}], asked, ["colour"]) == [False, False]
    assert leaks([{"colour": "blue"}, {"colour": "blue"}], asked, ["surface"]) == [False, False]
    assert leaks([{"colour": "red"}, {"colour": "red"}], asked[:1] * 2, ["colour"]) == [False, False], "both are right"


# exact ----------------------------------------------------------------------------------------------------------------


def test_exact_finds_everything_in_the_exact_picture_and_what_is_wrong_in_another() -> None:
    judge = ExactJudge()
    right = judge.judge(render(TWO), TWO)
    assert all(found.success and found.leak is False and found.placed for found in right.objects)
    assert (right.count, right.background) == (True, {"pattern": True, "tone": True})
    assert all(0.2 < (found.iou or 0) < 1 for found in right.objects)
    assert right.features is not None
    np.testing.assert_allclose(right.features, judge.reference(TWO))
    swapped = judge.judge(render(SWAPPED), TWO)
    assert [found.right for found in swapped.objects] == [{"kind": True, "colour": False, "surface": False}] * 2
    assert [found.leak for found in swapped.objects] == [True, True]
    assert swapped.objects[0].found["colour"] == "blue"
    assert swapped.objects[0].sure["colour"] < 0.1


def test_exact_tells_where_objects_are_and_how_many() -> None:
    judge, picture = ExactJudge(), render(TWO)
    box = judge.judge(picture, TWO).objects[0].box
    assert box is not None
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    assert abs(middle[0] - 32) < 6
    assert abs(middle[1] - 64) < 8
    turned = picture.rotate(90)  # one above the other: neither is in the middle of a half
    found = judge.judge(turned, TWO)
    assert found.count is True
    empty = render(TWO).resize((128, 128)).crop((0, 0, 4, 4)).resize((128, 128))
    nothing = judge.judge(empty, TWO)
    assert nothing.count is False
    assert [(o.iou, o.placed, o.box) for o in nothing.objects] == [(0.0, False, None)] * 2


def test_exact_judges_no_places_where_they_cannot_be_told_in_the_exact_picture() -> None:
    """Two objects that touch are one patch: neither count nor boxes are judged, whatever was drawn."""
    at = {("regions", 0, "box"): [20, 32, 84, 96], ("regions", 1, "box"): [44, 32, 108, 96]}
    judged = ExactJudge().judge(render(TWO), TWO.with_values(at))
    assert judged.count is None
    assert [(found.iou, found.placed) for found in judged.objects] == [(None, None)] * 2


def test_exact_refuses_other_words() -> None:
    with pytest.raises(InputError, match="fox"):
        ExactJudge().check(FREE)


# clip -----------------------------------------------------------------------------------------------------------------


def test_clip_compares_texts_level_by_level(tmp_path: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    make_clip(tmp_path)
    judge = judge_named(f"clip:{tmp_path}")
    picture = noise()
    found = judge.judge(picture, FREE)
    net, processor = CLIPModel.from_pretrained(tmp_path).eval(), CLIPProcessor.from_pretrained(tmp_path)
    texts = ["a sly fox", "an owl"]
    crop = picture.crop((32, 0, 64, 64))
    inputs = processor(text=texts, images=[crop], return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        odds = net(**inputs).logits_per_image.softmax(-1)[0]
    owl = found.objects[1]
    assert owl.sure == {"high": pytest.approx(float(odds[1]), abs=1e-5)}
    assert owl.right == {"high": bool(odds[1] > odds[0])}
    assert owl.found == {"high": texts[int(odds.argmax())]}
    assert owl.leak is not owl.success
    assert found.objects[0].sure["low"] == 1, "the only low text is the likeliest"
    assert found.features is not None
    named = judge.judge(render(TWO), TWO)
    assert named.objects[0].asked == {"kind": "boat", "colour": "red", "surface": "solid"}
    assert set(named.background or ()) == {"pattern", "tone"}
    with pytest.raises(InputError, match="at least two regions"):
        judge.check(FREE.model_copy(update={"regions": FREE.regions[:1]}))


# vqa ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    for name in ("STRATA_LLM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with hostile_server() as book:
        yield book


def tokens(**odds: float) -> dict[str, Any]:
    """A completion with probabilities of its first token."""
    body = completion(next(iter(odds)))
    top = [{"token": token, "logprob": math.log(p)} for token, p in odds.items()]
    body["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return body


def seen(asked: Asked) -> tuple[np.ndarray, str]:
    """The picture and the question of a request."""
    image, text = asked.body["messages"][0]["content"]
    data = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), text["text"]


def colour_blind(handler: Handler, asked: Asked) -> None:
    """Knows kinds, and sees red where there is most of it."""
    pixels, text = seen(asked)
    red = bool((pixels[..., 0].astype(int) - pixels[..., 2] > 90).mean() > 0.05)
    yes = red if "red?" in text else not red if "blue?" in text else True
    handler.send(tokens(**{"Yes": 0.6, " yes": 0.2, "No": 0.1} if yes else {"no": 0.75, "Yes": 0.25}))


def test_vqa_asks_about_each_crop_and_takes_the_probabilities_of_yes(server: Book) -> None:
    server.reply = colour_blind
    judge = VqaJudge(server.address, timeout=5.0, retries=0)
    assert judge.settings == {"vqa": "tiny"}
    right = judge.judge(render(TWO), TWO)
    assert [found.right for found in right.objects] == [{"kind": True, "colour": True, "surface": True}] * 2
    assert right.objects[0].sure["colour"] == pytest.approx(0.8 / 0.9)
    assert {seen(asked)[1] for asked in server.asked} >= {
        "Does this picture show a boat? Answer with yes or no only.",
        "Is the main object in this picture blue? Answer with yes or no only.",
    }
    assert len(server.asked) == 6
    assert server.asked[0].body["logprobs"] is True
    assert max(seen(server.asked[0])[0].shape) == 224
    swapped = judge.judge(render(SWAPPED), TWO)
    assert [found.right["colour"] for found in swapped.objects] == [False, False]
    assert swapped.objects[0].sure["colour"] == pytest.approx(0.25)
    assert [found.leak for found in swapped.objects] == [True, True], "each is what the other one should be"


def test_vqa_says_what_a_server_lacks(server: Book) -> None:
    judge = VqaJudge(server.address, timeout=5.0, retries=0)
    with pytest.raises(LlmError, match="gives no probabilities of tokens"):
        judge.judge(render(TWO), TWO)
    server.reply = lambda handler, asked: handler.send(tokens(Maybe=0.9))
    with pytest.raises(LlmError, match="neither yes nor no is among"):
        judge.judge(render(TWO), TWO)


# detector -------------------------------------------------------------------------------------------------------------


def make_owl(folder: Path) -> None:
    """A small random OWLv2 with its processor, in the format of the hub."""
    from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor

    symbols = [*"abcdefghijklmnopqrstuvwxyz,"]
    vocabulary = [*symbols, *(f"{s}</w>" for s in symbols), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    last = len(vocabulary) - 1
    text = {**shape, "vocab_size": len(vocabulary), "max_position_embeddings": 16, "eos_token_id": last}
    vision = {**shape, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    config = Owlv2Config(text_config=text, vision_config=vision, projection_dim=32)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    processor = Owlv2ImageProcessor(size={"height": 32, "width": 32})
    Owlv2Processor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)


def make_dino(folder: Path) -> None:
    """A small random Grounding DINO with its processor, in the format of the hub."""
    from transformers import (
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "an", "fox", "owl", "sly"]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), model_max_length=16)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    backbone = SwinConfig(
        image_size=128, patch_size=2, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config={"model_type": "bert", "vocab_size": len(words), **shape},
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=6,
        max_text_len=16,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    processor = GroundingDinoImageProcessor(size={"height": 128, "width": 128})
    GroundingDinoProcessor(processor, tokenizer).save_pretrained(folder)


@pytest.mark.slow
def test_detectors_of_another_family_are_asked_in_their_form(tmp_path: Path) -> None:
    make_dino(tmp_path)
    judge = DetectorJudge(str(tmp_path), threshold=0.0)
    found = judge.detections(noise(), "A sly fox")
    assert 1 <= len(found) <= 6
    inputs = judge.processor(text="a sly fox.", images=noise(), return_tensors="pt")
    with torch.no_grad():
        best = float(judge.net(**inputs).logits.sigmoid().max())
    assert found[0][0] == pytest.approx(best, abs=1e-4)


def test_detector_takes_the_detection_that_lies_in_the_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_owl(tmp_path)
    judge = DetectorJudge(str(tmp_path), threshold=0.0)
    assert judge_named(f"detector:{tmp_path}").settings["detector"] == str(tmp_path)
    picture = noise()
    found = judge.detections(picture, "an owl")
    assert found
    assert [score for score, _ in found] == sorted((score for score, _ in found), reverse=True)
    assert all(0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 64 for _, (x1, y1, x2, y2) in found)
    assert len(judge.judge(picture, FREE).objects) == 2
    boxes = {
        "a sly fox": [(0.9, (34, 0, 60, 60)), (0.4, (4, 8, 36, 56))],
        "an owl": [(0.8, (0, 0, 30, 30))],
    }
    monkeypatch.setattr(judge, "detections", lambda picture, phrase: boxes[phrase])
    fox, owl = judge.judge(picture, FREE).objects
    assert (fox.success, fox.placed, fox.box, fox.sure) == (True, True, (4, 8, 36, 56), {"object": 0.4})
    assert fox.iou == pytest.approx(28 * 48 / (32 * 64 + 4 * 48))
    assert (owl.success, owl.placed, owl.iou) == (False, False, 0.0)
    assert judge.judge(picture, FREE).count is False, "two foxes"


def test_one_object_is_detected_once() -> None:
    found = [(0.9, (0, 0, 10, 10)), (0.8, (1, 0, 10, 10)), (0.7, (20, 0, 30, 10))]
    assert _apart(found) == [found[0], found[2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exakt", "did you mean 'exact'"),
        ("clip", "needs a folder or a hub id behind a colon: clip:"),
        ("exact:large", "takes no model"),
        ("vqa", "needs the address of a server"),
        ("vqa:nowhere", "is no server's address"),
        ("detector:./none", "there is no such folder"),
        ("detector:.", "holds no open-vocabulary detector"),
    ],
)
def test_judges_that_are_refused(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StrataError) as caught:
        judge_named(text)
    assert message in str(caught.value)


def test_a_model_of_another_kind_is_no_detector(tmp_path: Path) -> None:
    make_clip(tmp_path)
    with pytest.raises(InputError, match="its model_type is 'clip'; must be one of owlvit"):
        DetectorJudge(str(tmp_path))
