"""LongCat-Image: FLUX.1's blocks (19 double and 38 single), without CLIP and without distilled guidance.

Text embeddings are Qwen2.5-VL's of a text within a template, which is dropped again; padding to 512 tokens takes part
in attention. What stands in quotation marks, the mark among it, is tokenized letter by letter. Text tokens are counted:
each has the position that it has in its own padded text. Guidance is true guidance: a second call with the negative
prompt. The pipeline would have the text encoder rewrite prompts; a plan's are drawn as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from strata.hierarchy.errors import InputError
from strata.injection.facts import ModelFacts
from strata.injection.families.base import Block
from strata.injection.families.templated import Templated
from strata.injection.template import TemplateTokenizer

if TYPE_CHECKING:
    from torch import Tensor

GUIDANCE, LENGTH = 4.5, 512


def pieces(text: str) -> list[tuple[int, str]]:
    """The parts of a text that the pipeline tokenizes by themselves, with where each begins."""
    from diffusers.pipelines.longcat_image.pipeline_longcat_image import split_quotation

    found: list[tuple[int, str]] = []
    at = 0
    for part, quoted in split_quotation(text):
        found += [(at + n, letter) for n, letter in enumerate(part)] if quoted else [(at, part)]
        at += len(part)
    return found


class LongCat(Templated):
    """LongCat-Image; see the module."""

    name = "longcat"
    title = "LongCat-Image"
    transformers: ClassVar[tuple[str, ...]] = ("LongCatImageTransformer2DModel",)
    prefix = "LongCatImage"
    pipelines: ClassVar[tuple[str, ...]] = ("LongCatImagePipeline",)
    processors: ClassVar[tuple[str, ...]] = ("LongCatImageAttnProcessor",)
    text_positions_alike = False
    of_blocks = False
    refused: ClassVar[Mapping[str, str]] = {
        "LongCatImageEditPipeline": "it encodes a text together with the picture that is edited, which a region's texts"
        " do not describe"
    }
    unused_parts: ClassVar[tuple[str, ...]] = ("text_processor",)
    call_options: ClassVar[Mapping[str, Any]] = {"enable_prompt_rewrite": False}

    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """See `Family`; the pipeline pads all texts to the same length."""
        found = super().facts(transformer, vae, LENGTH, index)
        return replace(found, guidance=GUIDANCE, negative_scale="guidance_scale")

    def check_options(self, pipe: Any, options: Mapping[str, Any], regional: bool) -> None:
        """See `Family`."""
        if options.get("enable_prompt_rewrite"):
            raise InputError("enable_prompt_rewrite: True: the plan's prompt is drawn as it is; leave it out")

    @contextmanager
    def calling(self, pipe: Any) -> Iterator[None]:
        """See `Family`: diffusers 0.42 counts the prompts even where embeddings stand in for them."""
        stock = pipe.encode_prompt

        def encode_prompt(prompt: Any, prompt_embeds: Any = None, **options: Any) -> Any:
            said = prompt if prompt_embeds is None else [""] * len(prompt_embeds)
            return stock(said, prompt_embeds=prompt_embeds, **options)

        pipe.encode_prompt = encode_prompt
        try:
            yield
        finally:
            del pipe.encode_prompt

    def templated(self, tokenizer: Any, pipeline: str) -> Any:
        """See `Family`."""
        return TemplateTokenizer(tokenizer, pieces=pieces)

    def encode_prompt(
        self, pipe: Any, prompt: str, prompt_2: str | None, max_length: int, lora_scale: float | None
    ) -> dict[str, Tensor]:
        """The language model's embedding."""
        return {"prompt_embeds": pipe.encode_prompt(prompt)[0]}

    def heard(self, pipe: Any, text: str, encoded: Mapping[str, Tensor], max_length: int) -> Sequence[int]:
        """The text's own."""
        most = encoded["prompt_embeds"].shape[1]
        return range(len(self.tokenizer(pipe)(text, max_length=most, truncation=True).input_ids))

    def text_embedding(self, pipe: Any, output: Any) -> Tensor:
        """See `Family`: the last layer's hidden states, without the template's."""
        found: Tensor = output.hidden_states[-1][:, self._kept(pipe)]
        return found

    def text_tokens(self, pipe: Any, ids: list[int]) -> list[int]:
        """See `Family`."""
        return ids[self._kept(pipe)]

    def _kept(self, pipe: Any) -> slice:
        """What is left of the encoder's tokens without the template's."""
        parts = (pipe.prompt_template_encode_prefix, pipe.prompt_template_encode_suffix)
        before, behind = (len(pipe.tokenizer(part, add_special_tokens=False).input_ids) for part in parts)
        return slice(before, -behind)

    def split_block(self, block: Block, output: Any, text_length: int) -> tuple[Tensor, Tensor]:
        """See `Family`; not as parts of one tensor, whose strides would be compiled blocks' inputs of another kind."""
        text, image = (x.flatten(0, 1).unflatten(0, x.shape[:2]) for x in output)
        return text, image

    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """See `Family`; the last two of a text token's ids are its position."""
        import torch

        counted = torch.cat([torch.arange(each.start, each.stop) for each in positions])
        ids = inputs["txt_ids"].new_zeros(len(counted), 3)
        ids[:, 1:] = counted.to(ids)[:, None]
        return {**super().enter(inputs, text_BLC, positions, order), "txt_ids": ids}


FAMILY = LongCat()
