"""Chroma: FLUX.1 without CLIP and without distilled guidance; its single blocks take text and image as one tensor.

Of a text's padding all but one token is masked (`prompt_attention_mask`). diffusers 0.42 makes that mask of numbers, 1
and 0, and so adds it to the logits: the padding stays visible, at 1/e of its weight (diffusers issue 12116). A routed
call does as the stock one does; where the mask is boolean, the padding is dropped. Guidance is true guidance: a second
call with the negative prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from strata.injection.facts import ModelFacts
from strata.injection.families.base import BaseText
from strata.injection.families.templated import Templated

if TYPE_CHECKING:
    from torch import Tensor

GUIDANCE = 5.0


class Chroma(Templated):
    """Chroma; see the module."""

    name = "chroma"
    title = "Chroma"
    transformers: ClassVar[tuple[str, ...]] = ("ChromaTransformer2DModel",)
    prefix = "Chroma"
    confines_loras = True
    pipelines: ClassVar[tuple[str, ...]] = ("ChromaPipeline", "ChromaImg2ImgPipeline")
    with_picture = ("ChromaPipeline", "ChromaImg2ImgPipeline", "ChromaInpaintPipeline")
    joint_single = True

    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """See `Family`."""
        found = super().facts(transformer, vae, text_length, index)
        return replace(found, guidance=GUIDANCE, negative_scale="guidance_scale")

    def encode_prompt(
        self, pipe: Any, prompt: str, prompt_2: str | None, max_length: int, lora_scale: float | None
    ) -> dict[str, Tensor]:
        """T5's embedding and the mask of its tokens."""
        embeds, _, mask, *_ = pipe.encode_prompt(
            prompt=prompt,
            do_classifier_free_guidance=False,
            max_sequence_length=max_length,
            lora_scale=lora_scale,
        )
        return {"prompt_embeds": embeds, "prompt_attention_mask": mask}

    def heard(self, pipe: Any, text: str, encoded: Mapping[str, Tensor], max_length: int) -> range:
        """Those that the mask leaves."""
        return range(int(encoded["prompt_attention_mask"].sum()))

    def base_texts(self, inputs: Mapping[str, Any]) -> list[BaseText]:
        """What a boolean mask leaves; all, but fainter, where the mask is numbers that are added to the logits."""
        mask, length = inputs.get("attention_mask"), self.text(inputs).shape[1]
        if mask is None:
            return super().base_texts(inputs)
        seen = [int(n) for n in (mask[:, :length] > 0).sum(dim=1)]
        if not mask.is_floating_point():
            return [BaseText(n) for n in seen]
        return [BaseText(length, length - n, -1.0) for n in seen]

    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """See `Family`; the mask is in what attention computes."""
        return {**super().enter(inputs, text_BLC, positions, order), "attention_mask": None}

    def text_modulation(self, temb: Tensor) -> Tensor:
        """See `Flux`: six rows for the image, then six for the text."""
        return temb[:, 6:]


FAMILY = Chroma()
