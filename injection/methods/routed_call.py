"""What stands around the blocks of a routed step: which texts pass, their rotary tables, each block's attention."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from strata.injection.attention import AttentionSpec, BlockAttention
from strata.injection.errors import UnsupportedError
from strata.injection.families.base import Block
from strata.injection.intercept import Call
from strata.injection.methods.groups import Sample
from strata.injection.methods.refresh import recalled
from strata.injection.processor import handed_over

if TYPE_CHECKING:
    from strata.injection.methods.regional import RegionalRun


class RoutedCall:
    """Stands around the blocks of one transformer call.

    Attributes:
        copied: how many of the text's last tokens are a copy of the image's.
        alone: whether the base prompt enters without the streams.
    """

    copied = 0
    alone = False

    def __init__(self, run: RegionalRun, step: int) -> None:
        self.run, self.family = run, run.family
        self.step = step
        self.visible = [sample.program.blocks(step) for sample in run.samples]
        self.alive = self.entering()
        self.text_length = max(s.text_length(alive) for s, alive in zip(run.samples, self.alive, strict=True))
        self._entered = self.text_length
        self._tables: dict[object, tuple[Tensor, ...]] = {}
        self.expected: Counter[BlockAttention] = Counter()
        self._before = {known: known.calls for known in run._known.values() if known is not None}

    @property
    def positions(self) -> tuple[range, ...]:
        """Of the tokens of each stream that enters, then of the base prompt."""
        return self.run.samples[0].positions

    def entering(self) -> list[tuple[int, ...]]:
        """The streams that enter, of each sample."""
        return [tuple(range(len(sample.lengths))) for sample in self.run.samples]

    @property
    def inverse(self) -> Tensor:
        """See `BlockHooks`."""
        return self.run.inverse[: self.run.samples[0].layout.canvas]

    def around_text(self, block: Block, call: Call, inputs: dict[str, Any]) -> Any:
        """See `BlockHooks`."""
        attention = self.run.text_attention(self.alone)

        def attend() -> Any:
            self.expected[attention] += 1
            with handed_over(block.attn, attention.key):
                return call(**inputs)

        states = self.run.base_states if self.alone else self.run.text_states
        return states.behind(block, inputs, attend)

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
        attention = self.attention(block.index)
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
                parts.append(padded(torch.cat([*kept, rows[:, at:]], dim=1), longest))
            text = parts[0] if len(parts) == 1 else torch.cat(parts)
            self.alive, self.text_length = alive, longest
        return text

    def after(self, block: Block, text: Tensor) -> Tensor:
        """The text tokens that a block returned, without what `before` added."""
        return text

    def attention(self, block: int) -> BlockAttention | None:
        """What a block's attention computes."""
        visible = tuple(each[block] for each in self.visible)
        lengths = [s.text_length(now.alive) for s, now in zip(self.run.samples, visible, strict=True)]
        return self.run.attention(block, visible, tuple(max(lengths) - length for length in lengths))

    def tables(self, inputs: dict[str, Any]) -> tuple[Tensor, ...]:
        """Rotary tables of the text tokens that are left, and of the image."""
        key = self.tables_key()
        if key not in self._tables:
            full = self.family.rotary(inputs, self.positions, self.run.order)
            self._tables[key] = self.placed(tuple(torch.cat(self.table_parts(table)) for table in full))
        return self._tables[key]

    def placed(self, tables: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The tables with texts where the routing has them; `[B, L, …]`, each row's own, where plans differ."""
        samples = self.run.samples
        if not self.family.places_texts or samples[0].program.routing.text_positions == "canvas":
            return tables
        found = [self._placed(tables, *each) for each in zip(samples, self.alive, strict=True)]
        if len(found) == 1:
            return found[0]
        rows = [each for sample, each in zip(samples, found, strict=True) for _ in range(sample.images)]
        return tuple(torch.stack(parts) for parts in zip(*rows, strict=True))

    def _placed(self, tables: tuple[Tensor, ...], sample: Sample, alive: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The tables with one plan's texts at their regions."""
        found = tuple(table.clone() for table in tables)
        image = len(found[0]) - sample.layout.total
        at = self.text_length - sample.text_length(alive)
        for i in alive:
            text = slice(at, at := at + sample.lengths[i])
            if (corner := sample.corners[i]) is not None:
                own, there, here = (
                    tuple(x[rows] for x in found) for rows in (text, image + corner, image + sample.first)
                )
                for table, rows in zip(found, self.family.moved(own, there, here), strict=True):
                    table[text] = rows
        return found

    def tables_key(self) -> object:
        """Blocks with the same key have the same tables."""
        return tuple(self.alive)

    def table_parts(self, table: Tensor) -> list[Tensor]:
        """One table's rows for the text tokens, then for the image."""
        image = self.run.samples[0].layout.total
        if len(self.run.samples) > 1:  # text positions are all alike
            return [table[self._entered - self.text_length :]]
        sample, at, parts = self.run.samples[0], 0, []
        for i in self.entering()[0]:
            length = sample.lengths[i]
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
        attention = self.attention(block.index)
        return None if attention is None else attention.samples[0][1]

    def check(self) -> None:
        """Raise `UnsupportedError` unless every attention was computed as often as the program has it."""
        blocks = self.run.samples[0].program.schedule.blocks
        expected = self.expected
        for n in range(blocks):
            attention = self.attention(n)
            if attention is not None:
                expected[attention] += 1
        found = {known: known.calls - self._before.get(known, 0) for known in expected}
        if found != dict(expected):
            raise UnsupportedError(
                f"regional attention was computed {sum(found.values())} times in a step that has it"
                f" {sum(expected.values())} times: something skips or replaces blocks or attention processors of the"
                " transformer (a block cache such as cache-dit's?); switch it off"
            )


class RecallingCall(RoutedCall):
    """Stands around the blocks of a call in which the streams do not ride along."""

    alone = True

    def __init__(self, run: RegionalRun, step: int) -> None:
        super().__init__(run, step)
        assert run.last is not None
        self.recalled = [recalled(sample.program, run.last, step) for sample in run.samples]
        self.visible = [tuple(replace(now, alive=(), weights=()) for now in each) for each in self.visible]

    @property
    def positions(self) -> tuple[range, ...]:
        """See `RoutedCall`."""
        return super().positions[-1:]

    def entering(self) -> list[tuple[int, ...]]:
        """See `RoutedCall`: none."""
        return [() for _ in self.run.samples]

    def attention(self, block: int) -> BlockAttention | None:
        """See `RoutedCall`."""
        lengths = [sample.text_length(()) for sample in self.run.samples]
        padding = tuple(max(lengths) - length for length in lengths)
        return self.run.recalling(block, tuple(each[block] for each in self.recalled), padding)


def padded(text_BLC: Tensor, length: int) -> Tensor:
    """Text with zeros before it."""
    missing = length - text_BLC.shape[1]
    if not missing:
        return text_BLC
    return torch.cat([text_BLC.new_zeros(len(text_BLC), missing, *text_BLC.shape[2:]), text_BLC], dim=1)
