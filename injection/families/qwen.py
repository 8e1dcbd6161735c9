"""Qwen-Image: 60 double blocks.

Text embeddings are Qwen2.5-VL's of a text within a template, of which the end is kept; there is no padding but between
texts of different lengths, and it is masked. The transformer counts positions itself: the image's from its centre, the
text's behind them, and every text is given the base prompt's from the first on, wherever its region is. Guidance is
true guidance: a second call with the negative prompt, if there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from strata.injection.facts import Stack
from strata.injection.families.base import BaseText, Block, Canvas
from strata.injection.families.qwen_parts import DROPPED, QwenParts

if TYPE_CHECKING:
    from torch import Tensor

_WITH_PICTURE = "it encodes a text together with the picture that is edited, which a region's texts do not describe"


class Qwen(QwenParts):
    """Qwen-Image; see the module."""

    name = "qwen"
    title = "Qwen-Image"
    transformers: ClassVar[tuple[str, ...]] = ("QwenImageTransformer2DModel",)
    prefix = "QwenImage"
    pipelines: ClassVar[tuple[str, ...]] = (
        "QwenImagePipeline",
        "QwenImageImg2ImgPipeline",
        "QwenImageControlNetPipeline",
    )
    with_picture = ("QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline")
    with_control = ("QwenImageControlNetPipeline", "QwenImageControlNetModel", "QwenImageMultiControlNetModel")
    processors: ClassVar[tuple[str, ...]] = ("QwenDoubleStreamAttnProcessor2_0",)
    text_positions_alike = False
    places_texts = False
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("QwenImageEditPipeline", "QwenImageEditInpaintPipeline", "QwenImageEditPlusPipeline"), _WITH_PICTURE
        ),
        "QwenImageLayeredPipeline": "it draws several pictures at once, one above the other",
    }

    def _stacks(self, transformer: Mapping[str, Any]) -> tuple[Stack, ...]:
        return (Stack("double", int(transformer["num_layers"])),)

    def text_embedding(self, pipe: Any, output: Any) -> Tensor:
        """See `Family`: the last layer's hidden states, without the template's beginning."""
        found: Tensor = output.hidden_states[-1][:, DROPPED:]
        return found

    def blocks(self, transformer: Any) -> tuple[Block, ...]:
        """The double blocks, which are all."""
        found = enumerate(transformer.transformer_blocks)
        return tuple(Block(n, f"double {n}", module, module.attn) for n, module in found)

    def base_texts(self, inputs: Mapping[str, Any]) -> list[BaseText]:
        """What the mask leaves."""
        mask = inputs.get("encoder_hidden_states_mask")
        return super().base_texts(inputs) if mask is None else [BaseText(int(n)) for n in (mask > 0).sum(dim=1)]

    def canvas(self, inputs: Mapping[str, Any]) -> Canvas:
        """The first of the call's pictures."""
        shapes = inputs["img_shapes"][0]
        _, rows, cols = shapes[0] if isinstance(shapes, list) else shapes
        return Canvas(rows, cols, inputs["hidden_states"].shape[1])

    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """See `Family`; a ControlNet's residuals travel with their tokens."""
        residuals = inputs.get("controlnet_block_samples")
        return dict(
            inputs,
            encoder_hidden_states=text_BLC,
            encoder_hidden_states_mask=None,
            hidden_states=inputs["hidden_states"][:, order],
            controlnet_block_samples=None if residuals is None else [sample[:, order] for sample in residuals],
        )

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
        """See `Family`; image and text have a table each."""
        (table,), length = rotary, text.shape[1]
        return super().block_inputs(block, inputs, text, image, (table[length:], table[:length]), key, copied)

    def rotary(self, inputs: Mapping[str, Any], positions: Sequence[range], order: Tensor) -> tuple[Tensor, ...]:
        """See `Family`; every text has the base prompt's positions from the first on."""
        import torch

        image, text = inputs["image_rotary_emb"]
        counted = torch.cat([torch.arange(each.start, each.stop) for each in positions])
        return (torch.cat([text[counted.to(text.device)], image[order]]),)

    def processor(self, stock: Any, watcher: Any) -> Any:
        """See `Family`; of its own for the text's mask."""
        from strata.injection.masked import MaskedTextAttnProcessor

        return MaskedTextAttnProcessor(stock, self, watcher)

    def project(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None, rotary: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As diffusers' `QwenDoubleStreamAttnProcessor2_0` does."""
        import torch
        from diffusers.models.transformers.transformer_qwenimage import apply_rotary_emb_qwen

        found, width = [], attn.inner_dim // attn.heads
        for projections, norms, hidden, table in (
            (
                (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj),
                (attn.norm_added_q, attn.norm_added_k),
                encoder_hidden_states,
                rotary[1],
            ),
            ((attn.to_q, attn.to_k, attn.to_v), (attn.norm_q, attn.norm_k), hidden_states, rotary[0]),
        ):
            q, k, v = (project(hidden).unflatten(-1, (-1, width)) for project in projections)
            q, k = (
                apply_rotary_emb_qwen(norm(x), table, use_real=False) for norm, x in zip(norms, (q, k), strict=True)
            )
            found.append((q, k, v))
        q, k, v = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        return q, k, v


FAMILY = Qwen()
