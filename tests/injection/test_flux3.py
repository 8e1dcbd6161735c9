"""What is particular to FLUX.3: texts pass blocks of their own once a drawing, and everything else once a step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Attachment, attached
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families import family_of
from strata.injection.families.flux3 import FAMILY
from strata.injection.intercept import is_intercepted
from strata.injection.methods.plain import PlainRun
from strata.injection.methods.regional import RegionalRun
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.program import compile_program
from strata.injection.text_states import TextStates
from strata.layers.routing import Routing, presets
from tests.injection.conftest import PLAN
from tests.injection.drawings import start
from tests.injection.flux3 import JOINT, OWN, flux3_transformer

STEPS, WIDTH = 4, 128
FACTS = ModelFacts("flux3", (Stack("mode", OWN, routed=False), Stack("single", JOINT)), token_size=4, text_length=80)
Between = Callable[[int], None]


def call(model: Any, step: int, reference: bool = False, rows: int = 1, tokens: int = 6) -> Tensor:
    """A transformer call on the plan's canvas, as the pipeline makes it at a step."""
    g = torch.Generator().manual_seed(5)
    ids = torch.cartesian_prod(torch.zeros(1), torch.arange(8) * 0.5, torch.arange(12) * 0.5, torch.zeros(1))
    time = torch.full((rows,), 1 - step / STEPS)
    inputs: dict[str, Any] = {
        "hidden_states": torch.randn(rows, 96, 16, generator=g),
        "encoder_hidden_states": torch.randn(1, tokens, WIDTH, generator=g).expand(rows, -1, -1),
        "timestep": time,
        "img_ids": ids,
        "txt_ids": torch.cartesian_prod(*(torch.zeros(1),) * 3, torch.arange(float(tokens))),
    }
    if reference:
        ids = torch.cartesian_prod(torch.zeros(1), torch.arange(2.0), torch.arange(3.0), -torch.ones(1))
        inputs |= {"image_cond_hidden_states": torch.randn(rows, 6, 16, generator=g), "image_cond_ids": ids}
    if model.config.flow_map:
        inputs["target_timestep"] = time - 1 / STEPS
    floats = {name: value.to(model.dtype) for name, value in inputs.items() if not name.endswith("_ids")}
    with torch.no_grad():
        out: Tensor = model(**inputs | floats, return_dict=False)[0]
    return out


def drawn(
    model: Any,
    routing: Routing | str = "uniform",
    keep: bool = True,
    between: Between = lambda step: None,
    **options: Any,
) -> Tensor:
    """The outputs of all steps, regional."""
    found = Routing.load(routing) if isinstance(routing, str) else routing
    program = compile_program(ScenePlan.from_yaml(PLAN), found, FACTS, STEPS)
    g = torch.Generator().manual_seed(6)
    texts = {s.text: torch.randn(1, 3 + n % 3, WIDTH, generator=g) for n, s in enumerate(program.streams)}
    run = start(model, [program], texts)
    assert isinstance(run, RegionalRun)
    if not keep:
        run.text_states = TextStates(keep=False)
    outputs = []
    with attached(model, Attachment(family_of(model), run)):
        for step in range(STEPS):
            outputs.append(call(model, step, **options))
            between(step)
    return torch.stack(outputs)


def plain(model: Any, **options: Any) -> Tensor:
    return torch.stack([call(model, step, **options) for step in range(STEPS)])


def counted(model: Any) -> list[int]:
    """How often each text block has attended, from here on."""
    calls = [0] * OWN
    for n, block in enumerate(model.txt_mode_blocks):

        def count(module: Any, args: Any, n: int = n) -> None:
            calls[n] += 1

        block.attn.register_forward_pre_hook(count)
    return calls


class TestTextBlocks:
    @pytest.mark.parametrize("options", [{}, {"reference": True}, {"rows": 2}])
    def test_are_computed_once_a_drawing_which_changes_nothing(self, options: dict[str, Any]) -> None:
        model = flux3_transformer()
        always = drawn(model, keep=False, **options)
        calls = counted(model)
        assert torch.equal(drawn(model, **options), always)
        assert calls == [1] * OWN
        assert not torch.equal(always, plain(model, **options))

    def test_of_a_flow_map_are_computed_once_a_step(self) -> None:
        """The timestep that a step jumps to modulates text too."""
        model = flux3_transformer(flow_map=True)
        always = drawn(model, keep=False)
        calls = counted(model)
        assert torch.equal(drawn(model), always)
        assert calls == [STEPS] * OWN

    def test_that_another_weight_or_adapter_changes_are_computed_again(self) -> None:
        from peft import LoraConfig

        def switch(step: int) -> None:
            if step == 1:
                model.enable_adapters()
            if step == 2:
                model.set_adapters(["own"], [0.5])

        def write(step: int) -> None:
            if step == 0:
                with torch.no_grad():
                    model.txt_mode_blocks[1].ff.linear_in.weight.mul_(2)

        for between, times in ((switch, 3), (write, 2)):
            found = []
            for keep in (False, True):
                model = flux3_transformer()
                torch.manual_seed(9)
                lora = LoraConfig(r=2, target_modules=r"txt_mode_blocks.*\.to_q", init_lora_weights=False)
                model.add_adapter(lora, "own")
                model.disable_adapters()
                calls = counted(model)
                found.append(drawn(model, keep=keep, between=between))
            assert calls == [times] * OWN
            assert torch.equal(*found)
            model = flux3_transformer()
            assert not torch.equal(found[0], drawn(model))

    def test_are_called_at_every_step_where_weights_are_loaded_ahead(self) -> None:
        model = flux3_transformer()
        expected = drawn(model)
        model.enable_group_offload(torch.device("cpu"), torch.device("cpu"), offload_type="leaf_level")
        calls = counted(model)
        assert torch.equal(drawn(model), expected)
        assert calls == [STEPS] * OWN

    def test_of_an_unrouted_step_are_the_plain_models(self) -> None:
        model = flux3_transformer()
        expected, calls = plain(model), counted(model)
        found = drawn(model, Routing.from_yaml("name: n\nrules: [{level: high, steps: 1-2}]"))
        assert [torch.equal(*both) for both in zip(found, expected, strict=True)] == [True, False, False, True]
        assert calls == [1 + 2] * OWN


