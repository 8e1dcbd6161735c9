"""Probing whole pipelines: what is recorded is what attention did, and the picture does not change."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_flux
from torch import Tensor

from strata.analysis import recorder as recorder_module
from strata.analysis.probe import Probe
from strata.analysis.recorder import probing
from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan
from strata.injection import attention
from strata.injection.checks import UnsupportedError
from strata.injection.families import family_of
from strata.injection.families.base import Family
from strata.injection.intercept import is_intercepted
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.injection.conftest import PIPELINES, PLAN, make_kontext, make_text_to_image, shown_pipelines, taken
from tests.shows import shows

PROMPT = "a red circle and a blue square"
CALL: dict[str, Any] = {"width": 48, "height": 32, "num_inference_steps": 3, "max_sequence_length": 24}
ROWS, COLS, TEXT = 8, 12, 24
LEVELS = """
name: both
blend: {base_ratio: 0.3}
rules:
  - {level: high, depth: 0%-70%, isolate: true}
  - {level: low, depth: 40%-100%, steps: 0-1}
"""


def drawn(pipe: Any, **options: Any) -> np.ndarray:
    own = family_of(pipe.transformer).call_options
    call = taken(pipe, {**CALL, "generator": torch.Generator().manual_seed(1), "output_type": "np", **options, **own})
    return np.asarray(pipe(prompt=PROMPT, **call).images)


def plan() -> ScenePlan:
    return ScenePlan.from_yaml(PLAN)


def drawn_plan(regional: RegionalPipeline, scene: ScenePlan, steps: int = 3, **options: Any) -> np.ndarray:
    return np.asarray(regional(scene, seed=1, num_inference_steps=steps, output_type="np", **options).images)


class Naive:
    """Every attention map of the model, dense; in the test alone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.maps: list[Tensor] = []
        """[H, L, K] of each call."""
        self.regional: list[Any] = []
        dispatch, regions = transformer_flux.dispatch_attention_fn, attention.regional_attention

        def plain(q: Tensor, k: Tensor, v: Tensor, **kwargs: Any) -> Tensor:
            logits = torch.einsum("bqhd,bkhd->bhqk", q.double(), k.double()) * q.shape[-1] ** -0.5
            logits = logits if kwargs.get("attn_mask") is None else logits + kwargs["attn_mask"]
            self.maps.append(logits.softmax(-1)[0])
            self.regional.append(None)
            out: Tensor = dispatch(q, k, v, **kwargs)
            return out

        def routed(q: Tensor, k: Tensor, v: Tensor, regional: Any, backend: Any = None) -> Tensor:
            length, width = k.shape[1], q.shape[-1]
            eye = torch.eye(length).expand(1, q.shape[2], -1, -1).transpose(1, 2).contiguous()
            q_wide, k_wide = (torch.nn.functional.pad(x[:1], (0, length - width)) for x in (q, k))
            dense = regions(q_wide * (length / width) ** 0.5, k_wide, eye, regional, None)
            self.maps.append(dense[0].transpose(0, 1))
            self.regional.append(regional)
            return regions(q, k, v, regional, backend)

        patch.setattr(transformer_flux, "dispatch_attention_fn", plain)
        patch.setattr(attention, "regional_attention", routed)


