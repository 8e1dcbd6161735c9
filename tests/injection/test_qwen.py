"""What is particular to the families around Qwen's language models: templates, counted positions, true guidance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SD3Transformer2DModel

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.encoding import EncodedPlan
from strata.injection.errors import UnsupportedError
from strata.injection.families import facts_of, facts_of_folder, family_of
from strata.injection.families.longcat import LENGTH
from strata.injection.families.qwen_parts import PREFIX, SUFFIX
from strata.injection.pipeline import RegionalPipeline
from strata.injection.weights import load_folder
from tests.injection.conftest import PLAN, taken
from tests.injection.qwen import make_krea2, make_krea2_distilled, make_longcat, make_qwen
from tests.shows import shown, shows

STEPS: dict[str, Any] = {"num_inference_steps": 3, "output_type": "pt", "max_sequence_length": 24}
TEXT = "a red circle and a blue square"
MAKERS: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "longcat": make_longcat,
    "qwen": make_qwen,
    "krea2": make_krea2,
}
SCALES = {"longcat": {"guidance_scale": 2.0}, "qwen": {"true_cfg_scale": 2.0}, "krea2": {"guidance_scale": 1.0}}
NONE = {"longcat": {"guidance_scale": 1.0}, "qwen": {}, "krea2": {"guidance_scale": 0.0}}


def draw(pipe: Any, plan: ScenePlan, **options: Any) -> torch.Tensor:
    images: torch.Tensor = RegionalPipeline(pipe, "uniform")(plan, seed=0, **taken(pipe, STEPS | options)).images
    return images


def draw_plain(pipe: Any, plan: ScenePlan, **options: Any) -> torch.Tensor:
    call = {"prompt": plan.prompt, "width": plan.width, "height": plan.height, **STEPS, **options}
    call |= family_of(pipe.transformer).call_options
    images: torch.Tensor = pipe(generator=torch.Generator().manual_seed(0), **taken(pipe, call)).images
    return images


def lengths_of(pipe: Any, plan: ScenePlan, **options: Any) -> list[int]:
    """Text tokens of all transformer calls."""
    seen: list[int] = []
    hook = pipe.transformer.register_forward_pre_hook(
        lambda m, a, k: seen.append(k["encoder_hidden_states"].shape[1]), with_kwargs=True
    )
    draw(pipe, plan, **options)
    hook.remove()
    return seen


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_folder_is_known_before_loading_and_draws_the_same(name: str, tmp_path: Path, plan: ScenePlan) -> None:
    pipe, _ = MAKERS[name]()
    expected = draw(pipe, plan, num_inference_steps=1)
    pipe.save_pretrained(tmp_path)
    facts = facts_of_folder(tmp_path)
    assert facts == facts_of(pipe)
    assert facts.family == name
    assert facts.token_size == 4
    assert facts.text_length == LENGTH
    vae, pipe.vae = pipe.vae, None
    assert facts_of(pipe) == facts
    pipe.vae = vae
    again = load_folder(tmp_path, torch.float32)
    again.set_progress_bar_config(disable=True)
    if name == "longcat":
        again.tokenizer_max_length = pipe.tokenizer_max_length
    # Weights that lie in memory otherwise are multiplied otherwise.
    torch.testing.assert_close(draw(again, plan, num_inference_steps=1), expected, atol=1e-5, rtol=0)


def test_guidance_of_krea_2() -> None:
    base, distilled = (facts_of(make()[0]) for make in (make_krea2, make_krea2_distilled))
    assert (base.guidance, distilled.guidance) == (4.5, 0.0)
    assert (base.negative_scale, base.unguided) == ("guidance_scale", 0.0)


@pytest.mark.parametrize("name", MAKERS)
def test_which_tokens_are_the_words_of_a_text(name: str) -> None:
    pipe, _ = MAKERS[name]()
    family = family_of(pipe.transformer)
    tokenizer = family.tokenizer(pipe)
    seen: list[Any] = []
    found = tokenizer(TEXT, return_offsets_mapping=True)
    words = [TEXT[start:stop].strip() for start, stop in found.offset_mapping]
    assert [word for word in words if word] == TEXT.split()
    assert tokenizer.decode(found.input_ids) == TEXT
    hook = pipe.text_encoder.register_forward_hook(
        lambda m, a, k, out: seen.extend((k["input_ids"][0].tolist(), out)), with_kwargs=True
    )
    embeds = family.encode_prompt(pipe, TEXT, None, 24, None)["prompt_embeds"]
    hook.remove()
    kept = family.text_tokens(pipe, seen[0])
    assert torch.equal(family.text_embedding(pipe, seen[1]), embeds)
    assert len(kept) == embeds.shape[1]
    padded = tokenizer(TEXT, padding="max_length", max_length=len(kept), truncation=True)
    assert padded.input_ids == kept
    assert len(padded.attention_mask) == len(kept)
    for text in (TEXT, TEXT * 9):
        encoded = family.encode_prompt(pipe, text, None, 24, None)
        most = {"max_length": encoded["prompt_embeds"].shape[1], "truncation": True}
        every = tokenizer(text, padding="max_length", **most).input_ids
        assert [every[n] for n in family.heard(pipe, text, encoded, 24)] == tokenizer(text, **most).input_ids
    if name != "qwen":
        cut = tokenizer(TEXT * 9, padding="max_length", max_length=24, truncation=True)
        assert len(cut.input_ids) == 24
        assert cut.input_ids[-1:] == (kept[-1:] if name == "krea2" else cut.input_ids[-1:])


def test_templates_are_the_pipelines() -> None:
    qwen, krea = make_qwen()[0], make_krea2()[0]
    assert qwen.prompt_template_encode == PREFIX + "{}" + SUFFIX
    assert (krea.prompt_template_encode_prefix, krea.prompt_template_encode_suffix) == (PREFIX, SUFFIX)
    assert len(qwen.tokenizer(PREFIX).input_ids) == qwen.prompt_template_encode_start_idx


def test_quoted_letters_are_tokens_of_their_own() -> None:
    pipe, _ = make_longcat()
    text = "a red 'ab c' circle"
    found = family_of(pipe.transformer).tokenizer(pipe)(text, return_offsets_mapping=True)
    assert [text[start:stop] for start, stop in found.offset_mapping] == [
        *("a", " red", " "),
        *"'ab c'",
        " circle",
    ]
    embeds = pipe.encode_prompt(text)[0]
    assert not torch.equal(embeds, pipe.encode_prompt(text.replace("'", ""))[0])


class TestGuidanceByASecondCall:
    @pytest.mark.parametrize("name", shown(MAKERS, "negative prompt"))
    def test_unconditional_calls_are_the_plain_models(self, name: str, plan: ScenePlan) -> None:
        pipe, _ = MAKERS[name]()
        said = plan.model_copy(update={"negative_prompt": "checkered"})
        lengths = lengths_of(pipe, said, **SCALES[name])
        alone = len(family_of(pipe.transformer).tokenizer(pipe)("checkered").input_ids)
        assert lengths[1::2] == [{"longcat": 40, "qwen": alone, "krea2": 24}[name]] * 3
        assert all(length > 24 for length in lengths[::2])
        assert len(lengths) == 6
        empty = said.model_copy(update={"regions": (), "high": None, "low": None, "background": None})
        expected = draw_plain(pipe, empty, negative_prompt="checkered", **SCALES[name])
        assert torch.equal(draw(pipe, empty, **SCALES[name]), expected)
        assert not torch.equal(
            draw(pipe, empty.model_copy(update={"negative_prompt": "star"}), **SCALES[name]), expected
        )

    @pytest.mark.parametrize("name", MAKERS)
    def test_none_is_asked_for(self, name: str, plan: ScenePlan) -> None:
        pipe, _ = MAKERS[name]()
        assert len(lengths_of(pipe, plan, **NONE[name])) == 3
        said = plan.model_copy(update={"negative_prompt": "checkered"})
        scale = "true_cfg_scale" if name == "qwen" else "guidance_scale"
        off = {"longcat": 1.0, "qwen": 1.0, "krea2": 0.0}[name]
        with pytest.raises(InputError, match=f"is ignored at {scale} {off:g}; set it above {off:g}"):
            draw(pipe, said, **{scale: off})


@pytest.mark.parametrize("name", MAKERS)
def test_an_encoded_plan_draws_the_same_picture(name: str, plan: ScenePlan, tmp_path: Path) -> None:
    pipe, _ = MAKERS[name]()
    expected = draw(pipe, plan)
    RegionalPipeline(pipe, "uniform").encode(plan, **taken(pipe, STEPS)).save(tmp_path / "plan.safetensors")
    encoded = EncodedPlan.load(tmp_path / "plan.safetensors")
    pipe.text_encoder = pipe.tokenizer = None
    again = RegionalPipeline(pipe, "uniform")(plan, seed=0, encoded=encoded, **taken(pipe, STEPS)).images
    assert torch.equal(again, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", shown(MAKERS, "LoRA"))
def test_lora(name: str, plan: ScenePlan) -> None:
    from peft import LoraConfig

    pipe, _ = MAKERS[name]()
    plain = draw(pipe, plan)
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False))
    assert not torch.equal(draw(pipe, plan), plain)
    pipe.transformer.disable_adapters()
    assert torch.equal(draw(pipe, plan), plain)


@shows("krea2", "several plans a call")
def test_several_plans_a_call(plan: ScenePlan) -> None:
    """Texts of Krea 2 have no positions; those of the others have."""
    pipe, _ = make_krea2()
    plans = [plan, ScenePlan.from_yaml(PLAN.replace("a red circle and a blue square", "a star")), plan.model_copy()]
    plans[2] = plans[2].model_copy(update={"regions": plan.regions[:1], "background": None})
    options = STEPS | {"output_type": "latent"}
    regional = RegionalPipeline(pipe, "coarse-to-fine")
    found = regional(plans, seed=[1, 2, 3], **options).images
    for n, (each, image) in enumerate(zip(plans, found, strict=True)):
        alone = regional(each, seed=n + 1, **options).images[0]
        torch.testing.assert_close(image, alone, atol=1e-4, rtol=0)
    for make in (make_longcat, make_qwen):
        with pytest.raises(UnsupportedError, match="text tokens have positions of their own"):
            RegionalPipeline(make()[0])([plan, plan], seed=[1, 2])


class TestRefusals:
    def test_a_prompt_that_would_be_rewritten(self, plan: ScenePlan) -> None:
        with pytest.raises(InputError, match="enable_prompt_rewrite: True: the plan's prompt is drawn as it is"):
            RegionalPipeline(make_longcat()[0]).check(plan, enable_prompt_rewrite=True)

    def test_pipelines_that_encode_texts_with_a_picture(self) -> None:
        class QwenImageEditPipeline:
            transformer = make_qwen()[0].transformer

        with pytest.raises(
            InputError, match="pipe: QwenImageEditPipeline: it encodes a text together with the picture"
        ):
            RegionalPipeline(QwenImageEditPipeline())

    def test_models_that_regions_cannot_be_drawn_with(self) -> None:
        class StableDiffusion3Pipeline:
            transformer = SD3Transformer2DModel(num_layers=1, num_attention_heads=1, attention_head_dim=8)

        with pytest.raises(
            InputError, match="pipe: StableDiffusion3Pipeline: Stable Diffusion 3 cannot be drawn in reg"
        ):
            RegionalPipeline(StableDiffusion3Pipeline())
        with pytest.raises(InputError, match="transformer: SD3Transformer2DModel: Stable Diffusion 3 cannot be drawn"):
            family_of(StableDiffusion3Pipeline.transformer)
