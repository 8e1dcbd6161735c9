"""LoRA files: read, and checked against a model before anything is loaded into it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from strata.hierarchy.errors import InputError, first_line
from strata.injection.families import Family, family_of_folder
from strata.injection.lora_form import Mark, check_form, file_mark, first_key, sha256_of
from strata.injection.weights import is_finite

_LOW_RANK = (".lora_A.weight", ".lora_B.weight", ".lora_B.bias")


class LayerPlace(NamedTuple):
    """Where a layer stands that sees tokens.

    Attributes:
        block: its block's number, in execution order.
        tokens: "text", "image", or "both": text before image.
    """

    block: int
    tokens: str


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A file that holds a LoRA, as diffusers reads it.

    Attributes:
        path: of the file.
        shapes: of its weights, by the names that diffusers gives them.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def sha256(self) -> str:
        """The hash of its content."""
        return sha256_of(self.path)

    @property
    def adapts_texts(self) -> bool:
        """Whether it has weights for a text encoder."""
        return any(key.startswith("text_encoder") for key in self.shapes)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of the transformer that it adapts."""
        keys = (key.removeprefix("transformer.") for key in self.shapes if key.startswith("transformer."))
        return tuple(dict.fromkeys(key.removesuffix(end) for key in keys for end in _LOW_RANK if key.endswith(end)))

    def check(self, transformer: Any) -> None:
        """Raise `InputError` for the first weight that does not fit a transformer, which may be on the meta device."""
        sizes = {name: (m.out_features, m.in_features) for name, m in transformer.named_modules() if _is_linear(m)}
        ranks: dict[str, int] = {}
        for key, shape in self.shapes.items():
            if not key.startswith("transformer."):
                continue
            end = next((end for end in _LOW_RANK if key.endswith(end)), None)
            if end is None:
                raise self.error(f"{key}: replaces a weight of the model, and is no low-rank pair (a control LoRA?)")
            layer = key.removeprefix("transformer.").removesuffix(end)
            if layer not in sizes:
                raise self.error(f"{key}: the model has no linear layer {layer}; the LoRA is for another model")
            out, into = sizes[layer]
            rank = ranks.setdefault(layer, shape[0] if end == _LOW_RANK[0] else shape[-1])
            wanted = {_LOW_RANK[0]: (rank, into), _LOW_RANK[1]: (out, rank), _LOW_RANK[2]: (out,)}[end]
            if shape != wanted:
                has, needs = ("×".join(map(str, sides)) for sides in (shape, wanted))
                raise self.error(f"{key}: is {has}, the model's layer needs {needs}; the LoRA is for another model")

    def check_confined(self, transformer: Any, family: Family) -> None:
        """Raise `InputError` for what cannot be confined to an area."""
        if not family.confines_loras:
            raise self.error(f"LoRAs of regions have not been tried with {family.title}; put it on the plan itself")
        if self.adapts_texts:
            raise self.error(
                "adapts the text encoder too, whose pooled text is the whole picture's, so it cannot be confined to an"
                " area; put it on the plan itself, or save it without its text_encoder weights"
            )
        places = layer_places(transformer, family)
        for layer in self.layers:
            if layer not in places:
                raise self.error(
                    f"adapts {layer}, which is no layer within a block that sees token by token (a modulation, a time"
                    " or text embedding?), so it cannot be confined to an area; put it on the plan itself"
                )

    def error(self, message: str) -> InputError:
        """An error about the file."""
        return InputError(f"{self.path}: {message}")


def layer_places(transformer: Any, family: Family) -> dict[str, LayerPlace]:
    """Of every linear layer within a block that sees token by token, by its name, where it stands."""
    blocks = {id(block.module): block for block in family.blocks(transformer)}
    found = {}
    for outer, module in transformer.named_modules():
        if id(module) in blocks:
            block = blocks[id(module)]
            for inner, layer in module.named_modules():
                tokens = family.tokens_of(block, inner) if _is_linear(layer) else None
                if tokens is not None:
                    found[f"{outer}.{inner}"] = LayerPlace(block.index, tokens)
    return found


def _is_linear(module: Any) -> bool:
    return isinstance(getattr(module, "in_features", None), int) and hasattr(module, "out_features")


def read_lora(path: Path, pipeline: Any) -> LoraFile:
    """A LoRA file, as a pipeline of this class reads it; its weights are looked at and not kept.

    It is read once as long as it stays what it is.

    Raises:
        InputError: it cannot be read, holds no LoRA, half of one, one of a kind that is not drawn with, or NaN.
    """
    return _read_lora(path, file_mark(path), pipeline)


@lru_cache(maxsize=64)
def _read_lora(path: Path, mark: Mark, pipeline: Any) -> LoraFile:
    check_form(path)
    if not hasattr(pipeline, "lora_state_dict"):
        raise InputError(f"{path}: {pipeline.__name__} takes no LoRA")
    try:
        with silent_loaders():
            found = pipeline.lora_state_dict(str(path))
    except Exception as error:  # converters raise whatever they like for what they do not know
        raise InputError(f"{path}: diffusers cannot read it as a LoRA of this model: {first_line(error)}") from error
    state = {key: value for key, value in found.items() if not key.endswith(".alpha")}
    if not any(key.startswith("transformer.") for key in state):
        raise InputError(f"{path}: has no weights for a transformer (first: {first_key(list(state))})")
    for key, tensor in state.items():
        if not is_finite(tensor):
            raise InputError(f"{path}: {key}: holds NaN or infinities")
    return LoraFile(path, {key: tuple(tensor.shape) for key, tensor in state.items()})


@contextmanager
def silent_loaders() -> Iterator[None]:
    """While the context lasts, no library tells which parts of a model a LoRA leaves alone, or that it is not alone."""

    logger = logging.getLogger("diffusers.loaders")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
            yield
    finally:
        logger.setLevel(before)


def empty_transformer(folder: Path) -> tuple[Any, Family, Any]:
    """The transformer of a folder in the diffusers format without weights, its family and the pipeline's class.

    Raises:
        InputError: no family knows the folder's model.
    """
    import diffusers

    family, index = family_of_folder(folder)
    kind = getattr(diffusers, index["transformer"][1])
    with torch.device("meta"):
        transformer = kind.from_config(kind.load_config(str(folder / "transformer")))
    return transformer, family, getattr(diffusers, index["_class_name"])
