"""ControlNets confined to areas: exact inside, nothing outside, several at once, no trace behind a call."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers import FluxMultiControlNetModel
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.controls import area_tokens, confined
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from strata.pipelines import call_plain
from tests.injection.conftest import make_controlnet, make_text_to_image, picture
from tests.injection.drawings import seen_calls
from tests.injection.qwen import make_qwen_controlnet

TOKEN = 4
ONCE: dict[str, Any] = {"num_inference_steps": 1}
SPLIT = Routing.from_yaml("{name: a, about: a, blend: {mode: split, base_ratio: 1}, rules: [{level: high}]}")


def make_two(shared: bool = False) -> tuple[Any, dict[str, Any]]:
    """Two ControlNets, or one that serves two pictures."""
    pipe, options = make_controlnet()
    nets = [pipe.controlnet]
    if not shared:
        other = make_controlnet()[0].controlnet
        torch.manual_seed(5)
        for net in (*other.controlnet_blocks, *other.controlnet_single_blocks):
            torch.nn.init.normal_(net.weight, std=0.05)
        nets.append(other)
    pipe.register_modules(controlnet=FluxMultiControlNetModel(nets))
    pictures = [picture(), picture(1)]
    return pipe, options | {"control_image": pictures, "controlnet_conditioning_scale": [0.7, 0.4]}


def draw(pipe: Any, plan: ScenePlan, routing: Routing | None = None, **options: Any) -> Tensor:
    images: Tensor = RegionalPipeline(pipe, routing)(plan, seed=0, output_type="pt", **options).images
    return images


def added(pipe: Any, plan: ScenePlan | Sequence[ScenePlan], **options: Any) -> list[Tensor]:
    """What ControlNets add at the first step, in the pipeline's order: behind double, then single blocks."""
    seed = [1] * len(plan) if isinstance(plan, list) else 1
    with seen_calls(pipe) as seen:
        RegionalPipeline(pipe, method="plain")(plan, seed=seed, output_type="latent", **ONCE, **options)
    names = ("controlnet_block_samples", "controlnet_single_block_samples")
    return [sample for name in names for sample in seen[0].get(name) or ()]


def whole(plan: ScenePlan) -> ScenePlan:
    """With a first region that covers all."""
    first = plan.regions[0].model_copy(update={"box": (0, 0, plan.width, plan.height)})
    return plan.model_copy(update={"regions": (first, *plan.regions[1:])})


def test_the_tokens_of_areas(plan: ScenePlan) -> None:
    left, right = (torch.zeros(8, 12, dtype=torch.bool) for _ in range(2))
    left[:, :7], right[1:7, 6:] = True, True
    for area, tokens in {"left": left, "right": right, "background": ~(left | right)}.items():
        assert torch.equal(area_tokens(plan, area, TOKEN), tokens.flatten())
    assert area_tokens(plan, "global", TOKEN).all()


@pytest.mark.parametrize("make", [make_controlnet, pytest.param(make_qwen_controlnet, marks=pytest.mark.slow)])
def test_inside_an_area_all_is_added_and_outside_nothing(make: Any, plan: ScenePlan) -> None:
    pipe, options = make()
    token = RegionalPipeline(pipe).token_size
    everywhere = added(pipe, plan, **options)
    assert everywhere
    for area in ("left", "right", "background"):
        inside = area_tokens(plan, area, token)
        assert 0 < inside.sum() < len(inside)
        confined_ = added(pipe, plan, control_regions=area, **options)
        assert len(confined_) == len(everywhere)
        for one, other in zip(confined_, everywhere, strict=True):
            assert torch.equal(one[:, inside], other[:, inside])
            assert not one[:, ~inside].any()
            assert other[:, ~inside].any()


@pytest.mark.parametrize("method", ["regional", pytest.param("rpg", marks=pytest.mark.slow)])
def test_a_region_that_covers_all_is_the_ordinary_control(method: str, plan: ScenePlan) -> None:
    pipe, options = make_controlnet()
    regional = RegionalPipeline(pipe, method=method)
    options |= {"seed": 1, "num_inference_steps": 2, "output_type": "pt"}
    covered = whole(plan)
    ordinary = regional(covered, **options).images
    for areas in ("left", ["left"], ["global"], [None]):
        assert torch.equal(regional(covered, control_regions=areas, **options).images, ordinary)
    assert not torch.equal(regional(covered, control_regions="right", **options).images, ordinary)
    without = regional(covered, **options | {"controlnet_conditioning_scale": 0.0}).images
    assert not torch.equal(ordinary, without)


