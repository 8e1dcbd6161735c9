"""Attaching a method's run to a transformer for the time of one pipeline call, and detaching without a trace.

The transformer's own code runs unchanged and keeps its names. Calls of the transformer and of its blocks go through the
run, attention processors are exchanged for one that knows `BlockAttention`s; all of it is undone when the context ends,
however it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from strata.injection.attention import AttentionGroup, AttentionSpec
from strata.injection.checks import check_transformer
from strata.injection.families import Family
from strata.injection.families.base import BaseText, Block, Canvas
from strata.injection.intercept import Call, intercepted
from strata.injection.layout import Spans, merge
from strata.injection.methods.base import BlockHooks, MethodRun
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.ownership import DRAWING, Owner
from strata.injection.processor import RegionalAttnProcessor


class Attachment:
    """What stands between a pipeline call and the transformer.

    Args:
        family: of the transformer.
        run: what is asked at every conditional call.
        observers: are told every step, and every attention that they ask for.
        conditional: tells by its text embedding whether a call is conditional; others stay the stock model's.
        owner: the call that draws; transformer calls of anyone else are errors. None: they are taken for its own.
        step: tells the denoising step that is running; None: every conditional call is one.
        gates: lets LoRAs follow it; called once, in the first conditional call, when `canvas` is known.
    """

    def __init__(
        self,
        family: Family,
        run: MethodRun,
        observers: Sequence[Observer] = (),
        conditional: Callable[[Tensor], bool] = lambda text: True,
        owner: Owner | None = None,
        step: Callable[[], int] | None = None,
        gates: Callable[[Attachment], None] | None = None,
    ) -> None:
        self.gates = gates
        self.owner, self._running = owner, step
        self.family, self.run, self.observers, self.conditional = family, run, tuple(observers), conditional
        self.step = 0
        self.transformer: Any = None
        self.hooks: BlockHooks | None = None
        self._by_attn: dict[int, Block] = {}
        self._inputs: dict[str, Any] = {}
        self._conditional = False
        self.canvas = Canvas(0, 0, 0)
        self._base_text = BaseText(0)
        self._plain_specs: dict[tuple[BaseText, int, int], AttentionSpec | None] = {}

    @property
    def conditional_call(self) -> bool:
        """Whether a conditional call of the transformer lasts."""
        return self._conditional

    @property
    def running(self) -> int:
        """The denoising step of the last conditional call."""
        return max(self.step - 1, 0)

    def begin(self, transformer: Any) -> tuple[Block, ...]:
        """Get to know the transformer; returns its blocks."""
        self.transformer = transformer
        blocks = self.family.blocks(transformer)
        self._by_attn = {id(block.attn): block for block in blocks}
        return blocks

    def around_transformer(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A transformer call."""
        if self.owner is not None:
            self.owner.check()
        inputs = self.family.bind(self.transformer, args, kwargs)
        if not self.conditional(self.family.text(inputs)):
            return call(*args, **kwargs)
        step = self.step if self._running is None else self._running()
        self.step = step + 1

        def forward(inputs: dict[str, Any], hooks: BlockHooks | None = None, watched: bool = True) -> Any:
            self.hooks, self._conditional = hooks, watched
            try:
                return call(**inputs)
            finally:
                self.hooks, self._conditional = None, True

        for observer in self.observers:
            observer.begin_step(step, inputs)
        self._conditional = True
        if self.observers or self.gates is not None:
            self.canvas = self.family.canvas(inputs)
        if self.gates is not None:
            self.gates(self)
            self.gates = None
        if self.observers:
            self._base_text = self.family.base_texts(inputs)[0]
        try:
            output = self.run.forward(step, inputs, forward)
        finally:
            self._conditional = False
            self._inputs = {}
        for observer in self.observers:
            observer.end_step(step)
        return output

    def around_block(self, block: Block, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A block's call."""
        if self.hooks is None and not (self.observers and self._conditional):
            return call(*args, **kwargs)
        inputs = self._inputs = self.family.bind_block(block, args, kwargs)
        return call(*args, **kwargs) if self.hooks is None else self.hooks.around(block, call, inputs)

    def around_text_block(self, block: Block, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a block that text tokens pass by themselves."""
        if self.hooks is None:
            return call(*args, **kwargs)
        return self.hooks.around_text(block, call, self.family.bind_block(block, args, kwargs))

    def watching(self, attn: Any) -> tuple[Observer, ...]:
        """The observers that ask for this attention."""
        if not self.observers or not self._conditional:
            return ()
        index = self._by_attn[id(attn)].index
        return tuple(observer for observer in self.observers if observer.watches(index))

    def observe(
        self, attn: Any, watching: tuple[Observer, ...], q: Tensor, k: Tensor, v: Tensor, attended: Tensor, backend: Any
    ) -> None:
        """Tell observers of an attention."""
        block, hooks = self._by_attn[id(attn)], self.hooks
        if hooks is None:
            image, length = self.canvas.total + self.canvas.kept, k.shape[1]
            segments: tuple[tuple[str, int], ...] = (("base", length - image), ("image", image))
            key = (self._base_text, length - image, length)
            if key not in self._plain_specs:
                self._plain_specs[key] = masked_spec(*key)
            spec = self._plain_specs[key]
        else:
            segments, spec = hooks.segments(block), hooks.spec(block)
        event = AttentionEvent(
            block=block,
            q_BLHD=q,
            k_BLHD=k,
            v_BLHD=v,
            out_BLHD=attended,
            spec=spec,
            segments=segments,
            inverse=None if hooks is None else hooks.inverse,
            temb=self.family.temb(self._inputs),
            backend=backend,
        )
        for observer in watching:
            observer.attention(event)


class PromptCalls:
    """Tells conditional transformer calls by their text embedding, of which a pipeline may pass a copy.

    Args:
        negative: what the pipeline was given for its unconditional calls, one row a prompt or a picture; None: it
            makes none.
    """

    def __init__(self, negative: Tensor | None) -> None:
        self._negative = negative
        self._first: Tensor | None = None

    def __call__(self, text: Tensor) -> bool:
        """Whether a call with this embedding is conditional; classic pipelines begin with one that is."""
        if self._negative is None or text is self._first:
            return True
        if text is self._negative:
            return False
        if self._first is None:
            self._first = text
        elif self._is_negative(text):
            self._negative = text
            return False
        return True

    def _is_negative(self, text: Tensor) -> bool:
        """Whether a call's embedding holds that of the unconditional calls, repeated for pictures of one prompt."""
        assert self._negative is not None
        repeats = len(text) // len(self._negative)
        return torch.equal(text, self._negative.repeat_interleave(repeats, dim=0).to(text))


def masked_spec(base: BaseText, text: int, length: int) -> AttentionSpec | None:
    """The stock attention where a mask hides or weighs some of the base prompt; None where all see all."""
    if base.length == text and not base.faint:
        return None
    keys = merge([(0, base.length - base.tail), (text - base.tail, length)])
    faint = (base.length - base.faint, base.length)
    everything: Spans = ((0, length),)
    groups = (AttentionGroup((faint,), keys),) if base.faint else ()
    group = AttentionGroup(everything, keys, bool(base.faint))
    return AttentionSpec(text, groups, group, everything, (), text, ((faint, base.weight),) if base.faint else ())


@contextmanager
def attached(transformer: Any, attachment: Attachment, busy: str = DRAWING) -> Iterator[Attachment]:
    """Attach to a transformer while the context lasts; `busy`: the error for whoever tries to attach meanwhile.

    Raises:
        UnsupportedError: something is attached already, or the transformer is in a mode that cannot work.
    """
    check_transformer(transformer, attachment.family)
    blocks = attachment.begin(transformer)
    shared: dict[tuple[type, Any, Any], Any] = {}
    watcher = attachment if attachment.observers else None
    places = [(block, attachment.around_block, watcher) for block in blocks]
    text_blocks = attachment.family.text_blocks(transformer)
    places += [(block, attachment.around_text_block, None) for block in text_blocks]
    with ExitStack() as undo:
        for block, around, watching in places:
            stock = block.attn.processor
            undo.callback(setattr, block.attn, "processor", stock)
            kind = type(stock), stock._attention_backend, watching
            if kind not in shared:
                own = attachment.family.processor(stock, watching)
                shared[kind] = RegionalAttnProcessor(stock, attachment.family, watching) if own is None else own
            block.attn.processor = shared[kind]
            undo.enter_context(intercepted(block.module, partial(around, block)))
        undo.enter_context(intercepted(transformer, attachment.around_transformer, busy))
        yield attachment
