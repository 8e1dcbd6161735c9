"""`RegionalPipeline`: a plan goes in, any loaded diffusers FLUX pipeline draws it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import Session, attached
from strata.injection.blocks import StepPlanner
from strata.injection.checks import check_pipeline, check_strengths, check_transformer
from strata.injection.encoding import TextCache
from strata.injection.layout import TokenLayout
from strata.injection.streams import Stream, Swap, plan_streams
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.layers.schedule import Schedule

_FROM_PLAN = {
    "prompt": "the plan's prompt",
    "prompt_embeds": "the plan's prompt",
    "pooled_prompt_embeds": "the plan's prompt",
    "width": "plan.resized(width, height)",
    "height": "plan.resized(width, height)",
    "generator": "seed=",
}


class RegionalPipeline:
    """Draws plans with a diffusers FLUX pipeline: each description heard in its region, at its depth, at its steps.

    The pipeline itself is never changed for longer than a call: it can be used plain beside this, with LoRAs loaded and
    unloaded, offloaded or compiled by blocks.

    Args:
        pipe: any loaded FLUX pipeline that takes a prompt (FluxPipeline, img2img, inpaint, Fill, Kontext, ControlNet).
        routing: a `Routing`, a preset's name, or the path of a routing file.

    Raises:
        InputError: `pipe` is no FLUX pipeline, or the routing cannot be read.

    Example:
        >>> regional = RegionalPipeline(FluxPipeline.from_pretrained("black-forest-labs/FLUX.1-dev"), "coarse-to-fine")
        >>> regional(ScenePlan.load("plan.yaml"), seed=1).images[0]
    """

    def __init__(self, pipe: Any, routing: Routing | str | Path = DEFAULT_ROUTING) -> None:
        check_pipeline(pipe)
        self.pipe = pipe
        if not isinstance(routing, Routing | str | Path):
            raise InputError(f"routing: {routing!r}: must be a Routing, a preset's name or the path of a file")
        self.routing = routing if isinstance(routing, Routing) else Routing.load(routing)
        self._texts = TextCache(pipe)

    def __repr__(self) -> str:
        return f"RegionalPipeline({type(self.pipe).__name__}, routing={self.routing.name!r})"

    @property
    def token_size(self) -> int:
        """Pixels that one image token covers, along each side."""
        return 2 * int(self.pipe.vae_scale_factor)

    def clear_texts(self) -> None:
        """Forget encoded texts; needed only after the weights of a text encoder were changed in place."""
        self._texts.clear()

    def schedule(self, steps: int, plan: ScenePlan | None = None) -> Schedule:
        """The routing resolved for this pipeline's transformer: balanced for a plan, or (without one) as written.

        Raises:
            InputError: a rule of the routing matches no block or step of this model.
        """
        routing = self.routing if plan is None else self.routing.balanced_for(plan)
        doubles, singles = self.pipe.transformer.transformer_blocks, self.pipe.transformer.single_transformer_blocks
        return routing.resolve(len(doubles), len(singles), steps)

    def check(self, plan: ScenePlan, *, swaps: Sequence[Swap] = (), **options: Any) -> tuple[Stream, ...]:
        """Everything that can be wrong with a plan and options on this pipeline, before anything expensive.

        Returns the text streams that will be heard.

        Raises:
            InputError: the canvas is no multiple of the token size, a region has no token, the routing does not fit, an
                option is unknown or given by the plan already.
            UnsupportedError: the pipeline is in a mode that regional prompting cannot work with.
        """
        if not isinstance(plan, ScenePlan):
            raise InputError(f"plan: {plan!r}: must be a ScenePlan; ScenePlan.load(path) reads one from a file")
        parameters = inspect.signature(self.pipe.__call__).parameters
        for name in options:
            if name in _FROM_PLAN:
                raise InputError(f"{name}: comes from the plan here; use {_FROM_PLAN[name]}")
            if name not in parameters:
                known = ", ".join(sorted(p for p in parameters if p not in _FROM_PLAN))
                raise InputError(f"{name}: {type(self.pipe).__name__} takes no such option; valid: {known}")
        if plan.negative_prompt is not None:
            if "negative_prompt" in options:
                raise InputError("negative_prompt: comes from the plan here; leave it out in one of them")
            if "true_cfg_scale" not in parameters:
                raise plan.error(("negative_prompt",), f"{type(self.pipe).__name__} takes no negative prompt")
            scale = options.get("true_cfg_scale", parameters["true_cfg_scale"].default)
            if scale <= 1:
                raise plan.error(("negative_prompt",), f"is ignored at true_cfg_scale {scale:g}; set it above 1")
        for side in ("width", "height"):
            pixels = getattr(plan, side)
            if pixels % self.token_size:
                low = pixels // self.token_size * self.token_size
                near = " or ".join(str(n) for n in (low, low + self.token_size) if n)
                message = f"{pixels}: must be a multiple of {self.token_size}, the model's token size; nearest: {near}"
                raise plan.error((side,), message)
        token_grid(plan, plan.height // self.token_size, plan.width // self.token_size)
        check_transformer(self.pipe.transformer)
        steps = len(options["sigmas"]) if options.get("sigmas") is not None else self._steps(options)
        streams = plan_streams(plan, self.schedule(steps, plan), swaps)
        if any(((s.weight > 0) & (s.weight < 1)).any() for s in streams):
            check_strengths(self.pipe.transformer)
        return streams

    def _steps(self, options: dict[str, Any]) -> int:
        default = inspect.signature(self.pipe.__call__).parameters["num_inference_steps"].default
        steps = options.get("num_inference_steps", default)
        most = self.pipe.scheduler.config.num_train_timesteps
        if type(steps) is not int or not 1 <= steps <= most:
            raise InputError(f"num_inference_steps: {steps!r}: must be a whole number from 1 to {most}")
        return steps

    def __call__(self, plan: ScenePlan, *, seed: int | None = None, swaps: Sequence[Swap] = (), **options: Any) -> Any:
        """Draw `plan`.

        Args:
            plan: what to draw; its size, prompt and negative prompt are the pipeline's.
            seed: of the noise; None draws one at random.
            swaps: texts that are others in some blocks or at some steps.
            options: what the pipeline's own call takes beside these (num_inference_steps, guidance_scale,
                num_images_per_prompt, image, mask_image, control_image, callback_on_step_end, …).

        Returns:
            What the pipeline returns.

        Raises:
            InputError, UnsupportedError: as `check`.
        """
        if seed is not None and (type(seed) is not int or not 0 <= seed < 2**63):
            raise InputError(f"seed: {seed!r}: must be a whole number from 0 to {2**63 - 1}, or None")
        pipe, parameters = self.pipe, inspect.signature(self.pipe.__call__).parameters
        streams = self.check(plan, swaps=swaps, **options)
        options = dict(options, prompt=plan.prompt, width=plan.width, height=plan.height)
        if plan.negative_prompt is not None:
            options["negative_prompt"] = plan.negative_prompt
        if seed is not None:
            options["generator"] = torch.Generator("cpu").manual_seed(seed)
        longest = min(parameters["max_sequence_length"].default, pipe.tokenizer_2.model_max_length)
        max_length = options.setdefault("max_sequence_length", longest)
        for text in dict.fromkeys([plan.prompt, *(stream.text for stream in streams)]):
            self._texts.tell_cut(text, max_length)
        scale = (options.get("joint_attention_kwargs") or {}).get("scale")
        padded = self.routing.pad == "full"
        embeddings = {s.text: self._texts.stream(s.text, max_length, padded, scale) for s in streams}

        def prepare(img_ids: Tensor, base_length: int, steps: int) -> StepPlanner:
            canvas = img_ids[img_ids[:, 0] == img_ids[0, 0]]
            rows, cols = (int(canvas[:, axis].max() - canvas[:, axis].min()) + 1 for axis in (1, 2))
            grid = token_grid(plan, rows, cols)
            schedule = self.schedule(steps, plan)
            heard = [s for s in plan_streams(plan, schedule, swaps) if s.area != "background" or grid.background.any()]
            return StepPlanner(
                schedule=schedule,
                streams=heard,
                lengths=[embeddings[s.text].shape[1] for s in heard],
                base_length=base_length,
                layout=TokenLayout.of(grid, len(img_ids), img_ids.device),
                device=img_ids.device,
            )

        session = Session(prepare, embeddings, lambda: int(pipe.num_timesteps))

        def heard(call: int, embeds: Tensor) -> None:
            if call == 1:
                session.negative = embeds

        with self._texts.encoding(heard):
            if not streams:
                return pipe(**options)
            with attached(pipe.transformer, session):
                return pipe(**options)
