"""The form of LoRA files: that they can be read and hold a LoRA, whatever the model; nothing heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError, safe_open

from strata.hierarchy.errors import InputError, first_line, quote, reason_of

_OTHERS = {
    "dora_scale": "DoRA, whose magnitudes weigh whole rows and not tokens",
    "lora_magnitude_vector": "DoRA, whose magnitudes weigh whole rows and not tokens",
    ".lokr_": "LoKr, not a LoRA",
    ".hada_": "LoHa, not a LoRA",
    ".oft_": "OFT, not a LoRA",
}
"""Parts of keys that tell other kinds of adapters."""
_HALF = re.compile(r"(?P<layer>.*lora\w*?[._])(?P<half>A|B|down|up)(?P<rest>(?:\.(?:\w+\.)?weight)?)")
"""The name of one factor of a low-rank pair, as peft, kohya, diffusers of old and xlabs write it."""
_OTHER_HALF = {"A": "B", "B": "A", "down": "up", "up": "down"}
_BIAS = ".lora_B.bias"
Mark = tuple[int, int]


def file_mark(path: Path) -> Mark:
    """Tells whether a file is still what it was: its time of change and its size. Raises `InputError` for none."""
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    return state.st_mtime_ns, state.st_size


def sha256_of(path: Path) -> str:
    """The hash of a file's content, read once as long as the file stays what it is.

    Raises:
        InputError: it cannot be read.
    """
    return _sha256(path, file_mark(path))


@lru_cache(maxsize=1024)
def _sha256(path: Path, mark: Mark) -> str:
    digest = sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    return digest.hexdigest()


def check_form(path: Path) -> None:
    """Raise `InputError` for a file that cannot be read, holds no LoRA, one of a kind that is not drawn with, or half a
    pair: peft would fill up the other half with random numbers or zeros."""
    try:
        with path.open("rb"):  # safetensors tells of any file that it may not open that there is none
            pass
        with safe_open(str(path), framework="np") as file:
            keys = list(file.keys())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    except SafetensorError as error:
        raise InputError(f"{path}: no .safetensors file, or a damaged one: {first_line(error)}") from error
    for key in keys:
        for part, kind in _OTHERS.items():
            if part in key:
                raise InputError(f"{path}: {key}: is {kind}")
    for key in keys:
        if "down_blocks" in key or "up_blocks" in key:
            raise InputError(f"{path}: {key}: is of a LoRA for a U-Net (Stable Diffusion), not for a transformer")
    if not any("lora" in key for key in keys):
        named = first_key(keys)
        raise InputError(f"{path}: holds no LoRA: none of its {len(keys)} weights is named so (first: {named})")
    for key, missing in _halves(keys):
        raise InputError(f"{path}: {key}: stands alone, without {missing}; the file is damaged")


def _halves(keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The keys of low-rank pairs whose counterpart is missing, and that."""
    known = frozenset(keys)
    for key in keys:
        found = _HALF.fullmatch(key)
        if found is not None:
            needed = f"{found['layer']}{_OTHER_HALF[found['half']]}{found['rest']}"
        elif key.endswith(_BIAS):
            needed = f"{key.removesuffix('bias')}weight"
        else:
            continue
        if needed not in known:
            yield key, needed


def first_key(keys: Sequence[str]) -> str:
    """As messages show it."""
    return quote(keys[0]) if keys else "none at all"
