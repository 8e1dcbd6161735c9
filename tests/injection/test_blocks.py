"""Regional prompting as blocks: people who compose their own pipelines get the picture of `RegionalPipeline`."""

import re
from typing import Any

import pytest
import torch
from diffusers import (
    FirstBlockCacheConfig,
    Flux2KleinBaseAutoBlocks,
    Flux3AutoBlocks,
    FluxAutoBlocks,
    SkipLayerGuidance,
)
from diffusers.modular_pipelines import InputParam, PipelineState
from diffusers.modular_pipelines.flux.denoise import FluxDenoiseStep
from diffusers.modular_pipelines.flux.encoders import FluxTextEncoderStep
from diffusers.modular_pipelines.flux.inputs import FluxTextInputStep

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.blocks import RegionalDenoiseStep, RegionalTextEncoderStep, regional_blocks
from strata.injection.checks import UnsupportedError
from strata.injection.methods import method_named
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.injection.flux3 import flux3_parts
from tests.injection.modular import modular_flux, modular_klein_base, of_blocks

CALL: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt", "max_sequence_length": 24}


@pytest.fixture(scope="module")
def pipe() -> Any:
    return modular_flux(regional_blocks(FluxAutoBlocks()))


def draw(pipe: Any, **options: Any) -> torch.Tensor:
    images: torch.Tensor = pipe(generator=torch.Generator().manual_seed(0), output="images", **CALL, **options)
    return images


@pytest.mark.parametrize("routing", ["coarse-to-fine", "isolate-first"])
def test_the_picture_is_that_of_a_regional_pipeline(pipe: Any, routing: str, plan: ScenePlan) -> None:
    before = dict(vars(pipe))
    expected = RegionalPipeline(modular_flux(), routing)(plan, seed=0, **CALL).images
    assert torch.equal(draw(pipe, plan=plan, routing=routing), expected)
    assert torch.equal(draw(pipe, plan=plan, routing=Routing.load(routing)), expected)
    assert vars(pipe) == before


def test_unconditional_calls_stay_plain(plan: ScenePlan) -> None:
    """Also in a loop that is put together by hand, of one of the alternatives of a pipeline."""
    said = plan.model_copy(update={"negative_prompt": "checkered"})
    expected = RegionalPipeline(modular_klein_base())(said, seed=0, num_images_per_prompt=2, **CALL).images
    pipe = modular_klein_base(regional_blocks(Flux2KleinBaseAutoBlocks()))
    assert torch.equal(draw(pipe, plan=said, num_images_per_prompt=2), expected)
    assert "prompt_2" not in pipe.blocks.input_names, "of one text encoder"
    pipe.guider.disable()
    with pytest.raises(InputError, match=r"negative_prompt: .* makes no unconditional calls"):
        draw(pipe, plan=said)
    pipe.update_components(guider=SkipLayerGuidance(skip_layer_guidance_layers=[1]))
    with pytest.raises(UnsupportedError, match="SkipLayerGuidance calls the transformer with the prompt a second"):
        draw(pipe, plan=plan)


class Short(FluxTextEncoderStep):  # type: ignore[misc]
    """A text step that reads less by default than the text encoder could."""

    @property
    def inputs(self) -> list[InputParam]:
        own = [param for param in super().inputs if param.name != "max_sequence_length"]
        return [*own, InputParam("max_sequence_length", default=7)]


def encoded(pipe: Any, plan: ScenePlan, step: Any = None, **given: Any) -> PipelineState:
    """What a text step leaves for those behind it, called by hand."""
    state = PipelineState()
    for name, value in {"plan": plan, **given}.items():
        state.set(name, value)
    RegionalTextEncoderStep(step or FluxTextEncoderStep())(pipe, state)
    return state


def test_how_long_texts_are(pipe: Any, plan: ScenePlan, caplog: pytest.LogCaptureFixture) -> None:
    """As the call asks, else as the step would by itself, and no longer than the text encoder reads."""
    for step, given, length in ((None, {}, 24), (Short(), {}, 7), (Short(), {"max_sequence_length": 5}, 5)):
        caplog.clear()
        assert encoded(pipe, plan, step, **given).get("prompt_embeds").shape[1] == length
        assert any(f"is cut to {length}; not heard" in message for message in caplog.messages) == (length < 24)


