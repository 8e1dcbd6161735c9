"""Probing FLUX.2: words within a chat, padding in front of it or behind, parallel blocks."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_flux2
from torch import Tensor

from strata.analysis.recorder import probing
from strata.hierarchy.grid import token_grid
from strata.injection.families import family_of
from strata.injection.families.base import Block
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.analysis import test_probe_recorder
from tests.analysis.test_probe_recorder import COLS, LEVELS, PROMPT, ROWS, TEXT, Naive, drawn, drawn_plan, plan
from tests.injection.flux2 import LENGTH, make_flux2, make_klein, make_klein_base, make_klein_kv
from tests.shows import shows

BLOCKS = 5


@pytest.fixture(autouse=True)
def naive_of_flux2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense softmax of `Naive` stands where FLUX.2 dispatches its attention."""
    monkeypatch.setattr(test_probe_recorder, "transformer_flux", transformer_flux2)


@shows("flux2", "probes")
@pytest.mark.parametrize("make", [make_flux2, make_klein_base])
def test_a_plain_run_agrees_with_a_dense_softmax(make: Any) -> None:
    """The padding, the chat around the words and the calls with the negative prompt are told apart."""
    pipe, options = make()
    dev = make is make_flux2
    options |= {"max_sequence_length": LENGTH}
    calls = 1 if dev else 2
    before = drawn(pipe, **options)
    with probing(pipe, words=("red", "blue square"), phases=1) as recorder:
        assert np.array_equal(drawn(pipe, **options), before)
    probe = recorder.result()
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn(pipe, **options)
    dense = torch.stack(naive.maps).reshape(3, calls, BLOCKS, *naive.maps[0].shape)[:, 0].mean((0, 2)).numpy()
    assert probe.facts.prompt == PROMPT
    assert [label.kind for label in probe.facts.labels] == ["text", "padding", "word", "word"]
    count = len(family_of(pipe.transformer).tokenizer(pipe)(PROMPT).input_ids)
    seen = range(LENGTH - count, LENGTH) if dev else range(count)
    first = seen.stop - 8 if dev else 3  # of seven words, which [/INST] follows or <|im_start|>user precedes
    tokens = [seen, [n for n in range(LENGTH) if n not in seen], [first + 1], [first + 5, first + 6]]
    for n, keys in enumerate(tokens):
        expected = dense[:, LENGTH : LENGTH + ROWS * COLS, list(keys)].sum(-1).reshape(BLOCKS, ROWS, COLS)
        np.testing.assert_allclose(probe.maps[n, 0], expected, atol=1e-5)


def test_a_plain_run_with_a_cached_reference_agrees_with_a_dense_softmax() -> None:
    """The reference stands between text and image in the first step, and is keys alone later."""
    pipe, options = make_klein_kv()
    before = drawn(pipe, **options)
    with probing(pipe, words=("red", "blue square"), concepts=("circle", "square"), phases=1) as recorder:
        assert np.array_equal(drawn(pipe, **options), before)
    probe = recorder.result()
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn(pipe, **options)
    tokens = TEXT + ROWS * COLS
    maps = [m.mean(0) for m in naive.maps if m.shape[1] == tokens]  # the others are the reference's own
    assert len(maps) == 3 * BLOCKS == len(naive.maps) - BLOCKS
    steps = torch.stack(maps).unflatten(0, (3, BLOCKS)).numpy()
    assert steps.shape[-1] == TEXT + 256 + ROWS * COLS
    dense, image = steps.mean(0), steps[:, :, TEXT:, TEXT:].sum(-1).mean(-1)
    np.testing.assert_allclose(probe.shares[:, :, 0, 3:], np.stack([1 - image, image], -1), atol=1e-5)
    np.testing.assert_allclose(probe.concepts.sum(0), 1, atol=1e-5)
    for n, words in enumerate(([4], [8, 9])):
        expected = dense[:, TEXT:, words].sum(-1).reshape(BLOCKS, ROWS, COLS)
        np.testing.assert_allclose(probe.maps[2 + n, 0], expected, atol=1e-5)
        looked = dense[:, words, -ROWS * COLS :].mean(1).reshape(BLOCKS, ROWS, COLS)
        np.testing.assert_allclose(probe.words_to_image[n, 0], looked, atol=1e-5)


