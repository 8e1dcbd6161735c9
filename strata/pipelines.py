"""Pipelines of the same parts, and input pictures in the size that they are drawn in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from strata.hierarchy.errors import SettingError
from strata.hierarchy.plan import ScenePlan
from strata.injection.families import Family, facts_of

if TYPE_CHECKING:
    from PIL import Image

    from strata.injection.calling import PipelineCall
    from strata.record import RunSettings


class MemoryShort(SettingError):
    """There is too little memory."""


@contextmanager
def memory_told() -> Iterator[None]:
    """Turns running out of memory into a `MemoryShort` with what to try."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise MemoryShort(
                "out of memory: try <offload>, <dtype> bfloat16, a smaller <width> and <height>, or <device> cpu"
            ) from error
        raise


def of_the_same_parts(pipe: Any, name: str, more: Mapping[str, Any]) -> Any:
    """Diffusers' pipeline of this class name, of a pipeline's parts and configuration, and `more` parts."""
    import diffusers

    kind = getattr(diffusers, name)
    takes = inspect.signature(kind).parameters
    parts = {key: part for key, part in pipe.components.items() if key in takes} | dict(more)
    own = {key: value for key, value in pipe.config.items() if key in takes and key not in parts}
    return kind(**parts, **own)


def decoded(pipe: Any, family: Family, latents: Any, height: int, width: int) -> Image.Image:
    """A step's latents as a picture, decoded as the pipeline itself does at the end."""
    import torch

    with torch.no_grad():
        unpacked = family.unpacked(pipe, latents, height, width)
        pixels = pipe.vae.decode(unpacked.to(pipe.vae.dtype), return_dict=False)[0]
        pixels = pixels[:, :, 0] if pixels.ndim == 5 else pixels  # the one frame of a film
        image: Image.Image = pipe.image_processor.postprocess(pixels, output_type="pil")[0]
        return image


@contextmanager
def stepping(
    call: PipelineCall, after_step: Callable[..., Any], noise: Callable[[Any], None] | None = None
) -> Iterator[dict[str, Any]]:
    """The option of the pipeline's call with which `after_step` is called at the end of each step.

    What it returns of the tensors takes their place, as diffusers has it. Of a pipeline that takes no such option, and
    where the latents before the first step are asked for (`noise`), the scheduler is listened to while the context
    lasts.
    """
    calls_back = "callback_on_step_end" in call.defaults({})
    options = {"callback_on_step_end": after_step} if calls_back else {}
    if calls_back and noise is None:
        yield options
        return
    pipe = call.pipe
    stock, numbers = pipe.scheduler.step, count()

    def step(prediction: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        number = next(numbers)
        if number == 0 and noise is not None:
            noise(sample)
        found = stock(prediction, timestep, sample, *args, **kwargs)
        if calls_back:
            return found
        tensors = after_step(pipe, number, timestep, {"latents": found[0]})
        return (tensors["latents"], *found[1:]) if "latents" in tensors else found

    pipe.scheduler.step = step
    try:
        yield options
    finally:
        del pipe.scheduler.step


def call_plain(pipe: Any, plan: ScenePlan, seed: int, **options: Any) -> Any:
    """Draws a plan's prompt with the stock pipeline."""
    import torch

    from strata.injection.calling import call_of
    from strata.injection.cut_texts import stock_call

    call, generator = call_of(pipe), torch.Generator("cpu").manual_seed(seed)
    with stock_call(pipe, [plan.prompt]):
        return call.prepare(plan, facts_of(pipe), None, options, generator, None).run()


@contextmanager
def threads(settings: RunSettings) -> Iterator[None]:
    """While the context lasts, torch uses the recorded number of threads on a CPU: another may round differently."""
    import torch

    before = torch.get_num_threads()
    if settings.device != "cpu" or settings.threads == before:
        yield
        return
    torch.set_num_threads(settings.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sized_for(pipe: Any, family: Family, picture: Image.Image, plan: ScenePlan) -> Image.Image:
    """An input picture, in the plan's size where the pipeline would draw in the picture's.

    Raises:
        SettingError: the pipeline cannot draw a picture of that size.
    """
    kind = type(pipe).__name__
    most = family.sized_by_picture.get(kind)
    if most is None:
        return picture
    if plan.width * plan.height > most:
        raise SettingError(f"<image>: {plan.width}x{plan.height}: {kind} draws at most {most} pixels")
    return picture.resize((plan.width, plan.height))
