"""Model families, one a file; each is found by its file and known by the class of its transformer.

What a folder holds is told from its JSON files, before a weight is read.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from strata.hierarchy.errors import InputError
from strata.injection.facts import ModelFacts
from strata.injection.families.base import Family
from strata.injection.families.flux import DEV as FLUX_DEV
from strata.injection.families.refused import REFUSED

CLASSIC, MODULAR = "model_index.json", "modular_model_index.json"
"""The index of a folder in the diffusers format; where both are there, the classic pipeline is meant."""

__all__ = ["FLUX_DEV", "Family", "facts_of", "facts_of_folder", "families", "family_of", "family_of_folder"]


@cache
def families() -> tuple[Family, ...]:
    """All families, by their names."""
    names = sorted(module.name for module in iter_modules(__path__))
    found = [getattr(import_module(f"{__name__}.{name}"), "FAMILY", None) for name in names]
    return tuple(family for family in found if family is not None)


def _by_transformer(name: str) -> Family | None:
    return next((family for family in families() if name in family.transformers), None)


def valid() -> str:
    """The transformers that are known, for messages."""
    return ", ".join(f"{name} ({family.title})" for family in families() for name in family.transformers)


def family_of(transformer: Any) -> Family:
    """The family of a loaded transformer.

    Raises:
        InputError: there is none.
    """
    inner = getattr(transformer, "_orig_mod", transformer)
    for kind in type(inner).__mro__:
        if (family := _by_transformer(kind.__name__)) is not None:
            return family
    name = type(inner).__name__
    if name in REFUSED:
        raise InputError(f"transformer: {name}: {REFUSED[name]}")
    raise InputError(f"transformer: {name}: no model family knows it; valid: {valid()}")


def facts_of(pipe: Any) -> ModelFacts:
    """The facts of a loaded pipeline. Raises `InputError` where no family knows its transformer."""
    transformer = getattr(pipe.transformer, "_orig_mod", pipe.transformer)
    family = family_of(transformer)
    tokenizer = family.tokenizer(pipe)
    longest = min(family.most_text, getattr(tokenizer, "model_max_length", family.most_text))
    if getattr(pipe, "vae", None) is not None:
        vae = pipe.vae.config
    else:  # freed; what is drawn are latents
        vae = {"block_out_channels": [0] * int(pipe.vae_scale_factor).bit_length()}
    return family.facts(transformer.config, vae, longest, {**pipe.config, "_class_name": type(pipe).__name__})


def is_modular(folder: Path) -> bool:
    """Whether a folder in the diffusers format holds a `ModularPipeline` alone."""
    return (folder / MODULAR).is_file() and not (folder / CLASSIC).is_file()


def index_of_folder(folder: Path) -> dict[str, Any]:
    """What the index of a folder in the diffusers format says. Raises `InputError` where it cannot be read."""
    return _json(folder / (MODULAR if is_modular(folder) else CLASSIC))


def family_of_folder(folder: Path) -> tuple[Family, dict[str, Any]]:
    """The family of the model in a folder in the diffusers format, and what its index says.

    Raises:
        InputError: it has no index that can be read, or no family knows the model.
    """
    index = index_of_folder(folder)
    kind, parts = str(index.get("_class_name")), index.get("transformer")
    name = str(parts[1]) if isinstance(parts, list) and len(parts) in (2, 3) else None
    family = None if name is None else _by_transformer(name)
    if family is None or not kind.startswith(family.prefix):
        what = f"a {kind} with a {name}" if name else f"a {kind} whose index names no transformer"
        if name is not None and name in REFUSED:
            raise InputError(f"is {what}: {REFUSED[name]}")
        known = ", ".join(f"{family.title} (such as {family.pipelines[0]})" for family in families())
        raise InputError(f"is {what}; must be a pipeline of {known}")
    if (reason := family.why_refused(kind)) is not None:
        raise InputError(f"is a {kind}: {reason}")
    return family, index


def facts_of_folder(folder: Path) -> ModelFacts:
    """The facts of the model in a folder in the diffusers format; no weights are read.

    Raises:
        InputError: its files cannot be read, or no family knows the model.
    """
    family, index = family_of_folder(folder)
    tokenizer = "tokenizer_2" if (folder / "tokenizer_2").is_dir() else "tokenizer"
    try:
        longest = int(_json(folder / tokenizer / "tokenizer_config.json").get("model_max_length", family.most_text))
    except InputError:
        longest = family.most_text
    transformer, vae = (_json(folder / part / "config.json") for part in ("transformer", "vae"))
    try:
        return family.facts(transformer, vae, min(family.most_text, longest), index)
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"its configuration is damaged: {error!r}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no pipeline in the diffusers format (no {path.name})") from error
    except (OSError, ValueError) as error:
        raise InputError(f"its {path.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"its {path.name} cannot be read: must hold a JSON object")
    return found
