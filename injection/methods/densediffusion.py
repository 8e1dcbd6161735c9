"""DenseDiffusion: Dense Text-to-Image Generation with Attention Modulation, arXiv 2308.12964, section 3 (and its code).

One prompt, whose spans are tied to regions. While the layout forms, an image token's attention scores A are modulated
before the softmax, towards the keys that belong to its region and away from all others:

    A' = A + λ R (max A - A) (1 - S) - λ (1 - R) (A - min A) (1 - S)

R is 1 where the key belongs to a region of the query's: a text token of a span tied to it, or an image token in it. Max
and min are the row's, S is the share of the canvas that the region covers, and λ = w t⁵ with the noise level t in
[0, 1] and the weights w_c = 1 of text keys, w_s = 0.3 of image keys. Published with the first 30 % of the steps.

What does not carry over to FLUX, and what was chosen:

- Cross- and self-attention are one softmax here. The scores of text keys and those of image keys are modulated apart,
  each within its own range, as the published layers do; which of both a token attends to is left to the model.
- Text tokens attend to the image too, which no U-Net has. Their rows stay as they are, and so do a reference picture's.
- The published code cuts spans out of the caption and puts their embeddings, encoded apart, in their place. A plan's
  texts need not stand in its prompt: the prompt is the base prompt, and behind it each region's text, encoded apart.
- t is the noise level that the transformer is told, which the published sampler's timestep / 1000 stands for.
- There, every pixel is of a segment. Here what is in no region is the background, and its span the background's text,
  or the base prompt where the plan gives none; of overlapping regions a token belongs to all, S being their union's.
- Classifier-free guidance leaves unconditional calls alone, as published.

Of a routing it heeds steps, depth and blocks, strength (of λ), regions and pad; the prompt has its spans at all steps.
Isolation, base ratio, background and the mode of blending have no meaning for it. Modulated scores are computed one by
one, by torch itself and not by the attention backend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.injection.attention import AttentionGroup, AttentionSpec
from strata.injection.families.base import BaseText, Canvas
from strata.injection.layout import Span, Spans, shift, take
from strata.injection.methods.base import CACHED, OBSERVERS, SEVERAL, Drawing, Forward, MethodRun
from strata.injection.methods.groups import Sample, TextSpans
from strata.injection.methods.regional import RegionalRun
from strata.injection.methods.routed_call import RoutedCall
from strata.injection.methods.undivided import UndividedMethod
from strata.injection.program import Program, Visibility
from strata.layers.routing import Blend, Routing, Rule

SCORES = 2**26
"""Attention scores that are held at once at most; queries of more are taken in turns."""


@dataclass(frozen=True, eq=False)
class Modulated:
    """The attention of an atom's image tokens, modulated.

    Attributes:
        queries: the tokens.
        raised: keys that belong to a region of theirs; text and canvas.
        kinds: the text's keys and the canvas's, and the λ (1 - S) of each.
    """

    queries: Spans
    raised: Spans
    kinds: tuple[tuple[Span, float], ...]

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, backend: Any) -> Tensor:
        """See `OwnAttention`."""
        q_BLHD = take(q_BLHD, self.queries)
        raised_L = torch.zeros(k_BLHD.shape[1], dtype=torch.bool, device=k_BLHD.device)
        for start, stop in self.raised:
            raised_L[start:stop] = True
        at_once = max(SCORES // (len(k_BLHD) * k_BLHD.shape[1] * k_BLHD.shape[2]), 1)
        parts = [self._attend(part, k_BLHD, v_BLHD, raised_L) for part in q_BLHD.split(at_once, dim=1)]
        return torch.cat(parts, dim=1)

    def _attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, raised_L: Tensor) -> Tensor:
        scores_BHLL = torch.einsum("bqhd,bkhd->bhqk", q_BLHD, k_BLHD).float() * q_BLHD.shape[-1] ** -0.5
        parts, at = [], 0
        for (start, stop), strength in self.kinds:
            own = scores_BHLL[..., start:stop]
            towards = torch.where(raised_L[start:stop], own.amax(-1, keepdim=True), own.amin(-1, keepdim=True))
            parts += [scores_BHLL[..., at:start], own + strength * (towards - own)]
            at = stop
        modulated_BHLL = torch.cat([*parts, scores_BHLL[..., at:]], dim=-1)
        return torch.einsum("bhqk,bkhd->bqhd", modulated_BHLL.softmax(-1).to(v_BLHD.dtype), v_BLHD)


class DenseRun(RegionalRun):
    """One drawing; see the module."""

    by_program: ClassVar[bool] = False

    def __init__(self, drawing: Drawing, method: DenseDiffusion) -> None:
        super().__init__(drawing)
        self.method, self.fading = method, 0.0

    def settle(
        self, programs: Sequence[Program], bases: Sequence[BaseText], rows: int, canvas: Canvas, device: torch.device
    ) -> None:
        """See `RegionalRun`; spans stand behind the base prompt, as one text."""
        super().settle(programs, bases, rows, canvas, device)
        (sample,) = self.samples
        starts, at = [], sample.base.length
        for length in sample.lengths:
            starts.append(at)
            at += length
        self.samples = (replace(sample, starts=tuple(starts)),)

    def forward(self, step: int, inputs: dict[str, Any], forward: Forward) -> Any:
        """See `MethodRun`."""
        self.fading = float(inputs["timestep"].flatten()[0]) ** self.method.power
        return super().forward(step, inputs, forward)

    def enters(self, step: int) -> bool:
        """See `RegionalRun`: the one prompt, at every step."""
        return True

    def call(self, step: int, inputs: dict[str, Any]) -> RoutedCall:
        """See `RegionalRun`."""
        return DenseCall(self, step)

    def key(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> object:
        """See `RegionalRun`."""
        return visible, self.fading if any(visible[0].weights) else 0

    def spec(self, block: int, sample: Sample, visible: Visibility, padding: int) -> AttentionSpec:
        """See `RegionalRun`."""
        texts, layout = TextSpans(sample, visible.alive, padding), sample.layout
        text = texts.base[1]
        everything: Spans = ((0, text + layout.total),)
        plain = list(shift(layout.reference, text))
        own = []
        for members, span in layout.atoms:
            strength, spans = self._tied(sample, visible, texts, members)
            queries = shift((span,), text)
            neighbours = layout.neighbours(members)
            if strength == 0:
                plain += queries
                continue
            share = sum(stop - start for start, stop in neighbours) / layout.canvas
            fading = strength * self.fading * (1 - self.method.size * share)
            kinds = ((0, text), self.method.w_c * fading), ((text, text + layout.canvas), self.method.w_s * fading)
            own.append(Modulated(queries, (*spans, *shift(neighbours, text)), kinds))
        words = ((0, text),)
        groups = (AttentionGroup(tuple(plain), everything),) if plain else ()
        base = AttentionGroup(words, everything)
        return AttentionSpec(text, groups, base, words, (), text, (), None, padding, tuple(own))

    def _tied(
        self, sample: Sample, visible: Visibility, texts: TextSpans, members: tuple[int, ...]
    ) -> tuple[float, Spans]:
        """How strongly an atom's tokens are modulated in a block, and the spans tied to them."""
        areas = {sample.layout.names[m] for m in members} or {"background"}
        tied = [n for n in visible.visible if sample.program.streams[visible.alive[n]].area in areas]
        if tied:
            return max(visible.weights[n] for n in tied), tuple(texts.own[n] for n in tied)
        silent = not members and all(stream.area != "background" for stream in sample.program.streams)
        return (max(visible.weights), (texts.base,)) if silent else (0.0, ())


