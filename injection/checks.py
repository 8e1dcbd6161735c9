"""What regional prompting cannot work with is refused, with a reason, before anything is touched."""

from __future__ import annotations

import inspect
from typing import Any

from diffusers import FluxTransformer2DModel
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor

from strata.hierarchy.errors import InputError, StrataError


class UnsupportedError(StrataError):
    """The pipeline is in a mode that regional prompting cannot work with."""


def check_pipeline(pipe: Any) -> None:
    """Raise `InputError` unless `pipe` is a diffusers FLUX pipeline that draws from prompts."""
    transformer = getattr(pipe, "transformer", None)
    inner = getattr(transformer, "_orig_mod", transformer)
    if not isinstance(inner, FluxTransformer2DModel):
        raise InputError(
            f"pipe: {type(pipe).__name__} has no FLUX transformer; valid: a diffusers pipeline with a"
            " FluxTransformer2DModel, such as FluxPipeline, FluxImg2ImgPipeline or FluxControlNetPipeline"
        )
    if "prompt" not in inspect.signature(pipe.__call__).parameters or not hasattr(pipe, "encode_prompt"):
        raise InputError(f"pipe: {type(pipe).__name__} takes no prompt; load the pipeline that draws from prompts")


_REUSING = ("cache", "fbc", "pyramid_attention_broadcast", "layer_skip", "smoothed_energy")
"""Parts of the names of diffusers hooks that skip blocks or reuse another call's results."""


def check_transformer(transformer: Any) -> None:
    """Raise `UnsupportedError` for modes in which regional attention would be skipped or wrong."""
    if any(type(block).__name__ == "RoutedBlock" for block in getattr(transformer, "transformer_blocks", ())):
        raise UnsupportedError("regions are attached to this transformer already, by a call that is still running")
    if not isinstance(transformer, FluxTransformer2DModel) or transformer._compiled_call_impl is not None:
        raise UnsupportedError(
            "the transformer is compiled as a whole, so regions could not be attached;"
            " use pipe.transformer.compile_repeated_blocks() instead"
        )
    if getattr(transformer, "_parallel_config", None) is not None:
        raise UnsupportedError("context parallelism splits the tokens of a region over devices; disable it")
    if transformer.is_cache_enabled:
        raise UnsupportedError(
            "a block cache is enabled and would reuse another step's regions; call pipe.transformer.disable_cache()"
        )
    for name, module in transformer.named_modules():
        registry = getattr(module, "_diffusers_hook", None)
        for hook in getattr(registry, "hooks", ()):
            if any(part in hook for part in _REUSING):
                where = name or "the transformer"
                raise UnsupportedError(f"{where}: the hook {hook!r} skips or reuses blocks (a block cache?)")
    active = _AttentionBackendRegistry.get_active_backend()[0]
    for name, processor in transformer.attn_processors.items():
        if type(processor) is not FluxAttnProcessor:
            hint = "unload the IP-Adapter" if "IPAdapter" in type(processor).__name__ else "detach what set it"
            raise UnsupportedError(f"{name} is a {type(processor).__name__}, not FLUX's stock processor; {hint}")
        if processor._parallel_config is not None:
            raise UnsupportedError("context parallelism splits the tokens of a region over devices; disable it")
        backend = processor._attention_backend or active
        value = getattr(backend, "value", backend)
        if "varlen" in str(value):
            raise UnsupportedError(
                f"the attention backend {value} packs sequences and cannot express regions;"
                " use pipe.transformer.set_attention_backend('native') or another backend without varlen"
            )


def check_strengths(transformer: Any) -> None:
    """Raise `UnsupportedError` if fractional strengths meet a backend that cannot add to the logits."""
    native = {AttentionBackendName.NATIVE, AttentionBackendName._NATIVE_EFFICIENT, AttentionBackendName._NATIVE_MATH}
    active = _AttentionBackendRegistry.get_active_backend()[0]
    for processor in transformer.attn_processors.values():
        backend = processor._attention_backend or active
        if AttentionBackendName(backend) not in native:
            raise UnsupportedError(
                "strengths other than 0 and 1 need the attention backend 'native',"
                f" not {AttentionBackendName(backend).value!r}"
            )
