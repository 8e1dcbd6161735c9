"""Probing Chroma: padding under a mask, and single blocks that take text and image as one tensor."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from strata.analysis import recorder as recorder_module
from strata.analysis.recorder import probing
from strata.hierarchy.grid import token_grid
from strata.injection.families import family_of
from strata.injection.families.base import Block
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.analysis.test_probe_recorder import COLS, LEVELS, ROWS, TEXT, Naive, drawn, drawn_plan, plan
from tests.injection.conftest import make_chroma
from tests.shows import shows

GUIDANCE = {"guidance_scale": 3.0}


@shows("chroma", "probes")
@pytest.mark.parametrize("sampled", [1000, 10])
def test_a_plain_run_agrees_with_a_dense_softmax(sampled: int) -> None:
    """By rows and through labels as values; every other call is the negative prompt's."""
    pipe = make_chroma()[0]
    before = drawn(pipe, **GUIDANCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "SAMPLED", sampled)
        with probing(pipe, words=("red", "circle"), phases=1) as recorder:
            assert np.array_equal(drawn(pipe, **GUIDANCE), before)
    probe = recorder.result()
    assert np.array_equal(drawn(pipe, **GUIDANCE), before)
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn(pipe, **GUIDANCE)
    blocks = 5
    dense = torch.stack(naive.maps).reshape(3, 2, blocks, *naive.maps[0].shape)[:, 0].numpy()
    assert probe.facts.prompt == "a red circle and a blue square"
    assert [label.kind for label in probe.facts.labels] == ["text", "padding", "word", "word"]
    mean = dense.mean((0, 2))
    for n, columns in enumerate([range(8), range(8, TEXT), [1], [2]]):
        expected = mean[:, TEXT:, list(columns)].sum(-1).reshape(blocks, ROWS, COLS)
        np.testing.assert_allclose(probe.maps[n, 0], expected, atol=1e-5)
    for n, column in enumerate([1, 2]):
        np.testing.assert_allclose(probe.words_to_image[n, 0].reshape(blocks, -1), mean[:, column, TEXT:], atol=1e-5)
    image = dense[:, :, :, TEXT:, TEXT:].sum(-1).mean((2, 3))
    np.testing.assert_allclose(probe.shares[:, :, 0], np.stack([0 * image] * 3 + [1 - image, image], -1), atol=1e-5)
    nats = torch.special.entr(torch.from_numpy(dense)).sum(-1)[:, :, :, TEXT:].mean(2).numpy()
    chosen = np.linspace(0, ROWS * COLS - 1, min(ROWS * COLS, sampled)).round().astype(int)
    np.testing.assert_allclose(probe.entropy, nats[..., chosen].mean(-1), atol=1e-4)


@pytest.mark.parametrize("mode", ["shared", "split"])
@pytest.mark.parametrize("sampled", [1000, 10])
def test_a_regional_run_agrees_with_a_dense_softmax(mode: str, sampled: int) -> None:
    pipe = make_chroma()[0]
    levels = LEVELS.replace("isolate: true", "isolate: true, steps: 0-1")  # the last step is plain
    routing = Routing.from_yaml(levels.replace("{base_ratio", f"{{mode: {mode}, base_ratio"))
    regional, scene = RegionalPipeline(pipe, routing), plan()
    before = drawn_plan(regional, scene, **GUIDANCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "SAMPLED", sampled)
        with probing(regional, words=("red",), concepts=("circle", "square"), phases=1) as recorder:
            assert np.array_equal(drawn_plan(regional, scene, **GUIDANCE), before)
    probe = recorder.result()
    assert np.array_equal(drawn_plan(regional, scene, **GUIDANCE), before)
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn_plan(regional, scene, **GUIDANCE)
    grid = token_grid(scene, ROWS, COLS)
    texts = [label for label in probe.facts.labels if label.kind == "text"]
    lengths = [len(pipe.tokenizer(label.quote).input_ids) + 1 for label in texts[1:]] + [TEXT]
    starts = np.cumsum([0, *lengths])
    order = np.argsort(np.concatenate([atom.tokens for atom in grid.atoms()]))
    dense = naive.maps[0].numpy().mean(0)
    assert len(dense) - ROWS * COLS == starts[-1], "texts but the base prompt have one token of padding"
    shares = np.add.reduceat(dense[starts[-1] :][order], starts, axis=1)
    for area, mask in (("left", grid.masks[0]), ("right", grid.masks[1]), ("background", grid.background)):
        inside = shares[mask.ravel()]
        found = probe.shares[0, 0, probe.facts.areas.index(area)]
        np.testing.assert_allclose(found[3:], inside[:, -2:].mean(0), atol=1e-5)
        everywhere = [n for n, label in enumerate(texts[1:]) if label.area == "global"]
        np.testing.assert_allclose(found[2], inside[:, everywhere].sum(1).mean(), atol=1e-5)
        for block, plain in enumerate(naive.maps[4 * 5 : 5 * 5]):  # each step has a call with the negative prompt, too
            rows = plain.numpy().mean(0)[TEXT:][mask.ravel()]
            expected = [0, 0, 0, rows[:, :TEXT].sum(1).mean(), rows[:, TEXT:].sum(1).mean()]
            np.testing.assert_allclose(probe.shares[2, block, probe.facts.areas.index(area)], expected, atol=1e-5)
    np.testing.assert_allclose(probe.shares.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(probe.concepts.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_text_beside_a_run_passes_blocks_as_text_does(fused: bool) -> None:
    """Against the blocks themselves, on text alone: attended to are the text and the image of the block's own."""
    transformer = make_chroma()[0].transformer
    if fused:
        transformer.fuse_qkv_projections()
    family = family_of(transformer)
    text, image = torch.randn(1, 3, 32), torch.randn(1, 5, 32)
    for block in family.blocks(transformer):
        temb = torch.randn(1, 3 if block.joint else 12, 32)
        rotary = (torch.ones(8, 16), torch.zeros(8, 16))
        expected = _through(block, text, image, temb, rotary)
        if block.joint:
            normed, _ = block.module.norm(torch.cat([text, image], dim=1), emb=temb)
            _, k, v = family.project(block.attn, normed, None, rotary)
        else:
            normed = block.module.norm1(image, emb=temb[:, :6])[0]
            _, k, v = family.project(block.attn, normed, block.module.norm1_context(text, emb=temb[:, 6:])[0], rotary)
        with torch.no_grad():
            _, found = family.text_step(block, text, temb, k[:, 3:], v[:, 3:])
        torch.testing.assert_close(found, expected)


def _through(block: Block, text: Tensor, image: Tensor, temb: Tensor, rotary: Any) -> Tensor:
    with torch.no_grad():
        if block.joint:
            both: Tensor = block.module(hidden_states=torch.cat([text, image], 1), temb=temb, image_rotary_emb=rotary)
            return both[:, :3]
        found: Tensor = block.module(
            hidden_states=image, encoder_hidden_states=text, temb=temb, image_rotary_emb=rotary
        )[0]
        return found
