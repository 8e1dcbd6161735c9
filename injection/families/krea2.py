"""Krea 2: 28 blocks that take text and image as one tensor.

Text embeddings are hidden states of Qwen3-VL from twelve layers, within Qwen-Image's template, of which the end is kept
behind the padding; padding is masked. The transformer fuses the layers in blocks that text passes by itself, two for
each token and two for each text. All text tokens have one position. Guidance is true guidance: a second call with the
negative prompt at any scale above 0, the scale being one less than elsewhere; the distilled model needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from strata.injection.facts import ModelFacts, Stack
from strata.injection.families.base import BaseText, Block, Canvas, rotated
from strata.injection.families.qwen_parts import DROPPED, QwenParts

if TYPE_CHECKING:
    from torch import Tensor

GUIDANCE = 4.5


class Krea2(QwenParts):
    """Krea 2; see the module."""

    name = "krea2"
    title = "Krea 2"
    transformers: ClassVar[tuple[str, ...]] = ("Krea2Transformer2DModel",)
    prefix = "Krea2"
    pipelines: ClassVar[tuple[str, ...]] = ("Krea2Pipeline",)
    processors: ClassVar[tuple[str, ...]] = ("Krea2AttnProcessor",)
    padded_within = True

    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """See `Family`."""
        found = super().facts(transformer, vae, text_length, index)
        guidance = 0.0 if index.get("is_distilled") else GUIDANCE
        size = found.token_size // 2 * int(index.get("patch_size", 2))
        return replace(found, token_size=size, guidance=guidance, negative_scale="guidance_scale", unguided=0.0)

    def _stacks(self, transformer: Mapping[str, Any]) -> tuple[Stack, ...]:
        own, joint = int(transformer["num_refiner_text_blocks"]), int(transformer["num_layers"])
        return Stack("text", own, routed=False), Stack("single", joint)

    def text_embedding(self, pipe: Any, output: Any) -> Tensor:
        """See `Family`: some layers' hidden states, one above the other, without the template's beginning."""
        import torch

        states = [output.hidden_states[layer] for layer in pipe.text_encoder_select_layers]
        return torch.stack(states, dim=2)[:, DROPPED:]

    def blocks(self, transformer: Any) -> tuple[Block, ...]:
        """The blocks that text and image pass."""
        found = enumerate(transformer.transformer_blocks)
        return tuple(Block(n, f"single {n}", module, module.attn, joint=True) for n, module in found)

    def text_blocks(self, transformer: Any) -> tuple[Block, ...]:
        """See `Family`."""
        found = enumerate(transformer.text_fusion.refiner_blocks)
        return tuple(Block(n, f"text {n}", module, module.attn) for n, module in found)

    def base_texts(self, inputs: Mapping[str, Any]) -> list[BaseText]:
        """What the mask leaves, before the padding and behind it."""
        mask = inputs.get("encoder_attention_mask")
        if mask is None or bool(mask.all()):
            return super().base_texts(inputs)
        rows = [row.tolist() for row in mask]
        return [BaseText(sum(row), tail=sum(row) - row.index(False) if False in row else 0) for row in rows]

    def canvas(self, inputs: Mapping[str, Any]) -> Canvas:
        """All image tokens."""
        total = inputs["hidden_states"].shape[1]
        ids = inputs["position_ids"][-total:]
        return Canvas(len(ids[:, 1].unique()), len(ids[:, 2].unique()), total)

    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """See `Family`."""
        import torch

        ids = inputs["position_ids"]
        image = ids[len(ids) - inputs["hidden_states"].shape[1] :][order]
        return dict(
            inputs,
            encoder_hidden_states=text_BLC,
            encoder_attention_mask=None,
            position_ids=torch.cat([ids.new_zeros(text_BLC.shape[1], 3), image]),
            hidden_states=inputs["hidden_states"][:, order],
        )

    def processor(self, stock: Any, watcher: Any) -> Any:
        """See `Family`; of its own for the gate."""
        from strata.injection.gated import GatedAttnProcessor

        return GatedAttnProcessor(stock, self, watcher)

    def project(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None, rotary: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As diffusers' `Krea2AttnProcessor` does: several queries share keys and values."""
        q, k, v = (x(hidden_states).unflatten(-1, (-1, attn.head_dim)) for x in (attn.to_q, attn.to_k, attn.to_v))
        q, k = attn.norm_q(q), attn.norm_k(k)
        if rotary is not None:
            q, k = rotated(q, rotary), rotated(k, rotary)
        shared = attn.num_heads // attn.num_kv_heads
        return q, k.repeat_interleave(shared, dim=2), v.repeat_interleave(shared, dim=2)

    def _unpacked(self, pipe: Any, latents_BLC: Tensor, height: int, width: int) -> Tensor:
        found: Tensor = pipe._unpack_latents(latents_BLC, height, width)
        return found


FAMILY = Krea2()
