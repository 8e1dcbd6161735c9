"""Our way: all texts ride along, every block attends as the program says, base and regional attention are blended once.

One image stream (`blend: {mode: shared}`): both attentions read the same queries, so image tokens pass each projection
and MLP once. Image tokens are put in atom order for the call; a stream that is visible in no later block is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.injection.attention import AttentionGroup, AttentionSpec, BlockAttention
from strata.injection.errors import UnsupportedError
from strata.injection.families.base import BaseText, Block, Canvas
from strata.injection.intercept import Call
from strata.injection.layout import TokenLayout, shift
from strata.injection.methods.base import Drawing, Forward, Method, MethodRun
from strata.injection.methods.groups import (
    Sample,
    TextSpans,
    alone_spec,
    atom_groups,
    faint_groups,
    plain_spec,
    stream_groups,
    strengths,
)
from strata.injection.methods.passes import check_step, compiled
from strata.injection.processor import handed_over
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
        self.device = torch.device("cpu")
        self.text_states = TextStates()
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
        text = self._text(self.family.text(inputs))
        entered = self.family.enter(inputs, text, self.samples[0].positions, self.order)
        call = self.call(step, entered)
        output = forward(entered, call)
        call.check()
        return self.family.leave(output, self.inverse)

    def enters(self, step: int) -> bool:
        """Whether a step gets the streams."""
        return any(sample.program.routed(step) for sample in self.samples)

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
        self.order, self.inverse, self.device = layout.order, layout.inverse, device
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

    def _text(self, base_BLC: Tensor) -> Tensor:
        """All streams beside the base prompt, padded at the front to one length."""
        longest = max(sample.text_length(range(len(sample.lengths))) for sample in self.samples)
        parts = []
        for sample in self.samples:
            base = sample.base.of(base_BLC if sample.rows is None else base_BLC[sample.rows])
            texts = [self.drawing.texts[s.text].to(base) for s in sample.program.streams]
            texts = [text.expand(len(base), *text.shape[1:]) for text in texts]
            parts.append(_padded(torch.cat([*texts, base], dim=1), longest))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def attention(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> BlockAttention | None:
        """What a block's attention computes; None: it is plain, for all samples."""
        key = self.key(block, visible, padding)
        if key not in self._known:
            specs = [self.spec(block, *each) for each in zip(self.samples, visible, padding, strict=True)]
            found: list[tuple[slice | None, AttentionSpec]] = []
            for sample, spec, pad in zip(self.samples, specs, padding, strict=True):
                if spec is None:
                    spec = plain_spec(sample, TextSpans(sample, (), pad), (), pad)
                found.append((sample.rows, spec))
            plain = all(spec is None for spec in specs) and not any(padding)
            self._known[key] = None if plain else BlockAttention(tuple(found))
        return self._known[key]

    def text_attention(self) -> BlockAttention:
        """What blocks compute that text tokens pass by themselves."""
        if "text" not in self._known:
            lengths = [sample.text_length(range(len(sample.lengths))) for sample in self.samples]
            specs = [alone_spec(s, max(lengths) - length) for s, length in zip(self.samples, lengths, strict=True)]
            rows = (sample.rows for sample in self.samples)
            self._known["text"] = BlockAttention(tuple(zip(rows, specs, strict=True)))
        found = self._known["text"]
        assert found is not None
        return found

    def key(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> object:
        """Blocks with the same key have the same attention."""
        return visible, padding

    def spec(self, block: int, sample: Sample, visible: Visibility, padding: int) -> AttentionSpec | None:
        """What a block's attention computes for one plan; None: plain attention."""
        if not visible.alive and not sample.base.faint:
            return None
        texts = TextSpans(sample, visible.alive, padding)
        text, layout = texts.base[1], sample.layout
        end = text + layout.keys
        groups = stream_groups(sample, visible, texts, text)
        if not visible.visible:  # a plain block: the base's output for all but the streams
            return plain_spec(sample, texts, groups, padding)
        groups += atom_groups(sample, visible, texts, text)
        heard, spoken = ((texts.base[0], end),), (texts.base,)
        groups += faint_groups(sample, texts, heard)
        weak, ratio = strengths(sample, visible, texts, groups), visible.base_ratio
        if ratio == 0:
            if layout.asking:
                groups.append(AttentionGroup(shift(layout.asking, text), heard, bool(sample.base.faint)))
            base = AttentionGroup(spoken, heard, bool(sample.base.faint))
            return AttentionSpec(text, tuple(groups), base, spoken, None, text, weak, None, padding)
        asking = ((texts.base[0], text + layout.total),)
        base = AttentionGroup(asking, heard, bool(sample.base.faint))
        blended, direct = (text, text + layout.canvas), spoken + shift(layout.asking, text)
        return AttentionSpec(text, tuple(groups), base, direct, blended, text, weak, ratio, padding)


class RoutedCall:
    """Stands around the blocks of one transformer call.

    Attributes:
        copied: how many of the text's last tokens are a copy of the image's.
    """

    copied = 0

    def __init__(self, run: RegionalRun, step: int) -> None:
        self.run, self.family = run, run.family
        self.visible = [sample.program.blocks(step) for sample in run.samples]
        self.alive = [tuple(range(len(sample.lengths))) for sample in run.samples]
        self.text_length = max(s.text_length(alive) for s, alive in zip(run.samples, self.alive, strict=True))
        self._entered = self.text_length
        self._tables: dict[object, tuple[Tensor, ...]] = {}
        self.expected: Counter[BlockAttention] = Counter()
        self._before = {known: known.calls for known in run._known.values() if known is not None}

    @property
    def inverse(self) -> Tensor:
        """See `BlockHooks`."""
        return self.run.inverse[: self.run.samples[0].layout.canvas]

    def around_text(self, block: Block, call: Call, inputs: dict[str, Any]) -> Any:
        """See `BlockHooks`."""
        attention = self.run.text_attention()

        def attend() -> Any:
            self.expected[attention] += 1
            with handed_over(block.attn, attention.key):
                return call(**inputs)

        return self.run.text_states.behind(block, inputs, attend)

    def around(self, block: Block, call: Call, inputs: dict[str, Any]) -> Any:
        """See `BlockHooks`."""
        family = self.family
        if block.joint:
            # The transformer splits what it gets back at the length of text that it knows (`Family.cuts_entered_text`).
            joined = inputs["hidden_states"]
            ballast = joined.shape[1] - self.text_length - self.run.samples[0].layout.total
            text, image = joined[:, ballast : ballast + self.text_length], joined[:, ballast + self.text_length :]
        else:
            text, image = inputs["encoder_hidden_states"], inputs["hidden_states"]
        text = self.before(block, text, image)
        attention = self.attention(block)
        key = None if attention is None else attention.key
        with handed_over(block.attn, key) as keyword:
            output = call(**family.block_inputs(block, inputs, text, image, self.tables(inputs), keyword, self.copied))
        text, image = family.split_block(block, output, text.shape[1])
        text = self.after(block, text)
        if not block.joint:
            return text, image
        length = self._entered + image.shape[1] if family.cuts_entered_text else joined.shape[1]
        missing = joined.new_zeros(len(joined), length - text.shape[1] - image.shape[1], joined.shape[2])
        return torch.cat([missing, text, image], dim=1)

    def before(self, block: Block, text: Tensor, image: Tensor) -> Tensor:
        """The text tokens that a block gets: streams that no later block sees are dropped."""
        alive = [visible[block.index].alive for visible in self.visible]
        if alive != self.alive:
            samples = zip(self.run.samples, self.alive, alive, strict=True)
            longest = max(s.text_length(now) for s, now in zip(self.run.samples, alive, strict=True))
            parts = []
            for sample, then, now in samples:
                rows = text if sample.rows is None else text[sample.rows]
                at = text.shape[1] - sample.text_length(then)
                kept = []
                for i in then:
                    if i in now:
                        kept.append(rows[:, at : at + sample.lengths[i]])
                    at += sample.lengths[i]
                parts.append(_padded(torch.cat([*kept, rows[:, at:]], dim=1), longest))
            text = parts[0] if len(parts) == 1 else torch.cat(parts)
            self.alive, self.text_length = alive, longest
        return text

    def after(self, block: Block, text: Tensor) -> Tensor:
        """The text tokens that a block returned, without what `before` added."""
        return text

    def attention(self, block: Block) -> BlockAttention | None:
        """What the block's attention computes."""
        samples = zip(self.run.samples, self.visible, strict=True)
        visible = tuple(each[block.index] for each in self.visible)
        padding = tuple(self.text_length - s.text_length(each[block.index].alive) for s, each in samples)
        return self.run.attention(block.index, visible, padding)

    def tables(self, inputs: dict[str, Any]) -> tuple[Tensor, ...]:
        """Rotary tables of the text tokens that are left, and of the image."""
        key = self.tables_key()
        if key not in self._tables:
            full = self.family.rotary(inputs, self.run.samples[0].positions, self.run.order)
            self._tables[key] = tuple(torch.cat(self.table_parts(table)) for table in full)
        return self._tables[key]

    def tables_key(self) -> object:
        """Blocks with the same key have the same tables."""
        return tuple(self.alive)

    def table_parts(self, table: Tensor) -> list[Tensor]:
        """One table's rows for the text tokens, then for the image."""
        image = self.run.samples[0].layout.total
        if len(self.run.samples) > 1:  # text positions are all alike
            return [table[self._entered - self.text_length :]]
        sample, at, parts = self.run.samples[0], 0, []
        for i, length in enumerate(sample.lengths):
            if i in self.alive[0]:
                parts.append(table[at : at + length])
            at += length
        return [*parts, table[at : at + sample.base.length], table[-image:]]

    def segments(self, block: Block) -> tuple[tuple[str, int], ...]:
        """See `BlockHooks`."""
        sample, alive = self.run.samples[0], self.visible[0][block.index].alive
        names = sample.program.stream_names
        padding = self.text_length - sample.text_length(alive)
        texts = [(names[i], sample.lengths[i]) for i in alive] + [("base", sample.base.length)]
        return (*([("padding", padding)] if padding else []), *texts, ("image", sample.layout.keys))

    def spec(self, block: Block) -> AttentionSpec | None:
        """See `BlockHooks`."""
        attention = self.attention(block)
        return None if attention is None else attention.samples[0][1]

    def check(self) -> None:
        """Raise `UnsupportedError` unless every attention was computed as often as the program has it."""
        blocks = self.run.samples[0].program.schedule.blocks
        expected = self.expected
        for n in range(blocks):
            visible = tuple(each[n] for each in self.visible)
            text = [s.text_length(v.alive) for s, v in zip(self.run.samples, visible, strict=True)]
            attention = self.run.attention(n, visible, tuple(max(text) - length for length in text))
            if attention is not None:
                expected[attention] += 1
        found = {known: known.calls - self._before.get(known, 0) for known in expected}
        if found != dict(expected):
            raise UnsupportedError(
                f"regional attention was computed {sum(found.values())} times in a step that has it"
                f" {sum(expected.values())} times: something skips or replaces blocks or attention processors of the"
                " transformer (a block cache such as cache-dit's?); switch it off"
            )


def _padded(text_BLC: Tensor, length: int) -> Tensor:
    """Text with zeros before it."""
    missing = length - text_BLC.shape[1]
    if not missing:
        return text_BLC
    return torch.cat([text_BLC.new_zeros(len(text_BLC), missing, *text_BLC.shape[2:]), text_BLC], dim=1)


class Regional(Method):
    """Our way; see the module."""

    name: ClassVar[str] = "regional"
    confines_loras: ClassVar[bool] = True
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
