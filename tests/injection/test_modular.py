"""Modular pipelines draw what classic ones draw, and what is particular to them."""

import logging
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ClassifierFreeGuidance, Flux2KleinAutoBlocks, FluxAutoBlocks, SkipLayerGuidance
from diffusers.modular_pipelines import InputParam, ModularPipelineBlocks, OutputParam, SequentialPipelineBlocks
from diffusers.modular_pipelines.flux.denoise import FluxDenoiseStep
from diffusers.modular_pipelines.flux.encoders import FluxTextEncoderStep

from strata.analysis.recorder import probing
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import PromptCalls
from strata.injection.calling import call_of
from strata.injection.checks import UnsupportedError
from strata.injection.encoding import EncodedPlan
from strata.injection.families import facts_of, facts_of_folder, family_of
from strata.injection.observer import Observer
from strata.injection.pipeline import RegionalPipeline
from strata.injection.weights import load_folder
from tests.injection.conftest import picture, tiny_parts
from tests.injection.drawings import seen_calls
from tests.injection.flux2 import LENGTH, flux2_parts, make_flux2, make_klein
from tests.injection.modular import PAIRS, modular_dev, modular_flux, modular_klein, modular_klein_base, of_blocks
from tests.injection.test_weights import poison
from tests.rarely import rarely

STEPS: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt"}
EVERYDAY = ("flux2 klein base with guidance",)
SHORT: dict[str, Any] = {"max_sequence_length": 24}


@pytest.fixture(scope="module")
def flux() -> Any:
    return modular_flux()


@pytest.fixture(scope="module")
def shared() -> Any:
    return modular_klein_base()


@pytest.fixture
def base(shared: Any) -> Any:
    """Klein base with guidance."""
    shared.update_components(guider=ClassifierFreeGuidance(guidance_scale=3.0))
    return shared


@cache
def regional_of(pipe: Any) -> RegionalPipeline:
    """One for a pipeline, so that texts are encoded once."""
    return RegionalPipeline(pipe, "uniform")


def draw(pipe: Any, plan: ScenePlan, **options: Any) -> torch.Tensor:
    images: torch.Tensor = regional_of(pipe)(plan, seed=0, **STEPS | options).images
    return images


def calls_of(pipe: Any, plan: ScenePlan, **options: Any) -> list[dict[str, Any]]:
    """The inputs of all transformer calls, as the stock transformer gets them."""
    with seen_calls(pipe) as seen:
        draw(pipe, plan, **options)
    return seen


def lengths(calls: list[dict[str, Any]]) -> list[int]:
    return [call["encoder_hidden_states"].shape[1] for call in calls]


@pytest.mark.parametrize("name", [*EVERYDAY, *rarely(*(name for name in PAIRS if name not in EVERYDAY))])
def test_the_picture_is_the_classic_pipelines(name: str, plan: ScenePlan, empty_plan: ScenePlan) -> None:
    """Bit for bit, plain and regional, one and two of a prompt; afterwards the pipeline is as it was.

    Two things differ in diffusers itself: dev's system message (a space where the classic one has a new line), so that
    the texts are the modular one's here; FLUX.1's timestep, one for all pictures, which rounds otherwise for two.
    """
    modular, classic, options, own = PAIRS[name]()
    before = dict(vars(modular))
    for said, images in ((empty_plan, 1), (plan, 1), (plan, 2)):
        regional = RegionalPipeline(modular, "coarse-to-fine")
        call: dict[str, Any] = {"num_images_per_prompt": images, **STEPS, **options}
        encoded = regional.encode(said, **call) if "dev" in name else None
        expected = RegionalPipeline(classic, "coarse-to-fine")(said, seed=3, encoded=encoded, **call, **own).images
        drawn = regional(said, seed=3, encoded=encoded, **call).images
        assert len(drawn) == images
        if images == 2 and name.startswith("flux") and name[4:5] in ("", " "):
            assert (drawn - expected).abs().max() < 1e-5
        else:
            assert torch.equal(drawn, expected)
        if said is empty_plan:
            call |= {"height": plan.height, "width": plan.width, "generator": torch.Generator().manual_seed(3)}
            assert torch.equal(drawn, modular(prompt=plan.prompt, output="images", **call))
            plain = drawn
        elif images == 1:
            assert not torch.equal(drawn, plain)
    assert vars(modular) == before


