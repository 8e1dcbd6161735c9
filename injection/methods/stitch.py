"""Stitch: Training-Free Position Control in Multimodal Diffusion Transformers, arXiv 2509.26644.

In the first S steps each region is drawn by itself, with its own text and latents of its own, all from the same noise,
and the background by its text on the whole canvas (region binding). In a region's pass

- image tokens in the region attend to no image token outside it,
- image tokens outside it do not attend to the text,
- the text does not attend to image tokens outside it.

At the end of step S objects are cut out of their regions and put on the background (cutout): of one head's attention
from text to image, averaged over the text's tokens, the largest weights are kept that hold η = 95 % of it; what they
cover is grown by max pooling with a kernel of κ = 5 tokens, within the region. From then on all is drawn together, by
the base prompt alone. Published with S = 10 of 50 steps. A step of region binding has a pass for each region and one
for the background.

What was chosen where the publication leaves it open, or where it does not carry over:

- The head that cuts out was found for each model by segmenting pictures; FLUX.1-dev's is head 20 of block 14, taken
  here as counted in execution order. Any other model has the whole region as its object, unless a head is given
  (`cutout`): region binding and composition alone.
- Plans have polygons and masks too: a region is its own tokens, not the box around it. Of regions that overlap, the one
  of higher priority lies on top, and of equals the later one.
- The background's text is the plan's, or the base prompt where the plan gives none.
- A pipeline has one set of latents, and knows of no others. Until the end of step S they are the background's; then
  what is returned leads its Euler step to the composition. Other schedulers, and unconditional calls beside the
  regions', are refused.
- The pooled vector, where the model has one, is the base prompt's in all passes.

Of a routing it heeds the steps of its rules, which must be the first S and the same for all texts, regions and pad (of
texts that keep their padding, the average is over it too); isolation, base ratio, background and the mode of blending
have no meaning for it, and one that tells blocks apart, or has strengths below 1, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from numpy.typing import NDArray
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.grid import TokenGrid
from strata.injection.attention import AttentionGroup, AttentionSpec
from strata.injection.facts import ModelFacts
from strata.injection.families import FLUX_DEV
from strata.injection.families.base import BaseText, with_sample
from strata.injection.layout import Spans, TokenLayout, merge, shift, take
from strata.injection.methods.base import CACHED, OBSERVERS, SEVERAL, UNCONDITIONAL, Drawing, Forward, MethodRun
from strata.injection.methods.groups import Sample
from strata.injection.methods.passes import check_step, compiled, told, velocity
from strata.injection.methods.plain import without_areas
from strata.injection.methods.regional import RegionalRun
from strata.injection.methods.routed_call import RoutedCall
from strata.injection.methods.undivided import UndividedMethod, area_tokens, check_whole_passes
from strata.injection.program import Program, Visibility, compile_program
from strata.layers.routing import Blend, Routing, Rule

FLUX1_HEAD = (14, 20)
"""Block and head that cut objects out of FLUX.1-dev."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A text's attention in a region's pass, which keeps what one of its heads pays to the region.

    Attributes:
        queries: the text's tokens.
        keys: what they attend to.
        region: those of the keys that are the region's image tokens.
        head: whose attention is kept.
        kept: of every call, the mean over the text's tokens, `[B, n]`.
    """

    queries: Spans
    keys: Spans
    region: Spans
    head: int
    kept: list[Tensor] = field(default_factory=list)

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, backend: Any) -> Tensor:
        """See `OwnAttention`."""
        if self.head >= (heads := q_BLHD.shape[2]):
            raise InputError(f"method 'stitch': cutout: head {self.head}: the model has {heads}")
        q, k, v = take(q_BLHD, self.queries), take(k_BLHD, self.keys), take(v_BLHD, self.keys)
        q_BLD, k_BLD = q[:, :, self.head].float(), k[:, :, self.head].float()
        paid_BLL = (q_BLD @ k_BLD.transpose(1, 2) * q_BLD.shape[-1] ** -0.5).softmax(-1)
        ((first, stop),) = self.region  # the keys before it are all text
        self.kept.append(paid_BLL[..., first:stop].mean(dim=1))
        attended: Tensor = dispatch_attention_fn(q, k, v, backend=backend)
        return attended


class RegionPass(RegionalRun):
    """A region's passes, in which its text and its image tokens see each other alone.

    Args:
        drawing: of the plan.
        program: of the plan without its areas.
        grid: whose background are the region's tokens.
        total: image tokens, a reference's included.
        text_1LC: the region's text.
        start: its first token's position in its padded text.
        head: block and head whose attention is kept; None: none.
    """

    by_program: ClassVar[bool] = False

    def __init__(
        self,
        drawing: Drawing,
        program: Program,
        grid: TokenGrid,
        total: int,
        text_1LC: Tensor,
        start: int,
        head: tuple[int, int] | None,
    ) -> None:
        super().__init__(drawing)
        layout = TokenLayout.of(grid, total, text_1LC.device)
        self.order, self.inverse = layout.order, layout.inverse
        self.samples = (Sample(program, None, (), BaseText(text_1LC.shape[1]), layout, ()),)
        self.text_1LC, self.positions, self.head = text_1LC, range(start, start + text_1LC.shape[1]), head
        self.watched: Watched | None = None
        self._watching = False

    def forward(self, step: int, inputs: dict[str, Any], forward: Forward, watch: bool = False) -> Any:
        """See `MethodRun`. `watch`: keep what the head attends to."""
        self._watching = watch
        text = self.text_1LC.expand(len(inputs["hidden_states"]), -1, -1)
        entered = self.family.enter(inputs, text, [self.positions], self.order)
        call = RoutedCall(self, step)
        output = forward(entered, call)
        call.check()
        return self.family.leave(output, self.inverse)

    def weights_BN(self) -> Tensor | None:
        """How much attention the head paid to each canvas token; None where none was watched."""
        if self.watched is None:
            return None
        (paid_BN,) = self.watched.kept
        layout = self.samples[0].layout
        weights_BN = paid_BN.new_zeros(len(paid_BN), layout.canvas)
        weights_BN[:, layout.order[: paid_BN.shape[1]]] = paid_BN
        return weights_BN

    def key(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> object:
        """See `RegionalRun`: all blocks are alike, but for the one that is watched."""
        return self._watches(block)

    def _watches(self, block: int) -> bool:
        return self._watching and self.head is not None and self.head[0] == block

    def spec(self, block: int, sample: Sample, visible: Visibility, padding: int) -> AttentionSpec:
        """See `RegionalRun`."""
        text, layout = sample.base.length, sample.layout
        region, reference = shift(layout.area("background"), text), shift(layout.reference, text)
        outside, words = shift(layout.area("outside"), text), ((0, text),)
        own, inside = merge([*words, *region]), merge([*words, *region, *reference])
        groups = []
        if outside:
            groups.append(AttentionGroup(outside, merge([*region, *outside, *reference])))
        if reference:
            groups.append(AttentionGroup(reference, inside))
        if not self._watches(block):
            base = AttentionGroup(own, inside)
            return AttentionSpec(text, tuple(groups), base, own, (), text, (), None)
        assert self.head is not None
        self.watched = Watched(words, inside, region, self.head[1])
        base = AttentionGroup(region, inside)
        return AttentionSpec(text, tuple(groups), base, region, (), text, (), None, own=(self.watched,))


class StitchRun(MethodRun):
    """One drawing; see the module."""

    def __init__(self, drawing: Drawing, method: Stitch) -> None:
        self.drawing, self.family, self.method = drawing, drawing.family, method
        self.program: Program | None = None
        self.levels: Sequence[float] = ()
        self.bound = 0
        self.background: tuple[Tensor, int] | None = None
        self.passes: dict[int, RegionPass] = {}
        self.latents: dict[int, Tensor] = {}

    def forward(self, step: int, inputs: dict[str, Any], forward: Forward) -> Any:
        """See `MethodRun`."""
        program = self._begun(inputs)
        check_step(program, step)
        if step >= self.bound:
            return forward(inputs)
        last, change = step == self.bound - 1, self.levels[step + 1] - self.levels[step]
        output = forward(inputs if self.background is None else told(self.family, inputs, *self.background))
        predicted = velocity(output)
        tokens, channels = program.grid.rows * program.grid.cols, predicted.shape[-1]
        hidden = inputs["hidden_states"]
        noise = hidden[:, :tokens, :channels].float()
        composed = predicted[:, :tokens].float()
        for i, own in self.passes.items():
            latents = self.latents.get(i, noise)
            entered = hidden.clone()
            entered[:, :tokens, :channels] = latents.to(hidden)
            answer = own.forward(step, {**inputs, "hidden_states": entered}, forward, last)
            self.latents[i] = latents + change * velocity(answer)[:, :tokens].float()
        if last:
            for i in self._from_below(program):
                object_BN1 = self._cut_out(program, i, noise)
                composed = torch.where(object_BN1, (self.latents[i] - noise) / change, composed)
            self.latents.clear()
        rest = predicted[:, tokens:]
        return with_sample(output, torch.cat([composed.to(predicted), rest], dim=1))

    def _begun(self, inputs: Mapping[str, Any]) -> Program:
        """What is settled at the first call; returns the program."""
        if self.program is not None:
            return self.program
        canvas = self.family.canvas(inputs)
        (program,) = compiled(self.drawing, canvas)
        self.program = program
        self.levels, self.bound = self.drawing.levels(), sum(program.routed(step) for step in range(program.steps))
        size = (canvas.rows, canvas.cols)
        alone = compile_program(without_areas(program.plan), program.routing, program.facts, program.steps, size=size)
        head = self.method.head(program.facts)
        base = self.family.text(inputs)
        for i, stream in enumerate(program.streams):
            text, start = self.drawing.texts[stream.text].to(base), self.drawing.starts.get(stream.text, 0)
            if stream.area == "background":
                self.background = text, start
                continue
            outside = ~area_tokens(program, stream.area).reshape(size)
            grid = TokenGrid(*size, ("outside",), outside[None], ~outside)
            self.passes[i] = RegionPass(self.drawing, alone, grid, canvas.total, text, start, head)
        return program

    def _from_below(self, program: Program) -> list[int]:
        """The regions' streams, that of the uppermost region last."""
        place = {region.name: (region.priority, n) for n, region in enumerate(program.plan.regions)}
        return sorted(self.passes, key=lambda i: place[program.streams[i].area])

    def _cut_out(self, program: Program, stream: int, like: Tensor) -> Tensor:
        """bool `[B, N, 1]`, the tokens of a region's object."""
        region = area_tokens(program, program.streams[stream].area)
        weights_BN = self.passes[stream].weights_BN()
        if weights_BN is None:
            kept = np.broadcast_to(region, (len(like), len(region)))
        else:
            size = (program.grid.rows, program.grid.cols)
            weights = weights_BN.double().cpu().numpy()
            kept = np.stack([foreground(row, self.method.share, self.method.kernel, size) & region for row in weights])
        return torch.from_numpy(kept.copy()).to(like.device)[..., None]


