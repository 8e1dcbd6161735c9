"""Regional prompting as blocks of a `ModularPipeline`, for people who compose their own.

`RegionalTextEncoderStep` stands around a pipeline's text step, `RegionalDenoiseStep` around its denoising loop;
`regional_blocks` puts both where they belong. Everything else of the blocks stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from diffusers.modular_pipelines import (
    ComponentSpec,
    ConfigSpec,
    InputParam,
    LoopSequentialPipelineBlocks,
    ModularPipelineBlocks,
    OutputParam,
    PipelineState,
)

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.plan import ScenePlan
from strata.injection.block_paths import (
    EMBEDDING,
    PROMPT,
    TEXTS,
    at_path,
    loops,
    only_text_step,
    put,
    without_rewriters,
)
from strata.injection.calling import FROM_PLAN
from strata.injection.cut_texts import diffusers_silent, warn_truncated
from strata.injection.drawing import Draughtsman
from strata.injection.encoding import EncodedPlan, seen
from strata.injection.families import facts_of, family_of
from strata.injection.methods import method_for, method_named
from strata.injection.modular import NEGATIVE, check_guider, encode_by, watched
from strata.injection.ownership import owned
from strata.layers.routing import DEFAULT_ROUTING, Routing

_STEPS = 50
"""Denoising steps for which texts are encoded where none are asked for."""
_PLAN = InputParam("plan", type_hint=ScenePlan, required=True, description="What to draw; its size is the picture's")
_ROUTING = InputParam(
    "routing",
    type_hint=Routing,
    default=DEFAULT_ROUTING,
    description="Which level is heard in which blocks and steps: a Routing, a preset's name, or the path of a file",
)
_OF_PLAN = ("prompt", "width", "height")
_DRAWN = "regional_plan"
"""Where a state that goes on in another call tells which plan its prompt and size are of."""


def regional_blocks(blocks: Any, method: str | None = None) -> Any:
    """A copy of a pipeline's blocks that takes `plan` and `routing` in place of a prompt and a size.

    Args:
        blocks: of a pipeline that draws from a prompt, such as `FluxAutoBlocks()` or `pipe.blocks`.
        method: how programs are drawn, by name; None: as the routing asks for.

    Raises:
        InputError: they have no text step, more than one, or no denoising loop; there is no such method.

    Example:
        >>> pipe = regional_blocks(FluxAutoBlocks()).init_pipeline("black-forest-labs/FLUX.1-dev")
        >>> pipe.load_components(dtype=torch.bfloat16)
        >>> image = pipe(plan=ScenePlan.load("plan.yaml"), routing="coarse-to-fine", output="images")[0]
    """
    kind = type(blocks).__name__
    if not isinstance(blocks, ModularPipelineBlocks):
        raise InputError(f"blocks: a {kind}: must be blocks, such as those of a modular pipeline: pipe.blocks")
    if any(_is_regional(blocks)):
        raise InputError(f"blocks: {kind}: have regional attention already")
    blocks = copy.deepcopy(blocks)
    text, found = only_text_step(blocks, kind), list(loops(blocks))
    blocks = without_rewriters(blocks, text)
    if not any(found):
        raise InputError(f"blocks: {kind}: has no denoising loop (a LoopSequentialPipelineBlocks) among its blocks")
    put(blocks, text, RegionalTextEncoderStep(at_path(blocks, text)))
    for path in found:
        put(blocks, path, RegionalDenoiseStep(at_path(blocks, path), method))
    return blocks


def _is_regional(blocks: Any) -> Iterator[bool]:
    yield isinstance(blocks, _Around)
    for block in blocks.sub_blocks.values():
        yield from _is_regional(block)


def _read(state: PipelineState) -> tuple[ScenePlan, Routing]:
    """Plan and routing of a call. Raises `InputError` for what is neither."""
    plan, routing = state.get("plan"), state.get("routing")
    if not isinstance(plan, ScenePlan):
        raise InputError(f"plan: {plan!r}: must be a ScenePlan; ScenePlan.load(path) reads one from a file")
    if placed := plan.placed_loras():
        raise plan.error(placed[0].path, "regional blocks draw no LoRAs of plans; give the plan to a RegionalPipeline")
    if routing is None:
        routing = DEFAULT_ROUTING
    return plan, routing if isinstance(routing, Routing) else Routing.load(routing)


def _check_given(state: PipelineState, plan: ScenePlan) -> None:
    """Raise `InputError` for a prompt or a size beside the plan, which diffusers would pass over."""
    plans = [each for each in (plan, state.get(_DRAWN)) if each is not None]
    for name in _OF_PLAN:
        value = state.get(name)
        if value is not None and all(value != getattr(each, name) for each in plans):
            own = quote(getattr(plan, name))
            raise InputError(
                f"{name}: {quote(value)}: comes from the plan here, whose {name} is {own}; use {FROM_PLAN[name]}"
            )
    if state.get("prompt_2") is not None:
        raise InputError("prompt_2: all text encoders read the plan's texts here; leave it out")


class _Around(ModularPipelineBlocks):
    """A block that stands around another; a leaf, so that no choice of blocks goes past it."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step, self.model_name = step, step.model_name

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """Those of the step."""
        return list(self.step.expected_components)

    @property
    def expected_configs(self) -> list[ConfigSpec]:
        """Those of the step."""
        return list(self.step.expected_configs)

    def set_progress_bar_config(self, **kwargs: Any) -> None:
        """Of the step, where it has one."""
        if hasattr(self.step, "set_progress_bar_config"):
            self.step.set_progress_bar_config(**kwargs)


