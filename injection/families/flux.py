"""FLUX.1: 19 double and 38 single blocks in dev and schnell; Kontext, Fill, ControlNets.

Text positions are all zero. Kontext appends the reference picture's tokens to the image's, told apart by the first of
their position ids. Text embeddings are T5's, padded to the longest text; the padding takes part in attention.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from strata.injection.facts import ModelFacts, Stack
from strata.injection.families.base import BaseText, Block, Canvas, Family, rotated, with_sample

if TYPE_CHECKING:
    from torch import Tensor

GUIDANCE, FILL_GUIDANCE = 3.5, 30.0

DEV = ModelFacts("flux", (Stack("double", 19), Stack("single", 38)), token_size=16, text_length=512, guidance=GUIDANCE)
"""FLUX.1-dev: what stands in for a model that is not at hand."""


@cache
def signature(forward: Any) -> inspect.Signature:
    """Of a module's class's forward."""
    return inspect.signature(forward)


def bound(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a module's forward, by name."""
    found = signature(type(module).forward).bind(module, *args, **kwargs).arguments
    found.pop("self")
    return found


class Flux(Family):
    """FLUX.1; see the module."""

    name = "flux"
    title = "FLUX.1"
    transformers: ClassVar[tuple[str, ...]] = ("FluxTransformer2DModel",)
    prefix = "Flux"
    pipelines: ClassVar[tuple[str, ...]] = ("FluxPipeline", "FluxImg2ImgPipeline", "FluxControlNetPipeline")
    with_picture = ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline")
    with_control = ("FluxControlNetPipeline", "FluxControlNetModel", "FluxMultiControlNetModel")
    optional_picture: ClassVar[tuple[str, ...]] = ("FluxKontextPipeline",)
    processors: ClassVar[tuple[str, ...]] = ("FluxAttnProcessor",)

    confines_loras = True

    joint_single = False
    """Whether single blocks take text and image as one tensor."""

    def facts(
        self, transformer: Mapping[str, Any], vae: Mapping[str, Any], text_length: int, index: Mapping[str, Any]
    ) -> ModelFacts:
        """See `Family`."""
        guidance = FILL_GUIDANCE if index["_class_name"] == "FluxFillPipeline" else GUIDANCE
        return ModelFacts(
            family=self.name,
            stacks=self._stacks(transformer),
            token_size=2 ** len(vae["block_out_channels"]),
            text_length=text_length,
            guidance=guidance if transformer.get("guidance_embeds") else None,
        )

    def _stacks(self, transformer: Mapping[str, Any]) -> tuple[Stack, ...]:
        doubles, singles = int(transformer["num_layers"]), int(transformer["num_single_layers"])
        return Stack("double", doubles), Stack("single", singles)

    def tokenizer(self, pipe: Any) -> Any:
        """T5's."""
        return getattr(pipe, "tokenizer_2", None)

    def pooled_tokenizer(self, pipe: Any) -> Any:
        """CLIP's."""
        return getattr(pipe, "tokenizer", None)

    def text_encoders(self, pipe: Any) -> tuple[Any, ...]:
        """CLIP and T5."""
        return getattr(pipe, "text_encoder", None), getattr(pipe, "text_encoder_2", None)

    def encode_prompt(
        self, pipe: Any, prompt: str, prompt_2: str | None, max_length: int, lora_scale: float | None
    ) -> dict[str, Tensor]:
        """T5's embedding and the pooled one of CLIP."""
        embeds, pooled, _ = pipe.encode_prompt(
            prompt=prompt, prompt_2=prompt_2, max_sequence_length=max_length, lora_scale=lora_scale
        )
        return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}

    def negative_inputs(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Family`."""
        return {f"negative_{name}": value for name, value in encoded.items()}

    def heard(self, pipe: Any, text: str, encoded: Mapping[str, Tensor], max_length: int) -> Sequence[int]:
        """The text's own of T5's tokens."""
        return range(len(self.tokenizer(pipe)([text], max_length=max_length, truncation=True).input_ids[0]))

    def blocks(self, transformer: Any) -> tuple[Block, ...]:
        """The double blocks, then the single ones."""
        stacks = (
            ("double", transformer.transformer_blocks, False),
            ("single", transformer.single_transformer_blocks, self.joint_single),
        )
        found: list[Block] = []
        for stack, modules, joint in stacks:
            found += [
                Block(len(found) + n, f"{stack} {n}", module, module.attn, joint) for n, module in enumerate(modules)
            ]
        return tuple(found)

    def bind(self, transformer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Family`."""
        return bound(transformer, args, kwargs)

    def text(self, inputs: Mapping[str, Any]) -> Tensor:
        """See `Family`."""
        embeds: Tensor = inputs["encoder_hidden_states"]
        return embeds

    def base_texts(self, inputs: Mapping[str, Any]) -> list[BaseText]:
        """All of them: FLUX.1 sees the padding."""
        batch, length = self.text(inputs).shape[:2]
        return [BaseText(length)] * batch

    def canvas(self, inputs: Mapping[str, Any]) -> Canvas:
        """Tokens whose first id is the first token's are the canvas; a reference's come behind."""
        ids = flat(inputs["img_ids"])
        canvas = ids[ids[:, 0] == ids[0, 0]]
        rows, cols = (int(canvas[:, axis].max() - canvas[:, axis].min()) + 1 for axis in (1, 2))
        return Canvas(rows, cols, len(ids))

    def enter(
        self, inputs: Mapping[str, Any], text_BLC: Tensor, positions: Sequence[range], order: Tensor
    ) -> dict[str, Any]:
        """See `Family`; a ControlNet's residuals travel with their tokens."""
        entered = dict(
            inputs,
            encoder_hidden_states=text_BLC,
            txt_ids=inputs["txt_ids"].new_zeros(text_BLC.shape[1], 3),
            img_ids=flat(inputs["img_ids"])[order],
            hidden_states=inputs["hidden_states"][:, order],
        )
        for name in ("controlnet_block_samples", "controlnet_single_block_samples"):
            if inputs.get(name) is not None:
                # A ControlNet may leave a Kontext reference out.
                entered[name] = [sample[:, order[: sample.shape[1]]] for sample in inputs[name]]
        return entered

    def leave(self, output: Any, inverse: Tensor) -> Any:
        """See `Family`."""
        return with_sample(output, output[0][:, inverse])

    def residuals(self, inputs: Mapping[str, Any]) -> Sequence[Tensor] | None:
        """See `Family`."""
        found: Sequence[Tensor] | None = inputs.get("controlnet_single_block_samples")
        return found

    def tokens_of(self, block: Block, layer: str) -> Literal["text", "image", "both"] | None:
        """See `Family`; single blocks join text and image, whichever way they take them."""
        if any(part.startswith("norm") for part in layer.split(".")):
            return None
        if block.name.startswith("single"):
            return "both"
        return "text" if "add_" in layer or layer.startswith("ff_context") else "image"

    def bind_block(self, block: Block, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Family`."""
        return bound(block.module, args, kwargs)

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
        """See `Family`; a copy stands in single blocks alone, which modulate text and image alike."""
        found = dict(inputs, image_rotary_emb=rotary)
        if block.joint:
            import torch

            found["hidden_states"] = torch.cat([text, image], dim=1)
        else:
            found |= {"hidden_states": image, "encoder_hidden_states": text}
        if key is not None:
            found["joint_attention_kwargs"] = {**(inputs.get("joint_attention_kwargs") or {}), "regional": key}
        return found

    def split_block(self, block: Block, output: Any, text_length: int) -> tuple[Tensor, Tensor]:
        """See `Family`."""
        if block.joint:
            return output[:, :text_length], output[:, text_length:]
        text, image = output
        return text, image

    def rotary(self, inputs: Mapping[str, Any], positions: Sequence[range], order: Tensor) -> tuple[Tensor, ...]:
        """See `Family`."""
        tables: tuple[Tensor, ...] = inputs["image_rotary_emb"]
        return tables

    def temb(self, inputs: Mapping[str, Any]) -> Tensor:
        """See `Family`."""
        found: Tensor = inputs["temb"]
        return found

    def project(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None, rotary: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As diffusers' `FluxAttnProcessor` does."""
        import torch
        from diffusers.models.transformers.transformer_flux import _get_qkv_projections

        q, k, v, text_q, text_k, text_v = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (q, k, v))
        q, k = attn.norm_q(q), attn.norm_k(k)
        if attn.added_kv_proj_dim is not None:
            text_q, text_k, text_v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (text_q, text_k, text_v))
            q = torch.cat([attn.norm_added_q(text_q), q], dim=1)
            k = torch.cat([attn.norm_added_k(text_k), k], dim=1)
            v = torch.cat([text_v, v], dim=1)
        if rotary is not None:
            q, k = rotated(q, rotary), rotated(k, rotary)
        return q, k, v

    def output(self, attn: Any, attended_BLC: Tensor, text_length: int | None) -> Any:
        """See `Family`; parallel single blocks project what was attended together with their MLP's part."""
        if text_length is None:
            return projected_out(attn, attended_BLC) if hasattr(attn, "to_out") else attended_BLC
        text, image = attended_BLC[:, :text_length], attended_BLC[:, text_length:]
        return projected_out(attn, image.contiguous()), attn.to_add_out(text.contiguous())

    def embed_text(self, transformer: Any, text_BLC: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """See `Family`."""
        embedded: Tensor = transformer.context_embedder(text_BLC)
        return embedded

    def text_step(
        self, block: Block, hidden_BLC: Tensor, temb: Tensor, k_BNHD: Tensor, v_BNHD: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Family`; text positions are all zero, so no rotary embedding is needed."""
        import torch

        module: Any = block.module
        attn = block.attn
        double = attn.added_kv_proj_dim is not None
        if double:
            normed, gate, shift, scale, mlp_gate = module.norm1_context(hidden_BLC, emb=self.text_modulation(temb))
            fused, split = "to_added_qkv", ("add_q_proj", "add_k_proj", "add_v_proj")
            norm_q, norm_k = attn.norm_added_q, attn.norm_added_k
        else:
            normed, gate = module.norm(hidden_BLC, emb=temb)
            fused, split = "to_qkv", ("to_q", "to_k", "to_v")
            norm_q, norm_k = attn.norm_q, attn.norm_k
        if attn.fused_projections:
            q, k, v = getattr(attn, fused)(normed).chunk(3, dim=-1)
        else:
            q, k, v = (getattr(attn, name)(normed) for name in split)
        q, k, v = (x.unflatten(-1, (-1, attn.head_dim)) for x in (q, k, v))
        out_BLHD = attended_beside(norm_q(q), norm_k(k), v, k_BNHD, v_BNHD)
        out_BLC = out_BLHD.flatten(2)
        if not double:
            both = torch.cat([out_BLC, module.act_mlp(module.proj_mlp(normed))], dim=2)
            return out_BLHD, hidden_BLC + gate.unsqueeze(1) * module.proj_out(both)
        hidden_BLC = hidden_BLC + gate.unsqueeze(1) * attn.to_add_out(out_BLC)
        normed = module.norm2_context(hidden_BLC) * (1 + scale[:, None]) + shift[:, None]
        return out_BLHD, hidden_BLC + mlp_gate.unsqueeze(1) * module.ff_context(normed)

    def text_modulation(self, temb: Tensor) -> Tensor:
        """What of a double block's modulation embedding its text norm takes."""
        return temb


def attended_beside(q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, k_BNHD: Tensor, v_BNHD: Tensor) -> Tensor:
    """What text tokens attend to beside a run, `[B, L, H, D]`: each other, and the given keys and values."""
    import torch

    k, v = torch.cat([k_BLHD, k_BNHD], dim=1), torch.cat([v_BLHD, v_BNHD], dim=1)
    q, k, v = (x.transpose(1, 2) for x in (q_BLHD, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def projected_out(attn: Any, attended_BLC: Tensor) -> Tensor:
    """What was attended, through the attention module's output projection."""
    found: Tensor = attn.to_out[1](attn.to_out[0](attended_BLC))
    return found


def flat(ids: Tensor) -> Tensor:
    """Position ids without the batch dimension that older pipelines give them."""
    return ids[0] if ids.ndim == 3 else ids


FAMILY = Flux()
