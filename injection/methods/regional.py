"""Our way: all texts ride along, every block attends as the program says, base and regional attention are blended once.

One image stream (`blend: {mode: shared}`): both attentions read the same queries, so image tokens pass each projection
and MLP once. Image tokens are put in atom order for the call; a stream that is visible in no later block is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.injection.attention import AttentionSpec, BlockAttention, Keys
from strata.injection.families.base import BaseText, Canvas
from strata.injection.layout import TokenLayout
from strata.injection.methods.base import Drawing, Forward, Method, MethodRun
from strata.injection.methods.groups import Sample, TextSpans, alone_spec, plain_spec, regional_spec
from strata.injection.methods.passes import check_step, compiled
from strata.injection.methods.refresh import Keep, Kept, Recall, needs_texts
from strata.injection.methods.routed_call import RecallingCall, RoutedCall, padded
from strata.injection.program import Program, Visibility, joint_grid
from strata.injection.text_states import TextStates
from strata.layers.routing import Routing


class RegionalRun(MethodRun):
    """One drawing; see the module.

    Attributes:
        by_program: whether the program alone tells what every block computes, and so what a run costs.
    """

    by_program: ClassVar[bool] = True

    def __init__(self, drawing: Drawing) -> None:
        self.drawing, self.family = drawing, drawing.family
        self.samples: tuple[Sample, ...] = ()
        self.order = self.inverse = torch.empty(0, dtype=torch.int64)
        self.text_states, self.base_states = TextStates(), TextStates()
        """Of all streams beside the base prompt, and of that alone."""
        self.last: int | None = None
        """The step at which the streams rode along last, where their keys and values are kept."""
        self._kept: list[Kept] = []
        self._known: dict[object, BlockAttention | None] = {}
        """Blocks alike, of all steps so far: most steps only repeat what an earlier one was."""

    def forward(self, step: int, inputs: dict[str, Any], forward: Forward) -> Any:
        """See `MethodRun`: a routed step gets its streams, any other stays as it is."""
        if not self.samples:
            self._begin(inputs)
        check_step(self.samples[0].program, step)
        if not self.enters(step):
            return forward(inputs)
        inputs = self.family.prepare(inputs, partial(forward, watched=False))
        alone = not self.rides(step)
        text = self._text(self.family.text(inputs), alone)
        positions = self.samples[0].positions
        entered = self.family.enter(inputs, text, positions[-1:] if alone else positions, self.order)
        call = RecallingCall(self, step) if alone else self.call(step, entered)
        output = forward(entered, call)
        call.check()
        return self.family.leave(output, self.inverse)

    def enters(self, step: int) -> bool:
        """Whether a step gets the streams."""
        return any(sample.program.routed(step) for sample in self.samples)

    @property
    def keeps(self) -> bool:
        """Whether the streams' keys and values are kept from step to step."""
        return all(sample.program.routing.refresh > 1 for sample in self.samples) and not torch.is_grad_enabled()

    def rides(self, step: int) -> bool:
        """Whether the streams ride along at a step that gets them."""
        programs = [sample.program for sample in self.samples]
        if self.keeps and not needs_texts(programs, self.last, step):
            return False
        self.last = step
        return True

    def call(self, step: int, inputs: dict[str, Any]) -> RoutedCall:
        """What stands around the blocks of a routed step."""
        return RoutedCall(self, step)

    def _begin(self, inputs: dict[str, Any]) -> None:
        """Settle what the first call tells: the token grid, the lengths of texts."""
        drawing, canvas, base = self.drawing, self.family.canvas(inputs), self.family.text(inputs)
        programs = compiled(drawing, canvas)
        rows = len(base) // len(programs)
        self.settle(programs, self.family.base_texts(inputs)[::rows], rows, canvas, base.device)

    def settle(
        self, programs: Sequence[Program], bases: Sequence[BaseText], rows: int, canvas: Canvas, device: torch.device
    ) -> None:
        """Lay out the programs, each for so many rows of the batch, on these image tokens."""
        alone = len(programs) == 1
        grid = programs[0].grid if alone else joint_grid(programs)
        layout = TokenLayout.of(grid, canvas.total, device, canvas.kept)
        self.order, self.inverse = layout.order, layout.inverse
        first, samples = 0, []
        for n, program in enumerate(programs):
            regions = len(program.grid.names)
            samples.append(
                Sample(
                    program,
                    None if alone else slice(n * rows, (n + 1) * rows),
                    tuple(self.drawing.texts[stream.text].shape[1] for stream in program.streams),
                    bases[n],
                    layout if alone else layout.part(program.grid.names, first, first + regions),
                    tuple(self.drawing.starts.get(stream.text, 0) for stream in program.streams),
                )
            )
            first += regions
        self.samples = tuple(samples)

    def _text(self, base_BLC: Tensor, alone: bool = False) -> Tensor:
        """All streams beside the base prompt, or that `alone`, padded at the front to one length."""
        lengths = [sample.text_length(() if alone else range(len(sample.lengths))) for sample in self.samples]
        longest, parts = max(lengths), []
        for sample in self.samples:
            base = sample.base.of(base_BLC if sample.rows is None else base_BLC[sample.rows])
            texts = [] if alone else [self.drawing.texts[s.text].to(base) for s in sample.program.streams]
            texts = [text.expand(len(base), *text.shape[1:]) for text in texts]
            parts.append(padded(torch.cat([*texts, base], dim=1), longest))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def attention(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> BlockAttention | None:
        """What a block's attention computes; None: it is plain, for all samples."""
        key = (self.key(block, visible, padding), block if self.keeps else 0)
        if key not in self._known:
            specs = [self.spec(block, *each) for each in zip(self.samples, visible, padding, strict=True)]
            plain = all(spec is None for spec in specs) and not any(padding)
            self._known[key] = None if plain else self._attention(specs, padding, self._keep(block, visible, padding))
        return self._known[key]

    def _attention(
        self, specs: Sequence[AttentionSpec | None], padding: tuple[int, ...], keys: Keys | None
    ) -> BlockAttention:
        """What a block's attention computes, plain for those that have no spec."""
        found: list[tuple[slice | None, AttentionSpec]] = []
        for sample, spec, pad in zip(self.samples, specs, padding, strict=True):
            found.append((sample.rows, spec or plain_spec(sample, TextSpans(sample, (), pad), (), pad)))
        return BlockAttention(tuple(found), keys)

    def _keep(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> Keep | None:
        """Keeps a block's streams, where they are wanted at other steps."""
        if not self.keeps:
            return None
        spans = []
        for sample, now, pad in zip(self.samples, visible, padding, strict=True):
            spans.append((pad, pad + sum(sample.lengths[i] for i in now.alive)))
        return Keep(self.kept(block), tuple(spans))

    def kept(self, block: int) -> Kept:
        """A block's streams, as they were when they rode along last."""
        while len(self._kept) <= block:
            self._kept.append({})
        return self._kept[block]

    def recalling(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> BlockAttention | None:
        """What a block's attention computes where the streams do not ride along; `visible` as `recalled` gives it."""
        key = ("recalled", block, visible, padding)
        if key not in self._known:
            each = zip(self.samples, visible, padding, strict=True)
            specs = [regional_spec(*one, kept=True) if one[1].visible else None for one in each]
            faint = any(sample.base.faint for sample in self.samples)
            silent = all(spec is None for spec in specs) and not any(padding) and not faint
            self._known[key] = None if silent else self._attention(specs, padding, Recall(self.kept(block)))
        return self._known[key]

    def text_attention(self, alone: bool) -> BlockAttention:
        """What blocks compute that text tokens pass by themselves: all streams, or the base prompt `alone`."""
        key = "text", alone
        if key not in self._known:
            alive = [() if alone else tuple(range(len(sample.lengths))) for sample in self.samples]
            lengths = [sample.text_length(each) for sample, each in zip(self.samples, alive, strict=True)]
            found = []
            for sample, each, length in zip(self.samples, alive, lengths, strict=True):
                found.append((sample.rows, alone_spec(sample, each, max(lengths) - length)))
            self._known[key] = BlockAttention(tuple(found))
        found_attention = self._known[key]
        assert found_attention is not None
        return found_attention

    def key(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> object:
        """Blocks with the same key have the same attention."""
        return visible, padding

    def spec(self, block: int, sample: Sample, visible: Visibility, padding: int) -> AttentionSpec | None:
        """What a block's attention computes for one plan; None: plain attention."""
        return regional_spec(sample, visible, padding)


class Regional(Method):
    """Our way; see the module."""

    name: ClassVar[str] = "regional"
    confines_loras: ClassVar[bool] = True
    keeps_texts: ClassVar[bool] = True
    about: ClassVar[str] = "texts ride along, each visible in its region, blocks and steps; blended once with the base"

    def check(self, program: Program) -> None:
        """See `Method`: a routing with the published pipeline's peculiarities is not for this one."""
        if is_published(program.routing):
            raise InputError(
                f"method 'regional': routing {quote(program.routing.name)}: blend mode split and unrouted open are for"
                " the method regional-prompting-flux alone"
            )

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return RegionalRun(drawing)


def is_published(routing: Routing) -> bool:
    """Whether a routing has what the published pipeline does otherwise (`regional_prompting_flux.py`)."""
    return routing.blend.mode == "split" or routing.unrouted == "open"


METHOD = Regional()
