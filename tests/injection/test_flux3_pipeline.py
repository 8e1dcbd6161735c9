"""FLUX.3 through its pipelines of blocks: guidance, flow maps, references, saved folders, texts and their windows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from strata.analysis.recorder import probing
from strata.hierarchy import native_flux3
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.description import cost_of
from strata.injection.encoding import EncodedPlan
from strata.injection.families import facts_of, facts_of_folder, family_of
from strata.injection.pipeline import RegionalPipeline
from strata.injection.weights import load_folder
from strata.loading import locate
from tests.injection.drawings import seen_calls
from tests.injection.flux2 import reference
from tests.injection.flux3 import JOINT, OWN, PLAN, WINDOW, flux3_pipeline
from tests.shows import shows

STEPS: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt"}
TEXT = "a red circle and a blue square"
PICTURES = [reference(1, (32, 32)), reference(2, (48, 32))]


@pytest.fixture
def plan() -> ScenePlan:
    """Of few texts: a window of 80 tokens passes 32 layers of the language model."""
    return ScenePlan.from_yaml(PLAN)


def draw(pipe: Any, plan: ScenePlan, routing: str = "uniform", **options: Any) -> Tensor:
    images: Tensor = RegionalPipeline(pipe, routing)(plan, seed=0, **STEPS | options).images
    return images


def draw_plain(pipe: Any, plan: ScenePlan, **options: Any) -> Tensor:
    """As a user of the stock pipeline would, without its prompt upsampler."""
    blocks = pipe.blocks
    blocks.sub_blocks.pop("prompt_upsampler")
    stock = blocks.init_pipeline()
    stock.update_components(**{name: part for name, part in pipe.components.items() if part is not None})
    size = {"width": plan.width, "height": plan.height}
    generator = torch.Generator().manual_seed(0)
    images: Tensor = stock(prompt=plan.prompt, generator=generator, output="images", **size, **STEPS, **options)
    return images


def calls_of(pipe: Any, plan: ScenePlan, **options: Any) -> list[dict[str, Any]]:
    """The inputs of all transformer calls, as the stock transformer gets them."""
    with seen_calls(pipe) as seen:
        draw(pipe, plan, **options)
    return seen


def text_calls(pipe: Any) -> list[Any]:
    """Grows by one whenever the first text block attends."""
    calls: list[Any] = []
    pipe.transformer.txt_mode_blocks[0].attn.register_forward_pre_hook(lambda *_: calls.append(0))
    return calls


@pytest.mark.parametrize(
    ("flow_map", "options"),
    [
        (False, {}),
        pytest.param(True, {}, marks=pytest.mark.slow),
        pytest.param(False, {"image": PICTURES}, marks=shows("flux3", "reference pictures"), id="references"),
    ],
)
def test_plain_regional_and_plain_again(
    flow_map: bool, options: dict[str, Any], plan: ScenePlan, empty_plan: ScenePlan
) -> None:
    pipe = flux3_pipeline(flow_map)
    before = draw_plain(pipe, plan, **options)
    assert torch.equal(draw(pipe, empty_plan, **options), before)
    regional = draw(pipe, plan, num_images_per_prompt=2, **options)
    assert regional.shape == (2, 3, plan.height, plan.width)
    assert not torch.equal(regional[0], regional[1])
    assert regional.isfinite().all()
    assert not torch.equal(regional[:1], before)
    assert torch.equal(draw_plain(pipe, plan, **options), before)
    if options:
        assert not torch.equal(draw(pipe, plan), draw(pipe, plan, **options))


@shows("flux3", "negative prompt")
def test_unconditional_calls_are_the_plain_models(plan: ScenePlan) -> None:
    """Text blocks: one call for the drawing, and one each unconditional step."""
    pipe = flux3_pipeline()
    calls, attended = calls_of(pipe, plan), text_calls(pipe)
    lengths = [call["encoder_hidden_states"].shape[1] for call in calls]
    texts = len(plan.descriptions())
    assert lengths == [WINDOW * (texts + 1), WINDOW] * STEPS["num_inference_steps"]
    expected = draw(pipe, plan, negative_prompt="checkered")
    assert len(attended) == 1 + STEPS["num_inference_steps"]
    assert torch.equal(draw(pipe, plan.model_copy(update={"negative_prompt": "checkered"})), expected)
    assert not torch.equal(draw(pipe, plan), expected)
    attended.clear()
    draw(pipe, plan, guidance_scale=1.0)
    assert len(attended) == 1


def test_a_flow_map_is_told_where_each_step_jumps_to(plan: ScenePlan) -> None:
    pipe = flux3_pipeline(flow_map=True)
    calls, attended = calls_of(pipe, plan), text_calls(pipe)
    draw(pipe, plan)
    assert len(attended) == len(calls) == STEPS["num_inference_steps"]
    assert float(calls[0]["target_timestep"]) == float(calls[1]["timestep"])
    with pytest.raises(InputError, match="guidance_scale: Flux3DistilledModularPipeline takes no such option"):
        RegionalPipeline(pipe).check(plan, guidance_scale=2.0)


def test_every_stream_has_its_window_whole(plan: ScenePlan) -> None:
    """Its padding belongs to the recipe; its positions are counted from 0."""
    pipe = flux3_pipeline(flow_map=True)
    longer = plan.model_copy(update={"high": "two shapes " * 80})
    call = calls_of(pipe, longer)[0]
    lengths = [WINDOW * (3 if d.text.startswith("two shapes two") else 1) for d in longer.descriptions()] + [WINDOW]
    counted = [n for length in lengths for n in range(length)]
    assert call["txt_ids"].tolist() == [[0, 0, 0, n] for n in counted]
    step, at = pipe.blocks.sub_blocks["text_encoder"], 0
    for description, length in zip(longer.descriptions(), lengths, strict=False):
        own = step._get_qwen3_vl_prompt_embeds(pipe.text_encoder, pipe.tokenizer, description.text)
        assert torch.equal(call["encoder_hidden_states"][:, at : at + length], own)
        at += length


@pytest.mark.parametrize("flow_map", [False, True])
def test_a_saved_folder_is_known_before_loading_and_draws_the_same(
    flow_map: bool, plan: ScenePlan, tmp_path: Path
) -> None:
    pipe = flux3_pipeline(flow_map)
    pipe.save_pretrained(str(tmp_path), overwrite_modular_index=True)
    facts = facts_of_folder(tmp_path)
    assert facts == facts_of(pipe)
    assert (facts.block_counts, facts.token_size, facts.text_length, facts.text_window) == ((0, JOINT), 4, 8192, 80)
    assert (facts.guidance, facts.negative_scale) == ((None, None) if flow_map else (3.5, "guidance_scale"))
    assert locate(str(tmp_path)).default_steps == (16 if flow_map else 28)
    assert str(facts).startswith(f"flux3 ({JOINT} single blocks behind {OWN} mode blocks, which no routing counts")
    again = load_folder(tmp_path, torch.float32)
    assert torch.equal(draw(again, plan), draw(pipe, plan))


def test_an_encoded_plan_is_drawn_without_text_encoders(plan: ScenePlan, tmp_path: Path) -> None:
    pipe = flux3_pipeline()
    expected = draw(pipe, plan)
    RegionalPipeline(pipe, "uniform").encode(plan, **STEPS).save(tmp_path / "plan.safetensors")
    bare = flux3_pipeline(text_encoder=None, tokenizer=None)
    encoded = EncodedPlan.load(tmp_path / "plan.safetensors")
    assert torch.equal(draw(bare, plan, encoded=encoded), expected)


def test_which_tokens_are_the_words_of_a_text() -> None:
    pipe = flux3_pipeline()
    family = family_of(pipe.transformer)
    tokenizer = family.tokenizer(pipe)
    found = tokenizer(TEXT, return_offsets_mapping=True)
    words = [TEXT[start:stop].strip() for start, stop in found.offset_mapping]
    assert [word for word in words if word] == TEXT.split()
    assert tokenizer.decode(found.input_ids) == TEXT
    seen: list[Any] = []
    hook = pipe.text_encoder.register_forward_hook(
        lambda m, a, k, out: seen.extend((k["input_ids"][0].tolist(), out)), with_kwargs=True
    )
    with torch.no_grad():
        step = pipe.blocks.sub_blocks["text_encoder"]
        embeds = step._get_qwen3_vl_prompt_embeds(pipe.text_encoder, pipe.tokenizer, TEXT)
    hook.remove()
    padded = tokenizer(TEXT, padding="max_length", max_length=WINDOW, truncation=True)
    assert padded.input_ids == seen[0]
    assert torch.equal(family.text_embedding(pipe, seen[1]), embeds)


def test_probes_see_the_joint_blocks_and_change_nothing(plan: ScenePlan) -> None:
    pipe = flux3_pipeline()
    expected, regional = draw(pipe, plan), RegionalPipeline(pipe, "uniform")
    with probing(regional, words=("red",), concepts=("red", "circle", "square")) as recorder:
        assert torch.equal(regional(plan, seed=0, **STEPS).images, expected)
    probe = recorder.result()
    assert probe.facts.blocks == tuple(f"single {n}" for n in range(JOINT))
    assert {label.text for label in probe.facts.labels if label.kind == "padding"} >= {"base", "left/high"}


@shows("flux3", "LoRA")
def test_lora_of_all_blocks(plan: ScenePlan) -> None:
    """Loaded by the pipeline, in the format that diffusers saves."""
    pipe = flux3_pipeline(flow_map=True)
    plain = draw(pipe, plan)
    names = ("txt_mode_blocks.1", "single_transformer_blocks.2")
    state = {
        f"transformer.{name}.attn.to_q.lora_{part}.weight": torch.full(shape, 0.3)
        for name in names
        for part, shape in (("A", (2, 32)), ("B", (32, 2)))
    }
    pipe.load_lora_weights(state, adapter_name="style")
    adapted = draw(pipe, plan)
    assert not torch.equal(adapted, plain)
    pipe.disable_lora()
    assert torch.equal(draw(pipe, plan), plain)


def test_what_a_run_costs_counts_whole_windows(plan: ScenePlan) -> None:
    regional = RegionalPipeline(flux3_pipeline(), "uniform")
    program = regional.compile(plan, **STEPS)
    cost = cost_of(program, regional.method, lambda text: 5, program.facts.padded(5))
    assert cost is not None
    image = program.grid.rows * program.grid.cols
    assert cost.tokens == pytest.approx((WINDOW * (len(plan.descriptions()) + 1) + image) / (WINDOW + image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_encoder_out_layers": (1, 2)}, "text_encoder_out_layers: .* pipeline's own layers"),
        ({"control_image": PICTURES[0]}, "control_image: Flux3ModularPipeline takes no such option"),
        ({"mask_image": PICTURES[0]}, "mask_image: Flux3ModularPipeline takes no such option"),
        ({"strength": 0.5}, "strength: Flux3ModularPipeline takes no such option"),
    ],
)
def test_options_that_it_does_not_take(options: dict[str, Any], message: str, plan: ScenePlan) -> None:
    with pytest.raises(InputError, match=message):
        RegionalPipeline(flux3_pipeline()).check(plan, **options)


@pytest.mark.slow
@shows("flux3", "compiled blocks")
def test_the_number_of_graphs_does_not_grow_with_plans(tmp_path: Path) -> None:
    """Of compiled blocks, over plans and presets, with and without guidance and references; the picture is the same."""
    from tests.injection.test_calls import random_plan

    for flow_map in (False, True):
        torch._dynamo.reset()
        pipe, plain = flux3_pipeline(flow_map), flux3_pipeline(flow_map)
        pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
        counters = torch._dynamo.utils.counters
        counters.clear()
        graphs = []
        for n in range(16):
            plan = random_plan(n, tmp_path)
            routing = ("isolate-first", "uniform", "coarse-to-fine", "alternate")[n % 4]
            found = draw(pipe, plan, routing)
            if n % 4 == 3:
                assert (found - draw(plain, plan, routing)).abs().max() < 1e-3
            graphs.append(counters["stats"]["unique_graphs"])
        assert graphs[-1] == graphs[5], f"graphs after each plan: {graphs}"
        assert graphs[-1] <= 14
    torch._dynamo.reset()


@shows("flux3", "native captions")
def test_the_model_knows_its_own_captions(plan: ScenePlan) -> None:
    """Without being told its form, as the family has it."""
    pipe = flux3_pipeline()
    captioned = plan.model_copy(update={"prompt": native_flux3.FORM.caption(plan).text})
    native = RegionalPipeline(pipe, method="native")(plan, seed=0, **STEPS).images
    assert torch.equal(native, draw_plain(pipe, captioned))
    both = RegionalPipeline(pipe, "uniform", "native+regional")(plan, seed=0, **STEPS).images
    assert torch.equal(both, draw(pipe, captioned))
    assert not torch.equal(both, draw(pipe, plan))