class RegionalTextEncoderStep(_Around):
    """Encodes a plan's texts by a pipeline's own text step: the prompt as that step does, each other text alone.

    Args:
        step: a text step such as `FluxTextEncoderStep()`: makes `prompt_embeds` of `prompt`.

    Raises:
        InputError: it is none.
    """

    def __init__(self, step: Any) -> None:
        super().__init__(step)
        if (
            isinstance(step, _Around)
            or PROMPT not in step.input_names
            or EMBEDDING not in step.intermediate_output_names
        ):
            raise InputError(f"step: {type(step).__name__}: makes no {EMBEDDING!r} of {PROMPT!r}; give a text step")

    @property
    def description(self) -> str:
        """For people."""
        return (
            f"Text step that encodes the texts of a plan by `{type(self.step).__name__}`: its prompt as that does, and"
            " each description apart. Its `regional_texts` are for `RegionalDenoiseStep`."
        )

    @property
    def inputs(self) -> list[InputParam]:
        """Plan and routing, and the step's own; a prompt or a size only to be refused."""
        own = [param for param in self.step.inputs if param.name not in (*_OF_PLAN, "prompt_2")]
        names = [*_OF_PLAN, *({"prompt_2"} & {*self.step.input_names})]
        own += [InputParam(name, description="Comes from the plan; must not be given") for name in names]
        steps = InputParam("num_inference_steps", type_hint=int, description="Denoising steps of the call")
        return [copy.copy(_PLAN), copy.copy(_ROUTING), *own, steps]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """The step's, the plan's size, and the texts."""
        return [
            *self.step.intermediate_outputs,
            OutputParam("height", type_hint=int, description="The plan's height in pixels"),
            OutputParam("width", type_hint=int, description="The plan's width in pixels"),
            OutputParam(TEXTS, type_hint=EncodedPlan, description="The texts of the plan, encoded"),
        ]

    @torch.no_grad()
    def __call__(self, components: Any, state: PipelineState) -> tuple[Any, PipelineState]:
        """Encode. Raises `InputError` for what is no plan or routing, does not fit the model, or is given beside it."""
        plan, routing = _read(state)
        _check_given(state, plan)
        if getattr(components, "transformer", None) is None:
            raise InputError("pipe: no transformer is loaded; which texts are heard depends on its blocks")
        family, facts = family_of(components.transformer), facts_of(components)
        draughtsman = Draughtsman(components, family, routing, method_for(routing))
        program = draughtsman.compile(plan, facts, state.get("num_inference_steps") or _STEPS)
        told = {param.name: state.get(param.name) for param in self.step.inputs}
        told = {name: value for name, value in told.items() if value is not None}
        if plan.negative_prompt is not None and told.get("negative_prompt") is not None:
            raise InputError("negative_prompt: comes from the plan here; leave it out in one of them")
        default = next((p.default for p in self.step.inputs if p.name == "max_sequence_length"), None)
        longest = told.setdefault("max_sequence_length", min(default or facts.text_length, facts.text_length))
        for text in program.texts:
            warn_truncated(family, components, text, longest)
        with diffusers_silent(self.step):
            for name, value in {**told, PROMPT: program.plan.prompt}.items():
                state.set(name, value)
            components, state = self.step(components, state)
            if plan.negative_prompt is not None:
                negative = encode_by(self.step, components, {**told, PROMPT: plan.negative_prompt})
                self._set_negative(plan, components, state, family.negative_inputs(negative))
            found = {s.text: encode_by(self.step, components, {**told, PROMPT: s.text}) for s in program.streams}
        texts, starts = {}, {}
        for text, encoded in found.items():
            heard = family.heard(components, text, encoded, longest)
            texts[text], starts[text] = seen(family, encoded[EMBEDDING], heard, program.routing.pad == "full")
        said = {"prompt": program.plan.prompt, "pad": program.routing.pad}
        state.set(TEXTS, EncodedPlan(family.name, said, {}, texts, starts))
        state.set(_DRAWN, plan)
        state.set("height", plan.height)
        state.set("width", plan.width)
        return components, state

    def _set_negative(self, plan: ScenePlan, components: Any, state: PipelineState, encoded: Any) -> None:
        made = {output.name: output.kwargs_type for output in self.step.intermediate_outputs}
        if NEGATIVE not in made or not getattr(components, "requires_unconditional_embeds", False):
            raise plan.error(("negative_prompt",), f"{type(components).__name__} makes no unconditional calls for it")
        for name, value in encoded.items():
            if name in made:
                state.set(name, value, made[name])


