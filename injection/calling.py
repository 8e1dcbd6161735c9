"""How a classic diffusers pipeline is called: what it takes, how many steps it runs, what a plan tells it.

A `ModularPipeline` of blocks with guiders is to have a class of its own beside this one, for any family.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.facts import ModelFacts
from strata.injection.families import family_of

_FROM_PLAN = {
    "prompt": "the plan's prompt",
    "width": "plan.resized(width, height)",
    "height": "plan.resized(width, height)",
    "generator": "seed=",
}
_MOST_SEED = 2**63 - 1
_MOST_TOKENS = 512
"""T5 tokens that FLUX pipelines take at most."""
_MOST_SCALE = 1000
_WHOLE = {"max_sequence_length": _MOST_TOKENS, "num_images_per_prompt": 2**16}
"""Options that are whole numbers from 1, and up to which."""
_NUMBERS = {"guidance_scale": _MOST_SCALE, "true_cfg_scale": _MOST_SCALE, "strength": 1}
"""Options that are numbers from 0, and up to which."""
_NEVER_NONE = ("max_sequence_length", *_NUMBERS)


def _check_option(name: str, value: Any) -> None:
    """Raise `InputError` for a value that the option cannot have."""
    if name in _WHOLE and (type(value) is not int or not 1 <= value <= _WHOLE[name]):
        raise InputError(f"{name}: {value!r}: must be a whole number from 1 to {_WHOLE[name]}")
    if name in _NUMBERS:
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not 0 <= value <= _NUMBERS[name]:
            raise InputError(f"{name}: {value!r}: must be a number from 0 to {_NUMBERS[name]}")
    if name == "callback_on_step_end" and not callable(value):
        raise InputError(f"{name}: {value!r}: must be a function of pipeline, step, timestep and tensors")


def channels(vae: Any) -> int:
    """Of an autoencoder's latents."""
    found: int = vae.config["z_dim"] if "z_dim" in vae.config else vae.config["latent_channels"]
    return found