def test_texts_are_encoded_for_the_calls_steps(pipe: Any, plan: ScenePlan) -> None:
    routing = Routing.from_yaml("{name: a, about: a, rules: [{level: high}, {level: low, steps: 49-49}]}")
    texts = encoded(pipe, plan, routing=routing).get("regional_texts").texts
    assert set(texts) == {description.text for description in plan.descriptions()}, "fifty, where nobody says"
    for last, given in (("49", {"num_inference_steps": 4}), ("50", {})):
        late = Routing.from_yaml(f"{{name: a, about: a, rules: [{{level: high, steps: {last}-{last}}}]}}")
        with pytest.raises(InputError, match=last):
            encoded(pipe, plan, routing=late, **given)


def test_of_flux3_the_step_that_rewrites_prompts_is_left_out(plan: ScenePlan) -> None:
    pipe = of_blocks(regional_blocks(Flux3AutoBlocks()), flux3_parts())
    call = {"num_inference_steps": 2, "output_type": "pt"}
    generator = torch.Generator().manual_seed(0)
    images = pipe(plan=plan, routing="uniform", generator=generator, output="images", **call)
    stock = of_blocks(Flux3AutoBlocks(), flux3_parts())
    assert torch.equal(images, RegionalPipeline(stock, "uniform")(plan, seed=0, **call).images)
    said = plan.model_copy(update={"negative_prompt": "checkered"})
    with pytest.raises(InputError, match="negative_prompt: comes from the plan here; leave it out in one of them"):
        pipe(plan=said, negative_prompt="dotted", **call)


def test_blocks_that_cannot_become_regional_say_why(pipe: Any) -> None:
    with pytest.raises(InputError, match="FluxAutoBlocks: have regional attention already"):
        regional_blocks(pipe.blocks)
    with pytest.raises(InputError, match=r"must be blocks, such as .*: pipe\.blocks"):
        regional_blocks(pipe)
    with pytest.raises(InputError, match=r"is no denoising loop .*; one is in its sub_blocks: denoise"):
        RegionalDenoiseStep(FluxAutoBlocks().sub_blocks["denoise"])


def test_blocks_say_what_they_take(pipe: Any) -> None:
    text, denoise = RegionalTextEncoderStep(FluxTextEncoderStep()), RegionalDenoiseStep(FluxDenoiseStep())
    assert {"plan", "routing", "max_sequence_length"} <= set(text.input_names)
    assert "must not be given" in next(each for each in text.inputs if each.name == "prompt").description
    assert text.required_inputs == ["plan"]
    assert set(text.intermediate_output_names) >= {"prompt_embeds", "height", "width", "regional_texts"}
    assert [spec.name for spec in denoise.expected_components] == ["transformer", "scheduler"]
    assert denoise.intermediate_output_names == FluxDenoiseStep().intermediate_output_names
    assert "regional_texts" in denoise.required_inputs
    assert "regional attention" in denoise.doc
    assert "by `FluxTextEncoderStep`" in text.doc
    for step in (text, denoise):
        step.set_progress_bar_config(disable=True)
    with denoise.step.progress_bar(total=2) as bar:
        assert bar.disable
    names = pipe.blocks.input_names
    assert names.count("plan") == 1
    assert "regional_texts" not in names
    for workflow in ("text2image", "image2image"):
        given = {"plan": True, **({"image": True} if workflow == "image2image" else {})}
        chosen = pipe.blocks.get_execution_blocks(**given)
        kinds = {type(block) for block in chosen.sub_blocks.values()}
        assert {RegionalTextEncoderStep, RegionalDenoiseStep} <= kinds, "no choice of blocks goes past ours"


