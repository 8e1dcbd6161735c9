"""One denoising step, resolved: for every block, which streams still ride along and what its attention computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from strata.injection.attention import Audience, Regional
from strata.injection.layout import Span, Spans, TokenLayout, merge, shift
from strata.injection.streams import Stream
from strata.layers.schedule import Schedule


@dataclass(frozen=True, eq=False)
class BlockStep:
    """One block at one step: the streams that ride along (indices, ascending), and its attention; None = plain FLUX."""

    alive: tuple[int, ...]
    copied: bool
    regional: Regional | None


@dataclass(frozen=True, eq=False)
class StepPlanner:
    """Resolves steps for one call.

    Attributes:
        streams: the S streams of the call, all with image tokens of their own.
        lengths: text tokens of each stream.
        base_length: text tokens of the base prompt.
    """

    schedule: Schedule
    streams: Sequence[Stream]
    lengths: Sequence[int]
    base_length: int
    layout: TokenLayout
    device: torch.device
    _known: dict[object, BlockStep] = field(default_factory=dict, repr=False)
    """Blocks alike, of all steps so far: most steps only repeat what an earlier one was."""

    def routed(self, step: int) -> bool:
        """Whether any stream is heard in the step; where none is, the step is plain FLUX."""
        return any(stream.weight[step].any() for stream in self.streams)

    def blocks(self, step: int) -> tuple[BlockStep, ...]:
        """All B blocks of a routed step."""
        schedule = self.schedule
        last = [stream.last_block(step) for stream in self.streams]
        if schedule.unrouted == "open":
            unrouted = np.flatnonzero(~schedule.routed[step])
            if len(unrouted):
                last = [max(block, int(unrouted[-1])) if block >= 0 else -1 for block in last]
        resolved = []
        for block in range(schedule.blocks):
            alive = tuple(i for i, end in enumerate(last) if end >= block)
            copied = schedule.routing.blend.mode == "split" and block >= schedule.double_blocks
            weights = tuple(float(self.streams[i].weight[step, block]) for i in alive)
            does = (bool(schedule.routed[step, block]), bool(schedule.isolate[step, block]))
            key = (alive, copied, weights, does, float(schedule.base_ratio[step]))
            if key not in self._known:
                self._known[key] = BlockStep(alive, copied, self._attention(step, block, alive, weights, copied))
            resolved.append(self._known[key])
        return tuple(resolved)

    def _attention(
        self, step: int, block: int, alive: tuple[int, ...], weights: tuple[float, ...], copied: bool
    ) -> Regional | None:
        if not alive and not copied:
            return None
        layout, schedule = self.layout, self.schedule
        own: list[Span] = []
        at = 0
        for i in alive:
            own.append((at, at + self.lengths[i]))
            at += self.lengths[i]
        base_start, base_stop = at, at + self.base_length
        text = base_stop + (layout.total if copied else 0)
        canvas_stop, end = text + layout.canvas, text + layout.total
        reference = shift(layout.reference, text)
        audible = [n for n, weight in enumerate(weights) if weight > 0]
        groups: list[Audience] = []
        is_open = not schedule.routed[step, block] and schedule.unrouted == "open"
        if is_open:
            everything = merge([(0, base_start), (text, end)])
            groups.append(Audience(everything, everything))
        else:
            for n, i in enumerate(alive):
                area = shift(layout.area(self.streams[i].area), text)
                groups.append(Audience((own[n],), merge([own[n], *area, *reference])))
            if audible:
                isolated = bool(schedule.isolate[step, block])
                groups += self._atoms(alive, own, weights, audible, (base_start, base_stop), isolated, text)
        ratio = float(schedule.base_ratio[step])
        heard = bool(audible) or is_open
        direct: Spans
        blended: Span | None = (text, end if is_open else canvas_stop)
        if copied:
            direct = ((base_start, text),)
            base = Audience(direct, direct)
            lent = base_stop
            if reference and not is_open:
                groups.append(Audience(reference, merge([(base_start, base_stop), (text, end)])))
            if heard and ratio == 0:
                blended = None
        else:
            lent = text
            spoken = ((base_start, text),)
            if not heard:  # a plain block: the base's output for all but the streams
                blended, direct = None, ((base_start, end),)
                base = Audience(direct, ((base_start, end),))
            elif ratio == 0:
                blended, direct = None, spoken
                base = Audience(spoken, ((base_start, end),))
                if reference and not is_open:
                    groups.append(Audience(reference, ((base_start, end),)))
            else:
                direct = spoken if is_open else spoken + reference
                base = Audience(((base_start, end),), ((base_start, end),))
        bias = None
        if any(group.weighted for group in groups):
            bias = torch.zeros(end, device=self.device)
            for n in audible:
                bias[slice(*own[n])] = float(np.log(weights[n]))
        blend: Tensor | None = None
        if blended is not None and heard:
            blend = torch.tensor(ratio, device=self.device)
        return Regional(text, tuple(groups), base, direct, blended, lent, bias, blend)

    def _atoms(
        self,
        alive: tuple[int, ...],
        own: list[Span],
        weights: tuple[float, ...],
        audible: list[int],
        base: Span,
        isolated: bool,
        text: int,
    ) -> list[Audience]:
        """The canvas tokens' attention: atoms that see the same are one audience."""
        layout = self.layout
        found: dict[tuple[Spans, bool], list[Span]] = {}
        for members, span in layout.atoms:
            areas = {"global", *(layout.names[m] for m in members)} | ({"background"} if not members else set())
            heard = [n for n in audible if self.streams[alive[n]].area in areas]
            texts = [own[n] for n in heard]
            if not texts and self.schedule.routing.background == "base":
                texts = [base]
            image = layout.neighbours(members) if isolated else ((0, layout.canvas),)
            keys = merge([*texts, *shift(image, text), *shift(layout.reference, text)])
            weighted = any(weights[n] != 1 for n in heard)
            found.setdefault((keys, weighted), []).append((span[0] + text, span[1] + text))
        return [Audience(merge(spans), keys, weighted) for (keys, weighted), spans in found.items()]
