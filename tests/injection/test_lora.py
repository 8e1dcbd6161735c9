"""LoRAs of plans on pipelines: as ordinary ones, confined to areas, refused with reasons, and gone afterwards."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from strata.hierarchy.errors import StrataError
from strata.hierarchy.plan import ScenePlan
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from tests.injection.conftest import make_chroma, make_img2img, make_text_to_image
from tests.injection.flux2 import make_klein, make_klein_kv
from tests.injection.loras import make_weights, save_weights, token_wise
from tests.injection.qwen import make_longcat

OPTIONS: dict[str, Any] = {"seed": 0, "num_inference_steps": 2, "output_type": "latent", "max_sequence_length": 24}
MORE = make_img2img, make_chroma, make_klein
METHODS = "plain", "rpg", "densediffusion", "stitch", "regional-prompting-flux"
EVERYWHERE = "name: a\nblend: {base_ratio: 0}\nrules: [{level: full}]\n"


@pytest.fixture(scope="module")
def pipe() -> Any:
    return make_text_to_image()[0]


@pytest.fixture(scope="module")
def folder(pipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """style and other, for FLUX.1."""
    found = tmp_path_factory.mktemp("loras")
    save_weights(found / "style.safetensors", make_weights(pipe.transformer, 1))
    save_weights(found / "other.safetensors", make_weights(pipe.transformer, 2, rank=3))
    return found


def plan_of(folder: Path, loras: str = "", region: str = "", background: str = "", box: str = "[0, 0, 48, 32]") -> Any:
    """One region with a text, and LoRAs as flow mappings."""
    return ScenePlan.from_yaml(
        f"""
width: 48
height: 32
prompt: a red circle
regions:
  - {{name: left, box: {box}, full: a circle, loras: [{region}]}}
  - {{name: right, box: [32, 0, 48, 32], full: a square}}
