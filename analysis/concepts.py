"""ConceptAttention (arXiv 2502.04320): where free words are in the picture, in the output space of attention.

Concept tokens pass the blocks beside the run and never in it: they go through a block's own text weights, attend to its
image tokens and to one another, and nothing attends to them. A concept's map is the softmax over the concepts of the
products of the image tokens' attention outputs with the concepts', before the output projections (section 4, algorithm
1).

Two choices are ours: a concept of several tokens is their mean (the published code takes the first token), and in
single blocks, which the paper leaves out, concepts go through the block's one set of weights as text does.

Shapes: K concepts, N image tokens, C width, H heads, D head width; a leading 1 is the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from strata.analysis.labels import word_tokens
from strata.injection.calling import call_of
from strata.injection.encoding import TextCache
from strata.injection.errors import UnsupportedError
from strata.injection.families.base import Block, Family


class ConceptTokens:
    """The concepts' hidden states, from the embedding up through the blocks of one transformer call.

    Args:
        pipe: the pipeline; its text encoders are used here and not later.
        family: of its transformer.
        concepts: words or phrases, all different.
        text_length: tokens of a text at most.

    Raises:
        UnsupportedError: the family does not define how text passes its blocks.
    """

    def __init__(self, pipe: Any, family: Family, concepts: tuple[str, ...], text_length: int) -> None:
        if type(family).text_step is Family.text_step:
            raise UnsupportedError(f"concepts: {family.title} has no concept maps yet; leave them out")
        self.family, self.transformer = family, pipe.transformer
        texts, tokenizer = TextCache(call_of(pipe), family), family.tokenizer(pipe)
        self.embeds: list[tuple[Tensor, list[int]]] = []
        """Of each concept, its text's embedding `[1, L, C]`, and which of its tokens are the concept."""
        for concept in concepts:
            embed_1LC, _ = texts.stream(concept, text_length, True, None)
            own, _ = word_tokens(concept, concept, tokenizer, text_length)
            self.embeds.append((embed_1LC, own))
        self._hidden_1KC: Tensor | None = None
        self._inputs: Mapping[str, Any] = {}

    def begin(self, inputs: Mapping[str, Any]) -> None:
        """Forget the states of the last transformer call; `inputs`: of the next."""
        self._hidden_1KC, self._inputs = None, inputs

    def step(self, block: Block, temb: Tensor, k_1NHD: Tensor, v_1NHD: Tensor) -> Tensor:
        """Pass a block; returns the concepts' attention output `[1, K, H, D]`, before any projection.

        Args:
            block: which; those before it have been passed.
            temb: its modulation embedding, of one row.
            k_1NHD, v_1NHD: keys, rotary embedding applied, and values of the image tokens.
        """
        if self._hidden_1KC is None:
            embed = partial(self.family.embed_text, self.transformer, inputs=self._inputs)
            self._hidden_1KC = torch.stack([embed(text_1LC)[:, own].mean(1) for text_1LC, own in self.embeds], dim=1)
        out_1KHD, self._hidden_1KC = self.family.text_step(block, self._hidden_1KC, temb, k_1NHD, v_1NHD)
        return out_1KHD


def concept_maps(image_NHD: Tensor, concepts_KHD: Tensor) -> Tensor:
    """`softmax over concepts (o_image · o_concept)`, `[K, N]` float32, of attention outputs before projections."""
    scores_KN = concepts_KHD.float().flatten(1) @ image_NHD.float().flatten(1).T
    return scores_KN.softmax(0)