def test_dev_is_known_by_its_class() -> None:
    """Guidance is distilled into it, and its chat begins with the system message of its text step."""
    modular, classic = modular_dev(), make_flux2()[0]
    assert facts_of(modular) == facts_of(classic)
    ids: list[Any] = []
    modular.text_encoder.register_forward_pre_hook(lambda m, a, k: ids.append(k["input_ids"]), with_kwargs=True)
    call_of(modular).encode("a red circle", None, LENGTH, None)
    tokenizer = family_of(modular.transformer).tokenizer(modular)
    padded = tokenizer("a red circle", padding="max_length", max_length=LENGTH, truncation=True)
    assert padded.input_ids == ids[0][0].tolist()


@pytest.mark.slow
def test_several_plans_in_one_batch(plan: ScenePlan, empty_plan: ScenePlan) -> None:
    """FLUX.1's modular pipeline rounds its timestep's embedding otherwise for two pictures."""
    regional = RegionalPipeline(modular_flux(), "uniform")
    together = regional([plan, empty_plan], seed=[1, 2], **STEPS).images
    for each, seed, image in zip((plan, empty_plan), (1, 2), together, strict=True):
        assert (image - regional(each, seed=seed, **STEPS).images[0]).abs().max() < 1e-4


def test_what_is_returned_is_what_is_asked_for(flux: Any, plan: ScenePlan) -> None:
    regional, options = regional_of(flux), STEPS
    state = regional(plan, seed=0, **options)
    assert torch.equal(regional(plan, seed=0, output="images", **options), state.images)
    several = regional(plan, seed=0, output=["images", "latents"], num_images_per_prompt=None, **options)
    assert torch.equal(several["images"], state.images)
    assert torch.equal(several["latents"], state.latents)