class TestRefusals:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"plan": "a cat"}, "plan: 'a cat': must be a ScenePlan"),
            ({"routing": "magic"}, "magic"),
        ],
    )
    def test_what_is_no_plan_or_routing(self, pipe: Any, given: dict[str, Any], message: str, plan: ScenePlan) -> None:
        with pytest.raises(InputError, match=message):
            draw(pipe, **{"plan": plan, **given})

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (
                {"prompt": "a cat"},
                "prompt: 'a cat': comes from the plan here, .*; use the plan's prompt",
            ),
            ({"prompt": ["a cat"]}, "prompt: .*a cat.*: comes from the plan here"),
            (
                {"width": 64},
                r"width: 64: .* here, whose width is \d+; use plan.resized\(width, height\)",
            ),
            ({"height": 640}, r"height: 640: comes from the plan here, whose height is"),
            ({"prompt_2": "a cat"}, "prompt_2: all text encoders read the plan's texts here; leave it out"),
        ],
    )
    def test_a_prompt_or_a_size_beside_the_plan(
        self, pipe: Any, given: dict[str, Any], message: str, plan: ScenePlan
    ) -> None:
        with pytest.raises(InputError, match=message):
            draw(pipe, plan=plan, **given)

    def test_a_state_goes_on_with_another_plan(self, pipe: Any, plan: ScenePlan) -> None:
        """Its prompt and size are of the plan before, and nobody gave them."""
        options = {**CALL, "num_inference_steps": 1, "output_type": "latent"}
        state = pipe(plan=plan, **options)
        other = plan.model_copy(update={"prompt": "a star"}).resized(plan.width // 2, plan.height)
        again, fresh = (
            pipe(**given, plan=other, generator=torch.Generator().manual_seed(0), output="latents", **options)
            for given in ({"state": state, "latents": None}, {})
        )
        assert torch.equal(again, fresh)
        with pytest.raises(InputError, match="width: 8: comes from the plan here"):
            pipe(state=state, plan=other, width=8, **options)

    def test_a_regional_pipeline_of_regional_blocks(self, pipe: Any) -> None:
        with pytest.raises(InputError, match=r"have regional attention already; call it with plan=…"):
            RegionalPipeline(pipe)
        with pytest.raises(InputError, match="RegionalTextEncoderStep: makes no 'prompt_embeds'"):
            RegionalTextEncoderStep(RegionalTextEncoderStep(FluxTextEncoderStep()))

    def test_a_transformer_in_a_mode_that_cannot_work(self, plan: ScenePlan) -> None:
        pipe = modular_flux(regional_blocks(FluxAutoBlocks()))
        pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(UnsupportedError, match="block cache is enabled"):
            draw(pipe, plan=plan)

    def test_a_text_step_without_the_model(self, plan: ScenePlan) -> None:
        blocks = regional_blocks(FluxAutoBlocks())
        alone = modular_flux(type(blocks).from_blocks_dict({"text_encoder": blocks.sub_blocks["text_encoder"]}))
        with pytest.raises(InputError, match="no transformer is loaded"):
            alone(plan=plan)

    def test_texts_of_another_plan(self, pipe: Any, plan: ScenePlan) -> None:
        state = encoded(pipe, plan)
        state.set("timesteps", torch.ones(2))
        state.set("plan", plan.model_copy(update={"prompt": "a star"}))
        with pytest.raises(InputError, match=r"encoded: is of prompt 'a red .*', what is drawn has 'a star, .*'"):
            RegionalDenoiseStep(FluxDenoiseStep())(pipe, state)
        state.set("regional_texts", {"a star": torch.zeros(1, 2, 3)})
        with pytest.raises(
            InputError, match=r"regional_texts: \{.*: must be an EncodedPlan, as RegionalTextEncoderStep"
        ):
            RegionalDenoiseStep(FluxDenoiseStep())(pipe, state)

    def test_steps_that_are_something_else(self) -> None:
        with pytest.raises(InputError, match="FluxDenoiseStep: makes no 'prompt_embeds' of 'prompt'"):
            RegionalTextEncoderStep(FluxDenoiseStep())
        with pytest.raises(InputError, match="FluxTextInputStep: makes no 'prompt_embeds' of 'prompt'"):
            RegionalTextEncoderStep(FluxTextInputStep())
        with pytest.raises(InputError, match="FluxTextEncoderStep: is no denoising loop"):
            RegionalDenoiseStep(FluxTextEncoderStep())
        with pytest.raises(InputError, match="magic"):
            RegionalDenoiseStep(FluxDenoiseStep(), method="magic")
        for method in ("native", "native+regional"):
            message = f"method '{re.escape(method)}': writes a prompt of its own; draw with RegionalPipeline"
            with pytest.raises(InputError, match=message):
                RegionalDenoiseStep(FluxDenoiseStep(), method=method)
        for method in ("regional", "plain"):
            assert RegionalDenoiseStep(FluxDenoiseStep(), method=method).method is method_named(method)

    def test_blocks_that_cannot_be_regional(self) -> None:
        blocks = FluxAutoBlocks()
        del blocks.sub_blocks["denoise"]
        with pytest.raises(InputError, match="has no denoising loop"):
            regional_blocks(blocks)
        with pytest.raises(InputError, match="FluxTextEncoderStep: none of its blocks makes"):
            regional_blocks(FluxTextEncoderStep())