@shows("flux", "probes")
@pytest.mark.parametrize("sampled", [1000, 10])
def test_a_plain_pipeline_agrees_with_a_dense_softmax(sampled: int) -> None:
    """By rows, and through labels as values, as for many tokens."""
    pipe, _ = make_text_to_image()
    before = drawn(pipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "SAMPLED", sampled)
        with probing(pipe, words=("red", "circle", "red circle"), phases=2) as recorder:
            assert np.array_equal(drawn(pipe), before)
    probe = recorder.result(seed=1)
    assert np.array_equal(drawn(pipe), before)
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn(pipe)
    blocks, tokens = 5, ROWS * COLS
    dense = torch.stack(naive.maps).reshape(3, blocks, *naive.maps[0].shape).numpy()
    assert probe.facts.areas == ("canvas",)
    assert probe.facts.phases == ((0, 1), (2, 2))
    assert [(label.kind, label.word) for label in probe.facts.labels] == [
        ("text", None),
        ("padding", None),
        ("word", "red"),
        ("word", "circle"),
        ("word", "red circle"),
    ]
    keys = [range(8), range(8, TEXT), [1], [2], [1, 2]]
    for phase, steps in enumerate(([0, 1], [2])):
        mean = dense[steps].mean((0, 2))
        for n, columns in enumerate(keys):
            expected = mean[:, TEXT:, list(columns)].sum(-1).reshape(blocks, ROWS, COLS)
            np.testing.assert_allclose(probe.maps[n, phase], expected, atol=1e-5)
        for n, columns in enumerate(keys[2:]):
            expected = mean[:, list(columns), TEXT:].mean(1).reshape(blocks, ROWS, COLS)
            np.testing.assert_allclose(probe.words_to_image[n, phase], expected, atol=1e-5)
    image = dense[:, :, :, TEXT:, TEXT:].sum(-1).mean((2, 3))
    np.testing.assert_allclose(probe.shares[:, :, 0], np.stack([0 * image] * 3 + [1 - image, image], -1), atol=1e-5)
    np.testing.assert_allclose(probe.shares.sum(-1), 1, atol=1e-5)
    nats = -(dense * np.log(dense)).sum(-1)[:, :, :, TEXT:].mean(2)
    chosen = np.linspace(0, tokens - 1, min(tokens, sampled)).round().astype(int)
    np.testing.assert_allclose(probe.entropy, nats[..., chosen].mean(-1), atol=1e-4)


@pytest.mark.parametrize("mode", ["shared", "split"])
@pytest.mark.parametrize("sampled", [1000, 10])
def test_a_regional_pipeline_agrees_with_a_dense_softmax(mode: str, sampled: int) -> None:
    pipe, _ = make_text_to_image()
    routing = Routing.from_yaml(LEVELS.replace("{base_ratio", f"{{mode: {mode}, base_ratio"))
    regional, scene = RegionalPipeline(pipe, routing), plan()
    before = drawn_plan(regional, scene)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "SAMPLED", sampled)
        with probing(regional, words=("red",), phases=1) as recorder:
            assert np.array_equal(drawn_plan(regional, scene), before)
    probe = recorder.result()
    assert np.array_equal(drawn_plan(regional, scene), before)
    with pytest.MonkeyPatch.context() as patch:
        naive = Naive(patch)
        drawn_plan(regional, scene)
    grid = token_grid(scene, ROWS, COLS)
    assert probe.facts.areas == ("left", "right", "background")
    np.testing.assert_allclose(probe.shares.sum(-1), 1, atol=1e-5)
    # All streams ride in the first block: global, left, right, background; high and low each, then the base.
    texts = [label for label in probe.facts.labels if label.kind == "text"]
    assert [label.text for label in texts[:2]] == ["base", "global/high"]
    lengths = [len(pipe.tokenizer_2(label.quote).input_ids) for label in texts[1:]] + [TEXT]
    starts = np.cumsum([0, *lengths])
    order = np.argsort(np.concatenate([atom.tokens for atom in grid.atoms()]))
    dense = naive.maps[0].numpy().mean(0)
    text = len(dense) - ROWS * COLS
    assert text == starts[-1], "the first block is a double block without a copy of the image"
    shares = np.add.reduceat(dense[text:][order], starts, axis=1)
    for area, mask in (("left", grid.masks[0]), ("right", grid.masks[1]), ("background", grid.background)):
        inside = shares[mask.ravel()]
        held = [[n for n, m in zip(grid.names, grid.masks, strict=True) if m.flat[t]] for t in np.flatnonzero(mask)]
        own = [
            sum(row[n] for n, label in enumerate(texts[1:]) if label.area in (names or ["background"]))
            for row, names in zip(inside, held, strict=True)
        ]
        everywhere = [row[[n for n, label in enumerate(texts[1:]) if label.area == "global"]].sum() for row in inside]
        expected = [np.mean(own), 0.0, np.mean(everywhere), inside[:, -2].mean(), inside[:, -1].mean()]
        found = probe.shares[0, 0, probe.facts.areas.index(area)]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    nats = torch.special.entr(naive.maps[0]).sum(-1)[:, text:].mean(0).numpy()
    positions = np.linspace(0, ROWS * COLS - 1, min(ROWS * COLS, sampled)).round().astype(int)
    np.testing.assert_allclose(probe.entropy[0, 0], nats[positions].mean(), atol=1e-4)
    # The map of a region's text over all steps, in the last block, where `split` has a copy of the image.
    label = next(n for n, label in enumerate(probe.facts.labels) if label.text == "left/low" and label.kind == "text")
    last = [dense for dense, _ in zip(naive.maps[4::5], range(3), strict=True)]
    expected = np.zeros((ROWS * COLS,))
    for step, full in enumerate(last):
        rows = full.numpy().mean(0)[-ROWS * COLS :]
        if step < 2:  # low texts are visible here, and all others are dropped
            low = [n for n, known in enumerate(texts[1:]) if known.level == "low"]
            at = np.cumsum([0, *(lengths[n] for n in low)])
            place = [texts[1:][n].text for n in low].index("left/low")
            expected += rows[order][:, at[place] : at[place + 1]].sum(1)
    np.testing.assert_allclose(probe.maps[label, 0, -1].ravel(), expected / 3, atol=1e-5)


