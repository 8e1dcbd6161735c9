"""What is particular to FLUX.2: counted text positions, chats, guidance by a second call, reference pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import PromptCalls
from strata.injection.checks import UnsupportedError
from strata.injection.cut_texts import warn_truncated
from strata.injection.encoding import EncodedPlan
from strata.injection.families import facts_of, facts_of_folder, family_of
from strata.injection.pipeline import RegionalPipeline
from strata.injection.weights import load_folder
from strata.layers.routing import Routing
from tests.injection.drawings import seen_calls
from tests.injection.flux2 import (
    LENGTH,
    flux2_parts,
    make_flux2,
    make_klein,
    make_klein_base,
    reference,
)
from tests.shows import shows

STEPS: dict[str, Any] = {"num_inference_steps": 3, "output_type": "pt"}
TEXT = "a red circle and a blue square"


def draw(pipe: Any, plan: ScenePlan, **options: Any) -> torch.Tensor:
    images: torch.Tensor = RegionalPipeline(pipe, "uniform")(plan, seed=0, **STEPS | options).images
    return images


def draw_plain(pipe: Any, plan: ScenePlan, **options: Any) -> torch.Tensor:
    call = {"prompt": plan.prompt, "width": plan.width, "height": plan.height, **STEPS, **options}
    images: torch.Tensor = pipe(generator=torch.Generator().manual_seed(0), **call).images
    return images


def calls_of(pipe: Any, plan: ScenePlan, **options: Any) -> list[dict[str, Any]]:
    """The inputs of all transformer calls, as the stock transformer gets them."""
    with seen_calls(pipe) as seen:
        draw(pipe, plan, **options)
    return seen


@pytest.mark.parametrize(("dev", "distilled"), [(True, False), (False, True), (False, False)])
def test_a_saved_folder_is_known_before_loading_and_draws_the_same(
    dev: bool, distilled: bool, tmp_path: Path, plan: ScenePlan
) -> None:
    own = {} if dev else {"is_distilled": distilled}
    pipe = (Flux2Pipeline if dev else Flux2KleinPipeline)(**flux2_parts(dev), **own)
    pipe.save_pretrained(tmp_path)
    facts = facts_of_folder(tmp_path)
    assert facts == facts_of(pipe)
    assert (facts.block_counts, facts.token_size, facts.text_length) == ((2, 3), 4, LENGTH)
    assert facts.guidance == (None if distilled else 4.0)
    assert facts.negative_scale == (None if dev or distilled else "guidance_scale")
    again = load_folder(tmp_path, torch.float32)
    options = {"num_inference_steps": 1, "max_sequence_length": LENGTH}
    assert torch.equal(draw(again, plan, **options), draw(pipe, plan, **options))


@pytest.mark.parametrize("make", [make_flux2, make_klein])
def test_every_stream_has_the_positions_of_its_own_padded_text(make: Any, plan: ScenePlan) -> None:
    """Dev's padding is in front, klein's behind; both are dropped."""
    pipe, options = make()
    length, tokenizer = options["max_sequence_length"], family_of(pipe.transformer).tokenizer(pipe)
    counts = [len(tokenizer(d.text).input_ids) for d in plan.descriptions()]
    call = calls_of(pipe, plan, **options)[0]
    expected: list[int] = []
    for count in counts:
        expected += range(length - count, length) if make is make_flux2 else range(count)
    assert call["txt_ids"].tolist() == [[0, 0, 0, n] for n in [*expected, *range(length)]]
    for n, description in enumerate(plan.descriptions()):
        at = sum(counts[:n])
        embeds, _ = pipe.encode_prompt(prompt=description.text, max_sequence_length=length)
        own = embeds[:, -counts[n] :] if make is make_flux2 else embeds[:, : counts[n]]
        assert torch.equal(call["encoder_hidden_states"][:, at : at + counts[n]], own)
    padded = Routing.load("uniform").model_copy(update={"pad": "full"})
    with seen_calls(pipe) as calls:
        RegionalPipeline(pipe, padded)(plan, seed=0, num_inference_steps=1, output_type="latent", **options)
    assert calls[0]["txt_ids"][:, 3].tolist() == [*range(length)] * (1 + len(counts)), "padding that is kept counts"


@pytest.mark.parametrize("make", [make_flux2, make_klein])
def test_which_tokens_are_the_words_of_a_text(make: Any) -> None:
    pipe, _ = make()
    tokenizer = family_of(pipe.transformer).tokenizer(pipe)
    found = tokenizer(TEXT, return_offsets_mapping=True)
    words = [TEXT[start:stop].strip() for start, stop in found.offset_mapping]
    assert [word for word in words if word] == TEXT.split()
    assert tokenizer.decode(found.input_ids) == TEXT
    ids: list[Any] = []
    hook = pipe.text_encoder.register_forward_pre_hook(lambda m, a, k: ids.append(k["input_ids"]), with_kwargs=True)
    pipe.encode_prompt(prompt=TEXT, max_sequence_length=LENGTH)
    hook.remove()
    padded = tokenizer(TEXT, padding="max_length", max_length=LENGTH, truncation=True)
    assert padded.input_ids == ids[0][0].tolist()


def test_the_processor_of_dev_adds_nothing_to_its_tokenizer(plan: ScenePlan) -> None:
    pytest.importorskip("torchvision", reason="the image processor within PixtralProcessor needs torchvision")
    from transformers import PixtralImageProcessor, PixtralProcessor

    pipe, options = make_flux2()
    expected = draw(pipe, plan, **options)
    template = pipe.tokenizer.chat_template
    pipe.tokenizer = PixtralProcessor(PixtralImageProcessor(), pipe.tokenizer, chat_template=template)
    assert torch.equal(draw(pipe, plan, **options), expected)


def test_what_is_cut_off_a_chat_is_told_where_it_is_of_the_text(caplog: pytest.LogCaptureFixture) -> None:
    pipe, _ = make_klein()
    family = family_of(pipe.transformer)
    warn_truncated(family, pipe, TEXT, 16)
    assert caplog.text == ""
    warn_truncated(family, pipe, TEXT, 8)
    assert "a text of 21 tokens is cut to 8; not heard:  a blue square" in caplog.text


class TestGuidanceByASecondCall:
    def test_unconditional_calls_are_the_plain_models(self, plan: ScenePlan) -> None:
        pipe, options = make_klein_base()
        calls = calls_of(pipe, plan, **options, max_sequence_length=24)
        lengths = [call["encoder_hidden_states"].shape[1] for call in calls]
        assert lengths[1::2] == [24] * 3
        assert all(length > 24 for length in lengths[::2])
        nothing, _ = pipe.encode_prompt(prompt="", max_sequence_length=24)
        assert torch.equal(calls[1]["encoder_hidden_states"], nothing)

    @shows("flux2", "negative prompt")
    def test_the_plans_negative_prompt(self, plan: ScenePlan, empty_plan: ScenePlan) -> None:
        """The stock call takes its embedding alone."""
        pipe, options = make_klein_base()
        negative, _ = pipe.encode_prompt(prompt="checkered", max_sequence_length=24)
        options |= {"max_sequence_length": 24}
        said = empty_plan.model_copy(update={"negative_prompt": "checkered"})
        expected = draw_plain(pipe, empty_plan, negative_prompt_embeds=negative, **options)
        assert torch.equal(draw(pipe, said, **options), expected)
        own = draw(pipe, plan, negative_prompt_embeds=negative, **options)
        encoded = RegionalPipeline(pipe).encode(plan, negative_prompt_embeds=negative, **options)
        assert (encoded.said["negative_prompt"], [*encoded.inputs]) == (None, ["prompt_embeds"])
        assert torch.equal(draw(pipe, plan.model_copy(update={"negative_prompt": "checkered"}), **options), own)
        assert not torch.equal(draw(pipe, plan, **options), own)

    def test_a_negative_prompt_that_is_the_prompt(self, plan: ScenePlan) -> None:
        pipe, options = make_klein_base()
        said = plan.model_copy(update={"negative_prompt": plan.prompt})
        lengths = [c["encoder_hidden_states"].shape[1] for c in calls_of(pipe, said, **options, max_sequence_length=24)]
        assert [length > 24 for length in lengths] == [True, False] * 3

    def test_copies_are_known_by_what_they_hold(self) -> None:
        prompt, negative, other = torch.zeros(1, 2, 3), torch.ones(1, 2, 3), torch.full((1, 2, 3), 2.0)
        conditional = PromptCalls(negative)
        copy = negative.clone()
        told = [conditional(text) for text in (prompt, copy, prompt, copy, other)]
        assert told == [True, False, True, False, True]
        assert not PromptCalls(negative)(negative)
        unguided, alike = PromptCalls(None), PromptCalls(prompt.clone())
        assert [unguided(text) for text in (prompt, negative)] == [True, True]
        assert [alike(text) for text in (prompt, prompt, prompt.clone())] == [True, True, False]


class TestWithoutTextEncoders:
    @pytest.mark.parametrize("make", [make_flux2, make_klein_base])
    def test_an_encoded_plan_draws_the_same_picture(self, make: Any, plan: ScenePlan, tmp_path: Path) -> None:
        pipe, options = make()
        said = plan if make is make_flux2 else plan.model_copy(update={"negative_prompt": "checkered"})
        regional = RegionalPipeline(pipe, "uniform")
        expected = regional(said, seed=0, **STEPS, **options).images
        regional.encode(said, **STEPS, **options).save(tmp_path / "plan.safetensors")
        encoded = EncodedPlan.load(tmp_path / "plan.safetensors")
        assert any(encoded.starts.values()) == (make is make_flux2)
        parts = flux2_parts(make is make_flux2) | {"text_encoder": None, "tokenizer": None}
        bare = RegionalPipeline(type(pipe)(**parts), "uniform")
        bare.pipe.set_progress_bar_config(disable=True)
        assert torch.equal(bare(said, seed=0, encoded=encoded, **STEPS, **options).images, expected)
        with pytest.raises(InputError, match="text encoders are not loaded"):
            bare(said, seed=0, **STEPS, **options)


@shows("flux2", "LoRA")
def test_lora(plan: ScenePlan) -> None:
    from peft import LoraConfig

    pipe, options = make_klein()
    plain = draw(pipe, plan, **options)
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_qkv_mlp_proj"], init_lora_weights=False))
    adapted = draw(pipe, plan, **options)
    assert not torch.equal(adapted, plain)
    assert not torch.equal(adapted, draw(pipe, plan, attention_kwargs={"scale": 0.5}, **options))
    pipe.transformer.disable_adapters()
    assert torch.equal(draw(pipe, plan, **options), plain)


def test_fused_projections(plan: ScenePlan) -> None:
    pipe, options = make_klein()
    plain = draw(pipe, plan, **options)
    pipe.transformer.fuse_qkv_projections()
    assert (draw(pipe, plan, **options) - plain).abs().max() < 1e-4


@shows("flux2", "reference pictures")
def test_a_reference_changes_the_picture_and_a_canvas_follows_the_plan(plan: ScenePlan) -> None:
    pipe, options = make_klein()
    images = [draw(pipe, plan, image=image, **options) for image in (reference(1), reference(2), None)]
    assert all(image.shape[-2:] == (32, 48) for image in images)
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_latents_of_ones_own(plan: ScenePlan) -> None:
    pipe, options = make_klein()
    latents = torch.randn(1, 16, 8, 12)
    assert torch.equal(draw(pipe, plan, latents=latents, **options), draw(pipe, plan, latents=latents, **options))
    with pytest.raises(InputError, match=r"latents: shape \[1, 96, 16\]: must be \[…, 16, 8, 12\]"):
        draw(pipe, plan, latents=torch.randn(1, 96, 16), **options)


class TestRefusals:
    def test_several_plans_a_call(self, plan: ScenePlan) -> None:
        with pytest.raises(UnsupportedError, match="text tokens have positions of their own"):
            RegionalPipeline(make_klein()[0], "uniform")([plan, plan], seed=[1, 2], **STEPS)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"text_encoder_out_layers": (1, 2, 3)}, "text_encoder_out_layers: .* pipeline's own layers"),
            ({"image": reference(0, (32, 32))}, "image: Image too small: 32×32"),
            ({"negative_prompt": "dotted"}, "takes no such option"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str, plan: ScenePlan) -> None:
        with pytest.raises(InputError, match=message):
            RegionalPipeline(make_klein()[0]).check(plan, **options)

    def test_negative_prompts_where_nothing_would_read_them(self, plan: ScenePlan) -> None:
        said = plan.model_copy(update={"negative_prompt": "checkered"})
        for make in (make_klein, make_flux2):
            with pytest.raises(InputError, match="takes no negative prompt"):
                RegionalPipeline(make()[0]).check(said)
        with pytest.raises(InputError, match="is ignored at guidance_scale 1"):
            RegionalPipeline(make_klein_base()[0]).check(said, guidance_scale=1.0)

    def test_a_prompt_that_would_be_rewritten(self, plan: ScenePlan) -> None:
        with pytest.raises(InputError, match=r"caption_upsample_temperature: 0\.2: the plan's prompt"):
            RegionalPipeline(make_flux2()[0]).check(plan, caption_upsample_temperature=0.2)
