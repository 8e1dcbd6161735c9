"""Outlines of scenes, what drawings fill, and the training of a ControlNet that follows outlines."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxControlNetModel

from strata.miniature import CONTROL, control_report
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.model.transformer import new_transformer
from strata.miniature.training import control, data
from strata.miniature.training.control import amplified, copied_blocks, followed, save_control, train_control
from strata.miniature.training.data import Pool
from strata.miniature.world.outlines import (
    GREY,
    drawn_silhouette,
    outlined_scene,
    outlines,
    overlap,
    silhouette,
    varied_outlines,
)
from strata.miniature.world.scenes import Scene, random_scene

ASKED = (
    control_report.WITHOUT,
    control_report.WITH,
    control_report.RENDERED,
    control_report.CONFINED,
    control_report.BESIDE,
)


def scenes(count: int, objects: tuple[int, ...] = (1, 2, 4)) -> list[Scene]:
    rng = random.Random(3)
    drawn = (random_scene(rng, 128, 96, rng.choice(objects), style="flat") for _ in range(10 * count))
    flat = (scene for scene in drawn if all(p.thing.style == "flat" for p in scene.things))
    return [replace(scene, backdrop=GREY, second=None) for scene in flat][:count]


def test_outlines_run_along_what_is_drawn() -> None:
    for scene in scenes(12):
        filled, lines = silhouette(scene), outlines(scene)[..., 0]
        assert overlap(drawn_silhouette(scene.paint()), filled) > 0.8
        edge = filled[:, 1:] != filled[:, :-1]
        assert (lines[:, 1:][edge] + 0.0 + lines[:, :-1][edge] > 100).all(), scene
        padded = np.pad(filled, 4, mode="edge")
        shifted = [padded[i : i + 96, j : j + 128] for i in range(9) for j in range(9)]
        inner, outer = np.logical_and.reduce(shifted), ~np.logical_or.reduce(shifted)
        assert not lines[outer].any()
        if len(scene.things) == 1:
            assert not lines[inner].any()


def test_what_is_in_front_covers_lines_and_what_is_left_out_has_none() -> None:
    rng = random.Random(5)
    scene = next(s for s in iter(lambda: random_scene(rng, 128, 128, 2), None) if s.layout == "overlap")
    both, back, front = (outlines(scene, 2, shown) for shown in ((True, True), (True, False), (False, True)))
    np.testing.assert_array_equal(both, np.maximum(back, front))
    behind = replace(scene, things=scene.things[:1])
    assert 0 < back.sum() < outlines(behind).sum()
    np.testing.assert_array_equal(varied_outlines(scene), varied_outlines(replace(scene)))
    assert len({varied_outlines(replace(scene, variant=n)).sum() for n in range(12)}) > 3


def test_overlap() -> None:
    one, other = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    assert overlap(one, other) == 1
    one[:4], other[2:6] = True, True
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one, other, (0, 2, 8, 4)) == 1


def test_it_begins_as_the_transformer_at_guidance_one() -> None:
    transformer = new_transformer(2, 2)
    model = copied_blocks(transformer, 1, 1)
    embed, own = transformer.time_text_embed, model.time_text_embed
    pooled, times = torch.randn(3, 64), torch.tensor([20.0, 400.0, 950.0])
    torch.testing.assert_close(own(times, pooled), embed(times, torch.full((3,), 1000.0), pooled))
    for name in ("x_embedder", "context_embedder", "transformer_blocks.0", "single_transformer_blocks.0"):
        pairs = zip(model.get_submodule(name).parameters(), transformer.get_submodule(name).parameters(), strict=True)
        assert all(torch.equal(own, its) for own, its in pairs), name
    assert not model.controlnet_blocks[0].weight.any()


@pytest.mark.slow
def test_trained_resumed_saved_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(control, "POOLS", (Pool(128, 128, (1,), 24, (1.0, 1.0, 1.0), 2, 4, 8),))
    monkeypatch.setattr(data, "CHUNK", 2)
    monkeypatch.setattr(control, "SCORED", 1)
    blocks: dict[str, Any] = {"double": 1, "single": 1}
    whole = train_control(load_pipeline(), tmp_path / "whole", 8, score_every=4, **blocks)
    assert "overlap" in (tmp_path / "whole" / "log.csv").read_text()
    train_control(load_pipeline(), tmp_path / "parts", 4, **blocks)
    resumed = train_control(load_pipeline(), tmp_path / "parts", 8, **blocks)
    for (name, weight), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(weight, other), name
    assert all(net.weight.any() for net in (*whole.controlnet_blocks, *whole.controlnet_single_blocks))

    pipe, scene = load_pipeline(), outlined_scene(random.Random(1), 2)
    assert len(scene.things) == 2
    assert 0 <= followed(pipe, whole, 1) <= 1
    residuals = [net.weight.detach().clone() for net in whole.controlnet_blocks]
    save_control(amplified(whole, 1.5), tmp_path / "control")
    assert all(
        torch.equal(net.weight, (1.5 * old).half()) for net, old in zip(whole.controlnet_blocks, residuals, strict=True)
    )
    loaded = FluxControlNetModel.from_pretrained(tmp_path / "control")
    assert loaded.config.guidance_embeds is False
    for folder in (tmp_path / "control", CONTROL):
        named = json.loads((folder / "config.json").read_text())["_name_or_path"]
        assert named == "", "a folder of the machine that trained it"
    control_report.main(["--control", str(tmp_path / "control"), "--plans", "1", "--steps", "2"])
    rows = capsys.readouterr().out.splitlines()
    assert [row[:18].strip() for row in rows[1:]] == [*ASKED]
