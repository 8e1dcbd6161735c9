"""How a `ModularPipeline` of diffusers is called, whatever blocks it is made of.

For the time of a call a copy of its blocks takes their place: where the text step was, the encoded texts are handed
out; in each denoising loop, the step is noted before the transformer is called, and a callback called behind it. All
other blocks are the pipeline's own.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from diffusers import ComponentsManager
from diffusers.modular_pipelines import (
    ModularPipelineBlocks,
    OutputParam,
    PipelineState,
    SequentialPipelineBlocks,
)
from torch import Tensor

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.block_paths import (
    EMBEDDING,
    PROMPT,
    at_path,
    loops,
    only_text_step,
    put,
    triggers,
    without_rewriters,
)
from strata.injection.calling import EMBEDS, PipelineCall, PreparedCall
from strata.injection.errors import UnsupportedError
from strata.injection.facts import ModelFacts
from strata.injection.ownership import Owner

NEGATIVE = "negative_prompt_embeds"
_OWN: Mapping[str, Any] = {
    "output": None,
    "callback_on_step_end": None,
    "callback_on_step_end_tensor_inputs": ("latents",),
}
"""What the call takes that no block does."""
_SIZE = ("width", "height")
_LOGGER = "diffusers.modular_pipelines.modular_pipeline"
_TOLD_TWICE = "Error in block"


# Blocks of ours


class EncodedTexts(ModularPipelineBlocks):
    """Stands in for a text step: hands out what it would have made."""

    def __init__(self, step: Any, texts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.model_name, self._made, self._texts = step.model_name, step.intermediate_outputs, texts

    @property
    def description(self) -> str:
        """For people."""
        return "Hands out texts that are encoded already"

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """Those of the text step."""
        return list(self._made)

    def __call__(self, components: Any, state: PipelineState) -> tuple[Any, PipelineState]:
        """Set them all, those that there are not to None."""
        for made in self._made:
            state.set(made.name, self._texts.get(made.name), made.kwargs_type)
        return components, state


class CallBegins(ModularPipelineBlocks):
    """The first block of a call that somebody owns."""

    def __init__(self, owner: Owner | None) -> None:
        super().__init__()
        self._owner = owner

    def __call__(self, components: Any, state: PipelineState) -> tuple[Any, PipelineState]:
        """Raise `UnsupportedError` for anybody else."""
        if self._owner is not None:
            self._owner.begin()
        return components, state


class StepBegins(ModularPipelineBlocks):
    """The first block of a denoising loop: notes which step is running.

    While the call lasts, the pipeline tells its number of steps as classic ones do, by `num_timesteps`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step = -1

    def __call__(self, components: Any, block_state: Any, i: int, t: Tensor) -> tuple[Any, Any]:
        """Note it."""
        self.step, components.num_timesteps = int(i), len(block_state.timesteps)
        return components, block_state


class StepEnds(ModularPipelineBlocks):
    """The last block of a denoising loop: calls back, as classic pipelines do.

    Args:
        callback: called with pipeline, step, timestep and tensors; what it returns of them takes their place.
        names: of those tensors.
    """

    def __init__(self, callback: Callable[..., Any], names: Sequence[str]) -> None:
        super().__init__()
        self._callback, self._names = callback, tuple(names)

    def __call__(self, components: Any, block_state: Any, i: int, t: Tensor) -> tuple[Any, Any]:
        """Call back."""
        tensors = {name: getattr(block_state, name) for name in self._names}
        for name, value in (self._callback(components, int(i), t, tensors) or {}).items():
            setattr(block_state, name, value)
        return components, block_state


def watched(loop: Any, callback: Callable[..., Any] | None = None, names: Sequence[str] = ()) -> StepBegins:
    """Put our blocks around those of a loop; returns what notes its steps."""
    begin = StepBegins()
    loop.sub_blocks.insert("strata_step_begins", begin, 0)
    if callback is not None:
        loop.sub_blocks.insert("strata_step_ends", StepEnds(callback, names), len(loop.sub_blocks))
    return begin


# Parts of a call that RegionalDenoiseStep shares


def check_guider(guider: Any) -> None:
    """Raise `UnsupportedError` for a guider that calls the transformer with the prompt, and blocks skipped, again."""
    if guider is None or not guider._enabled:
        return
    again = [name for name in guider._input_predictions or () if name.startswith("pred_cond_")]
    if again:
        raise UnsupportedError(
            f"guider: {type(guider).__name__} calls the transformer with the prompt a second time and skips parts of"
            f" its blocks ({', '.join(again)}), where regions would be missing; use ClassifierFreeGuidance or another"
            " guider that makes one conditional call a step, or disable it"
        )