@pytest.mark.parametrize("rules", [[{"level": "full"}], [{"level": "high", "depth": "0%-50%"}, {"level": "low"}]])
@pytest.mark.parametrize("reference", [False, True])
def test_a_copy_of_the_image_is_modulated_as_the_image(reference: bool, rules: list[Any]) -> None:
    """What the base prompt's copy of the image becomes is the plain model's image, and at base ratio 1 it is all.

    Also where texts are dropped that no later block sees.
    """
    model = flux3_transformer()
    data = Routing.load("regional-prompting-flux").model_dump(mode="json", exclude_defaults=True)
    routing = Routing.model_validate({**data, "rules": rules, "blend": {"mode": "split", "base_ratio": 1.0}})
    found = drawn(model, routing, reference=reference)
    torch.testing.assert_close(found, plain(model, reference=reference), atol=1e-5, rtol=1e-5)
    routing = Routing.model_validate({**data, "rules": rules, "blend": {"mode": "split", "base_ratio": 0.5}})
    assert (drawn(model, routing, reference=reference) - found).abs().max() > 1e-3


def test_the_canvas_is_a_grid_whose_positions_are_a_factor_apart() -> None:
    """What a reference adds is behind it."""
    for rows, cols, factor in ((8, 12, 0.5), (3, 2, 1.0)):
        grid = (torch.zeros(1), torch.arange(rows) * factor, torch.arange(cols) * factor, torch.zeros(1))
        inputs = {"img_ids": torch.cartesian_prod(*grid)}
        assert FAMILY.canvas(inputs) == (rows, cols, rows * cols, 0)
        inputs["image_cond_ids"] = torch.zeros(5, 4)
        assert FAMILY.canvas(inputs) == (rows, cols, rows * cols + 5, 0)


def test_every_preset_finds_its_blocks_among_the_joint_ones() -> None:
    for name in presets():
        schedule = Routing.load(name).resolve(*FACTS.block_counts, 10)
        assert (schedule.double_blocks, schedule.blocks) == (0, JOINT)
        assert schedule.routed.any()


def test_whatever_ends_a_drawing_leaves_no_trace() -> None:
    model = flux3_transformer()
    before, processors = plain(model), {id(p) for p in model.attn_processors.values()}

    def fail(step: int) -> None:
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn(model, between=fail)
    assert {id(p) for p in model.attn_processors.values()} == processors
    assert not any(is_intercepted(module) for module in model.modules())
    assert torch.equal(plain(model), before)


def test_fused_projections() -> None:
    model = flux3_transformer()
    expected = drawn(model)
    for module in model.modules():
        if hasattr(module, "fuse_projections"):
            module.fuse_projections()
    assert (drawn(model) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("flow_map", [False, True])
def test_concepts_pass_the_blocks_as_a_text_does(flow_map: bool) -> None:
    """A text of one token, for concepts are all at a text's first position."""
    model = flux3_transformer(flow_map)
    family, seen = family_of(model), []
    blocks = family.blocks(model)
    hooks = [
        block.module.register_forward_hook(lambda m, a, k, out: seen.append((k, out[0])), with_kwargs=True)
        for block in blocks
    ]
    called: list[Any] = []
    hooks.append(model.register_forward_pre_hook(lambda m, a, k: called.append(k), with_kwargs=True))
    call(model, 1, tokens=1)
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        hidden = family.embed_text(model, called[0]["encoder_hidden_states"], called[0])
        for block, (inputs, expected) in zip(blocks, seen, strict=True):
            torch.testing.assert_close(hidden, inputs["encoder_hidden_states"], atol=1e-5, rtol=1e-5)
            shift, scale, _ = inputs["temb_mod"].chunk(3, dim=-1)
            image = (1 + scale) * block.module.norm(inputs["hidden_states"]) + shift
            rotary = tuple(table[1:] for table in inputs["image_rotary_emb"])
            _, k, v = family.project(block.attn, image, None, rotary)
            _, hidden = family.text_step(block, hidden, family.temb(inputs), k, v)
            torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
        longer = torch.randn(1, 5, WIDTH)
        first = []
        hook = blocks[0].module.register_forward_pre_hook(
            lambda m, a, k: first.append(k["encoder_hidden_states"]), with_kwargs=True
        )
        ids = torch.cartesian_prod(*(torch.zeros(1),) * 3, torch.arange(5.0))
        model(**{**called[0], "encoder_hidden_states": longer, "txt_ids": ids})
        hook.remove()
        torch.testing.assert_close(family.embed_text(model, longer, called[0]), first[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_watched_attention_is_the_stock_one_bit_for_bit(dtype: torch.dtype) -> None:
    class Everything(Observer):
        def watches(self, block: int) -> bool:
            return True

        def attention(self, event: AttentionEvent) -> None:
            seen.append(event.block.name)

    seen: list[str] = []
    model = flux3_transformer().to(dtype)
    expected = call(model, 1, reference=True)
    with attached(model, Attachment(family_of(model), PlainRun(), (Everything(),))):
        assert torch.equal(call(model, 1, reference=True), expected)
    assert seen == [f"single {n}" for n in range(JOINT)]
