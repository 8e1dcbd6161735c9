"""How a pipeline is called: what it takes, how many steps it runs, how it encodes a text, what a plan tells it.

One kind of pipeline a class: diffusers' classic ones here, those of blocks in `modular.py`. Families, programs and
methods know of neither.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.facts import ModelFacts
from strata.injection.families import Family, family_of
from strata.injection.ownership import Owner

FROM_PLAN = {
    "prompt": "the plan's prompt",
    "width": "plan.resized(width, height)",
    "height": "plan.resized(width, height)",
    "generator": "seed=",
}
OF_PROMPT = ("prompt_embeds", "pooled_prompt_embeds", "prompt_attention_mask", "prompt_embeds_mask")
EMBEDS = (*OF_PROMPT, *(f"negative_{name}" for name in OF_PROMPT))
_FROM_TEXTS = ("prompt_2", "negative_prompt", "negative_prompt_2", "num_images_per_prompt", *EMBEDS)
_EMBEDDED = {
    "prompt_2": "prompt_embeds",
    "negative_prompt": "negative_prompt_embeds",
    "negative_prompt_2": "negative_prompt_embeds",
}
"""Texts, and the embeddings that stand in their place."""
_MOST_SEED = 2**63 - 1
_MOST_TOKENS = 512
"""Tokens of a text that pipelines take at most, where their default is no higher."""
_MOST_SCALE = 1000
_WHOLE = {"num_images_per_prompt": 2**16}
"""Options that are whole numbers from 1, and up to which."""
_NUMBERS = {"guidance_scale": _MOST_SCALE, "true_cfg_scale": _MOST_SCALE, "strength": 1}
"""Options that are numbers from 0, and up to which."""
_NEVER_NONE = ("max_sequence_length", *_NUMBERS)


@dataclass(frozen=True)
class PreparedCall:
    """A pipeline's call, ready to run.

    Attributes:
        run: runs it; returns what the pipeline returns.
        negative: the embedding of its unconditional transformer calls; None: it makes none.
        step: tells the denoising step that is running, from 0; None: every conditional transformer call is one.
    """

    run: Callable[[], Any]
    negative: Tensor | None = None
    step: Callable[[], int] | None = None


def channels(vae: Any) -> int:
    """Of an autoencoder's latents."""
    found: int = vae.config["z_dim"] if "z_dim" in vae.config else vae.config["latent_channels"]
    return found


