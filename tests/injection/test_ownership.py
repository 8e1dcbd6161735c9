"""A regional call owns its pipeline: others get an error, and its picture is what it is without them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import FluxImg2ImgPipeline
from diffusers.callbacks import PipelineCallback

from strata.hierarchy.plan import ScenePlan
from strata.injection.errors import UnsupportedError
from strata.injection.ownership import owned
from strata.injection.pipeline import RegionalPipeline
from tests.injection.conftest import make_text_to_image, picture, quiet
from tests.injection.test_pipelines import ROUTING, STEPS

Use = Callable[[], Any]


@pytest.fixture(scope="module")
def pipe() -> Any:
    return make_text_to_image()[0]


def plain(pipe: Any, plan: ScenePlan) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    images: torch.Tensor = pipe(
        prompt=plan.prompt, width=plan.width, height=plan.height, generator=generator, **STEPS
    ).images
    return images


def uses(pipe: Any, plan: ScenePlan) -> dict[str, Use]:
    """Everything that somebody else may do with a pipeline."""
    other = quiet(FluxImg2ImgPipeline(**pipe.components))
    others = STEPS | {"num_inference_steps": 7}
    return {
        "plain": lambda: plain(pipe, plan),
        "another pipeline of its parts": lambda: other(prompt="a star", image=picture(), **others),
        "regional": lambda: RegionalPipeline(pipe, ROUTING)(plan, seed=1, **STEPS),
    }


def errors_of(use: Use, threaded: bool) -> list[BaseException]:
    found: list[BaseException] = []

    def run() -> None:
        try:
            use()
        except BaseException as error:
            found.append(error)

    if threaded:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "waits"
    else:
        run()
    return found


@pytest.mark.parametrize("threaded", [False, True], ids=["in a callback", "in a thread"])
@pytest.mark.parametrize("name", ["plain", "another pipeline of its parts", "regional"])
def test_nobody_else_uses_it(pipe: Any, plan: ScenePlan, name: str, threaded: bool) -> None:
    regional = RegionalPipeline(pipe, ROUTING)
    alone, before, own = regional(plan, seed=1, **STEPS).images, plain(pipe, plan), dict(vars(pipe))
    use, errors = uses(pipe, plan)[name], []

    def callback(*_: Any) -> dict[str, Any]:
        errors.extend(errors_of(use, threaded))
        return {}

    beside = regional(plan, seed=1, callback_on_step_end=callback, **STEPS).images
    assert len(errors) == STEPS["num_inference_steps"]
    for error in errors:
        assert isinstance(error, UnsupportedError)
        assert "already, by a call that is still running" in str(error)
    assert torch.equal(beside, alone)
    assert torch.equal(plain(pipe, plan), before)
    assert vars(pipe).keys() == own.keys()
    assert "set_timesteps" not in vars(pipe.scheduler)


def test_amid_a_transformer_call(pipe: Any, plan: ScenePlan) -> None:
    """Not at a callback: where the call itself is at work, in another thread or in a hook of its own."""
    regional, errors = RegionalPipeline(pipe, ROUTING), []
    alone = regional(plan, seed=1, **STEPS).images
    direct = {
        "hidden_states": torch.zeros(1, 4, 16),
        "encoder_hidden_states": torch.zeros(1, 24, 128),
        "pooled_projections": torch.zeros(1, 64),
        "timestep": torch.ones(1),
        "img_ids": torch.zeros(4, 3),
        "txt_ids": torch.zeros(24, 3),
        "guidance": torch.ones(1),
    }
    block = pipe.transformer.transformer_blocks[0]

    def amid(*_: Any) -> None:
        for use in (lambda: plain(pipe, plan), lambda: pipe.transformer(**direct)):
            errors.extend(errors_of(use, threaded=True))
        errors.extend(errors_of(lambda: plain(pipe, plan), threaded=False))

    hook = block.register_forward_pre_hook(amid)
    try:
        assert torch.equal(regional(plan, seed=1, **STEPS).images, alone)
    finally:
        hook.remove()
    assert len(errors) == 3 * STEPS["num_inference_steps"]
    assert all(isinstance(error, UnsupportedError) for error in errors)


def test_given_back_after_an_error(pipe: Any, plan: ScenePlan) -> None:
    regional, before = RegionalPipeline(pipe, ROUTING), plain(pipe, plan)
    alone = regional(plan, seed=1, **STEPS).images

    def fail(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        regional(plan, seed=1, callback_on_step_end=fail, **STEPS)
    with pytest.raises(ValueError, match="no such option"):
        regional(plan, seed=1, colour="red", **STEPS)
    own = pipe.check_inputs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipe, "check_inputs", own)
        assert torch.equal(regional(plan, seed=1, **STEPS).images, alone)
        assert vars(pipe)["check_inputs"] is own, "what stood there before stands there again"
    assert torch.equal(plain(pipe, plan), before)
    assert torch.equal(regional(plan, seed=1, **STEPS).images, alone)


def test_another_thread_is_not_taken_for_the_begin(pipe: Any) -> None:
    with owned(pipe) as owner:
        (error,) = errors_of(owner.begin, threaded=True)
        assert isinstance(error, UnsupportedError)
        owner.begin()


def test_a_callback_of_a_class_gets_its_tensors(pipe: Any, plan: ScenePlan) -> None:
    seen: list[list[str]] = []

    class Watching(PipelineCallback):
        @property
        def tensor_inputs(self) -> list[str]:
            return ["latents", "prompt_embeds"]

        def callback_fn(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            seen.append(sorted(tensors))
            return tensors

    watching = Watching(cutoff_step_ratio=None, cutoff_step_index=0)
    RegionalPipeline(pipe, ROUTING)(plan, seed=1, callback_on_step_end=watching, **STEPS)
    assert seen == [["latents", "prompt_embeds"]] * int(STEPS["num_inference_steps"])
