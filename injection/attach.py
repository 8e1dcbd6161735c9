"""Attaching to a FLUX transformer for the time of one pipeline call, and detaching without a trace.

The transformer's own code runs unchanged. Around its blocks stand thin wrappers that let text streams ride along and
drop out, and hand each block its part of the schedule; its attention processors are swapped for one that hears
regions; a forward pre-hook puts the streams beside the base prompt and the image tokens in atom order, a forward hook
puts them back. All of it is undone when the context ends, however it ends.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import Tensor, nn

from strata.hierarchy.errors import StrataError
from strata.injection.attention import RegionalAttnProcessor
from strata.injection.blocks import BlockStep, StepPlanner
from strata.injection.checks import check_transformer

_FORWARD = inspect.signature(FluxTransformer2DModel.forward)


@dataclass
class Running:
    """The transformer call under way: its blocks, and what differs from the stock call."""

    blocks: tuple[BlockStep, ...]
    lengths: Sequence[int]
    image_length: int
    residuals: Sequence[Tensor] | None
    """ControlNet residuals of the single blocks, which the base's copy of the image receives too."""
    alive: tuple[int, ...]
    copied: bool = False


class RoutedBlock(nn.Module):
    """A FLUX block that gets its part of the running step; without one it only calls the block."""

    def __init__(self, block: nn.Module, index: int, single: int | None, session: Session) -> None:
        super().__init__()
        self.block = block
        self.index = index
        self.single = single
        self.session = [session]  # a list, so that nothing is registered as a submodule

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: Any = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Call the block; takes and returns what it does."""
        running = self.session[0].running
        kwargs = joint_attention_kwargs
        if running is not None:
            step = running.blocks[self.index]
            encoder_hidden_states = _ride(running, step, hidden_states, encoder_hidden_states, self.single)
            image_rotary_emb = self.session[0].rotary(image_rotary_emb, encoder_hidden_states.shape[1])
            if step.regional is not None:
                kwargs = {**(kwargs or {}), "regional": step.regional}
        out: tuple[Tensor, Tensor] = self.block(
            hidden_states=hidden_states,
            encoder_hidden_states=encoder_hidden_states,
            temb=temb,
            image_rotary_emb=image_rotary_emb,
            joint_attention_kwargs=kwargs,
        )
        return out


def _ride(running: Running, step: BlockStep, image: Tensor, text: Tensor, single: int | None) -> Tensor:
    """The text tokens of a block: streams that are heard no more are dropped; the base's copy of the image joins."""
    if step.alive != running.alive:
        parts, at = [], 0
        for i in running.alive:
            if i in step.alive:
                parts.append(text[:, at : at + running.lengths[i]])
            at += running.lengths[i]
        text = torch.cat([*parts, text[:, at:]], dim=1)
        running.alive = step.alive
    if step.copied and not running.copied:
        text = torch.cat([text, image], dim=1)
        running.copied = True
    elif step.copied and running.residuals and single:
        # What a ControlNet added to the image after the block before, the base's copy receives as well.
        total = sum(block.copied for block in running.blocks)
        interval = -(-total // len(running.residuals))
        residual = running.residuals[(single - 1) // interval]
        at = text.shape[1] - image.shape[1]
        text = torch.cat([text[:, :at], text[:, at:] + residual], dim=1)
    return text


class Session:
    """What one pipeline call draws: a planner once the model's token grid is known, and the step counter.

    Args:
        prepare: called at the first conditional transformer call with `img_ids` [N, 3], the base prompt's token count
            and the number of steps; returns the planner.
        embeddings: text embeddings [1, L, C] of each of the planner's streams.
        steps: tells the number of denoising steps once the pipeline's loop has begun.
    """

    def __init__(
        self,
        prepare: Callable[[Tensor, int, int], StepPlanner],
        embeddings: Mapping[str, Tensor],
        steps: Callable[[], int],
    ) -> None:
        self.prepare, self.embeddings, self.steps = prepare, embeddings, steps
        self.negative: Tensor | None = None
        self.planner: StepPlanner | None = None
        self.step = 0
        self.running: Running | None = None
        self._rotary: dict[int, Any] = {}
        self._full: Any = None

    def rotary(self, full: Any, text: int) -> Any:
        """Rotary tables of `text` text tokens (with the base's copy of the image among them) and the image.

        Text positions are all the same, so the tables of fewer text tokens are a tail of the full ones.
        """
        assert self.running is not None
        if self._full is not full:
            self._full, self._rotary = full, {}
        if text not in self._rotary:
            image = self.running.image_length
            copied = image if self.running.copied else 0
            begin = full[0].shape[0] - image - (text - copied)
            self._rotary[text] = tuple(
                torch.cat([table[begin:], table[-image:]]) if copied else table[begin:] for table in full
            )
        return self._rotary[text]

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook of the transformer: a routed step gets its streams, any other call stays as it is."""
        self.running = None
        bound = _FORWARD.bind(module, *args, **kwargs).arguments
        bound.pop("self")
        if bound.get("encoder_hidden_states") is self.negative and self.negative is not None:
            return None
        base_BLC, img_ids = bound["encoder_hidden_states"], bound["img_ids"]
        img_ids = img_ids[0] if img_ids.ndim == 3 else img_ids
        if self.planner is None:
            self.planner = self.prepare(img_ids, base_BLC.shape[1], self.steps())
        planner, step = self.planner, self.step
        self.step += 1
        if step >= planner.schedule.steps:
            raise StrataError(f"the pipeline called the transformer more often than its {planner.schedule.steps} steps")
        if not planner.routed(step):
            return None
        layout, batch = planner.layout, base_BLC.shape[0]
        texts = [self.embeddings[s.text].to(base_BLC).expand(batch, -1, -1) for s in planner.streams]
        encoded = torch.cat([*texts, base_BLC], dim=1)
        bound["encoder_hidden_states"] = encoded
        bound["txt_ids"] = bound["txt_ids"].new_zeros(encoded.shape[1], 3)
        bound["img_ids"] = img_ids[layout.order]
        bound["hidden_states"] = bound["hidden_states"][:, layout.order]
        for name in ("controlnet_block_samples", "controlnet_single_block_samples"):
            if bound.get(name) is not None:
                bound[name] = [_ordered(sample, layout.order) for sample in bound[name]]
        self.running = Running(
            blocks=planner.blocks(step),
            lengths=planner.lengths,
            image_length=layout.total,
            residuals=bound.get("controlnet_single_block_samples"),
            alive=tuple(range(len(planner.streams))),
        )
        return (), dict(bound)

    def after(self, module: nn.Module, args: Any, output: Any) -> Any:
        """Forward hook of the transformer: image tokens back in the pipeline's order."""
        if self.running is None or self.planner is None:
            return None
        self.running, self._full, self._rotary = None, None, {}
        inverse = self.planner.layout.inverse
        if isinstance(output, tuple):
            return (output[0][:, inverse], *output[1:])
        return Transformer2DModelOutput(sample=output.sample[:, inverse])


def _ordered(sample: Tensor, order: Tensor) -> Tensor:
    """ControlNet residuals in atom order; a ControlNet may leave a Kontext reference out."""
    return sample[:, order] if sample.shape[1] == len(order) else sample[:, order[: sample.shape[1]]]


@contextmanager
def attached(transformer: FluxTransformer2DModel, session: Session) -> Iterator[None]:
    """Attach `session` to a transformer while the context lasts.

    Raises:
        UnsupportedError: something is attached already, or the transformer is in a mode that cannot work.
    """
    check_transformer(transformer)
    doubles, singles = transformer.transformer_blocks, transformer.single_transformer_blocks
    modules = [block.attn for block in (*doubles, *singles)]
    stock = [module.processor for module in modules]
    shared: dict[Any, RegionalAttnProcessor] = {}
    hooks = []
    try:
        for module, processor in zip(modules, stock, strict=True):
            module.processor = shared.setdefault(processor._attention_backend, RegionalAttnProcessor(processor))
        transformer.transformer_blocks = nn.ModuleList(
            [RoutedBlock(block, i, None, session) for i, block in enumerate(doubles)]
        )
        transformer.single_transformer_blocks = nn.ModuleList(
            [RoutedBlock(block, len(doubles) + i, i, session) for i, block in enumerate(singles)]
        )
        hooks.append(transformer.register_forward_pre_hook(session.before, with_kwargs=True))
        hooks.append(transformer.register_forward_hook(session.after))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        transformer.transformer_blocks, transformer.single_transformer_blocks = doubles, singles
        for module, processor in zip(modules, stock, strict=True):
            module.processor = processor
