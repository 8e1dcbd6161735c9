"""Probing the families around Qwen's language models: words within a template, padding in a text's middle, gates."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_krea2, transformer_longcat_image, transformer_qwenimage
from torch import Tensor

from strata.analysis.recorder import probing
from strata.hierarchy.grid import token_grid
from strata.injection import processor
from strata.injection.families import family_of
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.analysis import test_probe_recorder
from tests.analysis.test_probe_recorder import COLS, LEVELS, PROMPT, ROWS, Naive, drawn, drawn_plan, plan
from tests.injection.conftest import taken
from tests.injection.qwen import make_krea2, make_longcat, make_qwen
from tests.shows import shown

MAKERS: dict[str, Any] = {"longcat": make_longcat, "qwen": make_qwen, "krea2": make_krea2}
MODULES = {"longcat": transformer_longcat_image, "qwen": transformer_qwenimage, "krea2": transformer_krea2}
BLOCKS, STEPS = 5, 3


@pytest.fixture(params=shown(MAKERS, "probes"))
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A family; the dense softmax of `Naive` stands where it dispatches its attention."""
    monkeypatch.setattr(test_probe_recorder, "transformer_flux", MODULES[request.param])
    found: str = request.param
    return found


@pytest.mark.slow
def test_a_plain_run_agrees_with_a_dense_softmax(name: str) -> None:
    """The padding, the template around the words and the calls with the negative prompt are told apart."""
    pipe, options = MAKERS[name]()
    before = drawn(pipe, **options)
    with probing(pipe, words=("red", "blue square"), phases=1) as recorder:
        assert np.array_equal(drawn(pipe, **options), before)
    probe = recorder.result()
    naive = dense_maps(pipe, options)
    tokenizer = family_of(pipe.transformer).tokenizer(pipe)
    length = len(naive[0][0]) - ROWS * COLS
    calls = len(naive) // STEPS
    blocks = torch.stack([torch.stack(naive[n * calls :][:BLOCKS]) for n in range(STEPS)])
    dense = blocks.mean((0, 2)).numpy()
    assert probe.facts.prompt == PROMPT
    padded = tokenizer(PROMPT, padding="max_length", max_length=length, truncation=True)
    seen = [n for n, real in enumerate(padded.attention_mask) if real]
    hidden = [n for n in range(length) if n not in seen]
    tokens = [seen, *([hidden] if hidden else []), [1], [5, 6]]
    assert [label.kind for label in probe.facts.labels] == ["text", *(["padding"] if hidden else []), "word", "word"]
    for n, keys in enumerate(tokens):
        expected = dense[:, length:, keys].sum(-1).reshape(BLOCKS, ROWS, COLS)
        np.testing.assert_allclose(probe.maps[n, 0], expected, atol=1e-5)


def dense_maps(pipe: Any, options: dict[str, Any]) -> list[Tensor]:
    """Every joint attention map of a run; masked keys have no weight."""
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        dispatch = test_probe_recorder.transformer_flux.dispatch_attention_fn

        def masked(q: Tensor, k: Tensor, v: Tensor, **kwargs: Any) -> Any:
            if q.shape[1] <= ROWS * COLS:  # of text alone
                return processor.dispatch_attention_fn(q, k, v, **kwargs)
            mask = kwargs.get("attn_mask")
            if mask is not None and mask.dtype == torch.bool:
                kwargs["attn_mask"] = torch.where(mask, 0.0, float("-inf"))
            return dispatch(q, k, v, **kwargs)

        patch.setattr(test_probe_recorder.transformer_flux, "dispatch_attention_fn", masked)
        drawn(pipe, **options)
    return naive.maps


def test_a_regional_run_agrees_with_a_dense_softmax(name: str) -> None:
    pipe, options = MAKERS[name]()
    options = taken(pipe, {**options, "max_sequence_length": 24})
    regional, scene = RegionalPipeline(pipe, Routing.from_yaml(LEVELS)), plan()
    before = drawn_plan(regional, scene, **options)
    with probing(regional, words=("red",), phases=1) as recorder:
        assert np.array_equal(drawn_plan(regional, scene, **options), before)
    probe = recorder.result()
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn_plan(regional, scene, **options)
    grid, tokenizer = token_grid(scene, ROWS, COLS), family_of(pipe.transformer).tokenizer(pipe)
    texts = [label for label in probe.facts.labels if label.kind == "text"]
    base = {"longcat": 40}.get(name, len(tokenizer(scene.prompt).input_ids))
    starts = np.cumsum([0, *(len(tokenizer(label.quote).input_ids) for label in texts[1:]), base])
    order = np.argsort(np.concatenate([atom.tokens for atom in grid.atoms()]))
    found_maps = [m for m in naive.maps if len(m[0]) > ROWS * COLS]
    dense = found_maps[0].numpy().mean(0)
    assert len(dense) - ROWS * COLS == starts[-1], "texts have no padding but LongCat's base prompt"
    shares = np.add.reduceat(dense[starts[-1] :][order], starts, axis=1)
    for area, mask in (("left", grid.masks[0]), ("right", grid.masks[1]), ("background", grid.background)):
        found = probe.shares[0, 0, probe.facts.areas.index(area)]
        np.testing.assert_allclose(found[3:], shares[mask.ravel()][:, -2:].mean(0), atol=1e-5)
    np.testing.assert_allclose(probe.shares.sum(-1), 1, atol=1e-5)