class RegionalDenoiseStep(_Around):
    """Runs a denoising loop with regional attention: each description visible in its region, at its depth, its steps.

    Unconditional calls of the transformer, which a guider makes, stay plain.

    Args:
        step: a denoising loop such as `FluxDenoiseStep()`.
        method: how programs are drawn, by name; None: as the routing asks for.

    Raises:
        InputError: it is no loop, there is no such method, or it writes a prompt of its own.
    """

    def __init__(self, step: Any, method: str | None = None) -> None:
        super().__init__(step)
        if not isinstance(step, LoopSequentialPipelineBlocks):
            inner = [".".join(path) for path in loops(step)]
            hint = f"; one is in its sub_blocks: {', '.join(inner)}" if inner else ""
            raise InputError(
                f"step: {type(step).__name__}: is no denoising loop (a LoopSequentialPipelineBlocks){hint}"
            )
        self.method = None if method is None else method_named(method)
        if self.method is not None and self.method.rewrites:
            raise InputError(f"method {method!r}: writes a prompt of its own; draw with RegionalPipeline, or give that")

    @property
    def description(self) -> str:
        """For people."""
        return (
            f"Denoise step that runs `{type(self.step).__name__}` with regional attention, as a plan and a routing say."
            " Its `regional_texts` come from `RegionalTextEncoderStep`."
        )

    @property
    def inputs(self) -> list[InputParam]:
        """Plan, routing and texts, and the step's own."""
        texts = InputParam(TEXTS, type_hint=EncodedPlan, required=True, description="The texts of the plan, encoded")
        return [copy.copy(_PLAN), copy.copy(_ROUTING), texts, *self.step.inputs]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """The step's."""
        return list(self.step.intermediate_outputs)

    @torch.no_grad()
    def __call__(self, components: Any, state: PipelineState) -> tuple[Any, PipelineState]:
        """Denoise.

        Raises:
            InputError: no plan, routing or texts; the plan does not fit the model.
            UnsupportedError: the transformer or the guider is in a mode that regions cannot work with.
        """
        plan, routing = _read(state)
        encoded = state.get(TEXTS)
        if not isinstance(encoded, EncodedPlan):
            raise InputError(f"{TEXTS}: {encoded!r}: must be an EncodedPlan, as RegionalTextEncoderStep makes it")
        check_guider(getattr(components, "guider", None))
        family = family_of(components.transformer)
        draughtsman = Draughtsman(components, family, routing, self.method or method_for(routing))
        program = draughtsman.compile(plan, facts_of(components), len(state.get("timesteps")))
        said = {"prompt": program.plan.prompt, "pad": program.routing.pad}
        encoded.check(family.name, said, (stream.text for stream in program.streams))
        loop = copy.deepcopy(self.step)
        begins = watched(loop)
        with owned(components) as owner:
            try:
                with draughtsman.drawing([program], [encoded], owner, state.get(NEGATIVE), lambda: begins.step):
                    components, state = loop(components, state)
            finally:
                vars(components).pop("num_timesteps", None)
        return components, state
