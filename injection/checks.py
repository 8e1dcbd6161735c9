"""What regional prompting cannot work with is refused, with a reason, before anything is touched."""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

from strata.hierarchy.errors import InputError
from strata.injection.calling import call_of
from strata.injection.errors import UnsupportedError
from strata.injection.families import Family, families, family_of, valid
from strata.injection.families.refused import REFUSED
from strata.injection.intercept import is_compiled, is_intercepted, why_busy

__all__ = ["UnsupportedError", "check_pipeline", "check_strengths", "check_transformer"]


def check_pipeline(pipe: Any) -> Family:
    """The family of a pipeline that draws from prompts; raises `InputError` for anything else."""
    transformer = getattr(pipe, "transformer", None)
    try:
        family = family_of(transformer)
    except InputError as error:
        if type(transformer).__name__ in REFUSED:
            raise InputError(f"pipe: {type(pipe).__name__}: {REFUSED[type(transformer).__name__]}") from error
        pipelines = ", ".join(name for known in families() for name in known.pipelines)
        message = f"pipe: {type(pipe).__name__} has no transformer that is known; valid: {valid()}, such as {pipelines}"
        raise InputError(message) from error
    for kind in type(pipe).__mro__:
        if (reason := family.why_refused(kind.__name__)) is not None:
            raise InputError(f"pipe: {kind.__name__}: {reason}")
    call_of(pipe)
    return family


_REUSING = ("cache", "fbc", "pyramid_attention_broadcast", "layer_skip", "smoothed_energy")
"""Parts of the names of diffusers hooks that skip blocks or reuse another call's results."""


def check_transformer(transformer: Any, family: Family) -> None:
    """Raise `UnsupportedError` for modes in which regional attention would be skipped or wrong."""
    if is_compiled(transformer):
        raise UnsupportedError(
            "the transformer is compiled as a whole, so regions could not be attached;"
            " use pipe.transformer.compile_repeated_blocks() instead"
        )
    if is_intercepted(transformer):
        raise UnsupportedError(why_busy(transformer))
    if getattr(transformer, "_parallel_config", None) is not None:
        raise UnsupportedError("context parallelism splits the tokens of a region over devices; disable it")
    if getattr(transformer, "is_cache_enabled", False):
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
        if type(processor).__name__ not in family.processors:
            hint = "unload the IP-Adapter" if "IPAdapter" in type(processor).__name__ else "detach what set it"
            raise UnsupportedError(
                f"{name} is a {type(processor).__name__}, not {family.title}'s stock processor; {hint}"
            )
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
