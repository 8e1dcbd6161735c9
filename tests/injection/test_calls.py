"""What people do around a call: LoRAs in a callback, no text encoders, several plans, caches, compiled blocks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import ChromaPipeline, FluxPipeline
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.checks import UnsupportedError
from strata.injection.encoding import EncodedPlan
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import DEFAULT_ROUTING, Routing
from tests.injection.conftest import (
    PLAN,
    chroma_parts,
    make_chroma,
    make_controlnet,
    make_text_to_image,
    quiet,
    taken,
    tiny_parts,
)
from tests.injection.flux2 import make_klein
from tests.injection.qwen import make_krea2, make_longcat, make_qwen
from tests.rarely import rarely
from tests.shows import shown

STEPS = {"num_inference_steps": 4, "output_type": "pt", "max_sequence_length": 24}
MAKERS = {"flux": make_text_to_image, "chroma": make_chroma}
COMPILED = {**MAKERS, "flux2": make_klein, "longcat": make_longcat, "qwen": make_qwen, "krea2": make_krea2}


def random_plan(seed: int, folder: Path) -> ScenePlan:
    """Up to eight regions that overlap: boxes, polygons and masks, levels or one text, on one of four canvases."""
    rng = np.random.default_rng(seed)
    width, height = [(48, 32), (32, 32), (64, 32), (32, 48)][seed % 4]
    regions = []
    for n in range(seed % 9):
        x, y = int(rng.integers(0, width - 12)), int(rng.integers(0, height - 12))
        right, low = int(rng.integers(x + 8, width + 1)), int(rng.integers(y + 8, height + 1))
        area: dict[str, Any] = {"box": [x, y, right, low]}
        if n % 3 == 2:
            area = {"polygon": [[x, y], [right, y], [x, low], [right, low]]}
        if n % 4 == 1:
            mask = np.zeros((height, width), np.uint8)
            mask[y:low, x : x + 4] = mask[y : y + 4, x:right] = 255
            Image.fromarray(mask).save(folder / f"{seed}-{n}.png")
            area = {"mask": f"{seed}-{n}.png"}
        texts = {"full": "a red circle"} if n % 4 == 3 else {"high": "a circle", "low": "red, striped " * (n % 3 + 1)}
        regions.append({"name": f"r{n}", **area, **texts})
    background = {"background": {"high": "plain background"}} if seed % 3 == 0 else {}
    prompt = "a red circle " * (seed % 3 + 1)
    data = {"width": width, "height": height, "prompt": prompt, "regions": regions, **background}
    return ScenePlan.from_yaml(json.dumps(data), root=folder)


class TestCompiledBlocks:
    @pytest.mark.slow
    @pytest.mark.parametrize("family", shown(COMPILED, "compiled blocks"))
    def test_the_number_of_graphs_does_not_grow_with_plans(self, family: str, tmp_path: Path) -> None:
        """Twenty plans under five presets: whatever the first few need is enough for all, and the blocks stay whole."""
        torch._dynamo.reset()
        pipe, _ = COMPILED[family]()
        plain, _ = COMPILED[family]()
        pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
        counters = torch._dynamo.utils.counters
        counters.clear()
        presets = ["isolate-first", "uniform", "coarse-to-fine", "regional-prompting-flux", "alternate"]
        graphs = []
        for n in range(20):
            plan, preset = random_plan(n, tmp_path), presets[n % len(presets)]
            options = STEPS | {"num_inference_steps": 12 if preset == "regional-prompting-flux" else 3}
            options = taken(pipe, options)
            found = RegionalPipeline(pipe, preset)(plan, seed=n, **options).images
            if n % 4 == 3:
                expected = RegionalPipeline(plain, preset)(plan, seed=n, **options).images
                assert (found - expected).abs().max() < 1e-3
            graphs.append(counters["stats"]["unique_graphs"])
        assert graphs[-1] == graphs[5], f"graphs after each plan: {graphs}"
        assert graphs[-1] <= 14
        torch._dynamo.reset()

    def test_gradients_are_refused_in_compiled_code(self) -> None:
        from strata.injection.attention import AttentionGroup, AttentionSpec, BlockAttention, _op, regional_attention

        q, k, v = (torch.randn(1, 8, 2, 4, requires_grad=True) for _ in range(3))
        everything = AttentionGroup(((0, 8),), ((0, 8),))
        spec = AttentionSpec(4, (), everything, ((0, 8),), (), 4, (), None)
        attention = BlockAttention(((None, spec),))
        regional_attention(q, k, v, spec).sum().backward()
        with pytest.raises(UnsupportedError, match="uncompiled"):
            _op(q, k, v, attention.key, "").sum().backward()


class TestWithoutTextEncoders:
    def freed(self, family: str) -> Any:
        if family == "chroma":
            return quiet(ChromaPipeline(**chroma_parts() | {"text_encoder": None, "tokenizer": None}))
        parts = tiny_parts() | dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))
        return quiet(FluxPipeline(**parts))

    @pytest.mark.parametrize("family", MAKERS)
    def test_an_encoded_plan_draws_the_same_picture(self, family: str, plan: ScenePlan, tmp_path: Path) -> None:
        regional = RegionalPipeline(MAKERS[family]()[0], "uniform")
        expected = regional(plan, seed=1, **STEPS).images
        regional.encode(plan, **STEPS).save(tmp_path / "plan.safetensors")
        encoded = EncodedPlan.load(tmp_path / "plan.safetensors")
        regional.pipe.text_encoder = None
        with pytest.raises(InputError, match=r"encoded: the pipeline's text encoders are not loaded"):
            regional.encode(plan, **STEPS)
        bare = RegionalPipeline(self.freed(family), "uniform")
        assert torch.equal(bare(plan, seed=1, encoded=encoded, **STEPS).images, expected)
        with pytest.raises(InputError, match=r"encoded: the pipeline's text encoders are not loaded"):
            bare(plan, seed=1, **STEPS)
        anchored = RegionalPipeline(self.freed(family), "isolate-first")
        with pytest.raises(InputError, match=r"encoded: lacks the text 'a circle, red, striped'"):
            anchored(plan, seed=1, encoded=encoded, **STEPS)
        with pytest.raises(InputError, match=r"encoded: is of prompt 'a red.*', what is drawn has 'a star'"):
            bare(plan.model_copy(update={"prompt": "a star"}), seed=1, encoded=encoded, **STEPS)
        other = EncodedPlan("other", encoded.said, encoded.inputs, encoded.texts)
        with pytest.raises(InputError, match=r"encoded: is for the family 'other'"):
            bare(plan, seed=1, encoded=other, **STEPS)
        other.save(tmp_path / "other.safetensors")
        assert EncodedPlan.load(tmp_path / "other.safetensors").starts == dict.fromkeys(encoded.texts, 0)
        facts = {"family": family, "said": {}, "texts": ["a", "b"]}  # of a version that knew no starts
        tensors = {f"text:{n}": torch.zeros(1, 2, 3) for n in range(2)}
        save_file(tensors, tmp_path / "old.safetensors", {"strata": json.dumps(facts)})
        assert EncodedPlan.load(tmp_path / "old.safetensors").starts == {"a": 0, "b": 0}

    def test_with_a_negative_prompt(self, plan: ScenePlan) -> None:
        said, options = plan.model_copy(update={"negative_prompt": "checkered"}), STEPS | {"true_cfg_scale": 2.0}
        regional = RegionalPipeline(make_text_to_image()[0], "uniform")
        encoded = regional.encode(said, **options)
        bare = RegionalPipeline(self.freed("flux"), "uniform")
        found = bare(said, seed=1, encoded=encoded, **options).images
        assert torch.equal(found, regional(said, seed=1, **options).images)
        bare.pipe.to(torch.bfloat16)
        for clip in (None, regional.pipe.text_encoder):
            bare.pipe.text_encoder = clip
            drawn = bare(said, seed=1, encoded=encoded, **options | {"num_inference_steps": 1}).images
            assert drawn.dtype == torch.bfloat16, "as the model's weights are, whichever encoder is missing"

    def test_an_encoded_plan_is_not_drawn_as_another_one(self, plan: ScenePlan) -> None:
        """What was not encoded cannot be drawn, and nothing that is asked for is passed over."""
        regional = RegionalPipeline(make_text_to_image()[0], "uniform")
        said = plan.model_copy(update={"negative_prompt": "checkered"})
        guided = {"true_cfg_scale": 2.0}
        plain, negative = regional.encode(plan, **STEPS), regional.encode(said, **STEPS, **guided)
        cases: list[tuple[ScenePlan, EncodedPlan, dict[str, Any], str]] = [
            (plan, plain, {"negative_prompt": "dotted", **guided}, "negative_prompt none, what is drawn has 'dotted'"),
            (said, plain, guided, "negative_prompt none, what is drawn has 'checkered'"),
            (plan, negative, guided, "negative_prompt 'checkered', what is drawn has none"),
            (plan, plain, {"prompt_2": "a star"}, "prompt_2 none, what is drawn has 'a star'"),
        ]
        for drawn, encoded, options, message in cases:
            with pytest.raises(InputError, match=message):
                regional(drawn, seed=1, encoded=encoded, **STEPS, **options)
        assert (
            regional.encode(said, **STEPS, **guided, negative_prompt_2="dotted").said["negative_prompt_2"] == "dotted"
        )
        published = RegionalPipeline(regional.pipe, "regional-prompting-flux")
        with pytest.raises(InputError, match="pad 'none', what is drawn has 'full'"):
            published(plan, seed=1, encoded=plain, **STEPS)
        with pytest.raises(InputError, match="encoded: None: must be an EncodedPlan"):
            regional([plan, plan], seed=[1, 2], encoded=[plain, None], **STEPS)  # type: ignore[list-item]
        with pytest.raises(InputError, match="must be an EncodedPlan; EncodedPlan"):
            regional(plan, seed=1, encoded="e.safetensors", **STEPS)  # type: ignore[arg-type]
        assert repr(plain) == f"EncodedPlan(flux, {plan.prompt!r}, {len(plain.texts)} texts)"
        chroma = RegionalPipeline(make_chroma()[0], "uniform")
        unguided = chroma.encode(plan, **STEPS, guidance_scale=1.0)
        with pytest.raises(InputError, match="negative_prompt none, what is drawn has ''"):
            RegionalPipeline(self.freed("chroma"), "uniform")(plan, seed=1, encoded=unguided, **STEPS)

    def test_negative_embeddings_of_ones_own(self, plan: ScenePlan) -> None:
        """They are repeated with the others, and may be the very tensor of the prompt."""
        pipe, _ = make_text_to_image()
        embeds, pooled = torch.randn(1, 24, 128), torch.randn(1, 64)
        own = {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled, "true_cfg_scale": 2.0}
        same = {"negative_prompt_embeds": embeds, "negative_pooled_prompt_embeds": pooled}
        other = {"negative_prompt_embeds": embeds.clone(), "negative_pooled_prompt_embeds": pooled}
        regional = RegionalPipeline(pipe, "uniform")
        found = [regional(plan, seed=np.int64(3), **own, **each, **STEPS).images for each in (same, other)]
        assert torch.equal(*found)
        two = regional(plan, seed=3, num_images_per_prompt=2, **own, **other, **STEPS).images
        assert two.shape[0] == 2
        each = {
            name: torch.cat([value] * 2) if isinstance(value, torch.Tensor) else value for name, value in own.items()
        }
        assert torch.equal(regional([plan], seed=[3], num_images_per_prompt=2, **each, **other, **STEPS).images, two)

    def test_embeddings_of_ones_own_stand_for_the_prompt(
        self, plan: ScenePlan, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What FluxPriorRedux gives: longer than a text, and no prompt at all."""
        pipe, _ = make_text_to_image()
        embeds = torch.randn(1, 40, 128, generator=torch.Generator().manual_seed(0))
        pooled = torch.randn(1, 64, generator=torch.Generator().manual_seed(1))
        own = {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}
        regional = RegionalPipeline(pipe, "uniform")
        size = {"width": plan.width, "height": plan.height, "generator": torch.Generator().manual_seed(3)}
        empty = plan.model_copy(update={"regions": (), "high": None, "low": None, "background": None})
        assert torch.equal(regional(empty, seed=3, **own, **STEPS).images, pipe(**size, **own, **STEPS).images)
        two = regional(plan, seed=3, num_images_per_prompt=2, **own, **STEPS).images
        assert two.shape[0] == 2
        assert not torch.equal(two[:1], regional(plan, seed=3, **STEPS).images)
        region = plan.regions[0].model_copy(update={"high": "blue " * 40})
        long = plan.model_copy(update={"prompt": "red " * 30, "regions": (region,)})
        regional.encode(long, **own, **STEPS)
        cut = [message.split(" is cut")[0] for message in caplog.messages if " is cut to " in message]
        assert cut == ["a text of 41 tokens"], "the region's"
        for rows, options in ((3, {"num_images_per_prompt": 2}), (2, {})):
            with pytest.raises(InputError, match=f"prompt_embeds: {rows} rows"):
                regional(plan, **{**own, "prompt_embeds": embeds.expand(rows, -1, -1)}, **STEPS, **options)

    @pytest.mark.parametrize("damage", ["truncated", "other", "missing"])
    def test_damaged_files(self, damage: str, plan: ScenePlan, tmp_path: Path) -> None:
        path = tmp_path / "plan.safetensors"
        RegionalPipeline(make_text_to_image()[0]).encode(plan, **STEPS).save(path)
        if damage == "truncated":
            path.write_bytes(path.read_bytes()[:-100])
        elif damage == "other":
            save_file({"a": torch.zeros(1)}, path)
        else:
            path.unlink()
        with pytest.raises(InputError, match=r"plan.safetensors: (holds no encoded plan|cannot be read)"):
            EncodedPlan.load(path)