class TestCallbacks:
    def test_they_see_and_change_the_latents_of_every_step(self, flux: Any, plan: ScenePlan) -> None:
        pipe = flux
        seen: list[Any] = []

        def note(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            seen.append((step, pipe.num_timesteps, tensors["latents"].shape))
            return {}

        drawn = draw(pipe, plan, callback_on_step_end=note)
        assert seen == [(0, 2, (1, 96, 16)), (1, 2, (1, 96, 16))]
        assert not hasattr(pipe, "num_timesteps")
        assert torch.equal(draw(pipe, plan), drawn)
        cleared = draw(pipe, plan, callback_on_step_end=lambda p, i, t, k: {"latents": torch.zeros(1, 96, 16)})
        assert not torch.equal(cleared, drawn)

    def test_one_that_draws_with_the_pipeline_is_an_error(
        self, flux: Any, plan: ScenePlan, said: pytest.LogCaptureFixture
    ) -> None:
        pipe = flux
        drawn = draw(pipe, plan)

        def plain(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            logging.getLogger(type(pipe).__mro__[1].__module__).warning("something else")
            pipe(prompt="a ball", height=32, width=48, **STEPS)
            return {}

        def anew(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            pipe.scheduler.set_timesteps(2)
            return {}

        for callback in (plain, anew):
            with pytest.raises(UnsupportedError, match="by a call that is still running"):
                draw(pipe, plan, callback_on_step_end=callback)
        assert "Error in block" not in said.text, "the error is raised, and not logged as well"
        assert "something else" in said.text
        assert torch.equal(draw(pipe, plan), drawn)
        with pytest.raises(ValueError, match="prompt"):
            pipe(prompt=3)
        assert "Error in block" in said.text, "afterwards diffusers speaks as ever"


def test_a_hook_that_draws_with_the_pipeline_is_an_error(flux: Any, plan: ScenePlan) -> None:
    drawn = draw(flux, plan)
    hook = flux.vae.decoder.register_forward_pre_hook(lambda m, a: flux(height=32, width=48, **STEPS))
    with pytest.raises(UnsupportedError, match="by a call that is still running"):
        draw(flux, plan)
    hook.remove()
    assert torch.equal(draw(flux, plan), drawn)


def test_observers_are_told_every_step(flux: Any, base: Any, plan: ScenePlan) -> None:
    steps: list[int] = []

    class Notes(Observer):
        def end_step(self, step: int) -> None:
            steps.append(step)

    regional = RegionalPipeline(flux, "uniform")
    regional.observers.append(Notes())
    options = {"image": picture(), "strength": 0.75, "num_inference_steps": 4, "output_type": "pt"}
    regional(plan, seed=0, **options)
    assert steps == [0, 1, 2]
    steps.clear()
    regional = RegionalPipeline(base, "uniform")
    regional.observers.append(Notes())
    regional(plan, seed=0, num_inference_steps=2, output_type="latent", **SHORT)
    assert steps == [0, 1], "of the loop that runs, beside one that does not"


def test_probes(flux: Any, plan: ScenePlan) -> None:
    """Of a regional call; the stock pipeline is refused, with what to do."""
    regional = RegionalPipeline(flux, "uniform")
    with probing(regional, words=("circle",), steps=[1]) as recorder:
        drawn = regional(plan, seed=0, **STEPS).images
    assert torch.equal(drawn, draw(flux, plan))
    assert recorder.result().map("circle").max() > 0
    with pytest.raises(UnsupportedError, match=r"probe RegionalPipeline\(pipe, method='plain'\)"), probing(flux):
        pass


class TestGuiders:
    def test_unconditional_calls_are_the_plain_models(self, base: Any, plan: ScenePlan) -> None:
        for more in ({}, {"num_images_per_prompt": 2}):
            calls = calls_of(base, plan, **SHORT, **more)
            assert [length > 24 for length in lengths(calls)] == [True, False] * 2
            assert {len(call["encoder_hidden_states"]) for call in calls} == {more.get("num_images_per_prompt", 1)}

    def test_a_guider_that_starts_late_and_stops_early(self, base: Any, plan: ScenePlan) -> None:
        """The step is the loop's, whatever calls it makes; the guider counts no steps beyond the call."""
        pipe = base
        guider = ClassifierFreeGuidance(guidance_scale=3.0, start=0.4, stop=0.7)
        pipe.update_components(guider=guider)
        for _ in range(2):
            calls = calls_of(pipe, plan, num_inference_steps=3, **SHORT)
            assert [length > 24 for length in lengths(calls)] == [True, True, False, True]
        assert guider._step is None

    def test_the_plans_negative_prompt(self, base: Any, plan: ScenePlan) -> None:
        pipe = base
        said = plan.model_copy(update={"negative_prompt": "checkered"})
        calls = calls_of(pipe, said, **SHORT)
        alone, _ = make_klein()[0].encode_prompt(prompt="checkered", max_sequence_length=24)
        assert torch.equal(calls[1]["encoder_hidden_states"], alone)
        same = plan.model_copy(update={"negative_prompt": plan.prompt})
        assert [length > 24 for length in lengths(calls_of(pipe, same, **SHORT))] == [True, False] * 2
        guider = pipe.guider
        guider.disable()
        with pytest.raises(InputError, match=r"ignored by its guider \(ClassifierFreeGuidance\)"):
            draw(pipe, said, **SHORT)
        pipe.update_components(guider=None)
        for unguided in (pipe, modular_klein()):
            with pytest.raises(InputError, match="Flux2KleinModularPipeline takes no negative prompt"):
                RegionalPipeline(unguided).check(said, **SHORT)

    def test_one_that_guides_at_none_of_the_calls_steps(self, base: Any, plan: ScenePlan) -> None:
        base.update_components(guider=ClassifierFreeGuidance(guidance_scale=3.0, start=0.6, stop=0.9))
        said = plan.model_copy(update={"negative_prompt": "checkered"})
        regional = RegionalPipeline(base)
        regional.check(said, num_inference_steps=10)
        with pytest.raises(InputError, match="ignored by its guider"):
            regional.check(said, num_inference_steps=2)

    def test_its_scale_can_be_asked_for(self, base: Any, plan: ScenePlan) -> None:
        pipe = base
        drawn = draw(pipe, plan, **SHORT)
        assert torch.equal(draw(pipe, plan, guidance_scale=3.0, **SHORT), drawn)
        assert not torch.equal(draw(pipe, plan, guidance_scale=5.0, **SHORT), drawn)
        assert len(calls_of(pipe, plan, guidance_scale=1.0, **SHORT)) == 2
        assert pipe.guider.guidance_scale == 3.0

    def test_one_that_makes_two_conditional_calls_a_step(self, base: Any, plan: ScenePlan) -> None:
        """The step is the loop's, and no count of calls."""

        class Twice(ClassifierFreeGuidance):  # type: ignore[misc]
            def prepare_inputs(self, data: Any) -> list[Any]:
                return [self._prepare_batch(data, 0, name) for name in self._input_predictions]

        pipe = base
        once = draw(pipe, plan, guidance_scale=1.0, **SHORT)
        pipe.update_components(guider=Twice(guidance_scale=2.0))
        calls = calls_of(pipe, plan, **SHORT)
        assert [length > 24 for length in lengths(calls)] == [True] * 4
        assert (draw(pipe, plan, **SHORT) - once).abs().max() < 1e-5

    def test_a_text_is_encoded_without_the_negative_prompt(self, base: Any, plan: ScenePlan) -> None:
        pipe, texts = base, {description.text for description in plan.descriptions()}
        encoded: list[Any] = []
        hook = pipe.text_encoder.register_forward_pre_hook(lambda m, a: encoded.append(a))
        RegionalPipeline(pipe).encode(plan, **STEPS, **SHORT)
        hook.remove()
        assert len(encoded) == len(texts) + 2, "each text, the prompt, and the negative prompt once"

    def test_one_that_skips_blocks_with_the_prompt_is_refused(self, base: Any, plan: ScenePlan) -> None:
        pipe = base
        pipe.update_components(guider=SkipLayerGuidance(skip_layer_guidance_layers=[1]))
        with pytest.raises(UnsupportedError, match="SkipLayerGuidance calls the transformer with the prompt a second"):
            RegionalPipeline(pipe).check(plan, **STEPS)

    def test_unconditional_embeddings_are_known_repeated(self) -> None:
        prompt, negative = torch.zeros(4, 2, 3), torch.arange(12.0).view(2, 2, 3)
        conditional = PromptCalls(negative)
        assert conditional(prompt)
        assert not conditional(negative.repeat_interleave(2, dim=0))
        assert conditional(negative.repeat(2, 1, 1))
        assert conditional(negative[:1])


def test_encoders_adapters_have_the_calls_scale() -> None:
    from peft import LoraConfig

    pipe = modular_flux()
    torch.manual_seed(0)
    pipe.text_encoder_2.add_adapter(LoraConfig(r=2, target_modules=["q"], init_lora_weights=False))
    call = call_of(pipe)
    whole, same, half = (call.encode("a star", None, 24, scale)["prompt_embeds"] for scale in (None, 1.0, 0.5))
    assert torch.equal(whole, same)
    assert not torch.equal(whole, half)


def test_a_prompts_embeddings_are_options_and_nothing_else_that_is_made_of_it(flux: Any, plan: ScenePlan) -> None:
    class Counting(FluxTextEncoderStep):  # type: ignore[misc]
        @property
        def intermediate_outputs(self) -> list[OutputParam]:
            return [*super().intermediate_outputs, OutputParam("words")]

    embeds = {"prompt_embeds": torch.zeros(1, 24, 128), "pooled_prompt_embeds": torch.zeros(1, 64)}
    RegionalPipeline(flux).check(plan, **embeds)
    blocks = FluxAutoBlocks()
    blocks.sub_blocks["text_encoder"] = Counting()
    with pytest.raises(InputError, match="words: FluxModularPipeline takes no such option"):
        RegionalPipeline(modular_flux(blocks)).check(plan, words=3)


class _Rewriter(ModularPipelineBlocks):
    """Makes another prompt of every prompt, as FLUX.3's upsampler does."""

    model_name = "flux"

    @property
    def inputs(self) -> list[InputParam]:
        return [InputParam("prompt"), InputParam("words")]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        return [OutputParam("prompt")]

    def __call__(self, components: Any, state: Any) -> Any:
        raise AssertionError


def test_a_plans_prompt_is_drawn_as_it_is(flux: Any, plan: ScenePlan) -> None:
    blocks = FluxAutoBlocks()
    blocks.sub_blocks.insert("rewriter", _Rewriter(), 0)
    pipe = modular_flux(blocks)
    assert torch.equal(draw(pipe, plan), draw(flux, plan))
    with pytest.raises(InputError, match=r"words: .* takes no such option \(the plan's prompt is drawn as it is\)"):
        draw(pipe, plan, words=3)


def test_blocks_are_chosen_once_for_all_calls_that_choose_alike(
    flux: Any, plan: ScenePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    regional, chosen = RegionalPipeline(flux, "uniform"), []
    call: Any = regional.call
    choose = call._blocks.get_execution_blocks

    def counted(**given: Any) -> Any:
        chosen.append(sorted(given))
        return choose(**given)

    monkeypatch.setattr(call._blocks, "get_execution_blocks", counted)
    regional(plan, seed=0, **STEPS)
    regional(plan, seed=0, **STEPS | {"output_type": "latent"}, max_sequence_length=24)
    assert len(chosen) == 1
    regional.check(plan, image=picture(), **STEPS)
    assert chosen[1] == [*chosen[0], "image"]
    assert "strength" in call.defaults({"image": picture()})
    assert "strength" not in call.defaults({})
    assert len(chosen) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"prompt_2": "x"},
                r"prompt_2: FluxModularPipeline takes no such option \(its text step reads one prompt\)",
            ),
            ({"strength": 0.5}, "strength: .* beside those given: .* without their picture; valid: "),
            ({"width": 64}, "width: comes from the plan"),
            ({"magic": 1}, "magic: FluxModularPipeline takes no such option; valid: .*guidance_scale"),
            ({"num_inference_steps": 0}, "num_inference_steps: 0"),
            ({"latents": torch.zeros(1, 2, 3)}, "latents: shape"),
            ({"image": picture(), "strength": 0.0}, "strength: 0: leaves none of 2 steps"),
        ],
    )
    def test_options(self, flux: Any, options: dict[str, Any], message: str, plan: ScenePlan) -> None:
        with pytest.raises(InputError, match=message):
            RegionalPipeline(flux).check(plan, **{**STEPS, **options})

    def test_what_is_not_loaded(self, plan: ScenePlan) -> None:
        pipe = modular_flux()
        regional = RegionalPipeline(pipe, "uniform")
        encoded, drawn = regional.encode(plan, **STEPS), draw(pipe, plan)
        assert encoded.said["negative_prompt"] is None, "of a pipeline that reads none"
        pipe.text_encoder_2 = None
        assert torch.equal(regional(plan, seed=0, encoded=encoded, **STEPS).images, drawn)
        with pytest.raises(InputError, match="text encoders are not loaded"):
            regional(plan, **STEPS)
        pipe.vae = None
        with pytest.raises(InputError, match=r"its vae is not loaded; pipe.load_components\('vae'\)"):
            regional(plan, encoded=encoded, **STEPS)
        pipe.transformer = None
        with pytest.raises(InputError, match="no transformer that is known"):
            RegionalPipeline(pipe)

    def test_blocks_without_a_text_step_or_a_loop(self) -> None:
        for name, message in (("text_encoder", "none of its blocks makes"), ("denoise", "has no denoising loop")):
            pipe = modular_flux()
            del pipe._blocks.sub_blocks[name]
            with pytest.raises(InputError, match=message):
                RegionalPipeline(pipe)

    def test_blocks_with_two_text_steps(self) -> None:
        blocks = FluxAutoBlocks()
        blocks.sub_blocks.insert("again", FluxTextEncoderStep(), 1)
        with pytest.raises(InputError, match="several of its blocks make 'prompt_embeds' of 'prompt'"):
            RegionalPipeline(modular_flux(blocks))

    def test_a_text_step_that_makes_no_tensor(self, plan: ScenePlan) -> None:
        class Listing(FluxTextEncoderStep):  # type: ignore[misc]
            def __call__(self, components: Any, state: Any) -> Any:
                components, state = super().__call__(components, state)
                state.set("prompt_embeds", [*state.get("prompt_embeds")])
                return components, state

        blocks = FluxAutoBlocks()
        blocks.sub_blocks["text_encoder"] = Listing()
        with pytest.raises(UnsupportedError, match="Listing makes a list of a text, and not one tensor"):
            RegionalPipeline(modular_flux(blocks)).encode(plan)

    def test_blocks_that_take_no_size(self, plan: ScenePlan) -> None:
        parts = {"text": FluxTextEncoderStep(), "denoise": FluxDenoiseStep()}
        pipe = SequentialPipelineBlocks.from_blocks_dict(parts).init_pipeline()
        pipe.update_components(**{name: part for name, part in tiny_parts().items() if name != "vae"})
        with pytest.raises(InputError, match="takes no width and no height; plans have a size"):
            RegionalPipeline(pipe).check(plan)


