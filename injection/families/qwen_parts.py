"""What families have in common that take Qwen-Image's template of texts and its autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from strata.injection.facts import ModelFacts
from strata.injection.families.base import Family
from strata.injection.families.templated import Templated
from strata.injection.template import TemplateTokenizer

if TYPE_CHECKING:
    from torch import Tensor

PREFIX = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial"
    " relationships of the objects and background:<|im_end|>\n<|im_start|>user\n"
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n"
DROPPED = 34
"""Tokens of the prefix, which the pipelines cut off the embedding."""


class QwenParts(Templated):
    """A family with one text encoder of Qwen's, and texts and latents as Qwen-Image has them."""

    of_blocks = False
    masks_padding = True
    padded_within = False
    """Whether a text's padding stands before the end of the template."""

    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """See `Family`; the autoencoder is one of films."""
        halved = vae["temperal_downsample"] if "temperal_downsample" in vae else vae["block_out_channels"][1:]
        return ModelFacts(self.name, self._stacks(transformer), 2 ** (len(halved) + 1), text_length)

    def templated(self, tokenizer: Any, pipeline: str) -> Any:
        """See `Family`."""
        return TemplateTokenizer(tokenizer, PREFIX, DROPPED, SUFFIX, self.padded_within)

    def encode_prompt(
        self, pipe: Any, prompt: str, prompt_2: str | None, max_length: int, lora_scale: float | None
    ) -> dict[str, Tensor]:
        """The language model's embedding and the mask of its tokens, which are all the text's."""
        embeds, mask = pipe.encode_prompt(prompt=prompt, max_sequence_length=max_length)
        if mask is None:
            mask = embeds.new_ones(embeds.shape[:2]).long()
        return {"prompt_embeds": embeds, "prompt_embeds_mask": mask}

    def heard(self, pipe: Any, text: str, encoded: Mapping[str, Tensor], max_length: int) -> Sequence[int]:
        """Those that the mask leaves."""
        mask: Tensor = encoded["prompt_embeds_mask"][0]
        found: list[int] = mask.nonzero()[:, 0].tolist()
        return found

    def text_tokens(self, pipe: Any, ids: list[int]) -> list[int]:
        """See `Family`."""
        return ids[DROPPED:]

    text_step = Family.text_step
    """Not defined: Qwen-Image counts text's positions from the image's end on, and Krea 2 fuses layers in front."""

    def unpacked(self, pipe: Any, latents_BLC: Tensor, height: int, width: int) -> Tensor:
        """See `Family`: latents of a film of one frame, each channel of a mean and a deviation of its own."""
        latents = self._unpacked(pipe, latents_BLC, height, width)
        mean, deviation = (
            latents.new_tensor(values)[:, None, None, None]
            for values in (pipe.vae.config.latents_mean, pipe.vae.config.latents_std)
        )
        return latents * deviation + mean

    def _unpacked(self, pipe: Any, latents_BLC: Tensor, height: int, width: int) -> Tensor:
        found: Tensor = pipe._unpack_latents(latents_BLC, height, width, pipe.vae_scale_factor)
        return found
