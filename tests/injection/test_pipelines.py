"""Every FLUX pipeline, plain and regional: what attaches detaches, what is refused is said."""

import itertools
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from diffusers.hooks import FirstBlockCacheConfig

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection import encoding
from strata.injection.attach import Attachment, attached
from strata.injection.calling import call_of
from strata.injection.checks import UnsupportedError
from strata.injection.families import family_of
from strata.injection.intercept import is_intercepted
from strata.injection.methods.plain import PlainRun
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Blend, Routing, presets
from tests.injection.conftest import (
    PIPELINES,
    make_chroma,
    make_controlnet,
    make_text_to_image,
    quiet,
    shown_pipelines,
    taken,
    tiny_parts,
)
from tests.shows import shown, shows

STEPS = {"num_inference_steps": 4, "output_type": "pt", "max_sequence_length": 24}
ROUTING = Routing.from_yaml("""
name: test
about: both levels, isolated for a while, with ramps
blend: {mode: shared, base_ratio: {from: 0.2, to: 0.5}}
rules:
  - {level: low, depth: 0%-60%, steps: 0%-75%, strength: {from: 1.0, to: 0.6}}
  - {level: high, depth: 40%-100%, steps: 0%-75%, isolate: true}
""")


GUIDED: dict[str, tuple[Any, str]] = {
    "flux": (make_text_to_image, "true_cfg_scale"),
    "chroma": (make_chroma, "guidance_scale"),
}


def draw(pipe: Any, plan: ScenePlan, seed: int = 0, routing: Routing | str = ROUTING, **options: Any) -> torch.Tensor:
    options = taken(pipe, STEPS | options)
    images: torch.Tensor = RegionalPipeline(pipe, routing)(plan, seed=seed, **options).images
    return images


def draw_plain(pipe: Any, plan: ScenePlan, seed: int = 0, **options: Any) -> torch.Tensor:
    sizes = {"width": plan.width, "height": plan.height}
    generator = torch.Generator().manual_seed(seed)
    options = taken(pipe, STEPS | options) | dict(family_of(pipe.transformer).call_options)
    images: torch.Tensor = pipe(prompt=plan.prompt, **sizes, generator=generator, **options).images
    return images


EVERY = pytest.mark.parametrize("name", shown_pipelines())
SOME = pytest.mark.parametrize("name", shown_pipelines(few=True))


class TestEveryPipeline:
    @SOME
    def test_regions_change_the_image_and_leave_no_trace(self, name: str, plan: ScenePlan) -> None:
        pipe, options = PIPELINES[name]()
        before = draw_plain(pipe, plan, **options)
        regional = draw(pipe, plan, **options)
        assert regional.shape == before.shape
        assert regional.isfinite().all()
        assert not torch.equal(regional, before)
        assert torch.equal(draw_plain(pipe, plan, **options), before)
        assert pipe.encode_prompt.__func__ is type(pipe).encode_prompt

    @SOME
    def test_an_empty_plan_is_the_plain_pipeline(self, name: str, empty_plan: ScenePlan) -> None:
        pipe, options = PIPELINES[name]()
        assert torch.equal(draw(pipe, empty_plan, **options), draw_plain(pipe, empty_plan, **options))

    @EVERY
    @pytest.mark.slow
    def test_two_calls_are_two_fresh_pipelines(self, name: str, plan: ScenePlan) -> None:
        other = plan.model_copy(update={"regions": plan.regions[:1]})
        pipe, options = PIPELINES[name]()
        regional = RegionalPipeline(pipe, ROUTING)
        options |= {"num_inference_steps": 2}
        used = [regional(p, seed=3, **taken(pipe, STEPS | options)).images for p in (plan, other, plan)]
        fresh = [draw(PIPELINES[name]()[0], p, seed=3, **options) for p in (plan, other)]
        assert torch.equal(used[0], fresh[0])
        assert torch.equal(used[1], fresh[1])
        assert torch.equal(used[2], fresh[0])

    @SOME
    def test_several_images_a_prompt(self, name: str, plan: ScenePlan) -> None:
        pipe, options = PIPELINES[name]()
        images = draw(pipe, plan, num_images_per_prompt=2, **options)
        assert len(images) == 2
        assert not torch.equal(images[0], images[1])

    @EVERY
    @pytest.mark.slow
    def test_bfloat16(self, name: str, plan: ScenePlan) -> None:
        pipe, options = PIPELINES[name]()
        exact = draw(pipe, plan, **options)
        rough = draw(pipe.to(torch.bfloat16), plan, **options)
        assert rough.isfinite().all()
        assert (rough.float() - exact).abs().mean() < 0.05