background: {{full: grey, loras: [{background}]}}
loras: [{loras}]
""",
        root=folder,
    )


def draw(pipe: Any, plan: ScenePlan, routing: str = EVERYWHERE, **options: Any) -> Tensor:
    images: Tensor = RegionalPipeline(pipe, Routing.from_yaml(routing))(plan, **{**OPTIONS, **options}).images
    return images


STYLE, OTHER = "{file: style.safetensors}", "{file: other.safetensors}"


def state_of(pipe: Any) -> Any:
    """All that peft could leave behind."""
    model = pipe.transformer
    modules = [(name, id(module), module._compiled_call_impl) for name, module in model.named_modules()]
    weights = [(name, id(w), w._version, w.requires_grad) for name, w in model.named_parameters()]
    layers = [(n, m._active_adapter, dict(m.scaling)) for n, m in model.named_modules() if hasattr(m, "lora_A")]
    return (
        modules,
        weights,
        layers,
        dict(getattr(model, "peft_config", {})),
        getattr(model, "_hf_peft_config_loaded", 0),
    )


class TestOfTheWholePlan:
    @pytest.mark.parametrize("scale", [-0.6, pytest.param(1, marks=pytest.mark.slow)])
    def test_is_the_ordinary_lora_bit_for_bit(self, pipe: Any, folder: Path, scale: float) -> None:
        plain, before = draw(pipe, plan_of(folder)), state_of(pipe)
        found = draw(pipe, plan_of(folder, f"{{file: style.safetensors, scale: {scale}}}, {OTHER}"))
        assert state_of(pipe) == before
        assert torch.equal(draw(pipe, plan_of(folder)), plain)
        for name in ("style", "other"):
            pipe.load_lora_weights(str(folder / f"{name}.safetensors"), adapter_name=name)
        pipe.set_adapters(["style", "other"], [scale, 1.0])
        try:
            assert torch.equal(draw(pipe, plan_of(folder)), found)
        finally:
            pipe.unload_lora_weights()
        assert (found - plain).abs().max() > 0.05

    def test_loaded_once_for_several_calls(self, pipe: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the same LoRAs, whatever their scales and areas; others and none between them; no trace afterwards."""
        scaled = STYLE.replace("}", ", scale: 2}")
        plans = [plan_of(folder, *which) for which in ((STYLE,), ("", scaled), (), (OTHER,))]
        before, loads = state_of(pipe), []
        load = type(pipe).load_lora_weights
        monkeypatch.setattr(
            type(pipe), "load_lora_weights", lambda self, *args, **more: (loads.append(1), load(self, *args, **more))
        )
        regional = RegionalPipeline(pipe, Routing.from_yaml(EVERYWHERE))
        alone = [regional(plan, **OPTIONS).images for plan in plans]
        assert len(loads) == 3
        loads.clear()
        with regional.keeping_loras():
            together = [regional(plan, **OPTIONS).images for plan in plans]
            assert len(pipe.transformer.peft_config) == 1, "those of the last call"
        assert len(loads) == 2
        assert state_of(pipe) == before
        for one, other in zip(alone, together, strict=True):
            assert torch.equal(one, other)

    @pytest.mark.slow
    def test_acts_in_unconditional_calls_too(self, pipe: Any, folder: Path) -> None:
        options = {"negative_prompt": "a square", "true_cfg_scale": 3.0}
        found = draw(pipe, plan_of(folder, STYLE), **options)
        pipe.load_lora_weights(str(folder / "style.safetensors"), adapter_name="style")
        try:
            assert torch.equal(draw(pipe, plan_of(folder), **options), found)
        finally:
            pipe.unload_lora_weights()

    @pytest.mark.slow
    def test_adapts_the_text_encoder(self, pipe: Any, folder: Path) -> None:
        layers = [f"encoder.layers.0.self_attn.{name}_proj" for name in "qv"]
        clip = {f"text_encoder.{n}.lora_A.weight": torch.full((2, 64), 0.5) for n in layers}
        clip |= {f"text_encoder.{n}.lora_B.weight": torch.full((64, 2), 0.5) for n in layers}
        path = save_weights(folder / "texts.safetensors", make_weights(pipe.transformer, 1, size=0.01), more=clip)
        regional = RegionalPipeline(pipe)
        plain = regional(plan_of(folder), **OPTIONS).images
        weights = [id(w) for w in pipe.text_encoder.parameters()]
        found = regional(plan_of(folder, "{file: texts.safetensors}"), **OPTIONS).images
        assert torch.equal(regional(plan_of(folder), **OPTIONS).images, plain)
        assert [id(w) for w in pipe.text_encoder.parameters()] == weights
        pipe.load_lora_weights(str(path), adapter_name="style")
        try:
            assert torch.equal(regional(plan_of(folder), **OPTIONS).images, found)
        finally:
            pipe.unload_lora_weights()

    def test_beside_the_pipelines_own(self, pipe: Any, folder: Path) -> None:
        """Which stay as they are: their layers, scales, and which of them is active."""
        few = make_weights(pipe.transformer, 5, layers=lambda name: name.endswith("blocks.0.attn.to_q"))
        pipe.load_lora_weights(str(save_weights(folder / "own.safetensors", few)), adapter_name="own")
        pipe.set_adapters("own", 0.7)
        try:
            plain, before = draw(pipe, plan_of(folder)), state_of(pipe)
            found = draw(pipe, plan_of(folder, STYLE))
            assert state_of(pipe) == before
            assert torch.equal(draw(pipe, plan_of(folder)), plain)
            pipe.load_lora_weights(str(folder / "style.safetensors"), adapter_name="style")
            pipe.set_adapters(["own", "style"], [0.7, 1.0])
            assert torch.equal(draw(pipe, plan_of(folder)), found)
        finally:
            pipe.unload_lora_weights()

    @pytest.mark.slow
    def test_a_failing_call_leaves_nothing(self, pipe: Any, folder: Path) -> None:
        def fail(*args: Any) -> Any:
            raise KeyboardInterrupt

        before = state_of(pipe)
        with pytest.raises(KeyboardInterrupt):
            draw(pipe, plan_of(folder, STYLE, OTHER), callback_on_step_end=fail)
        assert state_of(pipe) == before


