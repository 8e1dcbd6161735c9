"""FLUX.3: 5 blocks of each mode's own, then 28 joint ones; checkpoints with guidance, and distilled ones (flow maps).

In the first blocks text, image and reference tokens each attend within their own mode; no routing counts these blocks.
In the joint ones text and image are two tensors, attention takes them as one. Text and references stand at timestep 0,
only image tokens at the step's, so modulations are per token, and text states in front of the joint blocks are the same
at every step, unless the model is a flow map: then the timestep that a step jumps to modulates all tokens.

Text embeddings are hidden states of Qwen3-VL from eight layers, of a chat in which the text is what the user says. A
text's window is a multiple of 80 tokens; its padding takes part in attention and belongs to the recipe, so every stream
has its window whole. Positions are (t, h, w, l): text counts along l, and reference pictures have negative ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from strata.hierarchy.native_flux3 import FORM
from strata.injection.facts import ModelFacts, Stack
from strata.injection.families.base import Block, Canvas, rotated
from strata.injection.families.flux import attended_beside, flat, projected_out
from strata.injection.families.flux2 import ChatTokenizer, Flux2, check_from_texts
from strata.injection.families.templated import Templated

if TYPE_CHECKING:
    from torch import Tensor

GUIDANCE, DISTILLED_STEPS = 3.5, 16
WINDOW = 80
"""Tokens, of which a text's padded length is a multiple (the default of the text step)."""
_LAYERS = (4, 8, 12, 16, 20, 24, 28, 32)
"""Of the language model, whose hidden states are a text's embedding (the default of the text step)."""


