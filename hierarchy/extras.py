"""Libraries that only some features need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from strata.hierarchy.errors import InputError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around imports: raises `InputError` where a library is missing, in a line that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or str(error)).split(".")[0]
        raise InputError(f"{library} is not installed; pip install 'strata-prompting[{extra}]'") from error