class TestOfARegion:
    @pytest.mark.parametrize("make", [make_text_to_image, *(pytest.param(m, marks=pytest.mark.slow) for m in MORE)])
    def test_one_that_covers_all_is_the_ordinary_one_where_the_base_is_not_heard(self, make: Any, folder: Path) -> None:
        """All that is heard are the region's texts (base ratio 0): so image tokens have the LoRA, and these texts."""
        own, options = make()
        save_weights(folder / "whole.safetensors", make_weights(own.transformer, 1))
        style = "{file: whole.safetensors, scale: 0.8}"
        text = "width: 48\nheight: 32\nprompt: x\nregions: [{{name: a, box: [0, 0, 48, 32], full: y{}}}]\n{}"
        loras = f"loras: [{style}]"
        plans = [ScenePlan.from_yaml(text.format(*at), root=folder) for at in (("", loras), (f", {loras}", ""))]
        options |= {} if make in (make_text_to_image, make_img2img) else {"guidance_scale": 1.0}
        whole, region = (draw(own, plan, **options) for plan in plans)
        assert torch.equal(whole, region)
        assert not torch.equal(draw(own, plans[0].model_copy(update={"loras": ()}), **options), whole)

    def test_outside_it_the_first_blocks_projections_are_the_base_models(self, pipe: Any, folder: Path) -> None:
        box = "[0, 0, 24, 16]"
        plain = first_block(pipe, plan_of(folder, box=box))
        adapted = first_block(pipe, plan_of(folder, region=STYLE, box=box))
        inside = torch.zeros(8, 12, dtype=torch.bool)
        inside[:4, :6] = True
        changed = {area: (plain[area] != adapted[area]).any(dim=-1) for area in plain}
        assert torch.equal(changed["image"], inside.flatten())
        assert changed["left"].all()
        assert [area for area, tokens in changed.items() if tokens.any()] == ["left", "image"]
        behind = first_block(pipe, plan_of(folder, background=STYLE, box=box))
        changed = {area: (plain[area] != behind[area]).any(dim=-1) for area in plain}
        inside[:, 8:] = True  # the other region
        assert torch.equal(changed["image"], ~inside.flatten())
        assert [area for area, tokens in changed.items() if tokens.any()] == ["background", "image"]

    @pytest.mark.slow
    def test_each_region_has_its_own_and_several_share_one(self, pipe: Any, folder: Path) -> None:
        """What is before an attention in a region's tokens and texts is as if there were its LoRA alone."""
        text = """
width: 48
height: 32
prompt: a red circle
regions:
  - {{name: a, box: [0, 0, 20, 32], full: a circle, loras: [{}]}}
  - {{name: b, box: [28, 0, 48, 32], full: a square, loras: [{}]}}
"""
        found = {
            loras: first_block(pipe, ScenePlan.from_yaml(text.format(*loras), root=folder))
            for loras in (("", ""), (STYLE, ""), ("", OTHER), ("", STYLE), (STYLE, OTHER), (STYLE, STYLE))
        }
        columns = torch.arange(12).expand(8, 12).flatten()
        for one, two in ((STYLE, OTHER), (STYLE, STYLE)):
            left, right, both, none = (found[key] for key in ((one, ""), ("", two), (one, two), ("", "")))
            for tokens, alone in ((columns < 5, left), (columns >= 7, right), ((columns >= 5) & (columns < 7), none)):
                assert torch.equal(both["image"][tokens], alone["image"][tokens])
            for area, alone in (("a", left), ("b", right), ("base", none)):
                assert torch.equal(both[area], alone[area])

    @pytest.mark.slow
    @pytest.mark.parametrize("first", [0, 1])
    def test_references_whose_keys_are_kept_never_have_it(self, folder: Path, first: int) -> None:
        """Whether the first step, in which they pass the blocks, is routed or not."""
        own, options = make_klein_kv()
        save_weights(folder / "kept.safetensors", make_weights(own.transformer, 1))
        text = f"name: a\nrules: [{{level: full, steps: {first}-{first}}}]\n"
        drawn = [
            draw(own, plan_of(folder, region=lora, box="[0, 0, 24, 16]"), text, **options)
            for lora in ("", "{file: kept.safetensors}", "{file: kept.safetensors, scale: 0}")
        ]
        assert torch.equal(drawn[0], drawn[2])
        assert not torch.equal(drawn[0], drawn[1])
        kept: list[Tensor] = []
        block = own.transformer.transformer_blocks[0].attn.to_k
        for lora in ("", "{file: kept.safetensors}"):
            plan = plan_of(folder, region=lora, box="[0, 0, 24, 16]")
            seen: list[Tensor] = []
            handle = block.register_forward_hook(lambda module, args, out, seen=seen: seen.append(out))
            draw(own, plan, text, **options)
            handle.remove()
            kept.append(seen[0][:, :16])
        assert torch.equal(*kept)

    @pytest.mark.slow
    def test_steps_of_a_picture_drawn_over_another(self, folder: Path) -> None:
        """Those that the pipeline runs are counted, and a ramp runs over them."""
        own, options = make_img2img()
        save_weights(folder / "whole.safetensors", make_weights(own.transformer, 1))
        options |= {"num_inference_steps": 8}  # of which strength 0.75 runs 6
        plan = plan_of(folder, region="{file: whole.safetensors}")
        drawn = {
            rule: draw(own, plan, EVERYWHERE + f"loras: [{rule}]\n", **options)
            for rule in ("{steps: 5-5}", "{steps: 0-4}", "{steps: 0-5}", "{}")
        }
        assert torch.equal(drawn["{steps: 0-5}"], drawn["{}"])
        assert not torch.equal(drawn["{steps: 5-5}"], draw(own, plan_of(folder), **options))
        assert not torch.equal(drawn["{steps: 0-4}"], drawn["{}"])

    @pytest.mark.slow
    def test_where_areas_overlap_their_adapters_add_up(self, pipe: Any, folder: Path) -> None:
        text = """
width: 48
height: 32
prompt: a red circle
regions:
  - {{name: a, box: [0, 0, 28, 32], full: a circle, loras: [{}]}}
  - {{name: b, box: [20, 0, 48, 32], full: a square, loras: [{}]}}
"""
        one, two = f"{STYLE}, {OTHER}", "{file: style.safetensors, scale: 0.5}"
        plans = [
            ScenePlan.from_yaml(text.format(*at), root=folder) for at in (("", ""), (one, ""), ("", two), (one, two))
        ]
        plain, first, second, both = (first_block(pipe, plan)["image"][:, -32:] for plan in plans)  # values
        assert (both - plain - (first - plain) - (second - plain)).abs().max() < 1e-5
        columns = ((both != first) & (both != second)).any(dim=-1).reshape(8, 12).any(dim=0)
        assert columns.tolist() == [False] * 5 + [True] * 2 + [False] * 5

    def test_unconditional_calls_stay_plain(self, pipe: Any, folder: Path) -> None:
        """The region's LoRA reaches the picture through conditional calls alone."""
        seen: list[Tensor] = []
        plan = plan_of(folder, region=STYLE)
        for each in (plan_of(folder), plan):
            norm = pipe.transformer.transformer_blocks[0].attn.norm_q
            handle = norm.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
            draw(pipe, each, num_inference_steps=1, negative_prompt="a square", true_cfg_scale=3.0)
            handle.remove()
        (with_none, unconditional), (adapted, still) = seen[:2], seen[2:]
        assert torch.equal(unconditional, still)
        assert not torch.equal(with_none, adapted)

    @pytest.mark.slow  # the everyday tests know its arrays, and the definition over drawn ones
    def test_by_depth_and_steps(self, pipe: Any, folder: Path) -> None:
        plan, plain = plan_of(folder, region=STYLE), plan_of(folder)
        drawn = {
            rule: draw(pipe, plan, EVERYWHERE + f"loras: [{rule}]\n")
            for rule in ("{depth: 0%-50%}", "{depth: 50%-100%}", "{steps: 1-1}", "{strength: {from: 0.4, to: 1}}", "{}")
        }
        pictures = [draw(pipe, plain), draw(pipe, plan), *drawn.values()]
        assert torch.equal(pictures[1], drawn["{}"])
        different = {tuple(p.flatten().tolist()) for p in pictures}
        assert len(different) == len(pictures) - 1
        ramp = plan_of(folder, region="{file: style.safetensors, scale: {from: 0.4, to: 1}}")
        assert torch.equal(draw(pipe, ramp), drawn["{strength: {from: 0.4, to: 1}}"])

    def test_acts_in_steps_in_which_nothing_is_routed(self, pipe: Any, folder: Path) -> None:
        late = "name: a\nrules: [{level: full, steps: 0-0}]\nloras: [{steps: 1-1}]\n"
        assert not torch.equal(draw(pipe, plan_of(folder, region=STYLE), late), draw(pipe, plan_of(folder), late))