def with_texts(plan: ScenePlan, **texts: str) -> ScenePlan:
    """The plan with other texts in its first region."""
    return plan.model_copy(update={"regions": (plan.regions[0].model_copy(update=texts), *plan.regions[1:])})


@SOME
def test_split_blending_on_every_pipeline(name: str, plan: ScenePlan) -> None:
    pipe, options = PIPELINES[name]()
    options |= {"num_inference_steps": 5}
    images = draw(pipe, plan, routing="regional-prompting-flux", **options)
    assert not torch.equal(images, draw_plain(pipe, plan, **options))
    other = draw(pipe, with_texts(plan, high="a star"), routing="regional-prompting-flux", **options)
    assert not torch.equal(images, other)
    assert torch.equal(images, draw(pipe, plan, routing="regional-prompting-flux", **options))


@pytest.mark.parametrize("singles", [1, 2, 3])
def test_the_copy_of_the_image_receives_what_a_controlnet_adds(singles: int, plan: ScenePlan) -> None:
    """Where the image takes all from the base prompt's copy of it, the picture is the plain pipeline's."""
    routing = Routing.from_yaml("{name: a, about: a, blend: {mode: split, base_ratio: 1}, rules: [{level: high}]}")
    pipe, options = make_controlnet(singles)
    options |= {"num_inference_steps": 2}
    assert (draw(pipe, plan, routing=routing, **options) - draw_plain(pipe, plan, **options)).abs().max() < 1e-4


@pytest.mark.slow
def test_every_preset_draws_a_picture_of_its_own_from_both_levels(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    drawn = {"plain": draw_plain(pipe, plan, num_inference_steps=5)}
    for name in presets():
        found = drawn[name] = draw(pipe, plan, routing=name, num_inference_steps=5)
        for texts in ({"high": "a star"}, {"low": "green, dotted"}):
            other = draw(pipe, with_texts(plan, **texts), routing=name, num_inference_steps=5)
            assert (other - found).abs().max() > 1e-4, f"{name} does not hear {texts}"
    for one, other in itertools.combinations(drawn, 2):
        assert not torch.equal(drawn[one], drawn[other]), f"{one} and {other} draw the same"


def test_a_routing_is_balanced_for_the_plan_at_hand(plan: ScenePlan) -> None:
    data = ROUTING.model_dump(mode="json", exclude_defaults=True)
    entries = [{"regions": len(plan.regions) + 1, "base_ratio": 1}, {"area": "0%-100%", "base_ratio": 0.6}]
    routing = Routing.model_validate({**data, "balance": [*entries, {"steps": "0%-50%"}]})
    pipe = make_text_to_image()[0]
    expected = draw(pipe, plan, routing=ROUTING.model_copy(update={"blend": Blend(base_ratio=0.6)}))
    assert torch.equal(draw(pipe, plan, routing=routing), expected)
    assert not torch.equal(draw(pipe, plan), expected)
    regional = RegionalPipeline(pipe, routing)
    assert regional.schedule(4, plan).base_ratio[0] == pytest.approx(0.6)
    assert regional.schedule(4).base_ratio[0] == pytest.approx(0.2)


@pytest.mark.parametrize("family", shown(GUIDED, "negative prompt"))
def test_true_guidance_with_a_negative_prompt(family: str, plan: ScenePlan) -> None:
    """The unconditional pass is plain FLUX on the negative prompt, whether it comes from the plan or the call."""
    make, scale = GUIDED[family]
    pipe, _ = make()
    said = plan.model_copy(update={"negative_prompt": "checkered"})
    first = draw(pipe, said, **{scale: 2.0})
    assert torch.equal(first, draw(pipe, plan, **{scale: 2.0}, negative_prompt="checkered"))
    assert not torch.equal(first, draw(pipe, plan))
    seen = []
    hook = pipe.transformer.register_forward_hook(
        lambda m, a, k, o: seen.append(k["encoder_hidden_states"].shape[1]), with_kwargs=True
    )
    draw(pipe, said, **{scale: 2.0})
    hook.remove()
    assert seen[1::2] == [24] * 4, "the negative prompt rides alone"
    assert seen[0] > 24


def test_the_controlnet_sees_the_base_prompt_only(plan: ScenePlan) -> None:
    pipe, options = PIPELINES["FluxControlNetPipeline"]()
    seen = []
    pipe.controlnet.register_forward_hook(
        lambda m, a, k, o: seen.append(k["encoder_hidden_states"].shape[1]), with_kwargs=True
    )
    draw(pipe, plan, **options)
    assert seen == [24] * 4


@shows("flux", "LoRA")
def test_lora(plan: ScenePlan) -> None:
    from peft import LoraConfig

    pipe, _ = make_text_to_image()
    plain = draw(pipe, plan)
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False))
    adapted = draw(pipe, plan)
    assert not torch.equal(adapted, plain)
    assert torch.equal(adapted, draw(pipe, plan, joint_attention_kwargs={"scale": 1.0}))
    assert not torch.equal(adapted, draw(pipe, plan, joint_attention_kwargs={"scale": 0.5}))
    pipe.transformer.disable_adapters()
    assert torch.equal(draw(pipe, plan), plain)