class TestSeveralPlans:
    PLANS = (
        PLAN,
        "{width: 48, height: 32, prompt: one thing, regions: [{name: left, box: [0, 0, 20, 20], full: a red star}]}",
        "{width: 48, height: 32, prompt: nothing}",
    )

    @pytest.mark.parametrize("routing", ["isolate-first", *rarely("coarse-to-fine", "regional-prompting-flux")])
    @pytest.mark.parametrize("family", shown(MAKERS, "several plans a call"))
    def test_a_batch_draws_what_each_plan_draws_alone(self, family: str, routing: str) -> None:
        plans, seeds = [ScenePlan.from_yaml(text) for text in self.PLANS], [4, 5, 6]
        regional = RegionalPipeline(MAKERS[family]()[0], routing)
        options = STEPS | {"num_inference_steps": 6, "output_type": "latent"}
        found = regional(plans, seed=seeds, **options).images
        for plan, seed, image in zip(plans, seeds, found, strict=True):
            alone = regional(plan, seed=seed, **options).images[0]
            assert (image - alone).abs().max() < 1e-4 * max(1.0, float(alone.abs().max()))
        calls = []
        hook = regional.pipe.transformer.register_forward_hook(lambda *_: calls.append(1))
        regional(plans, seed=seeds, **options)
        hook.remove()
        assert len(calls) == 6 * (2 if family == "chroma" else 1), "one forward a step"

    def test_prompts_of_different_lengths_under_a_boolean_mask(self) -> None:
        """Padding that is dropped leaves base prompts of different lengths, also where no stream is left."""
        pipe, _ = make_chroma()
        routing = Routing.from_yaml("{name: a, about: a, rules: [{level: high, double: 0}, {level: full, double: 0}]}")
        regional = RegionalPipeline(pipe, routing)
        plans = [ScenePlan.from_yaml(text) for text in self.PLANS]
        options = STEPS | {"output_type": "latent"}
        encoded = []
        for plan in plans:
            found = regional.encode(plan, **options)
            masks = {name: value.bool() if name.endswith("mask") else value for name, value in found.inputs.items()}
            encoded.append(EncodedPlan(found.family, found.said, masks, found.texts))
        images = regional(plans, seed=[1, 2, 3], encoded=encoded, **options).images
        for n, (plan, image) in enumerate(zip(plans, images, strict=True)):
            alone = regional(plan, seed=n + 1, encoded=encoded[n], **options).images[0]
            assert (image - alone).abs().max() < 1e-4 * max(1.0, float(alone.abs().max()))
        pipe.text_encoder = pipe.tokenizer = None  # texts come from elsewhere, and so do masks, whatever they are of
        assert torch.equal(regional(plans, seed=[1, 2, 3], encoded=encoded, **options).images, images)

    def test_with_negative_prompts(self) -> None:
        plans = [ScenePlan.from_yaml(text).model_copy(update={"negative_prompt": "dotted"}) for text in self.PLANS[:2]]
        regional = RegionalPipeline(make_text_to_image()[0], "uniform")
        options = STEPS | {"true_cfg_scale": 2.0, "output_type": "latent"}
        assert len(regional(plans, **options | {"num_inference_steps": 1}).images) == 2, "without seeds, of any noise"
        found = regional(plans, seed=[1, 2], **options).images
        for plan, seed, image in zip(plans, (1, 2), found, strict=True):
            assert (image - regional(plan, seed=seed, **options).images[0]).abs().max() < 1e-4

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            ({"width": 64}, {}, "sizes 48x32, 64x32"),
            ({"negative_prompt": "a"}, {"true_cfg_scale": 2.0}, "negative_prompt: all plans of one call"),
            ({}, {"seed": 3}, "seed: 3: must be a list, one a plan"),
            ({}, {"seed": [3]}, "must be a list, one a plan, for 2 plans"),
            ({}, {"num_images_per_prompt": 2}, "num_images_per_prompt: is for one plan"),
        ],
    )
    def test_refusals(self, change: dict[str, Any], options: dict[str, Any], message: str, plan: ScenePlan) -> None:
        regional = RegionalPipeline(make_text_to_image()[0])
        with pytest.raises(InputError, match=message):
            regional([plan, plan.model_copy(update=change)], **{"seed": [1, 2], **options})
        with pytest.raises(InputError, match="plan: an empty list"):
            regional([])