class FirstBlock(Observer):
    """Queries, keys and values of the first block at the first step: `[L, C]`, by area, image tokens row by row."""

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}

    def watches(self, block: int) -> bool:
        return block == 0 and not self.seen

    def attention(self, event: AttentionEvent) -> None:
        whole = torch.cat([x[0].flatten(1) for x in (event.q_BLHD, event.k_BLHD, event.v_BLHD)], dim=-1)
        for (name, _), part in zip(event.segments, whole.split([n for _, n in event.segments]), strict=True):
            self.seen[name.rpartition("/")[0] or name] = part.clone()
        if event.inverse is not None:
            self.seen["image"] = self.seen["image"][event.inverse]


def first_block(pipe: Any, plan: ScenePlan) -> dict[str, Tensor]:
    regional, watcher = RegionalPipeline(pipe, Routing.from_yaml(EVERYWHERE)), FirstBlock()
    regional.observers.append(watcher)
    regional(plan, **OPTIONS | {"num_inference_steps": 1})
    return watcher.seen


def _file(folder: Path, name: str, state: dict[str, Tensor]) -> str:
    save_file(state, folder / f"{name}.safetensors")
    return f"{{file: {name}.safetensors}}"


class TestRefusals:
    def check(self, pipe: Any, plan: ScenePlan, message: str, routing: Any = None, method: Any = None) -> None:
        before = state_of(pipe)
        with pytest.raises(StrataError, match=message):
            RegionalPipeline(pipe, routing, method).check(plan, num_inference_steps=3)
        assert state_of(pipe) == before

    @pytest.mark.parametrize(
        ("lora", "message"),
        [
            ("{file: none.safetensors}", r"loras\[0\].file: 'none.safetensors': no such file"),
            ("{file: plan.yaml}", "'plan.yaml': must be a .safetensors file"),
            ("{file: text.safetensors}", "text.safetensors: no .safetensors file, or a damaged one"),
            ("{file: .}", "holds [0-9]+ .safetensors files .*; name one"),
        ],
    )
    def test_files(self, pipe: Any, folder: Path, lora: str, message: str) -> None:
        (folder / "plan.yaml").write_text("a: b")
        (folder / "text.safetensors").write_text("no tensors")
        self.check(pipe, plan_of(folder, lora), message)
        self.check(pipe, plan_of(folder, region=lora), message)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"lora": "weight"}, "holds no LoRA: none of its [0-9]+ weights is named so"),
            ({"transformer.": "unet."}, "has no weights for a transformer"),
            ({"lora_A": "lokr_w1"}, "lokr_w1.weight: is LoKr, not a LoRA"),
            ({"blocks.1.": "blocks.7."}, "transformer_blocks.7.attn.*: the model has no linear layer"),
        ],
    )
    def test_weights(self, pipe: Any, tmp_path: Path, change: dict[str, str], message: str) -> None:
        [(old, new)] = change.items()
        state = {}
        for name, (down, up) in make_weights(pipe.transformer).items():
            for part, weight in (("A", down), ("B", up)):
                state[f"transformer.{name}.lora_{part}.weight".replace(old, new)] = weight
        if new == "lokr_w1":
            state = {key: value for key, value in state.items() if "lokr" in key}
        if new == "blocks.7.":
            state = {key: value for key, value in state.items() if "single" not in key}
        self.check(pipe, plan_of(tmp_path, _file(tmp_path, "bad", state)), message)

    def test_of_another_models_shape(self, pipe: Any, tmp_path: Path) -> None:
        """The first weight that does not fit is named."""
        key = "transformer.transformer_blocks.0.attn.to_q"
        wide = {f"{key}.lora_A.weight": torch.ones(2, 64), f"{key}.lora_B.weight": torch.ones(32, 2)}
        message = "bad.safetensors: transformer.*to_q.lora_A.weight: is 2×64, the model's layer needs 2×32"
        self.check(pipe, plan_of(tmp_path, _file(tmp_path, "bad", wide)), message)
        unlike = {f"{key}.lora_A.weight": torch.ones(2, 32), f"{key}.lora_B.weight": torch.ones(32, 3)}
        self.check(pipe, plan_of(tmp_path, _file(tmp_path, "bad2", unlike)), "is 32×3, the model's layer needs 32×2")
        broken = {f"{key}.lora_A.weight": torch.ones(2, 32), f"{key}.lora_B.weight": torch.full((32, 2), torch.nan)}
        self.check(pipe, plan_of(tmp_path, _file(tmp_path, "nan", broken)), "to_q.lora_B.weight: holds NaN")
        for part in "AB":
            pair = {f"{key}.lora_A.weight": torch.ones(2, 32), f"{key}.lora_B.weight": torch.ones(32, 2)}
            del pair[f"{key}.lora_{part}.weight"]
            lora = _file(tmp_path, f"half{part}", pair)
            self.check(pipe, plan_of(tmp_path, lora), rf"to_q.lora_[AB].weight: stands alone, without .*lora_{part}.w")
            self.check(pipe, plan_of(tmp_path, region=lora), "stands alone")
        dora = wide | {f"{key}.dora_scale": torch.ones(32, 1)}
        self.check(pipe, plan_of(tmp_path, _file(tmp_path, "dora", dora)), "dora_scale: is DoRA")

    @pytest.mark.parametrize(
        "layer", ["transformer_blocks.0.norm1.linear", "x_embedder", "time_text_embed.timestep_embedder.linear_1"]
    )
    def test_what_is_not_token_by_token(self, pipe: Any, tmp_path: Path, layer: str) -> None:
        weights = make_weights(pipe.transformer, layers=lambda name: name == layer)
        save_weights(tmp_path / "mod.safetensors", weights)
        lora = "{file: mod.safetensors}"
        self.check(
            pipe, plan_of(tmp_path, region=lora), f"mod.safetensors: adapts {layer}, which is no layer within a block"
        )
        RegionalPipeline(pipe).check(plan_of(tmp_path, lora))

    def test_text_encoders(self, pipe: Any, tmp_path: Path) -> None:
        name = "text_encoder.encoder.layers.0.self_attn.q_proj"
        clip = {f"{name}.lora_A.weight": torch.ones(2, 64), f"{name}.lora_B.weight": torch.ones(64, 2)}
        save_weights(tmp_path / "texts.safetensors", make_weights(pipe.transformer), more=clip)
        lora = "{file: texts.safetensors}"
        self.check(pipe, plan_of(tmp_path, region=lora), "texts.safetensors: adapts the text encoder too")
        ramp = "{file: texts.safetensors, scale: {from: 1, to: 0}}"
        self.check(pipe, plan_of(tmp_path, ramp), "texts are encoded once: give it one scale")

    @pytest.mark.parametrize("method", METHODS)
    def test_other_methods(self, pipe: Any, folder: Path, method: str) -> None:
        message = f"method '{method}': LoRA 'style.safetensors' of left: only the method regional"
        self.check(pipe, plan_of(folder, region=STYLE), message, method=method)
        RegionalPipeline(pipe, method=method).check(plan_of(folder, STYLE), num_inference_steps=3)

    @pytest.mark.slow
    @pytest.mark.parametrize("method", METHODS)
    def test_other_methods_draw_those_of_the_whole_plan(self, pipe: Any, folder: Path, method: str) -> None:
        found = RegionalPipeline(pipe, method=method)(plan_of(folder, STYLE), **OPTIONS).images
        pipe.load_lora_weights(str(folder / "style.safetensors"), adapter_name="style")
        try:
            assert torch.equal(RegionalPipeline(pipe, method=method)(plan_of(folder), **OPTIONS).images, found)
        finally:
            pipe.unload_lora_weights()

    def test_other_families(self, folder: Path) -> None:
        own, _ = make_longcat()
        message = "style.safetensors: LongCatImagePipeline takes no LoRA"
        self.check(own, plan_of(folder, region=STYLE), message)

    def test_rules_for_no_lora(self, pipe: Any, folder: Path) -> None:
        plan = plan_of(folder, region=STYLE)
        for rule, message in (
            ("{names: [stile]}", r"loras\[0\].names.*'stile': the plan has no such LoRA; did you mean 'style'"),
            ("{regions: [right]}", "'right': has no LoRA in the plan; those that have: left"),
        ):
            self.check(pipe, plan, message, Routing.from_yaml(EVERYWHERE + f"loras: [{rule}]\n"))

    @pytest.mark.slow
    def test_modes_of_the_pipeline(self, folder: Path) -> None:
        own, _ = make_text_to_image()
        plan = plan_of(folder, region=STYLE)
        own.transformer.fuse_qkv_projections()
        self.check(own, plan, "style.safetensors: the projections of double 0 are fused")
        own.transformer.unfuse_qkv_projections()
        own.load_lora_weights(str(folder / "other.safetensors"), adapter_name="other")
        own.fuse_lora()
        self.check(own, plan, "has a fused LoRA")

    @pytest.mark.slow  # for the import of the compiler
    def test_compiled_blocks(self, folder: Path) -> None:
        own, _ = make_text_to_image()
        plan = plan_of(folder, region=STYLE)
        own.transformer.compile_repeated_blocks()
        self.check(own, plan, "double 0 is compiled")

    def test_several_plans(self, pipe: Any, folder: Path) -> None:
        plans = [plan_of(folder, region=STYLE), plan_of(folder)]
        with pytest.raises(StrataError, match="plans with LoRAs are drawn one a call"):
            RegionalPipeline(pipe)(plans, **OPTIONS | {"seed": [1, 2]})

    def test_token_wise_layers_are_those_that_the_tests_know(self, pipe: Any) -> None:
        from strata.injection.families import family_of
        from strata.injection.lora_files import layer_places

        found = layer_places(pipe.transformer, family_of(pipe.transformer))
        assert set(found) == set(make_weights(pipe.transformer, layers=token_wise))