class ClassicPipeline:
    """The call of a `DiffusionPipeline`."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.parameters: Mapping[str, inspect.Parameter] = inspect.signature(pipe.__call__).parameters

    def check(self, plan: ScenePlan, facts: ModelFacts, options: Mapping[str, Any]) -> None:
        """Raise `InputError` for options that the call does not take, or that the plan gives already."""
        kind = type(self.pipe).__name__
        for name in options:
            if name in _FROM_PLAN:
                raise InputError(f"{name}: comes from the plan here; use {_FROM_PLAN[name]}")
            if name not in self.parameters:
                known = ", ".join(sorted(p for p in self.parameters if p not in _FROM_PLAN))
                raise InputError(f"{name}: {kind} takes no such option; valid: {known}")
        for name, value in options.items():
            if value is not None or name in _NEVER_NONE:
                _check_option(name, value)
        self._check_latents(plan, facts, options)
        if plan.negative_prompt is not None:
            if "negative_prompt" in options:
                raise InputError("negative_prompt: comes from the plan here; leave it out in one of them")
            if facts.negative_scale is None or not self.takes_negative:
                raise plan.error(("negative_prompt",), f"{kind} takes no negative prompt")
            scale = self.option(facts.negative_scale, options)
            if scale <= facts.unguided:
                message = f"is ignored at {facts.negative_scale} {scale:g}; set it above {facts.unguided:g}"
                raise plan.error(("negative_prompt",), message)

    def _check_latents(self, plan: ScenePlan, facts: ModelFacts, options: Mapping[str, Any]) -> None:
        """Raise `InputError` for latents that are not the canvas's, packed `[B, L, C]` or as the family has them."""
        latents = options.get("latents")
        if latents is None:
            return
        if not isinstance(latents, Tensor) or not latents.is_floating_point():
            kind = latents.dtype if isinstance(latents, Tensor) else type(latents).__name__
            raise InputError(f"latents: {kind}: must be a tensor of floating-point numbers")
        found, vae = tuple(latents.shape), self.pipe.vae
        rows, cols = plan.height // facts.token_size, plan.width // facts.token_size
        wanted: tuple[int | None, ...] = (None, rows * cols, None if vae is None else 4 * channels(vae))
        axes = "pictures, image tokens, channels"
        if "max_area" in self.parameters:  # may draw another size than the plan's
            wanted = (None, None, wanted[2])
        if not family_of(self.pipe.transformer).packed_latents:
            wanted, axes = (None, wanted[2], rows, cols), "pictures, channels, rows and columns of image tokens"
        if len(found) != len(wanted) or any(w not in (None, have) for w, have in zip(wanted, found, strict=True)):
            shape = ", ".join("…" if side is None else str(side) for side in wanted)
            raise InputError(f"latents: shape {list(found)}: must be [{shape}] ({axes})")

    @property
    def takes_negative(self) -> bool:
        """Whether the call takes a negative prompt, be it as its embedding alone."""
        return "negative_prompt_embeds" in self.parameters

    def option(self, name: str, options: Mapping[str, Any]) -> Any:
        """What is asked for, else the call's default."""
        return options.get(name, self.parameters[name].default)

    def guided(self, facts: ModelFacts, options: Mapping[str, Any]) -> bool:
        """Whether the call makes unconditional calls of the transformer."""
        if facts.negative_scale is None or not self.takes_negative:
            return False
        always = facts.negative_scale == "guidance_scale"
        told = always or any(options.get(name) is not None for name in ("negative_prompt", "negative_prompt_2"))
        return told and self.option(facts.negative_scale, options) > facts.unguided

    def steps(self, options: Mapping[str, Any]) -> int:
        """Denoising steps that the call will run, as diffusers' `get_timesteps` counts them for image to image.

        Raises:
            InputError: `num_inference_steps` is no number of steps.
        """
        if options.get("sigmas") is not None:
            steps = len(options["sigmas"])
        else:
            steps = self.option("num_inference_steps", options)
            most = self.pipe.scheduler.config.num_train_timesteps
            if type(steps) is not int or not 1 <= steps <= most:
                raise InputError(f"num_inference_steps: {steps!r}: must be a whole number from 1 to {most}")
        if "strength" not in self.parameters:
            return steps
        strength = self.option("strength", options)
        left = steps - int(max(steps - min(steps * strength, steps), 0))
        if left < 1:
            raise InputError(f"strength: {strength:g}: leaves none of {steps} steps; raise one of them")
        return left

    def text_length(self, facts: ModelFacts, options: Mapping[str, Any]) -> int:
        """Tokens of a text at most."""
        most = self.parameters.get("max_sequence_length")
        default = facts.text_length if most is None else min(most.default, facts.text_length)
        given: int = options.get("max_sequence_length", default)
        return given

    def given(self, facts: ModelFacts, options: Mapping[str, Any]) -> dict[str, Any]:
        """What every call is given beside the caller's options: the length of texts, and what the family asks for."""
        found = dict(family_of(self.pipe.transformer).call_options)
        if "max_sequence_length" in self.parameters:
            found["max_sequence_length"] = self.text_length(facts, options)
        return found

    def generator(self, seeds: Sequence[int | None]) -> Any:
        """Generators of the noise, one a plan; None where it is random."""
        for seed in seeds:
            whole = isinstance(seed, Integral) and not isinstance(seed, bool)
            if seed is not None and (not whole or not 0 <= seed <= _MOST_SEED):
                raise InputError(f"seed: {seed!r}: must be a whole number from 0 to {_MOST_SEED}, or None")
        if all(seed is None for seed in seeds):
            return None
        found = [torch.Generator("cpu") for _ in seeds]
        for generator, seed in zip(found, seeds, strict=True):
            generator.manual_seed(int(seed)) if seed is not None else generator.seed()
        return found[0] if len(found) == 1 else found
