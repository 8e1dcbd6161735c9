"""The protocol of a model family: all that is particular to one transformer, in one file beside this.

A family tells a model's facts from its configuration, encodes texts, and translates between the stock transformer's
inputs and what methods work with: text tokens before image tokens, image tokens in an order of ours, and for every
block what its attention computes. The stock modules run unchanged.

Read in diffusers 0.42. What this protocol does not carry is named in `refused.py`, with the reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from strata.injection.facts import ModelFacts

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Block:
    """One block of a transformer.

    Attributes:
        index: in execution order.
        name: such as "double 3".
        module: the block.
        attn: the module within it that holds the attention processor.
        joint: it takes text and image tokens as one tensor.
    """

    index: int
    name: str
    module: nn.Module
    attn: Any
    joint: bool = False


class Canvas(NamedTuple):
    """The image tokens of one transformer call: `total` of them, of which the first `rows * cols` are the canvas.

    `kept`: beside them, reference tokens of which attention has only keys and values, from a cache.
    """

    rows: int
    cols: int
    total: int
    kept: int = 0


class BaseText(NamedTuple):
    """The base prompt's tokens in one row of the batch.

    Attributes:
        length: that take part; what is behind them is masked.
        faint: of them, how many at the end are weighed otherwise as keys.
        weight: the logarithm of that weight.
        tail: of them, how many stand at the very end, behind what is masked.
    """

    length: int
    faint: int = 0
    weight: float = 0.0
    tail: int = 0

    def of(self, text_BLC: Tensor) -> Tensor:
        """Those that take part, of a text embedding `[B, L, …]`."""
        import torch

        head = self.length - self.tail
        if not self.tail:
            return text_BLC[:, :head]
        return torch.cat([text_BLC[:, :head], text_BLC[:, text_BLC.shape[1] - self.tail :]], dim=1)


class Family(ABC):
    """One family; stateless."""

    name: ClassVar[str]
    title: ClassVar[str]
    """For messages."""
    transformers: ClassVar[tuple[str, ...]]
    """Class names of diffusers' transformers."""
    prefix: ClassVar[str]
    """With which the class names of its pipelines begin."""
    pipelines: ClassVar[tuple[str, ...]]
    """Some of the pipelines, for messages."""
    with_picture: ClassVar[tuple[str, str, str]] = ("", "", "")
    """The pipeline that draws from text alone, and those of the same parts for image to image and for inpainting; empty
    where there are none for pictures."""
    with_control: ClassVar[tuple[str, str, str]] = ("", "", "")
    """The pipeline of the same parts and a ControlNet, the class of that, and the class that holds several; empty where
    there is none."""
    refused: ClassVar[Mapping[str, str]] = {}
    """Pipelines of the family that regions cannot be drawn with, and why."""
    of_blocks: ClassVar[bool] = True
    """Whether its modular pipelines are drawn, too."""
    unused_parts: ClassVar[tuple[str, ...]] = ()
    """Components that drawing a plan never uses; they are not loaded."""
    call_options: ClassVar[Mapping[str, Any]] = {}
    """What every call is given because texts are encoded here; callers cannot choose otherwise."""
    optional_picture: ClassVar[tuple[str, ...]] = ()
    """Pipelines that take a picture but need none."""
    processors: ClassVar[tuple[str, ...]]
    """Class names of the stock attention processors."""
    text_positions_alike: ClassVar[bool] = True
    """Whether all text tokens have one position, so that plans whose texts differ can be drawn in one batch."""
    places_texts: ClassVar[bool] = True
    """Whether texts can stand at their regions (a routing's `text_positions`)."""
    masks_padding: ClassVar[bool] = False
    """Whether the padding of texts is hidden, whatever a routing asks for."""
    cuts_entered_text: ClassVar[bool] = False
    """Whether the transformer cuts as many text tokens off joint blocks as entered it, and not as entered these."""
    packed_latents: ClassVar[bool] = True
    """Whether a pipeline's call takes latents as `[B, tokens, channels]`, and not `[B, channels, rows, columns]`."""
    most_text: ClassVar[int] = 512
    """Tokens of a text at most, whatever the tokenizer says."""
    confines_loras: ClassVar[bool] = False
    """Whether LoRAs can be confined to an area (`tokens_of`)."""
    sized_by_picture: ClassVar[Mapping[str, int]] = {}
    """Pipelines that draw in the size of their input picture, whatever is asked for, and how many pixels at most."""

    def why_refused(self, pipeline: str) -> str | None:
        """Why pipelines of this class are not drawn; None: they are."""
        if not self.of_blocks and pipeline.endswith("ModularPipeline"):
            return f"modular pipelines of {self.title} have not been tried with regions; load its {self.pipelines[0]}"
        return self.refused.get(pipeline)

    # Before anything is loaded

    @abstractmethod
    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """A model's facts from the configurations of transformer, autoencoder and (`index`) pipeline.

        Raises:
            LookupError, TypeError, ValueError: a configuration lacks something.
        """

    def check_options(self, pipe: Any, options: Mapping[str, Any], regional: bool) -> None:  # noqa: B027
        """Raise `InputError` or `UnsupportedError` for options of the pipeline's call that a plan cannot have.

        `regional`: whether the plan has texts beside its prompt.
        """

    def caches_references(self, pipe: Any, options: Mapping[str, Any]) -> bool:
        """Whether a call has references of which only keys and values are there after its first step."""
        return False

    @contextmanager
    def calling(self, pipe: Any) -> Iterator[None]:
        """Around a call of a classic pipeline: whatever it needs to be called with encoded texts."""
        yield

    # Texts

    @abstractmethod
    def tokenizer(self, pipe: Any) -> Any:
        """The tokenizer of the text tokens, as `templated` makes it; None where it is not loaded."""

    def templated(self, tokenizer: Any, pipeline: str) -> Any:
        """A tokenizer as pipelines of this class use it: called with a text, it adds what they put around texts."""
        return tokenizer

    def pooled_tokenizer(self, pipe: Any) -> Any:
        """The tokenizer of the encoder that gives a prompt's pooled vector alone; None: no such one is loaded."""
        return None

    @abstractmethod
    def text_encoders(self, pipe: Any) -> tuple[Any, ...]:
        """The pipeline's text encoders, that of the text tokens last; None for those that are not loaded."""

    def encode_prompt(
        self, pipe: Any, prompt: str, prompt_2: str | None, max_length: int, lora_scale: float | None
    ) -> dict[str, Tensor]:
        """A text by a classic pipeline's `encode_prompt`, as arguments of its call, tensors of one row.

        A `ModularPipeline` has a step for it, and no need of this.
        """
        raise NotImplementedError

    @abstractmethod
    def negative_inputs(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a pipeline made of a negative prompt, under the names of the unconditional call."""

    @abstractmethod
    def heard(self, pipe: Any, text: str, encoded: Mapping[str, Tensor], max_length: int) -> Sequence[int]:
        """Which tokens of a text's padded embedding, among what the pipeline made of it, the model is to see."""

    def text_tokens(self, pipe: Any, ids: list[int]) -> list[int]:
        """Of the token ids that the encoder of the text tokens was given, those that the text embedding is of."""
        return ids

    def text_embedding(self, pipe: Any, output: Any) -> Tensor:
        """The text embedding `[B, L, C]` that the pipeline makes of what the encoder of the text tokens returned."""
        embedding: Tensor = output[0]
        return embedding

    # The transformer's call

    @abstractmethod
    def blocks(self, transformer: Any) -> tuple[Block, ...]:
        """All blocks, in execution order."""

    def text_blocks(self, transformer: Any) -> tuple[Block, ...]:
        """Blocks that text tokens pass by themselves before `blocks`, in execution order, counted from 0.

        No routing counts them: each text attends within itself there, and no image token sees it. What one returns is
        the text tokens' hidden states `[B, L, C]`.
        """
        return ()

    @abstractmethod
    def bind(self, transformer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of a transformer call, by name."""

    @abstractmethod
    def text(self, inputs: Mapping[str, Any]) -> Tensor:
        """The call's text embedding, the very tensor that the pipeline passes."""

    @abstractmethod
    def base_texts(self, inputs: Mapping[str, Any]) -> list[BaseText]:
        """The base prompt's tokens, of each row of the batch."""

    @abstractmethod
    def canvas(self, inputs: Mapping[str, Any]) -> Canvas:
        """Where the image tokens are."""

    def prepare(self, inputs: Mapping[str, Any], forward: Callable[..., Any]) -> dict[str, Any]:
        """The inputs of a call that is to be routed, with whatever a stock call of its own computes before it.

        `forward`: calls the stock transformer with inputs, unobserved.
        """
        return dict(inputs)

    @abstractmethod
    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """The call's inputs with this text in place of its own, and image tokens in the given order.

        `positions`: of the tokens of each stream, then of the base prompt, each within its own padded text.
        """

    @abstractmethod
    def leave(self, output: Any, inverse: Tensor) -> Any:
        """The call's output with image tokens back in the pipeline's order."""

    def residuals(self, inputs: Mapping[str, Any]) -> Sequence[Tensor] | None:
        """What a ControlNet adds to the image tokens behind single blocks, in the order given to `enter`."""
        return None

    def unpacked(self, pipe: Any, latents_BLC: Tensor, height: int, width: int) -> Tensor:
        """A step's latents `[B, L, C]` of a picture of so many pixels, as the autoencoder decodes them."""
        from diffusers import FluxPipeline

        vae, scale = pipe.vae, pipe.vae_scale_factor
        latents: Tensor = FluxPipeline._unpack_latents(latents_BLC, height, width, scale)
        scaled: Tensor = latents / vae.config.scaling_factor + vae.config.shift_factor
        return scaled

    def tokens_of(self, block: Block, layer: str) -> Literal["text", "image", "both"] | None:
        """Which tokens a layer of a block sees, `[B, L, C]`, by its name there; "both": text before image.

        None: a layer that does not see token by token, such as a modulation.
        """
        return None

    # A block's call

    @abstractmethod
    def bind_block(self, block: Block, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of a block's call, by name."""

    @abstractmethod
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
        """A block's inputs with this text and image, rotary tables of these tokens, and the attention's number.

        `key`: that number; None where there is none, or where attention does not take it as a keyword.
        `copied`: how many of the text's last tokens are a copy of the image's, and modulated as those are.
        """

    @abstractmethod
    def split_block(self, block: Block, output: Any, text_length: int) -> tuple[Tensor, Tensor]:
        """Text and image tokens of what a block returned: as one tensor (`Block.joint`) or two."""

    @abstractmethod
    def rotary(self, inputs: Mapping[str, Any], positions: Sequence[range], order: Tensor) -> tuple[Tensor, ...]:
        """The rotary tables `[L, …]` among a block's inputs, text first; arguments as of `enter`."""

    def moved(
        self, text: tuple[Tensor, ...], there: tuple[Tensor, ...], here: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Rotary tables of text tokens, as far from one image token as they were from another.

        Tables are cosines and sines, as all families have them but those without `places_texts`.

        Args:
            text: of the text tokens, `[L, D]` each.
            there, here: of the image tokens, `[D]` each.
        """
        cos, sin = text
        for c, s in (there, (here[0], -here[1])):  # the angles of one position added, those of the other taken off
            cos, sin = cos * c - sin * s, sin * c + cos * s
        return cos, sin

    @abstractmethod
    def temb(self, inputs: Mapping[str, Any]) -> Tensor:
        """The modulation embedding among a block's inputs."""

    # Its attention

    def processor(self, stock: Any, watcher: Any) -> Any:
        """A processor of the family's own to stand in for a stock one; None: `RegionalAttnProcessor` will do."""
        return None

    @abstractmethod
    def project(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None, rotary: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[B, L, H, D]`, text first, rotary embedding applied."""

    @abstractmethod
    def output(self, attn: Any, attended_BLC: Tensor, text_length: int | None) -> Any:
        """What the attention module returns; `text_length` is None where text and image came as one tensor."""

    # Text beside a run (ConceptAttention)

    def embed_text(self, transformer: Any, text_BLC: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """A text's embedding, with its padding, as the hidden states `[B, L, C]` that enter the first of `blocks`.

        `inputs`: of the transformer's call.
        """
        raise NotImplementedError

    def text_step(
        self, block: Block, hidden_BLC: Tensor, temb: Tensor, k_BNHD: Tensor, v_BNHD: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pass text tokens through a block beside a run: they attend to each other and to given tokens.

        Args:
            block: which.
            hidden_BLC: the text tokens' hidden states, all at the text's first position.
            temb: the block's modulation embedding.
            k_BNHD, v_BNHD: keys, rotary embedding applied, and values of the tokens attended to.

        Returns:
            Their attention's output `[B, L, H, D]`, before any projection, and their hidden states behind the block.
        """
        raise NotImplementedError


def rotated(x_BLHD: Tensor, tables: tuple[Tensor, ...]) -> Tensor:
    """Queries or keys with the rotary embedding of tables `[L, D]`, or `[B, L, D]`, applied."""
    from diffusers.models.embeddings import apply_rotary_emb

    if tables[0].ndim == 2:
        found: Tensor = apply_rotary_emb(x_BLHD, tables, sequence_dim=1)
        return found
    of_rows = tuple(table.flatten(0, 1) for table in tables)
    joined: Tensor = apply_rotary_emb(x_BLHD.flatten(0, 1)[None], of_rows, sequence_dim=1)
    parted: Tensor = joined[0].unflatten(0, x_BLHD.shape[:2])
    return parted


def with_sample(output: Any, sample_BLC: Tensor) -> Any:
    """A transformer's output with another prediction, and whatever else it holds."""
    if isinstance(output, tuple):
        return (sample_BLC, *output[1:])
    return replace(output, sample=sample_BLC)
