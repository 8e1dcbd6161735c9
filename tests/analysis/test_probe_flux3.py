"""Probing FLUX.3: joint blocks alone, windows whose padding is heard, reference pictures behind the canvas."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_flux3

from strata.analysis.probe import Probe
from strata.analysis.recorder import probing
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan
from strata.injection.families import family_of
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.analysis import test_probe_recorder
from tests.analysis.test_probe_recorder import COLS, LEVELS, ROWS, Naive, drawn_plan
from tests.injection.flux2 import reference
from tests.injection.flux3 import JOINT, PLAN, WINDOW, flux3_pipeline
from tests.shows import shows

SCENE = ScenePlan.from_yaml(PLAN)
CANVAS, STEPS = ROWS * COLS, 2
KINDS = pytest.mark.parametrize(
    ("flow_map", "options"),
    [
        pytest.param(True, {}, id="flow map"),
        pytest.param(False, {"image": reference(1, (32, 32))}, id="guided, with a reference", marks=pytest.mark.slow),
    ],
)


def probed(regional: RegionalPipeline, **options: Any) -> tuple[Probe, Naive]:
    """What a probe found, and every attention map of the same drawing, dense."""
    before = drawn_plan(regional, SCENE, STEPS, **options)
    with probing(regional, words=("red", "blue square"), phases=1) as recorder:
        assert np.array_equal(drawn_plan(regional, SCENE, STEPS, **options), before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_probe_recorder, "transformer_flux", transformer_flux3)
        naive = Naive(patch)
        drawn_plan(regional, SCENE, STEPS, **options)
    probe = recorder.result()
    assert probe.facts.blocks == tuple(f"single {n}" for n in range(JOINT))
    np.testing.assert_allclose(probe.shares.sum(-1), 1, atol=1e-5)
    return probe, naive


def heard(regional: RegionalPipeline, text: str) -> int:
    """Tokens of a text within its window, those of the chat included."""
    return len(family_of(regional.pipe.transformer).tokenizer(regional.pipe)(text).input_ids)


@shows("flux3", "probes")
@KINDS
def test_a_plain_run_agrees_with_a_dense_softmax(flow_map: bool, options: dict[str, Any]) -> None:
    """The padding, the chat around the words and the calls with the negative prompt are told apart."""
    regional = RegionalPipeline(flux3_pipeline(flow_map), method="plain")
    probe, naive = probed(regional, **options)
    longest = max(m.shape[1] for m in naive.maps)
    joint = torch.stack([m.mean(0) for m in naive.maps if m.shape[1] == longest])
    assert (longest > WINDOW + CANVAS) == bool(options)
    dense = joint.unflatten(0, (STEPS, 1 if flow_map else 2, JOINT))[:, 0].mean(0).numpy()
    count = heard(regional, SCENE.prompt)
    assert [(label.kind, label.text) for label in probe.facts.labels] == [
        (kind, "base") for kind in ("text", "padding", "word", "word")
    ]
    keys = [[*range(count)], [*range(count, WINDOW)], [4], [8, 9]]  # <|im_start|>user comes first
    canvas = slice(WINDOW, WINDOW + CANVAS)
    for n, columns in enumerate(keys):
        expected = dense[:, canvas, columns].sum(-1).reshape(JOINT, ROWS, COLS)
        np.testing.assert_allclose(probe.maps[n, 0], expected, atol=1e-5)
    for n, rows in enumerate(keys[2:]):
        expected = dense[:, rows, canvas].mean(1).reshape(JOINT, ROWS, COLS)
        np.testing.assert_allclose(probe.words_to_image[n, 0], expected, atol=1e-5)


@shows("flux3", "probes")
@KINDS
def test_a_regional_run_agrees_with_a_dense_softmax(flow_map: bool, options: dict[str, Any]) -> None:
    """Every stream's window and the padding in it, in all joint blocks, whichever streams are left there."""
    regional = RegionalPipeline(flux3_pipeline(flow_map), Routing.from_yaml(LEVELS))
    probe, naive = probed(regional, **options)
    pairs = zip(naive.maps, naive.regional, strict=True)
    joint = [(m.mean(0).numpy(), s.text_length) for m, s in pairs if s is not None and s.text_length < m.shape[1]]
    assert len(joint) == STEPS * JOINT
    order = np.argsort(np.concatenate([atom.tokens for atom in token_grid(SCENE, ROWS, COLS).atoms()]))
    texts = [label for label in probe.facts.labels if label.kind == "text"]
    for block in range(JOINT):
        names = ["left/low", "base"] if block >= 3 else [*(label.text for label in texts[1:]), "base"]
        maps, lengths = zip(*joint[block::JOINT], strict=True)
        assert lengths == (WINDOW * len(names),) * STEPS
        assert (len(maps[0]) > lengths[0] + CANVAS) == bool(options)
        rows = np.mean([m[lengths[0] :][:CANVAS][order] for m in maps], axis=0)
        for n, label in enumerate(probe.facts.labels):
            if label.kind == "word":
                continue
            expected = np.zeros(CANVAS)
            if label.text in names:
                start = WINDOW * names.index(label.text)
                count = heard(regional, next(text.quote for text in texts if text.text == label.text))
                own = slice(0, count) if label.kind == "text" else slice(count, WINDOW)
                expected = rows[:, start : start + WINDOW][:, own].sum(1)
            np.testing.assert_allclose(probe.maps[n, 0, block].ravel(), expected, atol=1e-5)