class Flux3(Flux2):
    """FLUX.3; see the module."""

    name = "flux3"
    title = "FLUX.3"
    transformers: ClassVar[tuple[str, ...]] = ("Flux3Transformer2DModel",)
    prefix = "Flux3"
    pipelines: ClassVar[tuple[str, ...]] = ("Flux3ModularPipeline", "Flux3DistilledModularPipeline")
    processors: ClassVar[tuple[str, ...]] = ("Flux3AttnProcessor",)
    most_text = 8192
    sized_by_picture: ClassVar[Mapping[str, int]] = {}
    confines_loras = False

    def _stacks(self, transformer: Mapping[str, Any]) -> tuple[Stack, ...]:
        own, joint = int(transformer["num_layers"]), int(transformer["num_single_layers"])
        return Stack("mode", own, routed=False), Stack("single", joint)

    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """See `Family`; flow maps are distilled, and take no guidance."""
        found = replace(super().facts(transformer, vae, text_length, index), text_window=WINDOW, form=FORM)
        if transformer.get("flow_map"):
            return replace(found, guidance=None, negative_scale=None, steps=DISTILLED_STEPS)
        return replace(found, guidance=GUIDANCE, negative_scale="guidance_scale")

    def check_options(self, pipe: Any, options: Mapping[str, Any], regional: bool) -> None:
        """See `Family`."""
        check_from_texts(options)

    tokenizer = Templated.tokenizer
    """Qwen's, within the processor of its vision model; there is no other system message."""

    def templated(self, tokenizer: Any, pipeline: str) -> Any:
        """See `Family`; the template is told nothing of thoughts."""
        return ChatTokenizer(tokenizer, None, thoughts=None)

    def heard(self, pipe: Any, text: str, encoded: Mapping[str, Tensor], max_length: int) -> range:
        """All of its window."""
        return range(encoded["prompt_embeds"].shape[1])

    def text_embedding(self, pipe: Any, output: Any) -> Tensor:
        """See `Family`: eight layers' hidden states, side by side."""
        import torch

        return torch.cat([output.hidden_states[layer] for layer in _LAYERS], dim=-1)

    def blocks(self, transformer: Any) -> tuple[Block, ...]:
        """The joint blocks."""
        modules = enumerate(transformer.single_transformer_blocks)
        return tuple(Block(n, f"single {n}", module, module.attn) for n, module in modules)

    def text_blocks(self, transformer: Any) -> tuple[Block, ...]:
        """See `Family`."""
        modules = enumerate(transformer.txt_mode_blocks)
        return tuple(Block(n, f"text {n}", module, module.attn) for n, module in modules)

    def canvas(self, inputs: Mapping[str, Any]) -> Canvas:
        """All image tokens are the canvas, their positions those of a grid times a factor; references come behind."""
        ids, references = flat(inputs["img_ids"]), inputs.get("image_cond_ids")
        rows, cols = (len(ids[:, axis].unique()) for axis in (1, 2))
        return Canvas(rows, cols, len(ids) + (0 if references is None else len(references)))

    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """See `Family`; references stay as they are."""
        return super().enter(inputs, text_BLC, positions, order[: inputs["hidden_states"].shape[1]])

    def leave(self, output: Any, inverse: Tensor) -> Any:
        """See `Family`; a call returns no reference."""
        canvas = output[0].shape[1]
        return super().leave(output, inverse[:canvas])

    def block_inputs(
        self,
        block: Block,
        inputs: Mapping[str, Any],
        text: Tensor,
        image: Tensor,
        rotary: Any,
        key: Tensor | None,
        copied: int,
    ) -> dict[str, Any]:
        """See `Family`; all text tokens are modulated alike."""
        import torch

        modulation = inputs["temb_mod_context"][:, : text.shape[1] - copied]
        modulation = modulation.contiguous()  # compiled blocks ask for the strides of its shape
        if copied:
            modulation = torch.cat([modulation, inputs["temb_mod"]], dim=1)
        return dict(
            inputs,
            hidden_states=image,
            encoder_hidden_states=text,
            temb_mod_context=modulation,
            image_rotary_emb=rotary,
        )

    def temb(self, inputs: Mapping[str, Any]) -> Tensor:
        """See `Family`; the text's."""
        found: Tensor = inputs["temb_mod_context"]
        return found

    def processor(self, stock: Any, watcher: Any) -> Any:
        """See `Family`."""
        from strata.injection.processor import JoinedAttnProcessor

        return JoinedAttnProcessor(stock, self, watcher)

    def project(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None, rotary: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As diffusers' `Flux3AttnProcessor` does: queries and keys are normalized and turned in float32."""
        from diffusers.models.transformers.transformer_flux3 import _get_qkv_projections

        q, k, v = (x.unflatten(-1, (attn.heads, -1)) for x in _get_qkv_projections(attn, hidden_states))
        q, k = attn.norm_q(q.float()), attn.norm_k(k.float())
        if rotary is not None:
            q, k = rotated(q, rotary), rotated(k, rotary)
        return q.to(v.dtype), k.to(v.dtype), v

    def embed_text(self, transformer: Any, text_BLC: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """See `Family`: behind the text's own blocks, at timestep 0."""
        import torch
        from torch.nn.functional import silu

        hidden: Tensor = transformer.context_embedder(text_BLC)
        temb = transformer.timestep_embedder(transformer.time_proj(hidden.new_zeros(len(hidden))).to(hidden.dtype))
        if (target := inputs.get("target_timestep")) is not None:
            noise = transformer.time_proj(target[: len(hidden)].to(hidden.dtype) * 1000)
            temb = temb + transformer.target_timestep_embedder(noise.to(hidden.dtype))
        modulation = transformer.early_stream_modulations["txt"](silu(temb)[:, None]).expand(-1, hidden.shape[1], -1)
        ids = torch.zeros(hidden.shape[1], inputs["txt_ids"].shape[-1], device=hidden.device)
        ids[:, -1] = torch.arange(hidden.shape[1])
        rotary = transformer.pos_embed(ids)
        for block in self.text_blocks(transformer):
            hidden = block.module(hidden, modulation, rotary)
        return hidden

    def text_step(
        self, block: Block, hidden_BLC: Tensor, temb: Tensor, k_BNHD: Tensor, v_BNHD: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Family`; the first position's rotary embedding changes nothing."""
        module: Any = block.module
        shift, scale, gate = temb[:, :1].chunk(3, dim=-1)
        normed = (1 + scale) * module.norm(hidden_BLC) + shift
        out_BLHD = attended_beside(*self.project(block.attn, normed, None, None), k_BNHD, v_BNHD)
        attended = projected_out(block.attn, out_BLHD.flatten(2))
        return out_BLHD, hidden_BLC + gate * (attended + module.ff(normed))


FAMILY = Flux3()
