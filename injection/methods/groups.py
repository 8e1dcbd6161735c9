"""Who attends to whom in one block for one plan, in groups of queries that see the same keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from strata.injection.attention import AttentionGroup, AttentionSpec
from strata.injection.families.base import BaseText
from strata.injection.layout import Span, Spans, TokenLayout, merge, shift
from strata.injection.program import Program, Visibility


@dataclass(frozen=True, eq=False)
class Sample:
    """One plan of the batch.

    Attributes:
        program: what is drawn.
        rows: of the batch; None: all of it.
        lengths: text tokens of each stream.
        base: the base prompt's tokens.
        layout: the image tokens.
        starts: the position of each stream's first token within its padded text.
    """

    program: Program
    rows: slice | None
    lengths: tuple[int, ...]
    base: BaseText
    layout: TokenLayout
    starts: tuple[int, ...]

    @property
    def positions(self) -> tuple[range, ...]:
        """Of the text tokens of each stream, then of the base prompt."""
        streams = zip(self.starts, self.lengths, strict=True)
        return (*(range(start, start + length) for start, length in streams), range(self.base.length))

    @property
    def images(self) -> int:
        """Rows of the batch, where there are several plans."""
        return 1 if self.rows is None else self.rows.stop - self.rows.start

    @cached_property
    def first(self) -> int:
        """Where the canvas's first token is among the image tokens."""
        return int(self.layout.places[0])

    @cached_property
    def corners(self) -> tuple[int | None, ...]:
        """Of each stream, where its region's first row and column meet, among the image tokens; None: of no region."""
        grid = self.program.grid
        found: list[int | None] = []
        for stream in self.program.streams:
            if stream.area not in grid.names:
                found.append(None)
                continue
            rows, cols = grid.area(stream.area).nonzero()
            found.append(int(self.layout.places[rows.min() * grid.cols + cols.min()]))
        return tuple(found)

    def text_length(self, alive: Sequence[int]) -> int:
        """Text tokens of these streams and the base prompt."""
        return sum(self.lengths[i] for i in alive) + self.base.length


class TextSpans:
    """Where a block's text tokens stand: padding, streams alive, base prompt, then whatever else precedes the image.

    `kept`: the streams' are no queries and stand behind all other keys.
    """

    def __init__(self, sample: Sample, alive: Sequence[int], padding: int, kept: bool = False) -> None:
        self.own: list[Span] = []
        at = padding + sample.base.length + sample.layout.keys if kept else padding
        for i in alive:
            self.own.append((at, at + sample.lengths[i]))
            at += sample.lengths[i]
        if kept:
            at = padding
        self.base: Span = (at, at + sample.base.length)
        self.faint: Span = (at + sample.base.length - sample.base.faint, at + sample.base.length)


def plain_spec(sample: Sample, texts: TextSpans, groups: Sequence[AttentionGroup], padding: int) -> AttentionSpec:
    """Base attention for base text and image; the streams before it have `groups`."""
    text, layout = texts.base[1], sample.layout
    asking, keys = ((texts.base[0], text + layout.total),), ((texts.base[0], text + layout.keys),)
    base = AttentionGroup(asking, keys, bool(sample.base.faint))
    groups = (*groups, *faint_groups(sample, texts, keys))
    return AttentionSpec(text, groups, base, asking, (), text, strengths(sample, None, texts, groups), None, padding)


def faint_groups(sample: Sample, texts: TextSpans, keys: Spans) -> list[AttentionGroup]:
    """The base prompt's faint tokens attend to all of the base attention's keys alike; others see them faintly."""
    return [AttentionGroup((texts.faint,), keys)] if sample.base.faint else []


def stream_groups(sample: Sample, visible: Visibility, texts: TextSpans, text: int) -> list[AttentionGroup]:
    """Each stream attends to itself, the image tokens of its area and the reference's."""
    reference = shift(sample.layout.reference, text)
    groups = []
    for own, i in zip(texts.own, visible.alive, strict=True):
        area = shift(sample.layout.area(sample.program.streams[i].reach), text)
        groups.append(AttentionGroup((own,), merge([own, *area, *reference])))
    return groups


def atom_groups(sample: Sample, visible: Visibility, texts: TextSpans, text: int) -> list[AttentionGroup]:
    """The canvas tokens' attention: atoms that see the same are one group."""
    layout, program = sample.layout, sample.program
    found: dict[tuple[Spans, bool], list[Span]] = {}
    for members, span in layout.atoms:
        areas = {"global", *(layout.names[m] for m in members)} | ({"background"} if not members else set())
        seen = [n for n in visible.visible if program.streams[visible.alive[n]].reach in areas]
        own = [texts.own[n] for n in seen]
        weighted = any(visible.weights[n] != 1 for n in seen)
        if not own and program.routing.background == "base":
            own, weighted = [texts.base], bool(sample.base.faint)
        image = layout.neighbours(members) if visible.isolate else ((0, layout.canvas),)
        keys = merge([*own, *shift(image, text), *shift(layout.reference, text)])
        found.setdefault((keys, weighted), []).append((span[0] + text, span[1] + text))
    return [AttentionGroup(merge(spans), keys, weighted) for (keys, weighted), spans in found.items()]


def strengths(
    sample: Sample, visible: Visibility | None, texts: TextSpans, groups: Sequence[AttentionGroup]
) -> tuple[tuple[Span, float], ...]:
    """Keys whose strength is not 1, and its logarithm; none where no group has any."""
    if not sample.base.faint and not any(group.weighted for group in groups):
        return ()
    found = [(texts.faint, sample.base.weight)] if sample.base.faint else []
    if visible is not None:
        weights = ((n, visible.weights[n]) for n in visible.visible)
        found += [(texts.own[n], math.log(weight)) for n, weight in weights if weight != 1]
    return tuple(found)


def heard_in(sample: Sample) -> Spans:
    """The canvas tokens into whose output the base attention is blended."""
    within_regions = sample.program.routing.blend.base_area == "regions"
    return merge(span for members, span in sample.layout.atoms if members or not within_regions)


def alone_spec(sample: Sample, alive: Sequence[int], padding: int) -> AttentionSpec:
    """Each text attends within itself; there is no image."""
    texts = TextSpans(sample, alive, padding)
    groups = tuple(AttentionGroup((own,), (own,)) for own in texts.own)
    base = AttentionGroup((texts.base,), (texts.base,))
    end = texts.base[1]
    return AttentionSpec(end, groups, base, (texts.base,), (), end, (), None, padding)


def regional_spec(sample: Sample, visible: Visibility, padding: int, kept: bool = False) -> AttentionSpec | None:
    """What a block's attention computes for one plan; None: plain attention.

    `kept`: the streams do not ride along, but are keys.
    """
    if not visible.alive and not sample.base.faint:
        return None
    texts = TextSpans(sample, visible.alive, padding, kept)
    text, layout = texts.base[1], sample.layout
    end = text + layout.keys
    groups = [] if kept else stream_groups(sample, visible, texts, text)
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
        return AttentionSpec(text, tuple(groups), base, spoken, (), text, weak, None, padding)
    asking = ((texts.base[0], text + layout.total),)
    base = AttentionGroup(asking, heard, bool(sample.base.faint))
    blended, direct = shift(heard_in(sample), text), spoken + shift(layout.asking, text)
    first = blended[0][0] if blended else text
    return AttentionSpec(text, tuple(groups), base, direct, blended, first, weak, ratio, padding)