def encode_by(step: Any, components: Any, told: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a text step makes of a prompt and its other inputs: the tensors among its outputs, by name.

    The guider stands aside meanwhile, so that no negative prompt is encoded beside it.

    Raises:
        UnsupportedError: its embedding is no tensor.
    """
    state = PipelineState()
    for param in step.inputs:
        if param.name is not None:
            state.set(param.name, told.get(param.name, param.default), param.kwargs_type)
    alone = copy.copy(components)
    alone.guider = None
    _, state = step(alone, state)
    values = {made.name: state.get(made.name) for made in step.intermediate_outputs}
    if not isinstance(values[EMBEDDING], Tensor):
        kind = type(values[EMBEDDING]).__name__
        raise UnsupportedError(f"pipe: {type(step).__name__} makes a {kind} of a text, and not one tensor")
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


class ModularCall(PipelineCall):
    """The call of a `ModularPipeline`."""

    def __init__(self, pipe: Any) -> None:
        super().__init__(pipe)
        kind, blocks = type(pipe).__name__, pipe.blocks
        self._path = only_text_step(blocks, kind)
        self._text = at_path(blocks, self._path)
        self._blocks = without_rewriters(blocks, self._path)
        self._triggers, self._choices = sorted({*triggers(self._blocks)}), dict[Any, Any]()
        if not any(loops(blocks)):
            raise InputError(f"pipe: {kind}: has no denoising loop (a LoopSequentialPipelineBlocks) among its blocks")

    def defaults(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `PipelineCall`: the inputs of those blocks that run with these options."""
        found = {param.name: param.default for param in self._chosen(options).inputs if param.name is not None}
        found.pop("prompt_2", None)
        embeds = [name for name in self._text.intermediate_output_names if name in EMBEDS]
        scale = getattr(self._guider(), "guidance_scale", None)
        guidance = {} if scale is None else {"guidance_scale": scale}
        return {**guidance, **found, **dict.fromkeys(embeds), **_OWN}

    def _chosen(self, options: Mapping[str, Any]) -> Any:
        """The blocks that run with these options; chosen once for all options that choose alike."""
        told = {**options, PROMPT: ""}
        given = {name: told[name] for name in self._triggers if told.get(name) is not None}
        key = tuple((name, value if isinstance(value, str | int | float) else None) for name, value in given.items())
        if key not in self._choices:
            self._choices[key] = self._blocks.get_execution_blocks(**given)
        return self._choices[key]

    def hint(self, name: str) -> str:
        """See `PipelineCall`."""
        if name == "prompt_2":
            return " (its text step reads one prompt)"
        if name in self._blocks.input_names:
            return " beside those given: the blocks that take it are left out without their picture"
        return " (the plan's prompt is drawn as it is)" if name in self.pipe._blocks.input_names else ""

    def check(self, plan: ScenePlan, facts: ModelFacts, options: Mapping[str, Any]) -> None:
        """See `PipelineCall`."""
        super().check(plan, facts, options)
        kind, chosen = type(self.pipe).__name__, self._chosen(options)
        if missing := [side for side in _SIZE if side not in chosen.input_names]:
            raise InputError(f"pipe: {kind}: takes no {' and no '.join(missing)}; plans have a size")
        without = {*self._text.component_names, *({"vae"} if options.get("output_type") == "latent" else ())}
        for name in self.missing(options):
            if name not in without:
                raise InputError(f"pipe: its {name} is not loaded; pipe.load_components({name!r}) loads it")
        check_guider(self._guider(options))

    def _guider(self, options: Mapping[str, Any] | None = None) -> Any:
        """The guider of a call with these options: a copy, for it counts steps; None where there is none."""
        guider = copy.copy(getattr(self.pipe, "guider", None))
        if guider is not None and (options or {}).get("guidance_scale") is not None:
            guider.guidance_scale = (options or {})["guidance_scale"]
        return guider

    @property
    def takes_negative(self) -> bool:
        """See `PipelineCall`."""
        return NEGATIVE in self._text.intermediate_output_names and getattr(self.pipe, "guider", None) is not None

    def guided(self, facts: ModelFacts, options: Mapping[str, Any]) -> bool:
        """See `PipelineCall`: whether the guider asks for more than one condition at some step."""
        if not self.takes_negative:
            return False
        guider, steps = self._guider(options), self.steps(options)
        for step in range(steps):
            guider.set_state(step=step, num_inference_steps=steps, timestep=None)
            if guider.num_conditions > 1:
                return True
        return False

    def why_ignored(self, facts: ModelFacts, options: Mapping[str, Any]) -> str | None:
        """See `PipelineCall`."""
        if not self.takes_negative:
            return f"{type(self.pipe).__name__} takes no negative prompt"
        if self.guided(facts, options):
            return None
        return f"is ignored by its guider ({type(self.pipe.guider).__name__}), which makes no unconditional calls"

    @property
    def encoder(self) -> Any:
        """See `PipelineCall`: the text step."""
        return self._text

    def encode(self, prompt: str, prompt_2: str | None, max_length: int, scale: float | None) -> Mapping[str, Tensor]:
        """See `PipelineCall`: by the text step."""
        told: dict[str, Any] = {PROMPT: prompt, "max_sequence_length": max_length}
        if scale is not None:
            told["joint_attention_kwargs"] = {"scale": scale}
        return encode_by(self._text, self.pipe, told)

    def prepare(
        self,
        plan: ScenePlan,
        facts: ModelFacts,
        texts: Mapping[str, Tensor] | None,
        options: Mapping[str, Any],
        generator: Any,
        owner: Owner | None,
    ) -> PreparedCall:
        """See `PipelineCall`; texts have one row a plan, for the pipeline's own blocks repeat them."""
        blocks, callback = copy.deepcopy(self._blocks), options.get("callback_on_step_end")
        if texts is not None:
            put(blocks, self._path, EncodedTexts(self._text, texts))
        if callback is not None and owner is not None:
            callback = owner.lend(callback)
        names = options.get("callback_on_step_end_tensor_inputs") or _OWN["callback_on_step_end_tensor_inputs"]
        begins = [watched(at_path(blocks, path), callback, names) for path in loops(blocks)]
        whole = SequentialPipelineBlocks.from_blocks_dict({"strata_call_begins": CallBegins(owner), "blocks": blocks})
        told = {name: value for name, value in options.items() if value is not None} | {
            "prompt": plan.prompt,
            "width": plan.width,
            "height": plan.height,
            "max_sequence_length": self.text_length(facts, options),
            "generator": generator,
        }
        inputs = {name: value for name, value in told.items() if name in whole.input_names}
        guider = self._guider(options)

        def run() -> Any:
            with _for_a_call(self.pipe, _blocks=whole, **({} if guider is None else {"guider": guider})):
                return self.pipe(output=options.get("output"), **inputs)

        return PreparedCall(run, (texts or {}).get(NEGATIVE), lambda: max(begin.step for begin in begins))

    def release(self) -> None:
        """See `PipelineCall`: a components manager moves models when others are called."""

    def offload(self, device: str) -> None:
        """See `PipelineCall`: by a `ComponentsManager`."""
        manager = ComponentsManager()
        for name, part in self.pipe.components.items():
            if part is not None:
                manager.add(name, part)
        manager.enable_auto_cpu_offload(device=device)

    def quiet(self) -> None:
        """See `PipelineCall`: of each loop, for the pipeline asks its outermost blocks alone."""
        for path in loops(self.pipe._blocks):
            at_path(self.pipe._blocks, path).set_progress_bar_config(disable=True)
        self._blocks = without_rewriters(self.pipe.blocks, self._path)

    def missing(self, options: Mapping[str, Any] | None = None) -> list[str]:
        """The components that drawing with these options takes, and that are not loaded."""
        names = self._chosen(options or {}).component_names
        return [name for name in names if getattr(self.pipe, name, None) is None]


@contextmanager
def _for_a_call(pipe: Any, **parts: Any) -> Iterator[None]:
    """While the context lasts, the pipeline has these attributes; an error in it is raised, and not logged as well."""

    def other(record: logging.LogRecord) -> bool:
        return not str(record.msg).lstrip().startswith(_TOLD_TWICE)

    own, logger = vars(pipe), logging.getLogger(_LOGGER)
    before = {name: own[name] for name in parts}
    logger.addFilter(other)
    own.update(parts)
    try:
        yield
    finally:
        own.update(before)
        own.pop("num_timesteps", None)
        logger.removeFilter(other)