class PipelineCall(ABC):
    """The call of a pipeline.

    Args:
        pipe: a pipeline whose transformer a family knows.

    Raises:
        InputError: it takes no prompt.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe

    @abstractmethod
    def defaults(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the call takes beside these options, and they themselves, with defaults."""

    @property
    @abstractmethod
    def takes_negative(self) -> bool:
        """Whether the call takes a negative prompt, be it as its embedding alone."""

    @abstractmethod
    def guided(self, facts: ModelFacts, options: Mapping[str, Any]) -> bool:
        """Whether the call makes unconditional calls of the transformer."""

    @abstractmethod
    def why_ignored(self, facts: ModelFacts, options: Mapping[str, Any]) -> str | None:
        """Why a negative prompt would change nothing; None where it does."""

    @abstractmethod
    def encode(self, prompt: str, prompt_2: str | None, max_length: int, scale: float | None) -> Mapping[str, Tensor]:
        """A text as the pipeline's call takes it encoded: tensors of one row, `prompt_embeds` `[1, L, C]` among them.

        Args:
            prompt: the text.
            prompt_2: what a second text encoder is to read instead.
            max_length: tokens at most.
            scale: of LoRA adapters in the text encoders.
        """

    @property
    @abstractmethod
    def encoder(self) -> Any:
        """The object that encodes texts; what its module logs of cut texts is told elsewhere."""

    @abstractmethod
    def prepare(
        self,
        plan: ScenePlan,
        facts: ModelFacts,
        texts: Mapping[str, Tensor] | None,
        options: Mapping[str, Any],
        generator: Any,
        owner: Owner | None,
    ) -> PreparedCall:
        """The call that draws plans of one size.

        Args:
            plan: the first.
            facts: of the model.
            texts: their prompts, encoded, one row a plan or a picture; None: the pipeline encodes the plan's itself.
            options: of the call, checked.
            generator: of the noise; None: random.
            owner: whose call it is; its callbacks are lent.
        """

    @abstractmethod
    def release(self) -> None:
        """End what a call that broke off left behind."""

    @abstractmethod
    def offload(self, device: str) -> None:
        """Have each model on the device only while it is at work."""

    @abstractmethod
    def quiet(self) -> None:
        """Show no progress bars."""

    def check(self, plan: ScenePlan, facts: ModelFacts, options: Mapping[str, Any]) -> None:
        """Raise `InputError` for options that the call does not take, or that the plan gives already."""
        kind, takes = type(self.pipe).__name__, self.defaults(options)
        for name in options:
            if name in FROM_PLAN:
                raise InputError(f"{name}: comes from the plan here; use {FROM_PLAN[name]}")
            if name not in takes:
                known = ", ".join(sorted(p for p in takes if p not in FROM_PLAN))
                raise InputError(f"{name}: {kind} takes no such option{self.hint(name)}; valid: {known}")
        for name, value in options.items():
            if value is not None or name in _NEVER_NONE:
                self._check_option(name, value)
        self._check_latents(plan, facts, options)
        self._check_texts(plan, options)
        if plan.negative_prompt is not None:
            if "negative_prompt" in options:
                raise InputError("negative_prompt: comes from the plan here; leave it out in one of them")
            if (reason := self.why_ignored(facts, options)) is not None:
                raise plan.error(("negative_prompt",), reason)

    def hint(self, name: str) -> str:
        """What to say of an option that is not taken."""
        return ""

    def _check_option(self, name: str, value: Any) -> None:
        """Raise `InputError` for a value that the option cannot have."""
        most = max(_MOST_TOKENS, self.defaults({}).get("max_sequence_length") or 0)
        whole = {**_WHOLE, "max_sequence_length": most}
        if name in whole and (type(value) is not int or not 1 <= value <= whole[name]):
            raise InputError(f"{name}: {value!r}: must be a whole number from 1 to {whole[name]}")
        if name in _NUMBERS:
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not number or not 0 <= value <= _NUMBERS[name]:
                raise InputError(f"{name}: {value!r}: must be a number from 0 to {_NUMBERS[name]}")
        if name == "callback_on_step_end" and not callable(value):
            raise InputError(f"{name}: {value!r}: must be a function of pipeline, step, timestep and tensors")

    def _check_texts(self, plan: ScenePlan, options: Mapping[str, Any]) -> None:
        """Raise `InputError` for texts that would not be heard beside the others."""
        given = {name for name, value in options.items() if value is not None}
        given |= {"negative_prompt"} if plan.negative_prompt is not None else set()
        for name, embeds in _EMBEDDED.items():
            if {name, embeds} <= given:
                raise InputError(f"{name}: {embeds} stands in its place; leave one of them out")
        if "negative_prompt_2" in given and "negative_prompt" not in given:
            raise InputError(
                "negative_prompt_2: changes nothing without a negative_prompt; give one beside it, or in the plan"
            )

    def _check_latents(self, plan: ScenePlan, facts: ModelFacts, options: Mapping[str, Any]) -> None:
        """Raise `InputError` for latents that are not the canvas's, packed `[B, L, C]` or as the family has them."""
        latents = options.get("latents")
        if latents is None:
            return
        if not isinstance(latents, Tensor) or not latents.is_floating_point():
            kind = latents.dtype if isinstance(latents, Tensor) else type(latents).__name__
            raise InputError(f"latents: {kind}: must be a tensor of floating-point numbers")
        found, vae = tuple(latents.shape), getattr(self.pipe, "vae", None)
        rows, cols = plan.height // facts.token_size, plan.width // facts.token_size
        wanted: tuple[int | None, ...] = (None, rows * cols, None if vae is None else 4 * channels(vae))
        axes = "pictures, image tokens, channels"
        if "max_area" in self.defaults(options):  # may draw another size than the plan's
            wanted = (None, None, wanted[2])
        if not family_of(self.pipe.transformer).packed_latents:
            wanted, axes = (None, wanted[2], rows, cols), "pictures, channels, rows and columns of image tokens"
        if len(found) != len(wanted) or any(w not in (None, have) for w, have in zip(wanted, found, strict=True)):
            shape = ", ".join("…" if side is None else str(side) for side in wanted)
            raise InputError(f"latents: shape {list(found)}: must be [{shape}] ({axes})")

    def option(self, name: str, options: Mapping[str, Any]) -> Any:
        """What is asked for, else the call's default."""
        return options[name] if name in options else self.defaults(options)[name]

    def steps(self, options: Mapping[str, Any]) -> int:
        """Denoising steps that the call will run, as diffusers' `get_timesteps` counts them for image to image.

        Raises:
            InputError: `num_inference_steps` is no number of steps.
        """
        given = next((options[name] for name in ("timesteps", "sigmas") if options.get(name) is not None), None)
        if given is not None:
            steps = len(given)
        else:
            steps = self.option("num_inference_steps", options)
            most = self.pipe.scheduler.config.num_train_timesteps
            if type(steps) is not int or not 1 <= steps <= most:
                raise InputError(f"num_inference_steps: {steps!r}: must be a whole number from 1 to {most}")
        if "strength" not in self.defaults(options):
            return steps
        strength = self.option("strength", options)
        left = steps - int(max(steps - min(steps * strength, steps), 0))
        if left < 1:
            raise InputError(f"strength: {strength:g}: leaves none of {steps} steps; raise one of them")
        return left

    def text_length(self, facts: ModelFacts, options: Mapping[str, Any]) -> int:
        """Tokens of a text at most."""
        default = min(self.defaults({}).get("max_sequence_length") or facts.text_length, facts.text_length)
        given: int = options.get("max_sequence_length", default)
        return given

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


