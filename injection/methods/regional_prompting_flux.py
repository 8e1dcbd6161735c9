"""Regional-Prompting-FLUX as published: Training-free Regional Prompting for Diffusion Transformers, arXiv 2411.02395.

What its pipeline does otherwise than ours:

- `blend: {mode: split}`: from the first single block on, the base prompt carries its own copy of the image tokens. Base
  attention is the copy's, with its own queries, and the image blends in what the copy received at its place.
- What a ControlNet adds to the image between single blocks, the copy receives too.
- `unrouted: open`: a block that no rule matches attends from everything to everything, in a step that has rules.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from strata.injection.attention import AttentionGroup, AttentionSpec
from strata.injection.families.base import Block
from strata.injection.layout import Spans, merge, shift
from strata.injection.methods.base import Drawing, Method, MethodRun
from strata.injection.methods.groups import Sample, TextSpans, atom_groups, faint_groups, stream_groups, strengths
from strata.injection.methods.regional import RegionalRun
from strata.injection.methods.routed_call import RoutedCall
from strata.injection.program import Program, Visibility
from strata.layers.routing import Routing


def has_copy(program: Program, block: int) -> bool:
    """Whether the base prompt carries its own copy of the image through a block."""
    return program.routing.blend.mode == "split" and block >= program.schedule.double_blocks


class PublishedRun(RegionalRun):
    """One drawing; see the module."""

    def call(self, step: int, inputs: dict[str, Any]) -> RoutedCall:
        """See `RegionalRun`."""
        return CopyingCall(self, step, self.family.residuals(inputs))

    def key(self, block: int, visible: tuple[Visibility, ...], padding: tuple[int, ...]) -> object:
        """See `RegionalRun`."""
        return visible, padding, has_copy(self.samples[0].program, block)

    def spec(self, block: int, sample: Sample, visible: Visibility, padding: int) -> AttentionSpec | None:
        """See `RegionalRun`."""
        copied = has_copy(sample.program, block)
        if not copied and not (visible.open and visible.alive):
            return super().spec(block, sample, visible, padding)
        texts, layout = TextSpans(sample, visible.alive, padding), sample.layout
        (base_start, base_stop), ratio, faint = texts.base, visible.base_ratio, bool(sample.base.faint)
        text = base_stop + (layout.total if copied else 0)
        canvas_stop, stop, end = text + layout.canvas, text + layout.total, text + layout.keys
        if visible.open:
            asking, keys = (merge([(padding, base_start), (text, last)]) for last in (stop, end))
            groups = [AttentionGroup(asking, keys)]
        else:
            groups = stream_groups(sample, visible, texts, text)
            if visible.visible:
                groups += atom_groups(sample, visible, texts, text)
        blended: Spans = ((text, stop if visible.open else canvas_stop),)
        direct: Spans = ((base_start, text),)
        has_regional = bool(visible.visible) or visible.open
        if copied:
            base = AttentionGroup(direct, merge([*direct, (stop, end)]), faint)
            if layout.asking and not visible.open:
                keys = merge([(base_start, base_stop), (text, end)])
                groups.append(AttentionGroup(shift(layout.asking, text), keys, faint))
        else:
            base = AttentionGroup(direct if ratio == 0 else ((base_start, stop),), ((base_start, end),), faint)
        groups += faint_groups(sample, texts, base.keys)
        if has_regional and ratio == 0:
            blended = ()
        return AttentionSpec(
            text_length=text,
            groups=tuple(groups),
            base=base,
            direct=direct,
            blended=blended,
            base_queries=base_stop if copied else text,
            strengths=strengths(sample, visible, texts, groups),
            ratio=ratio if blended and has_regional else None,
            padding=padding,
        )


class CopyingCall(RoutedCall):
    """Stands around the blocks of one transformer call; keeps the base prompt's copy of the image between them."""

    def __init__(self, run: RegionalRun, step: int, residuals: Any) -> None:
        super().__init__(run, step)
        self.residuals = residuals
        self.copy: Tensor | None = None
        self.doubles = run.samples[0].program.schedule.double_blocks
        self.singles = run.samples[0].program.schedule.single_blocks

    def before(self, block: Block, text: Tensor, image: Tensor) -> Tensor:
        """See `RoutedCall`."""
        text = super().before(block, text, image)
        if not has_copy(self.run.samples[0].program, block.index):
            return text
        single = block.index - self.doubles
        if self.copy is None:
            self.copy = image
        elif self.residuals and single:
            interval = -(-self.singles // len(self.residuals))
            self.copy = self.copy + self.residuals[(single - 1) // interval]
        self.copied = image.shape[1]
        return torch.cat([text, self.copy], dim=1)

    def after(self, block: Block, text: Tensor) -> Tensor:
        """See `RoutedCall`."""
        if self.copy is None:
            return text
        image = self.copy.shape[1]
        self.copy = text[:, -image:]
        return text[:, :-image]

    def tables_key(self) -> object:
        """See `RoutedCall`."""
        return super().tables_key(), self.copy is not None

    def table_parts(self, table: Tensor) -> list[Tensor]:
        """See `RoutedCall`."""
        parts = super().table_parts(table)
        return parts if self.copy is None else [*parts, table[-self.copy.shape[1] :]]

    def segments(self, block: Block) -> tuple[tuple[str, int], ...]:
        """See `RoutedCall`."""
        found = super().segments(block)
        if not has_copy(self.run.samples[0].program, block.index):
            return found
        return (*found[:-1], ("image", self.run.samples[0].layout.total), found[-1])


class RegionalPromptingFlux(Method):
    """The published pipeline; see the module."""

    name: ClassVar[str] = "regional-prompting-flux"
    about: ClassVar[str] = "the published pipeline's way: the base prompt carries its own copy of the image"
    source: ClassVar[str | None] = "arXiv 2411.02395"
    routing: ClassVar[Routing | None] = Routing.load("regional-prompting-flux")

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return PublishedRun(drawing)


METHOD = RegionalPromptingFlux()
