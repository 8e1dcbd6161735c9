"""FLUX.2: dev (8 double and 48 single blocks, guidance distilled) and klein (5 and 20, or 8 and 24; some distilled).

Text embeddings are hidden states of a language model (Mistral in dev, Qwen3 in klein) from three of its layers, of a
chat in which the text is what the user says; the padding takes part in attention. Text tokens are counted: each has the
position that it has in its own padded text, where dev's padding is in front and klein's behind. Reference pictures are
further image tokens, told apart by the first of four position ids. Single blocks are parallel ones, and all blocks of a
stack share their modulation.

klein with a reference cache puts its references in front of the image, in the first step alone. There they attend to
each other only, at a timestep of their own; their keys and values are kept, and attended to by all that attends to the
image, in every step. What is kept is the same whatever the plan.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from strata.hierarchy.errors import InputError
from strata.injection.facts import ModelFacts
from strata.injection.families.base import Block, Canvas
from strata.injection.families.flux import attended_beside, flat
from strata.injection.families.templated import Templated

if TYPE_CHECKING:
    from torch import Tensor

GUIDANCE = 4.0
_DEV, _KEPT, _DEV_OF_BLOCKS = "Flux2Pipeline", "Flux2KleinKVPipeline", "Flux2ModularPipeline"
_MARK = "⁂"
_FROM_TEXTS = {
    "text_encoder_out_layers": "texts are encoded by the pipeline's own layers here",
    "caption_upsample_temperature": "the plan's prompt is drawn as it is",
}


def check_from_texts(options: Mapping[str, Any]) -> None:
    """Raise `InputError` for options of how the pipeline encodes its prompt."""
    for name, reason in _FROM_TEXTS.items():
        if options.get(name) is not None:
            raise InputError(f"{name}: {options[name]!r}: {reason}; leave it out")


class ChatTokenizer:
    """A language model's tokenizer, called with a text, as what a user says in a chat.

    Offsets are within the text; tokens of the chat around it have empty ones.

    Args:
        outer: a tokenizer, or a processor that has one.
        system: what the chat begins with; None: nothing, and it ends with the begin of an answer.
        thoughts: whether that begins with thoughts; None: as the chat template has it.
    """

    def __init__(self, outer: Any, system: str | None, thoughts: bool | None = False) -> None:
        self.outer, self.system, self.thoughts = outer, system, thoughts
        self.inner = getattr(outer, "tokenizer", outer)
        self.is_fast: bool = self.inner.is_fast
        self.model_max_length: int = self.inner.model_max_length

    def __call__(self, text: str, **options: Any) -> Any:
        """Tokenize; takes and returns what a fast tokenizer does."""
        chat = self._chat(text)
        if self.system is not None and (self.outer is self.inner or chat.startswith(str(self.inner.bos_token))):
            options["add_special_tokens"] = False  # what a tokenizer's, and a processor's, `apply_chat_template` does
        found = self.inner(chat, **options)
        if options.get("return_offsets_mapping"):
            first = self._chat(_MARK).index(_MARK)
            within = [[min(max(at - first, 0), len(text)) for at in span] for span in found["offset_mapping"]]
            found["offset_mapping"] = [(start, stop) for start, stop in within]
        return found

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text alone, where the tokens are those of a chat."""
        around = (self.inner(part, add_special_tokens=False).input_ids for part in self._chat(_MARK).split(_MARK))
        head, tail = (self.inner.decode(part, skip_special_tokens=skip_special_tokens) for part in around)
        whole: str = self.inner.decode(ids, skip_special_tokens=skip_special_tokens)
        return "" if tail.endswith(whole) else whole.removeprefix(head).removesuffix(tail)

    def _chat(self, text: str) -> str:
        """What the pipelines give to the tokenizer."""
        if self.system is None:
            said: Any = [{"role": "user", "content": text}]
            options = {"add_generation_prompt": True}
            options |= {} if self.thoughts is None else {"enable_thinking": self.thoughts}
        else:
            from diffusers.pipelines.flux2.pipeline_flux2 import format_input

            said, options = format_input([text], self.system)[0], {"add_generation_prompt": False}
        chat: str = self.outer.apply_chat_template(said, tokenize=False, **options)
        return chat