class ClassicPipeline(PipelineCall):
    """The call of a `DiffusionPipeline`."""

    def __init__(self, pipe: Any) -> None:
        super().__init__(pipe)
        if "prompt" not in self._parameters or not hasattr(pipe, "encode_prompt"):
            raise InputError(f"pipe: {type(pipe).__name__} takes no prompt; load the pipeline that draws from prompts")

    @cached_property
    def _parameters(self) -> Mapping[str, Any]:
        parameters = inspect.signature(self.pipe.__call__).parameters
        return {name: parameter.default for name, parameter in parameters.items()}

    @property
    def _family(self) -> Family:
        return family_of(self.pipe.transformer)

    def defaults(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `PipelineCall`: the parameters of the call."""
        return self._parameters

    @property
    def takes_negative(self) -> bool:
        """See `PipelineCall`."""
        return "negative_prompt_embeds" in self._parameters

    def why_ignored(self, facts: ModelFacts, options: Mapping[str, Any]) -> str | None:
        """See `PipelineCall`."""
        if facts.negative_scale is None or not self.takes_negative:
            return f"{type(self.pipe).__name__} takes no negative prompt"
        scale = self.option(facts.negative_scale, options)
        if scale > facts.unguided:
            return None
        return f"is ignored at {facts.negative_scale} {scale:g}; set it above {facts.unguided:g}"

    def guided(self, facts: ModelFacts, options: Mapping[str, Any]) -> bool:
        """See `PipelineCall`."""
        if facts.negative_scale is None or not self.takes_negative:
            return False
        always = facts.negative_scale == "guidance_scale"
        told = always or options.get("negative_prompt") is not None
        return told and self.option(facts.negative_scale, options) > facts.unguided

    @property
    def encoder(self) -> Any:
        """See `PipelineCall`."""
        return self.pipe

    def encode(self, prompt: str, prompt_2: str | None, max_length: int, scale: float | None) -> Mapping[str, Tensor]:
        """See `PipelineCall`: by `encode_prompt`, which every family calls in its own way."""
        return self._family.encode_prompt(self.pipe, prompt, prompt_2, max_length, scale)

    def prepare(
        self,
        plan: ScenePlan,
        facts: ModelFacts,
        texts: Mapping[str, Tensor] | None,
        options: Mapping[str, Any],
        generator: Any,
        owner: Owner | None,
    ) -> PreparedCall:
        """See `PipelineCall`; texts have one row a picture, for there are pipelines that repeat no embeddings."""
        inputs = {name: value for name, value in options.items() if texts is None or name not in _FROM_TEXTS}
        inputs |= {"width": plan.width, "height": plan.height}
        inputs |= self._family.call_options
        if "max_sequence_length" in self._parameters:
            inputs["max_sequence_length"] = self.text_length(facts, options)
        if generator is not None:
            inputs["generator"] = generator
        if texts is None:
            inputs["prompt"] = plan.prompt
        else:
            images = options.get("num_images_per_prompt") or 1  # 1 where there are several plans
            for name, rows in texts.items():
                repeats = max(images // len(rows), 1)
                inputs[name] = rows if repeats == 1 else rows.repeat_interleave(repeats, dim=0)
        if (callback := inputs.get("callback_on_step_end")) is not None:
            if hasattr(callback, "tensor_inputs"):  # a PipelineCallback of diffusers, by its class
                inputs["callback_on_step_end_tensor_inputs"] = callback.tensor_inputs
            inputs["callback_on_step_end"] = callback if owner is None else owner.lend(callback)

        def run() -> Any:
            with self._family.calling(self.pipe):
                return self.pipe(**inputs)

        return PreparedCall(run, inputs.get("negative_prompt_embeds"))

    def release(self) -> None:
        """See `PipelineCall`: offloading."""
        self.pipe.maybe_free_model_hooks()

    def offload(self, device: str) -> None:
        """See `PipelineCall`."""
        self.pipe.enable_model_cpu_offload(device=device)

    def quiet(self) -> None:
        """See `PipelineCall`."""
        self.pipe.set_progress_bar_config(disable=True)


def call_of(pipe: Any) -> PipelineCall:
    """How this pipeline is called.

    Raises:
        InputError: it takes no prompt.
    """
    from diffusers import ModularPipeline

    if isinstance(pipe, ModularPipeline):
        from strata.injection.modular import ModularCall

        return ModularCall(pipe)
    return ClassicPipeline(pipe)