def test_fused_projections(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    plain = draw(pipe, plan)
    pipe.transformer.fuse_qkv_projections()
    assert (draw(pipe, plan) - plain).abs().max() < 1e-4


def test_under_offload_hooks(plan: ScenePlan) -> None:
    """What enable_model_cpu_offload sets up, with the CPU as the execution device."""
    from accelerate import cpu_offload_with_hook

    pipe, _ = make_text_to_image()
    plain, regional = draw_plain(pipe, plan), draw(pipe, plan)
    hook = None
    for part in (pipe.text_encoder, pipe.text_encoder_2, pipe.transformer, pipe.vae):
        _, hook = cpu_offload_with_hook(part, "cpu", prev_module_hook=hook)
    assert torch.equal(draw(pipe, plan), regional)
    assert torch.equal(draw_plain(pipe, plan), plain)
    assert torch.equal(draw(pipe, plan), regional)


def test_under_group_offloading(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    regional = draw(pipe, plan)
    pipe.transformer.enable_group_offload(torch.device("cpu"), torch.device("cpu"), offload_type="leaf_level")
    assert torch.equal(draw(pipe, plan), regional)


def test_in_atom_order_or_not_callbacks_see_the_pipelines_latents(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    seen = []

    def note(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((step, tensors["latents"].shape))
        return {}

    draw(pipe, plan, callback_on_step_end=note)
    assert seen == [(i, (1, 96, 16)) for i in range(4)]


class Boom(BaseException):
    """Stands for KeyboardInterrupt, which pytest would take for its own."""


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, Boom])
def test_an_exception_in_the_middle_leaves_the_pipeline_plain(error: type[BaseException], plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    before = draw_plain(pipe, plan)
    state = pipe.transformer.state_dict().keys()

    def fail(*_: Any) -> dict[str, Any]:
        raise error("in the middle")

    with pytest.raises(error):
        draw(pipe, plan, callback_on_step_end=fail)
    assert torch.equal(draw_plain(pipe, plan), before)
    assert pipe.transformer.state_dict().keys() == state
    assert not any(is_intercepted(m) for m in pipe.transformer.modules())
    assert not pipe.transformer._forward_pre_hooks


def test_what_is_cut_off_a_long_text_is_told(plan: ScenePlan, caplog: pytest.LogCaptureFixture) -> None:
    long = plan.model_copy(update={"prompt": "red " * 30 + "star"})
    draw(make_text_to_image()[0], long)
    assert f"a text of 32 tokens is cut to 24; not heard: {'red ' * 7}star\n" in caplog.text


def test_background_texts_without_a_background(plan: ScenePlan) -> None:
    """A canvas that regions cover whole has nobody to hear them, unless the routing takes them into the regions."""
    pipe, _ = make_text_to_image()
    everywhere = plan.regions[0].model_copy(update={"box": (0, 0, 48, 32)})
    covered = plan.model_copy(update={"regions": (everywhere, plan.regions[1])})
    silent = covered.model_copy(update={"background": None})
    outside = Routing.load("uniform")
    inside = outside.model_copy(update={"background_in_regions": True})
    assert torch.equal(draw(pipe, covered, routing=outside), draw(pipe, silent, routing=outside))
    assert not torch.equal(draw(pipe, covered, routing=inside), draw(pipe, silent, routing=inside))
    assert torch.equal(draw(pipe, silent, routing=outside), draw(pipe, silent, routing=inside))


def test_gradients_flow(plan: ScenePlan) -> None:
    """With gradients recorded, the outputs are the same (nothing relies on a kernel that has none)."""
    pipe, _ = make_text_to_image()
    grads = []

    def watch(module: Any, args: Any, output: Any) -> None:
        grads.append(output[0].requires_grad)

    hook = pipe.transformer.register_forward_hook(watch)
    expected = draw(pipe, plan)
    hook.remove()
    assert grads == [False] * 4
    session_free = RegionalPipeline(pipe, ROUTING)
    call = type(pipe).__call__
    with torch.enable_grad():
        type(pipe).__call__ = call.__wrapped__
        try:
            found = session_free(plan, seed=0, **STEPS | {"output_type": "latent"}).images
        finally:
            type(pipe).__call__ = call
    assert found.requires_grad
    assert (found.detach() - draw(pipe, plan, output_type="latent")).abs().max() < 1e-4
    assert not torch.equal(expected, draw_plain(pipe, plan))


def test_texts_are_encoded_once(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    regional, count = RegionalPipeline(pipe, ROUTING), 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    pipe.text_encoder_2.register_forward_hook(note)
    first = regional(plan, seed=0, **STEPS).images
    encoded = count
    assert encoded == 1 + len(plan.descriptions())
    assert torch.equal(regional(plan, seed=0, **STEPS).images, first)
    assert count == encoded
    regional(plan.model_copy(update={"prompt": "a star"}), seed=0, **STEPS)
    assert count == encoded + 1
    regional.clear_texts()
    regional.encode(plan, **STEPS)
    assert count == encoded + 1 + encoded
    chroma, count = make_chroma()[0], 0
    chroma.text_encoder.register_forward_hook(note)
    RegionalPipeline(chroma, ROUTING).encode(plan, guidance_scale=1.0, **STEPS)
    assert count == encoded, "and nothing that is not asked for"


def test_of_many_texts_those_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import LoraConfig

    monkeypatch.setattr(encoding, "CAPACITY", 2)
    pipe, _ = make_text_to_image()
    cache, calls = encoding.TextCache(call_of(pipe), family_of(pipe.transformer)), []
    pipe.text_encoder_2.register_forward_hook(lambda *_: calls.append(1))

    def encoded(texts: str) -> str:
        """Those of the texts that were not kept."""
        found = ""
        for text in texts:
            calls.clear()
            cache.stream(text, 24, False, None)
            found += text * len(calls)
        return found

    assert encoded("abacab") == "abcb"
    pipe.text_encoder_2.add_adapter(LoraConfig(r=2, target_modules=["q"]))
    assert encoded("aa") == "aa", "adapters may be scaled otherwise at any time"
    pipe.text_encoder_2 = None
    with pytest.raises(InputError, match="text encoders are not loaded"):
        encoded("a")


def test_streams_carry_real_tokens_unless_padding_is_asked_for(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    seen: dict[str, int] = {}
    for pad in ("none", "full"):
        lengths: list[int] = []
        hook = pipe.transformer.register_forward_hook(
            lambda m, a, k, o, to=lengths: to.append(k["encoder_hidden_states"].shape[1]), with_kwargs=True
        )
        draw(pipe, plan, routing=ROUTING.model_copy(update={"pad": pad}))
        hook.remove()
        seen[pad] = lengths[0]
    count = len(plan.descriptions())
    assert seen["full"] == 24 * (1 + count)
    real = [len(pipe.tokenizer_2(d.text).input_ids) for d in plan.descriptions()]
    assert seen["none"] == 24 + sum(real)


def test_streams_that_no_later_block_hears_are_dropped(plan: ScenePlan) -> None:
    pipe, _ = make_text_to_image()
    routing = Routing.from_yaml("{name: a, about: b, rules: [{level: low, double: 0}, {level: high, single: 1}]}")
    lengths: list[int] = []
    hooks = [
        block.register_forward_hook(
            lambda m, a, k, o: lengths.append(k["encoder_hidden_states"].shape[1]), with_kwargs=True
        )
        for block in (*pipe.transformer.transformer_blocks, *pipe.transformer.single_transformer_blocks)
    ]
    draw(pipe, plan, routing=routing, num_inference_steps=1)
    for hook in hooks:
        hook.remove()
    texts = dict.fromkeys(("high", "low"), 0)
    for d in plan.descriptions():
        texts[d.level] += len(pipe.tokenizer_2(d.text).input_ids)
    both, high = 24 + texts["high"] + texts["low"], 24 + texts["high"]
    assert lengths == [both, high, high, high, 24]


class TestRefusals:
    def test_a_second_attachment(self, plan: ScenePlan) -> None:
        pipe, _ = make_text_to_image()
        inner = RegionalPipeline(pipe, ROUTING)

        def again(*_: Any) -> dict[str, Any]:
            inner(plan, seed=0, **STEPS)
            return {}

        with pytest.raises(UnsupportedError, match="already"):
            draw(pipe, plan, callback_on_step_end=again)

    def test_whatever_attaches(self) -> None:
        """A probe of a plain pipeline attaches too, and tells why it is busy."""
        transformer = make_text_to_image()[0].transformer
        attachments = [Attachment(family_of(transformer), PlainRun()) for _ in range(2)]
        with attached(transformer, attachments[0], "is probed"):
            with pytest.raises(UnsupportedError, match="is probed"), attached(transformer, attachments[1]):
                pass
            assert is_intercepted(transformer)
        with attached(transformer, attachments[1]):
            assert is_intercepted(transformer)
        assert not is_intercepted(transformer)

    def test_a_block_cache(self, plan: ScenePlan) -> None:
        pipe, _ = make_text_to_image()
        pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(UnsupportedError, match="disable_cache"):
            draw(pipe, plan)

    def test_a_block_cache_applied_by_hand(self, plan: ScenePlan) -> None:
        from diffusers.hooks import apply_first_block_cache

        pipe, _ = make_text_to_image()
        apply_first_block_cache(pipe.transformer, FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(UnsupportedError, match=r"^transformer_blocks\.0: the hook 'fbc_leader"):
            draw(pipe, plan)

    def test_varlen_attention(self, plan: ScenePlan, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whether it is chosen for the model, or for all that choose none."""
        from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

        pipe, _ = make_text_to_image()
        with monkeypatch.context() as patch:
            patch.setattr(_AttentionBackendRegistry, "_active_backend", AttentionBackendName.FLASH_VARLEN)
            with pytest.raises(UnsupportedError, match="flash_varlen packs sequences"):
                RegionalPipeline(pipe).check(plan)
        for module in pipe.transformer.modules():
            if hasattr(module, "processor"):
                module.processor._attention_backend = AttentionBackendName.FLASH_VARLEN
        with pytest.raises(UnsupportedError, match="flash_varlen packs sequences"):
            draw(pipe, plan)

    def test_processors_of_others(self, plan: ScenePlan) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0
        from diffusers.models.transformers.transformer_flux import FluxIPAdapterAttnProcessor

        pipe, _ = make_text_to_image()
        attn = pipe.transformer.transformer_blocks[1].attn
        for other, hint in (
            (AttnProcessor2_0(), "AttnProcessor2_0, .*; detach what set it"),
            (FluxIPAdapterAttnProcessor(32, 32), "FluxIPAdapterAttnProcessor, .*; unload the IP-Adapter"),
        ):
            attn.processor = other
            with pytest.raises(UnsupportedError, match=rf"^transformer_blocks\.1\.attn\.processor is a {hint}"):
                RegionalPipeline(pipe).check(plan)

    def test_context_parallelism(self, plan: ScenePlan) -> None:
        pipe, _ = make_text_to_image()
        for holder in (pipe.transformer, pipe.transformer.single_transformer_blocks[2].attn.processor):
            holder._parallel_config = object()
            with pytest.raises(UnsupportedError, match="parallel"):
                draw(pipe, plan)
            holder._parallel_config = None
        draw(pipe, plan, num_inference_steps=1)

    def test_a_transformer_compiled_as_a_whole(self, plan: ScenePlan) -> None:
        pipe, _ = make_text_to_image()
        pipe.transformer.compile()
        with pytest.raises(UnsupportedError, match="compile_repeated_blocks"):
            draw(pipe, plan)
        pipe, _ = make_text_to_image()
        pipe.transformer = torch.compile(pipe.transformer)
        with pytest.raises(UnsupportedError, match="compile_repeated_blocks"):
            draw(pipe, plan)

    def test_fractional_strengths_on_a_backend_without_logits(
        self, plan: ScenePlan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

        pipe, _ = make_text_to_image()
        with monkeypatch.context() as patch:
            patch.setattr(_AttentionBackendRegistry, "_active_backend", AttentionBackendName._NATIVE_FLASH)
            with pytest.raises(UnsupportedError, match="strength"):
                RegionalPipeline(pipe, ROUTING).check(plan)
        for module in pipe.transformer.modules():
            if hasattr(module, "processor"):
                module.processor._attention_backend = AttentionBackendName._NATIVE_FLASH
        with pytest.raises(UnsupportedError, match="strength"):
            draw(pipe, plan)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"width": 64}, "resized"),
            ({"prompt": "a star"}, "plan's prompt"),
            ({"generator": None}, "seed"),
            ({"steps": 4}, "num_inference_steps"),
            ({"num_inference_steps": 0}, "from 1 to 1000"),
            ({"num_inference_steps": True}, "from 1 to 1000"),
            ({"num_inference_steps": 10**9}, "from 1 to 1000"),
            ({"seed": -1}, "seed: -1: must be"),
            ({"seed": 2**63}, "must be a whole number"),
            ({"seed": "a"}, "must be a whole number"),
            ({"strength": 0.5}, "takes no such option"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str, plan: ScenePlan) -> None:
        with pytest.raises(InputError, match=message):
            RegionalPipeline(make_text_to_image()[0], ROUTING)(plan, **{"seed": 0} | options)

    @pytest.mark.parametrize("wrong", ["plan.yaml", None, {"prompt": "a"}])
    def test_what_is_no_plan(self, wrong: Any) -> None:
        with pytest.raises(InputError, match="must be a ScenePlan"):
            RegionalPipeline(make_text_to_image()[0], ROUTING)(wrong, seed=0)

    def test_what_is_no_routing(self) -> None:
        with pytest.raises(InputError, match="routing: 3"):
            RegionalPipeline(make_text_to_image()[0], 3)  # type: ignore[arg-type]

    def test_a_canvas_that_is_no_multiple_of_the_token(self) -> None:
        odd = ScenePlan.from_yaml("{width: 50, height: 32, prompt: a, regions: [{name: r, box: [0,0,9,9], full: b}]}")
        with pytest.raises(InputError, match=r"width: 50: must be a multiple of 4.*48 or 52"):
            draw(make_text_to_image()[0], odd)

    def test_a_region_without_a_token(self) -> None:
        small = ScenePlan.from_yaml("{width: 48, height: 32, prompt: a, regions: [{name: r, box: [0,0,1,1], full: b}]}")
        with pytest.raises(InputError, match="regions"):
            draw(make_text_to_image()[0], small)

    def test_a_negative_prompt_that_would_be_ignored(self, plan: ScenePlan) -> None:
        said = plan.model_copy(update={"negative_prompt": "checkered"})
        with pytest.raises(InputError, match="true_cfg_scale"):
            draw(make_text_to_image()[0], said)
        with pytest.raises(InputError, match="negative_prompt: comes from the plan here"):
            draw(make_text_to_image()[0], said, true_cfg_scale=2.0, negative_prompt="dotted")

    def test_what_is_no_flux_pipeline(self) -> None:
        with pytest.raises(InputError, match="FluxTransformer2DModel"):
            RegionalPipeline(object())

        class Upscaler:
            transformer, encode_prompt = make_text_to_image()[0].transformer, None

            def __call__(self, image: Any) -> Any: ...

        with pytest.raises(InputError, match="pipe: Upscaler takes no prompt"):
            RegionalPipeline(Upscaler())


@pytest.mark.slow
def test_compiled_blocks_do_not_recompile_by_block_or_step(plan: ScenePlan) -> None:
    torch._dynamo.reset()
    pipe = quiet(FluxPipeline(**tiny_parts()))
    expected = draw(pipe, plan, num_inference_steps=3)
    pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    counters = torch._dynamo.utils.counters
    counters.clear()
    assert (draw(pipe, plan, num_inference_steps=3) - expected).abs().max() < 1e-4
    graphs = counters["stats"]["unique_graphs"]
    counters.clear()
    draw(pipe, plan, seed=1, num_inference_steps=9)
    assert counters["stats"]["unique_graphs"] == 0, "nine steps need no graph that three did not"
    assert graphs <= 12
    torch._dynamo.reset()