def test_what_clip_cuts_off_is_told_once(plan: ScenePlan, caplog: pytest.LogCaptureFixture) -> None:
    long = plan.model_copy(update={"prompt": " and ".join(["a red circle"] * 30)})
    with caplog.at_level(logging.INFO):
        draw(modular_flux(), long)
    assert len([r for r in caplog.records if "CLIP" in r.getMessage()]) == 1


@pytest.mark.slow
def test_under_offload_hooks(plan: ScenePlan) -> None:
    """What a ComponentsManager sets up, with the CPU as the execution device."""
    from accelerate import cpu_offload_with_hook

    pipe = modular_klein()
    drawn, hook = draw(pipe, plan, max_sequence_length=24), None
    for part in (pipe.text_encoder, pipe.transformer, pipe.vae):
        _, hook = cpu_offload_with_hook(part, "cpu", prev_module_hook=hook)
    for _ in range(2):
        assert torch.equal(draw(pipe, plan, max_sequence_length=24), drawn)


@pytest.mark.slow
def test_encoded_plans_are_the_classic_pipelines_too(plan: ScenePlan, tmp_path: Path) -> None:
    classic, options = make_klein()
    RegionalPipeline(modular_klein(), "uniform").encode(plan, **STEPS, **options).save(tmp_path / "plan.safetensors")
    encoded = EncodedPlan.load(tmp_path / "plan.safetensors")
    assert torch.equal(draw(classic, plan, encoded=encoded, **options), draw(classic, plan, **options))


