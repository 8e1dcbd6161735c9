"""`RegionalPipeline`: a plan goes in, any loaded diffusers pipeline of a known family draws it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.native import Form
from strata.hierarchy.plan import ScenePlan
from strata.injection.calling import EMBEDS, call_of
from strata.injection.checks import UnsupportedError, check_pipeline
from strata.injection.controls import ControlRegions, check_confined, confined
from strata.injection.cut_texts import warn_pooled, warn_truncated
from strata.injection.drawing import Draughtsman
from strata.injection.encoding import EncodedPlan, TextCache
from strata.injection.facts import ModelFacts
from strata.injection.families import facts_of
from strata.injection.lora_gates import LoraGates
from strata.injection.loras import PlanLoras
from strata.injection.methods import Method, method_for, method_named
from strata.injection.methods.base import CACHED, OBSERVERS, SEVERAL, UNCONDITIONAL
from strata.injection.observer import Observer
from strata.injection.ownership import Owner, owned
from strata.injection.program import Program
from strata.injection.streams import TextOverride
from strata.layers.routing import DEFAULT_ROUTING, Routing
from strata.layers.schedule import Schedule

logger = logging.getLogger(__name__)


class RegionalPipeline:
    """Draws plans with a diffusers pipeline: each description visible in its region, at its depth, at its steps.

    The pipeline itself is never changed for longer than a call: it can be used plain beside this, with LoRAs loaded and
    unloaded, offloaded or compiled by blocks. While a call lasts it owns the pipeline: for anyone else,
    another thread or the call's own callbacks, using it is an `UnsupportedError`.

    Args:
        pipe: any loaded pipeline of a known family that takes a prompt (FluxPipeline, img2img, inpaint, Fill, Kontext,
            ControlNet, ChromaPipeline), or a ModularPipeline that does.
        routing: a `Routing`, a preset's name, or the path of a routing file; None: the method's own, or the default.
        method: how programs are drawn, by name (`strata.injection.methods`) or as a `Method` with settings of one's
            own; None: as the routing asks for.
        form: of the structured captions that the model was trained on, for methods that draw by them
            (`strata.native.form_named` has it by name); None: what the model's family tells.

    Attributes:
        observers: are told of every drawing.

    Raises:
        InputError: `pipe` is no such pipeline, the routing cannot be read, there is no such method, or it is none for
            this model or with a routing.

    Example:
        >>> regional = RegionalPipeline(FluxPipeline.from_pretrained("black-forest-labs/FLUX.1-dev"), "coarse-to-fine")
        >>> regional(ScenePlan.load("plan.yaml"), seed=1).images[0]
    """

    def __init__(
        self,
        pipe: Any,
        routing: Routing | str | Path | None = None,
        method: str | Method | None = None,
        form: Form | None = None,
    ) -> None:
        self.family = check_pipeline(pipe)
        self.pipe = pipe
        if routing is not None and (not isinstance(routing, Routing | str | Path) or routing == ""):
            raise InputError(f"routing: {routing!r}: must be a Routing, a preset's name or the path of a file")
        named = method_named(method) if isinstance(method, str) else method
        if routing is None:
            routing = DEFAULT_ROUTING if named is None else named.default_routing
        self.routing = routing if isinstance(routing, Routing) else Routing.load(routing)
        self.method: Method = named or method_for(self.routing)
        if self.method.unrouted and self.routing != Routing.load(DEFAULT_ROUTING):
            raise InputError(f"routing: {self.routing.name!r}: the method {self.method.name} would ignore it")
        self.form = form
        self.method.check_model(self.facts)
        self._told: set[tuple[str, ...]] = set()
        self.observers: list[Observer] = []
        self.call = call_of(pipe)
        self._texts = TextCache(self.call, self.family)
        self._loras = PlanLoras(pipe, self.family)

    def __repr__(self) -> str:
        kind = type(self.pipe).__name__
        return f"RegionalPipeline({kind}, routing={self.routing.name!r}, method={self.method.name!r})"

    @property
    def facts(self) -> ModelFacts:
        """What Strata knows of the model."""
        facts = facts_of(self.pipe)
        return facts if self.form is None else replace(facts, form=self.form)

    @property
    def token_size(self) -> int:
        """Pixels that one image token covers, along each side."""
        return self.facts.token_size

    def keeping_loras(self) -> AbstractContextManager[None]:
        """While the context lasts, LoRAs of plans are loaded once for calls with the same ones, and not for each."""
        return self._loras.kept()

    def clear_texts(self) -> None:
        """Forget encoded texts; needed only after the weights of a text encoder were changed in place."""
        self._texts.clear()

    def schedule(self, steps: int, plan: ScenePlan | None = None) -> Schedule:
        """The routing resolved for this pipeline's transformer: balanced for a plan, or (without one) as written.

        Raises:
            InputError: a rule of the routing matches no block or step of this model.
        """
        routing = self.routing if plan is None else self.routing.balanced_for(plan)
        return routing.resolve(*self.facts.block_counts, steps)

    def compile(
        self,
        plan: ScenePlan,
        *,
        overrides: Sequence[TextOverride] = (),
        control_regions: ControlRegions = None,
        **options: Any,
    ) -> Program:
        """The program of a plan on this pipeline; finds everything that can be wrong, before anything expensive.

        Raises:
            InputError: the canvas is no multiple of the token size, a region has no token, the routing does not fit, an
                option is unknown or given by the plan already.
            UnsupportedError: the pipeline is in a mode that regional prompting cannot work with.
        """
        if not isinstance(plan, ScenePlan):
            raise InputError(f"plan: {plan!r}: must be a ScenePlan; ScenePlan.load(path) reads one from a file")
        facts, asked = self.facts, plan
        check_confined(self.pipe, plan, control_regions, options, facts.token_size)
        plan, lost = self.method.drawn(plan, facts)
        self.call.check(plan, facts, options)
        self._check_call(plan, facts, options)
        program = self._draughtsman(overrides).compile(plan, facts, self.call.steps(options))
        self._loras.check(asked, program.schedule, self.method)
        self.family.check_options(self.pipe, options, bool(program.streams))
        self._tell(tuple(lost), facts)
        return program

    def _check_call(self, plan: ScenePlan, facts: ModelFacts, options: Mapping[str, Any]) -> None:
        """Raise `UnsupportedError` for calls that the method refuses."""
        if self.observers:
            self.method.check_call(OBSERVERS)
            if self.routing.refresh > 1:
                raise UnsupportedError(
                    f"routing {quote(self.routing.name)}: refresh: {self.routing.refresh}: probes and other observers"
                    " see the texts at every step; set refresh: 1"
                )
        negative = plan.negative_prompt if plan.negative_prompt is not None else options.get("negative_prompt")
        if self.call.guided(facts, {**options, "negative_prompt": negative}):
            self.method.check_call(UNCONDITIONAL)
        if self.family.caches_references(self.pipe, options):
            self.method.check_call(CACHED)

    def _tell(self, lost: tuple[str, ...], facts: ModelFacts) -> None:
        """Warn of what the method loses of a plan, once for all seeds: a line, and each loss for those who ask."""
        if not lost or lost in self._told:
            return
        self._told.add(lost)
        if len(lost) == 1:
            logger.warning("%s", lost[0])
            return
        how = "" if facts.form is None else f"; `strata export {facts.form.name} PLAN` tells each"
        logger.warning("%d things of the plan are left out of its caption or told otherwise%s", len(lost), how)
        for note in lost:
            logger.info("%s", note)

    def lost(self, plan: ScenePlan) -> tuple[str, ...]:
        """What of a plan the method leaves out or tells otherwise, a line each. Raises `InputError` as `compile`."""
        return tuple(self.method.drawn(plan, self.facts)[1])

    def check(self, plan: ScenePlan, *, overrides: Sequence[TextOverride] = (), **options: Any) -> None:
        """Raise what `compile` raises, of the same options."""
        self.compile(plan, overrides=overrides, **options)

    def encode(self, plan: ScenePlan, *, overrides: Sequence[TextOverride] = (), **options: Any) -> EncodedPlan:
        """Encode the texts of a plan, to be saved and drawn by a pipeline whose text encoders are not loaded.

        Args:
            plan: as for drawing.
            overrides: as for drawing.
            options: those of drawing that matter for texts: max_sequence_length, prompt_2, negative_prompt, ….

        Raises:
            InputError, UnsupportedError: as `compile`; the text encoders are not loaded.
        """
        program = self.compile(plan, overrides=overrides, **options)
        with self._loras.attached([plan], program.schedule):
            return self._encode(program, options)

    def _encode(self, program: Program, options: Mapping[str, Any]) -> EncodedPlan:
        plan = program.plan
        said = self._said(program, options)
        self._texts.check()
        longest = self.call.text_length(self.facts, options)
        scale = (options.get("joint_attention_kwargs") or {}).get("scale")
        given = options.get("prompt_embeds") is not None
        for text in program.texts:
            if not (given and text == plan.prompt):
                warn_truncated(self.family, self.pipe, text, longest)
        inputs: dict[str, Tensor] = {}
        if not given:
            warn_pooled(self.family, self.pipe, plan.prompt)
            inputs |= self._texts.prompt(plan.prompt, options.get("prompt_2"), longest, scale)
        if (negative := said["negative_prompt"]) is not None:
            warn_pooled(self.family, self.pipe, negative)
            encoded = self._texts.prompt(negative, said["negative_prompt_2"], longest, scale)
            inputs |= self.family.negative_inputs(encoded)
        padded = program.routing.pad == "full"
        found = {s.text: self._texts.stream(s.text, longest, padded, scale) for s in program.streams}
        texts = {text: embeds for text, (embeds, _) in found.items()}
        return EncodedPlan(self.family.name, said, inputs, texts, {text: start for text, (_, start) in found.items()})

    def _said(self, program: Program, options: Mapping[str, Any]) -> dict[str, str | None]:
        """What is to be encoded beside the streams' texts; see `EncodedPlan`."""
        plan = program.plan
        negative = plan.negative_prompt if plan.negative_prompt is not None else options.get("negative_prompt")
        guided = self.call.guided(self.facts, {**options, "negative_prompt": negative})
        if options.get("negative_prompt_embeds") is not None:
            guided = False  # given by the caller
        return {
            "prompt": plan.prompt,
            "prompt_2": options.get("prompt_2"),
            "negative_prompt": (negative or "") if guided else None,
            "negative_prompt_2": options.get("negative_prompt_2") if guided else None,
            "pad": program.routing.pad,
        }

    def __call__(
        self,
        plan: ScenePlan | Sequence[ScenePlan],
        *,
        seed: int | Sequence[int | None] | None = None,
        overrides: Sequence[TextOverride] = (),
        encoded: EncodedPlan | Sequence[EncodedPlan] | None = None,
        control_regions: ControlRegions = None,
        **options: Any,
    ) -> Any:
        """Draw a plan, or several plans of one size in one batch.

        Args:
            plan: what to draw; its size, prompt and negative prompt are the pipeline's.
            seed: of the noise; None draws one at random. One a plan where there are several.
            overrides: texts that are others in some blocks or at some steps.
            encoded: the texts, as `encode` gave them; one a plan.
            control_regions: of a pipeline with a ControlNet, the area (a region, "background") that it is confined to;
                one, or None, for each of several.
            options: what the pipeline's own call takes beside these (num_inference_steps, guidance_scale,
                num_images_per_prompt, image, mask_image, control_image, callback_on_step_end, …; of a ModularPipeline
                `output` and its guider's guidance_scale too). Where prompt_embeds and pooled_prompt_embeds are given,
                they stand for the plan's prompt.

        Returns:
            What the pipeline returns; the pictures of several plans in their order.

        Raises:
            InputError, UnsupportedError: as `compile`; plans of different sizes, not one seed a plan, texts that are
                not encoded; the pipeline is in use by another regional call.
        """
        with owned(self.pipe) as owner:
            return self._draw(owner, plan, seed, overrides, encoded, control_regions, options)

    def _draw(
        self,
        owner: Owner,
        plan: ScenePlan | Sequence[ScenePlan],
        seed: int | Sequence[int | None] | None,
        overrides: Sequence[TextOverride],
        encoded: EncodedPlan | Sequence[EncodedPlan] | None,
        control_regions: ControlRegions,
        options: Mapping[str, Any],
    ) -> Any:
        plans: list[Any] = list(plan) if isinstance(plan, list | tuple) else [plan]
        generator = self.call.generator(_one_each("seed", seed, plans))
        programs = [
            self.compile(each, overrides=overrides, control_regions=control_regions, **options) for each in plans
        ]
        _check_batch(programs, self.family.text_positions_alike, options)
        if len(programs) > 1:
            self.method.check_call(SEVERAL)
        with (
            self._loras.attached(plans, programs[0].schedule) as gates,
            confined(self.pipe, plans, control_regions, self.token_size),
        ):
            return self._draw_programs(owner, programs, overrides, encoded, options, generator, gates)

    def _draw_programs(
        self,
        owner: Owner,
        programs: Sequence[Program],
        overrides: Sequence[TextOverride],
        encoded: EncodedPlan | Sequence[EncodedPlan] | None,
        options: Mapping[str, Any],
        generator: Any,
        gates: LoraGates | None,
    ) -> Any:
        if encoded is None:
            found = [self._encode(program, options) for program in programs]
        else:
            found = _one_each("encoded", encoded, [program.plan for program in programs])
            for program, each in zip(programs, found, strict=True):
                if not isinstance(each, EncodedPlan):
                    raise InputError(f"encoded: {each!r}: must be an EncodedPlan; EncodedPlan.load(path) reads one")
                said = self._said(program, options)
                each.check(self.family.name, said, (stream.text for stream in program.streams))
        prompts = self._prompts(programs, found, options)
        call = self.call.prepare(programs[0].plan, self.facts, prompts, options, generator, owner)
        with self._draughtsman(overrides).drawing(programs, found, owner, call.negative, call.step, gates):
            return call.run()

    def _draughtsman(self, overrides: Sequence[TextOverride]) -> Draughtsman:
        return Draughtsman(self.pipe, self.family, self.routing, self.method, self.observers, overrides)

    def _prompts(
        self, programs: Sequence[Program], encoded: Sequence[EncodedPlan], options: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """The plans' prompts as the pipeline's call names them, of one row a plan or a picture."""
        images = options.get("num_images_per_prompt") or 1
        device = getattr(self.pipe, "_execution_device", torch.device("cpu"))
        dtype = self.pipe.transformer.dtype
        names = [name for name in EMBEDS if options.get(name) is not None]
        found: dict[str, Tensor] = {}
        for name in dict.fromkeys([*names, *(name for each in encoded for name in each.inputs)]):
            if name in names:
                rows = options[name]
                if len(rows) not in (len(programs), len(programs) * images):
                    raise InputError(f"{name}: {len(rows)} rows: must be one a plan, {len(programs)}")
            else:
                rows = torch.cat([each.inputs[name] for each in encoded])
            rows = rows.to(device)
            own = rows.is_floating_point() and encoded_elsewhere(self.pipe, self.family)
            found[name] = rows.to(dtype) if own else rows
        if found.get("negative_prompt_embeds") is found["prompt_embeds"]:  # by which unconditional calls are known
            found["negative_prompt_embeds"] = found["prompt_embeds"].clone()
        return found


def encoded_elsewhere(pipe: Any, family: Any) -> bool:
    """Whether texts do not come from the pipeline's own encoders."""
    return any(encoder is None for encoder in family.text_encoders(pipe))


def _one_each(name: str, value: Any, plans: Sequence[ScenePlan]) -> list[Any]:
    """One value a plan."""
    if len(plans) == 1 and not isinstance(value, list | tuple):
        return [value]
    if value is None:
        return [None] * len(plans)
    if not isinstance(value, list | tuple) or len(value) != len(plans):
        raise InputError(f"{name}: {value!r}: must be a list, one a plan, for {len(plans)} plans")
    return list(value)


def _check_batch(programs: Sequence[Program], alike: bool, options: Mapping[str, Any]) -> None:
    """Raise `InputError` or `UnsupportedError` for plans that cannot be drawn at once."""
    if len(programs) == 1:
        return
    if not programs:
        raise InputError("plan: an empty list; give at least one ScenePlan")
    if not alike:
        raise UnsupportedError(
            f"{programs[0].facts.family}: its text tokens have positions of their own, which plans of one call cannot"
            " share; draw one plan a call"
        )
    sizes = dict.fromkeys(f"{program.plan.width}x{program.plan.height}" for program in programs)
    if len(sizes) > 1:
        raise InputError(f"plan: sizes {', '.join(sizes)}: plans of one call must have one size")
    negative = {program.plan.negative_prompt is None for program in programs}
    if len(negative) > 1:
        raise InputError("plan: negative_prompt: all plans of one call must have one, or none")
    if (options.get("num_images_per_prompt") or 1) != 1:
        raise InputError("num_images_per_prompt: is for one plan; give the plan several times")