def foreground(weights_N: NDArray[np.float64], share: float, kernel: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool `[N]`: the fewest tokens that hold a share of all weight, grown by max pooling with a square kernel."""
    order = np.argsort(-weights_N, kind="stable")
    held = np.cumsum(weights_N[order])
    few = int(np.searchsorted(held, share * held[-1] * (1 - 1e-12))) + 1
    kept = np.zeros((1, 1, *size), dtype=np.float32)
    kept.reshape(-1)[order[:few]] = 1
    grown = torch.nn.functional.max_pool2d(torch.from_numpy(kept), kernel, stride=1, padding=kernel // 2)
    found: NDArray[np.bool_] = grown.reshape(-1).numpy() > 0
    return found


@dataclass(frozen=True)
class Stitch(UndividedMethod):
    """See the module.

    Attributes:
        share: η, of the attention that the cut-out tokens hold.
        kernel: κ, tokens of the max pooling's side; odd.
        cutout: block, in execution order, and head whose attention cuts objects out; "published": FLUX.1-dev's, and
            "area" for any other model; "area": an object is its whole region.
    """

    share: float = 0.95
    kernel: int = 5
    cutout: tuple[int, int] | Literal["published", "area"] = "published"

    name: ClassVar[str] = "stitch"
    about: ClassVar[str] = "Stitch: regions drawn apart at first, objects cut out and composed, then drawn on together"
    source: ClassVar[str | None] = "arXiv 2509.26644"
    refuses: ClassVar[Mapping[str, str]] = {
        SEVERAL: "each plan has as many passes as regions; draw one plan a call",
        UNCONDITIONAL: "each region has latents of its own, which unconditional calls would not follow; leave the"
        " negative prompt and true guidance out",
        OBSERVERS: "a step has several passes, which cannot be told apart; probe another method, such as regional",
        CACHED: "a step has several passes, which the cache is not filled for; leave the picture out, or draw by"
        " another method, such as regional",
    }
    routing: ClassVar[Routing | None] = Routing(
        name="stitch",
        about="Stitch as published: regions drawn apart in the first fifth of the steps",
        source="arXiv 2509.26644",
        blend=Blend(base_ratio=0),
        pad="full",
        rules=[Rule(level="full", steps="0%-20%")],
    )
    tried: ClassVar[Sequence[str]] = ("flux", "flux2")

    def __post_init__(self) -> None:
        told = f"method '{self.name}'"
        if not 0 < self.share <= 1:
            raise InputError(f"{told}: share: {self.share}: must be a number above 0, to 1")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"{told}: kernel: {self.kernel}: must be an odd number from 1")
        if self.cutout not in ("published", "area"):
            pair = self.cutout if isinstance(self.cutout, tuple) else ()
            if len(pair) != 2 or any(type(n) is not int or n < 0 for n in pair):
                raise InputError(f"{told}: cutout: {self.cutout!r}: must be published, area, or a block and a head")

    def head(self, facts: ModelFacts) -> tuple[int, int] | None:
        """Block and head that cut objects out of a model; None: none does."""
        if isinstance(self.cutout, tuple):
            return self.cutout
        flux1 = facts.family == "flux" and facts.block_counts == FLUX_DEV.block_counts
        return FLUX1_HEAD if flux1 and self.cutout == "published" else None

    def check_model(self, facts: ModelFacts) -> None:
        """See `Method`."""
        super().check_model(facts)
        if (head := self.head(facts)) is not None and head[0] >= sum(facts.block_counts):
            raise InputError(f"method '{self.name}': cutout: block {head[0]}: the model has {sum(facts.block_counts)}")

    def check(self, program: Program) -> None:
        """See `Method`: all regions are there in all of the first steps, and wholly."""
        check_whole_passes(self.name, program)
        if program.plan.negative_prompt is not None:
            self.check_call(UNCONDITIONAL)
        told = f"method '{self.name}': routing {quote(program.routing.name)}"
        routed = np.array([program.routed(step) for step in range(program.steps)])
        if (np.diff(routed.astype(int)) > 0).any():
            raise InputError(f"{told}: its steps are not the first ones, in which regions are drawn apart")
        for stream in program.streams:
            weights = stream.weight[routed]
            if (weights != weights.astype(bool)).any():
                raise InputError(f"{told}: {quote(stream.area)} has a strength below 1; regions are drawn wholly")
            if not weights.all():
                raise InputError(f"{told}: {quote(stream.area)} is not there in all of the steps that others are")

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return StitchRun(drawing, self)


METHOD = Stitch()