class TestFolders:
    def test_a_saved_folder_is_known_before_loading_and_draws_the_same(self, plan: ScenePlan, tmp_path: Path) -> None:
        pipe = of_blocks(Flux2KleinAutoBlocks(), flux2_parts())
        pipe.save_pretrained(str(tmp_path), overwrite_modular_index=True)
        assert not (tmp_path / "model_index.json").exists()
        facts = facts_of_folder(tmp_path)
        assert facts == facts_of(pipe)
        assert (facts.family, facts.guidance, facts.negative_scale) == ("flux2", None, None)
        assert load_folder(tmp_path, torch.bfloat16).transformer.dtype == torch.bfloat16
        again = load_folder(tmp_path, torch.float32)
        assert torch.equal(draw(again, plan, max_sequence_length=24), draw(pipe, plan, max_sequence_length=24))

    def test_what_is_missing_is_named(self, tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
        pipe = of_blocks(Flux2KleinAutoBlocks(), flux2_parts())
        pipe.save_pretrained(str(tmp_path), overwrite_modular_index=True)
        (tmp_path / "scheduler").rename(tmp_path / "elsewhere")
        with pytest.raises(InputError, match="its scheduler is not there or cannot be read"):
            load_folder(tmp_path)
        assert "scheduler" not in said.text, "it is ours to say"
        (tmp_path / "modular_config.json").write_text("{}")
        with pytest.raises(InputError, match="brings blocks of its own"):
            load_folder(tmp_path)
        poison("transformer", math.nan)(tmp_path)
        with pytest.raises(InputError, match="transformer: weights with NaN"):
            load_folder(tmp_path)