@pytest.mark.parametrize("name", shown_pipelines(few=True))
def test_every_pipeline_draws_the_same_picture(name: str) -> None:
    pipe, options = PIPELINES[name]()
    regional, scene = RegionalPipeline(pipe), plan()
    before = drawn_plan(regional, scene, 2, **options)
    concepts = () if type(regional.family).text_step is Family.text_step else ("circle", "square")
    with probing(regional, words=("red",), concepts=concepts) as recorder:
        assert np.array_equal(drawn_plan(regional, scene, 2, **options), before)
    probe = recorder.result()
    assert probe.maps.shape[-2:] == (ROWS, COLS)
    np.testing.assert_allclose(probe.shares.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(probe.concepts.sum(0), 1 if concepts else 0, atol=1e-5)
    plain = np.asarray(drawn(pipe, **options))
    with probing(pipe, words=("red",), concepts=concepts[:1]) as recorder:
        assert np.array_equal(drawn(pipe, **options), plain)
    assert recorder.result().maps.shape[-2:] == (ROWS, COLS)


def test_reference_pictures_stay_out_of_the_maps() -> None:
    pipe, options = make_kontext()
    with probing(pipe, words=("red",)) as recorder:
        drawn(pipe, **options)
    probe = recorder.result()
    assert probe.maps.shape[-2:] == (ROWS, COLS)
    assert probe.words_to_image.sum((-1, -2)).max() < 0.9, "the rest goes to the reference"


def test_only_what_was_asked() -> None:
    pipe, _ = make_text_to_image()
    with probing(pipe, words=("red",)) as recorder:
        drawn(pipe)
    whole = recorder.result()
    with probing(pipe, words=("red",), blocks="double 1, single 0,2", steps=[0, 2], heads=1) as recorder:
        drawn(pipe)
    part = recorder.result()
    assert part.facts.blocks == ("double 1", "single 0", "single 2")
    assert (part.facts.steps, part.facts.phases, part.facts.heads) == ((0, 2), ((0, 0), (2, 2)), (1,))
    with probing(pipe, words=("red",), heads=0) as recorder:
        drawn(pipe)
    other = recorder.result()
    both = (part.shares + other.shares[[0, 2]][:, [1, 2, 4]]) / 2
    np.testing.assert_allclose(both, whole.shares[[0, 2]][:, [1, 2, 4]], atol=1e-6)


def test_negative_prompts_are_not_probed() -> None:
    pipe, _ = make_text_to_image()
    guided = {"negative_prompt": "a square", "true_cfg_scale": 3.0}
    with probing(pipe, words=("red",), steps=0) as recorder:
        drawn(pipe)
    alone = recorder.result()
    before = drawn(pipe, **guided)
    with probing(pipe, words=("red",), steps=0) as recorder:
        assert np.array_equal(drawn(pipe, **guided), before)
    assert np.array_equal(recorder.result().maps, alone.maps), "the first step starts from the same noise"
    assert recorder.result().facts.prompt == PROMPT


def test_of_a_batch_the_first_picture_is_probed() -> None:
    pipe, _ = make_text_to_image()
    noise = torch.randn(2, ROWS * COLS, 16, generator=torch.Generator().manual_seed(0))
    with probing(pipe, steps=0) as recorder:
        drawn(pipe, latents=noise, num_images_per_prompt=2)
    of_two = recorder.result()
    with probing(pipe, steps=0) as recorder:
        drawn(pipe, latents=noise[:1])
    np.testing.assert_allclose(of_two.maps, recorder.result().maps, atol=1e-5)


def test_concepts_pass_blocks_as_text_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of the same tokens that attends only to itself and the image comes to the same attention outputs."""
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe, Routing.from_yaml("name: n\nrules: [{level: high}]\nblend: {base_ratio: 0}"))
    scene = ScenePlan(width=48, height=32, prompt="", high="a red circle")
    beside: list[Tensor] = []
    inside: list[Tensor] = []
    regions = attention.regional_attention

    def recorded(*args: Any) -> Tensor:
        inside.append(regions(*args))
        return inside[-1]

    monkeypatch.setattr(attention, "regional_attention", recorded)
    with probing(regional, concepts=("red", "circle"), steps=0) as recorder:
        tokens = recorder._concepts
        assert tokens is not None
        embeds_1KC = torch.stack([text_1LC[:, own].mean(1) for text_1LC, own in tokens.embeds], dim=1)
        monkeypatch.setattr(regional._texts, "stream", lambda *_: (embeds_1KC, 0))
        step = tokens.step
        monkeypatch.setattr(tokens, "step", lambda *args: beside.append(step(*args)) or beside[-1])
        drawn_plan(regional, scene, 1)
    assert len(beside) == len(inside) == 5
    for concepts, everything in zip(beside, inside, strict=True):
        np.testing.assert_allclose(concepts.numpy(), everything[:, :2].numpy(), atol=1e-5)


def test_memory_is_flat_in_steps() -> None:
    pipe, _ = make_text_to_image()
    used = []
    for steps in (4, 12):
        with probing(pipe, words=("red",)) as recorder:
            drawn(pipe, num_inference_steps=steps)
        probe = recorder.result()
        used.append(probe.facts.bytes - probe.shares.nbytes - probe.entropy.nbytes)
    assert used[0] == used[1]


def test_everything_is_restored() -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe)
    hooks = [dict(m._forward_hooks) | dict(m._forward_pre_hooks) for m in pipe.transformer.modules()]

    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    for target, draw in (
        (pipe, lambda: drawn(pipe, callback_on_step_end=stop)),
        (regional, lambda: drawn_plan(regional, plan(), callback_on_step_end=stop)),
    ):
        with pytest.raises(KeyboardInterrupt), probing(target, words=("red",), concepts=("red",)) as recorder:
            draw()
        assert [dict(m._forward_hooks) | dict(m._forward_pre_hooks) for m in pipe.transformer.modules()] == hooks
        assert "check" not in vars(regional)
        assert "encode_prompt" not in vars(pipe)
        assert regional.observers == []
        assert not any(is_intercepted(m) for part in (pipe.transformer, pipe.text_encoder_2) for m in part.modules())
        assert {type(p).__name__ for p in pipe.transformer.attn_processors.values()} == {"FluxAttnProcessor"}
        with pytest.raises(StrataError, match="1 of 3 probed steps were drawn"):
            recorder.result()
    with probing(pipe):
        pass


def test_what_cannot_be_probed_is_refused() -> None:
    pipe, _ = make_text_to_image()
    regional = RegionalPipeline(pipe)
    with pytest.raises(InputError, match="'green': is in no text that is heard"), probing(pipe, words=("green",)):
        drawn(pipe)
    with pytest.raises(InputError, match=r"these are: base .* left/high"), probing(regional, words=("green",)):
        drawn_plan(regional, plan())
    with pytest.raises(InputError, match="index 3 is out of range"), probing(pipe, steps=3):
        drawn(pipe)
    for options, message in (
        ({"words": "red"}, "must be several texts"),
        ({"concepts": ("",)}, "different texts"),
        ({"blocks": "double 2"}, "valid: 0-1"),
        ({"heads": 2}, "valid: 0-1"),
        ({"phases": 0}, "at least 1"),
    ):
        with pytest.raises(InputError, match=message), probing(pipe, **options):  # type: ignore[arg-type]
            pass
    with probing(pipe) as recorder:
        with pytest.raises(UnsupportedError, match="being probed already"), probing(pipe):
            pass
        with pytest.raises(StrataError, match="none began"):
            recorder.result()
        drawn(pipe)
        with pytest.raises(UnsupportedError, match="open another"):
            drawn(pipe)
        recorder.result()
    with pytest.raises(UnsupportedError, match="the RegionalPipeline, not its pipe"), probing(pipe):
        drawn_plan(regional, plan())
    assert "encode_prompt" not in vars(pipe)
    pipe.transformer.compile_repeated_blocks()
    with pytest.raises(UnsupportedError, match="compiled code ignores the hooks"), probing(pipe):
        pass


def test_a_probe_of_a_run_is_saved_and_loaded(tmp_path: Any) -> None:
    pipe, _ = make_text_to_image()
    regional, scene = RegionalPipeline(pipe), plan()
    with probing(regional, words=("red",), concepts=("circle", "square")) as recorder:
        drawn_plan(regional, scene)
    probe = recorder.result(model="tiny", seed=1)
    probe.save(tmp_path / "probe")
    again = Probe.load(tmp_path / "probe")
    assert again.facts == probe.facts
    assert (again.facts.width, again.facts.height, again.facts.seed) == (48, 32, 1)
    assert again.facts.plan is not None
    assert ScenePlan.model_validate(again.facts.plan) == scene.model_copy(update={"overlap": "split"}), "the routing's"
    np.testing.assert_allclose(again.maps, probe.maps, atol=1e-3)


def test_what_a_plain_pipeline_draws_is_learnt_from_its_encoder() -> None:
    pipe, _ = make_text_to_image()
    embeds, pooled, _ = pipe.encode_prompt(prompt=PROMPT, prompt_2=None, max_sequence_length=24)
    given = {"prompt": None, "prompt_embeds": embeds, "pooled_prompt_embeds": pooled}
    call = {**CALL, "num_inference_steps": 1, "output_type": "latent"}
    with probing(pipe) as recorder:
        pipe(**call, **given)
    assert recorder.result().facts.prompt is None
    guided = {"negative_prompt": "a square", "true_cfg_scale": 3.0}
    with pytest.raises(InputError, match="where prompt_embeds stand in for the prompt"), probing(pipe, words=("red",)):
        pipe(**call, **given, **guided)
    with probing(pipe, words=("red",), prompt=PROMPT) as recorder:
        pipe(**call, **given)
    assert recorder.result().facts.prompt == PROMPT
    with probing(pipe, words=("square",)) as recorder:  # T5 has the second one
        pipe("a circle", prompt_2="a square", **call)
    assert recorder.result().facts.prompt == "a square"
    with pytest.raises(InputError, match="prompt: 'a star': is not what is drawn; that is 'a square'"):  # noqa: SIM117
        with probing(pipe, prompt="a star"):
            pipe("a square", **call)
    odd = "a red circle\tand\u4e16 more"
    with pytest.raises(InputError, match="is not quite the prompt"), probing(pipe, words=("red",)):
        pipe(odd, **call)
    with probing(pipe, words=("red",), prompt=odd) as recorder:
        pipe(odd, **call)
    assert recorder.result().facts.prompt == odd
    with pytest.raises(InputError, match="prompt: comes from the plan"), probing(RegionalPipeline(pipe), prompt="a"):
        pass


def test_plans_that_another_size_is_drawn_for() -> None:
    """Kontext chooses its own size: the program is compiled anew in the first step, and probed as drawn."""
    pipe, options = make_kontext()
    regional = RegionalPipeline(pipe)
    wanted = {**options, "max_area": 64 * 96}
    before = drawn_plan(regional, plan(), **wanted)
    with probing(regional, words=("red",)) as recorder:
        assert np.array_equal(drawn_plan(regional, plan(), **wanted), before)
        with pytest.raises(UnsupportedError, match="open another"):
            drawn_plan(regional, plan(), **wanted)
    assert recorder.result().maps.shape[-2:] == (64 // 4, 96 // 4)


def test_texts_encoded_elsewhere() -> None:
    pipe, _ = make_text_to_image()
    scene, routing = plan(), Routing.from_yaml(LEVELS)
    encoded = RegionalPipeline(pipe, routing).encode(scene, num_inference_steps=3)
    bare = RegionalPipeline(make_text_to_image()[0], routing)
    for name in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"):
        setattr(bare.pipe, name, None)
    with probing(bare) as recorder:
        drawn_plan(bare, scene, encoded=encoded)
    found = recorder.result()
    assert {label.kind for label in found.facts.labels} == {"text"}
    np.testing.assert_allclose(found.shares.sum(-1), 1, atol=1e-5)
    with pytest.raises(UnsupportedError, match="does not tell where its tokens stand"), probing(bare, words=("red",)):
        pass
    with pytest.raises(InputError, match="text encoders are not loaded"), probing(bare, concepts=("red",)):
        pass