class DenseCall(RoutedCall):
    """Stands around the blocks of one transformer call; all spans pass all of them."""

    def __init__(self, run: DenseRun, step: int) -> None:
        super().__init__(run, step)
        (sample,) = run.samples
        self.visible = [_spans_of(sample.program, step)]


def _spans_of(program: Program, step: int) -> tuple[Visibility, ...]:
    """What a step's blocks modulate."""
    alive = tuple(range(len(program.streams)))
    weights = [tuple(float(s.weight[step, block]) for s in program.streams) for block in range(program.schedule.blocks)]
    return tuple(Visibility(alive, each, any(each), open=False, isolate=False, base_ratio=0.0) for each in weights)


@dataclass(frozen=True)
class DenseDiffusion(UndividedMethod):
    """See the module.

    Attributes:
        w_c: weight of the modulation of text keys.
        w_s: of image keys.
        size: how much of a region's share S of the canvas is taken off, 0 to 1.
        power: of the noise level with which both fade.
    """

    w_c: float = 1.0
    w_s: float = 0.3
    size: float = 1.0
    power: float = 5.0

    name: ClassVar[str] = "densediffusion"
    about: ClassVar[str] = "DenseDiffusion: one prompt with spans tied to regions, attention scores modulated by them"
    source: ClassVar[str | None] = "arXiv 2308.12964"
    refuses: ClassVar[Mapping[str, str]] = {
        SEVERAL: "each plan has a prompt of its own length; draw one plan a call",
        OBSERVERS: "probes do not know modulated scores; probe another method, such as regional",
        CACHED: "modulated scores have not been tried with one; leave the picture out, or draw by another method,"
        " such as regional",
    }
    routing: ClassVar[Routing | None] = Routing(
        name="densediffusion",
        about="DenseDiffusion as published: attention modulated in all blocks in the first 30 % of the steps",
        source="arXiv 2308.12964",
        blend=Blend(base_ratio=0),
        rules=[Rule(level="full", steps="0%-30%")],
    )
    tried: ClassVar[Sequence[str]] = ("flux", "flux2")

    def __post_init__(self) -> None:
        for name in ("w_c", "w_s", "size", "power"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0) or (name == "size" and value > 1):
                most = "to 1" if name == "size" else "or above"
                raise InputError(f"method '{self.name}': {name}: {value}: must be a number from 0 {most}")

    def check(self, program: Program) -> None:
        """See `Method`: an area has one span."""
        areas = [stream.area for stream in program.streams]
        for area in areas:
            if areas.count(area) > 1:
                raise InputError(
                    f"method '{self.name}': {quote(area)} has several texts, at different steps or blocks, but its"
                    " prompt is one; leave the overrides out"
                )

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return DenseRun(drawing, self)


METHOD = DenseDiffusion()
