"""Loading the folder of a pipeline so that a wrong checkpoint is an error, and not a wrong picture.

The libraries fill what a checkpoint lacks with random numbers, leave out what it has too much, and draw with NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, ModularPipeline
from torch import Tensor, nn

from strata.hierarchy.errors import InputError
from strata.injection.families import family_of_folder, index_of_folder, is_modular
from strata.injection.modular import ModularCall

_SHOWN = 3


def load_folder(folder: Path, dtype: torch.dtype | None = None) -> Any:
    """The pipeline in a folder in the diffusers format, on the CPU, with exactly the weights that its models have.

    What the libraries leave out by design (tied weights, buffers of older versions) is no error.

    Args:
        folder: with a `model_index.json`, or a `modular_model_index.json`, and a folder for each component.
        dtype: of the weights; None: as the libraries choose.

    Raises:
        InputError: a component is not there; a model's weights are missing, unused, of another shape, or hold NaN or
            infinities; names folder and weights.
        OSError, ValueError, …: what the libraries raise for files that cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `torch_dtype` is deprecated, but `dtype` is too new
        models = {name: load_model(folder / name, kind, dtype) for name, kind in _models(folder)}
        load = _load_modular if is_modular(folder) else _load_classic
        pipe = load(folder, dtype, models)
    for name, part in pipe.components.items():
        specials = getattr(part, "all_special_ids", None)
        if specials is not None and len(part) <= len(specials):
            raise InputError(f"{folder / name}: holds no vocabulary: the tokenizer's files are missing or empty")
    return pipe


def _load_classic(folder: Path, dtype: torch.dtype | None, models: dict[str, nn.Module]) -> Any:
    unused = dict.fromkeys(family_of_folder(folder)[0].unused_parts)
    return DiffusionPipeline.from_pretrained(str(folder), torch_dtype=dtype, **models, **unused)


def _load_modular(folder: Path, dtype: torch.dtype | None, models: dict[str, nn.Module]) -> Any:
    if (folder / "modular_config.json").is_file():
        raise InputError(
            f"{folder}: brings blocks of its own (modular_config.json), which is code; load it from Python"
        )
    pipe = ModularPipeline.from_pretrained(str(folder))
    pipe.update_components(**{name: model for name, model in models.items() if name in pipe.component_names})
    rest = [name for name in pipe.null_component_names if (folder / name).is_dir()]
    pipe.load_components(names=rest, pretrained_model_name_or_path=str(folder))
    if lost := ModularCall(pipe).missing():
        raise InputError(f"{folder}: its {', '.join(lost)} is not there or cannot be read; download or save it again")
    return pipe


def _models(folder: Path) -> Iterator[tuple[str, Any]]:
    """The components with weights, by name, each with its class."""
    for name, entry in index_of_folder(folder).items():
        named = isinstance(entry, list) and len(entry) >= 2 and isinstance(entry[1], str)
        if name.startswith("_") or not named:
            continue
        library, kind = entry[:2]
        if not (folder / name).is_dir():
            if is_modular(folder):
                continue  # of a step that may not be needed
            raise InputError(f"{folder}: has no folder {name}, of its {kind}; download or save the model again")
        found = getattr(import_module(library), kind, None) if library in ("diffusers", "transformers") else None
        if isinstance(found, type) and issubclass(found, nn.Module):
            yield name, found


def load_model(folder: Path, kind: Any, dtype: torch.dtype | None) -> nn.Module:
    """One model of a class, with exactly its weights. Raises as `load_folder` does."""
    model: nn.Module
    # Of what shapes do not fit the libraries' own error names no folder: they tell them here, and the error is ours.
    asked = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model, info = kind.from_pretrained(str(folder), torch_dtype=dtype, **asked)
    for which, complaint in (
        ("missing_keys", "weights missing that the model of its config.json has"),
        ("unexpected_keys", "weights that the model of its config.json does not have"),
        ("mismatched_keys", "weights of another shape than in the model of its config.json"),
    ):
        if info[which]:
            raise InputError(f"{folder}: {complaint}: {_some(info[which])}")
    if bad := [name for name, tensor in model.state_dict().items() if not is_finite(tensor)]:
        raise InputError(f"{folder}: weights with NaN or infinities{_as(dtype)}: {_some(bad)}")
    return model


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor an infinity: one pass, nothing kept; quantized numbers always are."""
    if not tensor.is_floating_point() or not tensor.numel() or tensor.is_meta:
        return True
    if tensor.element_size() == 1:  # of 8 bits; torch cannot compare these
        tensor = tensor.float()
    return all(bool(extreme.isfinite()) for extreme in torch.aminmax(tensor))


def _as(dtype: torch.dtype | None) -> str:
    return "" if dtype is None else f" as {str(dtype).removeprefix('torch.')}"


def _some(names: Collection[Any]) -> str:
    """The first names, and how many more there are."""
    texts = sorted(str(name[0] if isinstance(name, tuple) else name) for name in names)
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