@pytest.mark.parametrize("make", [make_klein, make_klein_kv])
def test_a_regional_run_agrees_with_a_dense_softmax(make: Any) -> None:
    """A cached reference counts as image."""
    pipe, options = make()
    options |= {"max_sequence_length": TEXT}
    regional, scene = RegionalPipeline(pipe, Routing.from_yaml(LEVELS)), plan()
    before = drawn_plan(regional, scene, **options)
    with probing(regional, words=("red",), concepts=("circle", "square"), phases=1) as recorder:
        assert np.array_equal(drawn_plan(regional, scene, **options), before)
    probe = recorder.result()
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn_plan(regional, scene, **options)
    grid, tokenizer = token_grid(scene, ROWS, COLS), family_of(pipe.transformer).tokenizer(pipe)
    texts = [label for label in probe.facts.labels if label.kind == "text"]
    starts = np.cumsum([0, *(len(tokenizer(label.quote).input_ids) for label in texts[1:]), TEXT])
    order = np.argsort(np.concatenate([atom.tokens for atom in grid.atoms()]))
    pairs = zip(naive.maps, naive.regional, strict=True)
    dense = next(found for found, spec in pairs if spec is not None).numpy().mean(0)
    assert len(dense) - ROWS * COLS == starts[-1], "texts but the base prompt have no padding"
    shares = np.add.reduceat(dense[starts[-1] :][order], starts, axis=1)
    for area, mask in (("left", grid.masks[0]), ("right", grid.masks[1]), ("background", grid.background)):
        found = probe.shares[0, 0, probe.facts.areas.index(area)]
        np.testing.assert_allclose(found[3:], shares[mask.ravel()][:, -2:].mean(0), atol=1e-5)
    np.testing.assert_allclose(probe.shares.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(probe.concepts.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(("ndim", "fused"), [(2, False), (3, True)])
def test_text_beside_a_run_passes_blocks_as_text_does(ndim: int, fused: bool) -> None:
    """Against the blocks themselves, on text alone: attended to are the text and the image of the block's own."""
    transformer = make_klein()[0].transformer
    if fused:
        transformer.fuse_qkv_projections()
    family = family_of(transformer)
    text, image = torch.randn(1, 3, 32), torch.randn(1, 5, 32)
    rotary = (torch.ones(8, 16), torch.zeros(8, 16))
    for block in family.blocks(transformer):
        temb = torch.randn(*([1] * (ndim - 1)), 32 * (3 if block.joint else 6))
        expected, k, v = _through(block, text, image, temb, rotary)
        with torch.no_grad():
            _, found = family.text_step(block, text, temb, k[:, 3:], v[:, 3:])
        torch.testing.assert_close(found, expected)


def _through(block: Block, text: Tensor, image: Tensor, temb: Tensor, rotary: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The text behind the stock block, and the keys and values that its attention had."""
    seen: list[Tensor] = []
    dispatch = transformer_flux2.dispatch_attention_fn

    def watched(q: Tensor, k: Tensor, v: Tensor, **kwargs: Any) -> Any:
        seen.extend((k, v))
        return dispatch(q, k, v, **kwargs)

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer_flux2, "dispatch_attention_fn", watched)
        if block.joint:
            both = block.module(torch.cat([text, image], 1), None, temb_mod=temb, image_rotary_emb=rotary)
            return both[:, :3], seen[0], seen[1]
        found = block.module(image, text, temb_mod_img=temb * 0.5, temb_mod_txt=temb, image_rotary_emb=rotary)
        return found[0], seen[0], seen[1]