def test_outside_the_first_block_leaves_what_it_leaves_without_control(plan: ScenePlan) -> None:
    """With regional attention, whatever order its tokens are in."""
    pipe, options = make_controlnet()
    regional = RegionalPipeline(pipe)

    def entering(**changes: Any) -> Tensor:
        seen: list[Tensor] = []
        block = pipe.transformer.transformer_blocks[1]
        handle = block.register_forward_pre_hook(
            lambda _m, _a, inputs: seen.append(inputs["hidden_states"]), with_kwargs=True
        )
        regional(plan, seed=1, output_type="latent", **ONCE, **options | changes)
        handle.remove()
        return seen[0]

    none, some = entering(controlnet_conditioning_scale=0.0), entering(control_regions="left")
    differs = (none != some).any(-1)[0]
    assert differs.sum() == area_tokens(plan, "left", TOKEN).sum()


def test_the_copy_of_the_image_is_confined_too(plan: ScenePlan) -> None:
    """Where the image takes all from the base prompt's copy of it, the picture is that of the stock pipeline."""
    pipe, options = make_controlnet(3)
    options |= {"num_inference_steps": 2}
    drawn = draw(pipe, plan, routing=SPLIT, control_regions="left", **options)
    with confined(pipe, [plan], "left", TOKEN):
        stock = call_plain(pipe, plan, 0, output_type="pt", **options).images
    assert (drawn - stock).abs().max() < 1e-4
    assert (drawn - draw(pipe, plan, routing=SPLIT, **options)).abs().max() > 1e-3


@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_controls_in_two_regions(shared: bool, plan: ScenePlan) -> None:
    pipe, options = make_two(shared)
    alone = [
        added(pipe, plan, **options | {"controlnet_conditioning_scale": scales}) for scales in ([0.7, 0.0], [0.0, 0.4])
    ]
    left, right = (area_tokens(plan, name, TOKEN) for name in ("left", "right"))
    assert (left & right).any()
    both = added(pipe, plan, control_regions=["left", "right"], **options)
    for one, first, second in zip(both, *alone, strict=True):
        torch.testing.assert_close(one, first * left[:, None] + second * right[:, None])
        assert not one[:, ~(left | right)].any()
    half = added(pipe, plan, control_regions=["left", None], **options)
    for one, first, second in zip(half, *alone, strict=True):
        torch.testing.assert_close(one, first * left[:, None] + second)
    steps = {"num_inference_steps": 2}
    other = draw(pipe, plan, control_regions=["right", "left"], **options, **steps)
    assert not torch.equal(draw(pipe, plan, control_regions=["left", "right"], **options, **steps), other)


def test_plans_of_a_batch_have_their_own_areas(plan: ScenePlan) -> None:
    pipe, options = make_controlnet()
    names = {"left": "right", "right": "left"}
    regions = tuple(region.model_copy(update={"name": names[region.name]}) for region in plan.regions)
    swapped = plan.model_copy(update={"regions": regions})
    for plans, more, names_ in (([plan, swapped], {}, "left right"), (plan, {"num_images_per_prompt": 2}, "left left")):
        found = added(pipe, plans, control_regions="left", **more, **options)
        for row, name in enumerate(names_.split()):
            inside = area_tokens(plan, name, TOKEN)
            assert all(sample[row, inside].any() and not sample[row, ~inside].any() for sample in found)


def test_a_call_leaves_no_trace(plan: ScenePlan) -> None:
    pipe, options = make_two()
    before = draw(pipe, plan, **ONCE, **options)

    def fail(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(pipe, plan, control_regions=["left", "right"], callback_on_step_end=fail, **ONCE, **options)
    for module in pipe.controlnet.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert torch.equal(draw(pipe, plan, **ONCE, **options), before)


@pytest.mark.parametrize(
    ("areas", "message"),
    [
        ("middle", "^control_regions: 'middle': the plan has no such region; valid: left, right, background, global$"),
        (["left", None], "^control_regions: 2 areas for 1 control pictures; give one for each$"),
        (7, "^control_regions: 7: must be the name of an area, or one \\(or None\\) a ControlNet$"),
    ],
)
def test_what_is_no_area_is_refused(areas: Any, message: str, plan: ScenePlan) -> None:
    pipe, options = make_controlnet()
    with pytest.raises(InputError, match=message):
        RegionalPipeline(pipe).check(plan, control_regions=areas, **options)


def test_what_cannot_be_confined_is_refused(plan: ScenePlan) -> None:
    with pytest.raises(InputError, match=r"^control_regions: FluxPipeline has no ControlNet$"):
        RegionalPipeline(make_text_to_image()[0]).check(plan, control_regions="left")
    pipe, options = make_controlnet()
    with pytest.raises(
        InputError, match=r"^control_regions: 'background': the regions leave nothing of it; valid: .*, global$"
    ):
        RegionalPipeline(pipe).check(whole(plan), control_regions="background", **options)
    pipe, options = make_two()
    with pytest.raises(InputError, match=r"^control_regions: 1 areas for 2 control pictures"):
        RegionalPipeline(pipe).check(plan, control_regions="left", **options)