class Flux2(Templated):
    """FLUX.2; see the module."""

    name = "flux2"
    title = "FLUX.2"
    transformers: ClassVar[tuple[str, ...]] = ("Flux2Transformer2DModel",)
    prefix = "Flux2"
    confines_loras = True
    pipelines: ClassVar[tuple[str, ...]] = (_DEV, "Flux2KleinPipeline", "Flux2KleinInpaintPipeline")
    with_picture = ("Flux2KleinPipeline", "Flux2KleinPipeline", "Flux2KleinInpaintPipeline")
    optional_picture: ClassVar[tuple[str, ...]] = (_DEV, _KEPT)
    processors: ClassVar[tuple[str, ...]] = (
        "Flux2AttnProcessor",
        "Flux2ParallelSelfAttnProcessor",
        "Flux2KVAttnProcessor",
        "Flux2KVParallelSelfAttnProcessor",
    )
    text_positions_alike = False
    cuts_entered_text = True
    packed_latents = False
    sized_by_picture: ClassVar[Mapping[str, int]] = {"Flux2KleinInpaintPipeline": 1024 * 1024}

    joint_single = True

    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """See `Family`; klein that is not distilled has guidance by a second call."""
        kind = index["_class_name"]
        dev = kind in (_DEV, _DEV_OF_BLOCKS)
        base = not dev and kind != _KEPT and not index.get("is_distilled")
        guided = base or (dev and transformer.get("guidance_embeds", True))
        found = super().facts(transformer, vae, text_length, index)
        scale = "guidance_scale" if base else None
        return replace(found, guidance=GUIDANCE if guided else None, negative_scale=scale)

    def check_options(self, pipe: Any, options: Mapping[str, Any], regional: bool) -> None:
        """See `Family`."""
        check_from_texts(options)
        pictures = options.get("image")
        if pictures is None or type(pipe).__name__ in self.sized_by_picture:
            return
        for picture in pictures if isinstance(pictures, list) else [pictures]:
            try:
                pipe.image_processor.check_image_input(picture)
            except ValueError as error:
                raise InputError(f"image: {error}") from error

    def caches_references(self, pipe: Any, options: Mapping[str, Any]) -> bool:
        """See `Family`."""
        return type(pipe).__name__ == _KEPT and options.get("image") is not None

    def tokenizer(self, pipe: Any) -> Any:
        """Mistral's or Qwen's."""
        found, own = getattr(pipe, "tokenizer", None), getattr(pipe, "system_message", None)
        if found is None or own is None:
            return None if found is None else self.templated(found, type(pipe).__name__)
        return ChatTokenizer(found, own)

    def templated(self, tokenizer: Any, pipeline: str) -> Any:
        """See `Family`; the modular pipeline's system message has a space where the classic one's has a new line."""
        from diffusers.modular_pipelines.flux2.encoders import Flux2TextEncoderStep
        from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

        of_dev = {_DEV: SYSTEM_MESSAGE, _DEV_OF_BLOCKS: Flux2TextEncoderStep.DEFAULT_SYSTEM_MESSAGE}
        return ChatTokenizer(tokenizer, of_dev.get(pipeline))

    def encode_prompt(
        self, pipe: Any, prompt: str, prompt_2: str | None, max_length: int, lora_scale: float | None
    ) -> dict[str, Tensor]:
        """The language model's embedding."""
        embeds, _ = pipe.encode_prompt(prompt=prompt, max_sequence_length=max_length)
        return {"prompt_embeds": embeds}

    def heard(self, pipe: Any, text: str, encoded: Mapping[str, Tensor], max_length: int) -> range:
        """Those of the chat, which padding precedes or follows."""
        mask = self.tokenizer(pipe)(text, padding="max_length", max_length=max_length, truncation=True).attention_mask
        return range(mask.index(1), mask.index(1) + sum(mask))

    def text_embedding(self, pipe: Any, output: Any) -> Tensor:
        """See `Family`: three layers' hidden states, side by side."""
        import torch

        layers = inspect.signature(pipe.encode_prompt).parameters["text_encoder_out_layers"].default
        return torch.cat([output.hidden_states[layer] for layer in layers], dim=-1)

    def canvas(self, inputs: Mapping[str, Any]) -> Canvas:
        """See `Flux`; where there is a cache of references, they are not among the tokens, or in front of them."""
        ids = flat(inputs["img_ids"])[_to_extract(inputs) :]
        return super().canvas({**inputs, "img_ids": ids})._replace(kept=_kept(inputs))

    def prepare(self, inputs: Mapping[str, Any], forward: Callable[..., Any]) -> dict[str, Any]:
        """See `Family`: references that are to be cached pass the stock transformer by themselves.

        They attend to each other alone, so a token each of text and image is beside them only because there must be
        one. With the cache given, and nothing left to extract, the transformer returns it as the pipeline expects.
        """
        if not (count := _to_extract(inputs)):
            return dict(inputs)
        latents, ids = inputs["hidden_states"], flat(inputs["img_ids"])
        alone = {
            "encoder_hidden_states": self.text(inputs)[:, :1],
            "txt_ids": flat(inputs["txt_ids"])[:1],
            "hidden_states": latents[:, : count + 1],
            "img_ids": ids[: count + 1],
            "return_dict": False,
        }
        _, cache = forward({**inputs, **alone})
        rest = {"hidden_states": latents[:, count:], "img_ids": ids[count:], "num_ref_tokens": 0}
        return {**inputs, **rest, "kv_cache": cache}

    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """See `Family`; the last of a text token's ids is its position, and that of an image token is 0."""
        import torch

        counted = torch.cat([torch.arange(each.start, each.stop) for each in positions])
        ids = flat(inputs["txt_ids"]).new_zeros(len(counted), flat(inputs["txt_ids"]).shape[1])
        ids[:, -1] = counted.to(ids)
        return {**super().enter({**inputs, "txt_ids": ids}, text_BLC, positions, order), "txt_ids": ids}

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
        """See `Family`; what a routed call has of references is cached (`prepare`)."""
        found = super().block_inputs(block, inputs, text, image, rotary, key, copied)
        told = found.get("joint_attention_kwargs") or {}
        if told.get("kv_cache") is not None:
            found["joint_attention_kwargs"] = {**told, "kv_cache_mode": "cached"}
        return found

    def unpacked(self, pipe: Any, latents_BLC: Tensor, height: int, width: int) -> Tensor:
        """See `Family`: a token is 2×2 latents, normalized over a batch in training."""
        from diffusers import Flux2Pipeline

        token, vae = 2 * pipe.vae_scale_factor, pipe.vae
        latents_BCHW = latents_BLC.transpose(1, 2).unflatten(2, (height // token, width // token))
        mean, variance = (x.to(latents_BCHW)[:, None, None] for x in (vae.bn.running_mean, vae.bn.running_var))
        unpacked: Tensor = Flux2Pipeline._unpatchify_latents(
            latents_BCHW * (variance + vae.config.batch_norm_eps).sqrt() + mean
        )
        return unpacked

    def temb(self, inputs: Mapping[str, Any]) -> Tensor:
        """See `Family`; the text's, which only references that are to be cached do not share in single blocks."""
        found: Tensor = inputs["temb_mod_txt"] if "temb_mod_txt" in inputs else inputs["temb_mod"]
        return found[:, :1] if found.ndim == 3 else found

    def processor(self, stock: Any, watcher: Any) -> Any:
        """See `Family`; of their own for single blocks and for a cache of references."""
        from strata.injection.parallel import ParallelAttnProcessor
        from strata.injection.reference_cache import CachingAttnProcessor, CachingParallelAttnProcessor

        kinds = {
            "Flux2ParallelSelfAttnProcessor": ParallelAttnProcessor,
            "Flux2KVAttnProcessor": CachingAttnProcessor,
            "Flux2KVParallelSelfAttnProcessor": CachingParallelAttnProcessor,
        }
        kind = kinds.get(type(stock).__name__)
        return None if kind is None else kind(stock, self, watcher)

    def text_step(
        self, block: Block, hidden_BLC: Tensor, temb: Tensor, k_BNHD: Tensor, v_BNHD: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Family`; the first position's rotary embedding changes nothing."""
        import torch

        from strata.injection.parallel import projected

        module: Any = block.module
        attn, parts = block.attn, (temb[:, None] if temb.ndim == 2 else temb).chunk(3 if block.joint else 6, dim=-1)
        shift, scale, gate = parts[:3]
        if block.joint:
            q, k, v, mlp = projected(attn, (1 + scale) * module.norm(hidden_BLC) + shift, None)
            out_BLHD = attended_beside(q, k, v, k_BNHD, v_BNHD)
            both = torch.cat([out_BLHD.flatten(2), attn.mlp_act_fn(mlp)], dim=-1)
            return out_BLHD, hidden_BLC + gate * attn.to_out(both)
        normed = (1 + scale) * module.norm1_context(hidden_BLC) + shift
        if attn.fused_projections:
            text = attn.to_added_qkv(normed).chunk(3, dim=-1)
        else:
            text = tuple(getattr(attn, name)(normed) for name in ("add_q_proj", "add_k_proj", "add_v_proj"))
        q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in text)
        out_BLHD = attended_beside(attn.norm_added_q(q), attn.norm_added_k(k), v, k_BNHD, v_BNHD)
        hidden_BLC = hidden_BLC + gate * attn.to_add_out(out_BLHD.flatten(2))
        shift, scale, gate = parts[3:]
        return out_BLHD, hidden_BLC + gate * module.ff_context((1 + scale) * module.norm2_context(hidden_BLC) + shift)


def _to_extract(inputs: Mapping[str, Any]) -> int:
    """How many of a call's first image tokens are references whose keys and values it is to keep."""
    return int(inputs.get("num_ref_tokens") or 0) if inputs.get("kv_cache_mode") == "extract" else 0


def _kept(inputs: Mapping[str, Any]) -> int:
    """How many reference tokens are in a call's cache, or will be."""
    cache = inputs.get("kv_cache") if inputs.get("kv_cache_mode") is not None else None
    return _to_extract(inputs) or (0 if cache is None else int(cache.num_ref_tokens))


FAMILY = Flux2()
