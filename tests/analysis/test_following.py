"""Did the region obey: by attention, by the exact scorer, by CLIP."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from strata.analysis.following import Localization, following
from strata.analysis.probe import Probe
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.scenes import Placed, Scene
from tests.analysis.probes import COLS, LEFT, PLAN, RIGHT, ROWS, made_probe, make_clip, picture


def area(tokens: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(ROWS * COLS, bool)
    mask[list(tokens)] = True
    return mask.reshape(ROWS, COLS)


def test_a_map_against_an_area() -> None:
    left = area(LEFT)
    maps = np.zeros((2, 2, ROWS, COLS), np.float32)
    maps[0, 0], maps[0, 1] = left, ~left
    maps[1, 0] = 1
    maps[1, 0, :, 0] = 4
    acting = Localization.of(maps, left)
    assert acting.iou[0].tolist() == [1.0, 0.0]
    assert acting.leakage[0].tolist() == [0.0, 1.0]
    assert acting.leakage[1, 0] == pytest.approx(12 / (4 * 4 + 8 + 12))
    assert math.isnan(acting.iou[1, 1])
    assert math.isnan(acting.leakage[1, 1])
    assert acting.score == pytest.approx((36 / 60 - 0.5) / 0.5)
    assert Localization.of(np.ones_like(maps), left).score == pytest.approx(0)
    assert Localization.of(np.ones_like(maps), np.ones_like(left)).score is None
    assert Localization.of(np.zeros_like(maps), left).score is None
    json.dumps(acting.as_data(), allow_nan=False)


def obedient(probe: Probe) -> Probe:
    """The probe with every label of a region, and "red" and "circle" of the base, inside its own area alone."""
    maps, words, concepts = probe.maps.copy(), probe.words_to_image.copy(), probe.concepts.copy()
    for n, label in enumerate(probe.facts.labels):
        side = label.area or {"red": "left", "circle": "left", "square": "right"}.get(label.word or "")
        if side:
            inside = area(LEFT if side == "left" else RIGHT)
            maps[n] *= inside
            if n in probe.facts.words:
                words[probe.facts.words.index(n)] *= inside
    concepts[0] *= area(LEFT)
    concepts[1] *= area(RIGHT)
    return replace(probe, maps=maps, words_to_image=words, concepts=concepts)


def test_attention_of_regions() -> None:
    found = following(obedient(made_probe()))
    assert [(region.name, region.tokens, region.box) for region in found.regions] == [
        ("left", 12, (0, 0, 24, 32)),
        ("right", 12, (24, 0, 48, 32)),
    ]
    for source in ("texts", "words", "concepts"):
        assert found.attention(source) == pytest.approx(1)
    assert all(np.all(region.attention["texts"].iou == 1) for region in found.regions)
    loose = following(made_probe())
    assert loose.attention("texts") == pytest.approx(0, abs=0.2)
    assert loose.exact is None
    assert loose.clip is None
    assert json.loads(json.dumps(found.as_data(), allow_nan=False))["scores"]["texts"] == 1
    table = found.table()
    assert table.splitlines()[1].split()[:5] == ["left", "12", "1.00", "1.00", "0.00"]
    assert "seen" not in table
    assert "CLIP" not in table


def test_a_plain_probe_against_a_plan() -> None:
    plan = ScenePlan.model_validate(PLAN)
    probe = made_probe(regions=False)
    found = following(obedient(probe), plan=plan)
    assert found.attention("texts") == pytest.approx(1), "words of the base prompt that one region's texts have"
    assert set(found.regions[0].attention) == {"texts", "words", "concepts"}
    both = {**PLAN, "regions": [{**PLAN["regions"][0], "low": "red"}, {**PLAN["regions"][1], "low": "red"}]}
    shared = following(made_probe(regions=False, words=True), plan=ScenePlan.model_validate(both))
    chosen = shared.regions[0].attention["words"]
    circle = Localization.of(probe.words_to_image[[1]].sum(0), area(LEFT))
    np.testing.assert_array_equal(chosen.leakage, circle.leakage, "a word that both regions have is neither's")
    assert "texts" not in following(made_probe(regions=False, words=False), plan=plan).regions[0].attention


def test_what_cannot_be_judged() -> None:
    probe = made_probe()
    bare = ScenePlan(width=48, height=32, prompt="a circle")
    strange = {**PLAN, "regions": [{**PLAN["regions"][0], "low": "mossy"}, PLAN["regions"][1]]}
    for ask, message in (
        (lambda: following(made_probe(regions=False)), "the probe is of a plain prompt"),
        (lambda: following(probe, plan=bare), "needs at least one"),
        (lambda: following(probe, exact=True), "give image"),
        (lambda: following(probe, picture(), ScenePlan.model_validate(strange), exact=True), "'mossy' is not in the"),
        (lambda: following(probe, picture(), clip="no/such folder"), "clip: 'no/such folder': holds no CLIP model"),
    ):
        with pytest.raises(InputError, match=message):
            ask()


def test_exact_scores_of_a_rendered_scene() -> None:
    plan = ScenePlan.model_validate(
        {
            "width": 128,
            "height": 128,
            "prompt": "two objects",
            "regions": [
                {"name": "left", "box": [0, 0, 64, 128], "high": "a circle", "low": "red, striped, flat"},
                {"name": "right", "box": [64, 0, 128, 128], "high": "a star", "low": "blue"},
            ],
            "background": {"high": "plain background", "low": "grey"},
        }
    )
    things = (
        Placed(Thing("circle", "red", "striped", "flat"), 32, 64, 26, "left"),
        Placed(Thing("square", "blue", "solid", "flat"), 96, 64, 26, "right"),
    )
    image = Image.fromarray(Scene(128, 128, things, Backdrop("plain", "grey"), "flat").paint())
    probe = made_probe()
    shown = following(
        replace(probe, facts=probe.facts.model_copy(update={"width": 128, "height": 128})), image, plan, True
    )
    assert shown.accuracy["colour"] > 0.9
    assert shown.regions[0].exact == {"kind": True, "colour": True, "surface": True, "style": True}
    assert shown.regions[1].exact == {"kind": False, "colour": True}, "what the text leaves open is not asked"
    assert shown.background == {"pattern": True, "tone": True}
    assert shown.exact == 0.5
    assert "kind WRONG, colour right" in shown.table()
    assert "50 % of regions as told" in shown.table()


def test_clip_compares_a_region_with_all_texts(tmp_path: Path) -> None:
    import torch
    from transformers import CLIPModel, CLIPProcessor

    make_clip(tmp_path)
    image, probe = picture(), made_probe()
    found = following(probe, image, clip=str(tmp_path))
    net, processor = CLIPModel.from_pretrained(tmp_path).eval(), CLIPProcessor.from_pretrained(tmp_path)
    texts = ["a circle, red, striped", "a square, blue, dotted"]
    inputs = processor(
        text=texts, images=[image.crop((24, 0, 48, 32))], return_tensors="pt", padding=True, truncation=True
    )
    with torch.no_grad():
        expected = net(**inputs).logits_per_image.softmax(-1)[0, 1].item()
    assert found.regions[1].clip == pytest.approx(expected, abs=1e-5)
    assert found.clip == pytest.approx(np.mean([region.clip for region in found.regions if region.clip is not None]))
    assert found.as_data()["clip_model"] == str(tmp_path)
    assert "CLIP" in found.table()
    one = ScenePlan.model_validate({**PLAN, "regions": PLAN["regions"][:1]})
    with pytest.raises(InputError, match="needs at least two regions"):
        following(probe, image, one, clip=str(tmp_path))