class TestWhatChangesTheBlocks:
    def test_a_lora_loaded_in_a_callback(self, plan: ScenePlan) -> None:
        """Blocks keep their names while regions are attached, so that adapters find them."""
        state = {
            f"transformer.transformer_blocks.{n}.attn.to_q.lora_{part}.weight": torch.full(shape, 0.3)
            for n in (0, 1)
            for part, shape in (("A", (2, 32)), ("B", (32, 2)))
        }
        pipes = [make_text_to_image()[0] for _ in range(2)]
        pipes[0].load_lora_weights(state, adapter_name="style")
        pipes[0].disable_lora()

        def load(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if step == 1:
                pipe.enable_lora() if pipe is pipes[0] else pipe.load_lora_weights(state, adapter_name="style")
            return {}

        drawn = [RegionalPipeline(pipe)(plan, seed=0, callback_on_step_end=load, **STEPS).images for pipe in pipes]
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[1], RegionalPipeline(make_text_to_image()[0])(plan, seed=0, **STEPS).images)
        assert pipes[1].get_active_adapters() == ["style"]

    def test_a_cache_that_substitutes_block_calls(self, plan: ScenePlan) -> None:
        """As cache-dit does it: during its forward, the transformer's blocks are one module that skips most of them."""

        class Cached(nn.Module):
            def __init__(self, blocks: nn.ModuleList) -> None:
                super().__init__()
                self.blocks, self.calls = blocks, 0

            def forward(self, hidden_states: Any, encoder_hidden_states: Any, *args: Any, **kwargs: Any) -> Any:
                self.calls += 1
                for block in self.blocks if self.calls < 3 else self.blocks[:1]:
                    encoder_hidden_states, hidden_states = block(hidden_states, encoder_hidden_states, *args, **kwargs)
                return encoder_hidden_states, hidden_states

        pipe, _ = make_text_to_image()
        expected = RegionalPipeline(pipe, "uniform")(plan, seed=0, **STEPS | {"num_inference_steps": 2}).images
        forward, cached = pipe.transformer.forward, Cached(pipe.transformer.transformer_blocks)

        def substituted(*args: Any, **kwargs: Any) -> Any:
            with patch.object(pipe.transformer, "transformer_blocks", nn.ModuleList([cached])):
                return forward(*args, **kwargs)

        pipe.transformer.forward = substituted
        regional = RegionalPipeline(pipe, "uniform")
        assert torch.equal(regional(plan, seed=0, **STEPS | {"num_inference_steps": 2}).images, expected)
        with pytest.raises(UnsupportedError, match=r"computed 4 times in a step that has it 5 times.*block cache"):
            regional(plan, seed=0, **STEPS)

    def test_a_processor_that_somebody_replaces_in_mid_run(self, plan: ScenePlan) -> None:
        from diffusers.models.transformers.transformer_flux import FluxAttnProcessor

        pipe, _ = make_text_to_image()

        def replace(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            pipe.transformer.single_transformer_blocks[0].attn.processor = FluxAttnProcessor()
            return {}

        with pytest.raises(UnsupportedError, match="computed 4 times in a step that has it 5 times"):
            RegionalPipeline(pipe, "uniform")(plan, seed=0, callback_on_step_end=replace, **STEPS)


@pytest.mark.parametrize("make", [make_text_to_image, make_controlnet])
def test_methods_by_name(make: Callable[[], tuple[Any, dict[str, Any]]], plan: ScenePlan) -> None:
    pipe, options = make()

    def draw(routing: str | None, method: str | None) -> torch.Tensor:
        found: torch.Tensor = RegionalPipeline(pipe, routing, method)(plan, seed=0, **STEPS | options).images
        return found

    plain = pipe(
        prompt=plan.prompt,
        width=plan.width,
        height=plan.height,
        generator=torch.Generator().manual_seed(0),
        **STEPS | options,
    ).images
    names = f"{type(pipe).__name__}, routing='uniform', method='regional'"
    assert repr(RegionalPipeline(pipe, "uniform", "regional")) == f"RegionalPipeline({names})"
    assert torch.equal(draw(DEFAULT_ROUTING, "plain"), plain)
    with pytest.raises(InputError, match=r"routing: 'uniform': the method plain would ignore it"):
        draw("uniform", "plain")
    assert torch.equal(draw("uniform", "regional"), draw("uniform", None))
    published = "regional-prompting-flux"
    assert torch.equal(draw(published, published), draw(published, None))
    assert torch.equal(draw(None, published), draw(published, published))
    assert not torch.equal(draw("uniform", "regional"), draw(published, None))
    with pytest.raises(InputError, match="method 'regional': routing 'regional-prompting-flux': blend mode split and"):
        draw(published, "regional")
    with pytest.raises(InputError, match=r"method 'regoinal': did you mean 'regional'\? must be one of .*, regional, "):
        RegionalPipeline(pipe, "uniform", "regoinal")
